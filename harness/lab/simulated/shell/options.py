"""Command line options as getopt(3) takes them, and what zpool(8) and zfs(8) say about bad ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class BadOption(Exception):
    """An option that is not in the list, or (`missing`) one without its argument."""

    def __init__(self, letter: str, *, missing: bool = False) -> None:
        self.letter = letter
        self.missing = missing
        super().__init__(letter)


def getopt(
    words: list[str], flags: str, valued: str = "", until: str = ""
) -> Iterator[tuple[str, str]]:
    """The options at the front of `words` one by one, each with its argument; the operands stay.

    `flags` are the letters without an argument. A word that has a letter of `until` first is an
    operand, as chmod(1) takes `-x`. Raises `BadOption` when those before it have been taken.
    """
    while words and words[0].startswith("-") and words[0] != "-":
        if words[0][1] in until:
            return
        letters = words.pop(0)[1:]
        if letters == "-":
            return
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in flags:
                yield letter, ""
            elif letter not in valued:
                raise BadOption(letter)
            elif not letters and not words:
                raise BadOption(letter, missing=True)
            else:
                yield letter, letters or words.pop(0)
                letters = ""


class Options:
    """Options that were given, each with its arguments in order; `rest` are the operands."""

    def __init__(
        self, arguments: Sequence[str], flags: str, valued: str = "", until: str = ""
    ) -> None:
        """As for `getopt`. Raises `BadOption`."""
        self._given: dict[str, list[str]] = {}
        self._order: list[tuple[str, str]] = []
        words = list(arguments)
        for letter, value in getopt(words, flags, valued, until):
            self._given.setdefault(letter, []).append(value)
            self._order.append((letter, value))
        self.rest = words

    def __contains__(self, letter: str) -> bool:
        return letter in self._given

    def values(self, letter: str) -> list[str]:
        """All arguments of an option."""
        return self._given.get(letter, [])

    def value(self, letter: str, default: str = "") -> str:
        """The last argument of an option."""
        return self._given[letter][-1] if letter in self._given else default

    def in_order(self) -> list[tuple[str, str]]:
        """Each option with its argument, as they were given."""
        return list(self._order)

    def letters(self) -> str:
        """The letters that were given."""
        return "".join(self._given)
