"""inetd.conf(5), as far as streams of TCP go (usr.sbin/inetd/inetd.c, 13.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.lab.simulated.engine.signal import NotModelled

_WORD = re.compile(r"""[ \t]*(?:"([^"]*)"|'([^']*)'|([^ \t]+))""")


class BadLine(Exception):
    """A line that ends inetd: it has too few words."""


@dataclass(frozen=True)
class Line:
    """A service: who is started for a connection, and how many at most."""

    service: str
    server: str
    arguments: tuple[str, ...]
    """The first one is the name that the program gets."""
    most: int | None = None
    """Children at once; None: as many as -c says."""
    most_a_minute: int | None = None
    most_of_one: int | None = None
    """Of one address: begun in a minute, and at once."""


def parse(text: str) -> Iterator[Line | str]:
    """The services of a file, and in words what is wrong with a line that is passed over.

    Raises `BadLine`, and `NotModelled` for what else than a stream of TCP it has.
    """
    for line in _joined(text):
        if line.startswith("#") or not line.strip():
            continue
        words = [first or second or third for first, second, third in _WORD.findall(line)]
        if len(words) < 6:
            raise BadLine
        service, kind, protocol, wait, user, server, *arguments = words
        if not wait.startswith(("wait", "nowait")):
            yield f"/etc/inetd.conf: bad wait/nowait for service {service}"
            continue
        is_usual = kind == "stream" and protocol in {"tcp", "tcp4", "tcp46"}
        if not is_usual or wait.startswith("wait") or server == "internal":
            raise NotModelled(f"inetd.conf: {line}")
        if re.split("[:/]", user)[0] != "root":
            raise NotModelled(f"inetd for the user {user}")
        limits = [int(each) for each in re.findall(r"/(\d+)", wait)] + [None] * 3
        yield Line(service, server, tuple(arguments), *limits[:3])


def _joined(text: str) -> Iterator[str]:
    """The lines; one that begins with a blank goes on with the one before it."""
    held = ""
    for line in text.splitlines():
        if line[:1] in {" ", "\t"} and line.strip() and held and not held.startswith("#"):
            held += " " + line.strip()
            continue
        if held:
            yield held
        held = line
    if held:
        yield held


def ports(services: str) -> dict[str, int]:
    """The TCP ports by name and alias that a file of services(5) has."""
    found: dict[str, int] = {}
    for line in services.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and (match := re.fullmatch(r"(\d+)/tcp", words[1])):
            for name in (words[0], *words[2:]):
                found.setdefault(name, int(match[1]))
    return found
