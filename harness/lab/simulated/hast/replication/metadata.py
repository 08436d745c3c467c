"""What HAST keeps on the local component: its metadata and the map of dirty extents.

On a real disk the metadata are the first 4096 bytes, the map follows, and the data begin at
`localoff`, 4608 on a disk of 512 MB. Here a block has 4096 bytes: metadata and map are in
`Disk.reserved`, and block n of the resource is block n + DATA of the disk, so that somebody who
looks at the raw disk never finds a pool where one would begin. (sbin/hastd/metadata.c, 13.2)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.disk import BLOCK, BlockDevice, Disk, LocalDisk
from harness.lab.simulated.kernel.files import STRERROR

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

DATA = 2
"""Blocks of the disk before the resource's first."""

METADATA_SIZE = 4096
SECTOR = 512
EXTENT_SIZE = 2097152
KEEP_DIRTY = 64


def whole(length: int) -> int:
    """A request's length on the disk: the last part of a block at the very end is not kept."""
    return length - length % BLOCK


@dataclass(frozen=True)
class Metadata:
    """What `hastctl dump` prints, in its order; sizes in bytes."""

    resource: str
    datasize: int
    extentsize: int
    keepdirty: int
    localoff: int
    resuid: int = 0
    localcnt: int = 0
    remotecnt: int = 0
    prevrole: str = "init"

    def __deepcopy__(self, memo: object) -> Metadata:
        return self


@dataclass(frozen=True)
class OnDisk:
    """The metadata and the map: bit n is set when extent n is dirty."""

    metadata: Metadata
    map: int = 0

    def __deepcopy__(self, memo: object) -> OnDisk:
        return self


class MetadataError(Exception):
    """There is no use in this component. The text is what pjdlog prints."""


def map_size(size: int, extentsize: int) -> int:
    """Bytes of the map on disk for so many bytes of data: whole words, then whole sectors."""
    extents = (size - 1) // extentsize + 1
    words = (extents + 63) // 64 * 8
    return (words + SECTOR - 1) // SECTOR * SECTOR


def new(name: str, mediasize: int, extentsize: int, keepdirty: int) -> Metadata:
    """The metadata that hastctl(8) create writes on a component of `mediasize` bytes."""
    localoff = METADATA_SIZE + map_size(mediasize - METADATA_SIZE, extentsize)
    return Metadata(name, mediasize - localoff, extentsize, keepdirty, localoff)


def open_component(guest: Guest, path: str) -> BlockDevice:
    """The device at a path of hast.conf. Raises `MetadataError` and `NotModelled`."""
    device = guest.devices.get(path.removeprefix("/dev/")) if path.startswith("/dev/") else None
    if device is not None:
        return device
    if path in guest.large_files:
        return guest.local(guest.large_files[path])
    entry = guest.tree.entry(path)
    if entry is None:
        raise MetadataError(f"Unable to open {path}: {STRERROR['ENOENT']}.")
    if entry.kind == "dir":
        raise MetadataError(f"Unable to open {path}: {STRERROR['EISDIR']}.")
    raise NotModelled(f"{path} as the local component of a resource")


def disk_of(device: BlockDevice) -> Disk:
    """The disk that keeps a component's metadata. Raises `NotModelled` for what is none."""
    if not isinstance(device, LocalDisk):
        raise NotModelled(f"/dev/{device.name} as the local component of a resource")
    return device.disk


def read(device: BlockDevice, name: str, path: str) -> OnDisk:
    """What is on a component of the resource `name`. Raises `MetadataError`.

    A disk without metadata is one of zeros for hastd, which lacks the first field (13.2).
    """
    disk = disk_of(device)
    found = disk.reserved
    if not isinstance(found, OnDisk):
        if disk.read(0, 1):
            raise MetadataError(f"Metadata read from {path} is invalid: {STRERROR['EINVAL']}.")
        raise MetadataError(f"Unable to read metadata from {path}: {STRERROR['ENOENT']}.")
    if found.metadata.resource != name:
        raise MetadataError(f"Provider {path} is not part of resource {name}.")
    return found


def write(device: BlockDevice, metadata: Metadata) -> None:
    """Replace the metadata and keep the map."""
    disk = disk_of(device)
    found = disk.reserved
    disk.reserved = OnDisk(metadata, found.map if isinstance(found, OnDisk) else 0)


def write_map(device: BlockDevice, bits: int) -> None:
    """Replace the map and keep the metadata."""
    disk = disk_of(device)
    if isinstance(disk.reserved, OnDisk):
        disk.reserved = replace(disk.reserved, map=bits)
