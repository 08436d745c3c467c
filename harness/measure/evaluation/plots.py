"""The plots of a benchmark, as SVG: readable in light and dark, on paper and on a phone.

matplotlib draws them. Text stays text, so a reader can search and a screen reader can read it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.measure.evaluation.fit import FitError, Model
from harness.measure.evaluation.resync_model import fitted, is_plain
from harness.measure.result import Bench, Failover, Resync

BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a8a8a"
"""Okabe and Ito's, which people who see fewer colours can tell apart; not the pale ones."""

_STEPS = {
    "pool exported": BLUE,
    "noticed by hastd": PINK,
    "device there": ORANGE,
    "pool imported": GREEN,
}
_OTHER_STEPS = "all other steps"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hast",  # the same figures give the same file
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "savefig.transparent": True,
}


def draw(bench: Bench, folder: Path) -> list[Path]:
    """Draw what the results allow into a folder; return the files, the most telling first."""
    with mpl.rc_context(_STYLE):
        return [path for path in _drawn(bench, folder) if path is not None]


def _drawn(bench: Bench, folder: Path) -> Iterator[Path | None]:
    complete = [resync for resync in bench.resyncs if resync.complete]
    yield _sizes(bench, folder / "resync-by-size.svg")
    yield _curves(complete, folder / "resync-curves.svg")
    yield _factors(complete, folder / "resync-factors.svg")
    yield _failovers(bench.failovers, folder / "failover.svg")
    yield _writes(bench, folder / "writes.svg")


def _save(figure: Figure, path: Path, title: str) -> Path:
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    figure.savefig(path, format="svg", metadata={"Date": None, "Title": title})
    return path


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _curves(resyncs: Sequence[Resync], path: Path) -> Path | None:
    """What is left to send over time, one line for each plain full resync."""
    plain = [resync for resync in resyncs if len(resync.samples) > 2 and is_plain(resync)]
    if not plain:
        return None
    figure, axes = _new(7, 3.6)
    for resync in plain:
        axes.plot(
            [sample.at_s for sample in resync.samples],
            [sample.dirty_bytes / (1 << 20) for sample in resync.samples],
            marker="o",
            markersize=2.5,
            linewidth=1,
            color=BLUE,
            alpha=0.7,
        )
    axes.set_xlabel("seconds since the first sample")
    axes.set_ylabel("MiB left to send")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    return _save(figure, path, "Full resyncs, sample by sample")


def _sizes(bench: Bench, path: Path) -> Path | None:
    """Seconds by size, with the fitted model and its interval."""
    try:
        model: Model = fitted(bench)
    except FitError:
        return None
    figure, axes = _new(7, 4)
    largest = 4 * model.largest
    sizes = [largest * step / 60 for step in range(1, 61)]
    trip, rate = model.usual_link
    estimates = [model.predict(round(size), trip, rate) for size in sizes]
    mib = [size / (1 << 20) for size in sizes]
    axes.fill_between(
        mib,
        [estimate.low for estimate in estimates],
        [estimate.high for estimate in estimates],
        color=BLUE,
        alpha=0.2,
        linewidth=0,
        label="19 of 20 resyncs",
    )
    axes.plot(mib, [e.seconds for e in estimates], color=BLUE, linewidth=1.2, label="the model")
    axes.plot(
        [point.size / (1 << 20) for point in model.points],
        [point.seconds for point in model.points],
        linestyle="none",
        marker="o",
        markersize=4,
        color=ORANGE,
        label="measured",
    )
    axes.axvline(model.largest / (1 << 20), color=GREY, linewidth=0.8, linestyle=":")
    axes.annotate(
        " largest measured",
        (model.largest / (1 << 20), axes.get_ylim()[1]),
        va="top",
        fontsize=8,
    )
    axes.set_xlabel("MiB to send")
    axes.set_ylabel("seconds")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    return _save(figure, path, "A resync by what it sends")


def _factors(resyncs: Sequence[Resync], path: Path) -> Path | None:
    """The rate under each condition: every repeat as a dot, the median as a line."""
    rates: dict[str, list[float]] = defaultdict(list)
    for resync in resyncs:
        if resync.rate_bytes_per_s is not None:
            rates[resync.conditions.label].append(resync.rate_bytes_per_s / 1e6)
    if len(rates) < 2:
        return None
    labels = sorted(rates, key=lambda label: sorted(rates[label])[len(rates[label]) // 2])
    figure, axes = _new(8, 0.8 + 0.27 * len(labels))
    for row, label in enumerate(labels):
        values = sorted(rates[label])
        axes.plot(values, [row] * len(values), "o", color=BLUE, markersize=4, alpha=0.7)
        axes.plot([values[len(values) // 2]] * 2, [row - 0.35, row + 0.35], color=ORANGE)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("MB/s (each dot a resync, the bar the median)")
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=GREY, alpha=0.2)
    return _save(figure, path, "What a resync's rate depends on")


def _failovers(failovers: Sequence[Failover], path: Path) -> Path | None:
    """Each failover as a bar of its steps."""
    if not failovers:
        return None
    rows = sorted(failovers, key=lambda each: each.label)
    figure, axes = _new(8, 1.2 + 0.26 * len(rows))
    for row, failover in enumerate(rows):
        before = 0.0
        for event in failover.events:
            colour = _STEPS.get(event.what, GREY)
            axes.barh(row, event.at_s - before, left=before, color=colour, height=0.7)
            before = event.at_s
    axes.set_yticks(range(len(rows)), [failover.label for failover in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds without service")
    legend = {**_STEPS, _OTHER_STEPS: GREY}
    handles = [Patch(color=colour, label=what) for what, colour in legend.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8)
    return _save(figure, path, "From the fault to the first acknowledged write")


def _writes(bench: Bench, path: Path) -> Path | None:
    """Latencies of synced writes as boxes: median, quartiles, 5th and 95th percentile."""
    if not bench.writes:
        return None
    latencies: dict[str, list[float]] = defaultdict(list)
    for cost in bench.writes:
        latencies[cost.setting] += [latency * 1000 for latency in cost.latencies_s]
    figure, axes = _new(7, 0.9 + 0.45 * len(latencies))
    axes.boxplot(
        list(latencies.values()),
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        tick_labels=list(latencies),
        medianprops={"color": ORANGE},
        boxprops={"color": BLUE},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("milliseconds for one write (whiskers: 5th and 95th percentile)")
    return _save(figure, path, "What a synced write costs")
