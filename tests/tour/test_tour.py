"""A tour through the situations that an administrator meets, asking in each what can be asked.

It claims little: it is for recordings (`make record`), to which the simulated lab is then held
(`make conformance`). Whatever a command answers is right; the assertions only make sure that each
situation was reached.
"""

from __future__ import annotations

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.freebsd import df, ifconfig, zfs, zpool
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast import log as hastd_log
from harness.freebsd.hast.hastctl import Status
from harness.freebsd.hast.log import SplitBrain
from harness.waiting.wait import wait_until
from harness.workload.files import Files

HAST = (
    "hastctl status",
    "hastctl status mirror",
    "hastctl list",
    "hastctl list mirror",
    "hastctl dump",
    "hastctl dump mirror",
)
ZFS = (
    " ".join(zpool.LIST_COMMAND),
    "zpool status",
    "zpool status -x",
    " ".join(zfs.LIST_COMMAND),
    "zpool import",
    " ".join(df.COMMAND),
    "mount -t zfs",
)
REFUSED = (
    "hastctl",
    "hastctl nosuch",
    "hastctl create",
    "hastctl create nosuch",
    "hastctl dump nosuch",
    "hastctl role",
    "hastctl role primary",
    "hastctl role king mirror",
    "hastctl -c /etc/hast.conf status",
    "hastctl status -c /nonexistent",
)
WITHOUT_HASTD = (
    "hastctl role primary mirror",
    "hastctl role init all",
    "hastctl status",
    "hastctl list nosuch",
    "service hastd status",
    "service hastd stop",
)
OF_HASTD = (
    "hastctl role primary nosuch",
    "hastctl list nosuch",
    "hastctl status nosuch",
    "hastctl list mirror nosuch",
    "hastctl status mirror nosuch",
    "hastctl role init mirror",
    "service hastd status",
    "service hastd start",
)
BAD_CONFIGURATIONS = {
    "no-such-word": "resource mirror {\n\tcolour blue\n}\n",
    "other-nodes": "resource mirror {\n\ton a { local /dev/vtbd1\n remote 10.0.0.2 }\n"
    "\ton b { local /dev/vtbd1\n remote 10.0.0.1 }\n}\n",
    "no-remote": "resource mirror {\n\ton skunk1 { local /dev/vtbd1 }\n}\n",
    "empty": "",
}
SYSTEM = (
    "uname -r",
    "uname -m",
    "hostname",
    "kldstat -q -m zfs",
    "kldstat -q -m nosuch",
    "sysctl -n kern.ostype",
    "geom disk list",
    "ls /dev/hast",
    "cat /etc/hast.conf",
    "cat /nonexistent",
    "ifconfig nosuch0",
    "service nosuch start",
    "service hastd nosuch",
    "sysrc -n hastd_enable",
    "sysrc nosuch_variable",
    "test -c /dev/hast/mirror",
    "zpool get -H -o value cachefile nosuch",
    "zpool create nosuch /dev/nosuch",
    "zpool import nosuch",
    "zpool export nosuch",
    "zpool destroy nosuch",
    "zfs list nosuch",
    "zpool nosuch",
    "nosuch --help",
)
OF_THE_POOL = (
    "zpool create failover /dev/hast/mirror",
    "zpool create other /dev/hast/mirror",
    "zpool get -H -o value cachefile failover",
    "zpool get -H -o value failmode failover",
    "zpool list -H -o name,health failover",
    "zfs get -H -o value mountpoint failover",
    "zpool import failover",
)


def ask(node: Node, *lines: str) -> None:
    """Ask each command line, whatever it answers."""
    for line in lines:
        node.sh(line, check=False)


def test_before_hast(provisioned_pair: Pair) -> None:
    """What a provisioned node says before there is any HAST on it."""
    skunk1, skunk2 = provisioned_pair.nodes
    for node in provisioned_pair:
        ask(node, *SYSTEM, *ZFS, *REFUSED, *WITHOUT_HASTD, "hastctl dump mirror")
        node.run(*ifconfig.COMMAND)
        for name, text in BAD_CONFIGURATIONS.items():
            path = f"/tmp/{name}.conf"
            node.put(path, text.encode())
            ask(node, f"hastctl dump -c {path}", f"hastctl create -c {path} mirror")
    provisioned_pair.create_resource()
    for node in (skunk1, skunk2):
        ask(node, "hastctl dump", "hastctl dump mirror", *WITHOUT_HASTD)


