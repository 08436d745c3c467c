"""awk(1): its options, and what its programs ask of the guest."""

from __future__ import annotations

from collections.abc import Generator

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.shell.interpreter import ProgramNotFound, as_shell_context, execute
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.streams import Reader, open_writer
from harness.lab.simulated.shell.tool import content, mask_of
from harness.lab.simulated.tools.text.awk_run import Fault, Interpreter, is_assignment
from harness.lab.simulated.tools.text.awk_syntax import parse, unescape
from harness.lab.simulated.tools.text.awk_values import Array, from_input

_USAGE = "usage: awk [-F fs] [-v var=value] [-f progfile | 'prog'] [file ...]"
_VERSION = "awk version 20210215"


def _bytes(text: str) -> str:
    """A text of the command line as awk reads it: each byte one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _name(text: str) -> str:
    """What awk means by a name or a command line."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


@command("awk", "nawk")
def awk(context: Context, arguments: list[str]) -> Program:
    """awk(1), one-true-awk 20210215 as in 13.2."""
    if not arguments:
        context.complain(_USAGE)
        return 1
    words = [_bytes(each) for each in arguments]
    separator: str | None = None
    assigned: list[str] = []
    files: list[str] = []
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        if word in {"-version", "--version"}:
            context.print(_VERSION)
            return 0
        letter, value = word[1], word[2:]
        if letter not in "fFv" or word == "-safe":
            raise NotModelled(f"awk {word}")
        if not value:
            if not words:
                what = {"f": "program filename", "F": "field separator", "v": "variable name"}
                context.complain(f"awk: no {what[letter]}")
                return 2
            value = words.pop(0)
        if letter == "f":
            files.append(value)
        elif letter == "F":
            separator = "\t" if value == "t" else unescape(value)
        elif is_assignment(value):
            assigned.append(value)
        else:
            context.complain(f"awk: invalid -v option argument: {value}\n")
            return 2
    return (yield from _run(context, words, files, assigned, separator))


def _run(
    context: Context, words: list[str], files: list[str], assigned: list[str], separator: str | None
) -> Program:
    if not files and not words:
        context.complain("awk: no program given\n")
        return 2
    if files:
        texts = []
        for name in files:
            try:
                texts.append((yield from content(context, _name(name))).decode("latin-1"))
            except FileError:
                shown = _name(name)
                context.complain(
                    f"awk: can't open file {shown}\n source line number 1 source file {shown}"
                )
                return 2
        text = "\n".join(texts)
    else:
        text = words.pop(0)
    script = parse(text)
    running = Interpreter(script, _World(context), ["awk", *words])
    environment = Array()
    for name, value in context.environment.items():
        environment.set(_bytes(name), from_input(_bytes(value)))
    running.globals["ENVIRON"] = environment
    for word in assigned:
        running.assign_text(word)
    if separator is not None:
        running.globals["FS"] = separator
    try:
        return (yield from running.run())
    except Fault as fault:
        context.stderr += f"awk: {running.fault(fault)}\n".encode("latin-1", "replace")
        return 2


class _World:
    """The guest, as awk sees it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shell = context if isinstance(context, ShellContext) else as_shell_context(context)

    def step(self) -> None:
        self._shell.budget.step()

    def write(self, data: bytes) -> None:
        self._context.stdout += data

    def now(self) -> float:
        return self._context.guest.wall_clock()

    def read(self, name: str) -> Generator[float | Signal, None, bytes | None]:
        name = "-" if name == "/dev/stdin" else _name(name)
        try:
            return (yield from content(self._context, name))
        except FileError as error:
            if error.errno == "EISDIR":
                raise NotModelled("awk: reading a directory") from None
            return None

    def append(self, name: str, data: bytes, *, anew: bool) -> Program:
        context = self._context
        if name == "/dev/stderr":
            context.stderr += data
            return 0
        try:
            writer = yield from open_writer(
                context.guest,
                context.path(_name(name)),
                append=not anew,
                mode=0o666 & ~mask_of(context),
            )
        except FileError:
            return 1
        writer.buffer += data
        yield from writer.flush()
        return 0

    def system(self, command: str) -> Program:
        return (yield from self._sh(command, None, self._context.stdout))

    def output_of(self, command: str) -> Generator[float | Signal, None, bytes]:
        printed = bytearray()
        yield from self._sh(command, None, printed)
        return bytes(printed)

    def feed(self, command: str, data: bytes) -> Program:
        return (yield from self._sh(command, data, self._context.stdout))

    def _sh(self, line: str, data: bytes | None, stdout: bytearray) -> Program:
        """Run a command line as system(3) and popen(3) do."""
        context = as_shell_context(self._shell)
        context.stdout = stdout
        if data is not None:
            context.reader = Reader(data)
        if stdout is not self._context.stdout:
            context.flush = None
        try:
            return (yield from execute(context, ["/bin/sh", "-c", _name(line)]))
        except ProgramNotFound:
            return 127
