"""What a shell has: its variables, options and streams, and what its command line may use up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell.language.parser import (
    Script,
)
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.shell.streams import (
    MOST_BYTES,
    Changing,
    Reader,
    Writer,
)

STEPS = 100_000
"""Commands that one command line may run in all before the model gives up."""


ENVIRONMENT = {
    "LOGNAME": "root",
    "LANG": "C.UTF-8",
    "MAIL": "/var/mail/root",
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/root/bin",
    "PWD": "/root",
    "TERM": "su",
    "HOME": "/root",
    "USER": "root",
    "SHELL": "/bin/sh",
    "MM_CHARSET": "UTF-8",
    "BLOCKSIZE": "K",
}
"""What sshd(8) and login.conf(5) give root (recorded on 13.2), without SSH_CLIENT and the like."""


_OPTION_ORDER = "efIimnsxvVEabupTPh"
"""In which `$-` names the options."""


class Budget:
    """What one command line may use up, with all that it starts."""

    def __init__(self) -> None:
        self.steps = STEPS
        self.bytes = 4 * MOST_BYTES
        self.jobs = 500

    def step(self, cost: int = 1) -> None:
        """Count a command, or what costs as much as several."""
        self.steps -= cost
        if self.steps < 0:
            raise NotModelled(f"more than {STEPS} steps in one command line")

    def spend_bytes(self, count: int) -> None:
        """Count what an expansion made."""
        self.bytes -= count
        if self.bytes < 0:
            raise NotModelled("expansions of that size")

    def job(self) -> None:
        """Count a process."""
        self.jobs -= 1
        if self.jobs < 0:
            raise NotModelled("that many processes of one command line")


@dataclass
class ShellContext(Context):
    """What a program gets from the shell, with what it takes to run another program."""

    reader: Reader = field(default_factory=Reader)
    budget: Budget = field(default_factory=Budget)
    depth: int = 0
    mask: int = 0o022
    flush: Callable[[], Changing] | None = None
    signal: int = 0
    """The signal that ended the program, which the shell that waits for it reports."""
    pid: int = 0
    """The process that the program is the whole of, if it is: a shell has its id then."""

    def read_stdin(self) -> Program:
        """Wait for all of standard input and leave it in `stdin`."""
        if self.stdin is None:
            self.stdin = yield from self.reader.take()
        return 0


class _Variables(dict[str, str]):
    """A shell's variables as arithmetic sees them."""

    def __init__(self, shell: ShellState) -> None:
        super().__init__()
        self._shell = shell

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> str:
        return self._shell.parameter(name) or ""

    def __setitem__(self, name: str, value: str) -> None:
        self._shell.assign(name, value)


class ShellError(Exception):
    """An error that ends a shell that is not interactive; the text is what it prints."""

    def __init__(self, text: str, status: int = 2, *, named: bool = True) -> None:
        """Unless `named`, it is printed without the name of who complains."""
        super().__init__(text)
        self.text = text
        self.status = status
        self.named = named


