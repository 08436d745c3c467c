"""What a transcript says happened when: roles, pools, replication, faults and waits on one axis.

Everything here is derived from what the nodes printed and what the harness did to them. Between two
looks a state is taken to have lasted; what nobody looked at is left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.errors import UnrecognisedOutput
from harness.freebsd import zpool
from harness.freebsd.hast import hastctl as hast
from harness.record.entry import PROVISIONED, SET_UP, Did, Effect, Entry, Kind

UNKNOWN = "unknown"
IN_SYNC = "in sync"
NO_HASTD = "no hastd"
_BROKEN_OR_HEALED = (Kind.FAULT, Kind.HEAL)
_DOWN = ("off", "booting", "going down", "panicked")
_KILLS = {Did.RESET: "booting", Did.PANIC: "panicked", Did.REBOOT_AT_ONCE: "booting"}
"""What ends everything on a node the moment that it begins, and what the node is from then on."""


@dataclass(frozen=True)
class Span:
    """A state that lasted, in seconds since the start; `label` is what a reader sees of it."""

    start: float
    end: float
    state: str
    label: str


@dataclass(frozen=True)
class Mark:
    """Something that was done to a node (or to the "pair"); it took `took` seconds.

    `kind` is fault, heal, role, pool or harness.
    """

    at: float
    node: str
    kind: str
    text: str
    took: float


@dataclass(frozen=True)
class LastSeen:
    """What a node was last seen to be: its role, whether it has a pool, and what it said of HAST.

    `status` is "" when nobody asked in that role; `dirty`, in bytes, only a primary knows.
    """

    role: str
    status: str
    dirty: int | None
    pool: str


@dataclass(frozen=True)
class NodeTrack:
    """One node over time: its roles (or that it was off), and where the pool was imported."""

    node: str
    roles: tuple[Span, ...]
    pools: tuple[Span, ...]
    last: LastSeen


@dataclass(frozen=True)
class Curve:
    """What a primary had still to send, in bytes, each time that somebody asked: (seconds, bytes).

    It is cut where a role or the cable changes: what there was to send then, nobody knows.
    """

    node: str
    points: tuple[tuple[float, int], ...]

    @property
    def most(self) -> int:
        """The most that there was."""
        return max(dirty for _, dirty in self.points)


@dataclass(frozen=True)
class Write:
    """A write that was to be on the disk when it returned, issued at `at`.

    `took` are the seconds until it was acknowledged, None if it never was.
    """

    at: float
    took: float | None


@dataclass(frozen=True)
class Split:
    """Where the seconds went. `restore` is restores, saves and boots; `rest` commands and files."""

    restore: float
    waiting: float
    rest: float


@dataclass(frozen=True)
class Timeline:
    """One scenario on one axis, in seconds since it `began`, on the lab's clock."""

    began: datetime
    seconds: float
    tracks: tuple[NodeTrack, ...]
    replication: tuple[Span, ...]
    waits: tuple[Span, ...]
    marks: tuple[Mark, ...]
    split: Split
    curves: tuple[Curve, ...] = ()
    """Only where there was something to send, and somebody asked more than once."""

    writes: tuple[Write, ...] = ()
    """Those of a ledger; and single ones where one took long enough to be seen."""


def timeline(entries: Sequence[Entry]) -> Timeline:
    """Derive the timeline of one transcript, which must not be empty."""
    zero, timed = _timed(entries)
    seconds = max(item.end for item in timed)
    story = _Story(sorted({e.node for e in entries if e.node != "pair"} | {"skunk1", "skunk2"}))
    for item in sorted(timed, key=lambda item: item.effect):
        story.tell(item)
    waits = _waits(timed)
    return Timeline(
        began=datetime.fromtimestamp(zero, UTC),
        seconds=seconds,
        tracks=tuple(track.finish(seconds) for track in story.tracks.values()),
        replication=story.replication.finish(seconds, leave_out=(UNKNOWN,)),
        waits=waits,
        marks=_marks(timed),
        split=_split(timed, waits, seconds),
        curves=_curves(story.to_send),
        writes=_writes(timed),
    )


