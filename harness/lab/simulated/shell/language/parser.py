"""The grammar of sh(1): from text to frozen objects that the interpreter walks.

It is written by hand because no library fits. bashlex reads bash and is under the GPL;
tree-sitter-bash mends bad input instead of refusing it, and needs the same walk afterwards; none
gives sh(1)'s own messages. Nothing is expanded or run here. The messages are those that FreeBSD
13.2's sh printed (recorded; bin/sh/parser.c has the others).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

DEEPEST = 24
"""How deep commands and expansions may be nested before the parser gives up."""


class TooDeep(Exception):
    """The text is nested deeper than the model follows."""


class _BadSyntax(Exception):
    """What is wrong, as sh(1) puts it."""


# --- what a text consists of --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself; when `quoted` also its `*` and `?`."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Tilde:
    """A home directory; `user` is empty for one's own."""

    user: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name` or `${name operator word}`; the operator `length` is `${#name}`, `bad` an error."""

    name: str
    quoted: bool
    operator: str = ""
    word: Word | None = None


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(...)` or backquotes."""

    script: Script
    quoted: bool


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((...))`; the word is expanded before it is computed."""

    word: Word
    quoted: bool


Part = Literal | Tilde | Parameter | Substitution | Arithmetic

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Word:
    """One word before its expansion. `plain` is its text when nothing in it is to be expanded."""

    parts: tuple[Part, ...]
    plain: str | None


@dataclass(frozen=True, slots=True)
class Redirection:
    """`fd operator target`; for a here-document the target is the document itself."""

    fd: int
    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name=word`."""

    name: str
    word: Word


@dataclass(frozen=True, slots=True)
class Simple:
    """Assignments, words and redirections."""

    assignments: tuple[Assignment, ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`, perhaps after a `!`."""

    commands: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class AndOr:
    """Pipelines joined by `&&` and `||`; the first has no operator."""

    steps: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Background:
    """A command with `&` behind it. `text` is how it was written."""

    body: Node
    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands one after the other."""

    commands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Compound:
    """`(...)` when `subshell`, else `{...}` or any compound command with redirections."""

    body: Node
    subshell: bool
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class If:
    """`if` and `elif` with their conditions, and the `else`."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class While:
    """`while`, or `until`."""

    condition: Node
    body: Node
    until: bool


@dataclass(frozen=True, slots=True)
class For:
    """`for name in words`; without `in` the words are "$@"."""

    name: str
    words: tuple[Word, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Case:
    """`case`; each branch has its patterns, its body, and whether `;&` falls through."""

    word: Word
    branches: tuple[tuple[tuple[Word, ...], Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of a function."""

    name: str
    body: Node


Node = (
    Simple
    | Pipeline
    | AndOr
    | Background
    | Sequence
    | Compound
    | If
    | While
    | For
    | Case
    | Function
)


@dataclass(frozen=True, slots=True)
class Script:
    """Complete commands in order. `error` is what is wrong with the text after the last of them.

    sh(1) reads and runs one complete command after the other, so those before an error do run.
    """

    commands: tuple[Node, ...]
    error: str | None = None
    error_line: int = 0


# --- tokens -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    """A token: `kind` is "word", "end", "newline" or the operator itself."""

    kind: str
    start: int
    end: int
    word: Word | None = None
    fd: int = -1
    """The number right before a redirection, or -1."""

    @property
    def plain(self) -> str | None:
        """An unquoted literal word's text, as reserved words need it."""
        if self.word is None or len(self.word.parts) != 1:
            return None
        part = self.word.parts[0]
        return part.text if isinstance(part, Literal) and not part.quoted else None


_OPERATOR = re.compile(r"&&|\|\||;;|;&|<<-|<<|>>|<&|>&|<>|>\||[&|;<>()]")
_REDIRECTIONS = frozenset({"<", ">", ">>", "<&", ">&", "<>", ">|", "<<", "<<-"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_META = frozenset(" \t\n;&|<>()")
_PLAIN_RUN = re.compile(r"[^ \t\n;&|<>()\\'\"$`]+")
_QUOTED_RUN = re.compile(r"[^\\\"$`}()]+")
_SPECIAL = frozenset("@*#?-$!")
_MISSING = {
    '"': "Unterminated quoted string",
    "}": "Missing '}'",
    "))": "Missing '))'",
}
"""What sh(1) says when a text ends before what it is in."""

_RESERVED = frozenset(
    {
        *("!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in"),
        *("then", "until", "while"),
    }
)
_CLOSERS = frozenset({"}", "do", "done", "elif", "else", "esac", "fi", "then"})
_STRENGTH = {"case", "for", "if", "until", "while", "{"}
_NO_LAST_OF_A_FUNCTION = frozenset("!%*+-=?@}~")
"""What a function's name does not end with (simplecmd() in bin/sh/parser.c)."""

_SPECIAL_BUILTINS = frozenset(
    {
        *(".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return"),
        *("set", "shift", "times", "trap", "unset"),
    }
)


_PLAIN = re.compile(r"[^|&;<>()$`\\\" \n*?\[~#=']*")


def _escaped(character: str) -> str:
    if character in {"'", "\\"}:
        return "\\" + character
    if character in {"\r", "\t"}:
        return {"\r": "\\r", "\t": "\\t"}[character]
    if character == "\n" or character.isprintable():
        return character
    data = character.encode("utf-8", "surrogateescape")
    return "".join(f"\\{code:03o}" for code in data)


def quoted(text: str) -> str:
    """A word as sh(1) shows it, so that it could be read again (outqstr() in bin/sh/output.c)."""
    if not text:
        return "''"
    if any(each in "'\x7f" or (each < " " and each != "\n") for each in text):
        return "$'" + "".join(_escaped(each) for each in text) + "'"
    if not text.isascii():
        return "$'" + "".join(_escaped(each) for each in text) + "'"
    return text if text == "[" or _PLAIN.fullmatch(text) else f"'{text}'"


def is_name(text: str) -> bool:
    """Whether a variable may be called that."""
    return _NAME.fullmatch(text) is not None


def is_reserved(text: str) -> bool:
    """Whether it is one of the shell's own words."""
    return text in _RESERVED


@lru_cache(maxsize=4096)
def parse(text: str) -> Script:
    """Read a whole text. Raises `TooDeep`; every other fault is in `Script.error`."""
    return _Parser(text, 0).script()


def _word(parts: list[Part]) -> Word:
    """A word, and its text if nothing is to be expanded in it."""
    texts = []
    for number in range(len(parts) - 1, 0, -1):
        part, before = parts[number], parts[number - 1]
        if (
            isinstance(part, Literal)
            and isinstance(before, Literal)
            and part.quoted == before.quoted
        ):
            parts[number - 1 : number + 1] = [Literal(before.text + part.text, part.quoted)]
    for part in parts:
        if not isinstance(part, Literal) or (not part.quoted and _GLOB.intersection(part.text)):
            return Word(tuple(parts), None)
        texts.append(part.text)
    return Word(tuple(parts), "".join(texts))


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self._ahead: _Token | None = None
        self._documents: list[tuple[list[Redirection], int, str, bool]] = []
        """Here-documents whose text comes after the line: where it goes, and its end mark."""
        self._opened: list[list[Redirection]] = []

    # --- commands -------------------------------------------------------------------------------

    def script(self) -> Script:
        """All complete commands, up to the first error."""
        commands: list[Node] = []
        line = 1
        try:
            while True:
                self._skip_newlines()
                token = self._peek()
                if token.kind == "end":
                    break
                line = self.text.count("\n", 0, token.start) + 1
                commands.append(self._line())
        except _BadSyntax as error:
            return Script(tuple(commands), str(error), line)
        return Script(tuple(commands))

    def _line(self) -> Node:
        """Commands up to the end of the line. They run together once the line is read."""
        found: list[Node] = []
        while True:
            node, ended = self._and_or_with_end()
            found.append(node)
            token = self._peek()
            if token.kind in {"newline", "end"}:
                if token.kind == "newline":
                    self._next()
                break
            if not ended:
                raise self._unexpected(token)
        return found[0] if len(found) == 1 else Sequence(tuple(found))

    def _and_or_with_end(self) -> tuple[Node, bool]:
        """An and-or list, and whether `;` or `&` came after it."""
        start = self._peek().start
        node = self._and_or()
        token = self._peek()
        if token.kind == ";":
            self._next()
            return node, True
        if token.kind == "&":
            self._next()
            return Background(node, self.text[start : token.start].strip()), True
        return node, False

    def _list(self, closers: frozenset[str]) -> Node:
        """Commands up to a reserved word or operator in `closers`, which is left to read."""
        found: list[Node] = []
        self._enter()
        while True:
            self._skip_newlines()
            if self._closes(closers):
                break
            token = self._peek()
            if token.kind == "end" or (token.plain in _CLOSERS and found):
                break
            node, ended = self._and_or_with_end()
            found.append(node)
            if not ended and self._peek().kind != "newline":
                break
        self.depth -= 1
        return found[0] if len(found) == 1 else Sequence(tuple(found))

    def _closes(self, closers: frozenset[str]) -> bool:
        token = self._peek()
        return token.kind in closers or (token.kind == "word" and token.plain in closers)

    def _and_or(self) -> Node:
        steps: list[tuple[str, Node]] = [("", self._pipeline())]
        while self._peek().kind in {"&&", "||"}:
            operator = self._next().kind
            self._skip_newlines()
            steps.append((operator, self._pipeline()))
        return steps[0][1] if len(steps) == 1 else AndOr(tuple(steps))

    def _pipeline(self) -> Node:
        negated = False
        while self._peek().plain == "!":
            self._next()
            negated = not negated
        commands = [self._command()]
        while self._peek().kind == "|":
            self._next()
            self._skip_newlines()
            commands.append(self._command())
        if len(commands) == 1 and not negated:
            return commands[0]
        return Pipeline(tuple(commands), negated)

    def _command(self) -> Node:
        token = self._peek()
        if token.kind == "(":
            return self._compound(self._subshell)
        if token.plain in _STRENGTH:
            readers: dict[str, Callable[[], Node]] = {
                "{": self._group,
                "if": self._if,
                "while": self._while,
                "until": self._while,
                "for": self._for,
                "case": self._case,
            }
            return self._compound(readers[token.plain or ""])
        if token.plain in _CLOSERS or (token.kind != "word" and token.kind not in _REDIRECTIONS):
            raise self._unexpected(token)
        return self._simple()

    def _compound(self, read: Callable[[], Node]) -> Node:
        self._enter()
        subshell = read == self._subshell
        body = read()
        redirections: list[Redirection] = []
        self._opened.append(redirections)
        while self._peek().kind in _REDIRECTIONS:
            self._redirection(redirections)
        self.depth -= 1
        if not subshell and not redirections:
            return body
        return Compound(body, subshell, self._sealed(redirections))

    def _subshell(self) -> Node:
        self._next()
        body = self._list(frozenset({")"}))
        self._expect(")")
        return body

    def _group(self) -> Node:
        self._next()
        body = self._list(frozenset({"}"}))
        self._expect("}")
        return body

    def _if(self) -> Node:
        branches: list[tuple[Node, Node]] = []
        otherwise: Node | None = None
        self._next()
        while True:
            condition = self._list(frozenset({"then"}))
            self._expect("then")
            body = self._list(frozenset({"elif", "else", "fi"}))
            branches.append((condition, body))
            word = self._peek().plain
            if word == "elif":
                self._next()
                continue
            if word == "else":
                self._next()
                otherwise = self._list(frozenset({"fi"}))
            self._expect("fi")
            return If(tuple(branches), otherwise)

    def _while(self) -> Node:
        until = self._next().plain == "until"
        condition = self._list(frozenset({"do"}))
        self._expect("do")
        body = self._list(frozenset({"done"}))
        self._expect("done")
        return While(condition, body, until)

    def _for(self) -> Node:
        self._next()
        token = self._next()
        name = token.plain
        if name is None or not is_name(name):
            raise _BadSyntax("Bad for loop variable")
        self._skip_newlines()
        words: list[Word] = []
        if self._peek().plain == "in":
            self._next()
            while self._peek().kind == "word":
                word = self._next().word
                assert word is not None
                words.append(word)
            if self._peek().kind not in {";", "newline"}:
                raise self._unexpected(self._peek())
            self._next()
        else:
            words.append(Word((Parameter("@", quoted=True),), None))
            if self._peek().kind == ";":
                self._next()
        self._skip_newlines()
        closer = "done" if self._peek().plain == "do" else "}"
        if self._peek().plain not in {"do", "{"}:
            raise self._unexpected(self._peek())
        self._next()
        body = self._list(frozenset({closer}))
        self._expect(closer)
        return For(name, tuple(words), body)

    def _case(self) -> Node:
        self._next()
        token = self._next()
        if token.word is None:
            raise self._unexpected(token, "word")
        self._skip_newlines()
        if self._next().plain != "in":
            raise _BadSyntax('expecting "in"')
        branches: list[tuple[tuple[Word, ...], Node, bool]] = []
        self._skip_newlines()
        while self._peek().plain != "esac":
            patterns = self._patterns()
            body = self._list(frozenset({";;", ";&", "esac"}))
            kind = self._peek().kind
            branches.append((patterns, body, kind == ";&"))
            if kind not in {";;", ";&"}:
                break
            self._next()
            self._skip_newlines()
        self._expect("esac", '";;"')
        return Case(token.word, tuple(branches))

    def _patterns(self) -> tuple[Word, ...]:
        if self._peek().kind == "(":
            self._next()
        patterns: list[Word] = []
        while True:
            token = self._next()
            if token.word is None:
                raise self._unexpected(token, "word")
            patterns.append(token.word)
            if self._peek().kind != "|":
                break
            self._next()
        self._expect(")")
        return tuple(patterns)

    def _simple(self) -> Node:
        start = end = self._peek().start
        assignments: list[Assignment] = []
        words: list[Word] = []
        redirections: list[Redirection] = []
        self._opened.append(redirections)
        first: Word | None = None
        while True:
            token = self._peek()
            if token.kind in _REDIRECTIONS:
                self._redirection(redirections)
                end = self.at
                continue
            alone = len(words) + len(assignments) == 1 and not redirections
            if token.kind == "(" and alone and first is not None:
                return self._function(first)
            if token.word is None:
                break
            self._next()
            end = token.end
            first = first or token.word
            assignment = None if words else _assignment(token.word)
            if assignment is not None:
                assignments.append(assignment)
            else:
                words.append(token.word)
        text = self.text[start:end]
        return Simple(tuple(assignments), tuple(words), self._sealed(redirections), text)

    def _function(self, name: Word) -> Node:
        self._opened.pop()
        self._next()
        self._expect(")")
        if not name.plain or "/" in name.plain or name.plain[-1] in _NO_LAST_OF_A_FUNCTION:
            raise _BadSyntax("Bad function name")
        if name.plain in _SPECIAL_BUILTINS:
            raise _BadSyntax("Cannot override a special builtin with a function")
        self._skip_newlines()
        self._enter()
        body = self._command()
        self.depth -= 1
        return Function(name.plain, body)

    # --- redirections ---------------------------------------------------------------------------

    def _redirection(self, into: list[Redirection]) -> None:
        token = self._next()
        fd = token.fd if token.fd >= 0 else (0 if token.kind.startswith("<") else 1)
        target = self._next()
        if target.word is None:
            raise self._unexpected(target, "word")
        if token.kind in {"<<", "<<-"}:
            quoted = any(not isinstance(p, Literal) or p.quoted for p in target.word.parts)
            mark = "".join(p.text for p in target.word.parts if isinstance(p, Literal))
            self._documents.append((into, len(into), mark, quoted))
            into.append(Redirection(fd, token.kind, Word((), "")))
            return
        if token.kind in {"<&", ">&"} and target.word.plain is not None:
            number = target.word.plain
            if not (number == "-" or (number.isascii() and number.isdigit() and len(number) == 1)):
                raise _BadSyntax("Bad fd number")
        into.append(Redirection(fd, token.kind, target.word))

    def _sealed(self, redirections: list[Redirection]) -> tuple[Redirection, ...]:
        """The redirections of a command; the here-documents among them are read now.

        A here-document's text starts after the line's end, so it is fetched from there and cut out.
        """
        self._opened.pop()
        if any(into is redirections for into, *_ in self._documents):
            self._read_documents()
        return tuple(redirections)

    def _read_documents(self) -> None:
        ahead = self._ahead
        search = ahead.start if ahead is not None else self.at
        newline = search if self.text[search : search + 1] == "\n" else self._line_end(search)
        begin = newline + 1
        for into, number, mark, quoted in self._documents:
            body, begin = self._document(begin, mark, into[number].operator == "<<-")
            if quoted:
                word = Word((Literal(body, quoted=True),), body)
            else:
                inner = _Parser(body, self.depth + 1)
                word = _word(inner.parts(quoted=True, end="document"))
            into[number] = replace(into[number], target=word)
        self._documents = []
        self.text = self.text[: newline + 1] + self.text[begin:]

    def _line_end(self, start: int) -> int:
        """Where the line with `start` ends, quotes and substitutions on it left alone."""
        found = self.text.find("\n", start)
        return len(self.text) if found < 0 else found

    def _document(self, begin: int, mark: str, strip: bool) -> tuple[str, int]:
        lines: list[str] = []
        while begin < len(self.text):
            end = self.text.find("\n", begin)
            end = len(self.text) if end < 0 else end
            line = self.text[begin:end]
            after = min(end + 1, len(self.text))
            if strip:
                line = line.lstrip("\t")
            if line == mark:
                return "".join(lines), after
            lines.append(line + self.text[end:after])
            begin = after
        return "".join(lines), begin

    # --- tokens ---------------------------------------------------------------------------------

    def _peek(self) -> _Token:
        if self._ahead is None:
            self._ahead = self._read()
        return self._ahead

    def _next(self) -> _Token:
        token = self._peek()
        self._ahead = None
        return token

    def _skip_newlines(self) -> None:
        while self._peek().kind == "newline":
            self._next()

    def _read(self) -> _Token:
        text = self.text
        while True:
            while self.at < len(text) and text[self.at] in " \t":
                self.at += 1
            if text.startswith("\\\n", self.at):
                self.at += 2
                continue
            if text.startswith("#", self.at):
                self.at = self._line_end(self.at)
            break
        start = self.at
        if start >= len(text):
            return _Token("end", start, start)
        if text[start] == "\n":
            self.at += 1
            return _Token("newline", start, self.at)
        match = _OPERATOR.match(text, start)
        if match is not None:
            self.at = match.end()
            return _Token(match[0], start, self.at)
        if text[start] in "0123456789" and text[start + 1 : start + 2] in {"<", ">"}:
            match = _OPERATOR.match(text, start + 1)
            assert match is not None
            self.at = match.end()
            return _Token(match[0], start, self.at, fd=int(text[start]))
        parts = self.parts(quoted=False, end="word")
        return _Token("word", start, self.at, _word(parts))

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise TooDeep

    def _expect(self, wanted: str, shown: str | None = None) -> None:
        token = self._peek()
        if wanted not in {token.kind, token.plain}:
            raise self._unexpected(token, shown or f'"{wanted}"')
        self._next()

    def _unexpected(self, token: _Token, wanted: str | None = None) -> _BadSyntax:
        if token.kind == "end":
            seen = "end of file"
        elif token.kind == "newline":
            seen = "newline"
        elif token.kind == "word":
            seen = f'"{token.plain}"' if token.plain in _RESERVED else "word"
        else:
            seen = "redirection" if token.kind in _REDIRECTIONS else f'"{token.kind}"'
        return _BadSyntax(f"{seen} unexpected" + (f" (expecting {wanted})" if wanted else ""))

    # --- words ----------------------------------------------------------------------------------

    def parts(self, *, quoted: bool, end: str) -> list[Part]:
        """The parts of a word up to its end, which is left to read.

        `end` is "word" (a blank or an operator), '"', "}", "))", or "document" and "" (everything).
        """
        found: list[Part] = []
        brackets = 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == end or (end == "word" and character in _META):
                break
            if end == "))" and character in "()":
                brackets += 1 if character == "(" else -1
                if brackets < 0:
                    break
                found.append(Literal(character, quoted=True))
                self.at += 1
                continue
            self._part(character, found, quoted=quoted, end=end)
        else:
            if end in _MISSING:
                raise _BadSyntax(_MISSING[end])
        return found

    def _part(self, character: str, found: list[Part], *, quoted: bool, end: str) -> None:
        """Read what begins with this character."""
        if character == "$":
            self._dollar(found, quoted)
        elif character == "`":
            self._backquote(found, quoted)
        elif character == "\\":
            self._backslash(found, quoted, end)
        elif character == "'" and not quoted:
            self._single_quotes(found)
        elif character == '"' and quoted and end == "}":
            self.at += 1
        elif character == '"' and not quoted:
            self._double_quotes(found)
        elif character == "~" and not found and not quoted and end in {"word", "}"}:
            self._tilde(found)
        else:
            self._run(found, quoted, end)

    def _run(self, found: list[Part], quoted: bool, end: str) -> None:
        """Characters without a meaning of their own, and failing that one character."""
        match = (_QUOTED_RUN if quoted else _PLAIN_RUN).match(self.text, self.at)
        taken = match[0] if match is not None else self.text[self.at]
        if end == "}" and "}" in taken[1:]:
            taken = taken[: taken.index("}", 1)]
        self.at += len(taken)
        found.append(Literal(taken, quoted))

    def _backslash(self, found: list[Part], quoted: bool, end: str) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        self.at += 1 + len(following)
        if following == "\n":
            return
        if not following:
            found.append(Literal("\\", quoted=True))
            return
        special = '$`\\"' if end not in {"document", "))"} else "$`\\"
        if quoted and following not in special and not (end == "}" and following == "}"):
            following = "\\" + following
        found.append(Literal(following, quoted=True))

    def _single_quotes(self, found: list[Part]) -> None:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise _BadSyntax("Unterminated quoted string")
        found.append(Literal(self.text[self.at + 1 : end], quoted=True))
        self.at = end + 1

    def _double_quotes(self, found: list[Part]) -> None:
        self.at += 1
        inner = self.parts(quoted=True, end='"')
        self.at += 1
        found += inner or [Literal("", quoted=True)]

    def _tilde(self, found: list[Part]) -> None:
        match = re.compile(r"~([A-Za-z0-9_.-]*)(?=[/ \t\n;&|<>()}:]|$)").match(self.text, self.at)
        if match is None:
            found.append(Literal("~", quoted=False))
            self.at += 1
        else:
            found.append(Tilde(match[1]))
            self.at = match.end()

    def _dollar(self, found: list[Part], quoted: bool) -> None:
        text = self.text
        self._enter()
        following = text[self.at + 1 : self.at + 2]
        if text.startswith("$((", self.at):
            self._arithmetic(found, quoted)
        elif following == "(":
            self._substitution(found, quoted)
        elif following == "{":
            self._braces(found, quoted)
        elif following == "'" and not quoted:
            self._dollar_quotes(found)
        elif following.isascii() and (following.isdigit() or following in _SPECIAL) and following:
            found.append(Parameter(following, quoted))
            self.at += 2
        else:
            name = _NAME.match(text, self.at + 1)
            if name is None:
                found.append(Literal("$", quoted))
                self.at += 1
            else:
                found.append(Parameter(name[0], quoted))
                self.at = name.end()
        self.depth -= 1

    def _arithmetic(self, found: list[Part], quoted: bool) -> None:
        """Read `$((...))`; sh(1) never takes it for a `$(` with a subshell in it."""
        self.at += 3
        inner = self.parts(quoted=True, end="))")
        if not self.text.startswith("))", self.at):
            raise _BadSyntax("Missing '))'")
        self.at += 2
        found.append(Arithmetic(_word(inner), quoted))

    def _substitution(self, found: list[Part], quoted: bool) -> None:
        self.at += 2
        saved, self._ahead = self._ahead, None
        documents, self._documents = self._documents, []
        try:
            body = self._list(frozenset({")"}))
            self._expect_next(")")
        except _BadSyntax as error:
            raise _in_substitution(error) from None
        token = self._peek()
        self._ahead = saved
        self._documents = documents
        self.at = token.end
        commands = body.commands if isinstance(body, Sequence) else (body,)
        found.append(Substitution(Script(commands), quoted))

    def _expect_next(self, wanted: str) -> None:
        if self._peek().kind != wanted:
            raise self._unexpected(self._peek(), f'"{wanted}"')

    def _backquote(self, found: list[Part], quoted: bool) -> None:
        text = self.text
        self._enter()
        at = self.at + 1
        inner: list[str] = []
        while True:
            character = text[at : at + 1]
            if not character:
                raise _in_substitution(_BadSyntax("EOF in backquote substitution"))
            if character == "`":
                break
            if character == "\\":
                following = text[at + 1 : at + 2]
                at += 2
                if following == "\n":
                    continue
                keep = following not in {"\\", "`", "$"} and not (quoted and following == '"')
                inner.append("\\" + following if keep else following)
                continue
            inner.append(character)
            at += 1
        self.at = at + 1
        script = _Parser("".join(inner), self.depth).script()
        if script.error is not None:
            raise _in_substitution(_BadSyntax(script.error))
        found.append(Substitution(script, quoted))
        self.depth -= 1

    def _dollar_quotes(self, found: list[Part]) -> None:
        at = self.at + 2
        while at < len(self.text) and self.text[at] != "'":
            at += 2 if self.text[at] == "\\" else 1
        if at >= len(self.text):
            raise _BadSyntax("Unterminated quoted string")
        found.append(Literal(_unescape(self.text[self.at + 2 : at]), quoted=True))
        self.at = at + 1

    def _braces(self, found: list[Part], quoted: bool) -> None:
        text = self.text
        self.at += 2
        if text.startswith("#", self.at) and text[self.at + 1 : self.at + 2] not in {
            *("}", ":", "-", "+", "=", "?", "%", ""),
        }:
            self.at += 1
            name = self._parameter_name()
            if name is not None and text.startswith("}", self.at):
                self.at += 1
                found.append(Parameter(name, quoted, "length"))
                return
            self._bad_substitution(found, quoted, name or "", more=0 if name else 1)
            return
        name = self._parameter_name()
        if name is None:
            self._bad_substitution(
                found, quoted, "", more=0 if text.startswith("}", self.at) else 1
            )
            return
        ended = re.compile(r":?\}").match(text, self.at)
        if ended is not None:
            self.at = ended.end()
            found.append(Parameter(name, quoted))
            return
        colon = int(text.startswith(":", self.at))
        if text[self.at + colon : self.at + colon + 1] in {"", "\n"}:
            raise _BadSyntax("Unexpected end of line in substitution")
        match = re.compile(r"%%|##|:?[-=+?]|[%#]").match(text, self.at)
        if match is None:
            self._bad_substitution(found, quoted, name, more=1 + colon)
            return
        operator = match[0]
        self.at = match.end()
        pattern = operator[0] in "%#"
        inner = self.parts(quoted=quoted and not pattern, end="}")
        self.at += 1
        found.append(Parameter(name, quoted, operator, _word(inner)))

    def _parameter_name(self) -> str | None:
        text = self.text
        match = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]").match(text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def _bad_substitution(self, found: list[Part], quoted: bool, name: str, *, more: int) -> None:
        """An error of the expansion, not of the syntax: it is found when it is expanded.

        So many `more` characters are shown after the name, and dots for what comes then (VSERROR
        in bin/sh/parser.c and expand.c).
        """
        shown = name + self.text[self.at : self.at + more]
        self.at += more
        if self.at >= len(self.text):
            raise _BadSyntax("Missing '}'")
        if shown and not self.text.startswith("}", self.at):
            shown += "..."
        self.parts(quoted=quoted, end="}")
        self.at += 1
        found.append(Parameter(shown, quoted, "bad"))


