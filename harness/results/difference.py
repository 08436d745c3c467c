"""What one run found otherwise than another: verdicts that changed, and times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from harness.results.run import BAD, SILENT, Verdict

if TYPE_CHECKING:
    from harness.results.results_json import Ended, Results

SLOWER = 1.25
"""A time has changed when it is this many times longer or shorter, and"""

SECONDS = 2.0
"""when it differs by at least so many seconds."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Changed(_Part):
    """A scenario that ended otherwise; `reason` is the first line of why, if it is bad now."""

    id: str
    before: Verdict
    now: Verdict
    reason: str = ""


class Time(_Part):
    """A scenario that held in both runs and took longer or shorter, in seconds."""

    id: str
    before: float
    now: float


class Difference(_Part):
    """This run beside an earlier one, scenario by scenario.

    One that was repeated counts once, with its worst verdict and its mean time.
    """

    name: str = Field(description="The results folder of the other run.")
    started: datetime
    release: str
    harness: str
    compared: int = Field(description="How many scenarios both runs had.")
    new_failures: tuple[Changed, ...] = Field(description="Failed or broke, and did not before.")
    fixed: tuple[Changed, ...] = Field(description="Failed or broke before, and do not now.")
    changed: tuple[Changed, ...] = Field(description="Other verdicts that changed.")
    added: tuple[str, ...] = Field(description="Only this run had them.")
    missing: tuple[str, ...] = Field(description="Only the other run had them.")
    times: tuple[Time, ...] = Field(
        description="Whose time changed, the most first; on the simulated lab the nodes' time. "
        "None when another number of pairs shared the host's processors."
    )

    @property
    def verdicts(self) -> tuple[Changed, ...]:
        """Every verdict that changed, the new failures first."""
        return (*self.new_failures, *self.fixed, *self.changed)


def difference(now: Results, before: Results) -> Difference:
    """Compare two runs."""
    earlier, later = _scenarios(before), _scenarios(now)
    both = [(earlier[name], one) for name, one in later.items() if name in earlier]
    other = [pair for pair in both if pair[0].verdict is not pair[1].verdict]
    new = [pair for pair in other if _is_bad(pair[1]) and not _is_bad(pair[0])]
    fixed = [pair for pair in other if _is_bad(pair[0]) and _is_good(pair[1])]
    return Difference(
        name=before.run.name,
        started=before.run.started,
        release=before.run.release,
        harness=before.run.harness,
        compared=len(both),
        new_failures=tuple(_changed(*pair) for pair in new),
        fixed=tuple(_changed(*pair) for pair in fixed),
        changed=tuple(_changed(*pair) for pair in other if pair not in new and pair not in fixed),
        added=tuple(name for name in later if name not in earlier),
        missing=tuple(name for name in earlier if name not in later),
        times=tuple(sorted(_times(both, now.run.simulated), key=_ratio, reverse=True))
        if now.run.pairs == before.run.pairs
        else (),
    )


def _scenarios(results: Results) -> dict[str, Ended]:
    found: dict[str, list[Ended]] = {}
    for one in results.scenarios:
        if one.verdict is not Verdict.NOT_RUN:  # a run that ended early says nothing of it
            found.setdefault(one.scenario, []).append(one)
    return {name: _together(repeats) for name, repeats in found.items()}


def _together(repeats: list[Ended]) -> Ended:
    worst = Verdict.worst(one.verdict for one in repeats)
    one = next(one for one in repeats if one.verdict is worst)
    seconds = fmean(one.seconds for one in repeats)
    lab_seconds = fmean(one.lab_seconds or 0.0 for one in repeats)
    return one.model_copy(update={"seconds": seconds, "lab_seconds": lab_seconds})


def _is_bad(ended: Ended) -> bool:
    return ended.verdict in BAD


def _is_good(ended: Ended) -> bool:
    return ended.verdict not in BAD | SILENT


def _changed(before: Ended, now: Ended) -> Changed:
    why = now.failures[0].message.partition("\n")[0] if now.failures else now.reason
    return Changed(id=now.scenario, before=before.verdict, now=now.verdict, reason=why)


def _times(both: list[tuple[Ended, Ended]], simulated: bool) -> Iterator[Time]:
    for before, now in both:
        if not before.verdict is now.verdict is Verdict.HELD:
            continue  # a failure takes as long as its deadline
        was, took = (one.lab_seconds or 0.0 if simulated else one.seconds for one in (before, now))
        time = Time(id=now.scenario, before=round(was, 3), now=round(took, 3))
        if abs(took - was) >= SECONDS and _ratio(time) >= SLOWER:
            yield time


def _ratio(time: Time) -> float:
    low, high = sorted((max(time.before, 1e-3), max(time.now, 1e-3)))
    return high / low
