"""From what the shards of a night left to one results folder for each lane."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness.errors import HarnessError
from harness.nightly import night
from harness.nightly.night import Night
from harness.nightly.plan import Lane, Plan
from harness.record.folders import made
from harness.report.publish import publish
from harness.results.read import read_description
from harness.results.results_json import NAME as RESULTS

_SMALL = frozenset({"run.json", "junit.xml", "gaps.json", RESULTS, "summary.md"})
"""What a run needs to be compared with later ones."""


def collect(
    plan: Plan, parts: Path, results: Path, *, allow_empty: bool = False
) -> tuple[Night, list[str]]:
    """Make one run of the shards of each lane that lie anywhere in `parts`, and publish it.

    The runs go into the folder `results`, where earlier nights are. Returns the night, and what
    could not be done, for a person. Raises `HarnessError` when there is no such folder, and, with
    nothing written, when no run of any lane is in it; with `allow_empty` that is a night, too.
    """
    if not parts.is_dir():
        raise HarnessError(
            f"there is no folder {parts}", advice="name the one that has the shards' results"
        )
    started = datetime.now(UTC)
    found = runs_in(parts)
    of_lanes = {
        lane: [path for path, (lab, release) in found.items() if lane.had(lab, release)]
        for lane in plan.lanes()
    }
    ended: list[tuple[Lane, Path | None, str]] = []
    warnings: list[str] = []
    if not any(of_lanes.values()):
        warnings.append(f"there is no run of any lane in {parts}")
        if not allow_empty:
            raise HarnessError(
                warnings[0],
                advice="name the folder that has the shards' results; --allow-empty makes a night "
                "of it in which no runner left any",
            )
    made(results)
    for lane, its in of_lanes.items():
        if not its:
            ended.append((lane, None, "no runner left results"))
            continue
        folder = results / f"{started:%Y-%m-%dT%H-%M-%S}-{lane.name}"
        merge(its, folder)
        warnings += publish(folder, remember=True).warnings
        few = len(its) < lane.shards
        ended.append((lane, folder, f"{len(its)} of {lane.shards} shards ran" if few else ""))
    return night.write(results, started, ended), warnings


def runs_in(parts: Path) -> dict[Path, tuple[str, str]]:
    """Every run in a tree of folders: lab and release by its folder, in the order of their names.

    A run that was killed has no junit.xml, and one with a mutation says nothing of FreeBSD.
    """
    found = {}
    for path in sorted(parts.rglob("run.json")):
        folder = path.parent
        if folder.parent.name == "lab" or folder.is_symlink():
            continue
        if not (folder / "junit.xml").is_file():
            continue
        try:
            about = read_description(folder)
        except HarnessError:
            continue
        if about.mutation is None:
            found[folder] = (about.lab, about.release)
    return found


def merge(parts: Sequence[Path], into: Path) -> None:
    """Make one run of several parts of it: their scenarios, evidence and gaps.

    Raises `HarnessError` when a junit.xml is damaged.
    """
    into.mkdir(parents=True)
    _merge_junit([part / "junit.xml" for part in parts], into / "junit.xml")
    runs = [json.loads((part / "run.json").read_text()) for part in parts]
    first: dict[str, Any] = min(runs, key=lambda run: datetime.fromisoformat(run["started"]))
    pairs = sum(int(run.get("pairs", 1)) for run in runs)
    _write_json(into / "run.json", first | {"pairs": pairs})
    gaps = [json.loads(path.read_text()) for part in parts if (path := part / "gaps.json").exists()]
    if gaps:
        unique = {tuple(sorted(gap.items())): gap for each in gaps for gap in each}
        _write_json(into / "gaps.json", list(unique.values()))
    for number, part in enumerate(parts, start=1):
        for path in part.iterdir():
            if path.name == "lab":
                _copy_lab(path, into / "lab", f"shard-{number}")
            elif path.is_dir():
                shutil.copytree(path, into / path.name, dirs_exist_ok=True)
            elif path.name.endswith(".tar.gz"):
                shutil.copy2(path, into / path.name)


def _copy_lab(lab: Path, into: Path, part: str) -> None:
    """The start of each pair, under a name of its own: a shard may have had several pairs."""
    pairs = sorted(path.parent for path in lab.glob("*/transcript.jsonl"))
    if not pairs:
        shutil.copytree(lab, into / part)
    for pair in pairs:
        shutil.copytree(pair, into / f"{part}-{pair.name}")


def _merge_junit(paths: Sequence[Path], into: Path) -> None:
    merged = ElementTree.Element("testsuites", name="pytest tests")
    for path in paths:
        try:
            root = ElementTree.parse(path).getroot()  # noqa: S314 - our own pytest wrote it
        except ElementTree.ParseError as error:
            raise HarnessError(
                f"{path} cannot be read: {error}",
                advice="it was cut off; leave that part out and collect again",
            ) from None
        merged.extend(root.iter("testsuite"))
    ElementTree.ElementTree(merged).write(into, encoding="utf-8", xml_declaration=True)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def prune(results: Path, *, keep: int, keep_evidence: int) -> None:
    """Keep the newest `keep` runs of each lab and release, and the evidence of `keep_evidence`."""
    kinds: dict[tuple[str, str], list[Path]] = {}
    for path in results.glob("*/run.json"):
        folder = path.parent
        if folder.is_symlink():
            continue
        try:
            about = read_description(folder)
        except HarnessError:
            continue
        kinds.setdefault((about.lab, about.release), []).append(folder)
    for folders in kinds.values():
        newest = sorted(folders, key=lambda folder: read_description(folder).started, reverse=True)
        for folder in newest[keep_evidence:keep]:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in _SMALL:
                    path.unlink()
        for folder in newest[keep:]:
            shutil.rmtree(folder)
