"""What one run found otherwise than another: verdicts that changed, and times."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from harness.results.results_json import Changed, Difference, Ended, Results, Time
from harness.results.run import BAD, SILENT, Verdict

SLOWER = 1.25
"""A time has changed when it is this many times longer or shorter, and"""

SECONDS = 2.0
"""when it differs by at least so many seconds."""


_IN_TIME = frozenset({Verdict.HELD, Verdict.FIXED_HERE})
"""The verdicts whose times can be compared."""


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
        release=before.run.system,
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
        if before.verdict is not now.verdict or now.verdict not in _IN_TIME:
            continue  # a failure takes as long as its deadline
        was, took = (one.lab_seconds or 0.0 if simulated else one.seconds for one in (before, now))
        time = Time(id=now.scenario, before=round(was, 3), now=round(took, 3))
        if abs(took - was) >= SECONDS and _ratio(time) >= SLOWER:
            yield time


def _ratio(time: Time) -> float:
    low, high = sorted((max(time.before, 1e-3), max(time.now, 1e-3)))
    return high / low
