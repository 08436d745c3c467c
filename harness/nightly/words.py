"""A night in words: the issue on GitHub as Markdown, and what cron mails as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.lab.choose import is_model
from harness.nightly.night import Change, LaneNews, News, Standing
from harness.report.summary import code, plain
from harness.results.run import Verdict

LARGEST = 60_000
"""Characters. GitHub takes 65,536 in an issue or a comment."""

_MOST = 40
"""Scenarios told of one lane; its report has them all."""

_LONGEST = 300
"""Characters of a node's words in a line of a mail."""

_COLUMNS = {
    "held": Verdict.HELD,
    "known bugs": Verdict.KNOWN_BUG,
    "failed": Verdict.FAILED,
    "broke": Verdict.BROKE,
}


@dataclass(frozen=True)
class _Hand:
    """How one kind of text is written: a heading, a name, emphasis, and a node's own words."""

    heading: Callable[[str], str]
    name: Callable[[str], str]
    strong: Callable[[str], str]
    words: Callable[[str], str]


_MARKDOWN = _Hand(
    heading=lambda text: f"### {text}\n",
    name=lambda text: f"`{code(text)}`",
    strong=lambda text: f"**{text}**",
    words=plain,
)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ... (cut off)"


_MAIL = _Hand(
    heading=lambda text: f"{text}:", name=_one_line, strong=lambda text: text, words=_one_line
)


def title(news: News) -> str:
    """How things stand, in a line: which lanes are bad, or that verdicts changed."""
    bad = [lane.turn.lane for lane in news.lanes if lane.is_bad and not lane.turn.may_fail]
    if bad:
        return f"Nightly: not everything holds on {', '.join(bad)}"
    if news.changed and not news.only_better:
        return "Nightly: verdicts changed"
    return "Nightly: everything holds"


def state(news: News, link: str | None = None) -> str:
    """How things stand after a night: the text of the issue, which each night rewrites."""
    return _cut([*_table(news, link), "", *_bad(news, _MARKDOWN), "", *_new(news, _MARKDOWN)])


def changes(news: News, link: str | None = None) -> str:
    """What is new this night: a comment."""
    return _cut([*_new(news, _MARKDOWN), "", *_table(news, link)])


def mail(news: News) -> str:
    """The night as plain text, for cron's mail: the state first, then what is new."""
    return _cut(
        [
            f"{title(news)}. Night of {news.night.started:%Y-%m-%d %H:%M} UTC.",
            "",
            *_columns(news),
            "",
            *_bad(news, _MAIL),
            "",
            *_new(news, _MAIL),
            "",
            "Reports:",
            *(f"- {lane.turn.lane}: {lane.report or 'none'}" for lane in news.lanes),
        ]
    )


def _columns(news: News) -> Iterator[str]:
    rows = [["", *_COLUMNS, "FreeBSD"], *(_row(lane) for lane in news.lanes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        first, *numbers = (
            f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        yield f"{'  '.join([first, *numbers])}  {row[-1]}".rstrip()


def _row(lane: LaneNews) -> list[str]:
    numbers = ["-" if not lane.counts else str(lane.counts.get(v, 0)) for v in _COLUMNS.values()]
    return [lane.turn.lane, *numbers, "; ".join([lane.release, *_about(lane, _MAIL)]).strip("; ")]


def _table(news: News, link: str | None) -> Iterator[str]:
    night = f"{news.night.started:%Y-%m-%d %H:%M} UTC"
    yield f"Night of {night}: {link}" if link else f"Night of {night}."
    yield ""
    yield f"| | FreeBSD | {' | '.join(_COLUMNS)} | |"
    yield f"| --- | --- |{' --- |' * len(_COLUMNS)} --- |"
    for lane in news.lanes:
        numbers = " | ".join(str(lane.counts.get(v, 0)) for v in _COLUMNS.values())
        yield (
            f"| {lane.turn.lane} | {plain(lane.release)} | {numbers} "
            f"| {', '.join(_about(lane, _MARKDOWN))} |"
        )


def _about(lane: LaneNews, hand: _Hand) -> Iterator[str]:
    if is_model(lane.turn.lane):
        yield "a model, nothing about FreeBSD"
    if lane.turn.may_fail:
        yield "may fail"
    others = {
        verdict: count
        for verdict, count in lane.counts.items()
        if count and verdict not in _COLUMNS.values()
    }
    for verdict, count in others.items():
        yield f"{count} {verdict}"
    if lane.turn.why:
        since = lane.turn.down_since
        first = since is None or since == lane.night
        yield hand.strong(hand.words(lane.turn.why)) + (
            "" if first else f", since {since:%Y-%m-%d}"
        )


def _bad(news: News, hand: _Hand) -> Iterator[str]:
    yield hand.heading("What does not hold")
    if not any(lane.bad for lane in news.lanes):
        yield "All that ran holds."
    for lane in news.lanes:
        for one in lane.bad[:_MOST]:
            yield from _standing(lane, one, hand)
        yield from _more(lane.bad)


def _standing(lane: LaneNews, one: Standing, hand: _Hand) -> Iterator[str]:
    since = (
        "new tonight"
        if one.nights == 1
        else f"since {one.since:%Y-%m-%d}, {one.nights} nights in a row"
    )
    if not one.ran:
        since += "; did not run tonight"
    name = hand.name(one.scenario)
    yield f"- {lane.turn.lane}: {name} {hand.strong(str(one.verdict))}, {since}"
    if one.why:
        yield f"  {hand.words(one.why)}"


def _new(news: News, hand: _Hand) -> Iterator[str]:
    yield hand.heading("What is new")
    if not any(lane.changed for lane in news.lanes):
        yield "Nothing: every verdict is that of the night before."
    for lane in news.lanes:
        if lane.stopped_running:
            yield (f"- {lane.turn.lane} {hand.strong('did not run')}: {hand.words(lane.turn.why)}")
        if lane.runs_again:
            yield f"- {lane.turn.lane} runs again"
        for change in lane.changes[:_MOST]:
            yield from _change(lane, change, hand)
        yield from _more(lane.changes)


def _change(lane: LaneNews, change: Change, hand: _Hand) -> Iterator[str]:
    yield (
        f"- {lane.turn.lane}: {hand.name(change.id)} {change.before} before, "
        f"now {hand.strong(str(change.now))}"
    )
    if change.reason:
        yield f"  {hand.words(change.reason)}"


def _more(told: Sequence[object]) -> Iterator[str]:
    if len(told) > _MOST:
        yield f"- and {len(told) - _MOST} more"


def _cut(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    if len(text) <= LARGEST:
        return text + "\n"
    return f"{text[:LARGEST].rpartition(chr(10))[0]}\n\nCut off here; the report has it all.\n"
