"""What the nodes run, in words: their releases, and the programs of the user's own among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReplacedProgram:
    """What took the place of a program on a node: the name of the file, and its SHA-256."""

    node: str
    program: str
    file: str
    sha256: str


def in_words(replaced: Iterable[ReplacedProgram]) -> list[str]:
    """A line for each file: what it is, where it runs, and the whole SHA-256."""
    return [
        f"{program} of {' and '.join(nodes)} is {file}, SHA-256 {sha256}"
        for (program, file, sha256), nodes in _by_file(replaced).items()
    ]


def system(
    release: str,
    releases: Mapping[str, str] | None = None,
    replaced: Iterable[ReplacedProgram] = (),
) -> str:
    """What ran on the nodes, in a few words: only runs of the same are like each other.

    `release` is skunk1's; `releases` has both where they differ. A release alone is called by its
    name, so that older runs of it are like it.
    """
    found = release
    if releases and len(set(releases.values())) > 1:
        found = ", ".join(f"{each} on {node}" for node, each in sorted(releases.items()))
    short: dict[tuple[str, str], list[str]] = {}
    for one in replaced:
        short.setdefault((one.program, one.sha256[:12]), []).append(one.node)
    programs = [
        f"{program} {digest}" + ("" if len(nodes) > 1 else f" on {nodes[0]}")
        for (program, digest), nodes in short.items()
    ]
    return f"{found} with {', '.join(programs)}" if programs else found


def system_of(run: Mapping[str, Any]) -> str:
    """The same of a run as run.json and results.json describe it.

    Raises `KeyError`, `TypeError` or `AttributeError` for what is no description.
    """
    replaced = (
        ReplacedProgram(one["node"], one["program"], one["file"], one["sha256"])
        for one in run.get("replaced") or ()
    )
    return system(str(run["release"]), run.get("releases"), replaced)


def _by_file(replaced: Iterable[ReplacedProgram]) -> dict[tuple[str, str, str], list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in replaced:
        found.setdefault((one.program, one.file, one.sha256), []).append(one.node)
    return found
