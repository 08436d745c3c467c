"""Partitions of HAST's own device, /dev/hast/NAMEp1 and so on, by a GPT that lies on it.

The table is data like any other: it goes to the secondary with the rest, and a new primary has the
partitions as soon as its kernel has read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Content, Op

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

FIRST = 1 << 20
"""Bytes before the first partition with `gpart add -a 1m`."""

BACKUP = 33 * 512
"""Bytes at the end of the device for the table's second copy."""


@dataclass(frozen=True)
class Table:
    """What the first block holds: where each partition begins, and its size, in bytes."""

    partitions: tuple[tuple[int, int], ...] = ()

    def __deepcopy__(self, memo: object) -> Table:
        return self

    @property
    def end(self) -> int:
        """Where the next partition begins."""
        return sum(self.partitions[-1]) if self.partitions else FIRST


def table_of(read: Bio) -> Table | None:
    """The table in a read of the device's first block, if there is one."""
    content = read.blocks.get(0)
    return content.value if content is not None and isinstance(content.value, Table) else None


def write_of(table: Table) -> Bio:
    """The request that writes a table."""
    return Bio(Op.WRITE, 0, BLOCK, {0: Content("GPT", value=table)})


class _Moved(Bio):
    """A request to a partition as it goes to the device below."""

    original: Bio


class Partition(BlockDevice):
    """A part of a device. Its requests go there, moved by its offset."""

    def __init__(self, name: str, lower: BlockDevice, offset: int, size: int) -> None:
        """`offset` and `size` are in bytes."""
        self.name = name
        self.mediasize = size
        self._lower = lower
        self._offset = offset

    def submit(self, bio: Bio) -> None:
        """Pass a request on."""
        first = self._offset // BLOCK
        blocks = {at + first: content for at, content in bio.blocks.items()}
        offset = 0 if bio.op is Op.FLUSH else bio.offset + self._offset
        moved = _Moved(bio.op, offset, bio.length, blocks, done=self._done, ahead=bio.ahead)
        moved.original = bio
        self._lower.submit(moved)

    def _done(self, moved: Bio) -> None:
        assert isinstance(moved, _Moved)
        first = self._offset // BLOCK
        if moved.op is Op.READ:
            moved.original.blocks = {at - first: each for at, each in moved.blocks.items()}
        moved.original.end(moved.error)


def show(guest: Guest, lower: BlockDevice, table: Table | None) -> None:
    """Have exactly the devices in /dev that the table has."""
    hide(guest, lower)
    for number, (offset, size) in enumerate(table.partitions if table else (), start=1):
        name = f"{lower.name}p{number}"
        guest.devices[name] = Partition(name, lower, offset, size)


def hide(guest: Guest, lower: BlockDevice) -> None:
    """Remove the devices of the partitions, whoever has them open."""
    for name, device in list(guest.devices.items()):
        if isinstance(device, Partition) and device.name.startswith(f"{lower.name}p"):
            del guest.devices[name]
