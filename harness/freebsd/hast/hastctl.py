"""hastctl(8): the roles, the replication and the metadata of HAST resources.

The formats are those of sbin/hastctl/hastctl.c of FreeBSD 13.2, which 14 and 15 share, and those
of FreeBSD 8.2 of 2011: there `hastctl status` printed what is `hastctl list` today, without
statistics and with `dirty: 17142120448 bytes`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeVar

from harness.errors import ClaimFailed
from harness.freebsd.hast.conf import split_echoed
from harness.freebsd.output import Output
from harness.words import Word

STATUS_COMMAND = ("hastctl", "status")
LIST_COMMAND = ("hastctl", "list")
DUMP_COMMAND = ("hastctl", "dump")

T = TypeVar("T", "StatusRow", "ResourceInfo")


class Role(Word):
    """The role of a resource on one node. hastd starts every resource as `init`."""

    INIT = "init"
    PRIMARY = "primary"
    SECONDARY = "secondary"


class Status(Word):
    """Whether the two nodes are connected. `complete` does not mean that they are in sync."""

    COMPLETE = "complete"
    DEGRADED = "degraded"


class ReplicationMode(Word):
    """When a write is reported as done, see hast.conf(5)."""

    FULLSYNC = "fullsync"
    MEMSYNC = "memsync"
    ASYNC = "async"


class ExitCode(enum.IntEnum):
    """How hastctl, hastd and hastd's workers end: hastd's own codes, then those of sysexits(3).

    The first five are EHAST_* of sbin/hastd/hast.h, passed on by `hastctl role`, `list` and
    `status`. `hastctl dump` ends with 255 where it cannot read the metadata.
    """

    OK = 0
    EHAST_NOENTRY = 1
    EHAST_INVALID = 2
    EHAST_NOMEMORY = 3
    EHAST_UNIMPLEMENTED = 4
    EX_USAGE = 64
    EX_DATAERR = 65
    EX_NOINPUT = 66
    EX_UNAVAILABLE = 69
    EX_SOFTWARE = 70
    EX_OSERR = 71
    EX_OSFILE = 72
    EX_IOERR = 74
    EX_TEMPFAIL = 75
    EX_CONFIG = 78
    METADATA_UNREADABLE = 255


@dataclass(frozen=True)
class ResourceError:
    """A resource that hastd knows nothing to say about. `code` is an `ExitCode` or an errno."""

    name: str
    code: int

    def __str__(self) -> str:
        known = f" ({ExitCode(self.code).name})" if self.code in set(ExitCode) else ""
        return f"hastd answered error {self.code}{known} for the resource {self.name}"


@dataclass(frozen=True, repr=False)
class StatusRow:
    """One resource in `hastctl status`. `status` is None without a worker process.

    There is no worker in the role init, and none in a secondary that no primary has connected to
    or whose worker has died, as it does in a split-brain.
    """

    name: str
    status: Status | None
    role: Role
    localpath: str
    remoteaddr: str

    def __str__(self) -> str:
        return f"role {self.role}, {self.status or 'no worker'}"

    __repr__ = __str__


@dataclass(frozen=True)
class StatusTable:
    """All of `hastctl status`."""

    rows: tuple[StatusRow, ...]
    errors: tuple[ResourceError, ...]
    echoed: str = ""
    """Characters of hast.conf that hastd does not know, printed before it."""

    def resource(self, name: str) -> StatusRow:
        """The row of one resource. Raises `ClaimFailed` with what hastd said of it instead."""
        return _named(name, self.rows, self.errors)

    @property
    def primary_of(self) -> set[str]:
        """The resources of which the node says that it is primary."""
        return {row.name for row in self.rows if row.role is Role.PRIMARY}


@dataclass(frozen=True)
class LocalErrors:
    """Requests that the node's own disk failed, since the worker process started."""

    read: int
    write: int
    delete: int
    flush: int


@dataclass(frozen=True)
class Queues:
    """Requests in each stage inside the worker process, now."""

    local: int
    send: int
    recv: int
    done: int
    idle: int


