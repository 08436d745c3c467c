"""What leaves a run goes through here: no private key or password in it, no control characters.

A run's pages and archives are sent to people and put on public pages of CI jobs. So whatever
writes a file for somebody else calls `without_secrets`, and whatever writes to a terminal or into
a page calls `printable`. The raw text of control characters stays in the transcripts' files.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LEFT_OUT = "(a private key, left out)"
PASSWORD_LEFT_OUT = "(left out)"  # noqa: S105 - what stands in its place

# --- control characters ---------------------------------------------------------------------------

_SIGNS = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),  # terminals take 0x9b as ESC [
    **dict.fromkeys((0x202A, 0x202B, 0x202C, 0x202D, 0x202E), 0xFFFD),  # text that runs backwards
    **dict.fromkeys((0x2066, 0x2067, 0x2068, 0x2069), 0xFFFD),
    **dict.fromkeys((0xFFFE, 0xFFFF), 0xFFFD),  # XML has no such characters
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),  # nor have UTF-8 and XML halves of a pair
}
_TO_REPLACE = re.compile(f"[{''.join(map(re.escape, map(chr, _SIGNS)))}]")


def printable(text: str) -> str:
    """The text with the sign that Unicode has for each control character: ESC becomes U+241B.

    What a node prints cannot then move a terminal's cursor, change its colours or its title, and
    HTML and XML can hold it. Newlines and tabs stay; the end of a line of DOS becomes a newline.
    """
    if not _TO_REPLACE.search(text):
        return text
    return text.replace("\r\n", "\n").translate(_SIGNS)


# --- private keys and passwords -------------------------------------------------------------------

_LINE = re.compile(r"(?<!\\)[A-Za-z0-9+/]{16,}={0,2}")
_LINE_WITH_ESCAPES = re.compile(r"(?<!\\)(?:[A-Za-z0-9+/]|\\+/){16,}={0,2}")
"""A line of base64. What follows a backslash is no part of it: JSON and Python end a line with
`\\n`. JSON may have one before a slash. A key's last line may be shorter: see `_rest`."""

_MARK = re.compile(
    r"(?P<begin>BEGIN )[A-Z0-9 ]*(?P<kind>PRIVATE KEY|PUBLIC KEY|CERTIFICATE|CRL|SIGNATURE|MESSAGE)"
    r"|-{2,} ?END [A-Z0-9 ]*(?P<ended>PRIVATE KEY|PUBLIC KEY|CERTIFICATE|CRL|SIGNATURE|MESSAGE)"
    r"|(?P<cut_begin>PRIVATE KEY(?: BLOCK)? ?--)"
    r"|(?P<putty>Private-Lines|Public-Lines|Private-MAC|Private-Hash): ?"
)
"""Where a key begins or ends: PEM (RFC 7468), OpenSSH, SSH2 (RFC 4716), PGP, PuTTY."""

_WHOLE = re.compile(
    r"-{4,5} ?BEGIN (?P<what>[A-Z0-9 ]*PRIVATE KEY[A-Z0-9 ]*?) ?-{4,5}"
    r"(?:[A-Za-z0-9+/=:,.@\s-]|\\+[nrt/]|&#(?:10|13|xA|xD);){0,20000}?"
    r"-{4,5} ?END (?P=what) ?-{4,5}"
)
"""A key of which nothing is missing, with nothing in it that JSON, XML or HTML has need of."""

_MARKED = ("PRIVATE KEY", "BEGIN ", "-END ", "- END ", "Private-", "Public-Lines")
"""One of them is in a text that has a mark: quickly found."""

_PUTTY = {
    "Private-Lines": "private",
    "Public-Lines": "public",
    "Private-MAC": "end of private",
    "Private-Hash": "end of private",
}

_NEAR = 160
"""Characters between two lines of one key at most: a time stamp, a node's name, a mark."""

_HEADERS = 400
"""Characters between the first line of a key and its body: `Proc-Type`, `DEK-Info`, `Version`."""

