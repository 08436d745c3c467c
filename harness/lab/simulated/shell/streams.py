"""What a program's descriptors lead to: pipes, files, the null device, block devices."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.hardware.disk import (
    BLOCK,
    Bio,
    BlockDevice,
    Content,
    Op,
    is_zeros,
    zeros,
)
from harness.lab.simulated.kernel.files import Entry, FileError, FileSystem, Unseen, normal
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell.paths import entry_or_none

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

MOST_BYTES = 64 << 20
"""The most that one stream or file may hold; what would be more is not modelled."""

Reading = Generator["float | Signal", None, bytes]
"""A program that ends with bytes."""

Changing = Generator["float | Signal", None, None]
"""A program that ends with nothing."""

_UNMODELLED = frozenset({"stdin", "stdout", "stderr", "fd", "tty", "console", "mem", "kmem"})


def check_size(size: int) -> None:
    """Raise `NotModelled` when it is more than the model holds."""
    if size > MOST_BYTES:
        raise NotModelled(f"more than {MOST_BYTES >> 20} MiB in one stream")


# --- reading ------------------------------------------------------------------------------------


class Reader:
    """Where input comes from. All who share it read on where the last one stopped."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.at = 0

    @property
    def waits(self) -> bool:
        """Whether its data has not come yet."""
        return False

    def load(self) -> Program:
        """Wait until `data` is complete."""
        return 0
        yield 0.0

    def take(self, count: int | None = None) -> Reading:
        """The next `count` bytes, or all that is left."""
        yield from self.load()
        end = len(self.data) if count is None else self.at + max(0, count)
        taken = self.data[self.at : end]
        self.at += len(taken)
        return taken

    def line(self) -> Reading:
        """The next line with its newline; nothing at the end."""
        yield from self.load()
        newline = self.data.find(b"\n", self.at)
        end = len(self.data) if newline < 0 else newline + 1
        taken = self.data[self.at : end]
        self.at = end
        return taken


