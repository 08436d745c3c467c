"""Programs that make, move and remove files."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from datetime import UTC, datetime

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.hardware.disk import Disk
from harness.lab.simulated.kernel.files import Entry, FileError
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.streams import MOST_BYTES, check_size
from harness.lab.simulated.shell.tool import (
    Failure,
    content,
    entry_of,
    mask_of,
    place,
    put,
    size_of,
    tool,
)


def is_directory(context: Context, name: str) -> bool:
    """Whether there is a directory of that name."""
    try:
        return entry_of(context, name).kind == "dir"
    except FileError:
        return False


def _beside(context: Context, name: str, target: str) -> str:
    """Where a file goes that is copied or moved to `target`: into it, if that is a directory."""
    if not is_directory(context, target):
        return target
    return posixpath.join(target, posixpath.basename(name.rstrip("/")))


def _below(context: Context, name: str) -> list[str]:
    """A directory's names, each with the directory's own before it."""
    return [posixpath.join(name, each) for each in context.guest.tree.names(context.path(name))]


# --- cp, mv, rm ---------------------------------------------------------------------------------


_CP_USAGE = """\
usage: cp [-R [-H | -L | -P]] [-f | -i | -n] [-alpsvx] source_file target_file
       cp [-R [-H | -L | -P]] [-f | -i | -n] [-alpsvx] source_file ... target_directory"""


@tool("cp", flags="RrafpvnP", unmodelled="HLilsxN", usage=_CP_USAGE, status=64)
def cp(context: Context, options: Options) -> Program:
    """cp(1)."""
    names = options.rest
    if len(names) < 2:
        raise Failure(_CP_USAGE, 64)
    *sources, target = names
    if len(sources) > 1 and not is_directory(context, target):
        raise Failure(f"cp: {target} is not a directory")
    status = 0
    for source in sources:
        try:
            status = max(
                status,
                (yield from _copy(context, options, source, _beside(context, source, target))),
            )
        except FileError as error:
            context.complain(f"cp: {error.path}: {error.reason}")
            status = 1
    return status


def _copy(context: Context, options: Options, source: str, target: str) -> Program:
    recursive = any(letter in options for letter in "Rra")
    entry = entry_of(context, source, follow=not recursive)
    if entry.kind == "dir":
        if not recursive:
            context.complain(f"cp: {source} is a directory (not copied).")
            return 1
        if context.path(target).startswith(context.path(source).rstrip("/") + "/"):
            raise NotModelled("cp of a directory into itself")
        if not is_directory(context, target):
            made = Entry("dir", mode=entry.mode, mtime=context.guest.wall_clock())
            yield from put(context, target, made)
        status = 0
        for each in _below(context, source):
            inner = posixpath.join(target, posixpath.basename(each))
            status = max(status, (yield from _copy(context, options, each, inner)))
        return status
    if _same(context, source, target):
        context.complain(f"cp: {target} and {source} are identical (not copied).")
        return 1
    if "n" in options and _is_there(context, target):
        return 0
    if target.endswith("/") and not _is_there(context, target):
        context.complain(f"cp: directory {target.rstrip('/')} does not exist")
        return 1
    yield from _copy_file(context, source, target, entry, keep="p" in options or "a" in options)
    if "v" in options:
        context.print(f"{source} -> {target}")
    return 0


def _same(context: Context, source: str, target: str) -> bool:
    """Whether two names lead to one file."""
    tree = context.guest.tree
    first, second = tree.locate(context.path(source)), tree.locate(context.path(target))
    return first[0] is second[0] and first[1] == second[1]


def _is_there(context: Context, name: str) -> bool:
    try:
        entry_of(context, name, follow=False)
    except FileError:
        return False
    return True


def _copy_file(context: Context, source: str, target: str, entry: Entry, *, keep: bool) -> Program:
    if entry.kind == "link":
        return (yield from put(context, target, entry, follow=False))
    data = (yield from content(context, source)) if entry.kind == "chr" else None
    if data is None:
        data = context.guest.tree.read(context.path(source))
    mode = entry.mode if keep else entry.mode & ~mask_of(context)
    if not keep and _is_there(context, target):
        mode = entry_of(context, target).mode
    mtime = entry.mtime if keep else context.guest.wall_clock()
    return (yield from put(context, target, Entry("file", data, mode, mtime)))


_MV_USAGE = """\
usage: mv [-f | -i | -n] [-hv] source target
       mv [-f | -i | -n] [-v] source ... directory"""


@tool("mv", flags="fhnv", unmodelled="i", usage=_MV_USAGE, status=64)
def mv(context: Context, options: Options) -> Program:
    """mv(1)."""
    names = options.rest
    if len(names) < 2:
        raise Failure(_MV_USAGE, 64)
    *sources, target = names
    if len(sources) > 1 and not is_directory(context, target):
        raise Failure(f"mv: {target} is not a directory")
    status = 0
    for source in sources:
        try:
            yield from _move(context, options, source, _beside(context, source, target))
        except FileError as error:
            context.complain(
                f"mv: rename {source} to {_beside(context, source, target)}: {error.reason}"
            )
            status = 1
    return status


def _move(context: Context, options: Options, source: str, target: str) -> Program:
    entry = entry_of(context, source, follow=False)
    if "n" in options and _is_there(context, target):
        return 0
    if target.endswith("/") and entry.kind != "dir":
        raise FileError("ENOTDIR" if _is_there(context, target) else "ENOENT", target)
    old_system, old = yield from place(context, source, follow=False)
    new_system, new = yield from place(context, target, follow=False)
    if old_system is not new_system:
        if entry.kind == "dir":
            raise NotModelled("mv of a directory to another file system")
        yield from put(
            context, target, replace(entry, data=context.guest.tree.read(context.path(source)))
        )
        old_system.remove(old)
    elif old != new:
        if new.startswith(old + "/"):
            raise FileError("EINVAL", target)
        parent = new_system.get(posixpath.dirname(new))
        if parent is None or parent.kind != "dir":
            raise FileError("ENOENT" if parent is None else "ENOTDIR", target)
        there = new_system.get(new)
        if there is not None and entry.kind == "dir":
            if there.kind != "dir":
                raise FileError("ENOTDIR", target)
            new_system.remove(new)
        old_system.rename(old, new)
    if "v" in options:
        context.print(f"{source} -> {target}")
    return 0


_RM_USAGE = "usage: rm [-f | -i] [-dIPRrvWx] file ...\n       unlink [--] file"


@tool(
    "rm",
    flags="dfPRrvW",
    unmodelled="iIx",
    usage=_RM_USAGE,
    status=64,
)
def rm(context: Context, options: Options) -> Program:
    """rm(1)."""
    if not options.rest:
        if "f" in options:
            return 0
        raise Failure(_RM_USAGE, 64)
    status = 0
    for name in options.rest:
        if posixpath.basename(name.rstrip("/")) in {".", ".."}:
            context.complain('rm: "." and ".." may not be removed')
            status = 1
            continue
        if not name.strip("/") and name:
            context.complain('rm: "/" may not be removed')
            status = 1
            continue
        try:
            yield from _remove(context, options, name)
        except FileError as error:
            if not ("f" in options and error.errno == "ENOENT"):
                said = "is a directory" if error.errno == "EISDIR" else error.reason
                context.complain(f"rm: {error.path}: {said}")
                status = 1
    return status


def _remove(context: Context, options: Options, name: str) -> Program:
    entry = entry_of(context, name, follow=False)
    recursive = "r" in options or "R" in options
    if entry.kind == "dir":
        if not recursive and "d" not in options:
            raise FileError("EISDIR", name)
        if recursive:
            for each in _below(context, name):
                yield from _remove(context, options, each)
    filesystem, inner = yield from place(context, name, follow=False)
    if inner == "/":
        raise FileError("EBUSY", name)
    try:
        filesystem.remove(inner)
    except FileError as error:
        raise FileError(error.errno, name) from None
    if "v" in options:
        context.print(name)
    return 0


@tool("unlink", usage=_RM_USAGE, status=64)
def unlink(context: Context, options: Options) -> Program:
    """unlink(1)."""
    if len(options.rest) != 1:
        raise NotModelled("unlink of other than one file")
    return (yield from _remove(context, Options([], ""), options.rest[0]))


# --- directories and links ----------------------------------------------------------------------


_MKDIR_USAGE = "usage: mkdir [-pv] [-m mode] directory_name ..."


@tool(
    "mkdir",
    flags="pv",
    valued="m",
    usage=_MKDIR_USAGE,
    status=64,
)
def mkdir(context: Context, options: Options) -> Program:
    """mkdir(1)."""
    if not options.rest:
        raise Failure(_MKDIR_USAGE, 64)
    mode = 0o777 & ~mask_of(context)
    if "m" in options:
        mode = changed_mode(options.value("m"), 0o777, "mkdir")
    status = 0
    for name in options.rest:
        try:
            yield from make_directories(
                context, name, mode, parents="p" in options, verbose="v" in options
            )
        except FileError as error:
            at = error.path if "p" in options else name
            if error.errno in {"ENOENT", "ENOTDIR"} and "p" not in options:
                at = posixpath.dirname(name.rstrip("/")) or "."
            context.complain(f"mkdir: {at}: {error.reason}")
            status = 1
    return status


def make_directories(
    context: Context, name: str, mode: int, *, parents: bool, verbose: bool = False
) -> Program:
    """Make a directory, with `parents` those on its way too. Raises `FileError`."""
    if parents:
        if not name:
            raise FileError("ENOENT", name)
        at = "/" if name.startswith("/") else ""
        parts = [part for part in name.split("/") if part]
        for number, part in enumerate(parts):
            at += ("/" if at not in {"", "/"} else "") + part
            if _is_there(context, at):
                if not is_directory(context, at):
                    last = number == len(parts) - 1
                    raise FileError("EEXIST" if last else "ENOTDIR", at)
                continue
            last = number == len(parts) - 1
            yield from _make_directory(context, at, mode if last else 0o777 & ~mask_of(context))
            if verbose:
                context.print(at)
        return 0
    if _is_there(context, name):
        raise FileError("EEXIST", name)
    yield from _make_directory(context, name, mode)
    if verbose:
        context.print(name)
    return 0


def _make_directory(context: Context, name: str, mode: int) -> Program:
    if not name:
        raise FileError("ENOENT", name)
    return (
        yield from put(context, name, Entry("dir", mode=mode, mtime=context.guest.wall_clock()))
    )


_RMDIR_USAGE = "usage: rmdir [-pv] directory ..."


@tool("rmdir", flags="pv", usage=_RMDIR_USAGE)
def rmdir(context: Context, options: Options) -> Program:
    """rmdir(1)."""
    if not options.rest:
        raise Failure(_RMDIR_USAGE, 64)
    status = 0
    for name in options.rest:
        chain = [name.rstrip("/") or name]
        while "p" in options and posixpath.dirname(chain[-1]) not in {"", "/"}:
            chain.append(posixpath.dirname(chain[-1]))
        for each in chain:
            try:
                yield from _remove_directory(context, each)
            except FileError as error:
                context.complain(f"rmdir: {each}: {error.reason}")
                status = 1
                break
            if "v" in options:
                context.print(each)
    return status


def _remove_directory(context: Context, name: str) -> Program:
    if entry_of(context, name, follow=False).kind != "dir":
        raise FileError("ENOTDIR", name)
    filesystem, inner = yield from place(context, name, follow=False)
    if inner == "/":
        raise FileError("EBUSY", name)
    filesystem.remove(inner)
    return 0


_LN_USAGE = """\
usage: ln [-s [-F] | -L | -P] [-f | -i] [-hnv] source_file [target_file]
       ln [-s [-F] | -L | -P] [-f | -i] [-hnv] source_file ... target_dir
       link source_file target_file"""


@tool(
    "ln",
    flags="sfhnv",
    unmodelled="FLPiw",
    usage=_LN_USAGE,
)
def ln(context: Context, options: Options) -> Program:
    """ln(1); a hard link is not modelled."""
    names = options.rest
    if names and "s" not in options:
        raise NotModelled("ln without -s")
    if not names:
        raise Failure(_LN_USAGE)
    *sources, target = names if len(names) > 1 else [*names, "."]
    status = 0
    for source in sources:
        at = target
        keep = ("h" in options or "n" in options) and _is_there(context, target)
        if not (keep and entry_of(context, target, follow=False).kind == "link"):
            at = _beside(context, source, target)
        if _is_there(context, at) and "f" not in options:
            context.complain(f"ln: {at}: File exists")
            status = 1
            continue
        entry = Entry("link", mode=0o755, mtime=context.guest.wall_clock(), target=source)
        yield from put(context, at, entry, follow=False)
        if "v" in options:
            context.print(f"{at} -> {source}")
    return status


@tool("readlink", flags="fn", usage="usage: readlink [-fn] [file ...]")
def readlink(context: Context, options: Options) -> int:
    """readlink(1)."""
    status = 0
    for name in options.rest:
        try:
            entry = entry_of(context, name, follow="f" in options)
        except FileError:
            status = 1
            continue
        if "f" in options:
            shown = _resolved(context, name)
        elif entry.kind == "link":
            shown = entry.target
        else:
            status = 1
            continue
        context.stdout += shown.encode("utf-8", "surrogateescape") + (
            b"" if "n" in options else b"\n"
        )
    return status


@tool("realpath", flags="q", usage="usage: realpath [-q] [path ...]")
def realpath(context: Context, options: Options) -> int:
    """realpath(1)."""
    status = 0
    for name in options.rest or ["."]:
        try:
            entry_of(context, name)
            context.print(_resolved(context, name))
        except FileError as error:
            if "q" not in options:
                context.complain(f"realpath: {error.path}: {error.reason}")
            status = 1
    return status


def _resolved(context: Context, name: str) -> str:
    tree = context.guest.tree
    filesystem, inner = tree.locate(context.path(name))
    mount = next((at for at, each in sorted(tree.mounts.items()) if each is filesystem), "/")
    return inner if mount == "/" else mount + inner.rstrip("/")


# --- modes and times ----------------------------------------------------------------------------


def changed_mode(text: str, mode: int, who: str, *, directory: bool = False) -> int:
    """A mode after chmod(1)'s notation was applied to it. Raises `Failure`."""
    if re.fullmatch("[0-7]{1,5}", text):
        return int(text, 8) & 0o7777
    for clause in text.split(","):
        match = re.fullmatch(r"([ugoa]*)((?:[-+=][rwxXst]*)+)", clause)
        if match is None:
            raise Failure(f"{who}: invalid file mode: {text}")
        shifts = {"u": 6, "g": 3, "o": 0}
        whom = "ugo" if not match[1] or "a" in match[1] else match[1]
        for operator, letters in re.findall(r"([-+=])([rwxXst]*)", match[2]):
            if "s" in letters or "t" in letters:
                raise NotModelled(f"the mode {text}")
            bits = 0
            for letter in letters:
                if letter == "X" and not (directory or mode & 0o111):
                    continue
                bits |= {"r": 4, "w": 2, "x": 1, "X": 1}[letter]
            for each in whom:
                shift = shifts[each]
                if operator == "=":
                    mode &= ~(7 << shift)
                mode = mode & ~(bits << shift) if operator == "-" else mode | (bits << shift)
    return mode


