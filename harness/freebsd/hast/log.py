"""hastd(8)'s log: who was connected, what was synchronised, which worker died and how.

A line is `[INFO] [mirror] (primary) Connected to 192.168.0.2.` as `hastd -F` prints it (INFO and
DEBUG on its standard output, WARNING and ERROR on its standard error), or the same behind what
syslogd(8) puts in front: `Nov 22 17:10:36 skunk1 hastd[958]: ` by default, or the header of
RFC 5424 after `syslogd -O rfc5424`. hastd itself gives syslog no `[INFO]`; logger(1) fed with the
output of `hastd -F` does. The wordings are those of sbin/hastd of FreeBSD 13.2 (pjdlog.c for the
form; hastd.c, control.c, primary.c and secondary.c for the messages).

Beware: with hastd as a daemon its workers' lines never reach syslog on 13.2, so a log without
`SplitBrain` proves nothing; see docs/findings.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.freebsd.hast.hastctl import Role
from harness.freebsd.output import about
from harness.words import Word, in_words

COMMAND = ("cat", "/var/log/hastd.log")
"""provision/syslog-hastd.conf has syslogd(8) put it there."""


class Level(Word):
    """The severity of a line, worst first, as pjdlog prints it."""

    EMERG = "EMERG"
    ALERT = "ALERT"
    CRIT = "CRIT"
    ERROR = "ERROR"
    WARNING = "WARNING"
    NOTICE = "NOTICE"
    INFO = "INFO"
    DEBUG = "DEBUG"


_SYSLOG_LEVELS = tuple(Level)
"""syslog(3)'s severities are 0 for the worst to 7, in the same order."""


@dataclass(frozen=True, repr=False)
class Event:
    """Something that hastd says has happened. Sizes said to be `about` are rounded by hastd."""

    def __repr__(self) -> str:
        return in_words(self)


@dataclass(frozen=True, repr=False)
class Started(Event):
    """hastd came up. With it every resource is in the role init."""

    protocol: int


@dataclass(frozen=True, repr=False)
class Stopping(Event):
    """hastd or a primary's worker got SIGTERM."""


@dataclass(frozen=True, repr=False)
class RoleChanged(Event):
    """A resource was given another role, by hastctl or by a changed hast.conf."""

    old: Role | None
    new: Role


@dataclass(frozen=True, repr=False)
class RoleFellBack(Event):
    """hastd itself took the primary role away, after its worker failed for good."""

    old: Role | None
    new: Role


@dataclass(frozen=True, repr=False)
class DeviceCreated(Event):
    """/dev/hast/`name` appeared. It does not serve I/O yet: the peer is tried first."""

    name: str


@dataclass(frozen=True, repr=False)
class DeviceRecovered(Event):
    """A restarted worker took over /dev/hast/`name`, which its dead one had left."""

    name: str


@dataclass(frozen=True, repr=False)
class Connected(Event):
    """The primary has both connections to its secondary. Also logged before `Reconnected`."""

    remote: str


@dataclass(frozen=True, repr=False)
class Reconnected(Event):
    """The primary found its secondary again, after `Connected` of the same moment."""

    remote: str


@dataclass(frozen=True, repr=False)
class ConnectionAccepted(Event):
    """Another node opened a connection to this one. There are two for each pair of workers."""

    remote: str
    local: str


@dataclass(frozen=True, repr=False)
class ConnectFailed(Event):
    """The primary could not open a connection; `reason` is the system's error text."""

    remote: str
    reason: str


@dataclass(frozen=True, repr=False)
class Disconnected(Event):
    """The primary lost, or gave up, its secondary and goes on alone."""

    remote: str


@dataclass(frozen=True, repr=False)
class PeerLost(Event):
    """The secondary's worker can no longer read from the primary, and exits."""

    reason: str


@dataclass(frozen=True, repr=False)
class SyncStarted(Event):
    """A resynchronisation began; about so many bytes, in whole extents, are to go."""

    about_bytes: int


@dataclass(frozen=True, repr=False)
class SyncComplete(Event):
    """A resynchronisation ended; duration in whole seconds, rate in about bytes a second."""

    about_bytes: int
    seconds: int
    about_rate: int


@dataclass(frozen=True, repr=False)
class SyncInterrupted(Event):
    """A resynchronisation ended early, after so many whole seconds."""

    about_bytes: int
    seconds: int


