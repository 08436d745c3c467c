"""Programs that show what files there are: ls, stat, find, which, basename, dirname."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import Entry, FileError
from harness.lab.simulated.shell.interpreter import (
    ProgramNotFound,
    as_shell_context,
    execute,
    find_program,
)
from harness.lab.simulated.shell.language.pattern import compile_pattern, matches
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ENVIRONMENT
from harness.lab.simulated.shell.tool import Failure, decimal, entry_of, place, tool
from harness.lab.simulated.tools.host.host import format_time

_HALF_A_YEAR = 365.2425 / 2 * 86400
_LETTER = {"file": "-", "dir": "d", "link": "l", "chr": "c", "sock": "s"}


def mode_text(entry: Entry) -> str:
    """As ls(1) shows a mode: -rw-r--r--, without the column for ACLs."""
    out = _LETTER[entry.kind]
    for shift in (6, 3, 0):
        bits = entry.mode >> shift & 7
        out += "".join(c if bits & b else "-" for c, b in zip("rwx", (4, 2, 1), strict=True))
    if entry.mode & 0o1000:
        out = out[:-1] + ("t" if out[-1] == "x" else "T")
    if entry.mode & 0o2000:
        out = out[:6] + ("s" if out[6] == "x" else "S") + out[7:]
    if entry.mode & 0o4000:
        out = out[:3] + ("s" if out[3] == "x" else "S") + out[4:]
    return out


def size_in_bytes(entry: Entry) -> int:
    """The size that stat(2) tells; a small directory of UFS has 512 bytes."""
    if entry.kind == "dir":
        return 512
    return len(entry.target) if entry.kind == "link" else len(entry.data)


# --- ls -----------------------------------------------------------------------------------------

_LS_USAGE = (
    "usage: ls [-ABCFGHILPRSTUWZabcdfghiklmnopqrstuvwxy1,] [--color=when] [-D format] [file ...]"
)


@tool(
    "ls",
    illegal="invalid option",
    flags="1aAdlrRtSFnhpT",
    unmodelled="BCDGHILPUWZbcfgikmoqsuvwxy,",
    usage=_LS_USAGE,
)
def ls(context: Context, options: Options) -> Program:
    """ls(1) as it prints to a pipe, one name a line; root sees names with a dot too."""
    status = 0
    files: list[tuple[str, Entry]] = []
    directories: list[tuple[str, Entry]] = []
    for name in sorted(options.rest or ["."]):
        try:
            entry = entry_of(context, name, follow="l" not in options)
        except FileError as error:
            context.complain(f"ls: {error.path}: {error.reason}")
            status = 1
            continue
        (directories if entry.kind == "dir" and "d" not in options else files).append((name, entry))
    _print_entries(context, options, files)
    waiting = list(reversed(directories))
    shown = bool(files)
    while waiting:
        name, entry = waiting.pop()
        below = _directory(context, name, entry, options)
        if shown or len(options.rest) > 1:
            context.stdout += f"{chr(10) if shown else ''}{name}:\n".encode(
                "utf-8", "surrogateescape"
            )
        shown = True
        if "l" in options:
            context.print(f"total {sum(_kilobytes(each) for _, each in below)}")
        _print_entries(context, options, below)
        if "R" in options:
            inner = [
                (posixpath.join(name, n), e)
                for n, e in _ordered(below, options)
                if e.kind == "dir" and n not in {".", ".."}
            ]
            waiting += reversed(inner)
    yield from ()
    return status


def _kilobytes(entry: Entry) -> int:
    return 4 * -(-size_in_bytes(entry) // 4096) if entry.kind in {"file", "dir"} else 0


def _directory(
    context: Context, name: str, entry: Entry, options: Options
) -> list[tuple[str, Entry]]:
    found: list[tuple[str, Entry]] = []
    if "a" in options:
        found += [(".", entry), ("..", entry)]
    for each in context.guest.tree.names(context.path(name)):
        found.append((each, entry_of(context, posixpath.join(name, each), follow=False)))
    return found


def _ordered(entries: list[tuple[str, Entry]], options: Options) -> list[tuple[str, Entry]]:
    ordered = sorted(entries, key=lambda each: each[0])
    if "S" in options:
        ordered.sort(key=lambda each: -size_in_bytes(each[1]))
    elif "t" in options:
        ordered.sort(key=lambda each: -each[1].mtime)
    return ordered[::-1] if "r" in options else ordered


def _print_entries(context: Context, options: Options, entries: list[tuple[str, Entry]]) -> None:
    if not entries:
        return
    entries = _ordered(entries, options)
    if "l" not in options:
        for name, entry in entries:
            context.print(name + _mark(entry, options))
        return
    if "h" in options or any(entry.kind == "chr" for _, entry in entries):
        raise NotModelled("ls -l of devices, or with -h")
    owner = ("0", "0") if "n" in options else ("root", "wheel")
    sizes = [str(size_in_bytes(entry)) for _, entry in entries]
    links = [_links(context, entry) for _, entry in entries]
    wide, most = max(map(len, sizes)), max(map(len, links))
    now = context.guest.wall_clock()
    for (name, entry), size, count in zip(entries, sizes, links, strict=True):
        when = datetime.fromtimestamp(entry.mtime, UTC)
        recent = abs(now - entry.mtime) < _HALF_A_YEAR
        month = f"{format_time(when, '%b')} {when.day:2d} "
        time = month + (f"{when:%H:%M}" if recent else f" {when.year}")
        if "T" in options:
            time = month + f"{when:%H:%M:%S} {when.year}"
        target = f" -> {entry.target}" if entry.kind == "link" else ""
        context.print(
            f"{mode_text(entry)}  {count:>{most}} {owner[0]}  {owner[1]}  {size:>{wide}} {time} "
            f"{name}{_mark(entry, options)}{target}"
        )


def _links(_: Context, entry: Entry) -> str:
    return "2" if entry.kind == "dir" else "1"


def _mark(entry: Entry, options: Options) -> str:
    if entry.kind == "dir" and ("F" in options or "p" in options):
        return "/"
    if "F" in options:
        if entry.kind in {"link", "sock"}:
            return "@" if entry.kind == "link" else "="
        return "*" if entry.mode & 0o111 and entry.kind == "file" else ""
    return ""


# --- stat ---------------------------------------------------------------------------------------

_TYPES = {
    "file": "Regular File",
    "dir": "Directory",
    "link": "Symbolic Link",
    "chr": "Character Device",
    "sock": "Socket",
}
_BITS = {"file": 0o100000, "dir": 0o040000, "link": 0o120000, "chr": 0o020000, "sock": 0o140000}


@tool(
    "stat",
    flags="Lnq",
    valued="ft",
    unmodelled="FHlrsx",
    usage="usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file|handle ...]",
)
def stat(context: Context, options: Options) -> int:
    """stat(1) with a format."""
    if "f" not in options or not options.rest or "t" in options:
        raise NotModelled("stat without -f or without files")
    status = 0
    for name in options.rest:
        try:
            entry = entry_of(context, name, follow="L" in options)
        except FileError as error:
            if "q" not in options:
                context.complain(f"stat: {error.path}: {error.reason}")
            status = 1
            continue
        text, bad = _formatted(options.value("f"), name, entry)
        context.stdout += text.encode("utf-8", "surrogateescape")
        if bad:
            raise Failure(f"stat: {bad}: bad format")
        context.stdout += b"" if "n" in options else b"\n"
    return status


def _formatted(template: str, name: str, entry: Entry) -> tuple[str, str]:
    """The text, and what in the template is no format if it stops there."""
    target = entry.target if entry.kind == "link" else ""
    values = {
        "z": str(size_in_bytes(entry)),
        "N": name,
        "m": str(int(entry.mtime)),
        ".6Fm": f"{entry.mtime:.6f}",
        "p": f"{_BITS[entry.kind] | entry.mode:o}",
        "Lp": f"{entry.mode & 0o777:o}",
        "OLp": f"{entry.mode & 0o777:o}",
        "Op": f"{_BITS[entry.kind] | entry.mode:o}",
        "Mp": f"{entry.mode >> 9 & 7:o}",
        "MLp": f"{entry.mode & 0o777:o}",
        "Sp": mode_text(entry),
        "u": "0",
        "g": "0",
        "Su": "root",
        "Sg": "wheel",
        "HT": _TYPES[entry.kind],
        "T": {"file": "", "dir": "/", "link": "@", "chr": "", "sock": "="}[entry.kind],
        "Y": target,
        "SY": f" -> {target}" if target else "",
        "n": "\n",
        "t": "\t",
        "%": "%",
    }
    out, at = "", 0
    while at < len(template):
        if template[at] != "%":
            out += template[at]
            at += 1
            continue
        key = next(
            (k for k in sorted(values, key=lambda k: -len(k)) if template.startswith(k, at + 1)),
            None,
        )
        if key is None:
            return out, template[at : at + 2]
        out += values[key]
        at += 1 + len(key)
    return out, ""


def names_as_stored(context: Context, name: str) -> list[str]:
    """The names in a directory in its own order: on UFS that in which they were made.

    Raises `FileError`.
    """
    path = context.path(name)
    names = context.guest.tree.names(path)
    if path == "/dev" or path.startswith("/dev/"):
        return names
    filesystem, inner = context.guest.tree.locate(path)
    if filesystem.kind != "ufs":
        return names
    prefix = inner.rstrip("/") + "/"
    wanted = {prefix + each for each in names}
    return [each[len(prefix) :] for each in filesystem.entries if each in wanted]


# --- find ---------------------------------------------------------------------------------------


_VALUED = frozenset(
    {
        *("-maxdepth", "-mindepth", "-name", "-iname", "-type", "-path", "-newer", "-size"),
        *("-mtime", "-mmin"),
    }
)
_KINDS = {"f": "file", "d": "dir", "l": "link", "c": "chr", "s": "sock"}


@dataclass
class _Test:
    kind: str
    value: str = ""
    negated: bool = False
    argv: tuple[str, ...] = ()


_FIND_USAGE = """\
usage: find [-H | -L | -P] [-EXdsx] [-f path] path ... [expression]
       find [-H | -L | -P] [-EXdsx] -f path [path ...] [expression]"""


class _Find:
    """One run of find(1): a list of tests that all have to be true."""

    def __init__(self, context: Context, arguments: list[str]) -> None:
        self._context = context
        words = list(arguments)
        while words and words[0] in {"-H", "-L", "-P", "-x", "-d", "-E", "-X", "-s"}:
            if words[0] not in {"-P", "-s", "-x"}:
                raise NotModelled(f"find {words[0]}")
            words.pop(0)
        if words and words[0].startswith("-"):
            if words[0][1:2] == "f":
                raise NotModelled("find -f")
            raise Failure(f"find: illegal option -- {words[0][1:2]}\n{_FIND_USAGE}")
        self.roots: list[str] = []
        while words and not words[0].startswith("-") and words[0] not in {"!", "("}:
            self.roots.append(words.pop(0))
        if not self.roots:
            raise Failure(_FIND_USAGE)
        self.deepest = 1 << 30
        self.least = 0
        self.tests: list[_Test] = []
        self.collected: dict[int, list[str]] = {}
        self.status = 0
        self.below_first = False
        """Whether what is in a directory comes before it, as -delete has it."""
        self._read(words)
        actions = {"print", "print0", "exec", "delete"}
        if not any(test.kind in actions for test in self.tests):
            self._print_by_default()

    def _read(self, words: list[str]) -> None:
        negated = False
        while words:
            word = words.pop(0)
            if word in {"!", "-not"}:
                negated = not negated
                continue
            name = word.removeprefix("-")
            if name in {"a", "and"} and word.startswith("-"):
                continue
            if word in _VALUED:
                if not words:
                    raise Failure(f"find: {word}: requires additional arguments")
                self._valued(name, words.pop(0), negated)
            elif word in {"-print", "-print0", "-empty", "-delete", "-depth"}:
                if name == "depth":
                    raise NotModelled("find -depth")
                if name == "delete":
                    self.below_first = True
                self.tests.append(_Test(name, negated=negated))
            elif word == "-exec":
                self._exec(words, negated)
            elif word in {"-o", "-or"}:
                self.tests.append(_Test("or"))
            elif word.startswith("-") and word not in {"-o", "-or"}:
                raise (
                    Failure(f"find: {word}: unknown primary or operator")
                    if not _is_primary(word)
                    else NotModelled(f"find {word}")
                )
            else:
                raise NotModelled(f"find {word}")
            negated = False

    def _print_by_default(self) -> None:
        """Print what any of the alternatives selects."""
        alternatives = [at for at, test in enumerate(self.tests) if test.kind == "or"]
        for at in reversed([*alternatives, len(self.tests)]):
            self.tests.insert(at, _Test("print"))

    def _valued(self, name: str, value: str, negated: bool) -> None:
        if name in {"maxdepth", "mindepth"}:
            depth = decimal(value)
            if depth is None:
                raise Failure(
                    f"find: -{name}: {value}: value too small"
                    if value.startswith("-")
                    else f"find: -{name}: {value}: illegal numeric value"
                )
            if name == "maxdepth":
                self.deepest = depth
            else:
                self.least = depth
            return
        if name == "type" and value not in {"f", "d", "l", "c", "b", "p", "s"}:
            raise Failure(f"find: -type: {value}: unknown type")
        if name == "size" and not re.fullmatch(r"[-+]?\d{1,12}[ckMGT]?", value):
            raise Failure(f"find: -size: {value}: illegal trailing character")
        if name in {"mtime", "mmin"} and not re.fullmatch(r"[-+]?\d{1,9}", value):
            raise NotModelled(f"find -{name} {value}")
        self.tests.append(_Test(name, value, negated))

    def _exec(self, words: list[str], negated: bool) -> None:
        argv: list[str] = []
        while words:
            word = words.pop(0)
            if word == ";" or (word == "+" and argv and argv[-1] == "{}"):
                if not argv:
                    raise Failure("find: -exec: no command specified")
                kind = "exec" if word == ";" else "gather"
                self.tests.append(_Test("exec", kind, negated, tuple(argv)))
                return
            argv.append(word)
        raise Failure('find: -exec: no terminating ";" or "+"')

    def run(self) -> Program:
        """Walk from each root."""
        for root in self.roots:
            try:
                entry = entry_of(self._context, root, follow=False)
            except FileError as error:
                self._context.complain(f"find: {root}: {error.reason}")
                self.status = 1
                continue
            yield from self._walk(root, entry, 0)
        for number, paths in sorted(self.collected.items()):
            argv = self.tests[number].argv[:-1]
            for at in range(0, len(paths), 5000):
                if (yield from self._execute([*argv, *paths[at : at + 5000]])):
                    self.status = 1
        return self.status

    def _walk(self, root: str, entry: Entry, depth: int) -> Program:
        waiting = [(root, entry, depth)]
        after: list[tuple[str, Entry, int]] = []
        while waiting:
            path, entry, depth = waiting.pop()
            while after and not path.startswith(after[-1][0].rstrip("/") + "/"):
                yield from self._visit(*after.pop()[:2])
            if entry.kind == "dir" and self.below_first and depth >= self.least:
                after.append((path, entry, depth))
            elif depth >= self.least:
                yield from self._visit(path, entry)
            if entry.kind == "dir" and depth < self.deepest:
                try:
                    names = names_as_stored(self._context, path)
                except FileError:
                    continue
                below = []
                for name in names:
                    at = path.rstrip("/") + "/" + name if path != "/" else "/" + name
                    try:
                        below.append((at, entry_of(self._context, at, follow=False), depth + 1))
                    except FileError:
                        continue
                waiting += reversed(below)
        while after:
            yield from self._visit(*after.pop()[:2])
        return 0

    def _visit(self, path: str, entry: Entry) -> Program:
        true = True
        for number, test in enumerate(self.tests):
            if test.kind == "or":
                if true:
                    break
                true = True
            elif true:
                true = (yield from self._holds(number, test, path, entry)) != test.negated
        return 0

    def _holds(  # noqa: PLR0912 - one for each test
        self, number: int, test: _Test, path: str, entry: Entry
    ) -> Generator[float | Signal, None, bool]:
        context = self._context
        true = True
        match test.kind:
            case "name":
                name = posixpath.basename(path.rstrip("/")) or "/"
                true = matches(compile_pattern(((test.value, False),)), name)
            case "path":
                true = matches(compile_pattern(((test.value, False),)), path)
            case "iname":
                name = posixpath.basename(path.rstrip("/")) or "/"
                true = matches(compile_pattern(((test.value.lower(), False),)), name.lower())
            case "size":
                unit = {"": 512, "c": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
                bare = test.value.rstrip("ckMGT")
                size = size_in_bytes(entry)
                if test.value == bare:
                    true = _compares(-(-size // 512), bare)
                else:
                    scale = unit[test.value[-1]]
                    sign = bare[:1] if bare[:1] in {"-", "+"} else ""
                    true = _compares(size, f"{sign}{int(bare.lstrip('-+')) * scale}")
            case "mtime" | "mmin":
                unit_seconds = 86400 if test.kind == "mtime" else 60
                age = int(context.guest.wall_clock()) - int(entry.mtime)
                # -n means up to n: TIME_CORRECT() of usr.bin/find/function.c.
                passed = -(-age // unit_seconds) - test.value.startswith("-")
                true = _compares(passed, test.value)
            case "type":
                true = entry.kind == _KINDS.get(test.value)
            case "newer":
                true = entry.mtime > entry_of(context, test.value).mtime
            case "empty":
                true = entry.kind == "file" and not entry.data
                if entry.kind == "dir":
                    true = not context.guest.tree.names(context.path(path))
            case "print":
                context.print(path)
            case "print0":
                context.stdout += path.encode("utf-8", "surrogateescape") + b"\0"
            case "delete":
                true = yield from self._delete(path, entry)
            case _:
                if test.value == "gather":
                    self.collected.setdefault(number, []).append(path)
                else:
                    argv = [word.replace("{}", path) for word in test.argv]
                    true = (yield from self._execute(argv)) == 0
        return true

    def _delete(self, path: str, entry: Entry) -> Generator[float | Signal, None, bool]:
        """Remove it; `.` and a directory that is not empty stay."""
        if path == ".":
            return True
        filesystem, inner = yield from place(self._context, path, follow=False)
        if entry.kind == "dir" and filesystem.names(inner):
            self._context.complain(f"find: -delete: rmdir({path}): Directory not empty")
            self.status = 1
            return True
        filesystem.remove(inner)
        return True

    def _execute(self, argv: list[str]) -> Program:
        context = as_shell_context(self._context)
        context.budget.step()
        try:
            return (yield from execute(context, argv))
        except ProgramNotFound as missing:
            context.complain(f"find: {missing.name}: No such file or directory")
            return 127


def _compares(value: int, wanted: str) -> bool:
    """Find's numbers: +n is more, -n is less."""
    number = int(wanted.lstrip("-+"))
    if wanted.startswith("+"):
        return value > number
    return value < number if wanted.startswith("-") else value == number