def test_set_up_step_by_step(provisioned_pair: Pair) -> None:
    """Each step of the set-up, asked on both nodes."""
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.create_resource()
    pair.start_hastd()
    for node in pair:
        ask(node, *HAST, *OF_HASTD)
    pair.promote(skunk1)
    wait_until("degraded", lambda: pair.status(skunk1).status is Status.DEGRADED, 30)
    ask(skunk1, *HAST)
    pair.demote(skunk2)
    ask(skunk2, "hastctl role secondary mirror", "ls /dev/hast")
    pair.wait_until_complete(skunk1)
    for node in pair:
        ask(node, *HAST)
    ask(skunk1, "ls /dev/hast", "zpool import", *ZFS)
    pair.create_pool(skunk1)
    for node in pair:
        ask(node, *ZFS, *OF_THE_POOL)
    ask(skunk1, "hastctl role primary mirror")
    pair.export_pool(skunk1)
    ask(skunk1, *ZFS, "zpool export failover", "zfs list failover")
    ask(skunk1, "service hastd stop", "ls /dev/hast", *WITHOUT_HASTD)
    ask(skunk1, "service hastd start")
    wait_until("hastd to answer", lambda: skunk1.run(*hast.STATUS_COMMAND, check=False).ok, 10)
    ask(skunk1, *HAST)
    for node in pair:
        ask(node, " ".join(hastd_log.COMMAND))


def test_cut_off(pair: Pair) -> None:
    """The link is cut: what both say before and after the timeout, and after it is back."""
    skunk1, skunk2 = pair.nodes
    Files.write(skunk1, pair.mountpoint)
    pair.wait_until_in_sync(skunk1)
    ask(skunk1, "hastctl dump mirror")
    with skunk1.link_unplugged():
        skunk1.run("ifconfig", "vtnet1")
        pair.wait_until_degraded(skunk1)
        Files.write(skunk1, pair.mountpoint, seed=2)
        ask(skunk1, *HAST)
        wait_until("skunk2's worker to give up", lambda: pair.status(skunk2).status is None, 60)
        ask(skunk2, *HAST)
        pair.promote(skunk2)
        ask(skunk2, "zpool import", "zpool import failover")
        pair.import_pool(skunk2, "-f")
        ask(skunk2, *HAST, *ZFS)
        pair.export_pool(skunk2)
        pair.demote(skunk2)
        ask(skunk2, *HAST)
    for node in pair:
        wait_until("split-brain", lambda node=node: pair.said(node, SplitBrain), 60)  # type: ignore[misc]
        ask(node, "hastctl dump mirror", "hastctl list mirror")
    pair.discard(skunk2)
    pair.wait_until_in_sync(skunk1)
    for node in pair:
        ask(node, *HAST)
    skunk1.run("ifconfig", "vtnet1")


@pytest.mark.parametrize("verb", ["power_cut", "reset"])
def test_node_comes_back(pair: Pair, verb: str) -> None:
    """A primary that went down hard, after its boot."""
    skunk1, skunk2 = pair.nodes
    Files.write(skunk1, pair.mountpoint)
    if verb == "power_cut":
        skunk1.power_cut()
        skunk1.power_on()
    else:
        skunk1.reset()
    skunk1.wait_for_ssh()
    for node in pair:
        ask(node, *HAST, *ZFS, "service hastd status", "sysrc -n hastd_enable", "hostname")
    pair.promote(skunk1)
    pair.wait_until_complete(skunk1)
    ask(skunk1, "zpool import", "zpool import failover")
    pair.wait_until_in_sync(skunk1)
    for node in pair:
        ask(node, *HAST, *ZFS, " ".join(hastd_log.COMMAND))
    ask(skunk2, "zpool import")
