"""The private link: the port that hastd has on it, and its interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.freebsd import ifconfig

if TYPE_CHECKING:
    from harness.cluster.node import Node
    from harness.config.settings import Settings

HAST_PORT = 8457
"""HAST_PORT of sbin/hastd/hast.h."""


def private_nic(node: Node, settings: Settings) -> str:
    """The name of the NIC on the private link, found by its Ethernet address."""
    interfaces = ifconfig.parse(node.run(*ifconfig.COMMAND).stdout)
    nic = ifconfig.interface(interfaces, ether=settings.private_mac(node.name))
    assert nic is not None, "provisioning has seen it"
    return nic.name