_OPENSSH = "b3BlbnNzaC1rZXktdjE"
"""`openssh-key-v1` (OpenSSH, PROTOCOL.key)."""

_DER = re.compile(
    rb"\x30(?:[\x20-\x7f]|\x81.|\x82..)"  # a SEQUENCE of
    rb"(?:\x02\x01[\x00\x01\x03][\x02\x04\x30]"  # a version, and a key: RFC 8017, 5915, 5958, 7292
    rb"|\x30.\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05)",  # or what encrypts one: RFC 8018
    re.DOTALL,
)

_WIDTHS = (64, 70, 72, 76)
"""Characters in a line of base64 as PEM, OpenSSH, PGP and MIME write it."""

_FEWEST = 4
"""Lines of that width, with neither beginning nor end of a key, that are taken for one."""

_SHORT_LAST = re.compile(
    r"[^<>]{1,90}?(?P<line>(?:(?<=\\[nrt])|(?<![A-Za-z0-9+/=\\]))"
    r"(?:[A-Za-z0-9+/]{4}){0,3}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"
    r"(?=[\"'\s\\&]|\Z))"
)
"""The last line of a key that has no end, below the others, as short as it may be."""

_PASSWORDS = (
    re.compile(
        r"(vhid[ =]+[0-9]+\b[^\n\"'<>]{0,120}?\bpass +)"
        rf"(?!{re.escape(PASSWORD_LEFT_OUT)})[^\s\"'<>\\&]+"
    ),
    re.compile(r"(\$(?:1|2[abxy]?|5|6|7|y|gy)\\*\$)[./A-Za-z0-9$,=\\-]{20,}"),
    re.compile(r"(://[^\s:/@\"'<>]{1,64}:)[^\s/@\"'<>]{1,64}(?=@)"),
)
"""ifconfig(8)'s `pass` of CARP, crypt(3)'s hashes, and a password in a URL, each behind what says
that it is one."""


def without_secrets(text: str) -> str:
    """The text with every private key and password taken out; a note stands in the place of each.

    Keys are found in PEM, OpenSSH's, PuTTY's and PGP's format, as bare base64, in a string of
    JSON, Python or XML, and with something before every line, such as a transcript's times; whole,
    or with their first or last lines cut off. Quotes and tags stay, so that what is JSON, XML or
    HTML remains it. Public keys and certificates stay.
    """
    if "PRIVATE KEY" in text:
        text = _WHOLE.sub(LEFT_OUT, text)
    pieces: list[str] = []
    at = 0
    for start, end, note in _keys(text):
        pieces += (text[at:start], note)
        at = end
    text = "".join([*pieces, text[at:]]) if pieces else text
    for password in _PASSWORDS:
        text = password.sub(rf"\g<1>{PASSWORD_LEFT_OUT}", text)
    return text


def without_secrets_in(content: bytes) -> bytes:
    """The same for a file's content, whatever its encoding."""
    text = content.decode("utf-8", "surrogateescape")
    cleaned = without_secrets(text)
    return content if cleaned == text else cleaned.encode("utf-8", "surrogateescape")


def outgoing(text: str) -> str:
    """The text as it may leave: without secrets, and printable."""
    return printable(without_secrets(text))


