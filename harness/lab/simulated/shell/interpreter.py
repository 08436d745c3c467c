"""The command line of the simulated guests: what sh(1) does with what sshd(8) gives it.

Nothing here runs a program of the host. A pipeline runs one command after the other, each with all
of the output of the one before; a command after `&` is a process of its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import FileError, Unseen, normal
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.kernel.signals import DESCRIPTIONS
from harness.lab.simulated.shell import programs as commands
from harness.lab.simulated.shell.expand import Expansion
from harness.lab.simulated.shell.language.parser import (
    AndOr,
    Assignment,
    Background,
    Case,
    Compound,
    For,
    Function,
    If,
    Node,
    Pipeline,
    Redirection,
    Script,
    Sequence,
    Simple,
    TooDeep,
    While,
    parse,
    quoted,
)
from harness.lab.simulated.shell.language.pattern import compile_pattern, matches
from harness.lab.simulated.shell.paths import entry_or_none
from harness.lab.simulated.shell.programs import COMMANDS, Context
from harness.lab.simulated.shell.state import (
    ENVIRONMENT,
    ShellContext,
    ShellError,
    ShellState,
)
from harness.lab.simulated.shell.streams import (
    Changing,
    ConsoleWriter,
    Flow,
    FlowReader,
    PipeBuffer,
    Reader,
    StandardInput,
    Writer,
    open_reader,
    open_writer,
    standard,
)

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest


_RC_SCRIPTS = "/etc/rc.d/"

_SHOWN = 500
"""Characters of a command line that a gap keeps."""

_PROGRAM_COST = 5
"""Steps that a program counts for."""

DEEPEST = 40
"""How deep functions, subshells and scripts may call each other."""

LONGEST_LINE = 1 << 18
"""Characters of a command line or script that is read."""


_SPECIAL = frozenset(
    {
        *(".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return"),
        *("set", "shift", "times", "trap", "unset"),
    }
)


class ShellExit(Exception):
    """The shell ends with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Return(Exception):
    """A function or a sourced file ends with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Leave(Exception):
    """`break` or `continue` of so many loops."""

    def __init__(self, levels: int, *, again: bool) -> None:
        super().__init__(levels)
        self.levels = levels
        self.again = again


# --- what others call ---------------------------------------------------------------------------


def run_line(process: Process, line: str) -> Program:
    """Run a command line as root's login shell does when sshd(8) hands it over.

    Output goes to the process; the status is the program's result. Whatever the line is, this ends
    with a status and nothing is raised; what the model does not know ends with 127 and is noted in
    `World.gaps`.
    """
    shell = Shell(process, process.guest, "sh")
    shell.fds = {
        0: StandardInput(process),
        1: Writer(process.stdout),
        2: Writer(process.stderr),
    }
    return (yield from _to_the_end(shell, _clean(line), shell.run_text(_clean(line))))


def spawn(guest: Guest, line: str) -> Process:
    """Start a command line on a guest by itself, as a daemon or cron(8) does; stdin is empty."""
    process = Process(guest, line)
    process.feed(b"")
    process.start(run_line(process, line))
    return process


def spawn_at_boot(guest: Guest, title: str, name: str, text: str) -> Process:
    """Start a script as init(8) does: output goes to the console, and nobody has logged in."""
    console = ConsoleWriter(guest)
    return spawn_without_login(guest, title, name, text, {1: console, 2: console})


def spawn_without_login(
    guest: Guest,
    title: str,
    name: str,
    text: str,
    streams: Mapping[int, Reader | Writer],
    *,
    parent: int | None = None,
) -> Process:
    """Start a script for a daemon, `parent`. Without a stream 0 its input is empty."""
    process = Process(guest, title)
    process.started_by = parent
    process.feed(b"")
    shell = Shell(process, guest, name)
    shell.title = title
    shell.variables = {
        "HOME": "/",
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
        "PWD": "/",
        "OPTIND": "1",
    }
    shell.exported = {"HOME", "PATH"}
    shell.directory = "/"
    shell.fds = {0: StandardInput(process), **streams}
    process.start(_to_the_end(shell, title, shell.run_text(text)))
    return process


def execute(context: Context, argv: list[str]) -> Program:
    """Run a program for another program, with the same streams. Raises `ProgramNotFound`."""
    path = context.environment.get("PATH", ENVIRONMENT["PATH"])
    found = find_program(context.guest, argv[0], path, context.directory)
    if isinstance(found, str):
        raise ProgramNotFound(argv[0], found)
    started = as_shell_context(context)
    if isinstance(context, ShellContext) and context.process.command == " ".join(argv):
        started.pid = context.pid  # it is all that its process does
    return (yield from found.run(started, argv))


class ProgramNotFound(Exception):
    """There is no such program; `reason` is sh(1)'s word for why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name)
        self.name = name
        self.reason = reason


