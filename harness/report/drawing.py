"""Where the things of a timeline go on paper: percent across, pixels down.

Across everything is in percent of whatever width the reader's window leaves, so that text keeps its
size on a phone; only how many labels and marks fit side by side depends on a rough width.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.words import seconds

if TYPE_CHECKING:
    from harness.results.timeline import Curve, NodeTrack, Span, Timeline, Write

Point = TypeVar("Point")

WIDE, NARROW = 960, 300
"""Pixels: roughly what a desktop and a phone leave for a drawing."""

_LETTER = 6.4
_MARK = 17
_ROW = 18
_CURVE = 40
_WRITES = 44
_MOST_DOTS = 40
_MOST_WRITES = 200
_SEEN = 0.02
"""A write so much quicker than the slowest is not to be seen beside it."""

_MOST_ROWS = 4
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


@dataclass(frozen=True)
class Bar:
    """A state on the axis; `label` is empty where it would not fit."""

    x: float
    y: float
    width: float
    height: float
    state: str
    label: str
    title: str


@dataclass(frozen=True)
class Dot:
    """A numbered mark, with a line down to `y_to`: to its node's bar, a fault's through it."""

    x: float
    y: float
    y_to: float
    number: int
    kind: str
    title: str


@dataclass(frozen=True)
class Line:
    """A curve from `x` on, `width` wide, both in percent; its paths are in a box of 1000 by 100."""

    x: float
    y: float
    width: float
    height: float
    path: str
    area: str
    dots: tuple[tuple[float, float], ...]
    """Where somebody asked: percent across, pixels down."""

    title: str


@dataclass(frozen=True)
class Stall:
    """A write from when it was issued to when it was acknowledged, and as high as that took.

    `state` is write, or never for one that never was acknowledged; `label` is empty where it would
    not fit.
    """

    x: float
    y: float
    width: float
    height: float
    state: str
    label: str
    title: str


@dataclass(frozen=True)
class Tick:
    """A time on the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Heading:
    """What a row is, above it on the left."""

    y: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """Everything to draw, back to front: ticks, bars, marks."""

    height: float
    axis: float
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    dots: tuple[Dot, ...]
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    stalls: tuple[Stall, ...] = ()
    ground: float = 0.0
    """Where the writes stand."""

    issued: str = ""
    """A path with a stroke for each of them, in a box of 1000 by 4."""


def size(value: float) -> str:
    """Bytes as a person reads them: 0 bytes, 4.1 kB, 186 MB."""
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def draw(timeline: Timeline, width: int) -> Drawing:
    """Lay a timeline out for a window of about `width` pixels."""
    return _Painter(timeline, width).drawing()


