"""The processes of a guest, as ps(1) and pgrep(1) see them."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest


@dataclass(frozen=True)
class Row:
    """One process."""

    pid: int
    parent: int
    terminal: str
    state: str
    title: str
    """With its arguments."""
    name: str
    """Without."""
    time: str = "0:00.01"
    """Made up."""
    user: str = "root"
    ancestor: bool = False
    """Whether the command that asks comes from it: pgrep(1) leaves those out."""
    group: int = 0
    """The process group."""
    started: float = 0.0
    """In virtual time."""

    @property
    def arguments(self) -> str:
        """The process's own, as pgrep(1) has them; ps(1) adds the name to a title that it set.

        A process of the kernel has none, and is known by its name.
        """
        if self.title.startswith("["):
            return self.name
        return self.title.removesuffix(f" ({self.name})")


_KERNEL = (
    *((0, "DLs", "kernel"), (2, "DL", "KTLS"), (3, "DL", "crypto"), (4, "DL", "cam")),
    *((5, "DL", "rand_harvestq"), (6, "DL", "pagedaemon"), (7, "DL", "vmdaemon")),
    *((8, "DL", "bufdaemon"), (9, "DL", "vnlru"), (10, "DL", "audit"), (11, "RNL", "idle")),
    *((12, "WL", "intr"), (13, "DL", "geom"), (14, "DL", "sequencer 00"), (15, "DL", "syncer")),
)
"""As on the running guests (13.2)."""


def rows(guest: Guest, asking: int) -> list[Row]:
    """All processes by their ids. `asking` is the id of the command that wants to know."""
    found = [
        Row(pid, 0, " - ", state, f"[{name}]", name, ancestor=pid == 0)
        for pid, state, name in _KERNEL
    ]
    found.append(Row(1, 0, " - ", "ILs", "/sbin/init", "init", ancestor=True))
    sshd = next((p for p, d in guest.daemons.items() if d.title.startswith("sshd:")), 1)
    for pid, daemon in guest.daemons.items():
        state = "Ts" if daemon.stopped else "Ss"
        name = posixpath.basename(daemon.title.split()[0]).rstrip(":")
        found.append(
            Row(
                *(pid, daemon.parent, " - ", state, daemon.title, name),
                user=daemon.user,
                ancestor=pid == sshd,
                group=daemon.group,
            )
        )
    for pid, process in guest.processes.items():
        shell = guest.shells.get(pid)
        title = shell.title if shell is not None and shell.title else process.title
        title = title.removeprefix("exec ")  # sh(1) has given its place to the program
        name = posixpath.basename((title.split() or ["sh"])[0])
        found.append(
            Row(
                *(pid, sshd, " - ", "Ss", title, name),
                ancestor=pid == asking,
                group=process.group,
                started=process.started,
            )
        )
    for pid, shell in guest.shells.items():
        if shell.title and pid not in guest.processes:
            owner = shell.process
            found.append(
                Row(
                    *(pid, owner.pid, " - ", "S", shell.title, "sh"),
                    ancestor=owner.pid == asking,
                    group=owner.group,
                    started=owner.started,
                )
            )
    for pid, line in guest.terminals.items():
        kind = "3wire" if line == "u0" else "Pc"
        title = f"/usr/libexec/getty {kind} tty{line}"
        found.append(Row(pid, 1, f"{line} ", "Is+", title, "getty", group=pid))
    return sorted(found, key=lambda row: row.pid)


_RISKY = re.compile(r"[*+}?]\)[*+{?]")
_LONGEST = 200


def matching(
    found: list[Row],
    patterns: list[str],
    *,
    whole: bool,
    full: bool,
    ignore_case: bool = False,
) -> list[Row]:
    """The rows that an extended regular expression finds, by name or (`full`) by arguments."""
    expressions = []
    for pattern in patterns:
        if len(pattern) > _LONGEST or _RISKY.search(pattern):
            raise NotModelled("a regular expression like that")
        try:
            expressions.append(re.compile(pattern, re.IGNORECASE if ignore_case else 0))
        except (re.error, OverflowError) as error:
            raise NotModelled(f"the regular expression {pattern}") from error
    chosen = []
    for row in found:
        text = row.arguments[:_LONGEST] if full else row.name
        if any(e.fullmatch(text) if whole else e.search(text) for e in expressions):
            chosen.append(row)
    return chosen
