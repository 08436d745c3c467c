"""A link and a disk that are slower than they are, with FreeBSD's own tools: what the bench uses.

The link is shaped by dummynet(4) for what the node sends; the disk is delayed by gnop(8), and its
rate limited by the hypervisor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.cluster.fault import LOOK_SECONDS, Fault, not_seen, register
from harness.cluster.private_link import private_nic

if TYPE_CHECKING:
    from harness.cluster.node import Node

_LOAD = r"""
kenv net.inet.ip.fw.default_to_accept=1 >/dev/null
kldload -n ipfw dummynet
[ "$(sysctl -n net.inet.ip.fw.default_to_accept)" = 1 ]
"""
"""ipfw(4) denies everything unless told otherwise before it is loaded: SSH would be cut off."""


def shaped_link(*options: str) -> Fault[Node]:
    """All that the node sends over the private link goes through a pipe with these options.

    They are those of `ipfw pipe config` (ipfw(8)): `delay 25ms`, `bw 50Mbit/s`, `plr 0.2`.
    """

    def begin(node: Node) -> None:
        nic = private_nic(node, node.settings)
        node.sh(_LOAD)
        node.run("ipfw", "-q", "pipe", "1", "config", *options)
        everything = ("ip", "from", "any", "to", "any", "out", "via", nic)
        node.run("ipfw", "-q", "add", "100", "pipe", "1", *everything)

    def heal(node: Node) -> None:
        node.run("ipfw", "-q", "delete", "100", check=False)
        node.run("ipfw", "-q", "pipe", "1", "delete", check=False)

    return Fault(
        name="shaped link",
        what=" ".join(("private link shaped:", *options)),
        begin=begin,
        heal=heal,
        look=_pipes,
        healed="private link no longer shaped",
    )


def delayed_disk(provider: str, delay_ms: float) -> Fault[Node]:
    """Each request of a provider that gnop(8) made takes so many milliseconds more."""

    def configure(node: Node, delay: str, share: str) -> None:
        node.run("gnop", "configure", "-d", delay, "-q", share, "-x", share, provider)

    return Fault(
        name="slow disk",
        what=f"disk delayed by {delay_ms:g} ms",
        begin=lambda node: configure(node, f"{delay_ms:g}", "100"),
        heal=lambda node: configure(node, "1", "0"),  # gnop(8) refuses a delay of 0 at any share
        look=not_seen,  # no scenario has such a provider; the bench measures the disk before use
        healed="disk no longer delayed",
    )


def limited_disk(bytes_per_s: float) -> Fault[Node]:
    """The data disk carries at most so many bytes a second, by the hypervisor."""
    return Fault(
        name="limited disk",
        what=f"disk limited to {bytes_per_s / 1e6:g} MB/s",
        begin=lambda node: node.machine.limit_data_disk(bytes_per_s),
        heal=lambda node: node.machine.limit_data_disk(None),
        look=not_seen,  # no hypervisor is asked for it; it ends with the machine's power
        healed="disk no longer limited",
        hardware=True,
    )


def _pipes(node: Node) -> Iterator[str]:
    # ipfw(8): without the module it fails and prints no rule.
    for rule in node.ask("ipfw", "list", within=LOOK_SECONDS).stdout.splitlines():
        if " pipe " in rule:
            yield f"the private link is shaped: ipfw has {rule}"


SHAPED_LINK: Fault[Node] = register(shaped_link())
SLOW_DISK: Fault[Node] = register(delayed_disk("/dev/vtbd1.nop", 1))
LIMITED_DISK: Fault[Node] = register(limited_disk(1e6))
