"""hast.conf(5): the characters that hastd does not know, and what becomes of them.

The scanner (sbin/hastd/token.l, 13.2) has rules for words (letters, digits, `.-_/:[]`), braces,
comments, blanks and line ends. Any other character it copies to standard output, and reads what
follows: a semicolon, a quote, the carriage return of a file from Windows. So hastctl prints them
all before its answer, and hastd before the first line of its log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PATH = "/etc/hast.conf"

_WORDS = """control pidfile listen replication checksum compression timeout exec metaflush resource
    name local remote source on off fullsync memsync async none crc32 sha256 hole lzf"""
KEYWORDS = frozenset(_WORDS.split())
"""Words that the grammar takes for itself: none of them can be a name. Nor can a number."""

_WORD = r"a-zA-Z0-9.\-_/:\[\]"
_COMMENT = re.compile(r"#[^\n]*(?=\n)")
_UNKNOWN = re.compile(rf"[^{_WORD}{{}} \t\n]")
_ECHOED = re.compile(rf"[^{_WORD}{{}} \t\n]*")
_NAMES = {"\r": "carriage return", "\ufeff": "byte order mark", "\0": "NUL"}
_MOST_LINES = 5


def split_echoed(text: str) -> tuple[str, str]:
    """What hastctl has copied of hast.conf, and its answer, which begins with a name."""
    found = _ECHOED.match(text)
    end = 0 if found is None else found.end()
    return text[:end], text[end:]


def unknown_characters(text: str) -> dict[str, list[int]]:
    """The characters of a hast.conf that hastd does not know, each with its lines, from 1 on."""
    bare = _COMMENT.sub("", text)
    found: dict[str, list[int]] = {}
    for number, line in enumerate(bare.split("\n"), 1):
        for character in _UNKNOWN.findall(line):
            lines = found.setdefault(character, [])
            if number not in lines:
                lines.append(number)
    return found


def explain(text: str) -> str | None:
    """In words: which characters of a hast.conf hastd does not know; None when it knows all."""
    found = unknown_characters(text)
    if not found:
        return None
    listed = "; ".join(f"{_name(each)} ({_lines(numbers)})" for each, numbers in found.items())
    return (
        f"hast.conf has characters that hastd does not know: {listed}. It skips them and reads "
        "what is around them; hastctl prints them before its answer. Take them out"
    )


def _name(character: str) -> str:
    return _NAMES.get(character, repr(character))


def _lines(numbers: list[int]) -> str:
    if len(numbers) > _MOST_LINES:
        return f"on {len(numbers)} lines, the first is {numbers[0]}"
    return f"line {', '.join(map(str, numbers))}"


@dataclass(frozen=True)
class Address:
    """An address of hast.conf over TCP: the scheme, if it has one, a host, and a port if any."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        scheme = f"{self.scheme}://" if self.scheme else ""
        if self.port is None:
            return f"{scheme}{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}{host}:{self.port}"


def read_address(text: str) -> Address | None:
    """An address as hastd takes it (proto_tcp.c); None for a UNIX socket and what it refuses."""
    match = re.match(r"(?:(tcp[46]?)://)?", text, re.IGNORECASE)
    scheme = (match[1] or "").lower() if match else ""
    rest = text[match.end() :] if match else text
    host, colon, number = rest.rpartition(":")
    port: int | None = None
    if not colon or (":" in host and not rest.startswith("[")):
        host = rest
    elif re.fullmatch(r"[0-9]+", number) and 1 <= int(number) <= 65535:
        port = int(number)
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
    else:
        return None
    return Address(scheme, host, port) if re.fullmatch(r"[A-Za-z0-9._:-]+", host) else None
