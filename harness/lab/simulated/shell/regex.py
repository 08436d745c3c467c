"""POSIX regular expressions for grep(1), sed(1) and awk(1): matched in linear time by RE2.

Python's `re` can take forever on an expression that a client chose, and finds the first
alternative where POSIX wants the longest.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from harness.lab.simulated.engine.signal import NotModelled


class Match(Protocol):
    """What `Regex.search` finds."""

    def start(self, group: int = 0) -> int:
        """Where a group begins."""

    def end(self, group: int = 0) -> int:
        """Where a group ends."""

    def group(self, group: int = 0) -> bytes | None:
        """The text of a group."""


class Regex(Protocol):
    """A compiled expression. `groups` is how many it has."""

    groups: int

    def search(self, text: bytes, pos: int = 0) -> Match | None:
        """The leftmost longest match from `pos` on."""


class BadRegex(NotModelled):
    """An expression that regcomp(3) refuses, in its words (lib/libc/regex/regerror.c)."""


@lru_cache(maxsize=512)
def compile_regex(
    pattern: str, *, extended: bool, ignore_case: bool = False, gnu: bool = False
) -> Regex:
    """Compile a basic or extended expression; `gnu` is libregex's, which grep(1) uses.

    Raises `BadRegex`. What RE2 cannot do raises `NotModelled`.
    """
    text = pattern.encode("utf-8", "surrogateescape").decode("latin-1")
    return _compiled(_translate(text, extended=extended, gnu=gnu), pattern, ignore_case=ignore_case)


def _compiled(translated: str, pattern: str, *, ignore_case: bool) -> Regex:
    """An expression in RE2's syntax; `pattern` is what it was made of."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - 20 ms that most runs never need

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.longest_match = True
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        compiled: Regex = re2.compile(translated.encode("latin-1"), options=options)
    except re2.error:
        raise NotModelled(f"the regular expression {pattern}") from None
    return compiled


@lru_cache(maxsize=512)
def compile_awk(pattern: str) -> Regex:
    """Compile an expression of awk(1), each character a byte. A wrong one raises `NotModelled`.

    Unlike POSIX's, its backslashes escape in brackets, too (relex() of contrib/one-true-awk/b.c).
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "\\":
            if at >= len(pattern):
                raise NotModelled("awk: a regular expression with a trailing backslash")
            code, at = _awk_escape(pattern, at)
            out.append(_byte(code))
        elif character == "[":
            bracket, at = _awk_bracket(pattern, at)
            out.append(bracket)
        elif character == "{" and not pattern[at : at + 1].isdigit():
            out.append(r"\{")
        elif character in "*+?" and (not out or out[-1] in {"(", "|", "^"}):
            raise NotModelled(f"awk: the regular expression {pattern}")
        elif character in ".^$*+?(){}|":
            out.append(character)
        else:
            out.append(_byte(character))
    return _compiled("".join(out), pattern, ignore_case=False)


def _byte(character: str) -> str:
    return f"\\x{ord(character):02x}" if not character.isalnum() or character > "~" else character


def _awk_escape(pattern: str, at: int) -> tuple[str, int]:
    """What stands behind a backslash, and where it ends."""
    character = pattern[at]
    if character in "01234567":
        end = at + 1
        while end < len(pattern) and end < at + 3 and pattern[end] in "01234567":
            end += 1
        return chr(int(pattern[at:end], 8) & 255), end
    if character == "x":
        raise NotModelled("awk: \\x in a regular expression")
    letters = {"t": "\t", "n": "\n", "f": "\f", "r": "\r", "b": "\b", "v": "\v", "a": "\a"}
    return letters.get(character, character), at + 1


def _awk_bracket(pattern: str, at: int) -> tuple[str, int]:
    """A bracket of awk's (relex() and cclenter() of contrib/one-true-awk/b.c), and where it ends.

    What FreeBSD's other programs refuse awk takes: an unknown class is its letters, a range that
    ends before it begins is nothing, and so is what it began with.
    """
    inverted = pattern[at : at + 1] == "^"
    at += inverted
    listed: list[tuple[str, bool]] = []
    """The characters, the classes' too, and whether a backslash stood before them."""
    while True:
        character = pattern[at : at + 1]
        if not character:
            raise NotModelled("awk: a regular expression with unbalanced brackets")
        at += 1
        if character == "]" and listed:
            return _set(_awk_ranges(listed), inverted=inverted), at
        if character == "[" and pattern[at : at + 1] in {".", "="}:
            raise NotModelled("collating elements in a regular expression")
        named = _CLASS.match(pattern, at - 1)
        if named is not None and named[1] in _CLASSES:
            listed += [(each, False) for each in _CLASSES[named[1]]]
            at = named.end()
        elif character == "\\" and at < len(pattern):
            code, at = _awk_escape(pattern, at)
            listed.append((code, True))
        else:
            listed.append((character, False))


