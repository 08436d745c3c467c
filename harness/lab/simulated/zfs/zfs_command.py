"""zfs(8) of FreeBSD 13.2: file systems and snapshots, in moderation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.zfs import usage as zfs_usage
from harness.lab.simulated.zfs.dataset import DEFAULTS, EMPTY_BYTES, Dataset
from harness.lab.simulated.zfs.format import DatasetRecord
from harness.lab.simulated.zfs.pool import Pool, human, pool_of
from harness.lab.simulated.zfs.zfs import Zfs
from harness.lab.simulated.zfs.zpool_print import SUSPENDED, table

_READ_ONLY = (
    "available",
    "createtxg",
    "creation",
    "guid",
    "mounted",
    "referenced",
    "type",
    "used",
    "written",
)
_CHOICES = {
    "sync": "standard | always | disabled",
    "readonly": "on | off",
    "atime": "on | off",
    "canmount": "on | off | noauto",
    "logbias": "latency | throughput",
}
_HEADINGS = {"available": "AVAIL", "referenced": "REFER"}
_RIGHT = {"used": 5, "available": 5, "referenced": 8}
_SHORT = {"avail": "available", "refer": "referenced"}


_COMPRESSIONS = (
    "on | off | lzjb | gzip | gzip-[1-9] | zle | lz4 | zstd | zstd-[1-19] | zstd-fast"
    " | zstd-fast-[1-10,20,30,40,50,60,70,80,90,100,500,1000]"
)
_COMPRESSION = re.compile(
    r"on|off|lzjb|gzip(-[1-9])?|zle|lz4|zstd(-([1-9]|1\d))?|zstd-fast(-([1-9]|[1-9]0|[15]00|1000))?"
)
_NOT_INHERITED = ("canmount", "quota", "reservation")
_WIDTHS = {
    "atime": 5,
    "available": 5,
    "canmount": 8,
    "checksum": 9,
    "compression": 14,
    "copies": 6,
    "createtxg": 9,
    "exec": 4,
    "guid": 5,
    "logbias": 10,
    "mounted": 7,
    "primarycache": 12,
    "quota": 5,
    "readonly": 6,
    "recordsize": 7,
    "referenced": 5,
    "reservation": 6,
    "setuid": 6,
    "sync": 8,
    "used": 5,
    "written": 7,
}
"""How wide a value is in `zfs get`; the widest of its short heading and of what it may be."""

_TEXT_WIDTHS = {"creation": 8, "mountpoint": 10, "origin": 6, "type": 4}


@dataclass(frozen=True)
class _Row:
    """A file system or a snapshot as it is listed."""

    name: str
    dataset: Dataset
    snapshot: DatasetRecord | None = None


@command("zfs")
def zfs(context: Context, arguments: list[str]) -> int | Program:
    """Run one of its commands."""
    if not arguments:
        return _usage(context, zfs_usage.ZFS)
    name, rest = arguments[0], arguments[1:]
    name = {"snap": "snapshot", "umount": "unmount"}.get(name, name)
    if name in _COMMANDS:
        try:
            return _COMMANDS[name](context, rest)
        except BadOption as bad:
            if bad.letter in zfs_usage.ZFS_COMMANDS[name].split("]")[0]:
                raise NotModelled(f"zfs {name} -{bad.letter}") from None
            kind = "missing argument for" if bad.missing else "invalid option"
            return _command_usage(context, name, f"{kind} '{bad.letter}'")
    if f"\n\t{name} " in zfs_usage.ZFS:
        raise NotModelled(f"zfs {name}")
    return _usage(
        context, zfs_usage.ZFS.replace("missing command", f"unrecognized command '{name}'")
    )


def _usage(context: Context, text: str) -> int:
    context.stderr += text.encode()
    return 2


def _command_usage(context: Context, name: str, complaint: str, more: str = "") -> int:
    return _usage(context, f"{complaint}\nusage:\n{zfs_usage.ZFS_COMMANDS[name]}{more}")


_HINT = (
    "\nFor the property list, run: zfs set|get\n\n"
    "For the delegated permission list, run: zfs allow|unallow\n"
)


def _open(context: Context, name: str) -> Dataset | None:
    """A file system by name; complains when it is not there or its pool suspended."""
    dataset = context.guest.part(Zfs).dataset(name)
    if dataset is None:
        context.complain(f"cannot open '{name}': dataset does not exist")
    elif pool_of(dataset).suspended:
        context.complain(f"cannot open '{name}': {SUSPENDED}")
        dataset = None
    return dataset


# --- list and get ---------------------------------------------------------------------------------


def _list(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "Hpr", "otsSd")
    for letter in "sSd":
        if letter in options:
            raise NotModelled(f"zfs list -{letter}")
    wanted = options.value("o", "name,used,avail,refer,mountpoint").lower().split(",")
    wanted = [_SHORT.get(each, each) for each in wanted]
    for each in wanted:
        if each in {"name", "mountpoint", "origin"} or each in _READ_ONLY or each in DEFAULTS:
            continue
        if re.search(rf"^\t{re.escape(each)} ", zfs_usage.ZFS_PROPERTIES, re.MULTILINE):
            raise NotModelled(f"zfs list -o {each}")
        complaint = f"bad property list: invalid property '{each}'"
        return _command_usage(context, "list", complaint, "\n" + zfs_usage.ZFS_PROPERTIES)
    status, rows = _chosen(context, options)
    if not rows:
        if status == 0:
            context.stderr += b"" if "H" in options else b"no datasets available\n"
        return status
    lines = [[_cell(row, each, exact="p" in options) for each in wanted] for row in rows]
    if "H" in options:
        for line in lines:
            context.print("\t".join(line))
    else:
        _print_table(context, wanted, lines)
    return status


def _chosen(context: Context, options: Options) -> tuple[int, list[_Row]]:
    """What to list: the exit status and the rows."""
    types = options.value("t", "filesystem,volume").split(",")
    if "all" in types:
        types = ["filesystem", "snapshot"]
    for each in types:
        if each not in {"filesystem", "fs", "snapshot", "snap", "volume", "vol"}:
            raise NotModelled(f"zfs list -t {each}")
    pools = context.guest.part(Zfs).pools
    if not options.rest:
        usable = [pools[name] for name in sorted(pools) if not pools[name].suspended]
        return 0, [row for pool in usable for row in _rows(pool, "", types)]
    rows: list[_Row] = []
    status = 0
    for name in options.rest:
        if "@" in name:
            raise NotModelled("zfs list of one snapshot")
        dataset = _open(context, name)
        if dataset is None:
            status = 1
        elif "r" in options or "t" in options:
            rows += _rows(pool_of(dataset), dataset.relative, types)
        else:
            rows.append(_Row(name, dataset))
    return status, rows


def _rows(pool: Pool, top: str, types: list[str]) -> list[_Row]:
    rows = []
    for relative in sorted(pool.datasets):
        if top and relative != top and not relative.startswith(top + "/"):
            continue
        dataset = pool.datasets[relative]
        if "filesystem" in types or "fs" in types:
            rows.append(_Row(dataset.device, dataset))
        if "snapshot" in types or "snap" in types:
            rows += [
                _Row(f"{dataset.device}@{each.partition('@')[2]}", dataset, pool.snapshots[each])
                for each in pool.snapshots
                if each.partition("@")[0] == relative
            ]
    return rows


def _used(dataset: Dataset) -> int:
    if not dataset.relative:
        return pool_of(dataset).allocated
    below = dataset.relative + "/"
    return dataset.referenced + sum(
        each.referenced
        for name, each in pool_of(dataset).datasets.items()
        if name.startswith(below)
    )


def _cell(row: _Row, name: str, *, exact: bool) -> str:
    """A property's value as `list` and `get` print it; `exact` is -p."""
    dataset = row.dataset
    if row.snapshot is not None:
        return _snapshot_cell(row, name, exact=exact)
    sizes: dict[str, Callable[[], int]] = {
        "used": lambda: _used(dataset),
        "available": lambda: pool_of(dataset).available,
        "referenced": lambda: dataset.referenced,
        "written": lambda: dataset.referenced,
    }
    if name in sizes:
        return str(sizes[name]()) if exact else human(sizes[name]())
    if name in {"creation", "origin"}:
        raise NotModelled(f"the property {name}")
    fixed = {
        "name": row.name,
        "type": "filesystem",
        "mounted": "yes" if dataset.mounted_on is not None else "no",
        "mountpoint": dataset.mountpoint,
        "guid": str(dataset.guid),
        "createtxg": str(dataset.created_txg),
    }
    return fixed[name] if name in fixed else dataset.setting(name)


