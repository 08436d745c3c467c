"""A hast.conf of the user's own on the nodes of the lab.

It was written for other machines. What is only a name, a disk or an address there becomes that of
the lab: the nodes are skunk1 and skunk2, their data disk and the private link are the lab's. All
else stays as it is, comments and faults included: what hastd refuses there, it refuses here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.errors import SettingsError
from harness.freebsd.hast.conf import KEYWORDS, Address, read_address

_TOKEN = re.compile(r"#[^\n]*|[{}]|[a-zA-Z0-9.\-_/:\[\]]+|[\s\S]")
_WORD = re.compile(r"[a-zA-Z0-9.\-_/:\[\]]+")
_WILDCARDS = {"0.0.0.0", "::", "127.0.0.1", "::1", "localhost"}  # noqa: S104 - of hast.conf
_ADVICE = "correct the file, or name the nodes in it skunk1 and skunk2"


@dataclass(frozen=True)
class Place:
    """What a node of the lab has: its private address, and a provider for each resource."""

    address: str
    providers: tuple[str, ...]


@dataclass(frozen=True)
class OwnHastConf:
    """The file for the lab's nodes. `changes` has each `old -> new`, once.

    `timeout` is in seconds, the last that the file has; None: FreeBSD's default.
    """

    text: str
    resources: tuple[str, ...]
    timeout: int | None
    changes: tuple[str, ...]


@dataclass
class _Found:
    """What a file has, in its order."""

    names: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    timeout: int | None = None


@dataclass(frozen=True)
class _Item:
    """A token with where it is: the keyword whose argument it is, and the sections around it."""

    text: str
    keyword: str = ""
    resource: str = ""
    node: str = ""


def resources_of(text: str) -> tuple[str, ...]:
    """The names of the resources in a hast.conf."""
    return tuple(_look(text).resources)


def adapt(text: str, places: Mapping[str, Place]) -> OwnHastConf:
    """The same file for the two nodes of `places`.

    Raises `SettingsError` for a file with other than two nodes, or with more resources than there
    are providers.
    """
    found = _look(text)
    names = _new_names(found.names, sorted(places))
    for place in places.values():
        if len(found.resources) > len(place.providers):
            raise SettingsError(
                f"the hast.conf has {len(found.resources)} resources "
                f"({', '.join(found.resources)}), and a node's data disk has room for "
                f"{len(place.providers)}",
                advice="take the others out",
            )
    writer = _Writer(found, names, places)
    new = "".join(writer.write(item) for item in _items(text))
    return OwnHastConf(new, tuple(found.resources), found.timeout, tuple(writer.changes))


def _items(text: str) -> Iterator[_Item]:
    """Every token of the file, blanks and comments included."""
    sections: list[tuple[str, str]] = []
    keyword, opening = "", ("", "")
    for match in _TOKEN.finditer(text):
        word = match.group()
        where = dict(sections)
        here = (where.get("resource", ""), where.get("on", ""))
        if _WORD.fullmatch(word) is None:
            yield _Item(word, "", *here)
            if word == "{":
                sections.append(opening)
                opening = ("", "")
            elif word == "}" and sections:
                sections.pop()
        elif keyword:
            yield _Item(word, keyword, *here)
            if keyword in {"on", "resource"}:
                opening = (keyword, word)
            keyword = ""
        else:
            yield _Item(word, "", *here)
            keyword = word if word in KEYWORDS else ""


def _look(text: str) -> _Found:
    found = _Found()
    for item in _items(text):
        if item.keyword == "resource":
            found.resources.append(item.text)
        elif item.keyword == "on" and item.text not in found.names:
            found.names.append(item.text)
        elif item.keyword == "timeout" and item.text.isdecimal():
            found.timeout = int(item.text)
    return found


def _first_label(name: str) -> str:
    return name.partition(".")[0]


def _new_names(names: list[str], ours: list[str]) -> dict[str, str]:
    """For each name in the file the lab's; hasta and hasta.example.org are one node."""
    labels = list(dict.fromkeys(_first_label(name) for name in names))
    if len(labels) != len(ours):
        raise SettingsError(
            f"the hast.conf is for {len(labels)} nodes ({', '.join(labels) or 'none'}), and a "
            f"pair has two: {' and '.join(ours)}",
            advice=_ADVICE,
        )
    free = [name for name in ours if name not in labels]
    new = {label: label if label in ours else free.pop(0) for label in labels}
    return {name: new[_first_label(name)] for name in names}


class _Writer:
    def __init__(self, found: _Found, names: dict[str, str], places: Mapping[str, Place]) -> None:
        self._found = found
        self._names = names
        self._hosts = {_first_label(name): new for name, new in names.items()}
        self._places = places
        self.changes: dict[str, None] = {}

    def write(self, item: _Item) -> str:
        """The token as it is for the lab."""
        new = self._new(item)
        if new != item.text:
            self.changes[f"{item.keyword} {item.text} -> {new}"] = None
        return new

    def _new(self, item: _Item) -> str:
        text = item.text
        match item.keyword:
            case "on":
                return self._names[text]
            case "local" if text.startswith("/dev/"):
                return self._provider(item)
            case "remote" if text != "none" and item.node:
                own = self._names[item.node]
                peer = next(name for name in self._places if name != own)
                return self._address(text, peer)
            case "source" | "listen" if item.node:
                return self._address(text, self._names[item.node])
            case "listen":
                return self._address(text, None)
        return text

    def _provider(self, item: _Item) -> str:
        number = self._found.resources.index(item.resource)
        if item.node:
            return self._places[self._names[item.node]].providers[number]
        providers = {place.providers[number] for place in self._places.values()}
        if len(providers) > 1:
            raise SettingsError(
                f"`local {item.text}` is for both nodes, whose data disks have different names: "
                f"{', '.join(sorted(providers))}",
                advice="give each `on` section of the resource a `local` of its own",
            )
        return providers.pop()

    def _address(self, text: str, node: str | None) -> str:
        """The address of `node`, None: any; as it is where hastd would refuse it, too."""
        address = read_address(text)
        if address is None or address.host.lower() in _WILDCARDS:
            return text
        label = _first_label(address.host)
        if node is not None and self._hosts.get(label) == node:
            return str(Address(address.scheme, node, address.port))  # /etc/hosts has it
        host = "0.0.0.0" if node is None else self._places[node].address  # noqa: S104
        if host == address.host:
            return text
        scheme = "tcp4" if address.scheme == "tcp6" else address.scheme
        return str(Address(scheme, host, address.port))