class _Painter:
    def __init__(self, timeline: Timeline, width: int) -> None:
        self._timeline = timeline
        self._whole = max(timeline.seconds, 1e-6)
        self._width = width
        self._y = 0.0
        self._bars: list[Bar] = []
        self._dots: list[Dot] = []
        self._headings: list[Heading] = []
        self._lines: list[Line] = []
        self._stalls: list[Stall] = []
        self._ground = 0.0
        self._issued = ""

    def drawing(self) -> Drawing:
        first, *others = self._timeline.tracks
        self._node(first, ("pair", first.node))
        self._heading("replication, as the primary tells it")
        self._thin(self._timeline.replication)
        self._curves(self._timeline.curves)
        for track in others:
            self._node(track, (track.node,))
        self._writes(self._timeline.writes)
        if self._timeline.waits:
            self._heading("waits")
            for row in _apart(self._timeline.waits):
                self._thin(row)
        self._y += 6
        return Drawing(
            height=self._y + 20,
            axis=self._y,
            ticks=_ticks(self._whole, self._width),
            bars=tuple(self._bars),
            dots=tuple(self._dots),
            headings=tuple(self._headings),
            lines=tuple(self._lines),
            stalls=tuple(self._stalls),
            ground=self._ground,
            issued=self._issued,
        )

    def _percent(self, at: float) -> float:
        return round(100 * at / self._whole, 2)

    def _heading(self, text: str) -> None:
        self._y += 14
        self._headings.append(Heading(self._y, text))
        self._y += 5

    def _node(self, track: NodeTrack, nodes: tuple[str, ...]) -> None:
        self._heading(track.node)
        top = self._y
        marks = [
            (number, mark)
            for number, mark in enumerate(self._timeline.marks, 1)
            if mark.node in nodes
        ]
        rows = _rows([self._percent(mark.at) for _, mark in marks], 100 * _MARK / self._width)
        used = max(rows, default=-1) + 1
        bar = top + used * _ROW
        for (number, mark), row in zip(marks, rows, strict=True):
            x, y = self._percent(mark.at), top + row * _ROW + 8
            end = bar + 30 if mark.kind == "fault" else bar
            self._dots.append(Dot(x, y, end, number, mark.kind, mark.text))
        self._y = bar
        self._spans(track.roles, 22)
        self._y += 23
        self._spans(track.pools, 8, prefix="pool ", labels=False)
        self._y += 10

    def _thin(self, spans: Sequence[Span]) -> None:
        self._spans(spans, 16)
        self._y += 18

    def _curves(self, curves: Sequence[Curve]) -> None:
        if not curves:
            return
        most = max(curve.most for curve in curves)
        self._heading(f"to send, as the primary tells it: at most {size(most)}")
        for curve in curves:
            start, end = curve.points[0][0], curve.points[-1][0]
            whole = max(end - start, 1e-6)
            points = [
                f"{1000 * (at - start) / whole:.0f},{100 - 98 * dirty / most:.1f}"
                for at, dirty in curve.points
            ]
            path = "M" + " ".join(points)
            title = f"to send, {curve.node}: " + ", ".join(
                f"{size(dirty)} at {seconds(at)}" for at, dirty in fewer(curve.points, 12)
            )
            x = self._percent(start)
            width = max(self._percent(end) - x, 0.3)
            area = f"{path} 1000,100 0,100Z" if len(points) > 1 else ""
            dots = tuple(
                (self._percent(at), round(self._y + _CURVE * (1 - 0.98 * dirty / most), 1))
                for at, dirty in fewer(curve.points, _MOST_DOTS)
            )
            self._lines.append(Line(x, self._y, width, _CURVE, path, area, dots, title))
        self._y += _CURVE + 2

    def _writes(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        took = [write.took for write in writes if write.took is not None]
        most = max(took, default=0.0)
        self._heading("writes: " + acknowledged(writes))
        top, self._y = self._y, self._y + _WRITES
        self._ground = self._y
        self._issued = "".join(
            f"M{at}V4" for at in dict.fromkeys(f"{10 * self._percent(w.at):.0f},0" for w in writes)
        )
        slowest = sorted((w for w in writes if w.took is not None), key=_took)[-_MOST_WRITES:]
        seen = {write for write in slowest if _took(write) >= _SEEN * most}
        for write in writes:
            if write.took is not None and write not in seen:
                continue
            x = self._percent(write.at)
            lasts = write.took if write.took is not None else self._whole - write.at
            width = max(self._percent(write.at + lasts) - x, 0.15)
            height = _WRITES if write.took is None else max(_WRITES * write.took / (most or 1), 1)
            said = "never" if write.took is None else seconds(write.took)
            wide = len(said) * _LETTER <= width * self._width / 100 - 6
            self._stalls.append(
                Stall(
                    x=x,
                    y=round(top + _WRITES - height, 1),
                    width=round(width, 2),
                    height=round(height, 1),
                    state="never" if write.took is None else "write",
                    label=said if wide and height >= 14 else "",
                    title=f"written at {seconds(write.at)}, "
                    + (
                        f"acknowledged after {said}" if write.took is not None else "never answered"
                    ),
                )
            )
        self._y += 4

    def _spans(
        self, spans: Iterable[Span], height: float, *, prefix: str = "", labels: bool = True
    ) -> None:
        for span in spans:
            x = self._percent(span.start)
            width = max(self._percent(span.end) - x, 0.3)
            room = width * self._width / 100 - 12
            fits = labels and len(span.label) * _LETTER <= room
            lasted = f"{seconds(span.start)} to {seconds(span.end)}"
            title = f"{prefix}{span.label}, {lasted}"
            label = span.label if fits else ""
            self._bars.append(Bar(x, self._y, width, height, _slug(span.state), label, title))


def acknowledged(writes: Sequence[Write]) -> str:
    """How soon they were: 34 acknowledged, half within 12 ms, the slowest after 20.1 s."""
    took = [write.took for write in writes if write.took is not None]
    never = len(writes) - len(took)
    text = f"{len(took)} acknowledged"
    if len(took) == 1:
        text += f" after {seconds(took[0])}"
    elif took:
        text += f", half within {seconds(statistics.median(took))}"
        text += f", the slowest after {seconds(max(took))}"
    return text + (f", {never} never" if never else "")


def _took(write: Write) -> float:
    return write.took or 0.0


def fewer(points: Sequence[Point], most: int) -> Sequence[Point]:
    """At most so many of the points, evenly chosen, with the first and the last of them."""
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def _slug(state: str) -> str:
    return state.replace(" ", "-")


def _apart(spans: Iterable[Span]) -> list[list[Span]]:
    """The spans in as few rows as it takes that none lies over another."""
    rows: list[list[Span]] = []
    for span in spans:
        row = next((row for row in rows if row[-1].end <= span.start), None)
        if row is None:
            rows.append([span])
        else:
            row.append(span)
    return rows


def _rows(positions: Sequence[float], apart: float) -> list[int]:
    """A row for each mark, the lowest in which it does not touch the one before it."""
    ends: list[float] = []
    rows: list[int] = []
    for x in positions:
        free = [row for row, end in enumerate(ends) if x - end >= apart]
        if free:
            row = free[0]
        elif len(ends) < _MOST_ROWS:
            row = len(ends)
            ends.append(x)
        else:
            row = ends.index(min(ends))
        ends[row] = x
        rows.append(row)
    return rows


def _ticks(whole: float, width: int) -> tuple[Tick, ...]:
    """Round times, as many as fit, with units where they are not seconds."""
    most = max(2, width // 90)
    scale = 1.0
    while whole < scale:
        scale /= 1000
    step = next((s * scale for s in _STEPS if whole / (s * scale) <= most), whole / most)
    count = int(whole / step)
    return tuple(
        Tick(round(100 * index * step / whole, 2), _clock(index * step))
        for index in range(count + 1)
        if 100 * index * step / whole <= 96
    )


def _clock(at: float) -> str:
    if at == 0:
        return "0"
    if at < 0.9995:
        return f"{at * 1000:.0f} ms"
    if at < 120:
        return f"{at:.0f} s"
    return f"{int(at) // 60}:{int(at) % 60:02d} min"