class ShellState(ABC):
    """One shell as its parts know it: variables, options, descriptors."""

    def __init__(self, process: Process, guest: Guest, name: str) -> None:
        """A login shell of root without descriptors."""
        self.process = process
        self.guest = guest
        self.name = name
        """$0, and what its messages begin with."""
        self.command_name: str | None = None
        """A script's path, which messages begin with instead, and builtins while they run."""
        self.pid = process.pid
        self.variables = {**ENVIRONMENT, "OPTIND": "1"}
        self.exported = set(ENVIRONMENT)
        self.read_only: set[str] = set()
        self.arguments: list[str] = []
        self.options: set[str] = set()
        self.directory = "/root"
        self.mask = 0o022
        self.traps: dict[str, str] = {}
        self.status = 0
        self.last_job = ""
        self.jobs: dict[int, tuple[Process, Signal]] = {}
        self.locals: list[dict[str, tuple[str | None, bool]]] = []
        self.loops = 0
        self.getopts: tuple[tuple[str, ...] | None, int, str] = (None, -1, "")
        """The words of getopts if not `$@`, the next one (-1: from the start), the rest of one."""
        self.fds: dict[int, Reader | Writer] = {}
        self.budget = Budget()
        self.depth = 0
        self.caught: list[str] = []
        """Signals that came from others and have a trap, which runs after the command."""
        self.woken: Signal | None = None
        """What it waits for in `wait`, which a caught signal ends."""
        self.job_pid = 0
        """Its process, if that was made for it by `&`."""
        self.execs = False
        """Whether the one program of that process takes its place."""
        self.title = ""
        """As ps(1) shows it, if it is a script or a shell within a process."""
        self.origin: ShellContext | None = None
        """How it was started, if it is a program of another shell."""
        self.substituted = ""
        """What the last command substitution has printed."""

    # --- state ----------------------------------------------------------------------------------

    @property
    def separators(self) -> str:
        """IFS."""
        return self.variables.get("IFS", " \t\n")

    def catches(self, name: str) -> bool:
        """Whether a signal from another process is ignored, or noted for its trap."""
        action = self.traps.get(name)
        if action is None:
            return False
        if action:
            self.caught.append(name)
            if self.woken is not None:
                self.woken.fire()
        return True

    def parameter(self, name: str) -> str | None:
        """The value of a variable, positional or special parameter, or None when unset."""
        value = self.variables.get(name)
        if value is not None:
            return value
        if name.isascii() and name.isdigit():
            number = int(name) if len(name) < 9 else len(self.arguments) + 1
            if number == 0:
                return self.name
            return self.arguments[number - 1] if number <= len(self.arguments) else None
        special = {
            "@": " ".join(self.arguments) if self.arguments else None,
            "*": " ".join(self.arguments) if self.arguments else None,
            "#": str(len(self.arguments)),
            "?": str(self.status),
            "$": str(self.pid),
            "!": self.last_job,
            "-": "".join(letter for letter in _OPTION_ORDER if letter in self.options),
            "PPID": "1",
        }
        return special.get(name)

    def assign(self, name: str, value: str) -> None:
        """Set a variable. Raises `ShellError` when it is read-only."""
        if name in self.read_only:
            raise ShellError(f"{name}: is read only")
        if not (name[:1].isalpha() or name[:1] == "_"):
            raise ShellError(f"{name}: bad variable name")
        self.budget.spend_bytes(len(value))
        self.variables[name] = value
        if name == "OPTIND" and value.lstrip("0") == "1":
            self.getopts = (None, -1, "")
        if "a" in self.options:
            self.exported.add(name)

    def settable(self) -> MutableMapping[str, str]:
        """The variables, for arithmetic."""
        return _Variables(self)

    def environment(self) -> dict[str, str]:
        """What programs get."""
        exported = self.exported
        return {name: value for name, value in self.variables.items() if name in exported}

    def complain(self, text: str) -> None:
        """Write a message to standard error, as the shell or the builtin that runs."""
        self.print_error(f"{self.command_name or self.name}: {text}")

    def print(self, text: str) -> None:
        """Write a line to standard output."""
        self._buffer(1).extend(text.encode("utf-8", "surrogateescape") + b"\n")

    def print_error(self, text: str) -> None:
        """Write a line to standard error."""
        self._buffer(2).extend(text.encode("utf-8", "surrogateescape") + b"\n")

    def write(self, data: bytes) -> None:
        """Write bytes to standard output."""
        self._buffer(1).extend(data)

    def _buffer(self, fd: int) -> bytearray:
        writer = self.fds.get(fd)
        return writer.buffer if isinstance(writer, Writer) else bytearray()

    @property
    def reader(self) -> Reader:
        """Standard input."""
        reader = self.fds.get(0)
        return reader if isinstance(reader, Reader) else Reader()

    def flush(self) -> Changing:
        """Take what was written to the files that are open."""
        for writer in self.fds.values():
            if isinstance(writer, Writer) and (not writer.kept or len(writer.buffer) > MOST_BYTES):
                before = writer.copied
                try:
                    yield from writer.flush()
                    self.budget.spend_bytes((writer.copied - before) // 16)
                except FileError as error:
                    writer.buffer.clear()
                    self.complain(f"write error: {error.reason}")
                    self.status = 1

    @abstractmethod
    def substitute(self, script: Script) -> Program:
        """Run a command substitution; what it prints is in `substituted`."""