def _is_primary(word: str) -> bool:
    return word.lstrip("-") in {
        *("amin", "atime", "cmin", "ctime", "mmin", "mtime", "perm", "user", "group", "links"),
        *("inum", "ls", "ok", "okdir", "execdir", "prune", "regex", "iregex", "iname", "ipath"),
        *("follow", "fstype", "flags", "nouser", "nogroup", "quit", "true", "false", "mount"),
        *("xdev", "samefile", "newerXY", "anewer", "cnewer", "mnewer", "Bmin", "Btime", "acl"),
    }


@command("find")
def find(context: Context, arguments: list[str]) -> Program:
    """find(1): tests that all must hold, -print, -print0 and -exec."""
    try:
        return (yield from _Find(context, arguments).run())
    except Failure as failure:
        context.complain(failure.text)
        return failure.status
    except FileError as error:
        context.complain(f"find: {error.path}: {error.reason}")
        return 1


# --- names --------------------------------------------------------------------------------------


@tool("which", flags="as", usage="usage: which [-as] program ...")
def which(context: Context, options: Options) -> int:
    """which(1)."""
    if not options.rest:
        raise Failure("usage: which [-as] program ...")
    status = 0
    path = context.environment.get("PATH", ENVIRONMENT["PATH"])
    for name in options.rest:
        found = find_program(context.guest, name, path, context.directory)
        if isinstance(found, str):
            status = 1
        elif "s" not in options:
            context.print(name if "/" in name else found.path)
    return status