class StandardInput(Reader):
    """The standard input of a whole process."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    @property
    def waits(self) -> bool:
        """Whether the other side may send more."""
        return not self._process.stdin_ended.fired

    def load(self) -> Program:
        """Wait until the other side has sent all of it."""
        if not self._process.stdin_ended.fired:
            yield self._process.stdin_ended
        self.data = self._process.stdin
        return 0


class Endless(Reader):
    """/dev/zero and /dev/random."""

    def __init__(self, guest: Guest, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._guest = guest

    def take(self, count: int | None = None) -> Reading:
        """Make up `count` bytes."""
        yield from ()
        if count is None:
            raise NotModelled(f"reading /dev/{self.kind} without an end")
        check_size(count)
        return zeros(count) if self.kind == "zero" else self._guest.rng.randbytes(count)

    def line(self) -> Reading:
        """A line of it need not end."""
        yield from ()
        raise NotModelled(f"reading a line of /dev/{self.kind}")


class DeviceReader(Reader):
    """A block device, read from its start."""

    def __init__(self, guest: Guest, device: BlockDevice) -> None:
        super().__init__()
        self.device = device
        self._guest = guest

    def take(self, count: int | None = None) -> Reading:
        """The next `count` bytes. Raises `FileError`."""
        size = self.device.mediasize
        wanted = size - self.at if count is None else min(max(0, count), size - self.at)
        check_size(wanted)
        taken = yield from read_device(self.device, self.at, wanted)
        self.at += len(taken)
        return taken

    def line(self) -> Reading:
        """A line of it need not end."""
        yield from ()
        raise NotModelled("reading a line of a device")


def open_reader(guest: Guest, path: str) -> Reader:
    """Open a file or device for reading. Raises `FileError`."""
    path = normal(path)
    if path.startswith("/dev/"):
        name = path.removeprefix("/dev/")
        if name == "null":
            return Reader()
        if name in {"zero", "random", "urandom"}:
            return Endless(guest, name)
        device = guest.devices.get(name)
        if device is not None:
            return DeviceReader(guest, device)
        if name.split("/")[0] in _UNMODELLED or name in guest.device_names():
            raise NotModelled(path)
    if path in guest.large_files:
        return DeviceReader(guest, guest.local(guest.large_files[path]))
    entry = guest.tree.entry(path)
    if entry is None:
        raise FileError(absence(guest, path), path)
    return Reader(guest.tree.read(path))


def absence(guest: Guest, path: str) -> str:
    """The errno of a file that is not there: ENOTDIR when the path leads through a file."""
    parent = posixpath.dirname(normal(path))
    while parent != "/":
        entry = entry_or_none(guest, parent)
        if entry is not None:
            return "ENOENT" if entry.kind == "dir" else "ENOTDIR"
        parent = posixpath.dirname(parent)
    return "ENOENT"


# --- writing ------------------------------------------------------------------------------------


class Writer:
    """Where output goes: `buffer` is what programs append to."""

    kept = True
    """Whether what is in `buffer` stays there, as it does in a pipe."""
    copied = 0
    """Bytes that were moved for it in all."""

    def __init__(self, buffer: bytearray | None = None) -> None:
        self.buffer = bytearray() if buffer is None else buffer

    def flush(self) -> Changing:
        """Take what is in the buffer to where it belongs. Raises `FileError`."""
        check_size(len(self.buffer))
        yield from ()


class PipeBuffer(bytearray):
    """What is in a pipe. Zeros at its start are only counted: most of a disk is nothing else."""

    zeros = 0
    """How many zeros come before the bytes that are here."""

    def put(self, data: bytes) -> None:
        """Append."""
        if not self and is_zeros(data):
            self.zeros += len(data)
        else:
            self += data

    @property
    def content(self) -> bytes:
        """All of it. Raises `NotModelled` when that is too much."""
        check_size(self.zeros + len(self))
        return zeros(self.zeros) + bytes(self)


PIPE_ROOM = 65536
"""Bytes that a pipe takes before its writer waits (BIG_PIPE_SIZE in sys/sys/pipe.h)."""


class PipeBroken(Exception):
    """Nobody reads from the pipe any more: the writer gets SIGPIPE."""


class Flow(PipeBuffer):
    """A pipe whose two programs run at the same time: one waits for the other."""

    ended = False
    """Whether its writer has closed it."""
    broken = False
    """Whether its reader has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = Signal()
        """Fired when its reader has ended."""
        self._waiting: list[Signal] = []

    def put(self, data: bytes) -> None:
        """Append, and wake the reader up."""
        super().put(data)
        self._wake()

    def room(self) -> Changing:
        """Wait until the pipe takes more. Raises `PipeBroken`."""
        while not self.broken and self.zeros + len(self) > PIPE_ROOM:
            yield self._change()
        if self.broken:
            raise PipeBroken

    def take(self, most: int) -> Reading:
        """What there is, at most so much; wait for the first byte. Nothing at the end."""
        while not self.ended and not self.zeros and not self:
            yield self._change()
        count = min(most, self.zeros)
        self.zeros -= count
        data = zeros(count)
        if rest := bytes(self[: most - count]):
            del self[: len(rest)]
            data += rest
        self._wake()
        return data

    def end(self) -> None:
        """The writer closes it."""
        self.ended = True
        self._wake()

    def break_off(self, *_: object) -> None:
        """The reader has ended. Takes and ignores arguments, so it can be a callback."""
        self.broken = True
        self.gone.fire()
        self._wake()

    def _change(self) -> Signal:
        signal = Signal()
        self._waiting.append(signal)
        return signal

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for signal in waiting:
            signal.fire()


