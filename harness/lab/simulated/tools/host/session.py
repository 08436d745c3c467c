"""Small programs about who and where one is: printenv, groups, freebsd-version, su, tty."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.shell.interpreter import as_shell_context, execute
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.tool import Failure, tool


@command("printenv")
def printenv(context: Context, arguments: list[str]) -> int:
    """printenv(1)."""
    if not arguments:
        for name, value in context.environment.items():
            context.print(f"{name}={value}")
        return 0
    if len(arguments) > 1 or arguments[0].startswith("-"):
        context.complain("usage: printenv [name]")
        return 1
    if arguments[0] not in context.environment:
        return 1
    context.print(context.environment[arguments[0]])
    return 0


@command("groups")
def groups(context: Context, arguments: list[str]) -> int:
    """groups(1), of root."""
    if arguments and arguments != ["root"]:
        raise NotModelled(f"groups {arguments[0]}")
    context.print("wheel operator")
    return 0


@tool(
    "freebsd-version", flags="kru", unmodelled="j", usage="usage: freebsd-version [-kru] [-j jail]"
)
def freebsd_version(context: Context, options: Options) -> int:
    """freebsd-version(1): of the kernel on disk, the running one, and the rest."""
    for _ in options.letters() or "u":
        context.print(context.guest.release.version)
    return 0


@command("tty")
def tty(context: Context, arguments: list[str]) -> int:
    """tty(1): nobody has a terminal here."""
    if arguments not in ([], ["-s"]):
        raise NotModelled(f"tty {' '.join(arguments)}")
    if not arguments:
        context.print("not a tty")
    return 1


@tool("su", flags="lfms", valued="c", usage="usage: su [-] [-flms] [-c class] [login [args]]")
def su(context: Context, options: Options) -> Program:
    """su(1) to root: its shell with the arguments; `-c` before the name is a login class."""
    words = list(options.rest)
    login = "l" in options
    if words[:1] == ["-"]:
        login = True
        words.pop(0)
    name = words.pop(0) if words else "root"
    entry = _account(context, name)
    if entry is None:
        raise Failure(f"su: unknown login: {name}")
    if name != "root" or entry[6] != "/bin/sh" or "c" in options or "s" in options:
        raise NotModelled(f"su {' '.join(options.rest)}")
    started = as_shell_context(context)
    if login:
        kept = {key: started.environment[key] for key in ("TERM",) if key in started.environment}
        path = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/root/bin"
        started.environment = {**kept, "USER": name, "PATH": path}
        started.directory = entry[5]
    if login or "m" not in options:
        started.environment |= {"HOME": entry[5], "SHELL": entry[6]}
    return (yield from execute(started, ["/bin/sh", *words]))


def _account(context: Context, name: str) -> list[str] | None:
    try:
        text = context.guest.tree.read("/etc/passwd").decode(errors="replace")
    except FileError:
        return None
    lines = (line.split(":") for line in text.splitlines())
    return next((line for line in lines if line[0] == name and len(line) == 7), None)
