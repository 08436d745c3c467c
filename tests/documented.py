"""The examples of a document, as a reader would type them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect

from harness import paths

COMMAND_LINE = paths.PROJECT / "docs" / "command-line.md"

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def examples(document: Path) -> dict[str, list[str]]:
    """The lines of all blocks of sh(1), comments and all, by the section that they are in."""
    _, *parts = _SECTION.split(document.read_text())
    found = {
        title: [line for block in _BLOCK.findall(text) for line in block.splitlines() if line]
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return {title: lines for title, lines in found.items() if lines}


class Reader:
    """Somebody at a terminal, with `skunk` in the PATH."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is added to this process's own."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "120", **environment}

    def types(self, line: str, within: float = 120) -> str:
        """Run a line by sh(1) and return all that it printed. It has to end with 0.

        What refreshes itself until Ctrl-C is interrupted once it has shown something.
        """
        if "--watch" in line:
            return self._watches(line, within)
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=paths.PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}ended with {done.returncode}"
        return done.stdout

    def _watches(self, line: str, within: float) -> str:
        shown = pexpect.spawn(
            "/bin/sh",
            [
                "-c",
                f"exec {line}",
            ],  # an interactive shell lives on after Ctrl-C, and this one would not
            cwd=str(paths.PROJECT),
            env={**self.environment, "TERM": "xterm"},
            timeout=within,
            encoding="utf-8",
            dimensions=(50, 120),
            # A job in the background of a shell ignores Ctrl-C, and so do its children.
            preexec_fn=_listen_to_ctrl_c,
        )
        try:
            shown.expect("asked in")
            said = str(shown.before)
            shown.sendintr()
            shown.expect(pexpect.EOF)
        finally:
            shown.close()
        assert shown.exitstatus == 0, f"$ {line}\n{said}{shown.before}\nended {shown.exitstatus}"
        return said


def _listen_to_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
