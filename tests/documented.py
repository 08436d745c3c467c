"""The examples of a document, as a reader would type them."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect

from harness.config import paths

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
        self.environment = {**os.environ, "PATH": path, "TERM": "xterm", **environment}

    def types(self, line: str, within: float = 120) -> str:
        """Run a line by sh(1) and return all that it printed. It has to end with 0.

        What refreshes itself until Ctrl-C is interrupted once it has shown something.
        """
        shown: pexpect.spawn[str] = pexpect.spawn(
            "/bin/sh",
            # Ctrl-C would end this shell, and not a person's.
            ["-c", f"exec {line}" if "--watch" in line else line],
            cwd=str(paths.PROJECT),
            env=self.environment,
            timeout=within,
            encoding="utf-8",
            dimensions=(50, 120),
            # A job in the background of a shell ignores Ctrl-C, and so do its children.
            preexec_fn=_listen_to_ctrl_c,
        )
        said = ""
        try:
            if "--watch" in line:
                shown.expect("asked in")
                said = str(shown.before)
                shown.sendintr()
            shown.expect(pexpect.EOF)
        finally:
            shown.close()
        said = (said + str(shown.before)).replace("\r\n", "\n")
        assert shown.exitstatus == 0, f"$ {line}\n{said}\nended with {shown.exitstatus}"
        return said


def _listen_to_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
