"""How sh(1) makes arguments of words: parameters, substitutions, splitting, file names."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.shell.language.arithmetic import ArithmeticFault, evaluate
from harness.lab.simulated.shell.language.parser import (
    Arithmetic,
    Literal,
    Parameter,
    Part,
    Substitution,
    Tilde,
    Word,
)
from harness.lab.simulated.shell.language.pattern import (
    Piece,
    compile_pattern,
    glob,
    is_pattern,
    trim,
)
from harness.lab.simulated.shell.state import ShellError, ShellState

LONGEST = 4 << 20
"""Characters that a word may become; a longer one is not modelled."""


class Fields:
    """The fields that come out of words, each in pieces that are quoted or not."""

    def __init__(self, separators: str) -> None:
        self.done: list[list[Piece]] = []
        self._now: list[Piece] | None = None
        self._blanks = "".join(c for c in separators if c in " \t\n")
        self._others = "".join(c for c in separators if c not in " \t\n")
        self._after_blank = False

    def add(self, text: str, *, quoted: bool) -> None:
        """Put text at the end of the field, unsplit."""
        if not text and not quoted:
            return
        self._after_blank = False
        if self._now is None:
            self._now = []
        self._now.append((text, quoted))

    def end(self) -> None:
        """End the field, if there is one."""
        if self._now is not None:
            self.done.append(self._now)
            self._now = None

    def split(self, text: str) -> None:
        """Put an unquoted expansion at the end, split at the separators."""
        if not self._others:
            self._split_blanks(text)
            return
        start = 0
        for at, character in enumerate(text):
            if character not in self._blanks and character not in self._others:
                continue
            self.add(text[start:at], quoted=False)
            start = at + 1
            if character in self._blanks:
                self._after_blank = self._after_blank or self._now is not None
                self.end()
            elif self._after_blank:
                self._after_blank = False
            else:
                if self._now is None:
                    self._now = [("", True)]
                self.end()
        self.add(text[start:], quoted=False)

    def _split_blanks(self, text: str) -> None:
        if not self._blanks:
            self.add(text, quoted=False)
            return
        if self._blanks != " \t\n":
            for blank in " \t\n":
                if blank not in self._blanks:
                    text = text.replace(blank, {" ": "\0", "\t": "\1", "\n": "\2"}[blank])
        if text[:1] in {" ", "\t", "\n"}:
            self.end()
        for number, word in enumerate(_split_ascii(text)):
            if number:
                self.end()
            if self._blanks != " \t\n":
                for blank in " \t\n":
                    if blank not in self._blanks:
                        word = word.replace({" ": "\0", "\t": "\1", "\n": "\2"}[blank], blank)  # noqa: PLW2901
            self.add(word, quoted=False)
        if text[-1:] in {" ", "\t", "\n"}:
            self.end()


def _split_ascii(text: str) -> list[str]:
    """Like str.split, but at spaces, tabs and newlines only."""
    return [word for word in text.replace("\t", " ").replace("\n", " ").split(" ") if word]


class Expansion:
    """Expands words for one shell. Each method is a program, since a substitution takes time."""

    def __init__(self, shell: ShellState) -> None:
        self._shell = shell
        self.fields: list[str] = []
        """What `words` found."""
        self.text = ""
        """What `one` found."""
        self.pieces: tuple[Piece, ...] = ()
        """What `pattern` found."""

    def words(self, words: tuple[Word, ...]) -> Program:
        """Expand to arguments, with splitting and file names, into `fields`."""
        shell = self._shell
        result: list[str] = []
        for word in words:
            if word.plain is not None:
                result.append(word.plain)
                continue
            fields = Fields(shell.separators)
            yield from self._parts(word.parts, fields, split=True)
            fields.end()
            for pieces in fields.done:
                result += self._names(tuple(pieces))
            shell.budget.step(len(fields.done) // 20)
            if len(result) > LONGEST // 16:
                raise NotModelled("more arguments than the model holds")
        self.fields = result
        return 0

    def one(self, word: Word) -> Program:
        """Expand to one text, without splitting and file names, into `text`."""
        if word.plain is not None:
            self.text = word.plain
            return 0
        yield from self.pattern(word)
        self.text = "".join(text for text, _ in self.pieces)
        return 0

    def pattern(self, word: Word) -> Program:
        """Expand to one text whose quoted parts are known, into `pieces`."""
        fields = Fields("")
        yield from self._parts(word.parts, fields, split=False)
        fields.end()
        pieces: list[Piece] = []
        for number, field in enumerate(fields.done):
            pieces += [(" ", True), *field] if number else field
        self.pieces = tuple(pieces)
        return 0

    def _names(self, pieces: tuple[Piece, ...]) -> list[str]:
        text = "".join(text for text, _ in pieces)
        self._shell.budget.spend_bytes(len(text))
        if "f" not in self._shell.options and is_pattern(pieces):
            return glob(self._shell.guest, pieces, self._shell.directory) or [text]
        return [text]

    def _parts(
        self, parts: tuple[Part, ...], fields: Fields, *, split: bool, inside: bool = False
    ) -> Program:
        """`inside` are the words of `${x:-word}`, which are split even where they are literal."""
        shell = self._shell
        for part in parts:
            match part:
                case Literal(text, quoted):
                    if inside and split and not quoted:
                        fields.split(text)
                    else:
                        fields.add(text, quoted=quoted)
                case Tilde(user):
                    fields.add(self._home(user), quoted=True)
                case Parameter():
                    yield from self._parameter(part, fields, split=split)
                case Substitution(script, quoted):
                    yield from shell.substitute(script)
                    self._value(shell.substituted, quoted, fields, split=split)
                case Arithmetic(word, quoted):
                    yield from self.one(word)
                    self._value(self._compute(self.text), quoted, fields, split=split)
        return 0

    def _value(self, text: str, quoted: bool, fields: Fields, *, split: bool) -> None:
        self._shell.budget.spend_bytes(len(text))
        if quoted or not split:
            fields.add(text, quoted=quoted)
        else:
            fields.split(text)

    def _home(self, user: str) -> str:
        if not user:
            return self._shell.variables.get("HOME", "~")
        return "/root" if user == "root" else f"~{user}"

    def _compute(self, text: str) -> str:
        try:
            return str(evaluate(text, self._shell.settable()))
        except ArithmeticFault as fault:
            raise ShellError(str(fault)) from None

    def _parameter(self, part: Parameter, fields: Fields, *, split: bool) -> Program:
        shell = self._shell
        if part.operator == "bad":
            raise ShellError(f"${{{part.name}}}: Bad substitution")
        value = shell.parameter(part.name)
        operator = part.operator.removeprefix(":")
        unset = value is None or (value == "" and part.operator.startswith(":"))
        if operator in {"-", "=", "?"} and unset:
            assert part.word is not None
            yield from self._instead(part, part.word, operator, fields, split=split)
            return 0
        if operator == "+":
            if not unset:
                assert part.word is not None
                yield from self._parts(part.word.parts, fields, split=split, inside=True)
            if part.quoted:
                fields.add("", quoted=True)
            return 0
        if value is None and "u" in shell.options and part.name not in {"@", "*"}:
            raise ShellError(f"{part.name}: parameter not set")
        if operator == "length":
            self._value(str(len(value or "")), part.quoted, fields, split=split)
            return 0
        if operator and operator[0] in "%#":
            assert part.word is not None
            yield from self.pattern(part.word)
            items = compile_pattern(self.pieces)
            shell.budget.spend_bytes(len(value or "") * (1 + len(items)))
            value = trim(value or "", items, operator)
        elif part.name in {"@", "*"}:
            self._all(part, fields, split=split)
            return 0
        self._value(value or "", part.quoted, fields, split=split)
        return 0

    def _instead(
        self, part: Parameter, word: Word, operator: str, fields: Fields, *, split: bool
    ) -> Program:
        """What takes the place of a parameter that is not set."""
        if operator == "-":
            yield from self._parts(word.parts, fields, split=split, inside=True)
            if part.quoted:
                fields.add("", quoted=True)
            return 0
        yield from self.one(word)
        if operator == "?":
            if not word.parts:
                what = "parameter not set" if part.operator == "?" else "parameter null or not set"
                raise ShellError(f"{part.name}: {what}")
            raise ShellError(self.text, named=False)
        self._shell.assign(part.name, self.text)
        self._value(self.text, part.quoted, fields, split=split)
        return 0

    def _all(self, part: Parameter, fields: Fields, *, split: bool) -> None:
        """`$@` and `$*`."""
        arguments = self._shell.arguments
        if part.quoted and (part.name == "*" or not split):
            between = " " if part.name == "@" else self._shell.separators[:1]
            self._value(between.join(arguments), quoted=True, fields=fields, split=False)
            return
        for number, argument in enumerate(arguments):
            if number:
                fields.end()
            self._value(argument, part.quoted, fields, split=split)
