"""hast.conf(5) as hastd(8) and hastctl(8) read it, with the errors that they print.

From sbin/hastd/parse.y and token.l of 13.2, and recorded runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.freebsd.hast.conf import KEYWORDS
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.modules import Kernel

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

EX_OSFILE = 72
EX_CONFIG = 78

PATH = "/etc/hast.conf"
CONTROL = "/var/run/hastctl"
PID_FILE = "/var/run/hastd.pid"
WILDCARDS = ("tcp4://0.0.0.0:8457", "tcp6://[::]:8457")

_REPLICATION = ("fullsync", "memsync", "async")
_CHECKSUM = ("none", "crc32", "sha256")
_COMPRESSION = ("none", "hole", "lzf")
_TOKEN = re.compile(
    r"(?P<blank>[ \t]+)|(?P<comment>#[^\n]*(?=\n))|(?P<line>\n)|(?P<brace>[{}])"
    r"|(?P<word>[a-zA-Z0-9.\-_/:\[\]]+)|(?P<echo>.)",
    re.ASCII,
)


_LONGEST = 1024
"""HAST_ADDRSIZE and PATH_MAX, the NUL at the end included."""

_LONGEST_NAME = 255
"""NAME_MAX, the same."""


class ConfigError(Exception):
    """The file is refused. `text` is what pjdlog prints; `status` is sysexits'.

    `echoed` are characters that no rule knows, which the scanner copies to standard output.
    """

    def __init__(self, text: str, status: int = EX_CONFIG, echoed: str = "") -> None:
        self.text = text
        self.status = status
        self.echoed = echoed
        super().__init__(text)


@dataclass
class ResourceConfig:
    """What hast.conf says about one resource on this node."""

    name: str
    provname: str = ""
    localpath: str = ""
    remoteaddr: str = ""
    sourceaddr: str = ""
    replication: str = ""
    checksum: str = ""
    compression: str = ""
    timeout: int = 0
    """Seconds"""
    exec: str = ""
    metaflush: bool | None = None

    @property
    def real_remote(self) -> bool:
        """Whether there is another node at all."""
        return self.remoteaddr != "none"


@dataclass
class Config:
    """A whole hast.conf as this node understands it."""

    control: str = ""
    pidfile: str = ""
    listen: list[str] = field(default_factory=list)
    resources: list[ResourceConfig] = field(default_factory=list)
    echoed: str = ""


@dataclass(frozen=True)
class Node:
    """By what names a section `on NAME` can mean this node."""

    hostname: str
    uuid: str
    hostid: int

    def is_me(self, name: str) -> bool:
        """Whether `name` is the host name, its first part, the host's UUID or its id."""
        first, dot, _ = self.hostname.partition(".")
        return (
            name == self.hostname
            or (bool(dot) and name == first)
            or name.lower() == self.uuid.lower()
            or name == f"hostid{self.hostid}"
        )

    @property
    def names(self) -> str:
        """As the error message lists them."""
        first, dot, _ = self.hostname.partition(".")
        return ", ".join(
            [*([first] if dot and first else []), self.hostname, self.uuid, f"hostid{self.hostid}"]
        )


def node_of(guest: Guest) -> Node:
    """The names of a guest: sysctl kern.hostname, kern.hostuuid and kern.hostid."""
    kernel = guest.part(Kernel)
    return Node(kernel.hostname, kernel.host_uuid, kernel.host_id)


def load(guest: Guest, path: str) -> Config:
    """Read and parse a guest's file. Raises `ConfigError`."""
    try:
        text = guest.tree.read(path).decode("latin-1")  # bytes, as the scanner takes them
    except FileError as error:
        # A directory opens for reading; reading it is what fails.
        raise ConfigError(
            f"Unable to open configuration file {path}: {error.reason}.", EX_OSFILE
        ) from None
    return parse(text, node_of(guest))


def parse(text: str, node: Node) -> Config:
    """Parse a hast.conf for one node. Raises `ConfigError`."""
    return _Parser(text, node).parse()


