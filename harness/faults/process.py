"""Faults of hastd's processes: killed, or stopped in the middle of what they do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from harness.cluster.healing import fault
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed
from harness.freebsd import hast
from harness.waiting.wait import wait_until

PID_FILE = "/var/run/hastd.pid"
"""Written by daemon(8), under which hastd runs here (provision/hastd.rc.conf)."""

Signal = Literal["TERM", "KILL", "STOP", "CONT", "SEGV"]


def hastd_pid(node: Node) -> int:
    """The process ID of hastd itself, the parent of its workers. Raises `CommandFailed`."""
    return int(node.run("pgrep", "-F", PID_FILE).stdout.strip())


def worker_pid(pair: Pair, node: Node) -> int:
    """The process ID of the resource's worker. Raises `ClaimFailed` in role init: it has none."""
    pid = pair.info(node).workerpid
    if pid is None:
        raise ClaimFailed("hastd has no worker for the resource", node=node.name)
    return pid


def send_signal(node: Node, pid: int, signal: Signal) -> None:
    """kill(1)."""
    node.run("kill", f"-{signal}", str(pid))


@contextlib.contextmanager
def hastd_killed(pair: Pair, node: Node, signal: Signal) -> Iterator[None]:
    """Kill hastd while the block runs; afterwards it is started again, with no role.

    The block begins when hastd answers hastctl no more.
    """

    def begin() -> None:
        send_signal(node, hastd_pid(node), signal)
        wait_until(
            f"hastd on {node} to be gone",
            lambda: not node.run(*hast.STATUS_COMMAND, check=False).ok,
            30,
        )

    def heal() -> None:
        if not node.run(*hast.STATUS_COMMAND, check=False).ok:
            pair.start_hastd(node)

    with fault(node, f"hastd killed by SIG{signal}", begin, heal):
        yield


@contextlib.contextmanager
def stopped(node: Node, pid: int) -> Iterator[None]:
    """Stop a process where it is (SIGSTOP) while the block runs, then let it go on (SIGCONT)."""

    def heal() -> None:
        node.run("kill", "-CONT", str(pid), check=False)  # it may have been killed meanwhile

    with fault(
        node,
        f"process {pid} stopped",
        lambda: send_signal(node, pid, "STOP"),
        heal,
    ):
        yield
