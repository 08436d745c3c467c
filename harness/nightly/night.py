"""One night, in night.json beside the results: how things stand, since when, and what is new."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pydantic
from pydantic import BaseModel, ConfigDict

from harness.errors import HarnessError
from harness.nightly.plan import Lane
from harness.report.render import NAME as REPORT
from harness.results import results_json as model
from harness.results.results_json import Changed, Ended, Results
from harness.results.run import BAD, Verdict

NAME = "night.json"

_TOLD = BAD | {Verdict.GAP}
"""The verdicts that a night tells of until they are gone: a scenario with a gap has none."""

_GOOD = frozenset({Verdict.HELD, Verdict.KNOWN_BUG})
"""The verdicts that end a failure; one that was left out says nothing."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Standing(_Part):
    """A scenario that does not hold, since which night, and for how many nights in a row."""

    scenario: str
    verdict: Verdict
    why: str
    since: datetime
    nights: int
    ran: bool = True
    """Whether it ran this night; if not, it stands as the last night that ran it left it."""


class Turn(_Part):
    """What became of one lane. `why` it did not run, or not all of it; "" when it did."""

    lane: str
    may_fail: bool
    run: str | None
    """The name of its results folder."""
    why: str
    ran_before: bool | None
    """Whether it ran the night before, all of it; None when there was none."""
    bad: tuple[Standing, ...] = ()
    """What does not hold."""
    down_since: datetime | None = None
    """The first of the nights in a row in which it did not run, or not all of it."""


class Night(_Part):
    """All lanes of a night."""

    started: datetime
    turns: tuple[Turn, ...]

    @property
    def name(self) -> str:
        """By which a night is known to who is told of it."""
        return f"{self.started.astimezone(UTC):%Y-%m-%dT%H-%M-%S}"


def load(results: Path) -> Night | None:
    """The last night in a folder of results; None: there was none. Raises `HarnessError`."""
    path = results / NAME
    if not path.is_file():
        return None
    try:
        return Night.model_validate_json(path.read_bytes())
    except (pydantic.ValidationError, OSError) as error:
        raise HarnessError(
            f"{path} cannot be read: {error}", advice="move it away: a new one is begun"
        ) from None


def write(
    results: Path, started: datetime, ended: Iterable[tuple[Lane, Path | None, str]]
) -> Night:
    """Write down a night: each lane with its results folder and why it did not run, or ""."""
    before: dict[str, Turn] = {}
    with contextlib.suppress(HarnessError):  # a damaged one is replaced here
        last = load(results)
        before = {turn.lane: turn for turn in (last.turns if last else ())}
    night = Night(
        started=started,
        turns=tuple(
            _turn(lane, folder, why, started, before.get(lane.name)) for lane, folder, why in ended
        ),
    )
    new = results / f"{NAME}.new"
    new.write_text(night.model_dump_json(indent=1) + "\n")
    new.replace(results / NAME)
    return night


def _turn(
    lane: Lane, folder: Path | None, why: str, started: datetime, before: Turn | None
) -> Turn:
    found: Results | None = None
    if folder is not None:
        try:
            found = model.load(folder / model.NAME)
        except HarnessError as error:
            folder, why = None, f"its results cannot be read: {error.what}"
    down_before = before is not None and before.why != ""
    return Turn(
        lane=lane.name,
        may_fail=lane.may_fail,
        run=None if folder is None else folder.name,
        why=why,
        ran_before=None if before is None else not down_before,
        bad=tuple(_standing(found, before.bad if before else (), started, whole=not why)),
        down_since=None if not why else (before.down_since if before else None) or started,
    )


def _standing(
    found: Results | None, before: Iterable[Standing], started: datetime, *, whole: bool
) -> Iterator[Standing]:
    """What does not hold: what was bad this night, and what was bad and did not run since.

    Of a lane that ran as a `whole`, what is not there any more was taken out by somebody.
    """
    stood = {one.scenario: one for one in before}
    ended: dict[str, Ended] = {}
    for one in () if found is None else found.scenarios:
        other = ended.get(one.scenario)  # of one that was repeated the worst counts
        if other is None or Verdict.worst((one.verdict, other.verdict)) is not other.verdict:
            ended[one.scenario] = one
    for name, one in ended.items():
        old = stood.get(name)
        if one.verdict in _TOLD:
            yield Standing(
                scenario=name,
                verdict=one.verdict,
                why=_why(one),
                since=old.since if old else started,
                nights=old.nights + 1 if old else 1,
            )
        elif old is not None and one.verdict not in _GOOD:
            yield old.model_copy(update={"ran": False, "nights": old.nights + 1})
    if not whole:
        for name, old in stood.items():
            if name not in ended:
                yield old.model_copy(update={"ran": False, "nights": old.nights + 1})