def _snapshot_cell(row: _Row, name: str, *, exact: bool) -> str:
    assert row.snapshot is not None
    match name:
        case "name":
            return row.name
        case "type":
            return "snapshot"
        case "used":
            return "0" if exact else "0B"
        case "referenced":
            size = int(row.snapshot.properties.get("referenced", EMPTY_BYTES))
            return str(size) if exact else human(size)
        case "available" | "mounted" | "mountpoint":
            return "-"
        case "guid":
            return str(row.snapshot.guid)
    raise NotModelled(f"the property {name} of a snapshot")


def _print_table(context: Context, wanted: list[str], lines: list[list[str]]) -> None:
    headings = [_HEADINGS.get(each, each.upper()) for each in wanted]
    columns = list(zip(headings, *lines, strict=True))
    for line in zip(*columns, strict=True):
        cells = []
        for each, text, column in zip(wanted, line, columns, strict=True):
            width = max(_RIGHT.get(each, 0), *map(len, column))
            cells.append(text.rjust(width) if each in _RIGHT else text.ljust(width))
        last = wanted[-1]
        if last not in _RIGHT:
            cells[-1] = line[-1]
        context.print("  ".join(cells))


def _get(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "Hpr", "odts")
    for letter in "rdts":
        if letter in options:
            raise NotModelled(f"zfs get -{letter}")
    more = "\n" + zfs_usage.ZFS_PROPERTIES
    if not options.rest:
        return _command_usage(context, "get", "missing property argument", more)
    names = [_SHORT.get(each, each) for each in options.rest[0].split(",")]
    if names == ["all"]:
        raise NotModelled("zfs get all")
    for each in names:
        if each in _READ_ONLY or each in DEFAULTS or each == "mountpoint" or ":" in each:
            continue
        if re.search(rf"^\t{re.escape(each)} ", zfs_usage.ZFS_PROPERTIES, re.MULTILINE):
            raise NotModelled(f"zfs get {each}")
        return _command_usage(context, "get", f"bad property list: invalid property '{each}'", more)
    status = 0
    rows = []
    for name in options.rest[1:] or _every_name(context):
        dataset = _open(context, name)
        if dataset is None:
            status = 1
            continue
        for each in names:
            value = _cell(_Row(name, dataset), each, exact="p" in options)
            rows.append((name, each, value, _source(dataset, each)))
    table(context, options, rows, widths=_WIDTHS, text_widths=_TEXT_WIDTHS)
    return status