# --- times ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Timed:
    """An entry on the axis. It has its effect when a command ends, or a fault begins."""

    entry: Entry
    start: float
    end: float

    @property
    def effect(self) -> float:
        if self.entry.kind is Kind.COMMAND:
            return self.start if _panics(_words(self.entry.text)) else self.end
        if self.entry.effect is Effect.SWITCHED_OFF:
            return self.end
        begins = self.entry.kind is Kind.FAULT or self.entry.did in _KILLS
        return self.start if begins else self.end


def _timed(entries: Sequence[Entry]) -> tuple[float, list[_Timed]]:
    """When the first one started, as a time stamp, and all of them counted from there."""
    starts = [_started(entry, entries[index + 1 :]) for index, entry in enumerate(entries)]
    zero = min(starts)
    return zero, [
        _Timed(entry, start - zero, start - zero + entry.duration)
        for entry, start in zip(entries, starts, strict=True)
    ]


def _started(entry: Entry, later: Sequence[Entry]) -> float:
    """When it started. What was done to the pair may carry the time of its end instead.

    Nothing else runs meanwhile, so a command that starts before its end gives it away. Repeats
    carry the time at which another answer had come, and were over before that was asked for.
    """
    at = entry.at.timestamp()
    if entry.kind is Kind.REPEATS:
        asked = (e.at.timestamp() for e in later if (e.node, e.kind) == (entry.node, Kind.COMMAND))
        return min(at, next(asked, at))
    of_pair = (entry.node, entry.kind) == ("pair", Kind.ACTION)
    if of_pair and later and later[0].at.timestamp() < at + entry.duration:
        return at - entry.duration
    return at


# --- states ---------------------------------------------------------------------------------------


@dataclass
class _Lane:
    """One row of states, written from left to right."""

    state: str = UNKNOWN
    label: str = UNKNOWN
    since: float = 0.0
    spans: list[Span] = field(default_factory=list)

    def change(self, at: float, state: str, label: str | None = None) -> None:
        """Something was done that makes it `state`; `UNKNOWN` until somebody looks again."""
        if (state, label or state) == (self.state, self.label) and state != UNKNOWN:
            return
        self._close(at)
        self.state, self.label, self.since = state, label or state, at

    def seen(self, at: float, state: str, label: str | None = None) -> None:
        """Somebody looked. What was unknown until now has been like this since the last change."""
        if self.state == UNKNOWN:
            self.state, self.label = state, label or state
        else:
            self.change(at, state, label)

    def finish(self, at: float, leave_out: tuple[str, ...] = ()) -> tuple[Span, ...]:
        self._close(at)
        return tuple(span for span in self.spans if span.state not in leave_out)

    def _close(self, at: float) -> None:
        if at > self.since:
            self.spans.append(Span(self.since, at, self.state, self.label))