@dataclass(frozen=True, repr=False)
class InSync(Event):
    """The nodes found each other without anything to synchronise."""


@dataclass(frozen=True, repr=False)
class SplitBrain(Event):
    """Both nodes were modified while apart. Logged by both, each in its own words."""


@dataclass(frozen=True, repr=False)
class ResourceUniqueIdMismatch(Event):
    """The two disks never belonged together: each carries the ID of another primary."""

    primary: int
    secondary: int


@dataclass(frozen=True, repr=False)
class NoMetadata(Event):
    """The node's own disk (`path`) has no metadata of HAST: `hastctl create` was forgotten there.

    hastctl has ended with 0 all the same, and a primary falls back to init at once
    (`RoleFellBack`); a secondary stays one, and its worker ends so whenever a primary connects.
    """

    path: str
    reason: str


@dataclass(frozen=True, repr=False)
class OtherResource(Event):
    """The node's own disk (`path`) has the metadata of another resource than this one."""

    path: str
    resource: str


@dataclass(frozen=True, repr=False)
class ListenFailed(Event):
    """hastd cannot listen on an address of hast.conf, and ends; `reason` is the system's."""

    address: str
    reason: str


@dataclass(frozen=True, repr=False)
class NoConnection(Event):
    """`remote` or `source` in hast.conf is no address that the primary could use, says `reason`."""

    remote: str
    reason: str


@dataclass(frozen=True, repr=False)
class UnknownPeer(Event):
    """Somebody connected whose address is no `remote` in this node's hast.conf."""

    remote: str


@dataclass(frozen=True, repr=False)
class SizeMismatch(Event):
    """The nodes differ in their `Data` or `Extent` size, in bytes, and cannot be a pair."""

    what: str
    local_bytes: int
    remote_bytes: int


@dataclass(frozen=True, repr=False)
class WrongRole(Event):
    """A primary called a node that is no secondary; logged on the node that was called."""

    role: Role
    remote: str


@dataclass(frozen=True, repr=False)
class PeerWrongRole(Event):
    """A primary called a node that is no secondary; logged on the primary."""

    role: Role


@dataclass(frozen=True, repr=False)
class WaitingForPeer(Event):
    """A new primary gives another primary so many seconds to become secondary."""

    seconds: int


@dataclass(frozen=True, repr=False)
class StartingAnyway(Event):
    """A new primary starts although the other node is primary too: a split-brain can follow."""


@dataclass(frozen=True, repr=False)
class WorkerExited(Event):
    """A worker process ended by itself (`exitcode`) or by a `signal`; the other one is None."""

    pid: int
    exitcode: int | None = None
    signal: int | None = None


@dataclass(frozen=True, repr=False)
class WorkerRestarted(Event):
    """hastd starts a primary's worker again, after a signal or a temporary failure."""


@dataclass(frozen=True, repr=False)
class HookFailed(Event):
    """The program of `exec` in hast.conf ended with an error, or was killed by a signal."""

    pid: int
    command: str
    exitcode: int | None = None
    signal: int | None = None


@dataclass(frozen=True, repr=False)
class LogLine:
    """One line of a log. `text` is all of it; `event` is None for a wording not listed here.

    `stamp`, `host`, `program` and `pid` come from syslogd: the stamp is of RFC 3164, without year
    or zone, or an ISO 8601 time with both. `level` is None where syslogd dropped it.
    """

    text: str
    message: str
    level: Level | None = None
    debug: int | None = None
    resource: str | None = None
    role: Role | None = None
    stamp: str | None = None
    host: str | None = None
    program: str | None = None
    pid: int | None = None
    event: Event | None = None
    echoed: str = ""
    """Characters of hast.conf that hastd does not know."""

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


_RFC3164 = re.compile(
    r"(?P<stamp>[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}) "
    r"(?:<[^>]*> )?(?P<host>\S+) (?P<program>[^\s\[:]+)(?:\[(?P<pid>[0-9]{1,9})\])?: "
)
_RFC5424 = re.compile(
    r"<(?P<priority>[0-9]{1,3})>1 (?P<stamp>\S+) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ "
    r"(?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?"
)
_LEVEL = re.compile(rf"\[({'|'.join(Level)})\](?:\[([0-9]{{1,3}})\])? ?")
_ECHOED = re.compile(rf"(?:\^[@A-Z\\^_\[\]]|[^\sa-zA-Z0-9.\-_/:\[\]])+(?={_LEVEL.pattern})")
"""Characters of hast.conf that hastd does not know, before the first line that it prints, as
syslogd writes them (harness/freebsd/hast/conf.py)."""
_RESOURCE = re.compile(r"\[([^\]]+)\] (?:\((\w+)\) )?")