@dataclass(frozen=True)
class Statistics:
    """Requests since the worker process started. Older releases have no errors or no queues."""

    reads: int
    writes: int
    deletes: int
    flushes: int
    activemap_updates: int
    local_errors: LocalErrors | None
    queues: Queues | None
    unrecognised: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class ResourceInfo:
    """One resource in `hastctl list`. Sizes are in bytes.

    `status` and `workerpid` are None, and `extentsize`, `keepdirty` and all counts 0, when no
    worker process runs for the resource. A secondary always prints 0 for `keepdirty` and `dirty`
    (sbin/hastd/control.c): only a primary knows what is still to be sent.
    """

    name: str
    role: Role
    provname: str
    localpath: str
    extentsize: int
    keepdirty: int
    remoteaddr: str
    sourceaddr: str | None
    replication: ReplicationMode
    status: Status | None
    workerpid: int | None
    dirty: int
    statistics: Statistics | None
    unrecognised: tuple[str, ...] = ()

    @property
    def in_sync(self) -> bool:
        """Whether this primary has its secondary connected, and nothing left to send to it.

        False for every other role: a secondary prints `dirty: 0` in the middle of a resync too.
        """
        return self.role is Role.PRIMARY and self.status is Status.COMPLETE and self.dirty == 0

    def __str__(self) -> str:
        if self.workerpid is None:
            return f"role {self.role}, no worker"
        dirty = f", {self.dirty / 1e6:.1f} MB dirty" if self.role is Role.PRIMARY else ""
        return f"role {self.role}, {self.status or 'no status'}{dirty}"

    __repr__ = __str__


@dataclass(frozen=True)
class ResourceList:
    """All of `hastctl list`."""

    resources: tuple[ResourceInfo, ...]
    errors: tuple[ResourceError, ...]
    echoed: str = ""
    """Characters of hast.conf that hastd does not know, printed before it."""

    def resource(self, name: str) -> ResourceInfo:
        """One resource. Raises `ClaimFailed` with what hastd said of it instead."""
        return _named(name, self.resources, self.errors)


@dataclass(frozen=True)
class Metadata:
    """What `hastctl dump` reads from the start of a node's own disk. Sizes are in bytes.

    `resuid` is 0 until a primary and a secondary first connect. From then on `localcnt` grows with
    a primary's first write while the other node is away, and `remotecnt` is what this node last
    knew of the other's: compared across the nodes they tell who was modified alone. While
    `resuid` is 0 nothing is counted on the disk, so what a node wrote to a new disk, before the
    pair first met, makes no split-brain: another primary sends its own over it without a word
    (recorded run, 13.2).
    `prevrole` is that of the last connection or write. Unlike `hastctl list` it needs no hastd.
    """

    name: str
    datasize: int
    extentsize: int
    keepdirty: int
    localoff: int
    resuid: int
    localcnt: int
    remotecnt: int
    prevrole: Role
    unrecognised: tuple[str, ...] = ()


def parse_status(text: str) -> StatusTable:
    """Read `hastctl status`, also as a web page shows it, with blanks for tabs.

    No word of it has a blank: hast.conf can have none. Raises `UnrecognisedOutput` when it is not
    a table of resources.
    """
    echoed, answer = split_echoed(text)
    output = Output("hastctl status", answer)
    lines = output.lines()
    if not lines:
        return StatusTable((), (), echoed)
    if lines[0].split() != ["Name", "Status", "Role", "Components"]:
        raise output.unrecognised(f"its header is {lines[0]!r}")
    rows: list[StatusRow] = []
    errors: list[ResourceError] = []
    for line in lines[1:]:
        if error := re.fullmatch(r"\s*(\S+)\s+ERR([0-9]+)\s*", line):
            errors.append(ResourceError(error[1], int(error[2])))
        elif len(words := line.split()) == 5:
            name, status, role, localpath, remoteaddr = words
            rows.append(
                StatusRow(
                    name=name,
                    status=None if status == "-" else output.word(Status, status, "a status"),
                    role=output.word(Role, role, "a role"),
                    localpath=localpath,
                    remoteaddr=remoteaddr,
                )
            )
        else:
            raise output.unrecognised(f"the line {line!r} is no row of its table")
    return StatusTable(tuple(rows), tuple(errors), echoed)


def parse_list(text: str) -> ResourceList:
    """Read `hastctl list`, or the `hastctl status` of 2011.

    Raises `UnrecognisedOutput` when a resource lacks what every release prints.
    """
    echoed, answer = split_echoed(text)
    output = Output("hastctl list", answer)
    resources: list[ResourceInfo] = []
    errors: list[ResourceError] = []
    for name, body in _blocks(output, re.compile(r"(\S.*):")):
        if body and (error := re.fullmatch(r"  error: ([0-9]+)", body[0])):
            errors.append(ResourceError(name, int(error[1])))
        else:
            resources.append(_resource(output, name, body))
    return ResourceList(tuple(resources), tuple(errors), echoed)