class _Track:
    """What one node is known to be, while the story is told."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.roles = _Lane()
        self.pools = _Lane("none")
        self.before_pause = UNKNOWN
        self.status = ""
        self.dirty: int | None = None

    @property
    def down(self) -> bool:
        return self.roles.state in _DOWN

    def becomes(self, at: float, role: str) -> None:
        """The node changes, and what it said before is no longer true."""
        self.roles.change(at, role)
        self.status, self.dirty = "", None

    def finish(self, at: float) -> NodeTrack:
        last = LastSeen(self.roles.label, self.status, self.dirty, self.pools.label)
        return NodeTrack(
            self.node,
            self.roles.finish(at, leave_out=(UNKNOWN,)),
            self.pools.finish(at, leave_out=("none", UNKNOWN)),
            last,
        )


class _Story:
    """Both nodes and what is between them, entry by entry."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self.tracks = {node: _Track(node) for node in nodes}
        self.replication = _Lane()
        self.to_send: list[tuple[str, list[tuple[float, int]]]] = []
        self._changed = True
        self._unplugged: set[str] = set()

    def tell(self, item: _Timed) -> None:
        entry = item.entry
        if entry.node == "pair":
            if entry.did is Did.RESTORED:
                self._restored(item.effect, entry.state)
        elif entry.kind is Kind.COMMAND:
            track = self.tracks[entry.node]
            if not (track.down and item.start < track.roles.since):  # else it died meanwhile
                self._command(track, item.effect, entry)
        elif entry.kind is Kind.REPEATS and entry.text.startswith("hastctl list"):
            self._still(self.tracks[entry.node], item.start)
        elif entry.kind in _BROKEN_OR_HEALED:
            self._fault(self.tracks[entry.node], item)
        elif entry.kind is Kind.ACTION:
            self._action(self.tracks[entry.node], item)

    def _restored(self, at: float, state: str) -> None:
        set_up = state.startswith(SET_UP)
        self._unplugged.clear()
        self._changed = True
        self.replication.change(at, UNKNOWN)
        for node, role in zip(sorted(self.tracks), ("primary", "secondary"), strict=False):
            track = self.tracks[node]
            known = NO_HASTD if state == PROVISIONED else UNKNOWN
            track.becomes(at, role if set_up else known)
            has_pool = set_up and role == "primary"
            track.pools.change(at, "imported" if has_pool else "none")

    def _fault(self, track: _Track, item: _Timed) -> None:
        at, begins = item.effect, item.entry.kind is Kind.FAULT
        match item.entry.effect:
            case Effect.OFF if begins:
                self._down(track, at, "off")
            case Effect.SWITCHED_OFF if begins:
                if track.roles.since <= item.start:
                    self._down(track, item.start, "going down")
                self._down(track, at, "off")
            case Effect.OFF | Effect.SWITCHED_OFF:
                track.becomes(at, "booting")
            case Effect.PAUSED if begins:
                track.before_pause = track.roles.state
                track.becomes(at, "paused")
            case Effect.PAUSED:
                track.becomes(at, track.before_pause)
            case Effect.UNPLUGGED:
                self._cable(track, at, unplugged=begins)

    def _action(self, track: _Track, item: _Timed) -> None:
        at, did = item.effect, item.entry.did
        if did in _KILLS:
            self._down(track, at, _KILLS[did])
        elif did is Did.SSH_ANSWERS and track.down:
            if track.roles.since < item.start:  # the harness waits for it once it is down
                track.becomes(item.start, "booting")
            track.becomes(at, UNKNOWN)

    def _cable(self, track: _Track, at: float, *, unplugged: bool) -> None:
        (self._unplugged.add if unplugged else self._unplugged.discard)(track.node)
        self._changed = True
        out = ("unplugged", "cable out") if self._unplugged else (UNKNOWN, None)
        self.replication.change(at, *out)

    def _down(self, track: _Track, at: float, state: str) -> None:
        track.becomes(at, state)
        track.pools.change(at, "none")
        self._replication_changes(at)

    def _command(self, track: _Track, at: float, entry: Entry) -> None:
        words = _words(entry.text)
        if words[:2] == ["zpool", "list"]:
            _see_pool(track, at, entry)
        elif words[0] == "zpool":
            _change_pool(track, at, words, entry)
        elif _panics(words):
            self._down(track, at, "panicked")
        elif words[0] in ("shutdown", "reboot", "halt", "poweroff"):
            self._down(track, at, "going down")
        elif words[:2] == ["hastctl", "role"] and entry.status == 0 and len(words) > 2:
            track.becomes(at, words[2])
            self._replication_changes(at)
        elif words[:2] == ["service", "hastd"] and entry.status == 0:
            track.becomes(at, NO_HASTD if words[-1].endswith("stop") else UNKNOWN)
            self._replication_changes(at)
        elif words[:2] in (["hastctl", "list"], ["hastctl", "status"]):
            self._see_role(track, at, entry)

    def _replication_changes(self, at: float) -> None:
        self._changed = True
        if not self._unplugged:
            self.replication.change(at, UNKNOWN)

    def _see_role(self, track: _Track, at: float, entry: Entry) -> None:
        if "Unable to connect to hastd" in entry.stderr:
            track.roles.seen(at, NO_HASTD)
            return
        said = _resource(entry)
        if said is None:
            return
        track.roles.seen(at, said.role)
        track.status = said.status or "no worker"
        if isinstance(said, hast.ResourceInfo) and said.role is hast.Role.PRIMARY:
            if self._changed or self.to_send[-1][0] != track.node:
                self.to_send.append((track.node, []))
                self._changed = False
            self.to_send[-1][1].append((at, said.dirty))
            track.dirty = said.dirty
            if not self._unplugged:
                self.replication.seen(at, *_replication(said))

    def _still(self, track: _Track, at: float) -> None:
        """The same answer until now: what there is to send has not changed."""
        if track.dirty is not None and not self._changed and self.to_send[-1][0] == track.node:
            self.to_send[-1][1].append((at, track.dirty))


