"""What awk(1) calculates with: numbers, texts, texts that look like numbers, and arrays."""

from __future__ import annotations

import math
import re

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.shell.streams import check_size


class Numeric(str):
    """A text of the input that is a number as well; a variable without a value is one, too."""

    __slots__ = ("number",)

    def __new__(cls, text: str, number: float) -> Numeric:
        """A text and its number."""
        made = super().__new__(cls, text)
        made.number = number
        return made

    number: float


Value = float | str
"""A number, a text, or (`Numeric`) both."""

UNSET = Numeric("", 0.0)
"""A variable that has no value yet: equal to 0 and to the empty text."""

_START = re.compile(
    r"[ \t\n\v\f\r]*([-+]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][-+]?\d+)?"
    r"|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|[-+](?:[iI][nN][fF]|[nN][aA][nN])(?=[ \t\n]|$))"
)


def _float(text: str) -> float:
    if "x" in text or "X" in text:
        return float.fromhex(text)
    return float(text)


def number_of(value: Value) -> float:
    """A value as a number: what a text begins with, or 0 (is_valid_number() in lib.c)."""
    if isinstance(value, float):
        return value
    if isinstance(value, Numeric):
        return value.number
    found = _START.match(value)
    return _float(found[1]) if found is not None else 0.0


def from_input(text: str) -> str:
    """A field or a line: `Numeric` where all of it is a number."""
    found = _START.match(text)
    if found is None or text[found.end() :].strip(" \t\n\v\f\r"):
        return text
    return Numeric(text, _float(found[1]))


def text_of(value: Value, template: str = "%.6g") -> str:
    """A value as a text; numbers with a fraction by CONVFMT or OFMT."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "-nan" if math.copysign(1.0, value) < 0 else "+nan"
    if math.isinf(value):
        return "-inf" if value < 0 else "+inf"
    if value == int(value):
        return "%.30g" % value  # noqa: UP031 - C's format, for C's result
    return formatted(template, [value])


def is_true(value: Value) -> bool:
    """Whether a condition holds."""
    if isinstance(value, float):
        return value != 0
    if isinstance(value, Numeric):
        return value.number != 0
    return value != ""


def compared(left: Value, right: Value) -> int:
    """-1, 0 or 1: as numbers where both are, else as texts, byte by byte."""
    if isinstance(left, float | Numeric) and isinstance(right, float | Numeric):
        difference = number_of(left) - number_of(right)
        return (difference > 0) - (difference < 0)
    one, other = text_of(left), text_of(right)
    return (one > other) - (one < other)


# --- printf -------------------------------------------------------------------------------------


class MissingArgument(Exception):
    """A format wants more arguments than there are."""


_CONVERSION = re.compile(r"%([^%A-Za-z$]*(?:[hjLlqtz][^%A-Za-z$]*)*)([A-Za-z])?")


def _integer(value: float) -> int:
    """As C's conversion to intmax_t does on amd64."""
    if math.isnan(value) or not -(2.0**63) <= value < 2.0**63:
        return -(2**63)
    return int(value)


def formatted(template: str, arguments: list[Value]) -> str:
    """What sprintf makes of it. Raises `MissingArgument`."""
    waiting = list(arguments)
    out: list[str] = []
    at = size = 0
    while at < len(template):
        percent = template.find("%", at)
        if percent < 0:
            out.append(template[at:])
            break
        out.append(template[at:percent])
        if template[percent + 1 : percent + 2] == "%":
            out.append("%")
            at = percent + 2
            continue
        found = _CONVERSION.match(template, percent)
        if found is None or found[2] is None:
            raise NotModelled(f"awk: the format {template[percent : percent + 20]}")
        at = found.end()
        made = _converted(found[1], found[2], waiting)
        size += len(made)
        check_size(size)
        out.append(made)
    return "".join(out)


