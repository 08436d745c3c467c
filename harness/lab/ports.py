"""Ports on the host's loopback that the settings fix."""

from __future__ import annotations

import socket

from harness.config.settings import Settings
from harness.errors import PortInUse


def check_ports(settings: Settings) -> None:
    """Raise `PortInUse` when a node's fixed SSH port is taken."""
    for name, node in settings.nodes.items():
        if node.ssh_port is not None:
            _check_port(name, node.ssh_port)


def _check_port(node: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUse(
                f"port {port} on 127.0.0.1 is taken: {error.strerror}",
                node=node,
                advice=f"free it, or set nodes.{node}.ssh_port in lab.yaml to another port or null",
            ) from None
