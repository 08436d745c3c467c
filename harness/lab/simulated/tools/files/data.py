"""Programs that move, compare and digest bytes: dd, sha256, md5, cmp, diff, jot, seq."""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, replace

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
from harness.lab.simulated.kernel.files import Entry, FileError, FileSystem
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.streams import (
    Changing,
    DeviceReader,
    Endless,
    Flow,
    PipeBroken,
    PipeBuffer,
    Reader,
    Reading,
    check_size,
    submit,
    when_ready,
    write_device,
)
from harness.lab.simulated.shell.tool import (
    Failure,
    content,
    decimal,
    entry_of,
    mask_of,
    place,
    reader_of,
    size_of,
    tool,
)

# --- dd -----------------------------------------------------------------------------------------

_SECTOR = 512
_MOST_BLOCKS = 1 << 20
_SIGPIPE = 13
_INPUT, _OUTPUT, _ERRORS = 3, 4, 2
"""Descriptors, as a trace shows them when both files were named."""
_TOGETHER = 1 << 20
"""Bytes that are put into a file together: each change of a file copies it."""


@command("dd")
def dd(context: Context, arguments: list[str]) -> Program:
    """dd(1): files, block devices, /dev/zero and /dev/random."""
    try:
        return (yield from _Copy(context, _operands(arguments)).run())
    except PipeBroken:
        return 128 + _SIGPIPE
    except Failure as failure:
        context.complain(f"dd: {failure.text}")
        return failure.status


_KNOWN = {
    *("if", "of", "bs", "ibs", "obs", "count", "skip", "iseek", "seek", "oseek", "conv"),
    *("status", "iflag", "oflag"),
}


