"""A night in words: the title and the text of the issue, the comment, and what cron mails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.nightly.night import LaneNews, News
from harness.results.difference import Changed
from harness.results.model import Ended
from harness.results.summary import code, plain

LARGEST = 60_000
"""Characters. GitHub takes 65,536 in an issue or a comment."""

_MOST = 40
"""Scenarios told of one lane; its report has them all."""


def title(news: News) -> str:
    """What an issue is called: which lanes are bad, or that verdicts changed."""
    bad = [lane for lane in news.lanes if lane.is_bad and not lane.turn.may_fail]
    if not bad:
        return "Nightly: verdicts changed"
    return f"Nightly: not everything holds on {', '.join(lane.turn.lane for lane in bad)}"


def state(news: News, link: str | None = None) -> str:
    """How things stand after a night: the text of the issue, which each change rewrites."""
    return _cut("\n".join([*_table(news, link), "", *_bad(news), "", *_new(news)]))


def changes(news: News, link: str | None = None) -> str:
    """What is new this night: a comment, or a mail."""
    return _cut("\n".join([*_new(news), "", *_table(news, link)]))


def _table(news: News, link: str | None) -> Iterator[str]:
    night = f"{news.night.started:%Y-%m-%d %H:%M} UTC"
    yield f"Night of {night}: {link}" if link else f"Night of {night}."
    yield ""
    yield "| | FreeBSD | held | do not hold | |"
    yield "| --- | --- | --- | --- | --- |"
    for lane in news.lanes:
        about = ["a model, nothing about FreeBSD"] if lane.turn.lane == "simulated" else []
        about += ["may fail"] if lane.turn.may_fail else []
        about += [f"**{plain(lane.turn.why)}**"] if lane.turn.why else []
        yield (
            f"| {lane.turn.lane} | {plain(lane.release)} | {lane.held} | {len(lane.bad)} "
            f"| {', '.join(about)} |"
        )


def _bad(news: News) -> Iterator[str]:
    yield "### What does not hold"
    yield ""
    if not any(lane.bad for lane in news.lanes):
        yield "All that ran holds."
    for lane in news.lanes:
        yield from (_scenario(lane, one) for one in lane.bad[:_MOST])
        yield from _more(lane.bad)


def _new(news: News) -> Iterator[str]:
    yield "### What is new"
    yield ""
    if not any(lane.changed for lane in news.lanes):
        yield "Nothing: every verdict is that of the night before."
    for lane in news.lanes:
        if lane.stopped_running:
            yield f"- {lane.turn.lane} **did not run**: {plain(lane.turn.why)}"
        if lane.runs_again:
            yield f"- {lane.turn.lane} runs again"
        yield from (_change(lane, one) for one in lane.changes[:_MOST])
        yield from _more(lane.changes)


def _scenario(lane: LaneNews, one: Ended) -> str:
    why = one.failures[0].message.partition("\n")[0] if one.failures else one.reason
    return f"- {lane.turn.lane}: `{code(one.scenario)}` **{one.verdict}**: {plain(why)}"


def _change(lane: LaneNews, change: Changed) -> str:
    why = f": {plain(change.reason)}" if change.reason else ""
    return (
        f"- {lane.turn.lane}: `{code(change.id)}` {change.before} before, now **{change.now}**{why}"
    )


def _more(told: Sequence[object]) -> Iterator[str]:
    if len(told) > _MOST:
        yield f"- and {len(told) - _MOST} more"


def _cut(text: str) -> str:
    if len(text) <= LARGEST:
        return text + "\n"
    return f"{text[:LARGEST].rpartition(chr(10))[0]}\n\nCut off here; the report has it all.\n"
