"""Command line options as getopt(3) takes them, and what zpool(8) and zfs(8) say about bad ones."""

from __future__ import annotations

from collections.abc import Sequence


class BadOption(Exception):
    """An option that is not in the list, or (`missing`) one without its argument."""

    def __init__(self, letter: str, *, missing: bool = False) -> None:
        self.letter = letter
        self.missing = missing
        super().__init__(letter)


class Options:
    """Options that were given, each with its arguments in order; `rest` are the operands."""

    def __init__(self, arguments: Sequence[str], flags: str, valued: str = "") -> None:
        """`flags` are the letters without an argument. Raises `BadOption`."""
        self._given: dict[str, list[str]] = {}
        words = list(arguments)
        while words and words[0].startswith("-") and words[0] != "-":
            word = words.pop(0)
            if word == "--":
                break
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in flags:
                    self._given.setdefault(letter, []).append("")
                elif letter in valued:
                    if not letters and not words:
                        raise BadOption(letter, missing=True)
                    self._given.setdefault(letter, []).append(letters or words.pop(0))
                    letters = ""
                else:
                    raise BadOption(letter)
        self.rest = words

    def __contains__(self, letter: str) -> bool:
        return letter in self._given

    def values(self, letter: str) -> list[str]:
        """All arguments of an option."""
        return self._given.get(letter, [])

    def value(self, letter: str, default: str = "") -> str:
        """The last argument of an option."""
        return self._given[letter][-1] if letter in self._given else default

    def letters(self) -> str:
        """The letters that were given."""
        return "".join(self._given)