def _converted(between: str, letter: str, waiting: list[Value]) -> str:
    flags = re.sub("[hjLlqtz]", "", between)
    while "*" in flags:
        if not waiting:
            raise MissingArgument
        flags = flags.replace("*", str(_integer(number_of(waiting.pop(0)))), 1)
    flags = flags.replace("--", "-")
    if re.fullmatch(r"[-+ #0]*\d{0,6}(\.\d{0,6})?", flags) is None:
        raise NotModelled(f"awk: the format %{between}{letter}")
    if letter not in "diouxXeEfFgGcs":
        raise NotModelled(f"awk: the format %{between}{letter}")
    if not waiting:
        raise MissingArgument
    value = waiting.pop(0)
    if letter == "s":
        return _padded(flags, text_of(value))
    if letter == "c":
        return _character(flags, value)
    number = number_of(value)
    if letter in "eEfFgG":
        if math.isnan(number) or math.isinf(number):
            flags = flags.replace("0", " ", 1) if flags.startswith("0") else flags
        return f"%{flags}{letter}" % number
    whole = _integer(number)
    if letter in "ouxX":
        return _unsigned(flags, letter, whole & (2**64 - 1))
    return f"%{flags}d" % whole


def _character(flags: str, value: Value) -> str:
    if isinstance(value, str) and not isinstance(value, Numeric):
        character = value[:1]
    else:
        code = _integer(number_of(value))
        if code == 0:
            return "\0"
        character = chr(code & 255)
    return _padded(flags.partition(".")[0], character)


def _padded(flags: str, text: str) -> str:
    """A text in its width; FreeBSD's printf(3) fills with zeros where it is told so."""
    width, dot, precision = flags.lstrip("-+ #0").partition(".")
    if dot:
        text = text[: int(precision or 0)]
    signs = flags[: len(flags) - len(flags.lstrip("-+ #0"))]
    if "-" in signs:
        return text.ljust(int(width or 0))
    return text.rjust(int(width or 0), "0" if "0" in signs else " ")


def _unsigned(flags: str, letter: str, number: int) -> str:
    plain = flags.replace("+", "").replace(" ", "")
    if "#" not in plain:
        return f"%{plain}{'d' if letter == 'u' else letter}" % number
    if letter == "u" or number == 0:
        return f"%{plain.replace('#', '')}{'d' if letter == 'u' else letter}" % number
    if letter == "o":
        raise NotModelled(f"awk: the format %{flags}o")
    return f"%{plain}{letter}" % number


# --- arrays -------------------------------------------------------------------------------------

_BUCKETS = 50
_FULL = 2
_GROWS = 4


class Array:
    """An array, which `for` walks in the order of awk's hash table (tran.c)."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._buckets: list[list[str]] = [[] for _ in range(_BUCKETS)]

    def __contains__(self, index: str) -> bool:
        return index in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, index: str) -> Value:
        """An element; it is there afterwards."""
        if index not in self._values:
            self.set(index, UNSET)
        return self._values[index]

    def set(self, index: str, value: Value) -> None:
        """Give an element a value."""
        if index not in self._values:
            if len(self._values) + 1 > _FULL * len(self._buckets):
                self._grow()
            self._buckets[_hash(index, len(self._buckets))].insert(0, index)
        self._values[index] = value

    def delete(self, index: str) -> None:
        """Forget an element."""
        if index in self._values:
            del self._values[index]
            self._buckets[_hash(index, len(self._buckets))].remove(index)

    def clear(self) -> None:
        """Forget all."""
        self.__init__()  # type: ignore[misc]

    def indices(self) -> list[str]:
        """In awk's order."""
        return [index for bucket in self._buckets for index in bucket]

    def _grow(self) -> None:
        before = self._buckets
        self._buckets = [[] for _ in range(_GROWS * len(before))]
        for bucket in before:
            for index in bucket:
                self._buckets[_hash(index, len(self._buckets))].insert(0, index)


def _hash(text: str, size: int) -> int:
    value = 0
    for character in text:
        code = ord(character)
        value = (31 * value + (code if code < 128 else code - 256)) & 0xFFFFFFFF
    return value % size
