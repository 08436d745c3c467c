"""One night: night.json, beside the results folders, and what it found otherwise than the last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pydantic
from pydantic import BaseModel, ConfigDict

from harness.errors import HarnessError
from harness.nightly.plan import Lane
from harness.report.run import BAD, Verdict
from harness.results import model
from harness.results.difference import Changed
from harness.results.model import Ended, Results

NAME = "night.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Turn(_Part):
    """What became of one lane. `why` it did not run, or not all of it; "" when it did."""

    lane: str
    may_fail: bool
    run: str | None
    """The name of its results folder."""
    why: str
    ran_before: bool | None
    """Whether it ran the night before, all of it; None when there was none."""


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
    before: dict[str, bool] = {}
    with contextlib.suppress(HarnessError):  # a damaged one is replaced here
        last = load(results)
        before = {turn.lane: turn.why == "" for turn in (last.turns if last else ())}
    night = Night(
        started=started,
        turns=tuple(
            Turn(
                lane=lane.name,
                may_fail=lane.may_fail,
                run=None if folder is None else folder.name,
                why=why,
                ran_before=before.get(lane.name),
            )
            for lane, folder, why in ended
        ),
    )
    new = results / f"{NAME}.new"
    new.write_text(night.model_dump_json(indent=1) + "\n")
    new.replace(results / NAME)
    return night


# --- what is new ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaneNews:
    """One lane: what became of it, what it found, and what of that is new."""

    turn: Turn
    release: str
    bad: tuple[Ended, ...]
    changes: tuple[Changed, ...]
    held: int

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
    def only_better(self) -> bool:
        """Whether nothing is bad, and nothing changed but to the better."""
        return not self.is_bad and all(
            change.now is Verdict.HELD for lane in self._deciding for change in lane.changes
        )


def news(results: Path, night: Night) -> News:
    """What a night tells. Raises `HarnessError` when a results.json is missing or damaged."""
    return News(night, tuple(_lane(results, turn) for turn in night.turns))


def _lane(results: Path, turn: Turn) -> LaneNews:
    if turn.run is None:
        return LaneNews(turn, "", (), (), 0)
    found = model.load(results / turn.run / model.NAME)
    bad = tuple(one for one in found.scenarios if one.verdict in BAD)
    return LaneNews(
        turn=turn,
        release=found.run.release,
        bad=bad,
        changes=_changes(found, bad),
        held=found.counts.get(Verdict.HELD, 0),
    )


def _changes(found: Results, bad: Iterable[Ended]) -> tuple[Changed, ...]:
    """Verdicts that changed, and what is bad without having been there before."""
    other = found.difference
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
