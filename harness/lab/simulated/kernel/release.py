"""What a release of FreeBSD has: its names, its files, what a boot prints.

It is data, a folder for each release in `releases/`, whose files say where it comes from. The names
are there so that only what FreeBSD lacks is `not found`.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import Entry, Unseen

CURRENT = "13.2"
"""The release that is modelled."""

_SECRET = frozenset({"/etc/master.passwd", "/etc/spwd.db", "/etc/nsmb.conf", "/etc/opiekeys"})
_PLACES_OF_PROGRAMS = frozenset(
    {"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec", "/libexec", "/rescue"}
)

_GEOM_FOLDERS = frozenset(
    {"diskid", "ext2fs", "gpt", "gptid", "iso9660", "label", "led", "msdosfs", "ufs", "ufsid"}
)
"""The folders of /dev in which geom_label(4) and others name what they find."""

_FOLDER = resources.files("harness.lab.simulated") / "releases"


class Release:
    """One release. Each kind of what it has is read when it is first asked for."""

    def __init__(self, name: str) -> None:
        """`name` is that of a folder in `releases/`. Raises `FileNotFoundError`."""
        self.name = name
        self.version = f"{name}-RELEASE"
        """As `uname -r` has it."""
        self._sections = dict(_sections(self._read("names")))

    def __deepcopy__(self, memo: object) -> Release:
        return self

    @property
    def title(self) -> str:
        """The system's name with its version."""
        return f"FreeBSD {self.version}"

    @functools.cached_property
    def osreldate(self) -> int:
        """__FreeBSD_version."""
        return int(self._identity["osreldate"])

    @functools.cached_property
    def kernel(self) -> tuple[int, int]:
        """Where the kernel is in memory, and how many bytes it has."""
        return int(self._identity["kernel_at"], 16), int(self._identity["kernel_size"], 16)

    @functools.cached_property
    def module_sizes(self) -> Mapping[str, tuple[int, int]]:
        """Bytes of a module's file and the references on the kernel that it adds, where seen."""
        values = self._values("module sizes").items()
        pairs = ((name, value.split()) for name, value in values)
        return MappingProxyType({name: (int(a, 16), int(b)) for name, (a, b) in pairs})

    @functools.cached_property
    def sysctl_values(self) -> Mapping[str, str]:
        """The variables of sysctl(8) that say the same on every machine."""
        values = self._values("sysctl values")
        return MappingProxyType({**values, "kern.osreldate": str(self.osreldate)})

    @functools.cached_property
    def _identity(self) -> Mapping[str, str]:
        return self._values("identity")

    @functools.cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Every file and folder of the base system by its path; of the files only the name."""
        found: dict[str, Entry] = {}
        trees = self._words("trees")
        for path in self._words("directories"):
            found[path] = Entry("dir", mode=0o755)
        for path in trees:
            found[path] = Unseen(path, "dir", mode=0o755)
        modes = dict(word.split("=") for word in self._words("modes"))
        for section in self._sections:
            kind, _, place = section.partition(" ")
            if kind not in {"programs", "files"}:
                continue
            usual = 0o555 if kind == "programs" else 0o644
            for name in self._words(section):
                path = posixpath.join(place, name)
                mode = 0o600 if path in _SECRET else int(modes.get(path, "0"), 8) or usual
                found[path] = Unseen(path, mode=mode)
        for name in self.modules:
            path = f"/boot/kernel/{name}.ko"
            found[path] = Unseen(path, mode=0o555)
        for word in self._words("links"):
            path, _, target = word.partition("=")
            found[path] = Entry("link", mode=0o755, target=target)
        return MappingProxyType(found)

    @functools.cached_property
    def programs(self) -> frozenset[str]:
        """The paths of all programs of the folders that are for them, links to them among them."""
        return frozenset(
            path
            for path, entry in self.entries.items()
            if posixpath.dirname(path) in _PLACES_OF_PROGRAMS and entry.kind != "dir"
        )

    @functools.cached_property
    def rc_scripts(self) -> tuple[str, ...]:
        """What is in /etc/rc.d."""
        return tuple(self._words("programs /etc/rc.d"))

    @functools.cached_property
    def modules(self) -> frozenset[str]:
        """The kernel's modules, without .ko."""
        return frozenset(self._words("modules"))

    @functools.cached_property
    def _sysctls(self) -> tuple[frozenset[str], frozenset[str]]:
        """The listed names of sysctl(8), and the words that they begin with."""
        names = frozenset(self._words("sysctls"))
        return names, frozenset(name.partition(".")[0] for name in names)

    def may_have_sysctl(self, name: str) -> bool:
        """Whether there may be such a variable: only some trees are listed, and not to the leaf."""
        names, trees = self._sysctls
        words = name.split(".")
        depth = 3 if words[0] == "net" else 2
        return words[0] not in trees or len(words) < depth or ".".join(words[:depth]) in names

    @functools.cached_property
    def devices(self) -> frozenset[str]:
        """What is in /dev of a virtual machine besides its disks, without /dev/."""
        return frozenset(self._words("devices"))

    @functools.cached_property
    def options(self) -> Mapping[str, str]:
        """The option strings that programs give to getopt(3), as far as they were read."""
        found = {}
        for line in self._sections["options"]:
            name, _, letters = line.partition(" ")
            found[name] = letters
        return MappingProxyType(found)

    @functools.cached_property
    def boot(self) -> Mapping[str, str]:
        """What a boot prints that does not depend on the machine, by what it is about."""
        texts = dict(_texts(self._read("boot")))
        return MappingProxyType(
            {about: each.text.removesuffix("\n") for about, each in texts.items()}
        )

    @functools.cached_property
    def installed(self) -> Mapping[str, Text]:
        """Files and folders of an installed root file system that programs of the model read.

        By their paths; that of a folder ends with /.
        """
        return MappingProxyType(
            {**dict(_texts(self._read("files"))), **dict(_texts(self._read("services")))}
        )

    @functools.cached_property
    def rcorder(self) -> Mapping[str, Headers]:
        """What the scripts of /etc/rc.d say to rcorder(8), without their keywords."""
        found = {}
        for name, text in self._values("rcorder").items():
            provides, requires, before = (tuple(part.split()) for part in text.split("|"))
            found[name] = Headers(provides or (name,), requires, before)
        return MappingProxyType(found)

    @functools.cached_property
    def rc_conf(self) -> Mapping[str, str]:
        """The variables of /etc/defaults/rc.conf with their values."""
        return self._values("rc.conf")

    @functools.cached_property
    def rc_scripts_conf(self) -> Mapping[str, str]:
        """The variables that have their defaults in the rc scripts themselves."""
        return self._values("rc.scripts")

    @functools.cached_property
    def loader_conf(self) -> Mapping[str, str]:
        """The variables of /boot/defaults/loader.conf, those in its comments among them."""
        return self._values("loader.conf")

    def has_option(self, program: str, letter: str) -> bool | None:
        """Whether a program has the option, `-` for long ones; None: its options were not read."""
        options = self.options.get(program)
        if options is None:
            return None
        letters, _, long = options.partition(" ")
        return bool(long) if letter == "-" else letter != ":" and letter in letters

    def check_illegal(self, program: str, letter: str) -> None:
        """Raise `NotModelled` unless the program has no such option, which it may then refuse."""
        if self.has_option(program, letter) is not False:
            raise NotModelled(f"{program} -{letter}")

    def may_be_device(self, name: str) -> bool:
        """Whether /dev may have this on a real node, where the model cannot tell."""
        folder, slash, _ = name.partition("/")
        return bool(slash) and folder in _GEOM_FOLDERS

    def _read(self, what: str) -> str:
        return (_FOLDER / self.name / f"{what}.txt").read_text("utf-8")

    def _values(self, section: str) -> Mapping[str, str]:
        found = {}
        for line in self._sections[section]:
            name, _, value = line.partition("=")
            found[name] = value
        return MappingProxyType(found)

    def _words(self, section: str) -> list[str]:
        return [word for line in self._sections.get(section, ()) for word in line.split()]


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]") and line != "[":
            if name:
                yield name, lines
            name, lines = line[1:-1], []
        elif line and not line.startswith("#"):
            lines.append(line)
    yield name, lines


@dataclass(frozen=True)
class Text:
    """A piece of text as it is, and the mode if it is that of a file."""

    text: str
    mode: int | None


def _texts(text: str) -> Iterator[tuple[str, Text]]:
    """The pieces under headings `=== NAME [MODE]`; the lines before the first are about them."""
    for piece in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = piece.partition("\n")
        name, _, mode = heading.partition(" ")
        yield name, Text(body, int(mode, 8) if mode else None)


def load(name: str = CURRENT) -> Release:
    """A release, read once: there is one value of each."""
    return _load(name)


@functools.cache
def _load(name: str) -> Release:
    return Release(name)


_HEADER = re.compile(r"# (REQUIRES?|PROVIDES?|BEFORE|KEYWORDS?):(.*)")


@dataclass(frozen=True)
class Headers:
    """What a script provides, what has to come before it, what after it, and its keywords."""

    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Headers:
        """Those of a script: the first lines of this kind, up to one of another."""
        found: dict[str, list[str]] = {}
        for line in text.splitlines():
            match = _HEADER.match(line)
            if match is not None:
                found.setdefault(match[1].removesuffix("S"), []).extend(match[2].split())
            elif found:
                break
        kinds = ("PROVIDE", "REQUIRE", "BEFORE", "KEYWORD")
        return cls(*(tuple(found.get(kind, ())) for kind in kinds))