def _curves(to_send: Iterable[tuple[str, list[tuple[float, int]]]]) -> tuple[Curve, ...]:
    curves = tuple(Curve(node, tuple(points)) for node, points in to_send)
    told = any(len(curve.points) > 1 and curve.most > 0 for curve in curves)
    return curves if told else ()


def _resource(entry: Entry) -> hast.ResourceInfo | hast.StatusRow | None:
    try:
        if entry.text.startswith("hastctl list"):
            return next(iter(hast.parse_list(entry.stdout).resources), None)
        return next(iter(hast.parse_status(entry.stdout).rows), None)
    except UnrecognisedOutput:
        return None  # the scenario itself has failed on it


def _replication(info: hast.ResourceInfo) -> tuple[str, str]:
    if info.status is hast.Status.DEGRADED:
        return "degraded", "degraded"
    if info.status is None:
        return UNKNOWN, UNKNOWN
    return (IN_SYNC, IN_SYNC) if info.in_sync else ("resync", "resync")


def _see_pool(track: _Track, at: float, entry: Entry) -> None:
    try:
        row = next(iter(zpool.parse_list(entry.stdout)), None)
    except UnrecognisedOutput:
        return
    healthy = row is not None and row.health is zpool.Health.ONLINE
    state = "none" if row is None else "imported" if healthy else "sick"
    track.pools.seen(at, state, row.health.lower() if row is not None and not healthy else None)


def _change_pool(track: _Track, at: float, words: list[str], entry: Entry) -> None:
    if entry.status == 0 and _changes_pool(words):
        gone = words[1] in ("export", "destroy")
        track.pools.change(at, "none" if gone else "imported")


def _changes_pool(words: list[str]) -> bool:
    if len(words) < 2 or words[1] not in ("create", "import", "export", "destroy"):
        return False
    if words[1] != "import":
        return True
    operands = iter(words[2:])
    for word in operands:
        if word in ("-d", "-o", "-R", "-c", "-T"):
            next(operands, None)
        elif word == "-a" or not word.startswith("-"):
            return True
    return False  # it only lists


def _panics(words: Sequence[str]) -> bool:
    return any("debug.kdb.panic=" in word for word in words)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command) or [""]
    except ValueError:
        return [command]


# --- marks, waits and where the time went ---------------------------------------------------------

_ROUNDED = 1e-4
"""Seconds. Times in a transcript are in microseconds; those of a sum may be off by some of them."""

_HARNESS = (Did.SAVED, Did.RESTORED)
_QUIET = (Did.WROTE, Did.SSH_ANSWERS, Did.REBOOTED)
"""What is not worth a mark: a boot is on the axis of its node."""

_SHORTEST_WAIT = 0.5
"""Seconds. Two looks closer than this are two questions, not a wait."""

_LONGEST_PAUSE = 5.0
"""Seconds. A wait looks again sooner than this."""


def _marks(timed: Sequence[_Timed]) -> tuple[Mark, ...]:
    of_faults = [item for item in timed if item.entry.kind in _BROKEN_OR_HEALED]

    def told(item: _Timed) -> bool:
        """Whether it is one of the commands that a fault began or was healed with."""
        return item.entry.kind is Kind.COMMAND and any(
            fault.entry.node == item.entry.node
            and fault.start - _ROUNDED <= item.start
            and item.end <= fault.end + _ROUNDED
            for fault in of_faults
        )

    found = filter(None, (_mark(item) for item in timed if not told(item)))
    return tuple(sorted(found, key=lambda mark: mark.at))


def _mark(item: _Timed) -> Mark | None:
    entry = item.entry
    kind = _kind(entry)
    if kind is None:
        return None
    failed = entry.kind is Kind.COMMAND and entry.status != 0
    text = f"{entry.text} (status {entry.status})" if failed else entry.text
    return Mark(item.start, entry.node, "fault" if failed else kind, text, entry.duration)


def _kind(entry: Entry) -> str | None:
    if entry.kind is Kind.COMMAND:
        words = _words(entry.text)
        if words[0] in ("shutdown", "reboot", "halt", "poweroff", "kill", "pkill"):
            return "fault"
        if words[:2] in (["hastctl", "role"], ["hastctl", "create"], ["service", "hastd"]):
            return "role"
        return "pool" if words[0] == "zpool" and _changes_pool(words) else None
    if entry.kind in _BROKEN_OR_HEALED:
        return entry.kind.value
    if entry.kind is not Kind.ACTION or entry.did in _QUIET:
        return None
    return "harness" if entry.did in _HARNESS else "fault"


