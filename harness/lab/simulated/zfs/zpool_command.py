"""zpool(8) of FreeBSD 13.2 (OpenZFS 2.1) for pools on one device."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.hardware.disk import LocalDisk
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.zfs import usage as zfs_usage
from harness.lab.simulated.zfs.dataset import DEFAULTS as DATASET_DEFAULTS
from harness.lab.simulated.zfs.loading import SMALLEST, LabelScan
from harness.lab.simulated.zfs.pool import DEFAULTS, Pool
from harness.lab.simulated.zfs.pool_name import wrong_name
from harness.lab.simulated.zfs.zfs import Zfs
from harness.lab.simulated.zfs.zpool_import import zpool_import
from harness.lab.simulated.zfs.zpool_print import (
    SUSPENDED,
    TEXT_WIDTHS,
    WIDTHS,
    print_list,
    print_status,
    property_row,
    table,
)

if TYPE_CHECKING:
    from harness.lab.simulated.hardware.disk import BlockDevice

_VDEV_WORDS = re.compile(r"mirror|raidz[0-9]?|draid.*|spare|log|cache|special|dedup")
_CHOICES = {
    "failmode": "wait | continue | panic",
    "autoexpand": "on | off",
    "autoreplace": "on | off",
    "autotrim": "on | off",
    "delegation": "on | off",
    "listsnapshots": "on | off",
}
_READ_ONLY = (
    "allocated",
    "capacity",
    "checkpoint",
    "dedupratio",
    "expandsize",
    "fragmentation",
    "free",
    "freeing",
    "guid",
    "health",
    "leaked",
    "load_guid",
    "size",
)


@command("zpool")
def zpool(context: Context, arguments: list[str]) -> int | Program:
    """Run one of its commands."""
    if not arguments:
        return _usage(context, zfs_usage.ZPOOL)
    name, rest = arguments[0], arguments[1:]
    if name in _COMMANDS:
        try:
            return _COMMANDS[name](context, rest)
        except BadOption as bad:
            return bad_option(context, name, bad)
    if f"\n\t{name} " in zfs_usage.ZPOOL or f"\n\t{name}\n" in zfs_usage.ZPOOL:
        raise NotModelled(f"zpool {name}")
    return _usage(
        context, zfs_usage.ZPOOL.replace("missing command", f"unrecognized command '{name}'")
    )


def bad_option(context: Context, name: str, bad: BadOption) -> int:
    """Complain about an option."""
    if f"-{bad.letter}" in "".join(zfs_usage.ZPOOL_COMMANDS[name].split("]")[:2]):
        raise NotModelled(f"zpool {name} -{bad.letter}")
    kind = "missing argument for" if bad.missing else "invalid option"
    return command_usage(context, name, f"{kind} '{bad.letter}'")


def command_usage(context: Context, name: str, complaint: str, more: str = "") -> int:
    """A complaint with the use of one command."""
    return _usage(context, f"{complaint}\nusage:\n{zfs_usage.ZPOOL_COMMANDS[name]}{more}")


def _usage(context: Context, text: str) -> int:
    context.stderr += text.encode()
    return 2


def no_such_pool(context: Context, name: str) -> int:
    """Complain that no such pool is imported, or that none can have this name."""
    context.complain(f"cannot open '{name}': {wrong_name(name, new=False) or 'no such pool'}")
    return 1


def _pool(context: Context, name: str) -> Pool | None:
    return context.guest.part(Zfs).pools.get(name)


# --- create and destroy ---------------------------------------------------------------------------


def _create(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "fnd", "oOmR")
    for letter in "ndR":
        if letter in options:
            raise NotModelled(f"zpool create -{letter}")
    properties: dict[str, str] = {}
    for each in options.values("o"):
        name, _, value = each.partition("=")
        if name not in DEFAULTS and not name.startswith("feature@"):
            context.complain(f"property '{name}' is not a valid pool property")
            return 1
        properties[name] = value
    own: dict[str, str] = {"mountpoint": options.value("m")} if "m" in options else {}
    for each in options.values("O"):
        name, _, value = each.partition("=")
        if name not in DATASET_DEFAULTS and name != "mountpoint" and ":" not in name:
            if re.search(rf"^\t{name} ", zfs_usage.ZFS_PROPERTIES, re.MULTILINE):
                raise NotModelled(f"zpool create -O {name}")
            context.complain(f"property '{name}' is not a valid filesystem property")
            return 1
        own[name] = value
    if not options.rest:
        return command_usage(context, "create", "missing pool name argument")
    if len(options.rest) == 1:
        return command_usage(context, "create", "missing vdev specification")
    if len(options.rest) > 2 or _VDEV_WORDS.fullmatch(options.rest[1]):
        raise NotModelled("zpool create with several devices")
    return _create_on(context, options, properties, own)


def _create_on(
    context: Context, options: Options, properties: dict[str, str], own: dict[str, str]
) -> Program:
    guest = context.guest
    name, vdev = options.rest
    if "/" in name:
        context.complain(
            f"cannot create '{name}': invalid character '/' in pool name\n"
            "use 'zfs create' to create a dataset"
        )
        return 1
    path = vdev.removeprefix("/dev/")
    device = guest.devices.get(path)
    if device is None:
        return _no_device(context, vdev)
    in_use = yield from _in_use(context, name, vdev, path, device, force="f" in options)
    if in_use:
        return 1
    at = own.get("mountpoint", "/" + name)
    if at not in {"none", "legacy"} and "m" not in options and _is_full(context, at):
        context.complain(
            f"mountpoint '{at}' exists and is not empty\n"
            "use '-m' option to provide a different default"
        )
        return 1
    wrong = _wrong_to_create(context, name, properties, device)
    if wrong is not None:
        context.complain(f"cannot create '{name}': {wrong}")
        return 1
    pool = guest.part(Zfs).create(name, path, device, guest.rng.getrandbits(64))
    apply_properties(pool, properties)
    pool.datasets[""].properties.update(own)
    pool.history.clear()
    pool.add_history("zpool create " + " ".join(_history(options)))
    synced = pool.wait_synced()
    yield guest.rng.uniform(1.1, 1.9)
    yield synced
    if guest.part(Zfs).mount(pool.datasets[""]) is not None:
        raise NotModelled(f"zpool create with a mountpoint {at} that cannot be made")
    guest.part(Zfs).write_cachefile()
    return 0


def _history(options: Options) -> list[str]:
    words = ["-f"] if "f" in options else []
    for letter in "moO":
        for each in options.values(letter):
            words += [f"-{letter}", each]
    return words + options.rest


def _no_device(context: Context, vdev: str) -> int:
    if vdev.startswith("/"):
        if context.guest.tree.entry(vdev) is not None:
            raise NotModelled(f"zpool create on {vdev}, which is no disk")
        context.complain(f"cannot resolve path '{vdev}'")
    else:
        context.complain(
            f"cannot open '{vdev}': no such device in /dev\n"
            "must be a full path or shorthand device name"
        )
    return 1


def _in_use(
    context: Context, name: str, vdev: str, path: str, device: BlockDevice, *, force: bool
) -> Program:
    """Complain about a pool on the device; 1 when there is one that matters."""
    zfs = context.guest.part(Zfs)
    scan = LabelScan(context.guest, [(path, device)])
    yield scan.finished
    if not scan.found:
        if isinstance(device, LocalDisk) and device.disk.reserved is not None:
            raise NotModelled(f"zpool create on {vdev}, which is HAST's")
        if device.opened or path == "vtbd0":
            context.complain(f"cannot create '{name}': no such pool or dataset")
            return 1
        return 0
    label = scan.found[0].label
    active = any(pool.guid == label.guid for pool in zfs.pools.values())
    if label.state == "DESTROYED" or (force and not active):
        return 0
    kind = {"EXPORTED": "exported pool"}.get(label.state, "potentially active pool")
    if active:
        kind = "active pool"
    how = "the following errors must be manually repaired:"
    if not force:
        how = "use '-f' to override the following errors:"
    shown = vdev if vdev.startswith("/") else f"/dev/{vdev}"
    context.complain(f"invalid vdev specification\n{how}\n{shown} is part of {kind} '{label.name}'")
    return 1


def _wrong_to_create(
    context: Context, name: str, properties: dict[str, str], device: BlockDevice
) -> str | None:
    if (odd := wrong_name(name, new=True)) is not None:
        return f"{odd}\npool name may have been omitted"
    wrong = None
    for key, value in properties.items():
        if wrong is None and key in _CHOICES and value not in _CHOICES[key].split(" | "):
            wrong = f"'{key}' must be one of '{_CHOICES[key]}'"
    if wrong is not None:
        return wrong
    for key, value in properties.items():
        _check_modelled(key, value)
    if name in context.guest.part(Zfs).pools:
        return "pool already exists"
    small = device.mediasize < SMALLEST
    return "one or more devices is less than the minimum size (64M)" if small else None


def _check_modelled(key: str, value: str) -> None:
    """Refuse settings that would have to change what the pool does and do not."""
    if key in {"bootfs", "multihost", "altroot", "compatibility"} or key.startswith("feature@"):
        raise NotModelled(f"the pool property {key}")
    if key == "cachefile" and value not in {"", "none", "/etc/zfs/zpool.cache"}:
        raise NotModelled(f"cachefile={value}")


def apply_properties(pool: Pool, properties: dict[str, str]) -> None:
    """Set pool properties that were checked."""
    for key, value in properties.items():
        _check_modelled(key, value)
        if key == "cachefile":
            pool.cachefile = None if value in {"", "/etc/zfs/zpool.cache"} else value
        else:
            pool.properties[key] = value


def _is_full(context: Context, path: str) -> bool:
    entry = context.guest.tree.entry(path)
    return entry is not None and (entry.kind != "dir" or bool(context.guest.tree.names(path)))


def _destroy(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "f")
    if not options.rest:
        return command_usage(context, "destroy", "missing pool argument")
    if len(options.rest) > 1:
        return command_usage(context, "destroy", "too many arguments")
    name = options.rest[0]
    pool = _pool(context, name)
    if pool is None:
        no_such_pool(context, name)
        if "/" in name:
            context.complain("use 'zfs destroy' to destroy a dataset")
        return 1
    return _let_go(context, pool, "DESTROYED", force=True)


def _export(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "afF")
    if "F" in options:
        raise NotModelled("zpool export -F")
    names = list(context.guest.part(Zfs).pools) if "a" in options else options.rest
    if "a" in options and options.rest:
        return command_usage(context, "export", "too many arguments")
    if not names and "a" not in options:
        return command_usage(context, "export", "missing pool argument")
    return _export_all(context, names, force="f" in options)


def _export_all(context: Context, names: list[str], *, force: bool) -> Program:
    status = 0
    for name in names:
        pool = _pool(context, name)
        if pool is None:
            status = no_such_pool(context, name)
        else:
            status |= yield from _let_go(context, pool, "EXPORTED", force=force)
    return status


def _let_go(context: Context, pool: Pool, state: str, *, force: bool) -> Program:
    """Export or destroy. A suspended pool keeps its file systems from being unmounted for ever."""
    zfs = context.guest.part(Zfs)
    if pool.suspended:
        return (yield from _let_go_suspended(context, pool, state, force=force))
    zfs.unmount_all(pool, remove=True)
    task = zfs.release(pool, state)
    yield context.guest.rng.uniform(0.6, 1.1) if state == "EXPORTED" else 0.4
    yield task.finished
    return 0


def _let_go_suspended(context: Context, pool: Pool, state: str, *, force: bool) -> Program:
    if any(each.mounted_on is not None for each in pool.datasets.values()):
        if force or state == "DESTROYED":
            context.guest.part(Zfs).unmount_all(pool, remove=False)
        yield Signal()
    what = "export" if state == "EXPORTED" else "open"
    context.complain(f"cannot {what} '{pool.name}': {SUSPENDED}")
    return 1


# --- what is there --------------------------------------------------------------------------------


def _list(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "HpvPL", "o")
    for letter in "vPL":
        if letter in options:
            raise NotModelled(f"zpool list -{letter}")
    return print_list(context, options, no_such_pool)


def _status(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "pvxPL")
    if "P" in options or "L" in options:
        raise NotModelled("zpool status -P or -L")
    pools = context.guest.part(Zfs).pools
    if not pools and not options.rest:
        context.complain("no pools available")
        return 0
    status = 0
    shown = 0
    for name in options.rest or list(pools):
        if name not in pools:
            status = no_such_pool(context, name)
            continue
        pool = pools[name]
        if "x" in options and pool.health == "ONLINE" and not pool.damaged:
            if options.rest:
                context.print(f"pool '{name}' is healthy")
            continue
        if shown:
            context.print("")
        shown += 1
        print_status(context, pool, verbose="v" in options)
    if "x" in options and not shown and not options.rest:
        context.print("all pools are healthy")
    return status


def _history_of(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "")
    status = 0
    for name in options.rest or list(context.guest.part(Zfs).pools):
        pool = _pool(context, name)
        if pool is None:
            status = no_such_pool(context, name)
            continue
        context.print(f"History for '{name}':")
        if pool.suspended:
            context.complain(f"cannot get history for '{name}': {SUSPENDED}")
            status = 1
            continue
        for line in pool.history:
            context.print(line)
        context.print("")
    return status


# --- properties -----------------------------------------------------------------------------------


def _get(context: Context, arguments: list[str]) -> int:
    options = Options(arguments, "Hp", "o")
    more = "\n" + zfs_usage.ZPOOL_PROPERTIES
    if not options.rest:
        return command_usage(context, "get", "missing property argument", more)
    names = options.rest[0].split(",")
    if names == ["all"]:
        raise NotModelled("zpool get all")
    for each in names:
        if each.startswith("feature@"):
            raise NotModelled(f"zpool get {each}")
        if each not in DEFAULTS and each not in _READ_ONLY and each not in {"version", "readonly"}:
            complaint = f"bad property list: invalid property '{each}'"
            return command_usage(context, "get", complaint, more)
    status = 0
    rows = []
    for name in options.rest[1:] or list(context.guest.part(Zfs).pools):
        pool = _pool(context, name)
        if pool is None:
            status = no_such_pool(context, name)
            continue
        rows += [(name, each, *property_row(pool, each, exact="p" in options)) for each in names]
    table(context, options, rows, widths=WIDTHS, text_widths=TEXT_WIDTHS)
    return status


def _set(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "")
    more = "\n" + zfs_usage.ZPOOL_PROPERTIES
    words = options.rest
    if not words:
        return command_usage(context, "set", "missing property=value argument", more)
    if len(words) == 1:
        return command_usage(context, "set", "missing pool name", more)
    if len(words) > 2:
        return command_usage(context, "set", "too many pool names", more)
    key, equals, value = words[0].partition("=")
    if not equals:
        return command_usage(context, "set", "missing value in property=value argument", more)
    pool = _pool(context, words[1])
    if pool is None:
        return no_such_pool(context, words[1])
    return _set_on(context, pool, key, value)


def _set_on(context: Context, pool: Pool, key: str, value: str) -> int | Program:
    wrong = None
    if key in _READ_ONLY:
        wrong = f"'{key}' is readonly"
    elif key not in DEFAULTS:
        wrong = f"invalid property '{key}'"
    elif key in _CHOICES and value not in _CHOICES[key].split(" | "):
        wrong = f"'{key}' must be one of '{_CHOICES[key]}'"
    elif pool.suspended:
        wrong = SUSPENDED
    if wrong is not None:
        context.complain(f"cannot set property for '{pool.name}': {wrong}")
        return 1
    apply_properties(pool, {key: value})
    pool.add_history(f"zpool set {key}={value} {pool.name}")
    if key == "cachefile":
        context.guest.part(Zfs).write_cachefile()
    return _until_synced(pool)


def _until_synced(pool: Pool) -> Program:
    yield pool.wait_synced()
    return 0


# --- what is done with it -------------------------------------------------------------------------


def _clear(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "")
    if not options.rest:
        return command_usage(context, "clear", "missing pool name")
    if len(options.rest) > 1:
        raise NotModelled("zpool clear of one device")
    pool = _pool(context, options.rest[0])
    if pool is None:
        return no_such_pool(context, options.rest[0])
    return _clear_pool(context, pool)


def _clear_pool(context: Context, pool: Pool) -> Program:
    if pool.gone and not pool.suspended:
        # It is to be noted in the pool's history, which is what suspends it (13.2).
        pool.add_history(f"zpool clear {pool.name}")
        yield Signal()
    if not pool.clear():
        context.complain(f"cannot clear errors for {pool.name}: I/O error")
        return 1
    pool.add_history(f"zpool clear {pool.name}")
    return 0


def _scrub(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "wsp")
    if "s" in options or "p" in options:
        raise NotModelled("zpool scrub -s or -p")
    if not options.rest:
        return command_usage(context, "scrub", "missing pool name argument")
    status = 0
    for name in options.rest:
        pool = _pool(context, name)
        if pool is None:
            status = no_such_pool(context, name)
        elif pool.suspended:
            context.complain(f"cannot scrub {name}: {SUSPENDED}")
            status = 1
        elif pool.scrubbing is not None:
            context.complain(
                f"cannot scrub {name}: currently scrubbing; use 'zpool scrub -s' to "
                "cancel current scrub"
            )
            status = 1
        else:
            pool.add_history(f"zpool scrub {name}")
            ended = pool.scrub()
            if "w" in options:
                return _until(ended)
    return status


def _until(signal: Signal) -> Program:
    yield signal
    return 0


def _sync(context: Context, arguments: list[str]) -> int | Program:
    options = Options(arguments, "")
    return _sync_all(context, options.rest or list(context.guest.part(Zfs).pools))


def _sync_all(context: Context, names: list[str]) -> Program:
    status = 0
    for name in names:
        pool = _pool(context, name)
        if pool is None:
            status = no_such_pool(context, name)
        elif pool.suspended:
            context.complain(f"sync '{name}' failed: {SUSPENDED}")
            status = 1
        else:
            yield pool.wait_synced()
    return status


def _version(context: Context, arguments: list[str]) -> int:
    Options(arguments, "")
    context.print("zfs-2.1.9-FreeBSD_g92e0d9d18\nzfs-kmod-2.1.9-FreeBSD_g92e0d9d18")
    return 0


_COMMANDS: dict[str, Callable[[Context, list[str]], int | Program]] = {
    "create": _create,
    "destroy": _destroy,
    "export": _export,
    "import": zpool_import,
    "list": _list,
    "status": _status,
    "history": _history_of,
    "get": _get,
    "set": _set,
    "clear": _clear,
    "scrub": _scrub,
    "sync": _sync,
    "version": _version,
}