def parse_dump(text: str) -> tuple[Metadata, ...]:
    """Read `hastctl dump`. Raises `UnrecognisedOutput` when a field is missing."""
    output = Output("hastctl dump", split_echoed(text)[1])
    found = []
    for name, body in _blocks(output, re.compile(r"resource: (\S.*)")):
        fields = _Fields(output, body, indent=4)
        found.append(
            Metadata(
                name=name,
                datasize=fields.number("datasize"),
                extentsize=fields.number("extentsize"),
                keepdirty=fields.number("keepdirty"),
                localoff=fields.number("localoff"),
                resuid=fields.number("resuid"),
                localcnt=fields.number("localcnt"),
                remotecnt=fields.number("remotecnt"),
                prevrole=output.word(Role, fields.text("prevrole"), "prevrole"),
                unrecognised=fields.rest(),
            )
        )
    return tuple(found)


def _named(name: str, found: tuple[T, ...], errors: tuple[ResourceError, ...]) -> T:
    for item in found:
        if item.name == name:
            return item
    for error in errors:
        if error.name == name:
            raise ClaimFailed(str(error))
    raise ClaimFailed(f"hastctl printed nothing about the resource {name}")


def _blocks(output: Output, header: re.Pattern[str]) -> list[tuple[str, list[str]]]:
    """The lines under each unindented line that names a resource."""
    blocks: list[tuple[str, list[str]]] = []
    for line in output.lines():
        if line.startswith(" ") and blocks:
            blocks[-1][1].append(line)
        elif match := header.fullmatch(line):
            blocks.append((match[1], []))
        else:
            raise output.unrecognised(f"the line {line!r} belongs to no resource")
    return blocks


class _Fields:
    """The `key: value` lines of one block. What nobody asks for is kept as `rest`."""

    def __init__(self, output: Output, lines: list[str], *, indent: int) -> None:
        self._output = output
        self._values: dict[str, str] = {}
        self._others: list[str] = []
        for line in lines:
            match = re.fullmatch(rf" {{{indent}}}(\S[^:]*):(?: (.*))?", line)
            if match is None or match[1] in self._values:
                self._others.append(line)
            else:
                self._values[match[1]] = match[2] or ""

    def optional(self, key: str) -> str | None:
        return self._values.pop(key, None)

    def text(self, key: str) -> str:
        value = self.optional(key)
        if value is None:
            raise self._output.unrecognised(f"there is no `{key}:`")
        return value

    def number(self, key: str) -> int:
        """A count, or a size in bytes followed by `(2.0MB)` or by `bytes` for a human reader."""
        value = re.sub(r" (?:bytes|\(\S+\))$", "", self.text(key))
        return self._output.integer(value, key)

    def counters(self, key: str, names: tuple[str, ...]) -> dict[str, int] | None:
        """The numbers of a line such as `queues: local: 0, send: 0`, if there is one."""
        value = self.optional(key)
        if value is None:
            return None
        pairs = dict(re.findall(r"(\w+): ([0-9]+)", value))
        if tuple(pairs) != names:
            raise self._output.unrecognised(f"`{key}:` has not the counters {', '.join(names)}")
        return {name: int(number) for name, number in pairs.items()}

    def rest(self) -> tuple[str, ...]:
        return (*(f"{key}: {value}" for key, value in self._values.items()), *self._others)


def _resource(output: Output, name: str, body: list[str]) -> ResourceInfo:
    deeper = [line for line in body if line.startswith("    ")]
    fields = _Fields(output, [line for line in body if line not in deeper], indent=2)
    status = fields.optional("status")
    pid = fields.optional("workerpid")
    statistics = None
    if fields.optional("statistics") is not None:
        statistics, deeper = _statistics(output, deeper), []
    return ResourceInfo(
        name=name,
        role=output.word(Role, fields.text("role"), "the role"),
        provname=fields.text("provname"),
        localpath=fields.text("localpath"),
        extentsize=fields.number("extentsize"),
        keepdirty=fields.number("keepdirty"),
        remoteaddr=fields.text("remoteaddr"),
        sourceaddr=fields.optional("sourceaddr"),
        replication=output.word(ReplicationMode, fields.text("replication"), "the replication"),
        status=None if status is None else output.word(Status, status, "the status"),
        workerpid=None if pid is None else output.integer(pid, "workerpid"),
        dirty=fields.number("dirty"),
        statistics=statistics,
        unrecognised=(*fields.rest(), *deeper),
    )


def _statistics(output: Output, lines: list[str]) -> Statistics:
    fields = _Fields(output, lines, indent=4)
    errors = fields.counters("local errors", ("read", "write", "delete", "flush"))
    queues = fields.counters("queues", ("local", "send", "recv", "done", "idle"))
    return Statistics(
        reads=fields.number("reads"),
        writes=fields.number("writes"),
        deletes=fields.number("deletes"),
        flushes=fields.number("flushes"),
        activemap_updates=fields.number("activemap updates"),
        local_errors=None if errors is None else LocalErrors(**errors),
        queues=None if queues is None else Queues(**queues),
        unrecognised=fields.rest(),
    )
