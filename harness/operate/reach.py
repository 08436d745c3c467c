"""Reaching a node of a pair that is up: ssh(1) with the lab's key, and the serial console."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from harness.errors import HarnessError, LabError
from harness.lab import console
from harness.operate.kept import Kept
from harness.record.outgoing import printable

if TYPE_CHECKING:
    from harness.cluster.node import Node

_LOOK_AGAIN = 0.2
"""Seconds between two looks at a console that is followed."""


@dataclass(frozen=True)
class Reached:
    """Where a node is reached from this host."""

    name: str
    host: str
    port: int
    user: str
    key: Path
    host_key: str | None
    mark: str | None

    @classmethod
    def of(cls, node: Node, mark: str | None) -> Reached:
        """As the keeper reaches it.

        Raises `LabError` when the machine does not run or has no address.
        """
        if (power := node.machine.power()) != "running":
            raise LabError(
                f"no SSH: its power is {power}",
                node=node.name,
                advice="`skunk heal` brings it back",
            )
        at = node.reached_at()
        return cls(
            name=node.name,
            host=at.host,
            port=at.port,
            user=at.user,
            key=at.key.absolute(),
            host_key=at.host_key,
            mark=mark,
        )

    @classmethod
    def read(cls, said: dict[str, Any]) -> Reached:
        """What `as_dict` made."""
        return cls(**said | {"key": Path(said["key"])})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"key": str(self.key)}


@dataclass(frozen=True)
class SerialConsole:
    """Where on this host the file is that has what a node said on its serial console."""

    name: str
    path: Path

    @classmethod
    def read(cls, said: dict[str, Any]) -> SerialConsole:
        """What `as_dict` made."""
        return cls(said["name"], Path(said["path"]))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "path": str(self.path)}


def reached(kept: Kept, name: str) -> Reached:
    """One node, as its keeper reaches it; the other is not asked for anything.

    Raises `LabError` when the pair is not up, or this node does not run.
    """
    return Reached.read(kept.ask("reach", node=name))


def serial_console(kept: Kept, name: str) -> SerialConsole:
    """The console of a node, which may be dead. Raises `LabError` when the pair is not up."""
    return SerialConsole.read(kept.ask("console", node=name))


def ssh_command(kept: Kept, node: Reached, command: Sequence[str]) -> list[str]:
    """The command line of ssh(1) to a node, which knows its host key and takes no other.

    As with ssh itself the words of `command` are joined by spaces and read by the login shell. A
    user who is not root becomes root by sudo(8). Raises `LabError` where no host key is known, and
    for a terminal on a node that has none.
    """
    if node.host_key is None:
        raise LabError(
            "its host key is not known yet", node=node.name, advice="`skunk status` asks it"
        )
    if not command and node.mark is not None:
        raise LabError(
            "a simulated node has no terminal",
            node=node.name,
            advice=f"give a command: `skunk ssh {node.name} hastctl status`",
        )
    words = ["ssh", "-F", str(_config_of(kept))]
    if node.user == "root":
        return [*words, node.name, *command]
    if not command:
        return [*words, "-t", node.name, "sudo -i"]
    return [*words, node.name, f"sudo -n /bin/sh -c {shlex.quote(' '.join(command))}"]


def write_config(kept: Kept, nodes: Collection[Reached]) -> None:
    """Write an ssh_config(5) with these nodes by name, for scp(1) and other programs too.

    Whoever reads it meanwhile sees all of the old one or all of the new one.
    """
    known_hosts = kept.folder.path / "known_hosts"
    known = [node for node in nodes if node.host_key is not None]
    _replace(known_hosts, [f"{node.name} {node.host_key}" for node in known])
    lines = []
    for node in known:
        lines += [
            f"Host {node.name}",
            f"  HostName {node.host}",
            f"  HostKeyAlias {node.name}",
            f"  Port {node.port}",
            f"  User {node.user}",
            f'  IdentityFile "{node.key}"',
        ]
    lines += [
        "Host *",
        "  IdentitiesOnly yes",
        "  BatchMode yes",
        "  StrictHostKeyChecking yes",
        f'  UserKnownHostsFile "{known_hosts}"',
        "  GlobalKnownHostsFile /dev/null",
        "  ConnectTimeout 10",
        "  ServerAliveInterval 5",
        "  LogLevel ERROR",
    ]
    _replace(_config_of(kept), lines)


def _config_of(kept: Kept) -> Path:
    return kept.folder.path / "ssh_config"


def _replace(path: Path, lines: Sequence[str]) -> None:
    new = path.with_suffix(".new")
    new.write_text("".join(f"{line}\n" for line in lines))
    new.replace(path)


def show_console(
    node: SerialConsole, output: TextIO = sys.stdout, lines: int | None = None
) -> None:
    """Write what a node has said on its console, or the last lines of it."""
    text = console.read(node.path)
    if lines is not None:
        text = "".join(text.splitlines(keepends=True)[-lines:]) if lines else ""
    output.write(_shown(text if text.endswith("\n") or not text else text + "\n", output))
    output.flush()


def follow_console(
    node: SerialConsole, kept: Kept, output: TextIO = sys.stdout, lines: int | None = None
) -> None:
    """The same, and what it says from now on, until the pair goes down."""
    seen = console.size(node.path)
    show_console(node, output, lines)
    never = threading.Event()
    while True:
        try:
            kept.ask("tick")  # so that virtual time passes while somebody watches
        except HarnessError:
            return  # the pair is down
        never.wait(_LOOK_AGAIN)
        size = console.size(node.path)
        if size < seen:
            seen = 0  # VirtualBox starts the file anew with the machine
        if size > seen:
            text = console.read(node.path, seen)
            output.write(_shown(text, output))
            output.flush()
            seen = size


def _shown(text: str, output: TextIO) -> str:
    """A terminal is not to do what a node says; a file gets the console as it is."""
    return printable(text) if output.isatty() else text