def as_shell_context(context: Context) -> ShellContext:
    """A copy of a context that another program can be run with."""
    if isinstance(context, ShellContext):
        return ShellContext(
            context.process,
            None,
            context.stdout,
            context.stderr,
            dict(context.environment),
            context.directory,
            context.reader,
            context.budget,
            context.depth,
            context.mask,
            context.flush,
        )
    reader = StandardInput(context.process) if context.stdin is None else Reader(context.stdin)
    return ShellContext(
        context.process,
        None,
        context.stdout,
        context.stderr,
        dict(context.environment),
        context.directory,
        reader,
    )


def _note_gap(guest: Guest, line: str, what: str) -> None:
    """Have the report list it. It is text for people: short, and no bytes that are not UTF-8."""
    line, what = (each[:_SHOWN].encode("utf-8", "replace").decode() for each in (line, what))
    guest.world.note_gap(guest.name, line, what)


def _clean(line: str) -> str:
    """A line as bytes on the wire would be read: no NUL, and no code that UTF-8 cannot carry."""
    try:
        line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        line = line.encode("utf-8", "replace").decode()
    return line.partition("\0")[0]


def _to_the_end(shell: Shell, line: str, program: Program) -> Program:
    """Run a process's outermost shell; a gap in the model is reported and ends it with 127."""
    try:
        return (yield from program)
    except NotModelled as gap:
        what = str(gap)
    except TooDeep:
        what = "a command line nested that deep"
    except FileError as error:
        what = f"a program that meets {error}"
    except UnicodeEncodeError:
        what = "arguments that are not UTF-8"
    except RecursionError:
        what = "commands that call each other that deep"
    shell.process.stderr += f"{shell.name}: not modelled: {what}\n".encode(
        "utf-8", "surrogateescape"
    )
    _note_gap(shell.guest, line, what)
    return 127


# --- programs -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A program that can be run: one of the base system, or a script on the guest."""

    name: str
    path: str
    script: bool = False
    origin: str = ""
    """Where FreeBSD installs it, if it is a program of the base system."""

    def run(self, context: ShellContext, argv: list[str]) -> Program:
        """Run it with `argv`, whose first word is its name.

        Raises `NotModelled` for a program that FreeBSD has and the model has not.
        """
        if self.origin.startswith(_RC_SCRIPTS):
            return (yield from commands.run(context, "/etc/rc.d", [self.name, *argv[1:]]))
        if not self.script:
            if self.name not in COMMANDS:
                raise NotModelled(self.name)
            return (yield from commands.run(context, self.name, argv[1:]))
        text = context.guest.tree.read(self.path).decode("utf-8", "surrogateescape")
        shell = Shell.of(context, argv[0] if "/" in argv[0] else self.path)
        if text.startswith("#!"):
            interpreter, *options = text[2:].partition("\n")[0].split(None, 1)
            if posixpath.basename(interpreter) != "sh":
                raise NotModelled(f"{self.path}: scripts for {interpreter}")
            for letters in options:
                shell.options |= set(letters.strip().removeprefix("-"))
        shell.arguments = argv[1:]
        shell.command_name = shell.name
        shell.title = " ".join(["/bin/sh", shell.name, *argv[1:]])
        return (yield from shell.run_text(text))