def parse_line(text: str) -> LogLine:
    """Read one line, without its end. Never fails: what is not understood stays as text."""
    rest = text
    stamp = host = program = None
    pid = debug = level = resource = role = None
    echoed = ""
    if header := _RFC3164.match(rest) or _RFC5424.match(rest):
        found = header.groupdict()
        stamp, host, program = found["stamp"], found["host"], found["program"]
        pid = int(found["pid"]) if found["pid"] and found["pid"].isdecimal() else None
        if "priority" in found:
            level = _SYSLOG_LEVELS[int(found["priority"]) & 7]
        rest = rest[header.end() :]
    if match := _ECHOED.match(rest):
        echoed = match[0]
        rest = rest[match.end() :]
    if match := _LEVEL.match(rest):
        level = Level(match[1])
        debug = int(match[2]) if match[2] else None
        rest = rest[match.end() :]
    if match := _RESOURCE.match(rest):
        resource = match[1]
        role = _role(match[2])
        rest = rest[match.end() :]
    return LogLine(
        text=text,
        message=rest,
        level=level,
        debug=debug,
        resource=resource,
        role=role,
        stamp=stamp,
        host=host,
        program=program,
        pid=pid,
        event=_event(rest, role),
        echoed=echoed,
    )


def parse_log(text: str) -> tuple[LogLine, ...]:
    """Read a log, one `LogLine` for every line of hastd, a last one without an end included.

    The daemon(8) of 15.1 hands all lines that it reads at once to syslog(3) as one message, and
    syslogd makes blanks of their ends (usr.sbin/daemon/daemon.c, listen_child); that of 13.2 made a
    message of each. They are taken apart, each with the header of them all.
    """
    lines = text.split("\n")
    return tuple(
        parse_line(each) for line in (lines if lines[-1] else lines[:-1]) for each in _apart(line)
    )


_JOINT = re.compile(rf"(?<=\S) +(?=\[(?:{'|'.join(Level)})\])")


def _apart(line: str) -> list[str]:
    """A line of the log for each line that hastd has written."""
    header = _RFC3164.match(line) or _RFC5424.match(line)
    start = header.end() if header else 0
    return [line[:start] + each for each in _JOINT.split(line[start:])]


def _role(word: str | None) -> Role | None:
    return Role(word) if word in set(Role) else None


def _seconds(duration: str) -> int:
    """`1h2m3s`, as `%#T` of FreeBSD's printf (lib/libc/stdio/xprintf_time.c) shows a duration."""
    units = {"y": 365 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"([0-9]+)([ydhms])", duration))


_N = "[0-9]{1,20}"
_SIZE = r"[0-9]{1,4}(?:\.[0-9])?[KMGTPE]?"
_READERS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("protocol", "pid", "exitcode", "signal", "primary", "secondary"), int),
    **dict.fromkeys(("local_bytes", "remote_bytes"), int),
    **dict.fromkeys(("about_bytes", "about_rate"), about),
    **dict.fromkeys(("new", "role"), Role),
    "seconds": _seconds,
}
"""How a group of a pattern becomes the field of the same name; all others stay text."""

_ROLE = "|".join(Role)
_LASTED = r"(?P<seconds>(?:[0-9]{1,9}[ydhms])+)"
_BYTES = rf"(?P<about_bytes>{_SIZE})B"
_STATUS = r"(?P<exitcode>-?[0-9]{1,9})"

