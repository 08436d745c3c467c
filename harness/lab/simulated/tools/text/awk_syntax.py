"""awk(1)'s language: a program's text as a tree.

The grammar and its precedence are those of one-true-awk 20210215, FreeBSD 13.2's
(contrib/one-true-awk/awkgram.y and lex.c). A text is a row of bytes, each one character of `str`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.lab.simulated.engine.signal import NotModelled

# --- expressions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string constant."""

    value: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression between slashes; by itself it is matched against `$0`."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or an array."""

    name: str


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an array."""

    name: str
    index: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """`$` and a number."""

    index: Expression


@dataclass(frozen=True, slots=True)
class Assign:
    """An assignment; `operator` is "" or that of an assignment such as `+=`."""

    target: Expression
    operator: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Ternary:
    """`condition ? yes : no`."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    """`&&` and `||`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Matching:
    """`~` and `!~`."""

    left: Expression
    right: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class In:
    """Whether an array has an element."""

    index: tuple[Expression, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Concat:
    """Two texts side by side."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A calculation."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    """`-`, `+` and `!`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Step:
    """`++` and `--`, before or after."""

    target: Expression
    by: int
    before: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the program's own."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function of awk's; `bare` is one without parentheses."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Getline:
    """`getline`: from the input, a file (`<`) or a command (`|`)."""

    kind: str
    target: Expression | None
    source: Expression | None


Expression = (
    Number
    | Text
    | Pattern
    | Name
    | Element
    | Field
    | Assign
    | Ternary
    | Logic
    | Matching
    | In
    | Compare
    | Concat
    | Arithmetic
    | Unary
    | Step
    | Call
    | Builtin
    | Getline
)


# --- statements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Print:
    """`print` and (`formatted`) `printf`; `how` is "", `>`, `>>` or `|`."""

    arguments: tuple[Expression, ...]
    formatted: bool
    how: str
    to: Expression | None
    line: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An expression by itself."""

    expression: Expression
    line: int


@dataclass(frozen=True, slots=True)
class If:
    """`if`, with or without `else`."""

    condition: Expression
    yes: Statement
    no: Statement | None


@dataclass(frozen=True, slots=True)
class Loop:
    """`while`, `do` (`first` runs the body before it asks) and `for` with three parts."""

    start: Statement | None
    condition: Expression | None
    step: Statement | None
    body: Statement
    first: bool = False


@dataclass(frozen=True, slots=True)
class ForIn:
    """`for` over the indices of an array."""

    variable: str
    array: str
    body: Statement


@dataclass(frozen=True, slots=True)
class Block:
    """Statements in braces."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """`next`, `nextfile`, `break`, `continue`, `exit` and `return`."""

    how: str
    value: Expression | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """`delete`: an element, or a whole array."""

    name: str
    index: tuple[Expression, ...] | None


Statement = Print | Evaluate | If | Loop | ForIn | Block | Leave | Delete


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern with its action; a range has two patterns."""

    first: Expression | None
    second: Expression | None
    action: Statement | None


@dataclass(frozen=True, slots=True)
class Definition:
    """A function."""

    parameters: tuple[str, ...]
    body: Statement


@dataclass(frozen=True, slots=True)
class Script:
    """A whole program."""

    begin: tuple[Statement, ...]
    rules: tuple[Rule, ...]
    end: tuple[Statement, ...]
    functions: dict[str, Definition]


# --- tokens -------------------------------------------------------------------------------------

_KEYWORDS = frozenset(
    {
        *("BEGIN", "END", "break", "continue", "delete", "do", "else", "exit", "for", "func"),
        *("function", "getline", "if", "in", "next", "nextfile", "print", "printf", "return"),
        "while",
    }
)
_BUILTINS = {
    **dict.fromkeys(("length", "srand", "fflush", "strftime"), (0, 9)),
    **dict.fromkeys(("rand", "systime"), (0, 0)),
    **dict.fromkeys(("exp", "int", "log", "sqrt", "sin", "cos", "tolower", "toupper"), (1, 1)),
    **dict.fromkeys(("system", "close", "compl"), (1, 1)),
    **dict.fromkeys(("atan2", "and", "or", "xor", "lshift", "rshift", "index", "match"), (2, 2)),
    **dict.fromkeys(("split", "sub", "gsub", "substr"), (2, 3)),
    "gensub": (3, 4),
    "sprintf": (1, 999),
}
"""awk's functions, with how many arguments each takes (`close` takes a term)."""

_OPERATORS = re.compile(
    r"\*\*=|\|\||&&|\+\+|--|\+=|-=|\*=|%=|\^=|\*\*|==|<=|>=|!=|!~|>>|[-+*%^!<>=|?:~$(){}\[\],;]"
)
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANK = re.compile(r"(?:[ \t\r]|\\\n|\\\r\n|#[^\n]*)*")
_ESCAPES = {"n": "\n", "t": "\t", "f": "\f", "r": "\r", "b": "\b", "v": "\v", "a": "\a"}
_ASSIGNMENTS = frozenset({"=", "+=", "-=", "*=", "%=", "^=", "**=", "/="})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_STARTS = frozenset({"number", "text", "name", "call", "builtin", "$", "(", "++", "--"})
"""What a text can be put side by side with."""


def unescape(text: str) -> str:
    """What `-v` and `-F` make of backslashes (qstring() in tran.c)."""

    def one(found: re.Match[str]) -> str:
        after = found[1]
        if after[0].isdigit():
            number = 0
            for digit in after:
                number = 8 * number + int(digit)
            return chr(number & 255)
        return _ESCAPES.get(after, after)

    return re.sub(r"\\([0-9]{1,3}|.)", one, text, flags=re.DOTALL)


class Parser:
    """Reads a program's text. Raises `NotModelled` where that is not awk's language."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        """Where the token begins that `_kind` and `_value` describe."""
        self._end = 0
        self._kind = ""
        self._value = ""
        self._function: tuple[str, ...] | None = None
        self._next()

    # --- tokens ---------------------------------------------------------------------------------

    def _fail(self) -> NotModelled:
        shown = self._text if len(self._text) < 120 else self._text[:120] + "..."
        return NotModelled(f"awk: a program with a syntax error in line {self._line}: {shown}")

    @property
    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _go_to(self, at: int) -> None:
        self._end = at
        self._next()

    def _next(self) -> None:
        text = self._text
        blank = _BLANK.match(text, self._end)
        assert blank is not None
        at = self._at = blank.end()
        if at >= len(text):
            self._kind, self._value, self._end = "end", "", at
            return
        character = text[at]
        if character == "\n":
            self._kind, self._value, self._end = "newline", "", at + 1
            return
        if character == '"':
            self._string(at + 1)
            return
        word = _WORD.match(text, at)
        if word is not None:
            self._word(word)
            return
        number = _NUMBER.match(text, at)
        if number is not None:
            self._kind, self._value, self._end = "number", number[0], number.end()
            return
        if character == "/":
            self._kind = self._value = "/=" if text[at + 1 : at + 2] == "=" else "/"
            self._end = at + len(self._kind)
            return
        operator = _OPERATORS.match(text, at)
        if operator is None:
            raise self._fail()
        self._kind = self._value = operator[0]
        self._end = operator.end()

    def _word(self, word: re.Match[str]) -> None:
        self._value, self._end = word[0], word.end()
        if word[0] in _KEYWORDS:
            self._kind = word[0]
        elif word[0] in _BUILTINS:
            self._kind = "builtin"
        else:
            called = self._text[self._end : self._end + 1] == "("
            local = self._function is not None and word[0] in self._function
            self._kind = "call" if called and not local else "name"

    def _string(self, at: int) -> None:
        text, out = self._text, []
        while True:
            character = text[at : at + 1]
            at += 1
            if character == '"':
                break
            if character in {"", "\n", "\r"}:
                raise self._fail()
            if character == "\\":
                octal = re.compile(r"[0-7]{1,3}").match(text, at)
                hexadecimal = re.compile(r"x[0-9a-fA-F]{1,8}").match(text, at)
                if octal is not None:
                    out.append(chr(int(octal[0], 8) & 255))
                    at = octal.end()
                elif hexadecimal is not None:
                    out.append(chr(int(hexadecimal[0][1:], 16) & 255))
                    at = hexadecimal.end()
                else:
                    after = text[at : at + 1]
                    out.append("" if after == "\n" else _ESCAPES.get(after, after))
                    at += 1
            else:
                out.append(character)
        self._kind, self._value, self._end = "text", "".join(out), at

    def _pattern(self) -> Pattern:
        """The regular expression that begins where the token is."""
        found = re.compile(r"/((?:\\[^\n]|[^/\\\n])*)/").match(self._text, self._at)
        if found is None:
            raise self._fail()
        self._go_to(found.end())
        return Pattern(found[1])

    def _take(self, kind: str) -> bool:
        if self._kind != kind:
            return False
        self._next()
        return True

    def _expect(self, kind: str) -> str:
        value = self._value
        if not self._take(kind):
            raise self._fail()
        return value

    def _newlines(self) -> None:
        while self._kind == "newline":
            self._next()

    # --- the whole ------------------------------------------------------------------------------

    def script(self) -> Script:
        """The program."""
        begin: list[Statement] = []
        end: list[Statement] = []
        rules: list[Rule] = []
        functions: dict[str, Definition] = {}
        while True:
            while self._kind in {"newline", ";"}:
                self._next()
            match self._kind:
                case "end":
                    return Script(tuple(begin), tuple(rules), tuple(end), functions)
                case "BEGIN":
                    self._next()
                    begin.append(self._block())
                case "END":
                    self._next()
                    end.append(self._block())
                case "func" | "function":
                    name, definition = self._definition()
                    if name in functions:
                        raise self._fail()
                    functions[name] = definition
                case _:
                    rules.append(self._rule())

    def _rule(self) -> Rule:
        if self._kind == "{":
            return Rule(None, None, self._block())
        first = self._expression()
        second = None
        if self._take(","):
            self._newlines()
            second = self._expression()
        return Rule(first, second, self._block() if self._kind == "{" else None)

    def _definition(self) -> tuple[str, Definition]:
        self._next()
        name = self._value
        if self._kind not in {"name", "call"}:
            raise self._fail()
        self._next()
        self._expect("(")
        parameters: list[str] = []
        while self._kind == "name":
            parameters.append(self._value)
            self._next()
            if not self._take(","):
                break
            self._newlines()
        self._expect(")")
        self._newlines()
        self._function = tuple(parameters)
        body = self._block()
        self._function = None
        return name, Definition(tuple(parameters), body)

    def _block(self) -> Block:
        self._expect("{")
        found: list[Statement] = []
        while True:
            while self._kind in {"newline", ";"}:
                self._next()
            if self._take("}"):
                return Block(tuple(found))
            found.append(self._statement())

    # --- statements -----------------------------------------------------------------------------

    def _terminate(self) -> None:
        """The end of a statement; a closing brace ends it, too."""
        if self._kind == "}":
            return
        if self._kind not in {"newline", ";"}:
            raise self._fail()
        self._next()
        self._newlines()

    def _statement(self) -> Statement:  # noqa: PLR0911 - one for each kind
        kind = self._kind
        match kind:
            case "{":
                block = self._block()
                self._newlines()
                return block
            case ";":
                self._next()
                self._newlines()
                return Block(())
            case "if":
                return self._if()
            case "while":
                self._next()
                condition = self._condition()
                return Loop(None, condition, None, self._statement())
            case "do":
                self._next()
                self._newlines()
                body = self._statement()
                self._newlines()
                self._expect("while")
                self._expect("(")
                condition = self._expression()
                self._expect(")")
                self._terminate()
                return Loop(None, condition, None, body, first=True)
            case "for":
                return self._for()
            case "next" | "nextfile" | "break" | "continue":
                self._next()
                self._terminate()
                return Leave(kind)
            case "exit" | "return":
                self._next()
                value = None if self._kind in {"newline", ";", "}"} else self._expression()
                self._terminate()
                return Leave(kind, value)
        simple = self._simple()
        self._terminate()
        return simple

    def _condition(self) -> Expression:
        self._expect("(")
        condition = self._expression()
        self._expect(")")
        self._newlines()
        return condition

    def _if(self) -> If:
        self._next()
        condition = self._condition()
        yes = self._statement()
        before = self._at
        while self._kind in {"newline", ";"}:
            self._next()
        if self._take("else"):
            self._newlines()
            return If(condition, yes, self._statement())
        self._go_to(before)
        return If(condition, yes, None)

    def _for(self) -> Statement:
        self._next()
        self._expect("(")
        before = self._at
        if self._kind == "name":
            variable = self._value
            self._next()
            if self._take("in") and self._kind == "name":
                array = self._value
                self._next()
                if self._take(")"):
                    self._newlines()
                    return ForIn(variable, array, self._statement())
            self._go_to(before)
        start = None if self._kind == ";" else self._simple()
        self._expect(";")
        self._newlines()
        condition = None if self._kind == ";" else self._expression()
        self._expect(";")
        self._newlines()
        step = None if self._kind == ")" else self._simple()
        self._expect(")")
        self._newlines()
        return Loop(start, condition, step, self._statement())

    def _simple(self) -> Statement:
        line = self._line
        if self._kind in {"print", "printf"}:
            return self._print()
        if self._take("delete"):
            name = self._expect("name")
            if not self._take("["):
                return Delete(name, None)
            index = self._list("]")
            self._expect("]")
            return Delete(name, index)
        return Evaluate(self._expression(), line)

    def _print(self) -> Print:
        line = self._line
        formatted = self._kind == "printf"
        self._next()
        ends = {"newline", ";", "}", ">", ">>", "|", "end", ")"}
        arguments: tuple[Expression, ...] = ()
        before = self._at
        if self._take("("):
            self._newlines()
            arguments = self._list(")")
            self._expect(")")
            if self._kind not in ends:
                self._go_to(before)
                arguments = self._list("", printing=True)
        elif self._kind not in ends:
            arguments = self._list("", printing=True)
        how, to = "", None
        if self._kind in {">", ">>", "|"}:
            how = self._kind
            self._next()
            to = self._additive()
        return Print(arguments, formatted, how, to, line)

    def _list(self, end: str, *, printing: bool = False) -> tuple[Expression, ...]:
        found: list[Expression] = []
        while self._kind != end:
            found.append(self._expression(printing=printing))
            if not self._take(","):
                break
            self._newlines()
        return tuple(found)

    # --- expressions ----------------------------------------------------------------------------

    def _expression(self, *, printing: bool = False) -> Expression:
        """`printing` is the argument of a print, where `>` and `|` say where to."""
        condition = self._or(printing)
        if not self._take("?"):
            return condition
        self._newlines()
        yes = self._expression(printing=printing)
        self._newlines()
        self._expect(":")
        self._newlines()
        return Ternary(condition, yes, self._expression(printing=printing))

    def _or(self, printing: bool) -> Expression:
        left = self._and(printing)
        while self._take("||"):
            self._newlines()
            left = Logic("||", left, self._and(printing))
        return left

    def _and(self, printing: bool) -> Expression:
        left = self._comparison(printing)
        while self._take("&&"):
            self._newlines()
            left = Logic("&&", left, self._comparison(printing))
        return left

    def _comparison(self, printing: bool) -> Expression:
        left = self._concat()
        while True:
            kind = self._kind
            if kind in {"~", "!~"}:
                self._next()
                left = Matching(left, self._concat(), kind == "!~")
            elif kind == "in":
                self._next()
                left = In((left,), self._expect("name"))
            elif kind in _COMPARISONS and not (printing and kind == ">"):
                if printing:
                    raise self._fail()  # a comparison in print's arguments needs parentheses
                self._next()
                left = Compare(kind, left, self._concat())
            elif kind == "|" and not printing:
                self._next()
                self._expect("getline")
                left = Getline("|", self._optional_target(), left)
            else:
                return left

    def _concat(self) -> Expression:
        left = self._additive()
        while self._kind in _STARTS:
            left = Concat(left, self._additive())
        return left

    def _additive(self) -> Expression:
        left = self._multiplicative()
        while self._kind in {"+", "-"}:
            operator = self._kind
            self._next()
            left = Arithmetic(operator, left, self._multiplicative())
        return left

    def _multiplicative(self) -> Expression:
        left = self._unary()
        while self._kind in {"*", "/", "%"}:
            operator = self._kind
            self._next()
            left = Arithmetic(operator, left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self._kind in {"-", "+", "!"}:
            operator = self._kind
            self._next()
            return Unary(operator, self._unary())
        return self._power()

    def _power(self) -> Expression:
        left = self._postfix()
        if self._kind in {"^", "**"}:
            self._next()
            right = self._unary() if self._kind in {"-", "+", "!"} else self._power()
            return Arithmetic("^", left, right)
        return left

    def _postfix(self) -> Expression:
        operand = self._primary()
        if not isinstance(operand, Name | Element | Field):
            return operand
        if self._kind in {"++", "--"}:
            by = 1 if self._kind == "++" else -1
            self._next()
            return Step(operand, by, before=False)
        if self._kind in _ASSIGNMENTS:
            operator = self._kind[:-1].replace("**", "^")
            self._next()
            self._newlines()
            return Assign(operand, operator, self._expression())
        return operand

    def _primary(self) -> Expression:  # noqa: PLR0911, PLR0912 - one for each kind
        kind, value = self._kind, self._value
        match kind:
            case "number":
                self._next()
                return Number(float(value))
            case "text":
                self._next()
                while self._kind == "text":
                    value += self._value
                    self._next()
                return Text(value)
            case "/" | "/=":
                return self._pattern()
            case "$":
                self._next()
                if self._kind in {"++", "--"}:
                    return Field(self._before())
                if self._kind in {"-", "+", "!"}:
                    return Field(self._unary())
                return Field(self._primary())
            case "++" | "--":
                return self._before()
            case "(":
                return self._group()
            case "getline":
                self._next()
                target = self._optional_target()
                if self._take("<"):
                    return Getline("<", target, self._additive())
                return Getline("", target, None)
            case "builtin":
                return self._builtin()
            case "call":
                self._next()
                self._expect("(")
                self._newlines()
                arguments = self._list(")")
                self._expect(")")
                return Call(value, arguments)
            case "name":
                return self._variable()
        raise self._fail()

    def _before(self) -> Step:
        by = 1 if self._kind == "++" else -1
        self._next()
        target = self._primary()
        if not isinstance(target, Name | Element | Field):
            raise self._fail()
        return Step(target, by, before=True)

    def _variable(self) -> Expression:
        name = self._expect("name")
        if not self._take("["):
            return Name(name)
        index = self._list("]")
        self._expect("]")
        return Element(name, index)

    def _optional_target(self) -> Expression | None:
        if self._kind == "name":
            return self._variable()
        return self._primary() if self._kind == "$" else None

    def _group(self) -> Expression:
        self._expect("(")
        self._newlines()
        inner = self._list(")")
        self._newlines()
        self._expect(")")
        if len(inner) == 1:
            # In parentheses a variable can be assigned to nevertheless, but `(x)++` is no text.
            return inner[0]
        self._expect("in")
        return In(inner, self._expect("name"))

    def _builtin(self) -> Expression:
        name = self._value
        self._next()
        if name == "close":
            return Builtin(name, (self._additive(),))
        arguments: tuple[Expression, ...] = ()
        if self._take("("):
            self._newlines()
            arguments = self._list(")")
            self._expect(")")
        least, most = _BUILTINS[name]
        if not least <= len(arguments) <= most:
            raise self._fail()
        return Builtin(name, arguments)


def parse(text: str) -> Script:
    """Read a program. Raises `NotModelled` where its text is not awk's language."""
    return Parser(text).script()
