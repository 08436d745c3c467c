"""The programs of the simulated guests, by name. Nothing here ever runs anything on the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Program
from harness.lab.simulated.kernel.process import Process

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest


@dataclass
class Context:
    """What a program gets from whoever started it: its streams, its directory, its environment.

    `stdin` is None when it is that of the whole process, which may not have come yet.
    """

    process: Process
    stdin: bytes | None = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/root"

    @property
    def guest(self) -> Guest:
        """Whose process it is."""
        return self.process.guest

    def print(self, text: str) -> None:
        """Write a line to standard output."""
        self.stdout += text.encode("utf-8", "surrogateescape") + b"\n"

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        self.stderr += text.encode("utf-8", "surrogateescape") + b"\n"

    def read_stdin(self) -> Program:
        """Wait for all of standard input and leave it in `stdin`: `yield from` it."""
        if self.stdin is None:
            yield self.process.stdin_ended
            self.stdin = self.process.stdin
        return 0

    def path(self, name: str) -> str:
        """An absolute path for a name that may be relative to the directory."""
        return name if name.startswith("/") else f"{self.directory.rstrip('/')}/{name}"


Command = Callable[[Context, list[str]], "int | Program"]
"""A program: gets its arguments without its own name; returns its status, or is a generator."""

COMMANDS: dict[str, Command] = {}
"""Every program that the model knows, by its name without a path."""

READ_AS_IT_COMES: set[str] = set()
"""Those that have to run beside the program whose output they read: it waits for them."""


def command(*names: str, reads_as_it_comes: bool = False) -> Callable[[Command], Command]:
    """Register a program under its names."""

    def register(function: Command) -> Command:
        for name in names:
            COMMANDS[name] = function
        if reads_as_it_comes:
            READ_AS_IT_COMES.update(names)
        return function

    return register


def run(context: Context, name: str, arguments: list[str]) -> Program:
    """Run a program that is in COMMANDS: `status = yield from run(...)`.

    Starting a program takes a little virtual time, a different one each time.
    """
    yield context.guest.rng.uniform(0.005, 0.02)
    result = COMMANDS[name](context, arguments)
    return result if isinstance(result, int) else (yield from result)