def _every_name(context: Context) -> list[str]:
    pools = context.guest.part(Zfs).pools
    return [
        dataset.device
        for name in sorted(pools)
        for _, dataset in sorted(pools[name].datasets.items())
    ]


def _source(dataset: Dataset, name: str) -> str:
    if name in _READ_ONLY:
        return "-"
    if name == "mountpoint":
        return dataset.mountpoint_source()[1]
    return dataset.setting_source(name)[1]


# --- changes --------------------------------------------------------------------------------------


def _set(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "")
    more = "\n" + zfs_usage.ZFS_PROPERTIES
    pairs = [each for each in options.rest if "=" in each]
    names = [each for each in options.rest if "=" not in each]
    if not options.rest:
        return _command_usage(context, "set", "missing arguments", more)
    if not pairs:
        return _command_usage(context, "set", "missing property=value argument(s)", more)
    if not names:
        return _command_usage(context, "set", "missing dataset name(s)", more)
    return _set_all(context, pairs, names)


def _set_all(context: Context, pairs: list[str], names: list[str]) -> Program:
    status = 0
    for name in names:
        dataset = _open(context, name)
        if dataset is None:
            return 1
        for pair in pairs:
            key, _, value = pair.partition("=")
            wrong = _wrong_value(key, value)
            if wrong is not None:
                context.complain(f"cannot set property for '{name}': {wrong}")
                status = 1
                continue
            _apply(context, dataset, key, value)
        pool_of(dataset).add_history(f"zfs set {' '.join(pairs)} {name}")
        yield pool_of(dataset).wait_synced()
    return status


