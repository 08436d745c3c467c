"""devd.conf(5): its rules, and which of them is for an event (sbin/devd, 13.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.lab.simulated.shell.regex import BadRegex, compile_regex

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\n|\#[^\n]*|//[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/)
      |(?P<mark>[;{}])
      |(?P<number>[0-9]+)
      |"(?P<string>[^"]+)"
      |(?P<word>[A-Za-z][A-Za-z0-9_-]*)""",
    re.VERBOSE,
)
_KINDS = frozenset({"attach", "detach", "nomatch", "notify"})
_SHORT = frozenset({"device-name", "class", "subdevice"})
"""Words that stand for a match of the variable with their name."""


class BadRules(Exception):
    """A file that devd does not take. `line` is where, `token` what it did not expect."""

    def __init__(self, line: int, token: str) -> None:
        super().__init__(f"line {line}: {token}: syntax error.")
        self.line = line


@dataclass(frozen=True)
class Rule:
    """A block for events of one kind: what they have to be like, and what is done then."""

    kind: str
    priority: int
    matches: tuple[tuple[str, str], ...] = ()
    """Variables, each with an expression; `media-type` is no variable."""
    actions: tuple[str, ...] = ()


@dataclass
class Rules:
    """What files say together."""

    rules: list[Rule] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Take in a file. Raises `BadRules`."""
        _Parser(self, text).parse()

    def rule_for(
        self, kind: str, variables: Mapping[str, str], media: Mapping[str, str]
    ) -> Rule | None:
        """The rule for an event: the first of those with the highest priority that match.

        `media` has the kind of each interface that devd can ask.
        """
        seen = {**self.variables, **variables}
        found = sorted(
            (rule for rule in self.rules if rule.kind == kind), key=lambda each: -each.priority
        )
        for rule in found:
            if all(self._agrees(name, wanted, seen, media) for name, wanted in rule.matches):
                return rule
        return None

    def _agrees(
        self, name: str, wanted: str, seen: Mapping[str, str], media: Mapping[str, str]
    ) -> bool:
        if name == "media-type":
            device = seen.get("device-name") or seen.get("subsystem", "")
            return media.get(device, "unknown") == wanted.lower()
        inverted = wanted.startswith("!")
        pattern = expand(wanted[inverted:], self.variables, quote=False)
        try:
            regex = compile_regex(f"^{pattern}$", extended=True, ignore_case=True)
        except BadRegex:
            return inverted
        return (regex.search(seen.get(name, "").encode()) is not None) is not inverted


def expand(text: str, variables: Mapping[str, str], *, quote: bool = True) -> str:
    """A text with its $variables; in an action each becomes one word of the shell's."""

    def value(found: re.Match[str]) -> str:
        if found["name"] is None:
            return "$" if found[0] == "$$" else found[0]
        known = variables.get(found["name"], "")
        return "$'" + re.sub(r"(['\\])", r"\\\1", known) + "'" if quote else known

    return re.sub(r"\$\$|\$\([^()]*\)|\$(?P<name>[A-Za-z_*-][A-Za-z0-9_-]*)", value, text)


class _Parser:
    """One file, by the grammar of sbin/devd/parse.y."""

    def __init__(self, rules: Rules, text: str) -> None:
        self._rules = rules
        self._tokens = _tokens(text)
        self._advance()

    def _advance(self) -> None:
        self._kind, self._value, self._text, self._line = next(self._tokens)

    def _take(self, kind: str, *values: str) -> str:
        if self._kind != kind or (values and self._value not in values):
            raise BadRules(self._line, self._text)
        value = self._value
        self._advance()
        return value

    def _at(self, value: str) -> bool:
        return self._kind in {"mark", "word"} and self._value == value

    def parse(self) -> None:
        while self._kind != "end":
            if self._at("options"):
                self._options()
            else:
                self._block()

    def _options(self) -> None:
        self._advance()
        self._take("mark", "{")
        while True:
            word = self._take("word", "directory", "pid-file", "set")
            name = self._take("word") if word == "set" else ""
            value = self._take("string")
            self._take("mark", ";")
            if word == "directory":
                self._rules.directories.append(value)
            elif word == "set":
                self._rules.variables[name] = value
            if self._at("}"):
                break
        self._advance()
        self._take("mark", ";")

    def _block(self) -> None:
        kind = self._take("word", *_KINDS)
        priority = int(self._take("number"))
        self._take("mark", "{")
        matches: list[tuple[str, str]] = []
        actions: list[str] = []
        while not self._at("}"):
            word = self._take("word", "match", "media-type", "action", *_SHORT)
            first = self._take("string")
            if word == "action":
                actions.append(first)
            elif word == "match":
                matches.append((first, self._take("string")))
            else:
                matches.append((word, first))
            self._take("mark", ";")
        self._advance()
        self._take("mark", ";")
        if matches or actions:
            self._rules.rules.append(Rule(kind, priority, tuple(matches), tuple(actions)))


def _tokens(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Kind, value, text and line of each; what is none is passed over, as flex does."""
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            at += 1
            continue
        at = found.end()
        line += found[0].count("\n")
        kind = found.lastgroup or ""
        if kind != "space":
            value = found[kind]
            if kind == "string":
                value = re.sub(r"\\\n\s*", "", value)
            yield kind, value, found[0], line
    while True:
        yield "end", "", "", line