@tool(
    "basename",
    flags="a",
    valued="s",
    usage="usage: basename string [suffix]\n       basename [-a] [-s suffix] string [...]",
)
def basename(context: Context, options: Options) -> int:
    """basename(1)."""
    names = list(options.rest)
    suffix = options.value("s")
    if not names:
        raise Failure(
            "usage: basename string [suffix]\n       basename [-a] [-s suffix] string [...]"
        )
    if "a" not in options and "s" not in options and len(names) <= 2:
        suffix = names[1] if len(names) == 2 else ""
        names = names[:1]
    elif "a" not in options and "s" not in options:
        names = list(options.rest)
    for name in names:
        base = posixpath.basename(name.rstrip("/")) or ("/" if name else "")
        if suffix and base.endswith(suffix) and base != suffix:
            base = base[: -len(suffix)]
        context.print(base)
    return 0


@tool("dirname", usage="usage: dirname string [...]")
def dirname(context: Context, options: Options) -> int:
    """dirname(1)."""
    if not options.rest:
        raise Failure("usage: dirname string [...]")
    for name in options.rest:
        stripped = name.rstrip("/")
        head = posixpath.dirname(stripped).rstrip("/") if stripped else ""
        if not head:
            head = "/" if name.startswith("/") else "."
        context.print(head)
    return 0