def _in_substitution(error: _BadSyntax) -> _BadSyntax:
    """A fault in `$(...)` is told twice."""
    return _BadSyntax(f"{error}\nError in command substitution")


def _assignment(word: Word) -> Assignment | None:
    first = word.parts[0] if word.parts else None
    if not isinstance(first, Literal) or first.quoted:
        return None
    match = _ASSIGNMENT.match(first.text)
    if match is None:
        return None
    rest = first.text[match.end() :]
    parts: list[Part] = list(word.parts[1:])
    tilde = re.match(r"~([A-Za-z0-9_.-]*)(?=[/:]|$)", rest)
    if tilde is not None and (tilde.end() < len(rest) or not parts):
        parts.insert(0, Literal(rest[tilde.end() :], quoted=False))
        parts.insert(0, Tilde(tilde[1]))
    elif rest:
        parts.insert(0, Literal(rest, quoted=False))
    plain = None
    if all(isinstance(part, Literal) for part in parts):
        plain = "".join(part.text for part in parts if isinstance(part, Literal))
    return Assignment(match[1], Word(tuple(parts), plain))


_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\33"}


def _unescape(text: str) -> str:
    """What `$'...'` stands for."""

    def one(match: re.Match[str]) -> str:
        octal, hexadecimal, letter = match.groups()
        if letter is not None:
            return _LETTERS.get(letter, letter)
        number = int(octal, 8) if octal else int(hexadecimal, 16)
        return bytes([number & 0xFF]).decode("utf-8", "surrogateescape")

    return _ESCAPE.sub(one, text)
