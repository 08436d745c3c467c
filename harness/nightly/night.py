"""One night, in night.json beside the results: how things stand, since when, and what is new.

To tell of it again no schema is imported: a person waits for the first line.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.software import system_of
from harness.errors import HarnessError
from harness.results import fields
from harness.results.run import BAD, Verdict

if TYPE_CHECKING:
    from harness.nightly.plan import Lane
    from harness.results.results_json import Ended, Results

NAME = "night.json"

_TOLD = BAD | {Verdict.GAP}
"""The verdicts that a night tells of until they are gone: a scenario with a gap has none."""

_GOOD = frozenset({Verdict.HELD, Verdict.FIXED_HERE, Verdict.KNOWN_BUG})
"""The verdicts that end a failure; one that was left out says nothing."""


@dataclass(frozen=True)
class Standing:
    """A scenario that does not hold, since which night, and for how many nights in a row."""

    scenario: str
    verdict: Verdict
    why: str
    since: datetime
    nights: int
    ran: bool = True
    """Whether it ran this night; if not, it stands as the last night that ran it left it."""

    @classmethod
    def read(cls, told: dict[str, Any]) -> Standing:
        """What night.json has of it. Raises what `fields.UNREADABLE` lists."""
        return cls(
            scenario=str(told["scenario"]),
            verdict=Verdict(told["verdict"]),
            why=str(told["why"]),
            since=fields.when(told["since"]),
            nights=int(told["nights"]),
            ran=bool(told.get("ran", True)),
        )


@dataclass(frozen=True)
class Turn:
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

    @classmethod
    def read(cls, told: dict[str, Any]) -> Turn:
        """What night.json has of it. Raises what `fields.UNREADABLE` lists."""
        run, before, since = told["run"], told["ran_before"], told.get("down_since")
        return cls(
            lane=str(told["lane"]),
            may_fail=bool(told["may_fail"]),
            run=None if run is None else str(run),
            why=str(told["why"]),
            ran_before=None if before is None else bool(before),
            bad=tuple(Standing.read(one) for one in told.get("bad", ())),
            down_since=None if since is None else fields.when(since),
        )


@dataclass(frozen=True)
class Night:
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
        told = fields.read(path)
        return Night(
            started=fields.when(told["started"]),
            turns=tuple(Turn.read(turn) for turn in told["turns"]),
        )
    except fields.UNREADABLE as error:
        raise HarnessError(
            f"{path} cannot be read: {fields.why(error)}",
            advice="move it away: a new one is begun",
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
    new.write_text(json.dumps(asdict(night), indent=1, default=datetime.isoformat) + "\n")
    new.replace(results / NAME)
    return night


def _turn(
    lane: Lane, folder: Path | None, why: str, started: datetime, before: Turn | None
) -> Turn:
    from harness.results import results_json as model  # noqa: PLC0415 - who reads a night has none

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
            yield replace(old, ran=False, nights=old.nights + 1)
    if not whole:
        for name, old in stood.items():
            if name not in ended:
                yield replace(old, ran=False, nights=old.nights + 1)


# --- what is new ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """A scenario that ended otherwise than before; `reason` is why, in a line, if it is bad now."""

    id: str
    before: Verdict
    now: Verdict
    reason: str


@dataclass(frozen=True)
class LaneNews:
    """One lane: what became of it, what it found, and what of that is new."""

    night: datetime
    turn: Turn
    release: str
    changes: tuple[Change, ...]
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
    path = folder / fields.RESULTS
    try:
        found = fields.read(path)
        release, changes = system_of(found["run"]), tuple(_changes(found))
        counts = {Verdict(word): int(count) for word, count in found["counts"].items()}
    except fields.UNREADABLE as error:
        raise HarnessError(
            f"{path} cannot be read: {fields.why(error)}",
            advice=f"make it anew from the rest of its folder: skunk report {folder}",
        ) from None
    report = folder / fields.REPORT
    return LaneNews(
        night=night,
        turn=turn,
        release=release,
        changes=changes,
        counts=counts,
        report=report.absolute() if report.is_file() else None,
    )


def _changes(found: dict[str, Any]) -> Iterator[Change]:
    """Verdicts that changed, and what is bad without having been there before, of a results.json.

    Raises what `fields.UNREADABLE` lists.
    """
    other = found["difference"]
    if other is not None:
        for one in (*other["new_failures"], *other["fixed"], *other["changed"]):
            before, now = Verdict(one["before"]), Verdict(one["now"])
            yield Change(str(one["id"]), before, now, str(one.get("reason", "")))
    new: dict[str, Change] = {}
    for one in found["scenarios"]:
        name, now = str(one["scenario"]), Verdict(one["verdict"])
        if now in _TOLD and (other is None or name in other["added"]):
            first = next(iter(one["failures"]), None)
            why = one["reason"] if first is None else first["message"].partition("\n")[0]
            new[name] = Change(name, Verdict.NOT_TESTED, now, str(why))
    yield from new.values()


def _why(ended: Ended) -> str:
    return ended.failures[0].message.partition("\n")[0] if ended.failures else ended.reason
