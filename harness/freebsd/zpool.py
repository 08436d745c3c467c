"""zpool(8): the pools that are imported, how they are, and those that could be imported.

`zpool list` has a form for programs. `zpool status` and `zpool import` have none before OpenZFS
2.3 (FreeBSD 15), so their text is read; its format is that of cmd/zpool/zpool_main.c in the
OpenZFS 2.1 of FreeBSD 13.2. Without any pool the first two print nothing on their standard output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.freebsd.output import Output
from harness.words import Word

_COLUMNS = ("name", "guid", "size", "allocated", "free", "capacity", "health")
LIST_COMMAND = ("zpool", "list", "-Hp", "-o", ",".join(_COLUMNS))
STATUS_COMMAND = ("zpool", "status", "-p")
IMPORT_LIST_COMMAND = ("zpool", "import")


class Health(Word):
    """The state of a pool or of a device in it.

    A pool that has lost its last device is SUSPENDED: with `failmode=wait` everything that needs
    it blocks. FAULTED and UNAVAIL are pools or devices that could not be opened at all. INUSE
    and AVAIL are those of spares.
    """

    ONLINE = "ONLINE"
    DEGRADED = "DEGRADED"
    SUSPENDED = "SUSPENDED"
    FAULTED = "FAULTED"
    UNAVAIL = "UNAVAIL"
    OFFLINE = "OFFLINE"
    REMOVED = "REMOVED"
    SPLIT = "SPLIT"
    INUSE = "INUSE"
    AVAIL = "AVAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class PoolRow:
    """One imported pool in `zpool list`. Sizes are in bytes, None for a pool not opened."""

    name: str
    guid: int
    size: int | None
    allocated: int | None
    free: int | None
    capacity_percent: int | None
    health: Health


@dataclass(frozen=True)
class Vdev:
    """One line of a pool's configuration: the pool, a device in it, or a heading such as `logs`.

    The counts are errors since the pool was imported or cleared. `state` is None for headings and
    the counts are None where the listing has none. `note` says what is wrong with the device.
    """

    name: str
    state: Health | None = None
    read: int | None = None
    write: int | None = None
    cksum: int | None = None
    note: str | None = None
    children: tuple[Vdev, ...] = ()

    def walk(self) -> Iterator[Vdev]:
        """This one and everything below it, in the order of the listing."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class PoolStatus:
    """One imported pool in `zpool status`.

    `status` and `action` are sentences for a human, None when nothing is wrong. `config` has the
    pool first, then headings. `others` are further `key: value` parts.
    """

    name: str
    state: Health
    status: str | None
    action: str | None
    scan: str | None
    errors: str | None
    config: tuple[Vdev, ...]
    others: tuple[tuple[str, str], ...] = ()
    unrecognised: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportablePool:
    """One pool that `zpool import` found on the node's devices and that is not imported there.

    `state` is what it would be if imported. A pool that another node has not exported says so in
    `status`, and needs `-f`.
    """

    name: str
    guid: int
    state: Health
    destroyed: bool
    status: str | None
    action: str | None
    config: tuple[Vdev, ...]
    others: tuple[tuple[str, str], ...] = ()
    unrecognised: tuple[str, ...] = ()


def parse_list(text: str) -> tuple[PoolRow, ...]:
    """Read `LIST_COMMAND`. Raises `UnrecognisedOutput` when a line has not its columns."""
    output = Output(" ".join(LIST_COMMAND), text)
    pools = []
    for line in output.lines():
        cells = line.split("\t")
        if len(cells) != len(_COLUMNS):
            raise output.unrecognised(f"the line {line!r} has not {len(_COLUMNS)} columns")
        row = dict(zip(_COLUMNS, cells, strict=True))
        numbers = {
            key: None if row[key] == "-" else output.integer(row[key], key)
            for key in ("size", "allocated", "free", "capacity")
        }
        pools.append(
            PoolRow(
                name=row["name"],
                guid=output.integer(row["guid"], "guid"),
                size=numbers["size"],
                allocated=numbers["allocated"],
                free=numbers["free"],
                capacity_percent=numbers["capacity"],
                health=output.word(Health, row["health"], "health"),
            )
        )
    return tuple(pools)


def parse_status(text: str) -> tuple[PoolStatus, ...]:
    """Read `STATUS_COMMAND`. Raises `UnrecognisedOutput` when a pool has no state or no table."""
    output = Output(" ".join(STATUS_COMMAND), text)
    pools = []
    for part in _pools(output):
        name = part.take("pool")
        pools.append(
            PoolStatus(
                name=name,
                state=output.word(Health, part.take("state"), f"the state of {name}"),
                status=part.optional("status"),
                action=part.optional("action"),
                scan=part.optional("scan"),
                errors=part.optional("errors"),
                config=part.config(),
                others=part.others(),
                unrecognised=tuple(part.unrecognised),
            )
        )
    return tuple(pools)


