"""Running a program of the host that must end: every call has a deadline, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

from harness.errors import LabError, MissingTool
from harness.waiting.wait import Deadline

ENGLISH = {"LC_ALL": "C.UTF-8", "LANGUAGE": ""}
"""Answers are parsed, and quoted in errors, so they must not depend on the user's language."""

LAST_LINES = 15
"""How much of a failed program's output an error shows."""

_DEATH_SECONDS = 10.0
"""A killed program is gone within this, unless it hangs in the kernel."""


def run(
    argv: Sequence[str],
    *,
    within: float,
    env: Mapping[str, str] = MappingProxyType({}),
    cwd: Path | None = None,
    log: Path | None = None,
    capture: bool = True,
    node: str | None = None,
    advice: str | None = None,
) -> str:
    """Run a program to its end, `within` seconds before the time scale; return its output.

    `env` is added to the harness's own environment. With `log`, the command line and all that the
    program says go to the end of that file; with `capture` False its standard output goes there as
    it comes, and is not returned.

    Raises `LabError` with the last lines of its output when it ends with a non-zero status, or when
    the deadline expires: then the program and everything it started are killed first. Raises
    `MissingTool` when there is no such program.
    """
    deadline = Deadline.after(within)
    command = shlex.join(argv)
    # Files and not pipes: a pipe stays open, and a reader waits, as long as any descendant lives.
    with contextlib.ExitStack() as stack:
        errors: IO[bytes] = stack.enter_context(_file(log))
        errors.write(f"\n$ {command}\n".encode())
        errors.flush()
        start = errors.tell()
        output = stack.enter_context(_file(None)) if capture else errors
        # A session of its own: the terminal's Ctrl-C reaches the harness, which then ends it.
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=os.environ | ENGLISH | dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise MissingTool(f"there is no {argv[0]} on this host", advice=advice) from None
        try:
            status: int | None = process.wait(deadline.remaining)
        except subprocess.TimeoutExpired:
            kill_family(process)
            status = None
        except BaseException:
            kill_family(process)
            raise
        said = _text_from(errors, start)
        answer = _text_from(output, 0) if capture else ""
        if log and answer:
            errors.write(answer.encode())
    if status == 0:
        return answer
    what = (
        f"`{command}` did not end within {deadline.within:.0f} s and was killed"
        if status is None
        else f"`{command}` ended with status {status}"
    )
    lines = _last_lines(answer + said)
    what += "; it said:\n" + "\n".join(f"  {line}" for line in lines) if lines else " and silence"
    raise LabError(what, node=node, advice=advice)


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that `run` started, and all that it started itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_DEATH_SECONDS)


def _last_lines(text: str) -> list[str]:
    """The last ones, each once: what waits for a machine may say the same a hundred times."""
    backwards = dict.fromkeys(line for line in reversed(text.splitlines()) if line.strip())
    return list(backwards)[:LAST_LINES][::-1]


def _file(path: Path | None) -> IO[bytes]:
    return path.open("a+b") if path else tempfile.TemporaryFile()


def _text_from(file: IO[bytes], start: int) -> str:
    file.seek(start)
    return file.read().decode("utf-8", "replace")
