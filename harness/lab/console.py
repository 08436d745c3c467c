"""Reading a machine's serial console: its last lines, and whether the kernel panicked."""

from __future__ import annotations

import re
from pathlib import Path

_PANIC = re.compile(
    r"^(?:panic: |Fatal trap \d+|Fatal double fault|KDB: enter: panic|Kernel panic - not syncing)",
    re.MULTILINE,
)
"""FreeBSD: sys/kern/kern_shutdown.c (`panic: `) and sys/amd64/amd64/trap.c (`Fatal trap`).
The last one is Linux's, for the small guest of the plumbing tests."""

_AFTER_PANIC = 40
"""Lines kept from a panic on: the message, the registers and a backtrace."""


def size(console: Path) -> int:
    """How many bytes the console has so far; 0 before the machine's first power-on."""
    return console.stat().st_size if console.exists() else 0


def read(console: Path, since: int = 0) -> str:
    """The console's text from byte `since` on, carriage returns and escape sequences removed."""
    if not console.exists():
        return ""
    with console.open("rb") as file:
        file.seek(since)
        text = file.read().decode("utf-8", "replace")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


def tail(console: Path, lines: int = 15) -> str:
    """The last `lines` lines that are not empty, as an error shows them."""
    kept = [line for line in read(console).splitlines() if line.strip()]
    return "\n".join(kept[-lines:]) or "(the console is empty)"


def find_panic(console: Path, since: int = 0) -> str | None:
    """The text of the first kernel panic after byte `since`, or None."""
    text = read(console, since)
    found = _PANIC.search(text)
    if found is None:
        return None
    return "\n".join(text[found.start() :].splitlines()[:_AFTER_PANIC])
