"""The tables of zpool(8): `list`, `status`, `get`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.zfs import usage as zfs_usage
from harness.lab.simulated.zfs.pool import DEFAULTS, Pool, human
from harness.lab.simulated.zfs.zfs import Zfs

SUSPENDED = "pool I/O is currently suspended"

_SEE = "   see: https://openzfs.github.io/openzfs-docs/msg/"
_DEFAULT_COLUMNS = (
    "name,size,allocated,free,checkpoint,expandsize,fragmentation,capacity,dedupratio,health,"
    "altroot"
)
_COLUMNS = {
    "name": ("NAME", 0),
    "size": ("SIZE", 5),
    "allocated": ("ALLOC", 5),
    "free": ("FREE", 5),
    "checkpoint": ("CKPOINT", 7),
    "expandsize": ("EXPANDSZ", 8),
    "fragmentation": ("FRAG", 5),
    "capacity": ("CAP", 5),
    "dedupratio": ("DEDUP", 5),
    "health": ("HEALTH", 8),
    "altroot": ("ALTROOT", -7),
}
"""Heading and width of each column; below 0 it is left-justified."""

_SHORT = {"alloc": "allocated", "cap": "capacity", "frag": "fragmentation", "dedup": "dedupratio"}


def cell(pool: Pool, name: str, *, exact: bool) -> str:
    """A property's value as `list` and `get` print it; `exact` is -p."""
    sizes = {"size": pool.size, "allocated": pool.allocated, "free": pool.size - pool.allocated}
    if name in sizes:
        return str(sizes[name]) if exact else human(sizes[name])
    percent = {"capacity": pool.allocated * 100 // pool.size, "fragmentation": 0}
    if name in percent:
        return str(percent[name]) if exact else f"{percent[name]}%"
    fixed = {
        "name": pool.name,
        "guid": str(pool.guid),
        "health": pool.health,
        "dedupratio": "1.00" if exact else "1.00x",
        "checkpoint": "-",
        "expandsize": "-",
        "freeing": "0",
        "leaked": "0",
        "version": "-",
        "readonly": "on" if pool.read_only else "off",
        "load_guid": str(pool.guid ^ 0x0F0F0F0F0F0F0F0F),
    }
    return fixed[name] if name in fixed else pool.setting(name)


def property_row(pool: Pool, name: str, *, exact: bool) -> tuple[str, str]:
    """A property's value and source, for `zpool get`."""
    value = cell(pool, name, exact=exact)
    if name not in DEFAULTS and name != "version":
        return value, "-"
    if name in {"altroot", "cachefile"}:
        return value, "default" if value == "-" else "local"
    return value, "local" if name in pool.properties else "default"


WIDTHS = {
    "allocated": 5,
    "ashift": 6,
    "autoexpand": 6,
    "autoreplace": 7,
    "autotrim": 8,
    "capacity": 5,
    "checkpoint": 7,
    "dedupratio": 5,
    "delegation": 10,
    "expandsize": 8,
    "failmode": 8,
    "fragmentation": 5,
    "free": 5,
    "freeing": 7,
    "guid": 5,
    "health": 8,
    "leaked": 6,
    "listsnapshots": 9,
    "load_guid": 9,
    "multihost": 9,
    "readonly": 6,
    "size": 5,
    "version": 7,
}
"""How wide the values of a pool's property are, all that are not texts.

The widest of its short heading, of what it may be, and of 5 for a number (zprop_width() and
zpool_prop_init() in OpenZFS's module/zcommon).
"""

TEXT_WIDTHS = {
    "altroot": 7,
    "bootfs": 6,
    "cachefile": 9,
    "comment": 7,
    "compatibility": 13,
}
"""The same of texts, whose values make the column wider."""


def table(
    context: Context,
    options: Options,
    rows: Sequence[tuple[str, ...]],
    *,
    widths: Mapping[str, int],
    text_widths: Mapping[str, int],
) -> None:
    """Print `zpool get` and `zfs get`: NAME PROPERTY VALUE SOURCE.

    A value that is longer than its column has room moves what is right of it (zprop_get_list() and
    zprop_print_headers() in lib/libzfs/libzfs_util.c). A property that is in neither mapping is
    somebody's own: a text, and as wide as its name.
    """
    columns = ["name", "property", "value", "source"]
    wanted = options.value("o", "name,property,value,source").split(",")
    if wanted == ["all"]:
        wanted = columns
    for each in wanted:
        if each not in columns:
            raise NotModelled(f"get -o {each}")
    cells = [[row[columns.index(each)] for each in wanted] for row in rows]
    if "H" in options:
        for line in cells:
            context.print("\t".join(line))
        return
    if not rows:
        return
    values = [len("VALUE")]
    for _, name, value, *_ in rows:
        values.append(widths.get(name, text_widths.get(name, len(name))))
        if name not in widths or "p" in options:
            values.append(len(value))
    longest = max(len(row[0]) for row in rows)
    room = {
        "name": max(4, longest),
        "property": max(8, *(len(row[1]) for row in rows)),
        "value": max(values),
        "source": longest + len("inherited from") if longest > 4 else 6,
    }
    for line in [[each.upper() for each in wanted], *cells]:
        padded = [text.ljust(room[each]) for each, text in zip(wanted, line, strict=True)]
        context.print("  ".join([*padded[:-1], line[-1]]))


def print_list(
    context: Context, options: Options, no_such_pool: Callable[[Context, str], int]
) -> int:
    """Print `zpool list`."""
    pools = context.guest.part(Zfs).pools
    wanted = [
        _SHORT.get(each, each) for each in options.value("o", _DEFAULT_COLUMNS).lower().split(",")
    ]
    for each in wanted:
        known = each in _COLUMNS or each in {"guid", "freeing", "leaked", "load_guid", "readonly"}
        if not known and each not in DEFAULTS:
            context.stderr += (
                f"bad property list: invalid property '{each}'\nusage:\n"
                f"{zfs_usage.ZPOOL_COMMANDS['list']}\n{zfs_usage.ZPOOL_PROPERTIES}"
            ).encode()
            return 2
    if not pools and not options.rest:
        if "H" not in options:
            context.print("no pools available")
        return 0
    status = 0
    rows = []
    for name in options.rest or list(pools):
        if name in pools:
            rows.append([cell(pools[name], each, exact="p" in options) for each in wanted])
        else:
            status = no_such_pool(context, name)
    if "H" in options:
        for row in rows:
            context.print("\t".join(row))
    elif rows:
        _print_columns(context, wanted, rows)
    return status


def _print_columns(context: Context, wanted: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for each in wanted:
        if each not in _COLUMNS:
            raise NotModelled(f"zpool list -o {each} without -H")
    name_width = max(4, *(len(row[0]) for row in rows)) if "name" in wanted else 0
    for line in [[_COLUMNS[each][0] for each in wanted], *rows]:
        cells = []
        for number, (each, text) in enumerate(zip(wanted, line, strict=True)):
            width = _COLUMNS[each][1]
            if each == "name":
                cells.append(text.ljust(name_width))
            elif width < 0:
                last = number == len(wanted) - 1
                cells.append(text if last else text.ljust(-width))
            else:
                cells.append(text.rjust(width))
        context.print("  ".join(cells).rstrip() if wanted[-1] == "name" else "  ".join(cells))


def print_status(context: Context, pool: Pool, *, verbose: bool) -> None:
    """Print one pool of `zpool status`."""
    context.print(f"  pool: {pool.name}\n state: {pool.health}")
    for line in _status_lines(pool):
        context.print(line)
    if pool.scrubbing is not None:
        raise NotModelled("zpool status during a scrub")
    if pool.scan is not None:
        context.print(f"  scan: {pool.scan}")
    context.print("config:\n")
    width = max(10, len(pool.name), len(pool.path) + 2)
    context.print(f"\t{'NAME':{width}}  STATE     READ WRITE CKSUM")
    lost = pool.gone
    counts = (pool.read_errors, pool.write_errors, pool.cksum_errors)
    _print_vdev(
        context,
        pool.name.ljust(width),
        "UNAVAIL" if lost else "ONLINE",
        (0, 0, 0),
        "insufficient replicas" if lost else "",
    )
    _print_vdev(context, f"  {pool.path}".ljust(width), pool.vdev_state, counts, "")
    context.print("")
    _print_errors(context, pool, verbose=verbose)


def _print_vdev(context: Context, name: str, state: str, counts: Iterable[int], note: str) -> None:
    numbers = " ".join(f"{each:5}" for each in counts)
    context.print(f"\t{name}  {state:8} {numbers}" + (f"  {note}" if note else ""))


def _print_errors(context: Context, pool: Pool, *, verbose: bool) -> None:
    if pool.suspended:
        if not verbose:
            context.print(f"errors: {max(3, len(pool.damaged))} data errors, use '-v' for a list")
        context.complain(f"errors: List of errors unavailable: {SUSPENDED}")
    elif not pool.damaged:
        context.print("errors: No known data errors")
    elif verbose:
        context.print("errors: Permanent errors have been detected in the following files:\n")
        for file in pool.damaged:
            context.print(f"        {file}")
    else:
        context.print(f"errors: {len(pool.damaged)} data errors, use '-v' for a list")


def _status_lines(pool: Pool) -> list[str]:
    if pool.suspended:
        code = "HC" if pool.setting("failmode") == "wait" else "JQ"
        return [
            "status: One or more devices are faulted in response to IO failures.",
            "action: Make sure the affected devices are connected, then run 'zpool clear'.",
            f"{_SEE}ZFS-8000-{code}",
        ]
    if pool.gone:
        return [
            "status: One or more devices has been removed by the administrator.",
            "\tSufficient replicas exist for the pool to continue functioning in a",
            "\tdegraded state.",
            "action: Online the device using zpool online' or replace the device with",
            "\t'zpool replace'.",
        ]
    if pool.damaged:
        return [
            "status: One or more devices has experienced an error resulting in data",
            "\tcorruption.  Applications may be affected.",
            "action: Restore the file in question if possible.  Otherwise restore the",
            "\tentire pool from backup.",
            f"{_SEE}ZFS-8000-8A",
        ]
    if pool.cksum_errors or pool.read_errors or pool.write_errors:
        return [
            "status: One or more devices has experienced an unrecoverable error.  An",
            "\tattempt was made to correct the error.  Applications are unaffected.",
            "action: Determine if the device needs to be replaced, and clear the errors",
            "\tusing 'zpool clear' or replace the device with 'zpool replace'.",
            f"{_SEE}ZFS-8000-9P",
        ]
    return []
