"""One look at both nodes, side by side and never longer than a few seconds: what `status` shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.config.settings import Deadlines, Settings
from harness.errors import HarnessError
from harness.freebsd import ifconfig, zpool
from harness.freebsd.hast import hastctl as hast
from harness.lab.base import Power
from harness.operate.views import CarpView, NodeView, ResourceView
from harness.waiting import clock
from harness.waiting.parallel import on_each

_SECONDS = 4
"""What a node may take for one answer, the login included, before it counts as silent."""

_STUCK = 124
"""timeout(1): the command did not end in time."""

_TIMES = ("/bin/sh", "-c", "sysctl -n kern.boottime; date +%s")


class Looker:
    """Logs in to both nodes by itself, so that nobody waits for it, nor it for anybody."""

    def __init__(self, pair: Pair, hardware: Mapping[str, threading.Lock]) -> None:
        """A node's lock in `hardware` is held while its machine is asked for its power."""
        self._settings = pair.settings
        self._hardware = hardware
        quick = Deadlines(**(pair.settings.deadlines.model_dump() | {"alive": _SECONDS}))
        self._nodes = [(node, node.second_login(quick)) for node in pair]

    def close(self) -> None:
        """Log out."""
        for _, login in self._nodes:
            login.disconnect()

    def look(self) -> list[NodeView]:
        """Ask both nodes, one look at a time. Never raises for what a node does or does not say."""
        return on_each(self._nodes, lambda both: self._look(*both))

    def _look(self, node: Node, login: Node) -> NodeView:
        view = NodeView(name=node.name, power="unknown", broken=list(node.faults))
        try:
            with self._hardware[node.name]:
                power = node.machine.power()
        except HarnessError as error:
            view.silent_because = error.what
            return view
        view.power = power.value
        if power is not Power.RUNNING:
            login.disconnect()
            view.silent_because = f"its power is {power}"
            return view
        try:
            _ask_freebsd(login, self._settings, view)
        except HarnessError as error:
            login.disconnect()
            view.silent_because = error.what.partition("\n")[0]
        return view


def _ask_freebsd(login: Node, settings: Settings, view: NodeView) -> None:
    view.uptime = _uptime(_ask(login, *_TIMES)[1])
    view.answers = True
    status, said, why = _ask(login, *hast.LIST_COMMAND)
    if status == _STUCK:
        view.hastd = "hastd does not answer"
    elif "Unable to connect to hastd" in why:
        view.hastd = "hastd does not run"
    elif status and not said:
        view.hastd = re.sub(r"^\[ERROR\] ", "", why.strip().partition("\n")[0])
    else:
        view.resources = [_resource(info) for info in hast.parse_list(said).resources]
    view.pools = {
        pool.name: pool.health.value
        for pool in zpool.parse_list(_ask(login, *zpool.LIST_COMMAND)[1])
    }
    interfaces = ifconfig.parse(_ask(login, *ifconfig.COMMAND)[1])
    private = ifconfig.interface(interfaces, ether=settings.private_mac(login.name))
    view.link = None if private is None else private.link
    public = ifconfig.interface(interfaces, ether=settings.public_mac(login.name))
    view.public = None if public is None else public.link
    view.carp = _carp(interfaces)


def _ask(login: Node, *command: str) -> tuple[int, str, str]:
    # A command that hangs is ended on the node too: somebody may be looking every second.
    result = login.ask("timeout", str(_SECONDS), *command, within=2 * _SECONDS)
    return result.status, result.stdout, result.stderr


def _uptime(text: str) -> float | None:
    found = re.search(r"\bsec = (\d+).*\n(\d+)\s*$", text)
    return None if found is None else float(int(found[2]) - int(found[1]))


def _resource(info: hast.ResourceInfo) -> ResourceView:
    return ResourceView(
        name=info.name,
        role=info.role.value,
        status=None if info.status is None else info.status.value,
        replication=info.replication.value,
        dirty=info.dirty if info.role is hast.Role.PRIMARY else None,
    )


def _carp(interfaces: Sequence[ifconfig.Interface]) -> list[CarpView]:
    return [
        CarpView(interface=each.name, vhid=group.vhid, state=group.state.value)
        for each in interfaces
        for group in each.groups_of_carp
    ]


def now() -> str:
    """The pair's own time, as in the transcript."""
    return clock.current().utc().isoformat(timespec="seconds")
