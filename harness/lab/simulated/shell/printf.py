"""printf(1) and the escapes of echo, as FreeBSD 13.2's sh has them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.shell.language.arithmetic import number

_LETTERS = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
}
_CONVERSION = re.compile(r"%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?([A-Za-z%]|$|.)", re.DOTALL)
_WIDEST = 1 << 16


@dataclass
class Printed:
    """What printf wrote, what it complained of, and its status."""

    out: bytearray = field(default_factory=bytearray)
    complaints: list[str] = field(default_factory=list)
    status: int = 0
    stopped: bool = False


def encoded(text: str) -> bytes:
    """Text as the bytes that it came from."""
    return text.encode("utf-8", "surrogateescape")


def unescape(text: str, *, octal_needs_zero: bool, printed: Printed) -> bytes:
    r"""Replace escapes; `\c` stops all output, and `\0` may have three more digits in %b."""
    out = bytearray()
    at = 0
    while True:
        backslash = text.find("\\", at)
        if backslash < 0 or backslash + 1 >= len(text):
            return bytes(out + encoded(text[at:]))
        out += encoded(text[at:backslash])
        letter = text[backslash + 1]
        at = backslash + 2
        if letter in "01234567":
            digits = re.compile(
                r"0[0-7]{0,3}|[0-7]{1,3}" if octal_needs_zero else r"[0-7]{1,3}"
            ).match(text, backslash + 1)
            assert digits is not None
            out.append(int(digits[0], 8) & 0xFF)
            at = digits.end()
        elif letter == "c":
            printed.stopped = True
            return bytes(out)
        else:
            out += _LETTERS.get(letter, encoded(letter))


def printf(arguments: list[str]) -> Printed:
    """Format `arguments`, whose first is the format, which is used as often as it takes."""
    printed = Printed()
    template, rest = arguments[0], arguments[1:]
    while True:
        before = len(rest)
        rest = _once(template, rest, printed)
        if printed.stopped or not rest or len(rest) == before or printed.status > 1:
            printed.status = min(printed.status, 1)
            return printed
        if len(printed.out) > 64 << 20:
            raise NotModelled("printf of more than 64 MiB")


def _once(template: str, arguments: list[str], printed: Printed) -> list[str]:
    at = 0
    while at < len(template):
        percent = template.find("%", at)
        text = template[at:] if percent < 0 else template[at:percent]
        printed.out += unescape(text, octal_needs_zero=False, printed=printed)
        if printed.stopped or percent < 0:
            break
        match = _CONVERSION.match(template, percent)
        assert match is not None
        at = match.end()
        flags, width, precision, letter = match.groups()
        if letter == "%":
            printed.out += b"%"
            continue
        if letter == "":
            printed.complaints.append("missing format character")
            printed.status = 2
            break
        if letter not in "diouxXcsbeEfFgGaA":
            printed.complaints.append(f"illegal format character {letter}")
            printed.status = 2
            break
        if width == "*":
            width, arguments = _number_of(arguments, printed)
        if precision == "*":
            precision, arguments = _number_of(arguments, printed)
        if max(int(width or 0), int(precision or 0)) > _WIDEST:
            raise NotModelled("printf of that width")
        argument = arguments[0] if arguments else None
        arguments = arguments[1:]
        _convert(_Format(letter, flags, width or "", precision), argument, printed)
        if printed.stopped:
            break
    return arguments


def _number_of(arguments: list[str], printed: Printed) -> tuple[str, list[str]]:
    value = _integer(arguments[0] if arguments else "", printed)
    if value < 0:
        raise NotModelled("printf with a negative width")
    return str(value), arguments[1:]


@dataclass(frozen=True)
class _Format:
    letter: str
    flags: str
    width: str
    precision: str | None


def _convert(wanted: _Format, argument: str | None, printed: Printed) -> None:
    letter, flags = wanted.letter, wanted.flags
    width, precision = wanted.width, wanted.precision
    if letter in "sbc":
        if letter == "b":
            text = unescape(argument or "", octal_needs_zero=True, printed=printed)
        elif letter == "c":
            text = encoded(argument or "")[:1]
        else:
            text = encoded(argument or "")
        if precision is not None and letter != "c":
            text = text[: int(precision or 0)]
        size = int(width or 0)
        printed.out += text.ljust(size) if "-" in flags else text.rjust(size)
        return
    if letter in "aA":
        raise NotModelled("printf %a")
    dot = "" if precision is None else f".{precision or 0}"
    value: int | float
    if letter in "eEfFgG":
        value = _real(argument or "", printed)
    else:
        value = _integer(argument or "", printed)
        if letter in "ouxX":
            value %= 1 << 64
    printed.out += (f"%{flags}{width}{dot}{letter}" % value).encode()


def _integer(text: str, printed: Printed) -> int:
    if text[:1] in {"'", '"'}:
        return ord(text[1]) if len(text) > 1 else 0
    if not text:
        return 0
    value = number(text)
    if value is None:
        match = re.match(r"\s*[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)", text, re.ASCII)
        usable = number(match[0]) if match is not None else None
        printed.complaints.append(
            f"{text}: expected numeric value"
            if usable is None
            else f"{text}: not completely converted"
        )
        printed.status = max(printed.status, 1)
        value = usable or 0
    if not -(1 << 63) <= value < 1 << 64:
        printed.complaints.append(f"{text}: Result too large")
        printed.status = max(printed.status, 1)
        value = (1 << 63) - 1 if value > 0 else -(1 << 63)
    return value


def _real(text: str, printed: Printed) -> float:
    if text[:1] in {"'", '"'}:
        return float(ord(text[1])) if len(text) > 1 else 0.0
    if not text:
        return 0.0
    match = re.match(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", text, re.ASCII)
    if match is None or match.end() != len(text):
        printed.complaints.append(
            f"{text}: expected numeric value"
            if match is None
            else f"{text}: not completely converted"
        )
        printed.status = max(printed.status, 1)
    return float(match[0]) if match is not None and match.end() < 400 else 0.0


def echo(arguments: list[str]) -> bytes:
    """What sh(1)'s echo prints: `-n` leaves the newline out, `-e` replaces escapes."""
    newline, escapes = True, False
    if arguments[:1] == ["-n"]:
        newline, arguments = False, arguments[1:]
    elif arguments[:1] == ["-e"]:
        escapes, arguments = True, arguments[1:]
    text = " ".join(arguments)
    if not escapes:
        return encoded(text) + (b"\n" if newline else b"")
    printed = Printed()
    out = unescape(text.replace("\\e", "\\033"), octal_needs_zero=True, printed=printed)
    return out + (b"" if printed.stopped or not newline else b"\n")