_CHMOD_USAGE = "usage: chmod [-fhv] [-R [-H | -L | -P]] mode file ..."


@tool(
    "chmod",
    flags="fRhvHLP",
    until="gorstuwxX",
    usage=_CHMOD_USAGE,
)
def chmod(context: Context, options: Options) -> Program:
    """chmod(1)."""
    if len(options.rest) < 2:
        raise Failure(_CHMOD_USAGE)
    mode, *names = options.rest
    status = 0
    while names:
        name = names.pop(0)
        try:
            entry = entry_of(context, name)
            wanted = changed_mode(mode, entry.mode, "chmod", directory=entry.kind == "dir")
            yield from put(context, name, replace(entry, mode=wanted))
            if "R" in options and entry.kind == "dir":
                names += _below(context, name)
        except FileError as error:
            if "f" not in options:
                context.complain(f"chmod: {error.path}: {error.reason}")
            status = 1
    return status


_CHOWN_USAGE = """\
usage: chown [-fhvx] [-R [-H | -L | -P]] owner[:group] file ...
       chown [-fhvx] [-R [-H | -L | -P]] :group file ..."""


@tool("chown", flags="fhRvxHLPn", usage=_CHOWN_USAGE)
@tool("chgrp", flags="fhRvxHLPn", usage=_CHOWN_USAGE)
def chown(context: Context, options: Options) -> int:
    """chown(8) and chgrp(1), which only look whether the files are there."""
    status = 0
    for name in options.rest[1:]:
        try:
            entry_of(context, name)
        except FileError as error:
            if "f" not in options:
                context.complain(f"chown: {error.path}: {error.reason}")
            status = 1
    return status