def _awk_ranges(listed: list[tuple[str, bool]]) -> set[str]:
    """What a list of characters stands for, some of them a hyphen between two others."""
    codes: list[str] = []
    at = 0
    while at < len(listed):
        if listed[at] == ("-", False) and codes and at + 1 < len(listed):
            start, end = codes.pop(), listed[at + 1][0]
            codes += map(chr, range(ord(start), ord(end) + 1))
            at += 2
        else:
            codes.append(listed[at][0])
            at += 1
    return set(codes)


_CLASS = re.compile(r"\[:([A-Za-z]*):\]")
_CLASSES = {
    name: "".join(sorted(characters))
    for name, characters in {
        "alnum": string.ascii_letters + string.digits,
        "alpha": string.ascii_letters,
        "blank": " \t",
        "cntrl": "".join(map(chr, (*range(1, 32), 127))),
        "digit": string.digits,
        "graph": string.digits + string.ascii_letters + string.punctuation,
        "lower": string.ascii_lowercase,
        "print": " " + string.digits + string.ascii_letters + string.punctuation,
        "punct": string.punctuation,
        "space": " \t\n\v\f\r",
        "upper": string.ascii_uppercase,
        "xdigit": string.hexdigits,
    }.items()
}
"""Of ASCII; the characters of each in the order of their codes, as awk's loop finds them."""

_BSD_CLASSES = {"ideogram", "special", "phonogram", "number", "rune"}
"""Further ones of wctype(3) (lib/libc/locale/wctype.c)."""


def _set(characters: Iterable[str], *, inverted: bool) -> str:
    """Any of these characters, or any but these, as RE2 has it. There may be none of them."""
    listed = "".join(f"\\x{ord(each):02x}" for each in sorted(characters))
    if not listed:
        return r"[\x00-\xff]" if inverted else r"[^\x00-\xff]"
    return f"[{'^' if inverted else ''}{listed}]"


def _translate(text: str, *, extended: bool, gnu: bool) -> str:  # noqa: PLR0912 - by character
    out: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if text.startswith(("[[:<:]]", "[[:>:]]"), at - 1):
            out.append(_word_edge(text, at + 6, text[at + 2]))
            at += 6
        elif character == "[":
            bracket, at = _bracket(text, at)
            out.append(bracket)
        elif character == "\\":
            if at >= len(text):
                raise BadRegex("trailing backslash (\\)")
            out.append(_escaped(text, at, extended=extended, gnu=gnu))
            at += 1
        elif extended or character in ".^$*":
            starts = not out or out[-1] in {"(", "|", "^"}
            if extended and character in "*+?" and starts:
                raise BadRegex("repetition-operator operand invalid")
            if extended and character in "|)" and out and out[-1] in {"(", "|"}:
                raise BadRegex("empty (sub)expression")
            if character == "*" and starts:
                out.append(r"\*")
            elif not extended and character == "^" and out and out[-1] != "(":
                out.append(r"\^")
            elif (
                not extended and character == "$" and at < len(text) and text[at : at + 2] != r"\)"
            ):
                out.append(r"\$")
            elif character == "{" and (starts or not text[at : at + 1].isdigit()):
                out.append(r"\{")
            else:
                out.append(character if character.isascii() else f"\\x{ord(character):02x}")
        elif character in "+?(){}|":
            out.append("\\" + character)
        else:
            out.append(character if character.isascii() else f"\\x{ord(character):02x}")
    if extended and out and out[-1] == "|":
        raise BadRegex("empty (sub)expression")
    return "".join(out)


