"""The figures of a benchmark as tables, for the terminal, for Markdown and for the page."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.measure.figures import figures, grouped
from harness.measure.fit import FitError, Model
from harness.measure.model import fitted
from harness.measure.plan import parse_size
from harness.measure.result import Bench, Failover, Resync, WriteCost
from harness.measure.statistics import Summary, compare, summarise

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
    measured: list[Resync | Failover | WriteCost] = [
        *bench.resyncs,
        *bench.failovers,
        *bench.writes,
    ]
    noise = [each.noise.other for each in measured]
    loud = f"; others used {max(noise):.0%} of it at most" if noise else ""
    return (
        f"{mark}FreeBSD {where.release}, {where.lab} lab, {where.hypervisor}, "
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


def interval(summary: Summary, scale: float = 1.0) -> str:
    """Median and interval in plain figures."""
    middle = f"{summary.median / scale:.3g}"
    if summary.low is None or summary.high is None:
        return middle
    return f"{middle} ({summary.low / scale:.3g} to {summary.high / scale:.3g})"


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
            )
        )
    return Table(
        "Resyncs",
        ("what", "n", "seconds", "MB/s", "slowest tenth, MB/s", "CPU"),
        tuple(rows),
        "Medians, with the interval that holds the median 19 times of 20. MB are 1e6 bytes. The "
        "slowest tenth is of the rates between two samples. CPU is the busy share of the primary's "
        "and the secondary's processors.",
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
                size,
                seconds(estimate.seconds),
                f"{seconds(estimate.low)} to {seconds(estimate.high)}",
                f"{parse_size(size) / model.largest:.0f} x",
            )
        )
    return Table(
        "What a full resync will take here",
        ("to send", "expected", "19 times of 20", "of the largest measured"),
        tuple(rows),
        model_in_words(model),
    )


def model_in_words(model: Model) -> str:
    """The fitted model as a formula with its error."""
    trips = "" if model.trips is None else f" + {model.trips:.2f} round trips"
    return (
        f"Seconds = {model.start:.3g} + MiB x ({model.work * 1000:.3g} ms{trips}), fitted to "
        f"{len(model.points)} resyncs; none is off by more than {model.error:.1%}. The rate of a "
        f"long resync is {model.rate / 1e6:.3g} MB/s."
    )


def _agreement(bench: Bench) -> Table | None:
    """Our own seconds beside the time between hastd's two log lines."""
    pairs = [
        (resync.seconds_s, resync.hastd.seconds_s, _longest_gap(resync), resync.bytes, resync.hastd)
        for resync in bench.resyncs
        if resync.complete and not resync.by_hastd and resync.seconds_s and resync.hastd
    ]
    if not pairs:
        return None
    off = [abs(ours - theirs) for ours, theirs, *_ in pairs]
    within = sum(abs(ours - theirs) <= max(gap, 0.01 * theirs) for ours, theirs, gap, *_ in pairs)
    rates = [
        abs((size or 0) / ours / (says.about_bytes / says.seconds_s) - 1)
        for ours, _, _, size, says in pairs
    ]
    return Table(
        "Against hastd's own log",
        ("sampled resyncs", "within 1 % or a sample", "furthest off", "rates differ by"),
        (
            (
                str(len(pairs)),
                str(within),
                f"{max(off):.2f} s",
                f"{np.median(rates):.2%}, {max(rates):.2%} at most",
            ),
        ),
        "Our seconds are between two samples; hastd's are between its lines `Synchronization "
        "started` and `Synchronization complete`.",
    )


def _longest_gap(resync: Resync) -> float:
    times = [sample.at_s for sample in resync.samples]
    return max((b - a for a, b in itertools.pairwise(times)), default=0.0)


def _sampling(bench: Bench) -> Table | None:
    """What samples cost: hastd's own seconds for the same row with and without them."""
    sampled, plain = [], []
    for resync in bench.resyncs:
        if not resync.complete or resync.hastd is None or resync.set_name:
            continue
        if resync.conditions.sampling_s is None:
            plain.append(resync)
        else:
            sampled.append(resync)
    rows = []
    for without in _by_label(plain, lambda each: each.label).values():
        same = without[0].label
        with_them = [
            each
            for each in sampled
            if each.conditions.model_copy(update={"sampling_s": None}).label == same
        ]
        if not with_them:
            continue
        a = [each.hastd.seconds_s for each in without if each.hastd]
        b = [each.hastd.seconds_s for each in with_them if each.hastd]
        every = with_them[0].conditions.sampling_s
        rows.append(
            (
                with_them[0].label,
                f"{every:g} s",
                f"{float(np.median(a)):.3g} s",
                f"{float(np.median(b)):.3g} s",
                f"{float(np.median(b)) / float(np.median(a)) - 1:+.2%}",
                str(compare(a, b)),
            )
        )
    return Table(
        "What samples cost",
        ("what", "one every", "without", "with", "difference", "which says"),
        tuple(rows),
        "By hastd's own seconds.",
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
        "acknowledges.",
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
        "One write after the other to the device itself.",
    )


def _compared(bench: Bench) -> Table | None:
    """A and B, each row with what the repeats say."""
    if not bench.compared:
        return None
    return Table(
        f"A: {bench.compared['A'].description}; B: {bench.compared['B'].description}",
        ("what", "A", "B", "B is"),
        tuple(_comparisons(bench)),
        "Seconds, medians of the repeats. A and B took turns; p is of a permutation test.",
    )


def _comparisons(bench: Bench) -> Iterator[tuple[str, ...]]:
    values = [figure for figure in figures(bench) if figure.unit == "s"]
    a, b = grouped(values, "A"), grouped(values, "B")
    for key in a:
        both = a[key], b.get(key, [])
        if not both[1] or min(*both[0], *both[1]) <= 0:
            continue
        paired = len(both[0]) == len(both[1])
        yield (
            f"{key[0]}: {key[1]}",
            *(f"{float(np.median(each)):.3g}" for each in both),
            str(compare(*both, paired=paired)),
        )