@dataclass(frozen=True)
class _Line:
    """A line of base64: where it is in the text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end].replace("\\", "")


@dataclass(frozen=True)
class _Mark:
    """Where something begins or ends; `kind` is private, public, or the end of either."""

    start: int
    end: int
    kind: str

    @classmethod
    def of(cls, found: re.Match[str]) -> _Mark:
        if found["putty"] is not None:
            kind = _PUTTY[found["putty"]]
        elif found["cut_begin"] is not None:
            kind = "private"
        else:
            private = "PRIVATE KEY" in (found["kind"], found["ended"])
            kind = f"{'' if found['begin'] else 'end of '}{'private' if private else 'public'}"
        return cls(found.start(), found.end(), kind)


class _Marks:
    """All of them in a text, to find those next to a place."""

    def __init__(self, text: str) -> None:
        marked = any(word in text for word in _MARKED)
        self._marks = [_Mark.of(found) for found in _MARK.finditer(text)] if marked else []
        self._starts = [mark.start for mark in self._marks]

    def before(self, at: int) -> _Mark | None:
        """The last one before a place, if it is close."""
        index = bisect.bisect_left(self._starts, at) - 1
        found = self._marks[index] if index >= 0 else None
        return found if found is not None and at - found.end <= _HEADERS else None

    def after(self, at: int) -> _Mark | None:
        """The first one after a place, if it is close."""
        index = bisect.bisect_left(self._starts, at)
        found = self._marks[index] if index < len(self._marks) else None
        return found if found is not None and found.start - at <= 2 * _NEAR else None

    def any_between(self, start: int, end: int) -> bool:
        return bisect.bisect_left(self._starts, start) != bisect.bisect_left(self._starts, end)


def _keys(text: str) -> Iterator[tuple[int, int, str]]:
    """Where the text has base64 of private keys, and what is to stand there."""
    marks = _Marks(text)
    for block in _blocks(text, marks):
        private = _private(text, block, marks)
        if not private:
            continue
        for number, line in enumerate(private):
            yield line.start, line.end, "" if number else LEFT_OUT
        after = marks.after(private[-1].end)
        if after is not None and after.kind == "end of private":
            yield from _rest(text, private[-1].end, after.start)
        elif (last := _SHORT_LAST.match(text, private[-1].end)) is not None:
            yield last.start("line"), last.end("line"), ""


def _blocks(text: str, marks: _Marks) -> Iterator[list[_Line]]:
    """Lines of base64 that follow one another."""
    block: list[_Line] = []
    for found in (_LINE_WITH_ESCAPES if "\\/" in text else _LINE).finditer(text):
        start, end = found.span()
        if block:
            between = text[block[-1].end : start]
            tag = "<" in between or ">" in between
            if tag or len(between) > _NEAR or marks.any_between(block[-1].end, start):
                yield block
                block = []
        block.append(_Line(start, end))
    if block:
        yield block


def _private(text: str, block: list[_Line], marks: _Marks) -> Sequence[_Line]:
    """Those of the lines that are a private key's; mostly all or none."""
    before, after = marks.before(block[0].start), marks.after(block[-1].end)
    kinds = {mark.kind for mark in (before, after) if mark is not None}
    if (before and before.kind == "private") or (after and after.kind == "end of private"):
        return block
    if (before and before.kind == "public") or "end of public" in kinds:
        return ()
    for number, line in enumerate(block):
        if _begins_a_key(line.of(text)):
            return block[number:]
    return block if _looks_cut_out(text, block) else ()


def _begins_a_key(line: str) -> bool:
    if _OPENSSH in line:
        return True
    if not line.startswith("M"):  # what a SEQUENCE begins with
        return False
    try:
        return _DER.match(base64.b64decode(line[:28])) is not None
    except binascii.Error:
        return False


def _looks_cut_out(text: str, block: list[_Line]) -> bool:
    """Whether this is a piece of something in base64 of which neither end is there."""
    lines = [line.of(text) for line in block]
    widths = [len(line) for line in lines]
    if len(block) < _FEWEST or widths[1] not in _WIDTHS or len(set(widths[1:-1])) > 1:
        return False
    return all(re.search("[g-z]", line) and re.search("[G-Z]", line) for line in lines[1:-1])


def _rest(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """The last line of a key and its checksum are shorter: what is between the rest and its end."""
    between = text[start:end]
    lines = list(re.finditer(r"\n|\\+[nrt]|&#(?:10|13|xA|xD);", between))
    if not lines:  # the key in one line, with blanks
        lines = list(re.finditer(" ", between))
    for one, following in itertools.pairwise(lines):
        found = None
        for found in re.finditer(  # noqa: B007 - the last of them: what is before it is no key
            r"=?[A-Za-z0-9+/]+={0,2}", between[one.end() : following.start()]
        ):
            pass
        if found is not None:
            offset = start + one.end()
            yield offset + found.start(), offset + found.end(), ""