def _escaped(text: str, at: int, *, extended: bool, gnu: bool) -> str:
    """What the character at `at` means behind a backslash (p_simp_re() of regcomp.c)."""
    character = text[at]
    if character == "n":
        return "\n"  # sed(1) has it, and puts a newline there itself
    if character in "<>":
        return _word_edge(text, at + 1, character)
    if gnu and character in "wWsSbB":
        return "\\" + character
    if character.isdigit() and not extended:
        raise NotModelled(f"\\{character} in a regular expression")
    if character.isalpha() or character in "'`":
        if gnu and character in "'`":
            raise NotModelled(f"\\{character} in a regular expression")
        raise BadRegex("trailing backslash (\\)")
    if not extended and (character in "(){}" or (gnu and character in "+?|")):
        return character
    return "\\" + character if character.isascii() else f"\\x{ord(character):02x}"


def _word_edge(text: str, at: int, side: str) -> str:
    """The begin or end of a word, where a character of a word stands beside it anyway."""
    beside = text[at : at + 1] if side == "<" else text[at - 3 : at - 2]
    if side == ">" and text[at - 7 : at] == "[[:>:]]":
        beside = text[at - 8 : at - 7]
    if not (beside.isalnum() or beside == "_" or (side == "<" and beside == "[")):
        raise NotModelled("the edge of a word in a regular expression")
    return r"\b"


def _bracket(text: str, at: int) -> tuple[str, int]:
    """A bracket, and where it ends (p_bracket() and p_b_term() of lib/libc/regex/regcomp.c)."""
    inverted = text[at : at + 1] == "^"
    at += inverted
    found: set[str] = set()
    if text[at : at + 1] in {"]", "-"}:
        found.add(text[at])
        at += 1
    while at < len(text) and text[at] != "]" and not text.startswith("-]", at):
        if text[at] == "-":
            raise BadRegex("invalid character range")
        if text.startswith("[:", at):
            characters, at = _class(text, at + 2)
            found.update(characters)
            continue
        start, at = _symbol(text, at)
        end = start
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in {"]", ""}:
            end, at = _symbol(text, at + 1)
            if start > end:
                raise BadRegex("invalid character range")
        found.update(map(chr, range(ord(start), ord(end) + 1)))
    if text.startswith("-", at):
        found.add("-")
        at += 1
    if at >= len(text):
        raise BadRegex("brackets ([ ]) not balanced")
    return _set(found, inverted=inverted), at + 1


def _symbol(text: str, at: int) -> tuple[str, int]:
    """A character of a bracket, and where it ends."""
    if text.startswith(("[.", "[="), at):
        raise NotModelled("collating elements in a regular expression")
    return text[at], at + 1


def _class(text: str, at: int) -> tuple[str, int]:
    """The characters of a class whose name begins at `at`, and where it ends (p_b_cclass())."""
    end = at
    while end < len(text) and text[end].isascii() and text[end].isalpha():
        end += 1
    name = text[at:end]
    if at >= len(text):
        raise BadRegex("brackets ([ ]) not balanced")
    if name in _BSD_CLASSES:
        raise NotModelled(f"the class {name} in a regular expression")
    if name not in _CLASSES:
        raise BadRegex("invalid character class")
    if end >= len(text):
        raise BadRegex("brackets ([ ]) not balanced")
    if not text.startswith(":]", end):
        raise BadRegex("invalid character class")
    return _CLASSES[name], end + 2