_TOUCH_USAGE = """\
usage: touch [-A [-][[hh]mm]SS] [-achm] [-r file] [-t [[CC]YY]MMDDhhmm[.SS]]
       [-d YYYY-MM-DDThh:mm:SS[.frac][tz]] file ..."""


@tool(
    "touch",
    flags="cam",
    valued="rt",
    unmodelled="ACdh",
    usage=_TOUCH_USAGE,
)
def touch(context: Context, options: Options) -> Program:
    """touch(1)."""
    if not options.rest:
        raise Failure(_TOUCH_USAGE)
    status = 0
    given = _touched(context, options)
    for name in options.rest:
        now = context.guest.wall_clock() if given is None else given
        try:
            try:
                entry = replace(entry_of(context, name), mtime=now)
            except FileError as error:
                if error.errno != "ENOENT" or not name:
                    raise
                if "c" in options:
                    continue
                entry = Entry("file", b"", 0o666 & ~mask_of(context), now)
            if entry.kind == "chr":
                continue
            yield from put(context, name, entry)
        except FileError as error:
            context.complain(f"touch: {error.path}: {error.reason}")
            status = 1
    return status


def _touched(context: Context, options: Options) -> float | None:
    """The time of -t or that of the file of -r. Raises `FileError`."""
    if "r" in options:
        return entry_of(context, options.value("r")).mtime
    if "t" not in options:
        return None
    found = re.fullmatch(r"(\d{4})?(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d\d))?", options.value("t"))
    if found is None:
        raise NotModelled(f"touch -t {options.value('t')}")
    year = int(found[1] or context.guest.now_utc().year)
    month, day, hour, minute, second = (int(found[n] or 0) for n in range(2, 7))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise NotModelled(f"touch -t {options.value('t')}") from None


