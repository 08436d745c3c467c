"""lockf(1): a program that runs while it has a lock (usr.bin/lockf/lockf.c, 13.2)."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import Program, Signal
from harness.lab.simulated.kernel.files import Entry, FileError
from harness.lab.simulated.shell.interpreter import ProgramNotFound, as_shell_context, execute
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.shell.tool import Failure, mask_of, place, put, tool

_USAGE = "usage: lockf [-kns] [-t seconds] file command [arguments]"
_POLL = 0.1
"""Seconds between two looks of one who waits with a limit."""


@tool("lockf", flags="knsw", valued="t", usage=_USAGE, status=64)
def lockf(context: Context, options: Options) -> Program:
    """Wait for the lock on a file, run the program, give the lock back."""
    limit = None
    if "t" in options:
        text = options.value("t")
        if not text.isdigit() or len(text) > 9:
            raise Failure(f'lockf: invalid timeout "{text}"', 64)
        limit = float(text)
    if len(options.rest) < 2:
        raise Failure(_USAGE, 64)
    name, *argv = options.rest
    guest = context.guest
    path = context.path(name)
    until = None if limit is None else guest.world.now + limit
    while (holder := guest.file_locks.get(path)) is not None:
        if until is not None and guest.world.now >= until:
            if "s" in options:
                return 75
            raise Failure(f"lockf: {name}: already locked", 75)
        if until is None:
            yield holder
        else:
            yield min(_POLL, max(0.0, until - guest.world.now))
    released = guest.file_locks[path] = Signal()
    try:
        yield from _make(context, options, name)
        status = yield from _run(context, argv)
    finally:
        if guest.file_locks.get(path) is released:
            del guest.file_locks[path]
        released.fire()
    if "k" not in options:
        filesystem, inner = yield from place(context, name)
        if filesystem.get(inner) is not None:
            filesystem.remove(inner)
    return status


def _make(context: Context, options: Options, name: str) -> Program:
    """Have the file there."""
    try:
        filesystem, inner = yield from place(context, name)
        entry = filesystem.get(inner)
        if entry is not None and entry.kind == "dir":
            raise FileError("EISDIR", name)
        if entry is None and "n" in options:
            raise Failure(f"lockf: {name}: No such file or directory", 69)
        if entry is None:
            mode = 0o666 & ~mask_of(context)
            yield from put(context, name, Entry("file", b"", mode, context.guest.wall_clock()))
    except FileError as error:
        raise Failure(f"lockf: cannot open {name}: {error.reason}", 73) from None
    return 0


def _run(context: Context, argv: list[str]) -> Program:
    try:
        return (yield from execute(as_shell_context(context), argv))
    except ProgramNotFound as missing:
        absent = missing.reason == "not found"
        reason = "No such file or directory" if absent else missing.reason
        context.complain(f"lockf: {missing.name}: {reason}")
        return 1
