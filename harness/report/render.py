"""From a `Run` to one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from harness.errors import HarnessError
from harness.report.drawing import NARROW, WIDE, draw, seconds
from harness.report.read import read_run
from harness.report.run import Run, Verdict
from harness.report.timeline import Span, Timeline
from harness.transcript import Entry

NAME = "report.html"

_LONGEST_OUTPUT = 4_000
_LONGEST_TRANSCRIPT = 60_000
"""Characters. What is left out is in the folder; the report says so and links to it."""

_LAST_FEW = 4
"""Entries of the transcript shown with a failure."""

_BUG = re.compile(r"\bbug (\d{4,7})\b")
_CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}


def write_report(folder: Path) -> Path:
    """Write report.html into the results folder of a run, and return its path.

    Raises `HarnessError` when the folder is no run, is broken, or cannot be written to.
    """
    run = read_run(folder)
    path = folder / NAME
    try:
        path.write_bytes(render(run).encode("utf-8", "replace"))
    except OSError as error:
        raise HarnessError(
            f"the report cannot be written: {error}",
            advice="copy the folder to a place where you may write, and report on the copy",
        ) from error
    return path


def render(run: Run) -> str:
    """The report as HTML. Everything that a node printed is escaped by the templates."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "seconds": seconds,
        "at": lambda at: f"{at:.1f} s",
        "since": lambda at, began: f"{(at - began).total_seconds():.2f}",
        "rows": _rows,
        "last_few": lambda entries: entries[-_LAST_FEW:],
        "bytes": _size,
        "href": quote,
        "title": _title,
        "bugs": _link_bugs,
        "share": lambda part: f"{part:.1%}",
        "verdict_class": lambda verdict: verdict.replace(" ", "-"),
        "wide": lambda timeline: draw(timeline, WIDE),
        "narrow": lambda timeline: draw(timeline, NARROW),
        "shortened": _shortened,
    }
    troubles = [s for s in run.scenarios if s.case.failures or s.case.verdict is Verdict.KNOWN_BUG]
    return environment.get_template("report.html.j2").render(
        run=run, summary=summary(run), lead=_lead(run), troubles=troubles
    )


def summary(run: Run) -> str:
    """The verdicts in words: 8 scenarios held, 1 failed."""
    words = {
        Verdict.HELD: "held",
        Verdict.FAILED: "failed",
        Verdict.BROKE: "broke",
        Verdict.KNOWN_BUG: "met a known bug",
        Verdict.SKIPPED: "skipped",
    }
    counts = run.counts
    told = [(counts[verdict], text) for verdict, text in words.items() if verdict in counts]
    if not told:
        return "No scenario ran."
    (count, text), *others = told
    first = f"{count} scenario{'' if count == 1 else 's'} {text}"
    return ", ".join([first, *(f"{count} {text}" for count, text in others)]) + "."


def _lead(run: Run) -> tuple[str, ...]:
    """Which lab and release: the first line of every report."""
    about = run.description
    return (
        f"{about.lab} lab",
        about.hypervisor,
        about.acceleration,
        f"{'a model of ' if run.simulated else ''}FreeBSD {about.release}",
        *([f"seed {about.seed}"] if about.seed is not None else []),
        *([f"BROKEN ON PURPOSE: {about.mutation}"] if about.mutation is not None else []),
        _date(run),
    )


def _date(run: Run) -> str:
    started = run.description.started
    return f"{started.day} {started:%B %Y, %H:%M} {started.tzname() or ''}".strip()


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _rows(timeline: Timeline) -> list[tuple[Span, str]]:
    """Every state of a timeline with where it was, by the time at which it began."""
    rows = [(span, "replication") for span in timeline.replication]
    rows += [(span, "wait") for span in timeline.waits]
    for track in timeline.tracks:
        rows += [(span, track.node) for span in track.roles]
        rows += [(span, f"pool on {track.node}") for span in track.pools]
    return sorted(rows, key=lambda row: row[0].start)


def _title(name: str) -> str:
    """`test_reboot_after_export[none]` as `Reboot after export [none]`."""
    words = re.sub(r"\[", " [", name.removeprefix("test_"), count=1)
    head, bracket, rest = words.partition("[")
    head = head.replace("_", " ")
    return head[:1].upper() + head[1:] + bracket + rest


def _link_bugs(text: str) -> Markup:
    """The text, with FreeBSD's bug numbers as links to its bug tracker."""
    return Markup(  # noqa: S704 - the text is escaped, and a number needs no escaping
        _BUG.sub(
            r'<a href="https://bugs.freebsd.org/bugzilla/show_bug.cgi?id=\1">bug \1</a>',
            str(escape(_printable(text))),
        )
    )


def _printable(value: object) -> object:
    """Control characters as the signs that Unicode has for them: HTML allows none."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return value.translate(_CONTROL)


def _shortened(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Each entry with as much of its output as the report keeps."""
    room = _LONGEST_TRANSCRIPT
    kept: list[tuple[Entry, str]] = []
    for entry in entries:
        output = entry.stdout + "".join(f"err {line}\n" for line in entry.stderr.splitlines())
        longest = min(_LONGEST_OUTPUT, max(room, 0))
        if len(output) > longest:
            left_out = len(output) - longest
            output = f"{output[:longest]}\n... {left_out:,} more characters in transcript.txt\n"
        room -= len(output) + len(entry.text)
        kept.append((entry, output))
        if room < 0 and len(kept) < len(entries):
            break
    return kept
