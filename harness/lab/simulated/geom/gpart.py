"""gpart(8), as far as it makes partitions of the data disk and of HAST's device."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.geom.gpt import BACKUP, Table, show, table_of, write_of
from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Op
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.tool import size_of

_TABLE = "gpt"
_FIRST = 1 << 20
"""Bytes before the first partition with `-a 1m`, and after the last one."""


@command("gpart")
def gpart(context: Context, arguments: list[str]) -> int | Program:
    """Show, create and add."""
    guest = context.guest
    verb, words = arguments[0] if arguments else "", arguments[1:]
    try:
        options = Options(words, "", "stal")
    except BadOption as bad:
        raise NotModelled(f"gpart {verb} -{bad.letter}") from bad
    if len(options.rest) != 1:
        raise NotModelled(f"gpart {' '.join(arguments)}")
    name = options.rest[0].removeprefix("/dev/")
    if name.startswith("hast/") and (device := guest.devices.get(name)) is not None:
        return _gpart_of_hast(context, verb, options, device)
    disk = guest.disks.get(name)
    if disk is None or name == "vtbd0":
        raise NotModelled(f"gpart {verb} {name}")
    made = [each for each in guest.partitions if each.startswith(name)]
    match verb, options.value("s", ""):
        case "show", "":
            if disk.reserved != _TABLE:
                context.complain(f"gpart: No such geom: {name}.")
                return 1
            raise NotModelled("gpart show of a disk with a table")
        case "create", "gpt":
            if disk.reserved == _TABLE:
                context.complain(f"gpart: geom '{name}': File exists")
                return 1
            disk.write(0, 1, {})
            disk.reserved = _TABLE
            context.print(f"{name} created")
        case "add", text if (size := size_of(text)) and "t" in options:
            used = sum(guest.partitions[each].size for each in made)
            if disk.reserved != _TABLE or used + size > disk.size - 2 * _FIRST:
                raise NotModelled(f"gpart add -s {text} where there is no room")
            letter = "s" if options.value("t") == "freebsd" else "p"  # 13.2 names it a slice
            added = f"{name}{letter}{len(made) + 1}"
            guest.add_partition(added, size)
            context.print(f"{added} added")
        case _:
            raise NotModelled(f"gpart {' '.join(arguments)}")
    return 0


def _gpart_of_hast(context: Context, verb: str, options: Options, device: BlockDevice) -> Program:
    first = Bio(Op.READ, 0, BLOCK)
    yield from _wait_for(first, device)
    table, name = table_of(first), device.name
    match verb, options.value("s", ""):
        case "create", "gpt" if table is None:
            table = Table()
            said = f"{name} created"
        case "add", text if (size := size_of(text)) and table is not None and "t" in options:
            if table.end + size > device.mediasize - BACKUP:
                context.complain("gpart: autofill: No space left on device")
                return 1
            table = Table((*table.partitions, (table.end, size)))
            said = f"{name}p{len(table.partitions)} added"
        case _:
            raise NotModelled(f"gpart {verb} {name}")
    yield from _wait_for(write_of(table), device)
    show(context.guest, device, table)
    context.print(said)
    return 0


def _wait_for(bio: Bio, device: BlockDevice) -> Program:
    ended = Signal()
    bio.done = ended.fire
    device.submit(bio)
    yield ended
    return 0