_EVENTS: tuple[tuple[Callable[..., Event], re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Started, rf"Started successfully, running protocol version (?P<protocol>{_N})\."),
        (Stopping, r"Termination signal received, exiting\."),
        (RoleChanged, rf"Role changed to (?P<new>{_ROLE})\."),
        (RoleFellBack, rf"Changing resource role back to (?P<new>{_ROLE})\."),
        (DeviceCreated, r"Device hast/(?P<name>\S+) created\."),
        (DeviceRecovered, r"Device hast/(?P<name>\S+) recovered\."),
        (Connected, r"Connected to (?P<remote>\S+)\."),
        (Reconnected, r"Successfully reconnected to (?P<remote>\S+)\."),
        (ConnectionAccepted, r"Connection from (?P<remote>\S+) to (?P<local>\S+)\."),
        (ConnectFailed, r"Unable to connect to (?P<remote>\S+): (?P<reason>.+)\."),
        (Disconnected, r"Disconnected from (?P<remote>\S+)\."),
        (PeerLost, r"Unable to receive request header: (?P<reason>.+)\."),
        (SyncStarted, rf"Synchronization started\. {_BYTES} to go\."),
        (
            SyncComplete,
            rf"Synchronization complete\. {_BYTES} synchronized in {_LASTED} "
            rf"\((?P<about_rate>{_SIZE})B/sec\)\.",
        ),
        (
            SyncInterrupted,
            rf"Synchronization interrupted after {_LASTED}\. {_BYTES} synchronized so far\.",
        ),
        (InSync, r"Nodes are in sync\."),
        (SplitBrain, r"Split-brain detected, exiting\.|Split-brain condition!"),
        (
            ResourceUniqueIdMismatch,
            rf"Resource unique ID mismatch \(primary=(?P<primary>{_N}), "
            rf"secondary=(?P<secondary>{_N})\)\.",
        ),
        (
            NoMetadata,
            r"(?:Unable to read metadata from|Metadata read from) (?P<path>\S+?)"
            r"(?: is invalid)?: (?P<reason>.+)\.",
        ),
        (
            OtherResource,
            r"Provider (?P<path>\S+) is not part of resource (?P<resource>\S+)\.",
        ),
        (
            ListenFailed,
            r"Unable to listen on (?:control )?address (?P<address>\S+): (?P<reason>.+)\.",
        ),
        (
            NoConnection,
            r"Unable to create outgoing connection to (?P<remote>\S+): (?P<reason>.+)\.",
        ),
        (UnknownPeer, r"Client (?P<remote>\S+) isn't known\."),
        (
            SizeMismatch,
            r"(?P<what>Data|Extent) size differs between nodes "
            rf"\(local=(?P<local_bytes>{_N}), remote=(?P<remote_bytes>{_N})\)\.",
        ),
        (
            WrongRole,
            rf"We act as (?P<role>{_ROLE}) for the resource and not as secondary "
            r"as requested by (?P<remote>\S+)\.",
        ),
        (
            PeerWrongRole,
            rf"Remote node acts as (?P<role>{_ROLE}) for the resource and not as secondary\.",
        ),
        (
            WaitingForPeer,
            r"Waiting for remote node to become secondary for (?P<seconds>[0-9]{1,9}s)\.",
        ),
        (StartingAnyway, r"Remote node is still primary, starting anyway\."),
        (
            WorkerExited,
            rf"Worker process exited ungracefully \(pid=(?P<pid>{_N}), exitcode={_STATUS}\)\.",
        ),
        (
            WorkerExited,
            rf"Worker process killed \(pid=(?P<pid>{_N}), signal=(?P<signal>{_N})\)\.",
        ),
        (WorkerRestarted, r"Restarting worker process\."),
        (
            HookFailed,
            rf"Hook exited ungracefully \(pid=(?P<pid>{_N}), exitcode={_STATUS}, "
            r"cmd=\[(?P<command>.*)\]\)\.",
        ),
        (
            HookFailed,
            rf"Hook was killed \(pid=(?P<pid>{_N}), signal=(?P<signal>{_N}), "
            r"cmd=\[(?P<command>.*)\]\)\.",
        ),
    )
)


def _event(message: str, role: Role | None) -> Event | None:
    for kind, pattern in _EVENTS:
        if match := pattern.fullmatch(message):
            fields = {
                name: _READERS.get(name, str)(value) for name, value in match.groupdict().items()
            }
            if kind in {RoleChanged, RoleFellBack}:
                # hastd changes the role that it puts in front of its lines afterwards.
                fields["old"] = role
            return kind(**fields)
    return None


def events(lines: tuple[LogLine, ...]) -> Iterator[Event]:
    """The events of a log, in its order."""
    return (line.event for line in lines if line.event is not None)