class FlowReader(Reader):
    """The end of a `Flow` for a program that takes what comes as it comes."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def load(self) -> Program:
        """Wait for all of it."""
        raise NotModelled("reading all of such a pipe")
        yield 0.0


class NullWriter(Writer):
    """/dev/null."""

    kept = False

    def flush(self) -> Changing:
        """Forget it."""
        self.buffer.clear()
        yield from ()


class ConsoleWriter(Writer):
    """/dev/console."""

    kept = False

    def __init__(self, guest: Guest) -> None:
        super().__init__()
        self._guest = guest

    def flush(self) -> Changing:
        """Show it on the serial line."""
        self._guest.console.write(self.buffer.decode(errors="replace"))
        self.buffer.clear()
        yield from ()


class FileWriter(Writer):
    """A file that is open for writing, wherever it is moved meanwhile."""

    kept = False

    def __init__(self, guest: Guest, filesystem: FileSystem, inner: str) -> None:
        super().__init__()
        self._guest = guest
        self._filesystem = filesystem
        self._inner = inner

    def flush(self) -> Changing:
        """Append the buffer to the file, once its file system takes changes."""
        if not self.buffer:
            return
        yield from when_ready(self._filesystem)
        entry = self._filesystem.get(self._inner)
        data = bytes(self.buffer)
        self.buffer.clear()
        if entry is None:
            return
        whole = entry.plus(data, self._guest.wall_clock())
        size = len(data if isinstance(whole, Unseen) else whole.data)
        check_size(size)
        self.copied += size
        self._filesystem.put(self._inner, whole)
        if (signal := self._filesystem.settled(self._inner)) is not None:
            yield signal


def when_ready(filesystem: FileSystem) -> Changing:
    """Wait until a file system takes changes; that may be never."""
    while (signal := filesystem.ready()) is not None:
        yield signal


def open_writer(
    guest: Guest, path: str, *, append: bool, mode: int
) -> Generator[float | Signal, None, Writer]:
    """Open a file for writing: it is there afterwards, and empty unless `append`.

    Raises `FileError`.
    """
    path = normal(path)
    if path == "/dev/null":
        return NullWriter()
    if path.startswith("/dev/"):
        raise NotModelled(f"writing to {path}")
    filesystem, inner = guest.tree.locate(path)
    yield from when_ready(filesystem)
    entry = filesystem.get(inner)
    now = guest.wall_clock()
    if entry is None:
        if absence(guest, path) == "ENOTDIR":
            raise FileError("ENOTDIR", path)
        filesystem.put(inner, Entry("file", b"", mode, now))
    elif entry.kind == "dir":
        raise FileError("EISDIR", path)
    elif entry.kind == "sock":
        raise FileError("ENOTSUP", path)
    elif not append:
        filesystem.put(inner, replace(entry, data=b"", mtime=now))
    return FileWriter(guest, filesystem, inner)


_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_Stream = TypeVar("_Stream", Reader, Writer)


def number_of_stream(path: str) -> int | None:
    """Which descriptor a path such as /dev/stderr or /dev/fd/2 means.

    devfs(5) has those from 0 to 2; more come with fdescfs(5), which is not mounted.
    """
    found = re.fullmatch(r"/dev/fd/([0-2])", path)
    return int(found[1]) if found is not None else _STANDARD.get(path)


def standard(fds: Mapping[int, Reader | Writer], path: str, kind: type[_Stream]) -> _Stream | None:
    """The open stream that a path means, if it means one: opening it is dup(2)."""
    number = number_of_stream(path)
    if number is None:
        return None
    stream = fds.get(number)
    if not isinstance(stream, kind):
        raise NotModelled(f"{path} that is open for something else")
    return stream


# --- block devices ------------------------------------------------------------------------------


def submit(device: BlockDevice, bio: Bio, path: str) -> Changing:
    """Have a device serve a request and wait for it. Raises `FileError`."""
    done = Signal()
    bio.done = done.fire
    device.submit(bio)
    yield done
    if bio.error is not None:
        raise FileError(bio.error, path)


def read_device(device: BlockDevice, offset: int, length: int) -> Reading:
    """Bytes of a device; less at its end. Raises `FileError`."""
    length = max(0, min(length, device.mediasize - offset))
    if length == 0:
        return b""
    first, last = offset // BLOCK, (offset + length - 1) // BLOCK
    bio = Bio(Op.READ, first * BLOCK, (last - first + 1) * BLOCK)
    yield from submit(device, bio, f"/dev/{device.name}")
    if not bio.blocks:
        return zeros(length)
    data = bytearray((last - first + 1) * BLOCK)
    for at, content in bio.blocks.items():
        start = (at - first) * BLOCK
        data[start : start + BLOCK] = content.data
    start = offset - first * BLOCK
    return bytes(data[start : start + length])


def write_device(device: BlockDevice, offset: int, data: bytes) -> Changing:
    """Write bytes to a device; blocks that are only partly covered are read before.

    Raises `FileError`.
    """
    first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK
    start = offset - first * BLOCK
    whole = (last - first + 1) * BLOCK
    if start or len(data) != whole:
        before = bytearray((yield from read_device(device, first * BLOCK, whole)))
        before[start : start + len(data)] = data
        data = bytes(before)
    blocks = {}
    for number in range(last - first + 1):
        block = data[number * BLOCK : (number + 1) * BLOCK]
        if not is_zeros(block):
            blocks[first + number] = Content("dd", block)
    bio = Bio(Op.WRITE, first * BLOCK, whole, blocks)
    yield from submit(device, bio, f"/dev/{device.name}")
