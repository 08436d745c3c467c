"""What a person can break of a pair that is up, and mending all of it at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from harness.cluster.node import NO_POWER, Node
from harness.cluster.pair import Pair
from harness.errors import LabError
from harness.faults.link import deaf
from harness.faults.process import hastd_killed
from harness.lab.base import Power
from harness.waiting.parallel import on_each

Cut = Literal["power", "link", "pause", "deaf", "hastd"]

WHAT: dict[Cut, str] = {
    "power": "pull the power cord",
    "link": "pull the cable of the private link (without a node: at both ends)",
    "pause": "freeze the machine",
    "deaf": "let it hear nothing on the private link, and still speak",
    "hastd": "kill hastd (SIGKILL)",
}


class Cuts:
    """Everything that is broken on purpose on one pair."""

    def __init__(self, pair: Pair, hardware: Mapping[str, threading.Lock]) -> None:
        """A node's lock in `hardware` is held whenever its machine is told something."""
        self._pair = pair
        self._hardware = hardware
        self._healing = contextlib.ExitStack()

    def cut(self, what: Cut, nodes: Sequence[Node]) -> None:
        """Break it on these nodes.

        Raises `LabError` on a node that has no power or is frozen.
        """
        for node in nodes:
            with self._hardware[node.name]:
                power = node.machine.power()
            if power is Power.OFF or (power is Power.PAUSED and what not in ("power", "link")):
                raise LabError(f"its power is {power}", node=node.name, advice="`skunk heal` first")
        for node in nodes:
            self._cut(what, node)

    def _cut(self, what: Cut, node: Node) -> None:
        machine = node.machine
        match what:
            case "power":
                self._do(node, NO_POWER, node.power_cut)
            case "link":
                self._do(node, "private link unplugged", machine.unplug_link)
            case "pause":
                self._do(node, "paused", machine.pause)
            case "deaf":
                self._healing.enter_context(deaf(node, self._pair.settings))
            case "hastd":
                self._healing.enter_context(hastd_killed(self._pair, node, "KILL"))

    def _do(self, node: Node, fault: str, verb: Callable[[], None]) -> None:
        with self._hardware[node.name]:
            verb()
        if fault not in node.faults:
            node.faults.append(fault)

    def heal(self) -> None:
        """Power on, resume and plug in whatever is not, wait for SSH on both, undo the rest.

        Also what broke by another hand. Roles do not come back: FreeBSD forgets them, and whoever
        operates the pair decides.
        """
        on_each(self._pair.nodes, self._mend)
        self._pair.wait_for_ssh()
        self._healing.pop_all().close()
        for node in self._pair:
            node.faults.clear()

    def _mend(self, node: Node) -> None:
        with self._hardware[node.name]:
            power = node.machine.power()
            if power is Power.OFF:
                node.power_on()
            elif power is Power.PAUSED:
                node.machine.resume()
            node.machine.plug_link()