def _wrong_value(key: str, value: str) -> str | None:
    if key in _READ_ONLY:
        return f"'{key}' is readonly"
    if key in _CHOICES and value not in _CHOICES[key].split(" | "):
        return f"'{key}' must be one of '{_CHOICES[key]}'"
    if key == "compression" and not _COMPRESSION.fullmatch(value):
        return f"'{key}' must be one of '{_COMPRESSIONS}'"
    if key in DEFAULTS or key == "mountpoint" or ":" in key:
        if key in {"quota", "reservation", "recordsize", "compression", "copies"}:
            raise NotModelled(f"zfs set {key}")
        return None
    if re.search(rf"^\t{re.escape(key)} ", zfs_usage.ZFS_PROPERTIES, re.MULTILINE):
        raise NotModelled(f"zfs set {key}")
    return f"invalid property '{key}'"


def _apply(context: Context, dataset: Dataset, key: str, value: str) -> None:
    zfs_ = context.guest.part(Zfs)
    dataset.properties[key] = value
    if key == "mountpoint" and dataset.mounted_on is not None:
        if zfs_.busy(dataset):
            raise NotModelled("zfs set mountpoint with file systems mounted below")
        zfs_.unmount(dataset)
        if value not in {"none", "legacy"}:
            zfs_.mount(dataset)
    if key == "readonly":
        _apply_read_only(dataset)


def _apply_read_only(dataset: Dataset) -> None:
    for each in pool_of(dataset).datasets.values():
        each.read_only = each.pool.read_only or each.setting("readonly") == "on"


def _inherit(context: Context, arguments: list[str]) -> int | Program:
    """Have a property be what it is above, or by default (zfs_do_inherit() in zfs_main.c)."""
    options = Options(arguments, "rS")
    more = "\n" + zfs_usage.ZFS_PROPERTIES
    if not options.rest:
        return _command_usage(context, "inherit", "missing property argument", more)
    key, *names = options.rest
    if not names:
        return _command_usage(context, "inherit", "missing dataset argument", more)
    if key in _READ_ONLY:
        context.complain(f"{key} property is read-only")
        return 1
    if key in _NOT_INHERITED and "S" not in options:
        context.complain(f"'{key}' property cannot be inherited")
        if key != "canmount":
            context.complain(
                f"use 'zfs set {key}=none' to clear\n"
                f"use 'zfs inherit -S {key}' to revert to received value"
            )
        return 1
    if key not in DEFAULTS and key != "mountpoint" and ":" not in key:
        if re.search(rf"^\t{re.escape(key)} ", zfs_usage.ZFS_PROPERTIES, re.MULTILINE):
            raise NotModelled(f"zfs inherit {key}")
        return _command_usage(context, "inherit", f"invalid property '{key}'", more)
    return _inherit_all(context, options, key, names)


def _inherit_all(context: Context, options: Options, key: str, names: list[str]) -> Program:
    status = 0
    for name in names:
        if "@" in name:
            raise NotModelled("zfs inherit of a snapshot")
        dataset = _open(context, name)
        if dataset is None:
            status = 1
            continue
        if "r" in options or "S" in options or key == "mountpoint":
            raise NotModelled(f"zfs inherit {' '.join(options.rest)} with -r, -S or mountpoint")
        dataset.properties.pop(key, None)
        if key == "readonly":
            _apply_read_only(dataset)
        pool_of(dataset).add_history(f"zfs inherit {key} {name}")
        yield pool_of(dataset).wait_synced()
    return status


def _create(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "pu", "oV")
    if "V" in options:
        raise NotModelled("zfs create -V")
    if not options.rest:
        return _command_usage(context, "create", "missing filesystem argument", _HINT)
    if len(options.rest) > 1:
        return _command_usage(context, "create", "too many arguments", _HINT)
    given = dict(each.split("=", 1) for each in options.values("o") if "=" in each)
    for key, value in given.items():
        wrong = _wrong_value(key, value)
        if wrong is not None:
            context.complain(f"cannot create '{options.rest[0]}': {wrong}")
            return 1
    return _create_one(context, options, given)


