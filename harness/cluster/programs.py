"""Programs of the user's own on a node: seen to load there, then in the place of the image's."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cluster.node import Node
from harness.errors import LabError, SettingsError
from harness.lab.replaced import USAGE, Replacement
from harness.lab.ssh import Result
from harness.waiting.parallel import on_each

FOLDER = "/root/replaced"
"""Where a program waits until it has been seen to load; it has its own name there."""

PLACE = "/sbin"
"""Where FreeBSD has both programs (sbin/hastd/Makefile, sbin/hastctl/Makefile)."""

_SECONDS = 30.0

_RUNTIME_LINKER = "ld-elf.so.1: "
"""How rtld(1) begins what it says of a library, a version or a symbol that is not there."""


def replace(nodes: Sequence[Node], replacements: Sequence[Replacement]) -> None:
    """Put the programs in their places, once all of them are seen to load on their nodes.

    Raises `SettingsError` naming node, program and file where one does not load or is another
    program, before anything is replaced; `LabError` where it does not arrive whole.
    """
    on_each(nodes, lambda node: _try(node, _of(node, replacements)))
    on_each(nodes, lambda node: _install(node, _of(node, replacements)))


def _of(node: Node, replacements: Sequence[Replacement]) -> list[Replacement]:
    return [each for each in replacements if each.about.node == node.name]


def _try(node: Node, replacements: Sequence[Replacement]) -> None:
    for each in replacements:
        about = each.about
        path = f"{FOLDER}/{about.program}"
        node.run("mkdir", "-p", FOLDER)
        node.put(path, each.content, mode="0555")
        arrived = node.ask("sha256", "-q", path, within=_SECONDS).check().stdout.strip()
        if arrived != about.sha256:
            raise LabError(
                f"{about.file} did not arrive whole: its SHA-256 is {arrived} there, and "
                f"{about.sha256} here",
                node=node.name,
            )
        # Without LD_BIND_NOW a function that no library has would be missed when it is called.
        said = node.run("env", "LD_BIND_NOW=1", path, "-h", within=_SECONDS, check=False)
        _check_usage(node, each, said)


def _check_usage(node: Node, replacement: Replacement, said: Result) -> None:
    """Raise `SettingsError` unless the program has printed its usage."""
    about = replacement.about
    printed = said.stdout + said.stderr
    if USAGE[about.program].search(printed) is not None:
        return
    lines = printed.strip().splitlines()
    linker = next((line for line in lines if line.startswith(_RUNTIME_LINKER)), None)
    if linker is not None:
        raise SettingsError(
            f"{about.program} does not load on {node.name} ({about.file}): {linker}",
            advice="build it for the release that the node has, or take an image of the release "
            "that it was built for",
        )
    last = f": {lines[-1]}" if lines else " nothing"
    raise SettingsError(
        f"{about.file} is no {about.program} on {node.name}: asked for its usage (-h) it ended "
        f"with status {said.status} and said{last}",
        advice=f"give a {about.program} that was built for FreeBSD on amd64",
    )


def _install(node: Node, replacements: Sequence[Replacement]) -> None:
    for each in replacements:
        about = each.about
        script = (
            'install -o root -g wheel -m 0555 "$1/$2" "$3/$2" &&\n'
            'fsync "$3/$2"'  # a power cut takes what is not on the disk
        )
        node.sh(script, FOLDER, about.program, PLACE)
        node.note(f"{PLACE}/{about.program} is now {about.file}, SHA-256 {about.sha256}")