_WRITE = re.compile(r"([0-9.]+) s: (?:acknowledged after ([0-9.]+) s|never acknowledged)")
_TOOK_LONG = 0.5
"""Seconds. A single write that is sooner acknowledged is not worth a row."""


def _writes(timed: Sequence[_Timed]) -> tuple[Write, ...]:
    """Those that a ledger tells of, and each dd(1) that a scenario let write by itself."""
    of_ledgers = [
        Write(item.start + float(found[1]), None if found[2] is None else float(found[2]))
        for item in timed
        if item.entry.kind is Kind.WRITES
        for found in _WRITE.finditer(item.entry.stdout)
    ]
    single = [
        Write(item.start, item.entry.duration)
        for item in timed
        if item.entry.kind is Kind.COMMAND
        and item.entry.status == 0
        and _writes_data(item.entry.text)
    ]
    slowest = max((write.took or 0.0 for write in single), default=0.0)
    found = of_ledgers + (single if of_ledgers or slowest >= _TOOK_LONG else [])
    return tuple(sorted(found, key=lambda write: write.at))


def _writes_data(command: str) -> bool:
    words = _words(command)
    to = next((word.removeprefix("of=") for word in words if word.startswith("of=")), None)
    if words[0] != "dd" or to is None:
        return False
    return to.startswith("/dev/hast/") or not to.startswith("/dev/")


def _waits(timed: Sequence[_Timed]) -> tuple[Span, ...]:
    """What was waited for: what the transcript calls a wait, else boots and repeated looks.

    A restore that waits for its nodes is no wait of the scenario. Transcripts of earlier versions
    have no waits.
    """
    told = [item for item in timed if item.entry.kind is Kind.WAIT]
    waits = [Span(item.start, item.end, "wait", item.entry.text) for item in told]
    if not told:
        waits = _boots(timed) + _repeated_looks(timed)
    restores = _merge(_intervals(timed, _HARNESS))
    return tuple(
        sorted(
            (
                span
                for span in waits
                if span.state == "look"
                or not any(start <= span.start < end for start, end in restores)
            ),
            key=lambda span: span.start,
        )
    )


def _boots(timed: Sequence[_Timed]) -> list[Span]:
    return [
        Span(item.start, item.end, "boot", f"{item.entry.node}: {item.entry.text}")
        for item in timed
        if item.entry.did is Did.SSH_ANSWERS
    ]


def _repeated_looks(timed: Sequence[_Timed]) -> list[Span]:
    """The same command on the same node again and again, whatever it answered."""
    found: list[Span] = []
    for node in sorted({item.entry.node for item in timed}):
        run: list[_Timed] = []
        for item in [*(item for item in timed if item.entry.node == node), None]:
            if item is not None and run and _looks_again(item, run[-1], run[0].entry.text):
                run.append(item)
                continue
            if run and run[-1].end - run[0].start >= _SHORTEST_WAIT and len(run) > 1:
                label = f"{node}: {run[0].entry.text}"
                found.append(Span(run[0].start, run[-1].end, "look", label))
            run = [item] if item is not None and item.entry.kind is Kind.COMMAND else []
    return found


def _looks_again(item: _Timed, before: _Timed, command: str) -> bool:
    if item.entry.kind is Kind.REPEATS:
        return True
    soon = item.start - before.end <= _LONGEST_PAUSE
    return soon and item.entry.kind is Kind.COMMAND and item.entry.text == command


def _split(timed: Sequence[_Timed], waits: Sequence[Span], seconds: float) -> Split:
    restore = _merge(_intervals(timed, (*_HARNESS, Did.SSH_ANSWERS, Did.REBOOTED)))
    either = _merge([*restore, *((span.start, span.end) for span in waits)])
    return Split(_length(restore), _length(either) - _length(restore), seconds - _length(either))


def _intervals(timed: Sequence[_Timed], what: tuple[Did, ...]) -> list[tuple[float, float]]:
    return [(item.start, item.end) for item in timed if item.entry.did in what]


def _merge(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _length(merged: Sequence[tuple[float, float]]) -> float:
    return sum(end - start for start, end in merged)
