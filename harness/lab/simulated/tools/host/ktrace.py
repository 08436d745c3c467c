"""ktrace(1) and kdump(1) of a dd, as far as the time that each of its writes takes."""

from __future__ import annotations

import posixpath

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.trace import BadTrace, Trace, records
from harness.lab.simulated.shell.interpreter import ProgramNotFound, as_shell_context, execute
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.tool import content

_FILE = "ktrace.out"

_USAGE = """\
usage: ktrace [-aCcdi] [-f trfile] [-g pgrp | -p pid] [-t trstr]
       ktrace [-adi] [-f trfile] [-t trstr] command"""


@command("ktrace")
def ktrace(context: Context, arguments: list[str]) -> Program:
    """Run a program and write its system calls into a file (usr.bin/ktrace/ktrace.c, 13.2)."""
    try:
        options = Options(arguments, "", "ft")
    except BadOption as bad:
        raise NotModelled(f"ktrace -{bad.letter}") from bad
    if not options.rest:
        context.complain(_USAGE)
        return 1
    if options.value("t") != "c":
        raise NotModelled("ktrace of anything but system calls")
    name = posixpath.basename(options.rest[0])
    if name != "dd":
        raise NotModelled(f"ktrace {name}")
    guest, process = context.guest, context.process
    path = context.path(options.value("f", _FILE))
    trace = Trace(guest, name, guest.next_pid())
    try:
        guest.tree.write(path, b"", mode=0o600)
        process.trace = trace
        return (yield from execute(as_shell_context(context), options.rest))
    except FileError as error:
        context.complain(f"ktrace: {options.value('f', _FILE)}: {error.reason}")
        return 1
    except ProgramNotFound as missing:
        reason = "No such file or directory" if missing.reason == "not found" else missing.reason
        context.complain(f"ktrace: exec of '{missing.name}' failed: {reason}")
        return 1
    finally:
        process.trace = None
        if trace.data:
            guest.tree.write(path, bytes(trace.data), mode=0o600)


@command("kdump")
def kdump(context: Context, arguments: list[str]) -> Program:
    """Show a trace (usr.bin/kdump/kdump.c, 13.2)."""
    try:
        options = Options(arguments, "T", "f")
    except BadOption as bad:
        raise NotModelled(f"kdump -{bad.letter}") from bad
    if options.rest:
        raise NotModelled(f"kdump {options.rest[0]}")
    name = options.value("f", _FILE)
    try:
        data = yield from content(context, name)
    except FileError as error:
        context.complain(f"kdump: {name}: {error.reason}")
        return 1
    try:
        for each in records(data):
            if isinstance(context, ShellContext):
                context.budget.step()
            time = f"{each.time:.6f} " if "T" in options else ""
            context.print(f"{each.pid:>6} {each.program:<8} {time}{each.kind}  {each.text}")
    except BadTrace:
        context.complain("kdump: data too short")
        return 1
    return 0