def find_program(guest: Guest, name: str, path: str, directory: str) -> Found | str:
    """Look a program up as execvp(3) does; the reason in sh(1)'s words if there is none."""
    if "/" in name:
        return _at_path(guest, normal(posixpath.join(directory, name)))
    reason = "not found"
    if name in {"", ".", ".."}:
        return "Permission denied"
    for place in path.split(":"):
        found = _at_path(guest, posixpath.join(directory, place, name))
        if not isinstance(found, str):
            return found
        if found == "Permission denied":
            reason = found
    return reason


def _at_path(guest: Guest, path: str) -> Found | str:
    entry = entry_or_none(guest, path)
    if entry is None:
        return "not found"
    if entry.kind != "file" or not entry.mode & 0o111:
        return "Permission denied"
    name = posixpath.basename(path)
    if isinstance(entry, Unseen):
        # A link such as tar is run by its own name, one that somebody made by what it leads to.
        known = path in guest.release.programs
        found = name if known else posixpath.basename(entry.origin)
        return Found(found, path, origin=entry.origin)
    return Found(name, path, script=True)


# --- the shell ----------------------------------------------------------------------------------


class Shell(ShellState):
    """One shell, which runs commands. Lives as long as its process."""

    def __init__(self, process: Process, guest: Guest, name: str) -> None:
        """A login shell of root without descriptors."""
        super().__init__(process, guest, name)
        self.functions: dict[str, Node] = {}
        self.library: dict[str, Builtin] = {}
        """Functions of a file of FreeBSD's that was read, such as rc.subr(8)."""
        self._substitution_status: int | None = None
        self._tested = 0
        """How many conditions it is in, where `set -e` does not apply."""

    @classmethod
    def of(cls, context: ShellContext, name: str) -> Shell:
        """A new shell that a program or a script needs."""
        shell = cls(context.process, context.guest, name)
        shell.pid = context.pid or context.guest.next_pid()
        shell.origin = context
        shell.variables = {**context.environment, "PWD": context.directory, "OPTIND": "1"}
        shell.exported = set(shell.variables) - {"OPTIND"}
        shell.directory = context.directory
        shell.mask = context.mask
        shell.budget = context.budget
        shell.depth = context.depth
        shell.fds = {
            0: context.reader,
            1: _Passing(context.stdout, context.flush),
            2: _Passing(context.stderr, context.flush),
        }
        return shell

    def copy(self, process: Process | None = None) -> Shell:
        """A subshell, in the same process or its own."""
        shell = Shell.__new__(Shell)
        shell.__dict__.update(self.__dict__)
        shell.process = process or self.process
        shell.variables = dict(self.variables)
        shell.exported = set(self.exported)
        shell.read_only = set(self.read_only)
        shell.functions = dict(self.functions)
        shell.arguments = list(self.arguments)
        shell.options = set(self.options)
        shell.traps = {}
        shell.caught = []
        shell.woken = None
        shell.job_pid = 0
        shell.execs = False
        shell.title = ""
        shell.jobs = {}
        shell.locals = [dict(each) for each in self.locals]
        shell.fds = dict(self.fds)
        return shell

    def _run_caught(self) -> Program:
        """Run the traps of the signals that came meanwhile."""
        while self.caught:
            action = self.traps.get(self.caught.pop(0))
            if action:
                status = self.status
                yield from self.run_script(parse(action))
                self.status = status
        return 0

    # --- whole texts ----------------------------------------------------------------------------

    def run_text(self, text: str) -> Program:
        """Run a text to its end as this shell's whole program."""
        if len(text) > LONGEST_LINE:
            raise NotModelled(f"a command line of more than {LONGEST_LINE} characters")
        return (yield from self._known(self._to_the_end(self.run_script(parse(text)))))

    def _known(self, program: Program, pid: int = 0) -> Program:
        """Run it while others can find this shell by its process id."""
        pid = pid or self.pid
        shells = self.guest.shells
        before = shells.get(pid)
        shells[pid] = self
        try:
            return (yield from program)
        finally:
            if shells.get(pid) is self:
                del shells[pid]
                if before is not None:
                    shells[pid] = before

    def _to_the_end(self, program: Program) -> Program:
        """Run what is all that this shell has to do, however it ends."""
        self.enter()
        try:
            yield from program
            yield from self._run_caught()
        except (ShellExit, Return) as end:
            self.status = end.status & 0xFF
        except Leave:
            self.status = 0
        except ShellError as error:
            self.report(error)
        yield from self._exit_trap()
        yield from self.flush()
        self.depth -= 1
        self.status &= 0xFF
        return self.status

    def run_script(self, script: Script) -> Program:
        """Run complete commands one after the other, and then complain of bad syntax."""
        for command in script.commands:
            yield from self.run(command)
        if script.error is not None:
            line = "" if self.command_name is None else f"{script.error_line}: "
            *before, last = (f"{line}Syntax error: {each}" for each in script.error.split("\n"))
            for message in before:
                self.complain(message)
            raise ShellError(last)
        return self.status

    def report(self, error: ShellError) -> None:
        """Print an error that ends the shell."""
        if error.named:
            self.complain(error.text)
        else:
            self.print_error(error.text)
        self.status = error.status

    def _exit_trap(self) -> Program:
        action = self.traps.pop("EXIT", None)
        if action:
            status = self.status
            try:
                yield from self.run_script(parse(action))
                self.status = status
            except ShellExit as end:
                self.status = end.status
            except (Return, Leave):
                self.status = status
            except ShellError as error:
                self.report(error)
        return self.status

    def enter(self) -> None:
        """Go one level deeper: into a function, a subshell, a sourced file."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise NotModelled("commands that call each other that deep")

    # --- commands -------------------------------------------------------------------------------

    def run(self, node: Node) -> Program:
        """Run one command and leave its status in `status`."""
        yield from _RUNNERS[type(node)](self, node)
        return self.status

    def _sequence(self, node: Sequence) -> Program:
        if not node.commands:
            self.status = 0
        for command in node.commands:
            yield from _RUNNERS[type(command)](self, command)
        return self.status

    def _tested_run(self, node: Node) -> Program:
        """Run a command whose status is looked at, so that `set -e` leaves it alone."""
        self._tested += 1
        try:
            yield from _RUNNERS[type(node)](self, node)
        finally:
            self._tested -= 1
        return self.status

    def _check(self) -> None:
        """Let `set -e` end the shell."""
        if self.status and "e" in self.options and not self._tested:
            raise ShellExit(self.status)

    def _and_or(self, node: AndOr) -> Program:
        last = len(node.steps) - 1
        for number, (operator, step) in enumerate(node.steps):
            if operator and (self.status == 0) != (operator == "&&"):
                continue
            if number < last:
                yield from self._tested_run(step)
            else:
                yield from self.run(step)
        return self.status

    def _pipeline(self, node: Pipeline) -> Program:
        if len(node.commands) == 1:
            yield from self._tested_run(node.commands[0])
        else:
            yield from self._pipe(node.commands)
        if node.negated:
            self.status = int(self.status == 0)
        else:
            self._check()
        return self.status

    def _pipe(self, nodes: tuple[Node, ...]) -> Program:
        reader = self.fds.get(0)
        failed = 0
        for number, node in enumerate(nodes):
            shell = self.copy()
            if reader is not None:
                shell.fds[0] = reader
            if number == len(nodes) - 2 and _reads_as_it_comes(last := nodes[-1]):
                earlier = yield from self._stream(shell, node, last)
                failed = self.status or earlier or failed
                break
            pipe = PipeBuffer()
            if number < len(nodes) - 1:
                shell.fds[1] = Writer(pipe)
            yield from shell.as_subshell(node)
            self.status = shell.status
            failed = shell.status or failed
            reader = Reader(pipe.content)
        if "pipefail" in self.options:
            self.status = failed
        return self.status

    def _stream(self, writer: Shell, node: Node, last: Simple) -> Program:
        """Run the last two commands of a pipeline at the same time; both leave their status."""
        flow = Flow()
        self.budget.job()
        job = Process(self.guest, last.text)
        reader = self.copy(job)
        reader.fds[0] = FlowReader(flow)
        job.feed(b"")
        job.on_end = flow.break_off
        job.start(_to_the_end(reader, last.text, reader.as_subshell(last)))
        writer.fds[1] = Writer(flow)
        try:
            yield from writer.as_subshell(node)
        finally:
            flow.end()
        yield flow.gone
        self._buffer(2).extend(job.stderr)  # a gap that ended it
        self.status = 127 if job.status is None else job.status & 0xFF
        return writer.status

    def as_subshell(self, node: Node) -> Program:
        """Run a command to its end in this shell, which is a copy made for it."""
        return (yield from self._to_the_end(self.run(node)))

    def substitute(self, script: Script) -> Program:
        """Run `$(...)` and leave what it printed in `substituted`."""
        shell = self.copy()
        pipe = Writer()
        shell.fds[1] = pipe
        yield from shell.as_subshell(
            script.commands[0] if len(script.commands) == 1 else Sequence(script.commands)
        )
        self._substitution_status = shell.status
        self.status = shell.status
        printed = bytes(pipe.buffer).rstrip(b"\n").replace(b"\0", b"")
        self.budget.spend_bytes(len(printed))
        self.substituted = printed.decode("utf-8", "surrogateescape")
        return shell.status

    def _compound(self, node: Compound) -> Program:
        saved = self.fds
        try:
            yield from self._redirect(node.redirections)
            if node.subshell:
                shell = self.copy()
                shell.job_pid = self.job_pid
                running = shell.as_subshell(node.body)
                if self.job_pid:
                    running = shell._known(running, self.job_pid)
                yield from running
                self.status = shell.status
            else:
                yield from self.run(node.body)
            yield from self.flush()
        except ShellError as error:
            if self.fds is not saved:
                raise
            self.report(error)
        finally:
            self.fds = saved
        if node.subshell:
            self._check()
        return self.status

    def _background(self, node: Background) -> Program:
        yield from ()
        self.budget.job()
        job = Process(self.guest, node.text)
        shell = self.copy(job)
        if "m" in self.options:
            shell.options.discard("m")
        else:
            shell.fds[0] = Reader()
            job.group = self.process.group
        shell.pid = self.pid
        job.feed(b"")
        shell.job_pid = job.pid
        shell.execs = isinstance(_only(node.body), Simple)
        running = shell._known(shell.as_subshell(node.body), job.pid)
        job.start(shell._told(job, _to_the_end(shell, node.text, running)))
        ended = Signal()
        job.on_end = ended.fire
        self.jobs[job.pid] = (job, ended)
        self.last_job = str(job.pid)
        self.status = 0
        return 0

    def _told(self, job: Process, program: Program) -> Program:
        """Run a job to its end; a gap that ended it is told where the job's errors go."""
        status = yield from program
        if job.stderr:
            self._buffer(2).extend(job.stderr)
            yield from self.flush()
        return status

    def _if(self, node: If) -> Program:
        for condition, body in node.branches:
            yield from self._tested_run(condition)
            if self.status == 0:
                return (yield from self.run(body))
        if node.otherwise is None:
            self.status = 0
        else:
            yield from self.run(node.otherwise)
        return self.status

    def _while(self, node: While) -> Program:
        status = 0
        self.loops += 1
        try:
            while True:
                self.budget.step()
                try:
                    yield from self._tested_run(node.condition)
                    if (self.status == 0) == node.until:
                        break
                    yield from self.run(node.body)
                    status = self.status
                except Leave as leave:
                    status = 0
                    if self._leaves(leave):
                        break
        finally:
            self.loops -= 1
        self.status = status
        return status

    def _leaves(self, leave: Leave) -> bool:
        """Whether a loop ends because of `break` or `continue` in it."""
        if leave.levels > 1 and self.loops > 1:
            raise Leave(leave.levels - 1, again=leave.again)
        return not leave.again

    def _for(self, node: For) -> Program:
        expansion = Expansion(self)
        yield from expansion.words(node.words)
        self.status = 0
        self.loops += 1
        try:
            for value in expansion.fields:
                self.budget.step()
                self.assign(node.name, value)
                try:
                    yield from self.run(node.body)
                except Leave as leave:
                    self.status = 0
                    if self._leaves(leave):
                        break
        finally:
            self.loops -= 1
        return self.status

    def _case(self, node: Case) -> Program:
        expansion = Expansion(self)
        yield from expansion.one(node.word)
        text = expansion.text
        self.status = 0
        through = False
        for patterns, body, falls in node.branches:
            if not through:
                for pattern in patterns:
                    yield from expansion.pattern(pattern)
                    if matches(compile_pattern(expansion.pieces), text):
                        break
                else:
                    continue
            yield from self.run(body)
            through = falls
            if not falls:
                break
        return self.status

    def _function(self, node: Function) -> Program:
        yield from ()
        self.functions[node.name] = node.body
        self.status = 0
        return 0

    # --- simple commands ------------------------------------------------------------------------

    def _simple(self, node: Simple) -> Program:
        self.budget.step()
        self._substitution_status = None
        values = (yield from self._values(node.assignments)) if node.assignments else []
        if len(node.words) == 1 and node.words[0].plain is not None:
            argv = [node.words[0].plain]
        else:
            expansion = Expansion(self)
            yield from expansion.words(node.words)
            argv = expansion.fields
        saved = self.fds
        if "x" in self.options:
            self._trace(values, argv)
        try:
            if node.redirections:
                try:
                    yield from self._redirect(node.redirections)
                except ShellError as error:
                    if not argv or argv[0] in _SPECIAL:
                        raise
                    self.report(error)
                    self._check()
                    return self.status
            if argv:
                yield from self._call(values, argv)
            else:
                self._assign_all(values)
                self.status = self._substitution_status or 0
            if any(not w.kept for w in self.fds.values() if isinstance(w, Writer)):
                yield from self.flush()
            if self.caught:
                yield from self._run_caught()
        finally:
            if not (argv and argv[0] == "exec"):
                self.fds = saved
        self._check()
        return self.status

    def _values(
        self, assignments: tuple[Assignment, ...]
    ) -> Generator[float | Signal, None, list[tuple[str, str]]]:
        """Expand all assignments before any is made: `a=1 b=$a` sees the old a (evalcommand())."""
        expansion = Expansion(self)
        values = []
        for assignment in assignments:
            yield from expansion.one(assignment.word)
            values.append((assignment.name, expansion.text))
        return values

    def _trace(self, values: list[tuple[str, str]], argv: list[str]) -> None:
        """What `set -x` prints of a command (xtracecommand() in bin/sh/eval.c)."""
        words = [f"{name}={quoted(value)}" for name, value in values]
        words += [quoted(word) for word in argv]
        self.print_error(self.variables.get("PS4", "+ ") + " ".join(words))

    def _assign_all(self, values: list[tuple[str, str]]) -> None:
        for name, value in values:
            self.assign(name, value)

    def _call(self, values: list[tuple[str, str]], argv: list[str]) -> Program:
        """Run a function, builtin or program."""
        name = argv[0]
        if name in _SPECIAL or not values:
            self._assign_all(values)
            return (yield from self.call(argv))
        names = [each for each, _ in values]
        before = [(self.variables.get(each), each in self.exported) for each in names]
        try:
            try:
                self._assign_all(values)
            except ShellError as error:
                self.report(error)
                return self.status
            self.exported.update(names)
            yield from self.call(argv)
        finally:
            for each, (value, exported) in zip(names, before, strict=True):
                self.restore(each, value, exported=exported)
        return self.status

    def restore(self, name: str, value: str | None, *, exported: bool) -> None:
        """Give a variable the value that it had."""
        if value is None:
            self.variables.pop(name, None)
        else:
            self.variables[name] = value
        if not exported:
            self.exported.discard(name)

    def call(self, argv: list[str], *, functions: bool = True) -> Program:
        """Run what `argv` says, and leave its status in `status`."""
        name = argv[0]
        if functions and name not in _SPECIAL and name in self.functions:
            self.status = yield from self._call_function(self.functions[name], argv[1:])
            return self.status
        builtin = self.library.get(name) if functions else None
        if builtin is None:
            builtin = BUILTINS.get(name)
        if builtin is None:
            self.status = yield from self.external(argv)
            return self.status
        before, self.command_name = self.command_name, name
        try:
            result = builtin(self, argv[1:])
            self.status = result if isinstance(result, int) else (yield from result)
        except ShellError as error:
            if name in _SPECIAL and functions:
                self.report(error)
                raise ShellExit(error.status) from None
            self.report(error)
        finally:
            self.command_name = before
        return self.status

    def _call_function(self, body: Node, arguments: list[str]) -> Program:
        saved, self.arguments = self.arguments, arguments
        loops, self.loops = self.loops, 0
        options, getopts = self.options, self.getopts
        self.getopts = (None, -1, "")
        self.locals.append({})
        self.enter()
        try:
            yield from self.run(body)
        except Return as end:
            self.status = end.status
        finally:
            self.depth -= 1
            self.arguments = saved
            self.loops = loops
            self.getopts = getopts
            if self.locals[-1].pop("-", None) is not None:
                self.options = options
            for name, (value, exported) in self.locals.pop().items():
                self.restore(name, value, exported=exported)
        return self.status

    def context(self) -> ShellContext:
        """What a program that this shell starts gets."""
        return ShellContext(
            self.process,
            None,
            self._buffer(1),
            self._buffer(2),
            self.environment(),
            self.directory,
            self.reader,
            self.budget,
            self.depth,
            self.mask,
            self.flush,
        )

    def external(self, argv: list[str]) -> Program:
        """Run a program, and return its status."""
        self.budget.step(_PROGRAM_COST)
        found = find_program(self.guest, argv[0], self.parameter("PATH") or "", self.directory)
        if isinstance(found, str):
            self.complain(f"{argv[0]}: {found}")
            return 127 if found == "not found" else 126
        context = self.context()
        if self.execs:
            context.pid = self.job_pid
        program = found.run(context, argv)
        if all(w.kept for w in self.fds.values() if isinstance(w, Writer)):
            status = yield from program
        else:
            status = yield from self._flushed(program)
        if context.signal:
            self.print_error(DESCRIPTIONS[context.signal - 1])
        return status

    def _flushed(self, program: Program) -> Program:
        """Run a program whose output goes to files, which have it whenever it waits."""
        try:
            while True:
                try:
                    wait = next(program)
                except StopIteration as stop:
                    return int(stop.value)
                yield from self.flush()
                yield wait
        finally:
            program.close()

    # --- redirections ---------------------------------------------------------------------------

    def _redirect(self, redirections: Iterable[Redirection]) -> Program:
        if not redirections:
            return 0
        fds = dict(self.fds)
        expansion = Expansion(self)
        for redirection in redirections:
            yield from expansion.one(redirection.target)
            target = expansion.text
            fd = redirection.fd
            match redirection.operator:
                case "<<" | "<<-":
                    fds[fd] = Reader(target.encode("utf-8", "surrogateescape"))
                case "<&" | ">&":
                    self._duplicate(fds, fd, target)
                case "<" | "<>":
                    fds[fd] = standard(fds, target, Reader) or self._open_to_read(target)
                case operator:
                    writer = standard(fds, target, Writer)
                    if writer is None:
                        if operator == ">" and "C" in self.options:
                            self._refuse_to_clobber(target)
                        writer = yield from self._open_to_write(target, append=operator == ">>")
                    fds[fd] = writer
        self.fds = fds
        return 0

    def _duplicate(self, fds: dict[int, Reader | Writer], fd: int, target: str) -> None:
        if target == "-":
            fds.pop(fd, None)
            return
        source = fds.get(int(target)) if target.isascii() and target.isdigit() else None
        if source is None:
            raise ShellError(f"{target}: Bad file descriptor")
        fds[fd] = source

    def _refuse_to_clobber(self, name: str) -> None:
        entry = entry_or_none(self.guest, posixpath.join(self.directory, name))
        if entry is not None and entry.kind == "file":
            raise ShellError(f"cannot create {name}: File exists")

    def _open_to_read(self, name: str) -> Reader:
        try:
            return open_reader(self.guest, posixpath.join(self.directory, name))
        except FileError as error:
            if error.errno == "EISDIR":
                raise NotModelled(f"reading the directory {name}") from None
            raise ShellError(f"cannot open {name}: {error.reason}") from None

    def _open_to_write(self, name: str, *, append: bool) -> Generator[float | Signal, None, Writer]:
        path = posixpath.join(self.directory, name)
        try:
            return (
                yield from open_writer(self.guest, path, append=append, mode=0o666 & ~self.mask)
            )
        except FileError as error:
            raise ShellError(f"cannot create {name}: {error.reason}") from None


