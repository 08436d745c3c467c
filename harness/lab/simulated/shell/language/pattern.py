"""The patterns of sh(1): `*`, `?` and `[...]`, in time that is bounded for any pattern."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.shell.paths import entry_or_none

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

Piece = tuple[str, bool]
"""Text, and whether it is quoted."""

_CLASSES: dict[str, Callable[[str], bool]] = {
    "alpha": str.isalpha,
    "digit": str.isdigit,
    "alnum": str.isalnum,
    "upper": str.isupper,
    "lower": str.islower,
    "space": str.isspace,
    "blank": " \t".__contains__,
    "punct": lambda c: c.isprintable() and not c.isalnum() and c != " ",
    "print": str.isprintable,
    "graph": lambda c: c.isprintable() and c != " ",
    "cntrl": lambda c: ord(c) < 32 or ord(c) == 127,
    "xdigit": "0123456789abcdefABCDEF".__contains__,
}
_BRACKET = re.compile(r"\[([!^]?)(\]?(?:\[:[a-z]*:\]|[^\]])*)\]", re.DOTALL)
_MEMBER = re.compile(r"\[:([a-z]*):\]|(.)-(.)|(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Bracket:
    negated: bool
    singles: str
    ranges: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]

    def accepts(self, character: str) -> bool:
        found = (
            character in self.singles
            or any(low <= character <= high for low, high in self.ranges)
            or any(_CLASSES[name](character) for name in self.classes if name in _CLASSES)
        )
        return found != self.negated


_Item = str | _Bracket
"""One character, "*" and "?" as the two-character strings below, or a bracket expression."""

_STAR, _ANY = "**", "??"


@lru_cache(maxsize=2048)
def compile_pattern(pieces: tuple[Piece, ...]) -> tuple[_Item, ...]:
    """Read a pattern; what is quoted in it stands for itself."""
    items: list[_Item] = []
    text = "".join(piece for piece, _ in pieces)
    quoted = [flag for piece, flag in pieces for _ in piece]
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if quoted[at - 1]:
            items.append(character)
        elif character == "*":
            if not items or items[-1] is not _STAR:
                items.append(_STAR)
        elif character == "?":
            items.append(_ANY)
        elif character == "[" and (match := _BRACKET.match(text, at - 1)) is not None:
            items.append(_bracket(match))
            at = match.end()
        else:
            items.append(character)
    return tuple(items)


def _bracket(match: re.Match[str]) -> _Bracket:
    singles, ranges, classes = [], [], []
    for member in _MEMBER.finditer(match[2]):
        name, low, high, single = member.groups()
        if name is not None:
            classes.append(name)
        elif low is not None:
            ranges.append((low, high))
        else:
            singles.append(single)
    return _Bracket(bool(match[1]), "".join(singles), tuple(ranges), tuple(classes))


def matches(items: tuple[_Item, ...], text: str) -> bool:
    """Whether the whole text fits the pattern."""
    at = item = 0
    star, resume = -1, 0
    while at < len(text):
        if item < len(items) and items[item] is _STAR:
            star, resume = item, at
            item += 1
            if item == len(items):
                return True
        elif item < len(items) and _fits(items[item], text[at]):
            item += 1
            at += 1
        elif star >= 0:
            resume += 1
            item, at = star + 1, resume
        else:
            return False
    return all(rest is _STAR for rest in items[item:])


def _fits(item: _Item, character: str) -> bool:
    if isinstance(item, _Bracket):
        return item.accepts(character)
    return item is _ANY or item == character


def trim(text: str, items: tuple[_Item, ...], operator: str) -> str:
    """What `${x#pattern}` and its three relatives leave of a text."""
    longest = len(operator) == 2
    if operator[0] == "#":
        return text[_prefix(text, items, longest=longest) :]
    return text[: len(text) - _prefix(text[::-1], items[::-1], longest=longest)]


def _prefix(text: str, items: tuple[_Item, ...], *, longest: bool) -> int:
    """The length of the prefix that fits, 0 if none does: all ways are followed side by side."""
    ways = _past_stars({0}, items)
    best = 0
    for at in range(len(text) + 1):
        if len(items) in ways:
            best = at
            if not longest:
                break
        if at == len(text) or not ways:
            break
        after = set()
        for way in ways:
            if way < len(items):
                if items[way] is _STAR:
                    after.add(way)
                elif _fits(items[way], text[at]):
                    after.add(way + 1)
        ways = _past_stars(after, items)
    return best


def _past_stars(ways: set[int], items: tuple[_Item, ...]) -> set[int]:
    """A star may also stand for nothing."""
    more = set(ways)
    for way in ways:
        after = way
        while after < len(items) and items[after] is _STAR:
            after += 1
            more.add(after)
    return more


def is_pattern(pieces: tuple[Piece, ...]) -> bool:
    """Whether there is an unquoted `*`, `?` or `[` in it."""
    return any(
        not quoted and not {"*", "?", "["}.isdisjoint(text) for text, quoted in pieces if text
    )


def glob(guest: Guest, pieces: tuple[Piece, ...], directory: str) -> list[str]:
    """The paths that fit, sorted; none when nothing does."""
    components: list[list[Piece]] = [[]]
    for text, quoted in pieces:
        first, *others = text.split("/")
        components[-1].append((first, quoted))
        components += [[(other, quoted)] for other in others]
    absolute = len(components) > 1 and not any(text for text, _ in components[0])
    found = ["/"] if absolute else [""]
    for number, component in enumerate(components[1:] if absolute else components):
        last = number == len(components) - 1 - absolute
        found = _deeper(guest, found, tuple(component), directory, last=last)
    return found


def _deeper(
    guest: Guest, found: list[str], component: tuple[Piece, ...], directory: str, *, last: bool
) -> list[str]:
    literal = "".join(text for text, _ in component)
    end = "" if last else "/"
    deeper: list[str] = []
    if not is_pattern(component):
        for prefix in found:
            path = posixpath.join(directory, prefix + literal)
            if literal == "" or entry_or_none(guest, path) is not None:
                deeper.append(prefix + literal + end)
        return deeper
    items = compile_pattern(component)
    for prefix in found:
        try:
            names = guest.tree.names(posixpath.join(directory, prefix))
        except FileError:
            continue
        for name in [".", "..", *names] if items[0] == "." else names:
            if name.startswith(".") and items[0] != ".":
                continue
            if matches(items, name):
                path = prefix + name
                entry = entry_or_none(guest, posixpath.join(directory, path))
                if last or (entry is not None and entry.kind == "dir"):
                    deeper.append(path + end)
    return deeper
