"""The model's pf, as the fault `deaf` and the audit use it; the answers are FreeBSD 13.2's."""

from __future__ import annotations

import pytest

from harness.cluster.node import Node
from harness.config.settings import Settings
from harness.faults.link import deaf
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.network.pf import Pf

REACHES = ("ping", "-c", "1", "-t", "2")


def reaches(node: Node, settings: Settings, other: str) -> bool:
    """Whether a ping and its answer get through."""
    address = str(settings.nodes[other].private_address)
    return node.run(*REACHES, address, check=False).ok


def test_without_the_module_there_is_no_pf(nodes: tuple[Node, Node]) -> None:
    said = nodes[0].run("pfctl", "-s", "info", check=False)
    assert (said.status, said.stderr) == (1, "pfctl: /dev/pf: No such file or directory\n")


def test_status(nodes: tuple[Node, Node]) -> None:
    node = nodes[0]
    node.run("kldload", "-n", "pf")
    first = "Status: Disabled                              Debug: Urgent"
    assert node.run("pfctl", "-s", "info").stdout.splitlines()[0] == first
    assert node.run("pfctl", "-e").stderr == "pf enabled\n"
    assert "Status: Enabled for 0 days 00:00:0" in node.run("pfctl", "-s", "info").stdout
    again = node.run("pfctl", "-e", check=False)
    assert (again.status, again.stderr) == (1, "pfctl: pf already enabled\n")
    assert node.run("pfctl", "-q", "-d").stderr == ""
    again = node.run("pfctl", "-d", check=False)
    assert (again.status, again.stderr) == (1, "pfctl: pf not enabled\n")


@pytest.mark.parametrize(
    ("rules", "passes"),
    [
        ("", True),
        ("block in on vtnet1 all", False),
        ("block in on vtnet0 all", True),
        ("block out on vtnet1 all", True),
        ("block drop in quick on vtnet1 all\npass in on vtnet1 all no state", False),
        ("block drop in on vtnet1 all\npass in on vtnet1 all no state  # the last one", True),
    ],
)
def test_rules(rules: str, *, passes: bool) -> None:
    pf = Pf()
    pf.load(rules)
    assert pf.passes("in", "vtnet1")
    pf.enabled = True
    assert pf.passes("in", "vtnet1") is passes


@pytest.mark.parametrize("rule", ["block", "pass in on vtnet1 all", "block in on vtnet1 proto tcp"])
def test_what_is_not_modelled(rule: str) -> None:
    with pytest.raises(NotModelled):
        Pf().load(rule)


def test_a_deaf_node_hears_nothing_until_it_is_healed(
    nodes: tuple[Node, Node], settings: Settings
) -> None:
    skunk1, skunk2 = nodes
    for node in nodes:
        address = settings.nodes[node.name].private_address
        node.run("ifconfig", "vtnet1", "inet", f"{address}/24")
    assert reaches(skunk1, settings, "skunk2")
    with deaf(skunk2):
        assert not reaches(skunk1, settings, "skunk2")
        assert not reaches(skunk2, settings, "skunk1"), "its request goes out, the answer is lost"
    assert reaches(skunk1, settings, "skunk2")