def _only(node: Node) -> Node:
    """The command that a list or a pipeline of one consists of."""
    while isinstance(node, Pipeline | Sequence) and len(node.commands) == 1:
        node = node.commands[0]
    return node


def _reads_as_it_comes(node: Node) -> TypeGuard[Simple]:
    """Whether it is a program that has to run beside the one before it."""
    return isinstance(node, Simple) and any(
        word.plain in commands.READ_AS_IT_COMES for word in node.words[:1]
    )


class _Passing(Writer):
    """A stream that belongs to whoever started this shell, who also takes it to its file."""

    kept = False

    def __init__(self, buffer: bytearray, flush: Callable[[], Changing] | None) -> None:
        super().__init__(buffer)
        self._flush = flush
        self.kept = flush is None

    def flush(self) -> Changing:
        """Have its owner do it."""
        if self._flush is not None:
            yield from self._flush()


Builtin = Callable[[Shell, list[str]], "int | Program"]

BUILTINS: dict[str, Builtin] = {}
"""The commands that are part of the shell."""

_RUNNERS: dict[type, Callable[[Shell, object], Program]] = {
    Simple: Shell._simple,  # type: ignore[dict-item]
    Pipeline: Shell._pipeline,  # type: ignore[dict-item]
    AndOr: Shell._and_or,  # type: ignore[dict-item]
    Background: Shell._background,  # type: ignore[dict-item]
    Sequence: Shell._sequence,  # type: ignore[dict-item]
    Compound: Shell._compound,  # type: ignore[dict-item]
    If: Shell._if,  # type: ignore[dict-item]
    While: Shell._while,  # type: ignore[dict-item]
    For: Shell._for,  # type: ignore[dict-item]
    Case: Shell._case,  # type: ignore[dict-item]
    Function: Shell._function,  # type: ignore[dict-item]
}