class _Parser:
    """A recursive descent over the same language as the grammar's."""

    def __init__(self, text: str, node: Node) -> None:
        self._node = node
        self._config = Config()
        self._echoed: list[tuple[int, str]] = []
        self._tokens = _scan(text, self._echoed)
        self._at = 0
        self._listen: list[str] = []
        self._global: dict[str, str] = {}

    def parse(self) -> Config:
        try:
            while self._text is not None:
                self._statement()
        except ConfigError as error:
            error.echoed = "".join(each for at, each in self._echoed if at <= self._at)
            raise
        config = self._config
        config.control = config.control or self._global.get("control", CONTROL)
        config.pidfile = config.pidfile or self._global.get("pidfile", PID_FILE)
        config.listen = self._listen or list(WILDCARDS)
        for resource in config.resources:
            self._fill(resource)
        config.echoed = "".join(each for _, each in self._echoed)
        return config

    # --- tokens ---------------------------------------------------------------------------------

    @property
    def _text(self) -> str | None:
        return self._tokens[self._at][0]

    def _fail(self) -> ConfigError:
        near, line = self._tokens[self._at]
        return ConfigError(
            f"Unable to parse configuration file at line {line} near '{near or ''}': syntax error"
        )

    def _take(self, *wanted: str) -> str:
        text = self._text
        if text is None or text not in wanted:
            raise self._fail()
        self._at += 1
        return text

    def _string(self) -> str:
        text = self._text
        if text is None or text in KEYWORDS or text in "{}" or text.isdecimal():
            raise self._fail()
        self._at += 1
        return text

    def _argument(self, word: str, *, mine: bool, longest: int = _LONGEST) -> str:
        """A string that has to fit, unless it is in another node's section."""
        text = self._string()
        if mine and len(text) >= longest:
            what = "Exec path" if word == "exec" else f"{word} argument"
            raise ConfigError(f"{what} is too long.")
        return text

    def _number(self) -> int:
        text = self._text
        if text is None or not text.isdecimal():
            raise self._fail()
        self._at += 1
        number = _atoi(text)
        if number <= 0:
            raise ConfigError("Negative or zero timeout.")
        return number

    # --- statements -----------------------------------------------------------------------------

    def _statement(self) -> None:
        word = self._text
        if word in {"control", "pidfile", "exec"}:
            self._take(word)
            self._global[word] = self._argument(word, mine=True)
        elif word == "listen":
            self._take(word)
            self._listen.append(self._argument(word, mine=True))
        elif word == "on":
            self._on_node()
        elif word == "resource":
            self._resource()
        elif (setting := self._setting()) is not None:
            self._global[setting[0]] = setting[1]
        else:
            raise self._fail()

    def _setting(self) -> tuple[str, str] | None:
        """A setting that is allowed at the top and in a resource, or None."""
        choices: tuple[str, ...]
        match self._text:
            case "replication":
                choices = _REPLICATION
            case "checksum":
                choices = _CHECKSUM
            case "compression":
                choices = _COMPRESSION
            case "metaflush":
                choices = ("on", "off")
            case "timeout":
                self._take("timeout")
                return "timeout", str(self._number())
            case _:
                return None
        word = self._take(self._text)
        return word, self._take(*choices)

    def _on_node(self) -> None:
        self._take("on")
        mine = self._node.is_me(self._string())
        self._take("{")
        while self._text != "}":
            word = self._take("control", "pidfile", "listen")
            value = self._argument(word, mine=mine or word == "listen")
            if not mine:
                continue
            if word == "listen":
                self._listen.append(value)
            elif word == "control":
                self._config.control = value
            else:
                self._config.pidfile = value
        self._take("}")

    def _resource(self) -> None:
        self._take("resource")
        resource = ResourceConfig(self._string())
        if any(each.name == resource.name for each in self._config.resources):
            raise ConfigError(f"Resource {resource.name} configured more than once.")
        if len(resource.name) >= _LONGEST_NAME:
            raise ConfigError("Resource name is too long.")
        shared = ResourceConfig(resource.name)
        is_mine = False
        self._take("{")
        while self._text != "}":
            is_mine |= self._resource_entry(resource, shared)
        self._take("}")
        if not is_mine:
            raise ConfigError(
                f"No resource {resource.name} configuration for this node "
                f"(acceptable node names: {self._node.names})."
            )
        shared_name = shared.provname[: _LONGEST_NAME - 1]  # cut off without a word
        resource.provname = resource.provname or shared_name or resource.name
        resource.localpath = resource.localpath or shared.localpath
        if resource.metaflush is None:
            resource.metaflush = shared.metaflush
        if not resource.remoteaddr:
            raise ConfigError(f"Remote address not configured for resource {resource.name}.")
        if not resource.localpath:
            raise ConfigError(
                f"Path to local component not configured for resource {resource.name}."
            )
        self._config.resources.append(resource)

    def _resource_entry(self, resource: ResourceConfig, shared: ResourceConfig) -> bool:
        """One entry; whether it was the section of this node."""
        word = self._text
        if word in {"name", "local"}:
            self._take(word)
            value = self._argument(word, mine=True)
            setattr(shared, "provname" if word == "name" else "localpath", value)
        elif word == "exec":
            self._take(word)
            resource.exec = self._argument(word, mine=True)
        elif word == "on":
            return self._resource_node(resource)
        elif (setting := self._setting()) is None:
            raise self._fail()
        elif setting[0] == "metaflush":
            shared.metaflush = setting[1] == "on"
        elif setting[0] == "timeout":
            resource.timeout = int(setting[1])
        else:
            setattr(resource, *setting)
        return False

    def _resource_node(self, resource: ResourceConfig) -> bool:
        self._take("on")
        mine = self._node.is_me(self._string())
        target = resource if mine else ResourceConfig("")
        self._take("{")
        while self._text != "}":
            match self._take("name", "local", "remote", "source", "metaflush"):
                case "name":
                    target.provname = self._argument("name", mine=mine, longest=_LONGEST_NAME)
                case "local":
                    target.localpath = self._argument("local", mine=mine)
                case "source":
                    target.sourceaddr = self._argument("source", mine=mine)
                case "metaflush":
                    target.metaflush = self._take("on", "off") == "on"
                case _:
                    is_none = self._text == "none"
                    target.remoteaddr = (
                        self._take("none") if is_none else self._argument("remote", mine=mine)
                    )
        self._take("}")
        return mine

    def _fill(self, resource: ResourceConfig) -> None:
        """Take the global settings, or the defaults (sbin/hastd/hast.h), for what is not set."""
        known = self._global
        resource.replication = resource.replication or known.get("replication", "memsync")
        resource.checksum = resource.checksum or known.get("checksum", "none")
        resource.compression = resource.compression or known.get("compression", "hole")
        resource.timeout = resource.timeout or int(known.get("timeout", "20"))
        resource.exec = resource.exec or known.get("exec", "")
        if resource.metaflush is None:
            resource.metaflush = known.get("metaflush", "on") == "on"


def _atoi(digits: str) -> int:
    """atoi(3) on amd64: strtol(3)'s number, of which an int keeps the lower half."""
    number = min(int(digits), (1 << 63) - 1) & 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def _scan(text: str, echoed: list[tuple[int, str]]) -> list[tuple[str | None, int]]:
    """The words with their lines, which count from 0; the last one is None.

    `echoed` gets what is copied to standard output, with the number of words before it.
    """
    tokens: list[tuple[str | None, int]] = []
    line = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "line":
            line += 1
        elif kind == "echo":
            echoed.append((len(tokens), match.group()))
        elif kind in {"brace", "word"}:
            tokens.append((match.group(), line))
    tokens.append((None, line))
    return tokens