_INSTALL_USAGE = """\
usage: install [-bCcpSsUv] [-f flags] [-g group] [-m mode] [-o owner]
               [-M log] [-D dest] [-h hash] [-T tags]
               [-B suffix] [-l linkflags] [-N dbdir]
               file1 file2
       install [-bCcpSsUv] [-f flags] [-g group] [-m mode] [-o owner]
               [-M log] [-D dest] [-h hash] [-T tags]
               [-B suffix] [-l linkflags] [-N dbdir]
               file1 ... fileN directory
       install -dU [-vU] [-g group] [-m mode] [-N dbdir] [-o owner]
               [-M log] [-D dest] [-h hash] [-T tags]
               directory ..."""


@tool(
    "install",
    flags="dcpSCsv",
    valued="mog",
    unmodelled="BbDfhlMNTU",
    usage=_INSTALL_USAGE,
    status=64,
)
def install(context: Context, options: Options) -> Program:
    """install(1): copies with a mode of their own (0755), or directories with -d."""
    try:
        mode = changed_mode(options.value("m", "755"), 0, "install")
    except Failure as failure:
        raise Failure(failure.text, 64) from None
    names = options.rest
    if "d" in options:
        return (yield from _install_directories(context, names, mode))
    if len(names) < 2:
        raise Failure(_INSTALL_USAGE, 64)
    *sources, target = names
    if len(sources) > 1 and not is_directory(context, target):
        raise Failure(f"install: target directory `{target}' does not exist\n{_INSTALL_USAGE}", 64)
    for source in sources:
        at = _beside(context, source, target)
        try:
            entry = entry_of(context, source)
            if entry.kind == "dir":
                raise NotModelled("install of a directory")
            data = yield from content(context, source)
        except FileError as error:
            raise Failure(f"install: {error.path}: {error.reason}", 71) from None
        mtime = entry.mtime if "p" in options else context.guest.wall_clock()
        try:
            yield from put(context, at, Entry("file", data, mode, mtime))
        except FileError as error:
            raise Failure(f"install: {error.path}: {error.reason}", 71) from None
        if "v" in options:
            context.print(f"install: {source} -> {at}")
    return 0


