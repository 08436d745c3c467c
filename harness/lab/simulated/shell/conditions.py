"""test(1): FreeBSD 13.2's, which is a builtin of sh(1) and a program."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import Entry, FileError
from harness.lab.simulated.shell.paths import entry_at

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

_UNARY = frozenset("-" + letter for letter in "bcdefghknprstuwxzGLOS")
_NUMBERS = {"-eq": 0, "-ne": 1, "-ge": 2, "-gt": 3, "-le": 4, "-lt": 5}
_STRINGS = frozenset({"=", "==", "!=", "<", ">"})
_FILES = frozenset({"-nt", "-ot", "-ef"})
_BINARY = _STRINGS | _FILES | frozenset(_NUMBERS)
_KINDS = {"-f": "file", "-d": "dir", "-c": "chr", "-L": "link", "-h": "link", "-S": "sock"}
_BITS = {"-u": 0o4000, "-g": 0o2000, "-k": 0o1000}
_DEEPEST = 100


class TestFault(Exception):
    """An expression that test(1) refuses."""

    __test__ = False


def evaluate(guest: Guest, directory: str, arguments: list[str]) -> bool:
    """Whether the expression is true. Raises `TestFault`."""
    if not arguments:
        return False
    if len(arguments) == 4 and arguments[0] == "!":
        return not evaluate(guest, directory, arguments[1:])
    if len(arguments) == 3 and arguments[1] in _BINARY:
        return _Expression(guest, directory, arguments).binary(*arguments)
    return _Expression(guest, directory, arguments).result()


class _Expression:
    def __init__(self, guest: Guest, directory: str, words: list[str]) -> None:
        self._guest = guest
        self._directory = directory
        self._words = words
        self._at = 0
        self._depth = 0

    def result(self) -> bool:
        value = self._or()
        if self._at < len(self._words):
            raise TestFault(f"{self._words[self._at - 1]}: unexpected operator")
        return value

    def _word(self, ahead: int = 0) -> str | None:
        at = self._at + ahead
        return self._words[at] if at < len(self._words) else None

    def _or(self) -> bool:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotModelled("test nested that deep")
        value = self._and()
        while self._word() == "-o":
            self._at += 1
            value = self._and() or value
        self._depth -= 1
        return value

    def _and(self) -> bool:
        value = self._not()
        while self._word() == "-a":
            self._at += 1
            value = self._not() and value
        return value

    def _not(self) -> bool:
        negated = False
        while self._word() == "!" and self._word(1) is not None and not self._is_operand():
            self._at += 1
            negated = not negated
        return self._primary() != negated

    def _is_operand(self) -> bool:
        """Whether the word here is the left side of a binary operator."""
        return self._word(1) in _BINARY and self._word(2) is not None

    def _primary(self) -> bool:
        word = self._word()
        if word is None:
            raise TestFault("argument expected")
        if self._is_operand():
            self._at += 3
            return self.binary(*self._words[self._at - 3 : self._at])
        if word == "(" and self._word(1) is not None:
            self._at += 1
            value = self._or()
            if self._word() != ")":
                raise TestFault("closing paren expected")
            self._at += 1
            return value
        if word in _UNARY and self._word(1) is not None:
            self._at += 2
            return self._unary(word, self._words[self._at - 1])
        self._at += 1
        return word != ""

    def binary(self, left: str, operator: str, right: str) -> bool:
        """Compare two words."""
        if operator in _NUMBERS:
            first, second = _number(left), _number(right)
            results = [
                first == second,
                first != second,
                first >= second,
                first > second,
                first <= second,
                first < second,
            ]
            return results[_NUMBERS[operator]]
        if operator in _FILES:
            return self._compare_files(left, operator, right)
        results_of = {
            "=": left == right,
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            ">": left > right,
        }
        return results_of[operator]

    def _compare_files(self, left: str, operator: str, right: str) -> bool:
        first, second = self._entry(left), self._entry(right)
        if first is None or second is None:
            return False
        if operator == "-ef":
            raise NotModelled("test -ef")
        newer = first.mtime > second.mtime
        return newer if operator == "-nt" else first.mtime < second.mtime

    def _entry(self, name: str, *, follow: bool = True) -> Entry | None:
        if not name:
            return None
        try:
            return entry_at(self._guest, posixpath.join(self._directory, name), follow=follow)
        except FileError:
            return None

    def _unary(self, operator: str, word: str) -> bool:
        if operator in {"-n", "-z"}:
            return (word == "") == (operator == "-z")
        entry = self._entry(word, follow=operator not in {"-L", "-h"})
        # There is no terminal, and no block device or pipe in the tree.
        if entry is None or operator in {"-t", "-b", "-p"}:
            return False
        if operator in _KINDS:
            return entry.kind == _KINDS[operator]
        if operator in _BITS:
            return bool(entry.mode & _BITS[operator])
        if operator == "-s":
            return entry.kind == "dir" or len(entry.data) > 0
        return operator != "-x" or entry.kind == "dir" or bool(entry.mode & 0o111)


def _number(text: str) -> int:
    """A decimal number as test(1) takes it, blanks around it allowed."""
    match = re.fullmatch(r"\s*([-+]?[0-9]{1,30})\s*", text, re.ASCII)
    if match is None:
        raise TestFault(f"{text}: bad number")
    value = int(match[1])
    if not -(1 << 63) <= value < 1 << 63:
        raise TestFault(f"{text}: out of range")
    return value