def parse_import_list(text: str) -> tuple[ImportablePool, ...]:
    """Read `zpool import` without a pool's name. Nothing to import: nothing on standard output.

    13.2 then says so on its standard error and exits 0 all the same (recorded run).
    Raises `UnrecognisedOutput` when a pool has no id, no state or no table.
    """
    output = Output(" ".join(IMPORT_LIST_COMMAND), text)
    pools = []
    for part in _pools(output):
        name = part.take("pool")
        state = part.take("state")
        pools.append(
            ImportablePool(
                name=name,
                guid=output.integer(part.take("id"), f"the id of {name}"),
                state=output.word(
                    Health, state.removesuffix(" (DESTROYED)"), f"the state of {name}"
                ),
                destroyed=state.endswith(" (DESTROYED)"),
                status=part.optional("status"),
                action=part.optional("action"),
                config=part.config(),
                others=part.others(),
                unrecognised=tuple(part.unrecognised),
            )
        )
    return tuple(pools)


_KEY = re.compile(r" {0,10}([a-z][a-z ]*): ?(.*)")
_VDEV = re.compile(
    r"(?P<indent>(?:  )*)(?P<name>\S+)"
    r"(?: +(?P<state>[A-Z]+)(?: +(?P<read>[0-9]+) +(?P<write>[0-9]+) +(?P<cksum>[0-9]+))?"
    r"(?: {2,}(?P<note>\S.*))?)?\s*"
)


class _Part:
    """What was printed about one pool: `key: value`, with a table of devices after `config:`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._values: dict[str, str] = {}
        self._table: list[str] = []
        self._in_table = False
        self._margin: int | None = None
        """Blanks before the table, as its first line has them; zpool prints a tab."""
        self._last: str | None = None
        self.unrecognised: list[str] = []

    def add(self, line: str) -> None:
        spread = line.expandtabs(8)
        if not line.strip():
            # One blank line comes before the table, the next one ends it.
            self._in_table = self._in_table and not self._table
        elif self._in_table and self._is_of_table(spread):
            self._table.append(spread[self._margin :])
        elif match := _KEY.fullmatch(line):
            key = match[1]
            self._in_table = key == "config"
            self._last = key
            self._join(key, match[2])
        elif self._in_table and self._table:
            raise self._output.unrecognised(f"the line {line!r} is left of its table of devices")
        elif self._last and line[:1].isspace():
            self._join(self._last, line)
        else:
            self.unrecognised.append(line)

    def _is_of_table(self, spread: str) -> bool:
        margin = len(spread) - len(spread.lstrip())
        if self._margin is None:
            if _KEY.fullmatch(spread) and margin < 8:
                return False
            if margin == 0:
                raise self._output.unrecognised(
                    "its table of devices has lost the blanks at its left, which tell what is "
                    "in what"
                )
            self._margin = margin
        return margin >= self._margin

    def _join(self, key: str, more: str) -> None:
        # Sentences are wrapped for the screen; each scan and each damaged file has a line.
        between = "\n" if key in {"scan", "errors"} else " "
        self._values[key] = f"{self._values.get(key, '')}{between}{more.strip()}".strip()

    def optional(self, key: str) -> str | None:
        return self._values.pop(key, None)

    def take(self, key: str) -> str:
        value = self.optional(key)
        if not value:
            raise self._output.unrecognised(f"a pool has no `{key}:`")
        return value

    def others(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._values.items())

    def config(self) -> tuple[Vdev, ...]:
        said = self._values.get("config")
        if said is None:
            raise self._output.unrecognised("a pool has no `config:`")
        rows = [line for line in self._table if line.split()[:2] != ["NAME", "STATE"]]
        if not rows and not said:
            raise self._output.unrecognised("a pool has no table of devices after `config:`")
        if not said:
            del self._values["config"]
        return self._tree(rows, depth=0)

    def _tree(self, rows: list[str], depth: int) -> tuple[Vdev, ...]:
        """Take from `rows` all devices at `depth`, with what is below each of them."""
        found = []
        while rows:
            match = _VDEV.fullmatch(rows[0])
            if match is None:
                raise self._output.unrecognised(f"the line {rows[0]!r} is no device")
            level = len(match["indent"]) // 2
            if level < depth:
                break
            if level > depth:
                raise self._output.unrecognised(f"nothing is above the device in {rows[0]!r}")
            rows.pop(0)
            found.append(self._vdev(match, self._tree(rows, depth + 1)))
        return tuple(found)

    def _vdev(self, match: re.Match[str], children: tuple[Vdev, ...]) -> Vdev:
        name, state = match["name"], match["state"]
        counts = {key: match[key] for key in ("read", "write", "cksum")}
        return Vdev(
            name=name,
            state=None
            if state is None
            else self._output.word(Health, state, f"the state of {name}"),
            note=match["note"],
            children=children,
            **{key: None if count is None else int(count) for key, count in counts.items()},
        )


def _pools(output: Output) -> list[_Part]:
    parts: list[_Part] = []
    for line in output.lines():
        if re.match(r" +pool: ", line):
            parts.append(_Part(output))
        if parts:
            parts[-1].add(line)
        elif line.strip():
            raise output.unrecognised(f"the line {line!r} belongs to no pool")
    return parts