def _install_directories(context: Context, names: list[str], mode: int) -> Program:
    if not names:
        raise Failure(_INSTALL_USAGE, 64)
    for name in names:
        try:
            yield from make_directories(context, name, mode, parents=True)
        except FileError as error:
            what = f"mkdir {error.path}: {error.reason}"
            if error.errno == "EEXIST":
                what = f"{error.path} exists but is not a directory"
            raise Failure(f"install: {what}", 71) from None
        yield from put(context, name, replace(entry_of(context, name), mode=mode))
    return 0


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@tool(
    "mktemp",
    illegal="invalid option",
    flags="dqu",
    valued="tp",
    usage="usage: mktemp [-d] [-p tmpdir] [-q] [-t prefix] [-u] template ...\n"
    "       mktemp [-d] [-p tmpdir] [-q] [-u] -t prefix ",
)
def mktemp(context: Context, options: Options) -> Program:
    """mktemp(1)."""
    directory = options.value("p") or context.environment.get("TMPDIR", "/tmp")  # noqa: S108
    templates = list(options.rest)
    if "t" in options or not templates:
        templates.append(f"{directory}/{options.value('t', 'tmp')}.XXXXXXXXXX")
    for template in templates:
        stem = template.rstrip("X")
        chosen = "".join(context.guest.rng.choice(_LETTERS) for _ in template[len(stem) :])
        name = stem + chosen
        kind, mode = ("dir", 0o700) if "d" in options else ("file", 0o600)
        if "u" not in options:
            made = Entry(kind, mode=mode, mtime=context.guest.wall_clock())
            try:
                if _is_there(context, name):
                    raise FileError("EEXIST", name)
                yield from put(context, name, made)
            except FileError as error:
                if "q" in options:
                    return 1
                call = "mkdtemp" if "d" in options else "mkstemp"
                raise Failure(f"mktemp: {call} failed on {name}: {error.reason}") from None
        context.print(name)
    return 0


