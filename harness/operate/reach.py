"""Reaching a node of a pair that is up: ssh(1) with the lab's key, and the serial console."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from harness import console
from harness.errors import LabError
from harness.operate.kept import Kept
from harness.outgoing import printable

if TYPE_CHECKING:
    from harness.node import Node

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
    console: Path
    mark: str | None

    @classmethod
    def of(cls, node: Node, mark: str | None) -> Reached:
        """As the keeper reaches it. Raises `LabError` when the machine has no address."""
        at = node.reached_at()
        return cls(
            name=node.name,
            host=at.host,
            port=at.port,
            user=at.user,
            key=at.key.absolute(),
            host_key=at.host_key,
            console=node.machine.console.absolute(),
            mark=mark,
        )

    @classmethod
    def read(cls, said: dict[str, Any]) -> Reached:
        """What `as_dict` made."""
        return cls(**said | {"key": Path(said["key"]), "console": Path(said["console"])})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"key": str(self.key), "console": str(self.console)}


def all_reached(kept: Kept) -> dict[str, Reached]:
    """Both nodes by name. Raises `LabError` when the pair is not up."""
    found = [Reached.read(each) for each in kept.ask("reach")]
    return {each.name: each for each in found}


def ssh_command(
    kept: Kept, nodes: dict[str, Reached], name: str, command: Sequence[str]
) -> list[str]:
    """The command line of ssh(1) to a node, which knows both host keys and takes no other.

    As with ssh itself the words of `command` are joined by spaces and read by the login shell. A
    user who is not root becomes root by sudo(8). Raises `LabError` where no host key is known, and
    for a terminal on a node that has none.
    """
    node = nodes[name]
    if node.host_key is None:
        raise LabError("its host key is not known yet", node=name, advice="`skunk status` asks it")
    if not command and node.mark is not None:
        raise LabError(
            "a simulated node has no terminal",
            node=name,
            advice=f"give a command: `skunk ssh {name} hastctl status`",
        )
    words = ["ssh", "-F", str(_write_config(kept, nodes))]
    if node.user == "root":
        return [*words, name, *command]
    if not command:
        return [*words, "-t", name, "sudo -i"]
    return [*words, name, f"sudo -n /bin/sh -c {shlex.quote(' '.join(command))}"]


def _write_config(kept: Kept, nodes: dict[str, Reached]) -> Path:
    """An ssh_config(5) with both nodes by name, for scp(1) and other programs too."""
    known_hosts = kept.folder.path / "known_hosts"
    known = [node for node in nodes.values() if node.host_key is not None]
    known_hosts.write_text("".join(f"{node.name} {node.host_key}\n" for node in known))
    config = kept.folder.path / "ssh_config"
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
    config.write_text("\n".join(lines) + "\n")
    return config


def show_console(node: Reached, output: TextIO = sys.stdout, lines: int | None = None) -> None:
    """Write what a node has said on its console, or the last lines of it."""
    text = console.read(node.console)
    if lines is not None:
        text = "".join(text.splitlines(keepends=True)[-lines:])
    output.write(_shown(text if text.endswith("\n") or not text else text + "\n", output))
    output.flush()


def follow_console(
    node: Reached, kept: Kept, output: TextIO = sys.stdout, lines: int | None = None
) -> None:
    """The same, and what it says from now on, until the pair goes down."""
    seen = console.size(node.console)
    show_console(node, output, lines)
    never = threading.Event()
    while kept.is_up:
        kept.ask("tick")  # so that virtual time passes while somebody watches
        never.wait(_LOOK_AGAIN)
        size = console.size(node.console)
        if size < seen:
            seen = 0  # VirtualBox starts the file anew with the machine
        if size > seen:
            text = console.read(node.console, seen)
            output.write(_shown(text, output))
            output.flush()
            seen = size


def _shown(text: str, output: TextIO) -> str:
    """A terminal is not to do what a node says; a file gets the console as it is."""
    return printable(text) if output.isatty() else text
