"""Several requests to a device at once, and reading blocks that something points to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Blocks, Content, Op

LARGEST = 256
"""Blocks in one request, 1 MiB: FreeBSD's maxphys on 64 bits (sys/sys/param.h of 13.2)."""


class Pointer(NamedTuple):
    """Where a block is and what was written there, which stands for its checksum.

    `content` is None for zeros. `copy` is the place of a second copy, or -1.
    """

    at: int
    content: Content | None
    copy: int = -1

    def __deepcopy__(self, memo: object) -> Pointer:
        return self


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Block numbers as (first, count), neighbours together, none longer than LARGEST."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == sum(found[-1]) and found[-1][1] < LARGEST:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found


def write_bios(places: Mapping[int, Content | None]) -> list[Bio]:
    """The requests that write blocks to their places; None is a block of zeros."""
    bios = []
    for first, count in runs(places):
        blocks: Blocks = {
            at: content for at in range(first, first + count) if (content := places[at]) is not None
        }
        bios.append(Bio(Op.WRITE, first * BLOCK, count * BLOCK, blocks))
    return bios


def flush() -> Bio:
    """The request that makes everything written so far durable."""
    return Bio(Op.FLUSH)


class Requests:
    """Some requests to one device; `done` is called with this when the last of them has ended.

    `error` is the errno's name of one that failed, or None.
    """

    def __init__(self, bios: Sequence[Bio], done: Callable[[Requests], None]) -> None:
        """`done` is a bound method, so that requests in flight can be saved."""
        self.bios = list(bios)
        self.error: str | None = None
        self._left = len(self.bios)
        self._done = done

    def start(self, device: BlockDevice) -> None:
        """Submit them all. There has to be at least one."""
        for bio in self.bios:
            bio.done = self._one
            device.submit(bio)

    def _one(self, bio: Bio) -> None:
        self.error = self.error or bio.error
        self._left -= 1
        if self._left == 0:
            self._done(self)


class Reading:
    """Reads the blocks that pointers point to; a bad block is read again from its copy.

    `found` has the good ones by their place (their `at`, whichever copy it was). `bad` are the
    places that no copy was good of, `repaired` those whose first copy was bad. `errors` counts
    requests that failed.
    """

    def __init__(
        self,
        device: BlockDevice,
        pointers: Iterable[Pointer],
        done: Callable[[Reading], None],
        *,
        ahead: bool = False,
    ) -> None:
        """`done` is a bound method; `ahead` is for what FreeBSD reads only when it is used."""
        self.device = device
        self.found: dict[int, Content | None] = {}
        self.bad: dict[int, None] = {}
        self.repaired: list[int] = []
        self.errors = 0
        self.wanted = {pointer.at: pointer for pointer in pointers}
        self._again: dict[int, Pointer] = {}
        self._done = done
        self._ahead = ahead

    def start(self) -> Reading:
        """Submit the requests. There has to be at least one pointer."""
        self._submit(self.wanted, self._first)
        return self

    def _submit(self, places: Iterable[int], done: Callable[[Requests], None]) -> None:
        bios = [
            Bio(Op.READ, first * BLOCK, count * BLOCK, ahead=self._ahead)
            for first, count in runs(places)
        ]
        Requests(bios, done).start(self.device)

    def _first(self, requests: Requests) -> None:
        read = self._read(requests)
        for at, pointer in self.wanted.items():
            if at in read and read[at] is pointer.content:
                self.found[at] = pointer.content
            elif pointer.copy >= 0:
                self._again[pointer.copy] = pointer
            else:
                self.bad[at] = None
        if self._again:
            self._submit(self._again, self._second)
        else:
            self._done(self)

    def _second(self, requests: Requests) -> None:
        read = self._read(requests)
        for copy, pointer in self._again.items():
            if copy in read and read[copy] is pointer.content:
                self.found[pointer.at] = pointer.content
                self.repaired.append(pointer.at)
            else:
                self.bad[pointer.at] = None
        self._done(self)

    def _read(self, requests: Requests) -> dict[int, Content | None]:
        """What every block that could be read holds."""
        read: dict[int, Content | None] = {}
        for bio in requests.bios:
            if bio.error is not None:
                self.errors += 1
                continue
            for at in range(bio.first, bio.first + bio.count):
                read[at] = bio.blocks.get(at)
        return read
