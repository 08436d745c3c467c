"""What all parsers here do the same way: whole lines, numbers, words of a fixed set."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeVar

from harness.errors import UnrecognisedOutput

E = TypeVar("E", bound=enum.StrEnum)

_SCALES: dict[str, int] = {letter: 1024**power for power, letter in enumerate(("", *"KMGTPE"))}


@dataclass(frozen=True)
class Output:
    """What one command printed on its standard output, and how a parser complains about it."""

    command: str
    text: str

    def lines(self) -> list[str]:
        """Its lines, without their ends. Raises `UnrecognisedOutput` when the last has no end.

        FreeBSD's tools end every line, so such an output was cut off, perhaps inside a number.
        """
        if self.text and not self.text.endswith("\n"):
            last = self.text.rpartition("\n")[2]
            raise self.unrecognised(
                f"its last line, {last!r}, has no end, so it may be cut off (if it was pasted and "
                "is whole, end it with a newline)"
            )
        return self.text.split("\n")[:-1]

    def unrecognised(self, why: str) -> UnrecognisedOutput:
        """The error to raise, saying `why` and carrying the whole text."""
        return UnrecognisedOutput(
            f"the output of `{self.command}` makes no sense: {why}", self.text
        )

    def integer(self, value: str, what: str) -> int:
        """A decimal number without sign. Raises `UnrecognisedOutput` naming `what` otherwise."""
        if re.fullmatch(r"[0-9]{1,20}", value) is None:
            raise self.unrecognised(f"{what} is {value!r} and not a number")
        return int(value)

    def word(self, words: type[E], value: str, what: str) -> E:
        """The member of `words` that is printed as `value`, or `UnrecognisedOutput`."""
        try:
            return words(value)
        except ValueError:
            raise self.unrecognised(
                f"{what} is {value!r} and not one of {', '.join(words)}"
            ) from None


def about(humanised: str) -> int:
    """The number behind `512M` or `1.5G`, as libutil's humanize_number(3) prints it with 1024.

    At most three digits are printed, so this is right to about half a percent from 100 up, and
    only to five percent below that. Raises ValueError for anything else.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9])?)([KMGTPE]?)", humanised, re.ASCII)
    if match is None:
        raise ValueError(f"{humanised!r} is not a number as humanize_number(3) prints it")
    return round(float(match[1]) * _SCALES[match[2]])
