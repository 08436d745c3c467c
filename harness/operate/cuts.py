"""What a person can break of a pair that is up, and mending all of it at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence

from harness import faults
from harness.cluster.fault import REGISTER, Fault
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import LabError, SettingsError
from harness.lab.base import Power
from harness.waiting.parallel import on_each


class Cuts:
    """Everything that is broken on purpose on one pair."""

    def __init__(self, pair: Pair, hardware: Mapping[str, threading.Lock]) -> None:
        """A node's lock in `hardware` is held whenever its machine is told something."""
        self._pair = pair
        self._hardware = hardware

    def cut(self, what: str, nodes: Sequence[Node]) -> None:
        """Break it on these nodes; `what` is the name of a fault.

        Raises `LabError` on a node that has no power or is frozen, `SettingsError` where there is
        no such fault.
        """
        fault = REGISTER.get(what)
        if fault is None or not fault.cut:
            raise SettingsError(f"{what!r} cannot be cut")
        for node in nodes:
            with self._hardware[node.name]:
                power = node.machine.power()
                possible = power is Power.RUNNING or (
                    power is Power.PAUSED and fault.hardware and not _frozen_by(fault, node)
                )
            if not possible:
                raise LabError(f"its power is {power}", node=node.name, advice="`skunk heal` first")
        for node in nodes:
            with self._hardware[node.name] if fault.hardware else contextlib.nullcontext():
                fault.break_on(node)

    def heal(self) -> None:
        """Power on, resume and plug in whatever is not, wait for SSH on both, undo the rest.

        Also what broke by another hand. Roles do not come back: FreeBSD forgets them, and whoever
        operates the pair decides.
        """
        on_each(self._pair.nodes, self._mend_machine)
        self._pair.wait_for_ssh()
        with contextlib.ExitStack() as each:  # also when one of them cannot be healed
            for node in self._pair:
                for fault in node.broken:
                    each.callback(fault.heal_on, node)

    def _mend_machine(self, node: Node) -> None:
        with self._hardware[node.name]:
            for fault in faults.cuttable():
                if not fault.hardware:
                    continue
                if fault.stops_machine or fault in node.broken:
                    fault.heal_on(node)
                else:
                    fault.heal(node)  # it may be so by another hand, and nobody has told of it


def _frozen_by(fault: Fault[Node], node: Node) -> bool:
    return fault.stops_machine and fault.seen_on(node)
