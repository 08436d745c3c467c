"""`$((...))` of sh(1): integers of 64 bits with C's operators."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

_TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|[0-9]+)|([A-Za-z_][A-Za-z0-9_]*)"
    r"|(\+\+|--|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&^|]=|[-+*/%&^|<>=!~?:()]))"
)
_STRENGTH = {
    **dict.fromkeys(["||"], 1),
    **dict.fromkeys(["&&"], 2),
    **dict.fromkeys(["|"], 3),
    **dict.fromkeys(["^"], 4),
    **dict.fromkeys(["&"], 5),
    **dict.fromkeys(["==", "!="], 6),
    **dict.fromkeys(["<", ">", "<=", ">="], 7),
    **dict.fromkeys(["<<", ">>"], 8),
    **dict.fromkeys(["+", "-"], 9),
    **dict.fromkeys(["*", "/", "%"], 10),
}
_ASSIGNING = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="})
_REFUSED = frozenset({"++", "--"})
"""Operators of C that yylex() knows only to refuse them (bin/sh/arith_yylex.c)."""

_DEEPEST = 40
_BITS = 1 << 64


class ArithmeticFault(Exception):
    """An expression that sh(1) refuses."""


def evaluate(text: str, variables: MutableMapping[str, str]) -> int:
    """Compute an expression; assignments in it change `variables`. Raises `ArithmeticFault`."""
    return _Evaluation(text, variables).result()


def number(text: str) -> int | None:
    """A decimal, octal or hexadecimal number as strtoimax(3) reads it, or None."""
    match = re.fullmatch(r"\s*([-+]?)(0[xX][0-9a-fA-F]+|[0-9]{1,400})", text, re.ASCII)
    if match is None:
        return None
    digits = match[2]
    try:
        if digits[:2] in {"0x", "0X"}:
            value = int(digits, 16)
        else:
            value = int(digits, 8) if digits.startswith("0") else int(digits)
    except ValueError:
        return None
    return -value if match[1] == "-" else value


def _wrapped(value: int) -> int:
    value %= _BITS
    return value - _BITS if value >= _BITS // 2 else value


class _Evaluation:
    def __init__(self, text: str, variables: MutableMapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._tokens: list[str] = []
        self._at = 0
        self._depth = 0
        at = 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None or match[3] in _REFUSED:
                self._tokens.append("?!")
                break
            self._tokens.append(match[1] or match[2] or match[3])
            at = match.end()

    def result(self) -> int:
        value = self._assignment(live=True)
        if self._at < len(self._tokens):
            raise self._fault("expecting EOF")
        return value

    def _fault(self, what: str) -> ArithmeticFault:
        return ArithmeticFault(f'arithmetic expression: {what}: "{self._text}"')

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _assignment(self, *, live: bool) -> int:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fault("nested too deep")
        name = self._peek()
        after = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        if (name[:1].isalpha() or name[:1] == "_") and after in _ASSIGNING:
            self._at += 2
            value = self._assignment(live=live)
            if live:
                if after != "=":
                    value = self._apply(after[:-1], self._variable(name), value)
                self._variables[name] = str(value)
        else:
            value = self._choice(live=live)
        self._depth -= 1
        return value

    def _choice(self, *, live: bool) -> int:
        condition = self._binary(1, live=live)
        if self._peek() != "?":
            return condition
        self._at += 1
        first = self._assignment(live=live and condition != 0)
        if self._peek() != ":":
            raise self._fault("expecting ':'")
        self._at += 1
        self._depth += 1
        second = self._choice(live=live and condition == 0)
        self._depth -= 1
        return first if condition else second

    def _binary(self, least: int, *, live: bool) -> int:
        left = self._unary(live=live)
        while (strength := _STRENGTH.get(self._peek(), 0)) >= least:
            operator = self._peek()
            self._at += 1
            if operator in {"&&", "||"}:
                wanted = (left != 0) == (operator == "&&")
                right = self._binary(strength + 1, live=live and wanted)
                left = int(right != 0) if wanted else int(operator == "||")
                continue
            right = self._binary(strength + 1, live=live)
            left = self._apply(operator, left, right) if live else 0
        return left

    def _unary(self, *, live: bool) -> int:
        signs = []
        while self._peek() in {"-", "+", "!", "~"} and self._peek():
            signs.append(self._peek())
            self._at += 1
        value = self._primary(live=live)
        for sign in reversed(signs):
            value = {"-": -value, "+": value, "!": int(value == 0), "~": ~value}[sign]
        return _wrapped(value)

    def _primary(self, *, live: bool) -> int:
        found = self._peek()
        self._at += 1
        if found == "(":
            value = self._assignment(live=live)
            if self._peek() != ")":
                raise self._fault("expecting ')'")
            self._at += 1
            return value
        if found[:1].isdigit():
            value_or_none = number(found)
            if value_or_none is None:
                raise self._fault("expecting EOF")
            return min(value_or_none, _BITS // 2 - 1)
        if found[:1].isalpha() or found[:1] == "_":
            return self._variable(found) if live else 0
        raise self._fault("expecting primary")

    def _variable(self, name: str) -> int:
        text = self._variables[name]
        if not text.strip():
            return 0
        value = number(text)
        if value is None:
            raise self._fault("variable conversion error")
        return _wrapped(value)

    def _apply(self, operator: str, left: int, right: int) -> int:
        match operator:
            case "/" | "%":
                if right == 0:
                    raise self._fault("division by zero")
                quotient = abs(left) // abs(right)
                if (left < 0) != (right < 0):
                    quotient = -quotient
                return _wrapped(quotient if operator == "/" else left - quotient * right)
            case "<<":
                return _wrapped(left << (right & 63))
            case ">>":
                return _wrapped(left >> (right & 63))
        simple = {
            "+": left + right,
            "-": left - right,
            "*": left * right,
            "&": left & right,
            "|": left | right,
            "^": left ^ right,
            "==": int(left == right),
            "!=": int(left != right),
            "<": int(left < right),
            ">": int(left > right),
            "<=": int(left <= right),
            ">=": int(left >= right),
        }
        return _wrapped(simple[operator])