def _create_one(context: Context, options: Options, given: dict[str, str]) -> Program:
    guest = context.guest
    name = options.rest[0]
    top, _, relative = name.partition("/")
    pool = guest.part(Zfs).pools.get(top)
    if pool is not None and relative in pool.datasets and "p" in options and relative:
        return 0
    wrong = _wrong_to_create(pool, top, relative, parents="p" in options)
    if wrong is not None or pool is None:
        context.complain(f"cannot create '{name}': {wrong}")
        return 1
    parts = relative.split("/")
    made = []
    for count in range(1, len(parts) + 1):
        each = "/".join(parts[:count])
        if each not in pool.datasets:
            made.append(Dataset(pool, each))
            pool.datasets[each] = made[-1]
    made[-1].properties.update(given)
    pool.add_history(f"zfs create {name}")
    yield pool.wait_synced()
    if "u" not in options:
        for dataset in made:
            if dataset.mountpoint not in {"none", "legacy"}:
                guest.part(Zfs).mount(dataset)
    return 0


def _wrong_to_create(pool: Pool | None, top: str, relative: str, *, parents: bool) -> str | None:
    if not relative:
        return "missing dataset name"
    if pool is None:
        return f"no such pool '{top}'"
    if pool.suspended:
        return SUSPENDED
    if relative in pool.datasets:
        return "dataset already exists"
    if not re.fullmatch(r"[A-Za-z0-9_.: /-]+", relative):
        raise NotModelled(f"zfs create with a name like {relative}")
    missing = relative.rpartition("/")[0] not in pool.datasets and not parents
    return "parent does not exist" if missing else None


def _destroy(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "rf")
    if not options.rest:
        return _command_usage(context, "destroy", "missing dataset argument", _HINT)
    name = options.rest[0]
    if "@" in name:
        return _destroy_snapshot(context, name, below="r" in options)
    dataset = _open(context, name)
    if dataset is None:
        return 1
    return _destroy_one(context, dataset, options)


def _destroy_one(context: Context, dataset: Dataset, options: Options) -> int | Program:
    pool, relative = pool_of(dataset), dataset.relative
    below = [
        each for each in pool.datasets if each.startswith(relative + "/") or (not relative and each)
    ]
    snapshots = [each for each in pool.snapshots if each.partition("@")[0] in {relative, *below}]
    if not relative:
        raise NotModelled("zfs destroy of a pool's top file system")
    if (below or snapshots) and "r" not in options:
        context.complain(
            f"cannot destroy '{dataset.device}': filesystem has children\n"
            "use '-r' to destroy the following datasets:"
        )
        for each in [*sorted(below, reverse=True), relative]:
            for snapshot in snapshots:
                if snapshot.partition("@")[0] == each:
                    context.complain(f"{pool.name}/{snapshot}")
            if each != relative:
                context.complain(pool.full_name(each))
        return 1
    return _destroy_all(context, dataset, below, snapshots)


def _destroy_all(
    context: Context, dataset: Dataset, below: list[str], snapshots: list[str]
) -> Program:
    pool = pool_of(dataset)
    for each in snapshots:
        del pool.snapshots[each]
    for each in sorted([*below, dataset.relative], reverse=True):
        context.guest.part(Zfs).unmount(pool.datasets[each])
        pool.forget(each)
    pool.add_history(f"zfs destroy {dataset.device}")
    yield pool.wait_synced()
    return 0


def _destroy_snapshot(context: Context, name: str, *, below: bool) -> int | Program:
    """One snapshot, or those of that name `below`, too (gather_snapshots() in zfs_main.c)."""
    top, _, snapshot = name.partition("@")
    if not snapshot or set(snapshot) & set("%,@"):
        raise NotModelled("zfs destroy of several snapshots")
    dataset = _open(context, top)
    if dataset is None:
        return 1
    prefix = dataset.relative + "/" if dataset.relative else ""
    found = [
        each
        for each in pool_of(dataset).snapshots
        if each == f"{dataset.relative}@{snapshot}"
        or (below and each.startswith(prefix) and each.endswith(f"@{snapshot}"))
    ]
    if not found:
        context.complain("could not find any snapshots to destroy; check snapshot names.")
        return 1
    for each in found:
        del pool_of(dataset).snapshots[each]
    pool_of(dataset).add_history(f"zfs destroy {name}")
    return _synced(pool_of(dataset))


def _synced(pool: Pool) -> Program:
    yield pool.wait_synced()
    return 0


