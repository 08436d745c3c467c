"""Programs that read text and print some of it: cat, head, tail, cut, sort, uniq, wc, tr, tee."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.hast.hastd import Hast
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import COMMANDS, Context
from harness.lab.simulated.shell.streams import Writer, check_size, number_of_stream, open_writer
from harness.lab.simulated.shell.tool import (
    Failure,
    content,
    decimal,
    each_input,
    entry_of,
    mask_of,
    reader_of,
    size_of,
    tool,
)


def lines_of(data: bytes) -> list[bytes]:
    """Lines without their newlines; the last may have had none."""
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return lines


@tool("cat", flags="unbes", unmodelled="ltv", usage="usage: cat [-belnstuv] [file ...]")
def cat(context: Context, options: Options) -> Program:
    """cat(1)."""
    status = 0
    for name in options.rest or ["-"]:
        try:
            data = yield from content(context, name)
        except FileError as error:
            if error.errno == "ENOTSUP" and _reads_socket(context, name):
                continue
            reason = "Connection refused" if error.errno == "ENOTSUP" else error.reason
            context.complain(f"cat: {error.path}: {reason}")
            status = 1
            continue
        context.stdout += _cooked(data, options) if options.letters().strip("u") else data
        check_size(len(context.stdout))
    return status


def _reads_socket(context: Context, name: str) -> bool:
    """Connect to a UNIX socket, as cat(1) does; False: nobody listens there any more."""
    hastd = context.guest.part(Hast).hastd
    entry = context.guest.tree.entry(context.path(name))
    if hastd is None or entry is None or entry.target != hastd.socket_id:
        return False
    if not hastd.has_control_at(context.path(name)):
        raise NotModelled("cat of a socket on which hastd waits for a primary")
    hastd.take_stranger()
    return True


def _cooked(data: bytes, options: Options) -> bytes:
    """Lines with numbers, dollars at their ends, or fewer empty ones among them."""
    out = bytearray()
    number = 0
    empty = False
    if "e" in options and any((code < 32 and code not in b"\t\n") or code > 126 for code in data):
        raise NotModelled("cat -e of control characters")
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
        if "s" in options and line == b"\n" and empty:
            continue
        empty = line == b"\n"
        if "n" in options or "b" in options:
            if line != b"\n" or "b" not in options:
                number += 1
                out += b"%6d\t" % number
            elif "e" in options:
                out += b"      \t"
        out += line.replace(b"\n", b"$\n") if "e" in options else line
    return bytes(out)


# --- the beginning and the end ------------------------------------------------------------------


def _old_style(arguments: list[str]) -> list[str]:
    """`head -5` is `head -n 5`."""
    if arguments and re.fullmatch("-[0-9]+", arguments[0]):
        return ["-n", arguments[0][1:], *arguments[1:]]
    return arguments


_HEAD_USAGE = "usage: head [-n lines | -c bytes] [file ...]"


def _head(context: Context, options: Options) -> Program:
    what = "c" if "c" in options else "n"
    kind = "byte" if what == "c" else "line"
    text = options.value(what, "10")
    count = size_of(text) if what == "c" else decimal(text)
    if not count:
        raise Failure(f"head: illegal {kind} count -- {text}")
    status, shown = 0, 0
    for name in options.rest or ["-"]:
        try:
            if name != "-" and entry_of(context, name).kind == "dir":
                data = b""
            elif what == "c":
                data = yield from reader_of(context, name).take(count)
            else:
                found = lines_of_keeping((yield from content(context, name)), count)
                data = b"".join(found)
        except FileError as error:
            context.complain(f"head: {error.path}: {error.reason}")
            status = 1
            continue
        _title(context, name, options, shown)
        shown += 1
        context.stdout += data
    return status


def lines_of_keeping(data: bytes, count: int) -> list[bytes]:
    """The first lines with their newlines."""
    found: list[bytes] = []
    at = 0
    while len(found) < count and at < len(data):
        newline = data.find(b"\n", at)
        end = len(data) if newline < 0 else newline + 1
        found.append(data[at:end])
        at = end
    return found


def _title(context: Context, name: str, options: Options, shown: int) -> None:
    quiet, loud = "q" in options, "v" in options
    if (len(options.rest) > 1 and not quiet) or loud:
        shown_name = "standard input" if name == "-" else name
        before = "\n" if shown else ""
        context.stdout += f"{before}==> {shown_name} <==\n".encode("utf-8", "surrogateescape")


_TAIL_USAGE = "usage: tail [-F | -f | -r] [-q] [-b # | -c # | -n #] [file ...]"


def _tail(context: Context, options: Options) -> Program:
    what = "c" if "c" in options else "n"
    text = options.value(what, "10")
    sign = text[:1] if text[:1] in {"+", "-"} else ""
    count = size_of(text.removeprefix(sign))
    if count is None:
        raise Failure(f"tail: illegal offset -- {text}")
    if "r" in options and (sign or what == "c"):
        raise NotModelled("tail -r with -c or from the start")
    status, shown = 0, 0
    for name in options.rest or ["-"]:
        try:
            data = yield from content(context, name)
        except FileError as error:
            context.complain(f"tail: {error.path}: {error.reason}")
            status = 1
            continue
        _title(context, name, options, shown)
        shown += 1
        pieces: list[bytes] = (
            data.splitlines(keepends=True)
            if b"\r" not in data
            else (re.findall(rb"[^\n]*\n|[^\n]+", data))
        )
        if "r" in options:
            pieces = re.findall(rb"[^\n]*\n|[^\n]+", data)[::-1]
            kept = b"".join(pieces[:count] if "n" in options else pieces)
        elif what == "c":
            kept = data[max(0, count - 1) :] if sign == "+" else data[max(0, len(data) - count) :]
        else:
            pieces = re.findall(rb"[^\n]*\n|[^\n]+", data)
            first = max(0, count - 1) if sign == "+" else max(0, len(pieces) - count)
            kept = b"".join(pieces[first:])
        context.stdout += kept
    return status


def _register(name: str, function: object, **spec: str) -> None:
    """Register head or tail, which also take a number for an option."""
    tool(name, **spec)(function)  # type: ignore[arg-type]
    parsed = COMMANDS[name]
    COMMANDS[name] = lambda context, arguments: parsed(context, _old_style(arguments))


_register("head", _head, valued="nc", usage=_HEAD_USAGE, illegal="invalid option")
_register(
    "tail",
    _tail,
    flags="qr",
    valued="nc",
    unmodelled="Ffbv",
    usage=_TAIL_USAGE,
    illegal="invalid option",
)


@tool("wc", flags="lwcm", unmodelled="L", usage="usage: wc [-Lclmw] [file ...]")
def wc(context: Context, options: Options) -> Program:
    """wc(1)."""
    wanted = options.letters() or "lwc"
    total = [0, 0, 0, 0]
    found, status = yield from each_input(context, "wc", options.rest, "{}: {}: ")
    for name, data in found:
        counts = [
            data.count(b"\n"),
            len(data.split()),
            len(data),
            len(data.decode("utf-8", "replace")),
        ]
        total = [have + more for have, more in zip(total, counts, strict=True)]
        _print_counts(context, counts, wanted, "" if not options.rest else name)
    if len(options.rest) > 1:
        _print_counts(context, total, wanted, "total")
    return status


def _print_counts(context: Context, counts: list[int], wanted: str, name: str) -> None:
    shown = "".join(
        f" {count:7d}" for count, letter in zip(counts, "lwcm", strict=True) if letter in wanted
    )
    context.print(shown + (f" {name}" if name else ""))


# --- lines and their parts ----------------------------------------------------------------------


def _ranges(text: str, who: str) -> list[tuple[int, int]]:
    found = []
    for part in re.split("[, ]", text):
        match = re.fullmatch(r"(\d{0,6})(-?)(\d{0,6})", part, re.ASCII)
        if match is None or not part or part == "-" or match[1] == "0":
            zero = match is not None and match[1] == "0"
            what = "values may not include zero" if zero else "illegal list value"
            raise Failure(f"{who}: [-bcf] list: {what}")
        first = int(match[1] or 1)
        last = first if not match[2] else int(match[3] or 1 << 30)
        found.append((first, last))
    return found


_CUT_USAGE = """\
usage: cut -b list [-n] [file ...]
       cut -c list [file ...]
       cut -f list [-s] [-w | -d delim] [file ...]"""


@tool(
    "cut",
    flags="sn",
    valued="bcfd",
    unmodelled="w",
    usage=_CUT_USAGE,
)
def cut(context: Context, options: Options) -> Program:
    """cut(1)."""
    kind = next((letter for letter in "fcb" if letter in options), None)
    if kind is None:
        raise Failure(_CUT_USAGE)
    ranges = _ranges(options.value(kind), "cut")
    delimiter = options.value("d", "\t").encode("utf-8", "surrogateescape")
    if len(delimiter.decode("utf-8", "replace")) != 1:
        raise Failure("cut: bad delimiter")
    found, status = yield from each_input(context, "cut", options.rest)
    for _, data in found:
        for line in lines_of(data):
            if kind == "f":
                if delimiter not in line:
                    if "s" not in options:
                        context.stdout += line + b"\n"
                    continue
                fields = line.split(delimiter)
                kept = [f for n, f in enumerate(fields, 1) if any(a <= n <= b for a, b in ranges)]
                context.stdout += delimiter.join(kept) + b"\n"
            else:
                text = (
                    line.decode("utf-8", "surrogateescape")
                    if kind == "c"
                    else line.decode("latin-1")
                )
                chosen = "".join(
                    c for n, c in enumerate(text, 1) if any(a <= n <= b for a, b in ranges)
                )
                encoding = "utf-8" if kind == "c" else "latin-1"
                errors = "surrogateescape" if kind == "c" else "strict"
                context.stdout += chosen.encode(encoding, errors) + b"\n"
    return status


@dataclass(frozen=True)
class _Key:
    first: int
    last: int
    numeric: bool
    reverse: bool


@tool(
    "sort",
    illegal="invalid option",
    flags="nrubfs",
    valued="kto",
    unmodelled="cCdgHhiMmRSTVz",
    usage="Usage: sort [-bcCdfigMmnrsuz] [-kPOS1[,POS2] ... ] [+POS1 [-POS2]] [-S memsize]"
    " [-T tmpdir] [-t separator] [-o outfile] [--batch-size size] [--files0-from file]"
    " [--heapsort] [--mergesort] [--radixsort] [--qsort] [--mmap] [--human-numeric-sort]"
    " [--version-sort] [--random-sort [--random-source file]] [--compress-program program]"
    " [file ...]",
    status=2,
)
def sort(context: Context, options: Options) -> Program:
    """sort(1) by whole lines or fields, as text or numbers."""
    if "f" in options:
        raise NotModelled("sort -f")
    found, status = yield from each_input(context, "sort", options.rest, "")
    if status:
        return 2
    lines = [line for _, data in found for line in lines_of(data)]
    keys = [_key(text, options) for text in options.values("k")]
    separator = options.value("t").encode("utf-8", "surrogateescape")
    if not keys:
        keys = [_Key(0, 1 << 30, "n" in options, "r" in options)]
    if "s" not in options and "u" not in options:
        lines.sort(reverse="r" in options)
    for key in reversed(keys):
        lines.sort(key=lambda line, key=key: _sort_value(line, key, separator), reverse=key.reverse)  # type: ignore[misc]
    if "u" in options:
        whole = [[_sort_value(line, key, separator) for key in keys] for line in lines]
        lines = [line for n, line in enumerate(lines) if n == 0 or whole[n] != whole[n - 1]]
    text = b"".join(line + b"\n" for line in lines)
    if "o" not in options:
        context.stdout += text
        return 0
    path = context.path(options.value("o"))
    try:
        mode = 0o666 & ~mask_of(context)
        writer = yield from open_writer(context.guest, path, append=False, mode=mode)
    except FileError as error:
        raise Failure(f"sort: {options.value('o')}: {error.reason}", 2) from None
    writer.buffer.extend(text)
    yield from writer.flush()
    return 0


def _key(text: str, options: Options) -> _Key:
    match = re.fullmatch(r"(\d{1,4})([nr]*)(?:,(\d{1,4})([nr]*))?", text, re.ASCII)
    if match is None:
        raise NotModelled(f"sort -k {text}")
    letters = match[2] + (match[4] or "")
    last = int(match[3]) if match[3] else 1 << 30
    own = bool(letters)
    return _Key(
        int(match[1]) - 1,
        last,
        "n" in letters if own else "n" in options,
        "r" in letters if own else "r" in options,
    )


def _sort_value(line: bytes, key: _Key, separator: bytes) -> tuple[float, bytes]:
    if key.first == 0 and key.last >= 1 << 30:
        part = line
    elif separator:
        part = separator.join(line.split(separator)[key.first : key.last])
    else:
        fields = re.findall(rb"[ \t]*[^ \t]+", line)
        part = b"".join(fields[key.first : key.last])
    if not key.numeric:
        return 0.0, part
    match = re.match(rb"[ \t]*(-?\d{1,30}(?:\.\d*)?|-?\.\d+)", part)
    return (float(match[1]) if match is not None else 0.0), b""


@tool(
    "uniq",
    illegal="invalid option",
    flags="cdui",
    unmodelled="Dfs",
    usage="usage: uniq [-c | -d | -D | -u] [-i] [-f fields] [-s chars] [input [output]]",
)
def uniq(context: Context, options: Options) -> Program:
    """uniq(1)."""
    if len(options.rest) > 1:
        raise NotModelled("uniq with an output file")
    data = yield from content(context, options.rest[0] if options.rest else "-")
    for _, group in groupby(
        lines_of(data), key=lambda line: line.lower() if "i" in options else line
    ):
        line, *others = group
        count = 1 + len(others)
        if ("d" in options and count == 1) or ("u" in options and count > 1):
            continue
        context.stdout += (b"%4d " % count if "c" in options else b"") + line + b"\n"
    return 0


_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "0-9A-Za-z",
    "upper": "A-Z",
    "lower": "a-z",
    "space": "\t\n\v\f\r ",
    "blank": "\t ",
    "punct": "!-/:-@\\[-`{-~",
    "print": " -~",
    "cntrl": "\0-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}


def _set(text: str) -> list[int]:
    r"""A set of tr(1) as codes: ranges, classes and escapes such as \n and \012."""
    for name, members in _CLASSES.items():
        text = text.replace(f"[:{name}:]", members)
    found: list[int] = []
    at = 0
    letters = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}
    units: list[tuple[int, bool]] = []
    while at < len(text):
        octal = re.compile(r"\\([0-7]{1,3})").match(text, at)
        if octal is not None:
            units.append((int(octal[1], 8) & 255, True))
            at = octal.end()
        elif text[at] == "\\" and at + 1 < len(text):
            units.append((letters.get(text[at + 1], ord(text[at + 1])), True))
            at += 2
        else:
            units.append((ord(text[at]), False))
            at += 1
    number = 0
    while number < len(units):
        byte = units[number][0]
        if number + 2 < len(units) and units[number + 1] == (ord("-"), False):
            last = units[number + 2][0]
            if last < byte:
                raise NotModelled("tr with a range backwards")
            found += range(byte, last + 1)
            number += 3
        else:
            found.append(byte)
            number += 1
    return found


_TR_USAGE = (
    "usage: tr [-Ccsu] string1 string2\n       tr [-Ccu] -d string1\n"
    "       tr [-Ccu] -s string1\n       tr [-Ccu] -ds string1 string2"
)


@tool("tr", flags="Ccdsu", usage=_TR_USAGE)
def tr(context: Context, options: Options) -> Program:
    """tr(1); a complement is that of the bytes."""
    words = options.rest
    delete, squeeze = "d" in options, "s" in options
    if not words or len(words) > 2 or (len(words) == 1 and not (delete or squeeze)):
        raise Failure(_TR_USAGE)
    first = _set(words[0])
    if "c" in options or "C" in options:
        chosen = set(first)
        others = [*range(256), *range(0xDC80, 0xDD00)]
        first = [code for code in others if code not in chosen]
    yield from context.read_stdin()
    text = (context.stdin or b"").decode("utf-8", "surrogateescape")
    last = first
    if delete:
        text = text.translate(dict.fromkeys(first))
        last = _set(words[1]) if len(words) > 1 else []
    elif len(words) > 1:
        last = _set(words[1])
        if not last:
            raise Failure("tr: empty string2")
        padded = last + [last[-1]] * (len(first) - len(last))
        text = text.translate(dict(reversed(list(zip(first, padded, strict=False)))))
    if squeeze and last:
        members = "".join(re.escape(chr(code)) for code in sorted(set(last)))
        text = re.sub(f"([{members}])\\1+", r"\1", text)
    context.stdout += text.encode("utf-8", "surrogateescape")
    return 0


@tool("tee", flags="ai", usage="usage: tee [-ai] [file ...]")
def tee(context: Context, options: Options) -> Program:
    """tee(1)."""
    writers: list[Writer] = []
    status = 0
    streams = {1: context.stdout, 2: context.stderr}
    for name in options.rest:
        number = number_of_stream(name)
        if number in streams:
            writers.append(Writer(streams[number]))
            continue
        try:
            mode = 0o666 & ~mask_of(context)
            path = context.path(name)
            writers.append(
                (yield from open_writer(context.guest, path, append="a" in options, mode=mode))
            )
        except FileError as error:
            context.complain(f"tee: {name}: {error.reason}")
            status = 1
    yield from context.read_stdin()
    for writer in writers:
        writer.buffer.extend(context.stdin or b"")
        yield from writer.flush()
    context.stdout += context.stdin or b""
    return status
