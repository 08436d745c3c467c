"""The figures of a benchmark as tables, for the terminal, for Markdown and for the page."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.config.software import in_words
from harness.errors import SettingsError
from harness.measure.evaluation.figures import Key, differences, figures, grouped
from harness.measure.evaluation.fit import FitError, Model
from harness.measure.evaluation.resync_model import fitted, held_out
from harness.measure.evaluation.statistics import Summary, compare, delay_of_one, summarise
from harness.measure.plan import parse_size, size_in_words
from harness.measure.result import (
    Bench,
    Failover,
    HastdSays,
    Resync,
    ResyncConditions,
    WriteCost,
)

T = TypeVar("T")

MIB = 1 << 20


@dataclass(frozen=True)
class Table:
    """A head line and rows of text; `note` says how to read it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """The table as GitHub shows it."""
        lines = [
            f"### {self.title}",
            "",
            "| " + " | ".join(self.head) + " |",
            "|---|" + "---:|" * (len(self.head) - 1),
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])


def tables(bench: Bench, sizes: Sequence[str] = ()) -> list[Table]:
    """All that the results allow. `sizes` are those to tell the time of a full resync for."""
    found = [
        _compared(bench),
        _resyncs(bench),
        _incomplete(bench),
        _told(bench, sizes),
        _agreement(bench),
        _sampling(bench),
        _failovers(bench),
        _writes(bench),
    ]
    return [table for table in found if table is not None and table.rows]


def what_ran(bench: Bench) -> str:
    """Where the figures come from, in one line."""
    where = bench.where
    mark = "SIMULATED, no evidence about FreeBSD: " if where.simulated else ""
    mark += "UNFINISHED, not all of the plan was measured: " if bench.unfinished else ""
    measured: list[Resync | Failover | WriteCost] = [
        *bench.resyncs,
        *bench.failovers,
        *bench.writes,
    ]
    noise = [each.noise for each in measured]
    loud = f"; others used {max(n.other for n in noise):.0%} of it at most" if noise else ""
    paces = [n.pace_s for n in noise if n.pace_s]
    if paces:
        loud += f", and its own pace varied by {max(paces) / min(paces) - 1:.0%}"
    return (
        f"{mark}FreeBSD {where.system}, {''.join(f'{each}, ' for each in in_words(where.programs))}"
        f"{where.lab} lab, {where.hypervisor}, "
        f"{where.acceleration}, on {where.host_cores} cores of {where.host_cpu}{loud}"
    )


