"""From a `Run` to one HTML page that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from harness.config.software import in_words
from harness.freebsd import bug_number
from harness.record.entry import Entry
from harness.record.outgoing import printable
from harness.report.drawing import NARROW, WIDE, acknowledged, draw, fewer, size
from harness.report.signs import SIGNS
from harness.results.causes import by_cause, cause
from harness.results.claims import NOBODY_TESTS
from harness.results.run import BAD, Claim, Run, Scenario, Verdict
from harness.results.timeline import Span, Timeline, Write
from harness.words import seconds

if TYPE_CHECKING:
    from harness.results.past.history import Past
    from harness.results.results_json import Difference

_LONGEST_OUTPUT = 4_000
_LONGEST_TRANSCRIPT = 60_000
"""Characters. What is left out is in the folder; the report says so and links to it."""

_LAST_FEW = 4
_FEW_LINES = 12
"""Entries of the transcript shown with a failure, and lines of what each of them printed."""

_MOST_POINTS = 24
"""Of a curve, in the table."""

_MOST_WRITES = 8
"""Of the writes of a ledger, in the table."""

_CODE = re.compile(r"`([^`]+)`")


@functools.cache
def _environment() -> jinja2.Environment:
    """The templates, compiled once a process: that takes longer than to fill them in."""
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
        "last_few": _last_few,
        "bytes": size,
        "fewer": lambda points: fewer(points, _MOST_POINTS),
        "acknowledged": acknowledged,
        "slowest": _slowest,
        "sign": SIGNS.__getitem__,
        "href": quote,
        "title": _title,
        "paragraphs": _paragraphs,
        "bugs": _link_bugs,
        "share": lambda part: f"{part:.1%}",
        "verdict_class": lambda verdict: verdict.replace(" ", "-"),
        "wide": lambda timeline: draw(timeline, WIDE),
        "narrow": lambda timeline: draw(timeline, NARROW),
        "shortened": _shortened,
    }
    return environment


def render(
    run: Run,
    difference: Difference | None = None,
    pasts: Mapping[str, Past] | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """The report as HTML. Everything that a node printed is escaped by the templates.

    `difference` is to another run, `pasts` are the scenarios' last verdicts by their id, and
    `warnings` say what the report could not be made of.
    """
    causes = by_cause((s for s in run.scenarios if s.case.verdict in BAD), _cause)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            summary=run.headline,
            lead=_lead(run),
            groups=_groups(run),
            causes=causes,
            missing=[s for s in run.scenarios if s.case.verdict is Verdict.NOT_RUN],
            with_gaps=by_cause(
                (s for s in run.scenarios if s.case.verdict is Verdict.GAP),
                lambda scenario: "\n".join(scenario.case.gaps),
            ),
            beyond=Verdict.worst(s.case.verdict for s in run.unclaimed),
            untested=_untested(run),
            unfolded=_unfolded(run, causes),
            bugs=[s for s in run.scenarios if s.case.verdict is Verdict.KNOWN_BUG],
            mended=[s for s in run.scenarios if s.case.verdict is Verdict.FIXED_HERE],
            anchors={s.case.scenario: s.anchor for s in reversed(run.scenarios)},
            difference=difference,
            pasts=pasts or {},
            restless=sorted(
                (past for past in (pasts or {}).values() if past.bad),
                key=lambda past: -(past.flake_rate or 0.0),  # None before its second run
            ),
            warnings=warnings,
        )
    )


def _groups(run: Run) -> list[tuple[Claim | None, list[Scenario]]]:
    """The scenarios under the first claim that each of them tests; None: beyond the field notes."""
    found: list[tuple[Claim | None, list[Scenario]]] = [
        (claim, [s for s in run.scenarios if s.case.claims[:1] == (claim.number,)])
        for claim in run.claims
    ]
    found.append((None, list(run.unclaimed)))
    return [(claim, scenarios) for claim, scenarios in found if scenarios]


def _cause(scenario: Scenario) -> str:
    first = scenario.case.failures[0]
    return f"{scenario.case.verdict}: {cause(first.error, first.headline)}"


def _unfolded(run: Run, causes: Sequence[Sequence[Scenario]]) -> set[str]:
    """The anchors of the scenarios that a reader wants to see at once: one of each cause."""
    odd = (s for s in run.scenarios if s.case.verdict is Verdict.GAP)
    return {s.anchor for s in (*(found[0] for found in causes), *odd)}


def _untested(run: Run) -> list[tuple[str, list[Claim]]]:
    """The claims about which this run says nothing, under words that say why."""
    without = [claim for claim in run.claims if not claim.scenarios]
    by_nobody = [claim for claim in without if claim.number in NOBODY_TESTS]
    not_here = [claim for claim in without if claim not in by_nobody]
    told = [("Not tested in this run", not_here), ("Tested by no scenario yet", by_nobody)]
    return [(words, claims) for words, claims in told if claims]


def _lead(run: Run) -> tuple[str, ...]:
    """Which lab and release: the first line of every report."""
    about = run.description
    return (
        f"{about.lab} lab",
        *(() if run.simulated else (about.hypervisor, about.acceleration)),
        f"{'a model of ' if run.simulated else ''}FreeBSD {about.system}",
        *in_words(about.replaced),
        *([f"seed {about.seed}"] if about.seed is not None else []),
        *([f"BROKEN ON PURPOSE: {about.mutation}"] if about.mutation is not None else []),
        _date(run),
    )


def _date(run: Run) -> str:
    started = run.description.started
    return f"{started.day} {started:%B %Y, %H:%M} {started.tzname() or ''}".strip()


def _rows(timeline: Timeline) -> list[tuple[Span, str]]:
    """Every state of a timeline with where it was, by the time at which it began."""
    rows = [(span, "replication") for span in timeline.replication]
    rows += [(span, "wait") for span in timeline.waits]
    for track in timeline.tracks:
        rows += [(span, track.node) for span in track.roles]
        rows += [(span, f"pool on {track.node}") for span in track.pools]
    return sorted(rows, key=lambda row: row[0].start)


def _slowest(writes: Sequence[Write]) -> list[Write]:
    """Those that took longest to be acknowledged, or never were, in the order of their times."""
    never = float("inf")
    by_time = sorted(writes, key=lambda write: write.took if write.took is not None else never)
    return sorted(by_time[-_MOST_WRITES:], key=lambda write: write.at)


def _title(name: str) -> str:
    """`test_reboot_after_export[none]` as `Reboot after export [none]`."""
    words = re.sub(r"\[", " [", name.removeprefix("test_"), count=1)
    head, bracket, rest = words.partition("[")
    head = head.replace("_", " ")
    return head[:1].upper() + head[1:] + bracket + rest


def _paragraphs(text: str) -> list[Markup]:
    """A docstring's paragraphs, with what is between backquotes as code."""
    return [
        Markup(_CODE.sub(r"<code>\1</code>", str(escape(_printable(" ".join(part.split()))))))  # noqa: S704 - escaped
        for part in text.split("\n\n")
        if part.strip()
    ]


def _link_bugs(text: str) -> Markup:
    """The text, with FreeBSD's bug numbers as links to its bug tracker."""
    return Markup(  # noqa: S704 - the text is escaped, and a number needs no escaping
        bug_number.NUMBER.sub(
            r'<a href="https://bugs.freebsd.org/bugzilla/show_bug.cgi?id=\1">bug \1</a>',
            str(escape(_printable(text))),
        )
    )


def _printable(value: object) -> object:
    """Control characters as the signs that Unicode has for them: HTML allows none."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value)


def _last_few(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """The last entries, with the first lines of what each printed."""
    kept = []
    for entry, output in _shortened(entries[-_LAST_FEW:]):
        lines = output.splitlines(keepends=True)
        more = len(lines) - _FEW_LINES
        if more > 1:
            lines[_FEW_LINES:] = [f"... {more} more lines in the transcript\n"]
        kept.append((entry, "".join(lines)))
    return kept


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
