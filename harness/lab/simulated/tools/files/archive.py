"""tar(1): bsdtar without compression, from and to standard streams and files."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Generator
from dataclasses import replace

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import Entry, FileError
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.streams import check_size, open_writer
from harness.lab.simulated.shell.tool import content, entry_of, put
from harness.lab.simulated.tools.files.files import make_directories
from harness.lab.simulated.tools.files.listing import names_as_stored

_MOST_MEMBERS = 10_000
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@command("tar")
def tar(context: Context, arguments: list[str]) -> Program:
    """tar(1): -c, -x and -t with -f, -C, -v and -p."""
    words = list(arguments)
    if words and not words[0].startswith("-"):
        words[0] = "-" + words[0]
    try:
        options = Options(words, "cxtvpmo", "fC")
    except BadOption as bad:
        raise NotModelled(f"tar -{bad.letter}") from None
    modes = [letter for letter in "cxt" if letter in options]
    if len(modes) != 1:
        context.complain("tar: Must specify one of -c, -r, -t, -u, -x")
        return 1
    if "f" not in options:
        raise NotModelled("tar without -f")
    where = context
    if "C" in options:
        where = replace(context, directory=context.path(options.value("C")))
        try:
            if entry_of(where, ".").kind != "dir":
                raise FileError("ENOTDIR", options.value("C"))
        except FileError:
            context.complain(f"tar: could not chdir to '{options.value('C')}'\n")
            return 1
    if modes == ["c"]:
        return (yield from _create(context, where, options))
    return (yield from _extract(context, where, options, listing=modes == ["t"]))


def _extract(context: Context, where: Context, options: Options, *, listing: bool) -> Program:
    found = yield from _opened(context, options.value("f"))
    if found is None:
        return 1
    members = found
    status = 0
    if listing and "v" in options:
        raise NotModelled("tar -tv")
    for name in options.rest:
        if all(member.name != name for member, _ in members):
            context.complain(f"tar: {name}: Not found in archive")
            status = 1
    for member, held in members:
        if options.rest and member.name not in options.rest:
            continue
        if listing:
            context.print(member.name + ("/" if member.isdir() else ""))
            continue
        if "v" in options:
            context.complain(f"x {member.name}" + ("/" if member.isdir() else ""))
        if ".." in member.name.split("/"):
            context.complain(f"tar: {member.name}: Path contains '..'")
            status = 1
            continue
        try:
            yield from _extract_one(where, member, held)
        except FileError as error:
            context.complain(f"tar: {member.name}: {error.reason}")
            status = 1
    if status:
        context.complain("tar: Error exit delayed from previous errors.")
    return status


_Members = list[tuple[tarfile.TarInfo, bytes]]


def _opened(context: Context, name: str) -> Generator[float | Signal, None, _Members | None]:
    """The members of an archive, or None after a complaint."""
    try:
        data = yield from content(context, name)
    except FileError as error:
        context.complain(f"tar: Error opening archive: Failed to open '{name}'")
        if error.errno != "ENOENT":
            raise NotModelled(f"tar of {name}: {error.reason}") from None
        return None
    if data.startswith(_COMPRESSED):
        raise NotModelled("tar with compression")
    if not data.strip(b"\0"):
        return []
    try:
        return _members(data)
    except (tarfile.TarError, ValueError, OverflowError):
        context.complain("tar: Error opening archive: Unrecognized archive format")
        return None


def _members(data: bytes) -> _Members:
    found: _Members = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if len(found) >= _MOST_MEMBERS or member.issparse():
                raise NotModelled("a tar archive of that kind")
            held = archive.extractfile(member) if member.isreg() else None
            found.append((member, held.read() if held is not None else b""))
    return found


def _extract_one(where: Context, member: tarfile.TarInfo, data: bytes) -> Program:
    name = posixpath.normpath(member.name.lstrip("/"))
    if name == "." and member.isdir():
        return 0
    parent = posixpath.dirname(name)
    if parent:
        yield from make_directories(where, parent, 0o755, parents=True)
    mode = member.mode & 0o7777
    mtime = float(min(max(member.mtime, 0), 1 << 40))
    if member.isdir():
        yield from make_directories(where, name, mode, parents=True)
        return (yield from put(where, name, Entry("dir", mode=mode, mtime=mtime)))
    if member.issym():
        entry = Entry("link", mode=0o755, mtime=mtime, target=member.linkname)
    elif member.isreg():
        entry = Entry("file", data, mode, mtime)
    else:
        raise NotModelled(f"a tar archive with {member.name}, which is no file")
    return (yield from put(where, name, entry, follow=False))


def _create(context: Context, where: Context, options: Options) -> Program:
    if not options.rest:
        context.complain("tar: no files or directories specified")
        return 1
    packed = io.BytesIO()
    status = 0
    with tarfile.open(fileobj=packed, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        waiting = list(options.rest)
        while waiting:
            name = waiting.pop(0)
            try:
                entry = entry_of(where, name, follow=False)
            except FileError as error:
                context.complain(f"tar: {name}: Cannot stat: {error.reason}")
                status = 1
                continue
            if "v" in options:
                context.complain(f"a {name}")
            data = b""
            if entry.kind == "file":
                data = yield from content(where, name)
            _add(archive, name, entry, data)
            check_size(packed.tell())
            if entry.kind == "dir":
                waiting += [posixpath.join(name, each) for each in names_as_stored(where, name)]
    if status:
        context.complain("tar: Error exit delayed from previous errors.")
    if options.value("f") == "-":
        context.stdout += packed.getvalue()
        return status
    name = options.value("f")
    try:
        writer = yield from open_writer(context.guest, context.path(name), append=False, mode=0o644)
    except FileError as error:
        if error.errno != "ENOENT":
            raise NotModelled(f"tar -cf {name}: {error.reason}") from None
        context.complain(f"tar: Failed to open '{name}'")
        return 1
    writer.buffer.extend(packed.getvalue())
    yield from writer.flush()
    return status


def _add(archive: tarfile.TarFile, name: str, entry: Entry, data: bytes) -> None:
    if entry.kind == "chr":
        raise NotModelled(f"tar -c of {name}")
    member = tarfile.TarInfo(name.lstrip("/"))
    member.mode = entry.mode
    member.mtime = int(entry.mtime)
    member.uname, member.gname = "root", "wheel"
    member.size = len(data)
    if entry.kind == "dir":
        member.type = tarfile.DIRTYPE
    elif entry.kind == "link":
        member.type = tarfile.SYMTYPE
        member.linkname = entry.target
    try:
        archive.addfile(member, io.BytesIO(data))
    except (ValueError, UnicodeError):
        raise NotModelled(f"tar -c of a name like {name}") from None