# --- what is new ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaneNews:
    """One lane: what became of it, what it found, and what of that is new."""

    night: datetime
    turn: Turn
    release: str
    changes: tuple[Changed, ...]
    counts: Mapping[Verdict, int]
    """Scenarios of each verdict, this night."""
    report: Path | None
    """Its report; None when it left none."""

    @property
    def bad(self) -> tuple[Standing, ...]:
        """What does not hold, what is new first."""
        return tuple(sorted(self.turn.bad, key=lambda one: (one.nights, one.scenario)))

    @property
    def failed(self) -> bool:
        """Whether FreeBSD did not do what a scenario claims, this night."""
        return any(one.ran and one.verdict is Verdict.FAILED for one in self.turn.bad)

    @property
    def is_bad(self) -> bool:
        """Whether something does not hold, or did not run."""
        return bool(self.bad or self.turn.why)

    @property
    def stopped_running(self) -> bool:
        """Whether it ran the night before, and not this night."""
        return bool(self.turn.why) and self.turn.ran_before is not False

    @property
    def runs_again(self) -> bool:
        """Whether it did not run the night before, and has now."""
        return not self.turn.why and self.turn.ran_before is False

    @property
    def changed(self) -> bool:
        """Whether anything is otherwise than the night before."""
        return bool(self.changes) or self.stopped_running or self.runs_again


@dataclass(frozen=True)
class News:
    """What a night tells. Lanes that may fail are shown, and decide nothing."""

    night: Night
    lanes: tuple[LaneNews, ...]

    @property
    def _deciding(self) -> list[LaneNews]:
        return [lane for lane in self.lanes if not lane.turn.may_fail]

    @property
    def changed(self) -> bool:
        """Whether a verdict changed, or a lane stopped or began to run."""
        return any(lane.changed for lane in self._deciding)

    @property
    def is_bad(self) -> bool:
        """Whether something does not hold, or did not run."""
        return any(lane.is_bad for lane in self._deciding)

    @property
    def failed(self) -> bool:
        """Whether FreeBSD did not do what a scenario claims, this night."""
        return any(lane.failed for lane in self._deciding)

    @property
    def only_better(self) -> bool:
        """Whether nothing is bad, and nothing changed but to the better."""
        return not self.is_bad and all(
            change.now is Verdict.HELD for lane in self._deciding for change in lane.changes
        )


def news(results: Path, night: Night) -> News:
    """What a night tells. Raises `HarnessError` when a results.json is missing or damaged."""
    return News(night, tuple(_lane(results, night.started, turn) for turn in night.turns))


def _lane(results: Path, night: datetime, turn: Turn) -> LaneNews:
    if turn.run is None:
        return LaneNews(night, turn, "", (), {}, None)
    folder = results / turn.run
    found = model.load(folder / model.NAME)
    report = folder / REPORT
    return LaneNews(
        night=night,
        turn=turn,
        release=found.run.release,
        changes=_changes(found),
        counts=found.counts,
        report=report.absolute() if report.is_file() else None,
    )


def _changes(found: Results) -> tuple[Changed, ...]:
    """Verdicts that changed, and what is bad without having been there before."""
    other = found.difference
    bad = [one for one in found.scenarios if one.verdict in _TOLD]
    new = {one.scenario: one for one in bad if other is None or one.scenario in other.added}
    return (
        *(() if other is None else other.verdicts),
        *(
            Changed(id=one.scenario, before=Verdict.NOT_TESTED, now=one.verdict, reason=_why(one))
            for one in new.values()
        ),
    )


def _why(ended: Ended) -> str:
    return ended.failures[0].message.partition("\n")[0] if ended.failures else ended.reason
