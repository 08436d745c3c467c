"""The audit after each scenario: what is left that nobody announced.

Asked of the nodes themselves, with commands that never wait for a pool's I/O. A node that does not
answer is a finding like any other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness import faults
from harness.cluster.fault import LOOK_SECONDS
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed, HarnessError
from harness.freebsd import zpool
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.zpool import Health
from harness.lab.base import Power
from harness.waiting.parallel import on_each
from harness.words import Word

_CRASH = re.compile(r"pid \d+ \((hast\w*)\).*exited on signal (\d+)( \(core dumped\))?")
"""What the kernel says on the console (kern.logsigexit) of a process that a fault of its own
killed."""


class Left(Word):
    """What a scenario can leave behind; one that means to says so with `@pytest.mark.leaves`."""

    BOTH_PRIMARY = "both primary"
    SUSPENDED_POOL = "suspended pool"
    PANIC = "panic"
    CRASHED_HASTD = "crashed hastd"
    FAULT = "fault"
    SILENT_NODE = "silent node"


@dataclass(frozen=True)
class Finding:
    """One thing that was left, on which node (or the "pair"), and what it looks like."""

    left: Left
    node: str
    what: str

    def __str__(self) -> str:
        return f"{self.node}: {self.left}: {self.what}"


def audit(pair: Pair) -> list[Finding]:
    """Look at both nodes, and for every fault that is registered.

    Never raises; takes at most half a minute with two dead nodes.
    """
    looked = on_each(pair.nodes, _audit)
    # Two faults may be seen by the same trace: a machine is off, whoever switched it off.
    findings = list(dict.fromkeys(finding for found, _ in looked for finding in found))
    both = looked[0][1] & looked[1][1]
    return findings + [
        Finding(Left.BOTH_PRIMARY, "pair", f"each says that it is primary of {resource}")
        for resource in sorted(both)
    ]


def raise_unannounced(findings: Collection[Finding], announced: Collection[Left]) -> None:
    """Raise `ClaimFailed` with the findings that a scenario has not announced, if there are any."""
    surprising = [finding for finding in findings if finding.left not in announced]
    if surprising:
        raise ClaimFailed(
            "the scenario left something behind that it does not announce:\n"
            + "\n".join(f"  {finding}" for finding in surprising)
        )


def _audit(node: Node) -> tuple[list[Finding], set[str]]:
    """What is left on a node, and the resources that it is primary of."""
    name = node.name
    findings = [Finding(Left.FAULT, name, what) for what in node.faults]
    try:
        node.raise_if_panicked()
    except HarnessError as error:
        findings.append(Finding(Left.PANIC, name, error.what))
    findings += [
        Finding(Left.CRASHED_HASTD, name, crash[0])
        for crash in _CRASH.finditer(node.console_text())
    ]
    try:
        runs = node.machine.power() is Power.RUNNING
        findings += (
            Finding(Left.FAULT, name, what)
            for fault in faults.every()
            if runs or fault.stops_machine
            for what in fault.look(node)
        )
        if not runs:
            return findings, set()
        findings += (
            Finding(Left.SUSPENDED_POOL, name, pool.name)
            for pool in zpool.parse_list(_ask(node, zpool.LIST_COMMAND))
            if pool.health is Health.SUSPENDED
        )
        primary_of = hast.parse_status(_ask(node, hast.STATUS_COMMAND)).primary_of
    except HarnessError as error:
        return [*findings, Finding(Left.SILENT_NODE, name, error.what)], set()
    return findings, primary_of


def _ask(node: Node, command: Sequence[str]) -> str:
    return node.ask(*command, within=LOOK_SECONDS).stdout
