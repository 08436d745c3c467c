"""Faults of hastd's processes: killed, or stopped in the middle of what they do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from harness.cluster.fault import LOOK_SECONDS, Fault, not_seen, register
from harness.errors import ClaimFailed
from harness.freebsd.hast import hastctl as hast
from harness.waiting.wait import wait_until

if TYPE_CHECKING:
    from harness.cluster.node import Node
    from harness.cluster.pair import Pair

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
    with _killed(signal, pair.start_hastd).on(node):
        yield


@contextlib.contextmanager
def stopped(node: Node, pid: int) -> Iterator[None]:
    """Stop a process where it is (SIGSTOP) while the block runs, then let it go on (SIGCONT)."""
    with _stopped(f"process {pid}", lambda _: pid).on(node):
        yield


def _start(node: Node) -> None:
    node.run("service", "hastd", "start")


def _killed(signal: Signal, start: Callable[[Node], object]) -> Fault[Node]:
    def begin(node: Node) -> None:
        send_signal(node, hastd_pid(node), signal)
        wait_until(
            f"hastd on {node} to be gone",
            lambda: not node.run(*hast.STATUS_COMMAND, check=False).ok,
            30,
        )

    def heal(node: Node) -> None:
        if not node.run(*hast.STATUS_COMMAND, check=False).ok:
            start(node)

    return Fault(
        name="hastd",
        what=f"hastd killed by SIG{signal}",
        begin=begin,
        heal=heal,
        look=not_seen,  # a node without hastd is also one that was not set up yet
        healed="hastd started again",
        cut=f"kill hastd (SIG{signal})",
    )


def _stopped(process: str, pid_on: Callable[[Node], int]) -> Fault[Node]:
    def heal(node: Node) -> None:
        # It may have been killed meanwhile.
        node.run("kill", "-CONT", str(pid_on(node)), check=False)

    return Fault(
        name="stop",
        what=f"{process} stopped",
        begin=lambda node: send_signal(node, pid_on(node), "STOP"),
        heal=heal,
        look=_stopped_processes,
        healed=f"{process} goes on",
    )


def _stopped_processes(node: Node) -> Iterator[str]:
    # ps(1): the first letter of the state is T for a stopped process.
    said = node.ask("ps", "-ax", "-o", "state=", "-o", "pid=", "-o", "comm=", within=LOOK_SECONDS)
    for line in said.stdout.splitlines():
        state, pid, *command = line.split()
        if state.startswith("T") and command == ["hastd"]:
            yield f"process {pid} of hastd is stopped"


HASTD: Fault[Node] = register(_killed("KILL", _start))
STOP: Fault[Node] = register(_stopped("hastd", hastd_pid))
