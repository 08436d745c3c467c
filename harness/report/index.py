"""All runs of a folder of results on one page, the newest first: index.html, one file.

A run is one line: when, on what, how its scenarios ended, and a link to its report. A folder that
is broken is a line too, with what is wrong with it, and takes no other run with it.
"""

from __future__ import annotations

import functools
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from harness.config.software import system_of
from harness.errors import HarnessError
from harness.record.outgoing import printable, without_secrets
from harness.report.signs import SIGNS
from harness.results import fields
from harness.results.run import BAD, Verdict, headline
from harness.words import seconds

NAME = "index.html"

_FOLDER = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2})-([0-9]{2})-([0-9]{2})")
"""How the folder of a run is called (harness/run/evidence.py)."""


@dataclass(frozen=True)
class Line:
    """One run of the page. `report` is relative to the page, "" where there is none.

    `trouble` says what could not be read; then the counts are empty.
    """

    name: str
    started: datetime | None
    lab: str = ""
    release: str = ""
    words: str = ""
    counts: Mapping[Verdict, int] | None = None
    lasted: float | None = None
    pairs: int = 1
    mutation: str = ""
    report: str = ""
    trouble: str = ""

    @property
    def kind(self) -> str:
        """Good, bad, or odd: neither all held nor did something fail."""
        if self.trouble or self.counts is None:
            return "odd"
        if any(self.counts.get(verdict) for verdict in BAD):
            return "bad"
        return (
            "good"
            if self.counts.keys() <= {Verdict.HELD, Verdict.FIXED_HERE, Verdict.SKIPPED}
            else "odd"
        )


def write(folder: Path) -> Path:
    """Write index.html into a folder of results, and return its path.

    Another run may write it at this moment, so it is replaced in one step. Raises `HarnessError`
    when there is no such folder or nothing can be written there.
    """
    path = folder / NAME
    if not folder.exists():
        raise HarnessError(
            f"there is no folder {folder}: no run has left results there",
            advice="`skunk run` makes it, and so does `make demo`; or name the folder of all runs",
        )
    if not folder.is_dir():
        raise HarnessError(
            f"{folder} is a file, and not the folder of all runs",
            advice="name the folder that has theirs: results, by default",
        )
    try:
        text = without_secrets(page(folder))
        with tempfile.TemporaryDirectory(prefix=".index-", dir=folder) as beside:
            new = Path(beside) / NAME
            new.write_text(text, encoding="utf-8", errors="replace")
            new.replace(path)
    except OSError as error:
        raise HarnessError(
            f"{path} cannot be written: {error.strerror or error}",
            advice="give the folder that holds the results of the runs, one you may write to",
        ) from error
    return path


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters |= {
        "seconds": seconds,
        "href": quote,
        "sign": SIGNS.__getitem__,
        "verdict_class": lambda verdict: verdict.replace(" ", "-"),
    }
    return environment


def page(folder: Path) -> str:
    """The page as HTML. Raises `OSError` when the folder cannot be read."""
    found = lines(folder)
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            lines=found,
            labs=sorted({line.lab for line in found if line.lab}),
            kinds={
                kind: sum(line.kind == kind for line in found) for kind in ("bad", "odd", "good")
            },
            folder=folder.resolve().name,
            made=datetime.now(UTC),
        )
    )


def lines(folder: Path) -> list[Line]:
    """Every run in the folder, the newest first. Raises `OSError` when it cannot be read."""
    found = list(_lines(folder))
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda line: (line.started or never, line.name), reverse=True)


def _lines(folder: Path) -> Iterator[Line]:
    for each in os.scandir(folder):
        if each.is_symlink() or not each.is_dir():
            continue
        path = Path(each.path)
        name, started = each.name, _from_name(each.name)
        try:
            if (path / fields.RESULTS).is_file():
                yield _line(path, fields.read(path / fields.RESULTS))
            elif (path / fields.DESCRIPTION).is_file():
                yield _without_results(path, fields.read(path / fields.DESCRIPTION))
            elif started is not None:
                yield Line(name, started, trouble="It left no run.json: its lab did not start.")
        except fields.UNREADABLE as error:
            yield Line(name, started, trouble=f"It cannot be read: {fields.why(error)}")


def _line(path: Path, results: dict[str, Any]) -> Line:
    run = results["run"]
    counts = {Verdict(word): int(count) for word, count in results["counts"].items()}
    return Line(
        name=path.name,
        started=fields.when(run["started"]),
        lab=str(run["lab"]),
        release=system_of(run),
        words=headline(str(run.get("ended_early") or ""), counts),
        counts={verdict: counts[verdict] for verdict in Verdict if counts.get(verdict)},
        lasted=_seconds(run["seconds"]),
        pairs=int(run.get("pairs", 1)),
        mutation=str(run.get("mutation") or ""),
        report=f"{quote(path.name)}/{fields.REPORT}" if (path / fields.REPORT).is_file() else "",
    )


def _without_results(path: Path, about: dict[str, Any]) -> Line:
    """A run that was killed, or that is under way: what it began with."""
    return Line(
        name=path.name,
        started=fields.when(about["started"]),
        lab=str(about["lab"]),
        release=system_of(about),
        mutation=str(about.get("mutation") or ""),
        report=f"{quote(path.name)}/{fields.REPORT}" if (path / fields.REPORT).is_file() else "",
        trouble="It has no results yet: it is under way, or was killed before its end. "
        "skunk report FOLDER makes them if it left a junit.xml.",
    )


def _seconds(value: object) -> float:
    found = float(value) if isinstance(value, (int, float)) else math.nan
    if not 0 <= found < 1e9:
        raise ValueError(f"{value!r} is no duration in seconds")
    return found


def _from_name(name: str) -> datetime | None:
    found = _FOLDER.match(name)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}:{found[3]}:{found[4]}+00:00")
    except ValueError:
        return None