def _snapshot(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "r", "o")
    if "o" in options or len(options.rest) > 1:
        raise NotModelled("zfs snapshot -o, or of several")
    if not options.rest:
        return _command_usage(context, "snapshot", "missing snapshot argument", _HINT)
    name = options.rest[0]
    top, at, label = name.partition("@")
    if not at:
        raise NotModelled("zfs snapshot of a name without @")
    dataset = context.guest.part(Zfs).dataset(top)
    if dataset is None or pool_of(dataset).suspended:
        why = "dataset does not exist" if dataset is None else SUSPENDED
        return _command_usage(context, "snapshot", f"cannot open '{top}': {why}", _HINT)
    chosen = [dataset]
    if "r" in options:
        prefix = dataset.relative + "/" if dataset.relative else ""
        chosen += [
            each
            for path, each in sorted(pool_of(dataset).datasets.items())
            if path.startswith(prefix) and each is not dataset
        ]
    if any(f"{each.relative}@{label}" in pool_of(dataset).snapshots for each in chosen):
        context.complain(f"cannot create snapshot '{name}': dataset already exists")
        return 1
    return _snapshot_all(context, chosen, label)


def _snapshot_all(context: Context, chosen: list[Dataset], label: str) -> Program:
    pool = pool_of(chosen[0])
    yield pool.wait_synced()
    for each in chosen:
        assert each.objects is not None
        pool.snapshots[f"{each.relative}@{label}"] = DatasetRecord(
            f"{each.relative}@{label}",
            context.guest.rng.getrandbits(64),
            context.guest.wall_clock(),
            pool.txg,
            each.objects,
            {"referenced": str(each.referenced)},
        )
    pool.add_history(f"zfs snapshot {chosen[0].device}@{label}")
    yield pool.wait_synced()
    return 0


# --- mounts ---------------------------------------------------------------------------------------


def _mount(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "av")
    zfs_ = context.guest.part(Zfs)
    if "a" in options:
        for pool in zfs_.pools.values():
            if not pool.suspended:
                zfs_.mount_all(pool)
        return 0
    if not options.rest:
        for at, filesystem in context.guest.tree.mounts.items():
            if isinstance(filesystem, Dataset):
                context.print(f"{filesystem.device:30}  {at}")
        return 0
    name = options.rest[0]
    dataset = _open(context, name)
    if dataset is None:
        return 1
    if dataset.mounted_on is not None:
        context.complain(f"cannot mount '{name}': filesystem already mounted")
        return 1
    if dataset.mountpoint in {"none", "legacy"} or zfs_.mount(dataset) is not None:
        raise NotModelled(f"zfs mount {name} with mountpoint={dataset.mountpoint}")
    return 0


def _unmount(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "af")
    zfs_ = context.guest.part(Zfs)
    if "a" in options:
        if zfs_.is_suspended():
            return _for_ever()
        for pool in zfs_.pools.values():
            zfs_.unmount_all(pool, remove=False)
        return 0
    if not options.rest:
        return _command_usage(context, "unmount", "missing filesystem argument", _HINT)
    if options.rest[0].startswith("/"):
        raise NotModelled("zfs unmount of a mountpoint")
    dataset = _open(context, options.rest[0])
    return 1 if dataset is None else _unmount_one(context, dataset, force="f" in options)


def _unmount_one(context: Context, dataset: Dataset, *, force: bool) -> int | Program:
    if dataset.mounted_on is None:
        context.complain(f"cannot unmount '{dataset.device}': not currently mounted")
        return 1
    if context.guest.part(Zfs).busy(dataset) and not force:
        context.complain(f"cannot unmount '{dataset.mounted_on}': pool or dataset is busy")
        return 1
    context.guest.part(Zfs).unmount(dataset)
    return _synced(pool_of(dataset))


def _for_ever() -> Program:
    yield Signal()
    return 0


def _share(_: Context, arguments: list[str]) -> int:
    if arguments != ["-a"]:
        raise NotModelled("zfs share")
    return 0


def _version(context: Context, arguments: list[str]) -> int:
    Options(arguments, "")
    context.print("zfs-2.1.9-FreeBSD_g92e0d9d18\nzfs-kmod-2.1.9-FreeBSD_g92e0d9d18")
    return 0


_COMMANDS: dict[str, Callable[[Context, list[str]], int | Program]] = {
    "list": _list,
    "get": _get,
    "set": _set,
    "inherit": _inherit,
    "create": _create,
    "destroy": _destroy,
    "snapshot": _snapshot,
    "mount": _mount,
    "unmount": _unmount,
    "share": _share,
    "version": _version,
}
