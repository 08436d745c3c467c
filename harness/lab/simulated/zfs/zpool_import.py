"""`zpool import`: what could be imported, and importing it."""

from __future__ import annotations

from datetime import UTC, datetime

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.hardware.disk import BlockDevice
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.zfs import usage as zfs_usage
from harness.lab.simulated.zfs.loading import Candidate, LabelScan, on_devices
from harness.lab.simulated.zfs.pool import ctime
from harness.lab.simulated.zfs.pool_name import wrong_name
from harness.lab.simulated.zfs.zfs import Zfs

_SEE = "   see: https://openzfs.github.io/openzfs-docs/msg/"
_BY_NAME = "The pool can be imported using its name or numeric identifier"


def zpool_import(context: Context, arguments: list[str]) -> int | Program:
    """Run `zpool import`."""
    options = Options(arguments, "aDfNmlFn", "dcoR")
    for letter in "mlFnc":
        if letter in options:
            raise NotModelled(f"zpool import -{letter}")
    if len(options.rest) > 2 or ("a" in options and options.rest):
        context.stderr += (
            f"too many arguments\nusage:\n{zfs_usage.ZPOOL_COMMANDS['import']}"
        ).encode()
        return 2
    for each in options.values("o"):
        key = each.partition("=")[0]
        if key not in {"cachefile", "readonly", "failmode", "altroot", "ro", "rw"}:
            raise NotModelled(f"zpool import -o {each}")
    return _import(context, options)


def _import(context: Context, options: Options) -> Program:
    guest = context.guest
    yield guest.rng.uniform(0.03, 0.08)
    if options.rest and not options.rest[0].isdigit() and options.rest[0] in guest.part(Zfs).pools:
        name = options.rest[0]
        if len(options.rest) == 1:
            context.complain(
                f"cannot import '{name}': a pool with that name already exists\n"
                "use the form 'zpool import <pool | id> <newpool>' to give it a new name"
            )
            return 1
    scan = LabelScan(guest, _devices(context, options))
    yield scan.finished
    own = {pool.guid for pool in guest.part(Zfs).pools.values()}
    destroyed = "D" in options
    found = [
        each
        for each in scan.found
        if each.label.guid not in own and (each.label.state == "DESTROYED") == destroyed
    ]
    if "a" in options:
        return (yield from _import_all(context, options, found))
    if not options.rest:
        return _show(context, found)
    return (yield from _import_named(context, options, found))


def _import_all(context: Context, options: Options, found: list[Candidate]) -> Program:
    if not found:
        context.complain("no pools available to import")
        return 0
    status = 0
    for each in found:
        status |= yield from _import_one(context, options, each, each.label.name)
    return status


def _import_named(context: Context, options: Options, found: list[Candidate]) -> Program:
    name = options.rest[0]
    matching = [each for each in found if name in {each.label.name, str(each.label.guid)}]
    if not matching:
        context.complain(f"cannot import '{name}': no such pool available")
        return 1
    if len({each.label.guid for each in matching}) > 1:
        context.complain(
            f"cannot import '{name}': more than one matching pool\nimport by numeric ID instead"
        )
        return 1
    new = options.rest[1] if len(options.rest) > 1 else matching[0].label.name
    return (yield from _import_one(context, options, matching[0], new))


def _devices(context: Context, options: Options) -> list[tuple[str, BlockDevice]]:
    devices = on_devices(context.guest)
    if "d" not in options:
        return devices
    chosen = []
    for where in options.values("d"):
        prefix = where.rstrip("/") + "/"
        chosen += [
            each
            for each in devices
            if f"/dev/{each[0]}" == where or f"/dev/{each[0]}".startswith(prefix)
        ]
    return chosen


def needs_force(context: Context, candidate: Candidate) -> bool:
    """Whether another system used the pool last and did not export it."""
    label = candidate.label
    return label.state == "ACTIVE" and label.hostid != context.guest.part(Zfs).hostid


def _import_one(context: Context, options: Options, found: Candidate, name: str) -> Program:
    guest = context.guest
    label = found.label
    if needs_force(context, found) and "f" not in options:
        when = datetime.fromtimestamp(found.uberblocks[0].timestamp if found.uberblocks else 0, UTC)
        context.complain(
            f"cannot import '{label.name}': pool was previously in use from another system.\n"
            f"Last accessed by {label.hostname} (hostid={label.hostid:x}) at {ctime(when)}\n"
            "The pool can be imported, use 'zpool import -f' to import the pool."
        )
        return 1
    if len(options.rest) > 1 and (wrong := wrong_name(name, new=True)) is not None:
        context.complain(f"cannot import '{name}': {wrong}")
        return 1
    if name in guest.part(Zfs).pools:
        context.complain(
            f"cannot import '{label.name}': a pool with that name already exists\n"
            "use the form 'zpool import <pool | id> <newpool>' to give it a new name"
        )
        return 1
    if found.device.opened:
        raise NotModelled("zpool import of a pool whose device is in use")
    given = {each.partition("=")[0]: each.partition("=")[2] or "on" for each in options.values("o")}
    task = guest.part(Zfs).load(
        found, name, read_only=given.get("readonly") == "on" or "ro" in given
    )
    yield guest.rng.uniform(1.2, 1.8)
    yield task.finished
    pool = task.pool
    if pool is None:
        context.complain(f"cannot import '{label.name}': I/O error")
        context.print("\tDestroy and re-create the pool from\n\ta backup source.")
        return 1
    if given.get("cachefile", "/etc/zfs/zpool.cache") != "/etc/zfs/zpool.cache":
        pool.cachefile = given["cachefile"]
    if "failmode" in given:
        pool.properties["failmode"] = given["failmode"]
    pool.altroot = options.value("R", given.get("altroot", ""))
    if pool.altroot and "cachefile" not in given:
        pool.cachefile = "none"
    if not pool.read_only:
        pool.add_history("zpool import " + " ".join(_words(options, name)))
    guest.part(Zfs).write_cachefile()
    if "N" not in options:
        for each in guest.part(Zfs).mount_all(pool):
            raise NotModelled(f"zpool import with {each} that cannot be mounted")
    return 0


def _words(options: Options, name: str) -> list[str]:
    flags = [f"-{letter}" for letter in "fN" if letter in options]
    return [*flags, *(options.rest or [name])]


def _show(context: Context, found: list[Candidate]) -> int:
    if not found:
        context.complain("no pools available to import")
        return 0
    for number, each in enumerate(found):
        if number:
            context.print("")
        _show_one(context, each)
    return 0


def _show_one(context: Context, each: Candidate) -> None:
    label = each.label
    state = "FAULTED" if each.damaged else "ONLINE"
    shown = state + (" (DESTROYED)" if label.state == "DESTROYED" else "")
    context.print(f"   pool: {label.name}\n     id: {label.guid}\n  state: {shown}")
    note = ""
    if each.damaged:
        note = "  corrupted data"
        context.print(
            "status: The pool metadata is corrupted.\n"
            " action: The pool cannot be imported due to damaged devices or data.\n"
            f"{_SEE}ZFS-8000-72"
        )
    elif needs_force(context, each):
        context.print(
            "status: The pool was last accessed by another system.\n"
            f" action: {_BY_NAME} and\n\tthe '-f' flag.\n{_SEE}ZFS-8000-EY"
        )
    else:
        context.print(f" action: {_BY_NAME}.")
    width = max(10, len(label.name), len(each.path) + 2)
    context.print(
        f" config:\n\n\t{label.name.ljust(width)}  {state}{note}\n"
        f"\t{('  ' + each.path).ljust(width)}  ONLINE"
    )
