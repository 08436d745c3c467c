"""From a results folder to a `Run`: run.json, junit.xml, gaps.json and each test's evidence."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path

import pydantic

from harness.errors import HarnessError
from harness.lab.base import Gap
from harness.record.entry import Entry
from harness.results import junit
from harness.results.claims import NOBODY_TESTS, TITLES, UNTESTED
from harness.results.old_wording import in_values
from harness.results.run import (
    Case,
    Claim,
    Description,
    EvidenceFile,
    Run,
    Scenario,
    Told,
    Verdict,
)
from harness.results.timeline import timeline

_DESCRIPTION = pydantic.TypeAdapter(Description)
_GAPS = pydantic.TypeAdapter(tuple[Gap, ...])
_ENTRY = pydantic.TypeAdapter(Entry)


def read_run(folder: Path) -> Run:
    """Read the results of one run.

    Raises `HarnessError` when the folder is no run, and when junit.xml or another of its files is
    missing or broken.
    """
    description = read_description(folder)
    seconds, cases = junit.read(folder / "junit.xml")
    scenarios = tuple(_scenario(folder, case) for case in cases)
    return Run(
        name=folder.resolve().name,
        description=description,
        seconds=seconds,
        scenarios=scenarios,
        claims=tuple(_claim(number, scenarios) for number in TITLES),
        labs=tuple(_labs(folder)),
        gaps=_gaps(folder),
    )


def read_description(folder: Path) -> Description:
    """Read run.json: where the results come from. Raises `HarnessError`."""
    path = folder / "run.json"
    if not folder.exists():
        raise HarnessError(
            f"there is no folder {folder}: no run has left results there",
            advice="`skunk run` makes one, and so does `make demo`; or name the folder of a run",
        )
    if not path.is_file():
        raise HarnessError(
            f"{folder} is not the results folder of a run: it has no run.json",
            advice="give a folder under results/; a run whose lab did not start leaves no run.json",
        )
    try:
        about = _DESCRIPTION.validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise _broken(path, error) from error
    if about.started.tzinfo is None:
        return dataclasses.replace(about, started=about.started.replace(tzinfo=UTC))
    return about


def _gaps(folder: Path) -> tuple[Gap, ...] | None:
    path = folder / "gaps.json"
    if not path.is_file():
        return None
    try:
        return _GAPS.validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: pydantic.ValidationError) -> HarnessError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return HarnessError(
        f"{path} cannot be read: {f'{where}: ' if where else ''}{first['msg']}",
        advice="it was cut off or edited: run the scenarios again with `skunk run`",
    )


def _scenario(folder: Path, case: Case) -> Scenario:
    anchor = re.sub(r"[^A-Za-z0-9]+", "-", case.folder).strip("-").lower()
    return Scenario(case, _told(folder, case.folder), anchor)


def _labs(folder: Path) -> Iterator[tuple[str, Told]]:
    """The start of the lab, of each pair where several ran side by side (lab/PAIR)."""
    parts = sorted(path.parent.name for path in folder.glob("lab/*/transcript.jsonl"))
    if not parts or (folder / "lab" / "transcript.jsonl").is_file():
        yield "", _told(folder, "lab")
    for part in parts:
        yield part, _told(folder, f"lab/{part}")


def _claim(number: int, scenarios: Iterable[Scenario]) -> Claim:
    its = tuple(scenario for scenario in scenarios if number in scenario.case.claims)
    verdict = Verdict.worst(scenario.case.verdict for scenario in its if number not in NOBODY_TESTS)
    return Claim(number, TITLES[number], verdict, its, UNTESTED.get(number, ""))


def read_entries(folder: Path) -> tuple[list[Entry], int]:
    """The transcript in the folder of a scenario, and how many of its lines cannot be read."""
    entries: list[Entry] = []
    unreadable = 0
    for line in _lines(folder / "transcript.jsonl"):
        try:
            entry = _ENTRY.validate_json(line)
        except pydantic.ValidationError:
            unreadable += 1
            continue
        if entry.at.tzinfo is None or not 0 <= entry.duration < math.inf:
            unreadable += 1
        else:
            entries.append(in_values(entry))
    return entries, unreadable


def _told(run: Path, name: str) -> Told:
    folder = run / name
    entries, unreadable = read_entries(folder)
    return Told(
        transcript=tuple(entries),
        timeline=timeline(entries) if entries else None,
        files=_files(run, folder),
        unreadable=unreadable,
    )


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.is_file() else []


def _files(run: Path, folder: Path) -> tuple[tuple[str, tuple[EvidenceFile, ...]], ...]:
    by_node: dict[str, list[EvidenceFile]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "transcript.jsonl":
            inside = path.relative_to(folder)
            node = "" if len(inside.parts) == 1 else inside.parts[0]
            name = inside.name if not node else "/".join(inside.parts[1:])
            size = path.stat().st_size
            found = EvidenceFile(path.relative_to(run).as_posix(), name, size)
            by_node.setdefault(node, []).append(found)
    return tuple((node, tuple(files)) for node, files in sorted(by_node.items()))