_TRUNCATE_USAGE = """\
usage: truncate [-c] -s [+|-|%|/]size[K|k|M|m|G|g|T|t] file ...
       truncate [-c] -r rfile file ..."""


@tool(
    "truncate",
    flags="c",
    valued="s",
    unmodelled="rdlo",
    usage=_TRUNCATE_USAGE,
)
def truncate(context: Context, options: Options) -> Program:
    """truncate(1)."""
    text = options.value("s")
    sign = text[:1] if text[:1] in {"+", "-"} else ""
    size = size_of(text.removeprefix(sign)) if text else None
    if not text or not options.rest:
        raise Failure(_TRUNCATE_USAGE)
    if size is None:
        if text[:1] in {"%", "/"}:
            raise NotModelled(f"truncate -s {text}")
        raise Failure(f"truncate: invalid size argument `{text}'")
    status = 0
    for name in options.rest:
        data = b""
        try:
            entry = entry_of(context, name)
            if entry.kind != "file":
                raise FileError("EISDIR" if entry.kind == "dir" else "EINVAL", name)
            data = yield from content(context, name)
        except FileError as error:
            nowhere = not is_directory(context, posixpath.dirname(context.path(name)))
            if error.errno == "ENOENT" and ("c" in options or nowhere):
                continue
            if error.errno != "ENOENT":
                context.complain(f"truncate: {name}: {error.reason}")
                status = 1
                continue
            entry = Entry("file", mode=0o666 & ~mask_of(context))
        wanted = max(0, {"+": len(data) + size, "-": len(data) - size}.get(sign, size))
        if wanted > MOST_BYTES and not data:
            yield from put(context, name, entry)
            path = context.path(name)
            context.guest.large_files.setdefault(path, Disk(path, wanted, None))
            continue
        check_size(wanted)
        changed = data[:wanted].ljust(wanted, b"\0")
        try:
            now = context.guest.wall_clock()
            yield from put(context, name, replace(entry, data=changed, mtime=now))
        except FileError as error:
            context.complain(f"truncate: {error.path}: {error.reason}")
            status = 1
    return status


# --- durability ---------------------------------------------------------------------------------


@command("fsync")
def fsync(context: Context, arguments: list[str]) -> Program:
    """fsync(1): ends when each file is in stable storage."""
    if not arguments:
        context.complain("usage: fsync file ...")
        return 64
    status = 0
    for name in arguments:
        try:
            entry_of(context, name)
            filesystem, inner = context.guest.tree.locate(context.path(name))
        except FileError as error:
            context.complain(f"fsync: open {name}: {error.reason}")
            status = 66
            continue
        yield filesystem.fsync(inner)
    return status


@command("sync")
def sync(context: Context, _arguments: list[str]) -> Program:
    """sync(8): starts to write everything there is to write, and does not wait for a long write."""
    for at in sorted(context.guest.tree.mounts):
        yield context.guest.tree.mounts[at].sync()
    return 0