def _by_label(results: Iterable[T], label: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for result in results:
        groups[label(result)].append(result)
    return dict(groups)


def seconds(value: float) -> str:
    """A duration for people: three digits, or minutes and hours."""
    if value < 120:
        return f"{value:.3g} s" if value < 10 else f"{value:.1f} s"
    minutes = value / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


_IN_MS = ("write latency", "failover: one command")

_MEDIANS = (
    "Medians, with the interval that holds the median 19 times of 20; with fewer than six repeats "
    "it is all that was measured, which holds it less often."
)


def interval(summary: Summary, scale: float = 1.0) -> str:
    """Median and interval in plain figures."""
    return _with_interval(summary.median, summary.low, summary.high, scale)


def _with_interval(value: float, low: float | None, high: float | None, scale: float) -> str:
    middle = f"{value / scale:.3g}"
    if low is None or high is None:
        return middle
    return f"{middle} ({low / scale:.3g} to {high / scale:.3g})"


def _resyncs(bench: Bench) -> Table | None:
    rows = []
    complete = [resync for resync in bench.resyncs if resync.complete]
    complete.sort(key=lambda each: (each.label.count(","), each.conditions.size_bytes, each.label))
    for label, group in _by_label(complete, _named).items():
        taken = [resync.seconds_s for resync in group if resync.seconds_s]
        rates = [resync.rate_bytes_per_s for resync in group if resync.rate_bytes_per_s]
        if not taken or not rates:
            continue
        slow = [r.percentile_rates_bytes_per_s["10"] for r in group if r.samples]
        cpus = [(r.primary.cpu, r.secondary.cpu) for r in group if r.primary and r.secondary]
        rows.append(
            (
                label,
                str(len(group)),
                interval(summarise(taken)),
                interval(summarise(rates), 1e6),
                f"{np.median(slow) / 1e6:.3g}" if slow else "",
                " / ".join(f"{np.median(values):.0%}" for values in zip(*cpus, strict=True)),
                f"{max(resync.noise.other for resync in group):.0%}",
            )
        )
    return Table(
        "Resyncs",
        ("what", "n", "seconds", "MB/s", "slowest tenth, MB/s", "CPU", "others"),
        tuple(rows),
        f"{_MEDIANS} MB are 1e6 bytes. The slowest tenth is of the rates between two samples. CPU "
        "is the busy share of the primary's and the secondary's processors; others is what the "
        "host had for others, at most.",
    )


def _named(resync: Resync) -> str:
    return f"{resync.set_name}: {resync.label}" if resync.set_name else resync.label


def _incomplete(bench: Bench) -> Table | None:
    failed = [resync for resync in bench.resyncs if not resync.complete]
    rows = [(_named(resync), str(resync.outcome), resync.why) for resync in failed]
    rows += [(each.what, "not measured", each.why) for each in bench.not_measured]
    counted = Counter(rows)
    return Table(
        "Without a figure",
        ("what", "times", "outcome", "why"),
        tuple((what, str(times), *more) for (what, *more), times in counted.items()),
    )


def _told(bench: Bench, sizes: Sequence[str]) -> Table | None:
    try:
        model = fitted(bench)
    except FitError:
        return None
    trip, rate = model.usual_link
    rows = []
    for size in sizes:
        estimate = model.predict(parse_size(size), trip, rate)
        rows.append(
            (
                size_in_words(size),
                seconds(estimate.seconds),
                f"{seconds(estimate.low)} to {seconds(estimate.high)}",
                f"{parse_size(size) / model.largest:.0f} x",
            )
        )
    return Table(
        "What a full resync will take here",
        ("to send", "expected", "19 times of 20", "of the largest measured"),
        tuple(rows),
        " ".join(filter(None, (model_in_words(model), _held_out_in_words(bench)))),
    )


def answer(bench: Bench, size: str) -> str:
    """How long a full resync of `size` takes on the machines of a benchmark, in a few lines.

    Raises `SettingsError` when too little was measured to tell.
    """
    try:
        model = fitted(bench)
    except FitError as error:
        raise SettingsError(
            f"this benchmark cannot tell: {error}",
            advice="measure full resyncs of two sizes at least: make bench",
        ) from None
    trip, rate = model.usual_link
    found = model.predict(parse_size(size), trip, rate)
    return "\n".join(
        [
            f"{size_in_words(size)}: {seconds(found.seconds)} for a full resync; "
            f"19 times of 20 from {seconds(found.low)} to {seconds(found.high)}.",
            f"That is {parse_size(size) / model.largest:.3g} times the largest that was measured.",
            what_ran(bench),
        ]
    )


def model_in_words(model: Model) -> str:
    """The fitted model as a formula with its error."""
    trips = "" if model.trips is None else f" + {model.trips:.2f} round trips"
    return (
        f"Seconds = {model.start:.3g} + MiB x ({model.work * 1000:.3g} ms{trips}), fitted to "
        f"{len(model.points)} resyncs; none is off by more than {model.error:.1%}. The rate of a "
        f"long resync is {model.rate / 1e6:.3g} MB/s."
    )


def _held_out_in_words(bench: Bench) -> str:
    """How well the smaller resyncs tell of the largest, in a sentence; nothing if they cannot."""
    found = held_out(bench)
    if found is None:
        return ""
    return (
        f"Fitted to those of {found.largest_fitted / MIB:.0f} MiB and less, it tells "
        f"{seconds(found.told.seconds)} ({seconds(found.told.low)} to {seconds(found.told.high)}) "
        f"for {found.size / MIB:.0f} MiB; those took {seconds(found.seconds)} "
        f"(median of {found.n}), so that is off by {found.off:+.1%}."
    )


def _agreement(bench: Bench) -> Table | None:
    """Our own seconds and rate, by the samples, beside those of hastd's log."""
    seen = [found for resync in bench.resyncs if (found := _beside_hastd(resync)) is not None]
    if not seen:
        return None
    return Table(
        "Against hastd's own log",
        (
            "sampled resyncs",
            "seconds within 1 % or a sample",
            "furthest off",
            "rates within 1 % or a sample",
            "rates differ by",
        ),
        (
            (
                str(len(seen)),
                str(sum(each.seconds_agree for each in seen)),
                f"{max(each.seconds_off for each in seen):.2f} s",
                str(sum(each.rates_agree for each in seen)),
                f"{np.median([each.rates_off for each in seen]):.2%}, "
                f"{max(each.rates_off for each in seen):.2%} at most",
            ),
        ),
        "Our seconds are between two samples, our rate is what was dirty at the first by those "
        "seconds; hastd's seconds are between its lines `Synchronization started` and "
        "`Synchronization complete`, its rate is the one that the latter has.",
    )


@dataclass(frozen=True)
class _BesideHastd:
    """A resync by its samples and by hastd; `reach` is how far a sample may be late, in seconds."""

    seconds: float
    rate: float
    reach: float
    hastd: HastdSays

    @property
    def seconds_off(self) -> float:
        return abs(self.seconds - self.hastd.seconds_s)

    @property
    def seconds_agree(self) -> bool:
        return self.seconds_off <= max(self.reach, 0.01 * self.hastd.seconds_s)

    @property
    def rates_off(self) -> float:
        return abs(self.rate / self.hastd.about_bytes_per_s - 1)

    @property
    def rates_agree(self) -> bool:
        return self.rates_off <= max(self.reach / self.seconds, 0.01)


def _beside_hastd(resync: Resync) -> _BesideHastd | None:
    """None where the samples tell no duration: too few, or a load that dirties meanwhile."""
    samples = resync.samples
    if not resync.complete or resync.conditions.load != "none" or resync.hastd is None:
        return None
    if len(samples) < 3:
        return None
    took = samples[-1].at_s
    gap = max(b.at_s - a.at_s for a, b in itertools.pairwise(samples))
    return _BesideHastd(took, samples[0].dirty_bytes / took, gap, resync.hastd)


def _sampling(bench: Bench) -> Table | None:
    """What samples cost: hastd's own seconds for the same row without and with them."""
    groups: dict[ResyncConditions, dict[ResyncConditions, list[Resync]]] = defaultdict(dict)
    for resync in bench.resyncs:
        if resync.complete and resync.hastd is not None and not resync.set_name:
            bare = _measured_nothing(resync.conditions)
            unsampled = bare.model_copy(update={"sampling_s": None, "sampling_named": False})
            groups[unsampled].setdefault(bare, []).append(resync)
    rows: list[tuple[str, ...]] = []
    usual = bench.sampling.every_s if bench.sampling else None
    for unsampled, group in groups.items():
        if unsampled in group:
            for conditions, with_them in group.items():
                if conditions != unsampled:
                    rows.append(_cost(group[unsampled], with_them, usual))
    return Table(
        "What samples cost",
        (
            "a sample every",
            "n",
            "seconds without, with",
            "one delays by, ms",
            "as usual",
            "that is",
        ),
        tuple(rows),
        "By hastd's own seconds, means. `As usual` is what samples at the interval of the other "
        "rows take of a resync's rate, by the delay of one; it shows best where samples are many.",
    )


def _measured_nothing(conditions: ResyncConditions) -> ResyncConditions:
    """The conditions as the plan had them, to tell rows by: without what was measured."""
    link = conditions.link.model_copy(update={"round_trip_s": None, "rate_bytes_per_s": None})
    disk = conditions.disk.model_copy(update={"request_s": None, "read_bytes_per_s": None})
    return conditions.model_copy(update={"link": link, "disk": disk})


def _cost(without: list[Resync], with_them: list[Resync], usual: float | None) -> tuple[str, ...]:
    """A row: how much longer the resyncs with samples took, and what one sample adds."""
    a = [each.hastd.seconds_s for each in without if each.hastd]
    b = [each.hastd.seconds_s for each in with_them if each.hastd]
    delay = delay_of_one(a, b, [max(1, len(each.samples)) for each in with_them])
    one = share = ""
    if delay is not None:
        one = _with_interval(delay.seconds, delay.low, delay.high, 1e-3)
        if usual is not None:
            share = _with_interval(delay.seconds, delay.low, delay.high, usual / 100) + " %"
    return (
        f"{with_them[0].conditions.sampling_s:g} s",
        f"{len(a)}, {len(b)}",
        f"{np.mean(a):.3g}, {np.mean(b):.3g}",
        one,
        share,
        str(compare(a, b)),
    )


def _failovers(bench: Bench) -> Table | None:
    rows = []
    named: Callable[[Failover], str] = lambda each: f"{each.set_name} {each.label}".strip()  # noqa: E731
    for label, group in _by_label(bench.failovers, named).items():
        total = summarise([each.seconds_s for each in group])
        steps = []
        for index, event in enumerate(group[0].events):
            took = [
                each.events[index].at_s - (each.events[index - 1].at_s if index else 0.0)
                for each in group
            ]
            steps.append(f"{event.what} {float(np.median(took)):.2g}")
        rows.append(
            (
                label,
                str(len(group)),
                interval(total),
                f"{total.percentile(90):.3g}",
                ", ".join(steps),
            )
        )
    return Table(
        "Failovers",
        ("what", "n", "seconds without service", "90th percentile", "steps (median seconds each)"),
        tuple(rows),
        "From the fault, or a planned one's first command, to the first write that the other node "
        f"acknowledges. {_MEDIANS}",
    )


def _writes(bench: Bench) -> Table | None:
    rows = []
    named: Callable[[WriteCost], str] = lambda each: f"{each.set_name} {each.setting}".strip()  # noqa: E731
    for setting, group in _by_label(bench.writes, named).items():
        latencies = [value * 1000 for each in group for value in each.latencies_s]
        rows.append(
            (
                setting,
                f"{len(group)} x {len(group[0].latencies_s)}",
                *(f"{np.percentile(latencies, percent):.3g}" for percent in (50, 95, 99)),
                interval(summarise([each.bytes_per_s for each in group]), 1e6),
            )
        )
    size = bench.writes[0].write_bytes if bench.writes else 0
    return Table(
        f"Synced writes of {size} bytes",
        ("setting", "n", "median, ms", "95th percentile, ms", "99th percentile, ms", "MB/s"),
        tuple(rows),
        f"One write after the other to the device itself. {_MEDIANS}",
    )


def _compared(bench: Bench) -> Table | None:
    """A and B, each row with what the repeats say; or why there is nothing to compare."""
    if not bench.compared:
        return None
    boots = (
        " Each was booted once, so that what differs between two boots of the same image is in it."
        if any(each.own_machines for each in bench.compared.values())
        else ""
    )
    rows = tuple(_comparisons(bench))
    return Table(
        f"A: {bench.compared['A'].description}; B: {bench.compared['B'].description}",
        ("what", "A", "B", "B is"),
        rows or (("nothing to compare", "", "", _why_none(bench)),),
        "Medians of the repeats. A and B took turns. p is of a permutation test, "
        "corrected for the number of figures: of the differences told, one in twenty is chance at "
        f"most.{boots}",
    )


def _why_none(bench: Bench) -> str:
    have = {figure.set_name for figure in figures(bench) if figure.unit == "s"}
    without = [name for name in bench.compared if name not in have]
    if without:
        return f"nothing of {' and '.join(without)} has a figure: see `Without a figure`"
    return "A and B have no figure of the same conditions"


def _comparisons(bench: Bench) -> Iterator[tuple[str, ...]]:
    values = list(figures(bench))
    a, b = grouped(values, "A"), grouped(values, "B")
    for key, comparison in differences(a, b, paired=True).items():
        medians = (in_unit(key, float(np.median(each[key]))) for each in (a, b))
        yield (f"{key[0]}: {key[1]}", *medians, str(comparison))


def in_unit(key: Key, value_s: float) -> str:
    """A duration of a figure: latencies of writes and commands in ms, everything else in s."""
    if key[0].startswith(_IN_MS):
        return f"{value_s * 1e3:.3g} ms"
    return f"{value_s:.3g} s"