def _operands(arguments: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name or not value:
            if not equals or not name:
                raise Failure(f"unknown operand {argument}")
            raise Failure("no value specified for " + name)
        if name in {"cbs", "files", "fillchar", "speed"}:
            raise NotModelled(f"dd {name}=")
        if name not in _KNOWN:
            raise Failure(f"unknown operand {name}")
        found[name] = value
    return found


_CONVERSIONS = frozenset({"fsync", "notrunc", "sync", "fdatasync", "noerror"})
_OTHER_CONVERSIONS = frozenset(
    {
        *("ascii", "block", "ebcdic", "ibm", "lcase", "oldascii", "oldebcdic", "oldibm", "osync"),
        *("pareven", "parnone", "parodd", "parset", "sparse", "swab", "ucase", "unblock"),
    }
)


class _Target(ABC):
    """Where dd writes to."""

    @abstractmethod
    def write(self, data: bytes) -> Changing:
        """Write on. Raises `FileError`."""

    @abstractmethod
    def close(self, *, durable: bool) -> Changing:
        """End it, in stable storage if asked for."""


class _StreamTarget(_Target):
    def __init__(self, context: Context) -> None:
        self._context = context

    def write(self, data: bytes) -> Changing:
        stdout = self._context.stdout
        if isinstance(stdout, Flow):
            stdout.put(data)
            yield from stdout.room()
        elif isinstance(stdout, PipeBuffer):
            check_size(stdout.zeros + len(stdout) + len(data))
            stdout.put(data)
        else:
            check_size(len(stdout) + len(data))
            stdout += data
        yield from ()

    def close(self, *, durable: bool) -> Changing:  # noqa: ARG002 - a pipe has no disk
        yield from ()


class _NullTarget(_Target):
    def write(self, data: bytes) -> Changing:  # noqa: ARG002 - it goes nowhere
        yield from ()

    def close(self, *, durable: bool) -> Changing:  # noqa: ARG002 - as above
        yield from ()


class _FileTarget(_Target):
    def __init__(self, context: Context, filesystem: FileSystem, inner: str, at: int) -> None:
        self._context = context
        self._filesystem = filesystem
        self._inner = inner
        self._at = at
        self._pending = bytearray()

    def write(self, data: bytes) -> Changing:
        self._pending += data
        if len(self._pending) >= _TOGETHER:
            yield from self._flush()

    def _flush(self) -> Changing:
        data = bytes(self._pending)
        self._pending.clear()
        yield from when_ready(self._filesystem)
        entry = self._filesystem.get(self._inner)
        if entry is None or not data:
            return
        check_size(self._at + len(data))
        old = memoryview(entry.data)
        before, hole = old[: self._at], zeros(max(0, self._at - len(old)))
        behind = old[self._at + len(data) :]
        now = self._context.guest.wall_clock()
        written = replace(entry, data=b"".join((before, hole, data, behind)), mtime=now)
        self._filesystem.put(self._inner, written)
        self._at += len(data)
        if (signal := self._filesystem.settled(self._inner)) is not None:
            yield signal

    def close(self, *, durable: bool) -> Changing:
        yield from self._flush()
        if durable:
            yield self._filesystem.fsync(self._inner)


class _DeviceTarget(_Target):
    def __init__(self, context: Context, device: BlockDevice, at: int) -> None:
        self._context = context
        self._device = device
        self._at = at

    def write(self, data: bytes) -> Changing:
        path = f"/dev/{self._device.name}"
        if len(data) % _SECTOR or self._at % _SECTOR:
            raise FileError("EINVAL", path)
        if self._at + len(data) > self._device.mediasize:
            raise FileError("ENOSPC", path)
        if is_zeros(data) and self._at % BLOCK == 0 and len(data) % BLOCK == 0:
            yield from submit(self._device, Bio(Op.WRITE, self._at, len(data)), path)
        else:
            yield from write_device(self._device, self._at, data)
        self._at += len(data)

    def write_random(self, count: int) -> Changing:
        """Write blocks that are made up only when somebody reads them."""
        if self._at % BLOCK or count % BLOCK:
            yield from self.write(self._context.guest.rng.randbytes(count))
            return
        path = f"/dev/{self._device.name}"
        if self._at + count > self._device.mediasize:
            raise FileError("ENOSPC", path)
        mark = f"{self._context.guest.rng.getrandbits(64):016x}"
        first = self._at // BLOCK
        blocks = {n: Content(f"random {mark} {n}") for n in range(first, first + count // BLOCK)}
        yield from submit(self._device, Bio(Op.WRITE, self._at, count, blocks), path)
        self._at += count

    def close(self, *, durable: bool) -> Changing:
        self._device.opened -= 1
        if durable:
            yield from submit(self._device, Bio(Op.FLUSH), f"/dev/{self._device.name}")


class _Directory(Reader):
    """A directory, which can be opened and not be read."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def take(self, count: int | None = None) -> Reading:  # noqa: ARG002 - none of it
        """Fail as read(2) does."""
        yield from ()
        raise FileError("EISDIR", self._name)


@dataclass
class _Records:
    """Blocks that dd has read or written, as its last lines count them."""

    full: int = 0
    partial: int = 0

    def count(self, data: bytes, block: int) -> None:
        """Count one; it is partial when it is shorter than a block."""
        if len(data) < block:
            self.partial += 1
        else:
            self.full += 1

    def __str__(self) -> str:
        return f"{self.full}+{self.partial}"


class _Copy:
    """One run of dd."""

    def __init__(self, context: Context, operands: dict[str, str]) -> None:
        self._context = context
        self._operands = operands
        self._in_size = self._size("bs", self._size("ibs", 512))
        self._out_size = self._size("bs", self._size("obs", 512))
        self._conversions = set(filter(None, operands.get("conv", "").split(",")))
        self._flags = set(filter(None, operands.get("oflag", "").split(",")))
        inputs = set(filter(None, operands.get("iflag", "").split(",")))
        status = {operands["status"]} if "status" in operands else set()
        for what, given, known, others in (
            ("conversion", self._conversions, _CONVERSIONS, _OTHER_CONVERSIONS),
            ("open flag", self._flags, {"sync", "fsync"}, {"direct"}),
            ("open flag", inputs, {"fullblock"}, {"direct"}),
            ("status", status, {"none", "noxfer"}, {"progress"}),
        ):
            for each in sorted(given - known):
                if each in others:
                    raise NotModelled(f"dd with the {what} {each}")
                raise Failure(f"unknown {what} {each}")
        self._read, self._written = _Records(), _Records()
        self._bytes = 0
        trace = context.process.trace
        self._trace = trace if trace is not None and trace.program == "dd" else None

    def _size(self, name: str, default: int) -> int:
        text = self._operands.get(name)
        if text is None:
            return default
        size = size_of(text)
        if size is None:
            raise Failure(f"{name}: invalid numeric value")
        if size == 0 and name in {"bs", "ibs", "obs"}:
            raise Failure(f"{name} must be between 1 and 9223372036854775807")
        check_size(size if name in {"bs", "ibs", "obs"} else 0)
        return size

    def run(self) -> Program:
        """Copy, and say how much."""
        start = self._context.guest.world.now
        try:
            source = yield from self._source()
            target = yield from self._target()
        except FileError as error:
            raise Failure(f"{error.path}: {error.reason}") from None
        status = 0
        try:
            yield from self._copy(source, target)
        except FileError as error:
            status = 1
            self._context.complain(f"dd: {error.path}: {error.reason}")
        durable = "fsync" in self._conversions or "fdatasync" in self._conversions
        durable = durable or bool(self._flags)
        try:
            yield from target.close(durable=durable and status == 0)
        except FileError as error:
            status = 1
            self._context.complain(f"dd: {error.path}: {error.reason}")
        self._summary(max(self._context.guest.world.now - start, 1e-6))
        return status

    def _source(self) -> Generator[float | Signal, None, Reader]:
        name = self._operands.get("if")
        if name is not None and entry_of(self._context, name).kind == "dir":
            return _Directory(name)
        reader = reader_of(self._context, name if name is not None else "-")
        skip = self._size("skip", self._size("iseek", 0)) * self._in_size
        if skip and isinstance(reader, DeviceReader):
            reader.at = skip
        elif skip and not isinstance(reader, Endless):
            yield from reader.take(skip)
        return reader

    def _target(self) -> Generator[float | Signal, None, _Target]:
        name = self._operands.get("of")
        seek = self._size("seek", self._size("oseek", 0)) * self._out_size
        if name is None:
            if seek:
                raise NotModelled("dd seek= on standard output")
            return _StreamTarget(self._context)
        path = posixpath.normpath(self._context.path(name))
        if path == "/dev/null":
            return _NullTarget()
        device = self._context.guest.devices.get(path.removeprefix("/dev/"))
        if path.startswith("/dev/") and device is not None:
            device.opened += 1
            return _DeviceTarget(self._context, device, seek)
        filesystem, inner = yield from place(self._context, name)
        entry = filesystem.get(inner)
        now = self._context.guest.wall_clock()
        if entry is None:
            entry = Entry("file", b"", 0o666 & ~mask_of(self._context), now)
        elif entry.kind == "dir":
            raise FileError("EISDIR", name)
        check_size(seek)
        if "notrunc" not in self._conversions:
            entry = replace(entry, data=entry.data[:seek].ljust(seek, b"\0"), mtime=now)
        try:
            filesystem.put(inner, entry)
        except FileError as error:
            raise FileError(error.errno, name) from None
        return _FileTarget(self._context, filesystem, inner, seek)

    def _copy(self, source: Reader, target: _Target) -> Program:
        count = self._size("count", -1) if "count" in self._operands else -1
        pending = b""
        number = 0
        lazy = isinstance(source, Endless) and source.kind != "zero"
        lazy = lazy and self._trace is None
        whole = self._in_size == self._out_size
        while count < 0 or number < count:
            number += 1
            if number > _MOST_BLOCKS:
                raise NotModelled("dd of that many blocks")
            # A block that is only partly covered costs two requests.
            if isinstance(self._context, ShellContext):
                self._context.budget.step(2 if self._in_size < BLOCK else number % 2)
            if isinstance(target, _NullTarget | _DeviceTarget) and lazy and whole:
                yield from self._pass_random(target)
                continue
            called = self._context.guest.wall_clock()
            data = yield from source.take(self._in_size)
            if self._trace is not None:
                self._trace.read(called, _INPUT, self._in_size, len(data))
            if not data:
                break
            if "sync" in self._conversions:
                data = data.ljust(self._in_size, b"\0")
            self._read.count(data, self._in_size)
            if whole:
                yield from self._write(target, data)
                continue
            pending += data
            while len(pending) >= self._out_size:
                yield from self._write(target, pending[: self._out_size])
                pending = pending[self._out_size :]
        if pending:
            yield from self._write(target, pending)
        return 0

    def _pass_random(self, target: _Target) -> Changing:
        self._read.full += 1
        if isinstance(target, _DeviceTarget):
            yield from target.write_random(self._in_size)
        self._written.full += 1
        self._bytes += self._in_size

    def _write(self, target: _Target, data: bytes) -> Changing:
        trace, called = self._trace, self._context.guest.wall_clock()
        try:
            yield from target.write(data)
        except FileError as error:
            if trace is not None:
                trace.write(called, _OUTPUT, len(data), error.errno)
            raise
        if trace is not None:
            trace.write(called, _OUTPUT, len(data))
        self._written.count(data, self._out_size)
        self._bytes += len(data)
        if self._bytes > 1 << 40:
            raise NotModelled("dd of more than a terabyte")

    def _summary(self, took: float) -> None:
        status = self._operands.get("status")
        if status == "none":
            return
        self._say(f"{self._read} records in\n{self._written} records out")
        if status != "noxfer":
            rate = int(self._bytes / took)
            self._say(f"{self._bytes} bytes transferred in {took:.6f} secs ({rate} bytes/sec)")

    def _say(self, text: str) -> None:
        self._context.complain(text)
        if self._trace is not None:
            self._trace.write(self._context.guest.wall_clock(), _ERRORS, len(text) + 1)


# --- digests ------------------------------------------------------------------------------------

_DIGESTS = {
    "md5": "MD5",
    "sha1": "SHA1",
    "sha224": "SHA224",
    "sha256": "SHA256",
    "sha384": "SHA384",
    "sha512": "SHA512",
}


def digest_of(program: str, data: bytes) -> str:
    """The digest in hexadecimal digits. Most of what is compared on disks is zeros."""
    if is_zeros(data):
        return _digest_of_zeros(program, len(data))
    return hashlib.new(program, data).hexdigest()


@functools.lru_cache(maxsize=64)
def _digest_of_zeros(program: str, size: int) -> str:
    return hashlib.new(program, zeros(size)).hexdigest()


def _digest(context: Context, options: Options, program: str) -> Program:
    """md5(1) and its relatives."""
    kind = _DIGESTS[program]
    status = 0
    for text in options.values("s"):
        digest = hashlib.new(program, text.encode("utf-8", "surrogateescape")).hexdigest()
        _print_digest(context, options, kind, text, digest)
    if "s" in options and not options.rest:
        return 0
    if not options.rest:
        data = yield from content(context, "-")
        context.print(digest_of(program, data))
        return 0
    for name in options.rest:
        try:
            if entry_of(context, name).kind == "dir":
                raise FileError("EISDIR", name)
            data = yield from content(context, name)
        except FileError as error:
            context.complain(f"{program}: {error.path}: {error.reason}")
            status = 1
            continue
        _print_digest(context, options, kind, name, digest_of(program, data))
    return status


def _print_digest(context: Context, options: Options, kind: str, name: str, digest: str) -> None:
    if "q" in options:
        context.print(digest)
    elif "r" in options:
        context.print(f"{digest} {name}")
    else:
        context.print(f"{kind} ({name}) = {digest}")


def _register_digest(program: str) -> None:
    """Register a program of `_DIGESTS`."""

    @tool(
        program,
        flags="qr",
        valued="s",
        unmodelled="cptx",
        usage=f"usage: {program} [-pqrtx] [-c string] [-s string] [files ...]",
    )
    def run(context: Context, options: Options) -> Program:
        return _digest(context, options, program)


for _each in _DIGESTS:
    _register_digest(_each)


# --- comparing ----------------------------------------------------------------------------------


@tool(
    "cmp",
    illegal="invalid option",
    flags="s",
    unmodelled="hlnxzi",
    usage="usage: cmp [-l | -s | -x] [-hz] file1 file2 [skip1 [skip2]]",
    status=2,
)
def cmp(context: Context, options: Options) -> Program:
    """cmp(1)."""
    if len(options.rest) != 2:
        if len(options.rest) < 2:
            raise Failure("usage: cmp [-l | -s | -x] [-hz] file1 file2 [skip1 [skip2]]", 2)
        raise NotModelled("cmp with offsets")
    data = []
    for name in options.rest:
        try:
            data.append((yield from content(context, name)))
        except FileError as error:
            if "s" not in options:
                context.complain(f"cmp: {error.path}: {error.reason}")
            return 2
    first, second = data
    if first == second:
        return 0
    if "s" in options:
        return 1
    names = ["stdin" if name == "-" else name for name in options.rest]
    common = min(len(first), len(second))
    at = next((n for n in range(common) if first[n] != second[n]), common)
    if at == common:
        context.complain(f"cmp: EOF on {names[0] if len(first) < len(second) else names[1]}")
    else:
        line = first[:at].count(b"\n") + 1
        context.print(f"{names[0]} {names[1]} differ: char {at + 1}, line {line}")
    return 1


_DIFF_USAGE = """\
usage: diff [-aBbdilpTtw] [-c | -e | -f | -n | -q | -u] [--ignore-case]
            [--no-ignore-case] [--normal] [--strip-trailing-cr] [--tabsize]
            [-I pattern] [-L label] file1 file2
       diff [-aBbdilpTtw] [-I pattern] [-L label] [--ignore-case]
            [--no-ignore-case] [--normal] [--strip-trailing-cr] [--tabsize]
            -C number file1 file2
       diff [-aBbdiltw] [-I pattern] [--ignore-case] [--no-ignore-case]
            [--normal] [--strip-trailing-cr] [--tabsize] -D string file1 file2
       diff [-aBbdilpTtw] [-I pattern] [-L label] [--ignore-case]
            [--no-ignore-case] [--normal] [--tabsize] [--strip-trailing-cr]
            -U number file1 file2
       diff [-aBbdilNPprsTtw] [-c | -e | -f | -n | -q | -u] [--ignore-case]
            [--no-ignore-case] [--normal] [--tabsize] [-I pattern] [-L label]
            [-S name] [-X file] [-x pattern] dir1 dir2
       diff [-aBbditwW] [--expand-tabs] [--ignore-all-blanks]
            [--ignore-blank-lines] [--ignore-case] [--minimal]
            [--no-ignore-file-name-case] [--strip-trailing-cr]
            [--suppress-common-lines] [--tabsize] [--text] [--width]
            -y | --side-by-side file1 file2"""


@tool(
    "diff",
    illegal="invalid option",
    flags="qsu",
    unmodelled="abcdefghilnprtwyBNTCDFHILPSUWX",
    usage=_DIFF_USAGE,
    status=2,
)
def diff(context: Context, options: Options) -> Program:
    """diff(1), as long as the files are equal or only that is asked."""
    if len(options.rest) != 2:
        raise NotModelled("diff of other than two files")
    data = []
    for name in options.rest:
        try:
            if entry_of(context, name).kind == "dir":
                raise NotModelled("diff of directories")
            data.append((yield from content(context, name)))
        except FileError as error:
            raise Failure(f"diff: {error.path}: {error.reason}", 2) from None
    first, second = options.rest
    if data[0] == data[1]:
        if "s" in options:
            context.print(f"Files {first} and {second} are identical")
        return 0
    if "q" not in options:
        raise NotModelled("diff of files that differ")
    context.print(f"Files {first} and {second} differ")
    return 1


# --- numbers ------------------------------------------------------------------------------------

_MOST_NUMBERS = 1_000_000
_NUMBER = re.compile(r"[-+]?(\d{1,15}(\.\d{0,9})?|\.\d{1,9})", re.ASCII)
_SEQ_USAGE = "usage: seq [-w] [-f format] [-s string] [-t string] [first [incr]] last"


@command("seq")
def seq(context: Context, arguments: list[str]) -> int:
    """seq(1); a negative number is no option."""
    words = list(arguments)
    given: list[str] = []
    while words and words[0].startswith("-") and not _NUMBER.fullmatch(words[0]):
        word = words.pop(0)
        given.append(word)
        if word == "-s" and words:
            given.append(words.pop(0))
        elif word[:2] in {"-f", "-h", "-t"}:
            raise NotModelled(f"seq {word}")
    try:
        options = Options(given, "w", "s")
        _seq(context, options, words)
    except BadOption as bad:
        if bad.missing:
            raise NotModelled(f"seq -{bad.letter} without its argument") from bad
        context.complain(f"seq: invalid option -- {bad.letter}\n{_SEQ_USAGE}")
        return 1
    except Failure as failure:
        context.complain(failure.text)
        return failure.status
    return 0


def _seq(context: Context, options: Options, words: list[str]) -> None:
    if not 1 <= len(words) <= 3:
        raise Failure(_SEQ_USAGE)
    for word in words:
        if not _NUMBER.fullmatch(word):
            raise Failure(f"seq: invalid floating point argument: {word}", 2)
    numbers = [float(word) for word in words]
    first, last = (numbers[0] if len(numbers) > 1 else 1.0), numbers[-1]
    step = numbers[1] if len(numbers) > 2 else (1.0 if first <= last else -1.0)
    if step == 0:
        raise Failure("seq: zero increment")
    if step > 0 > last - first:
        raise Failure("seq: needs negative decrement")
    if step < 0 < last - first:
        raise Failure("seq: needs positive increment")
    count = int((last - first) / step + 1e-9) + 1
    if count > _MOST_NUMBERS or max(abs(first), abs(last)) >= 1e6:
        raise NotModelled("seq of numbers like that")
    found = [f"{first + n * step:g}" for n in range(count)]
    if "w" in options:
        width = max(len(text) for text in found)
        found = [text.zfill(width) for text in found]
    separator = options.value("s", "\n")
    text = "".join(each + separator for each in found)
    context.stdout += text.encode("utf-8", "surrogateescape")


_JOT_USAGE = """\
usage: jot [-cnr] [-b word] [-w word] [-s string] [-p precision]
           [reps [begin [end [s]]]]"""


@tool("jot", flags="cnr", valued="bpsw", usage=_JOT_USAGE)
def jot(context: Context, options: Options) -> int:
    """jot(1) of whole numbers, in order or at random."""
    words = options.rest
    if not words and not options.letters():
        raise Failure(_JOT_USAGE)
    if (
        {"c", "p"} & set(options.letters())
        or len(words) > 4
        or {"b", "w"} <= set(options.letters())
    ):
        raise NotModelled("jot with -c or -p")
    word = options.value("w")
    if "%" in word and not re.fullmatch(r"[^%]*%[-0]?\d{0,3}d[^%]*", word):
        raise NotModelled(f"jot -w {word}")
    if words and not (words[0] == "-" or words[0].isdigit()):
        raise Failure(f"jot: bad reps value: {words[0]}")
    values = [decimal(word) for word in words]
    if any(value is None and word != "-" for word, value in zip(words, values, strict=True)):
        raise NotModelled(f"jot {' '.join(words)}")
    values += [None] * (4 - len(values))
    reps, begin, end, step = values
    count = 100 if reps is None else reps
    if not 0 < count <= _MOST_NUMBERS or (reps is None and end is not None):
        raise NotModelled("jot of that many numbers")
    begin = 1 if begin is None else begin
    if "b" in options:
        found = [options.value("b")] * count
    elif "r" in options:
        last = 100 if end is None else end
        low, high = min(begin, last), max(begin, last)
        found = [str(context.guest.rng.randint(low, high)) for _ in range(count)]
    else:
        by = 1.0 if step is None else float(step)
        if end is not None and step is None and count > 1:
            by = (end - begin) / (count - 1)
        found = [f"{begin + n * by:.0f}" for n in range(count)]
    separator = options.value("s", "\n")
    # Without a conversion the number is appended to the word.
    found = [word % int(each) if "%" in word else word + each for each in found]
    text = separator.join(found) + ("" if "n" in options else "\n")
    context.stdout += text.encode("utf-8", "surrogateescape")
    return 0
