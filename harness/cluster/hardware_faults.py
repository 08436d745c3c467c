"""The faults of the machine itself, which a node's own methods are made of: power, link, pause.

Imported by the command line before its first line, so nothing here needs a pair or SSH.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from harness.cluster.fault import LOOK_SECONDS, Breakable, Fault, register
from harness.freebsd import ifconfig
from harness.lab.base import Machine, Network, Power
from harness.record.entry import Effect
from harness.waiting.wait import wait_until

if TYPE_CHECKING:
    from harness.config.settings import Settings
    from harness.lab.ssh import Result


class OnMachine(Breakable, Protocol):
    """A node, as far as these faults need it."""

    name: str
    machine: Machine
    settings: Settings

    def ask(self, *argv: str, within: float | None = None) -> Result:
        """Run a command of the harness's own."""

    def disconnect(self) -> None:
        """Drop the SSH connection."""

    def wait_for_ssh(self) -> None:
        """Wait until it answers."""


def _pull_the_cord(node: OnMachine) -> None:
    node.disconnect()
    node.machine.power_cut()


def _press_the_button(node: OnMachine) -> None:
    node.machine.press_power_button()
    wait_until(
        f"{node.name} to switch itself off",
        node.machine.power,
        node.settings.deadlines.shutdown,
        accept=lambda power: power is Power.OFF,
    )
    node.disconnect()


def _is_off(node: OnMachine) -> Iterator[str]:
    if node.machine.power() is Power.OFF:
        yield "the machine is off"


def _is_paused(node: OnMachine) -> Iterator[str]:
    if node.machine.power() is Power.PAUSED:
        yield "the machine is paused"


def _no_carrier(node: OnMachine) -> Iterator[str]:
    yield from _carrier_gone(node, "the private link", node.settings.private_mac(node.name))


def _plug_public(node: OnMachine) -> None:
    if Network.PUBLIC in node.machine.networks:
        node.machine.plug_link(Network.PUBLIC)


def _no_public_carrier(node: OnMachine) -> Iterator[str]:
    if Network.PUBLIC in node.machine.networks:
        yield from _carrier_gone(node, "the public network", node.settings.public_mac(node.name))


def _carrier_gone(node: OnMachine, where: str, mac: str) -> Iterator[str]:
    interfaces = ifconfig.parse(node.ask(*ifconfig.COMMAND, within=LOOK_SECONDS).stdout)
    nic = ifconfig.interface(interfaces, ether=mac)
    if nic is None or nic.link != "active":
        seen = "its NIC is gone" if nic is None else f"{nic.name} says {nic.link}"
        yield f"{where}: {seen}"


POWER: Fault[OnMachine] = register(
    Fault(
        name="power",
        what="without power",
        begin=_pull_the_cord,
        heal=lambda node: node.machine.power_on(),
        look=_is_off,
        begun="power cut",
        healed="power on",
        cut="pull the power cord",
        hardware=True,
        effect=Effect.OFF,
        wait_healed=lambda node: node.wait_for_ssh(),
    )
)

LINK: Fault[OnMachine] = register(
    Fault(
        name="link",
        what="private link unplugged",
        begin=lambda node: node.machine.unplug_link(),
        heal=lambda node: node.machine.plug_link(),
        look=_no_carrier,
        healed="private link plugged",
        cut="pull the cable of the private link",
        both_ends=True,
        hardware=True,
        effect=Effect.UNPLUGGED,
    )
)

PUBLIC_LINK: Fault[OnMachine] = register(
    Fault(
        name="public",
        what="unplugged from the public network",
        begin=lambda node: node.machine.unplug_link(Network.PUBLIC),
        heal=_plug_public,
        look=_no_public_carrier,
        healed="plugged into the public network",
        cut="pull the cable of the public network",
        both_ends=True,
        hardware=True,
    )
)

PAUSE: Fault[OnMachine] = register(
    Fault(
        name="pause",
        what="paused",
        begin=lambda node: node.machine.pause(),
        heal=lambda node: node.machine.resume(),
        look=_is_paused,
        healed="resumed",
        cut="freeze the machine",
        hardware=True,
        effect=Effect.PAUSED,
    )
)

SWITCHED_OFF: Fault[OnMachine] = register(
    Fault(
        name="power button",
        what="switched off by its power button",
        begin=_press_the_button,
        heal=lambda node: node.machine.power_on(),
        look=_is_off,
        begun="ACPI shutdown",
        healed="power on",
        hardware=True,
        effect=Effect.SWITCHED_OFF,
        wait_healed=lambda node: node.wait_for_ssh(),
    )
)
