"""Claim 2 of the field notes: the primary reboots."""

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role
from harness.freebsd.zpool import Health
from harness.lab.choose import Feature
from harness.waiting.wait import settle, wait_until
from harness.workload.files import Files

pytestmark = [pytest.mark.claim(2), pytest.mark.hast(timeout=5, media_mib=192)]

NEW_KERNEL = "---<<BOOT>>---"
"""The first thing that FreeBSD's kernel says on the console."""

CACHEFILE = "/etc/zfs/zpool.cache"
"""Where ZFS keeps the list of imported pools, from which rc(8) imports at boot."""

LONG_ENOUGH = 30.0
"""Seconds. With the pool exported the next kernel starts about 15 s after `shutdown -r`."""


def assert_role_forgotten(pair: Pair, node: Node) -> None:
    """hastd runs again, with no role, no device, and so no file system of the pool."""
    assert pair.role(node) is Role.INIT
    assert not pair.has_device(node)
    assert not pair.is_mounted(node)


def assert_role_primary_brings_back(pair: Pair, node: Node, files: Files, *options: str) -> None:
    """`role primary` and `zpool import` are all it takes."""
    pair.promote(node)
    pair.import_pool(node, *options)
    assert pair.pool_health(node) is Health.ONLINE
    assert pair.is_mounted(node)
    files.check(node)
    pair.wait_until_in_sync(node)


def test_reboot_after_export(pair: Pair) -> None:
    """With the pool exported first, the primary reboots and has forgotten its role.

    `role primary` brings the device back, the pool imports without force, the files are there.
    """
    skunk1 = pair.skunk1
    files = Files.write(skunk1, pair.mountpoint)
    pair.export_pool(skunk1)

    skunk1.reboot()

    assert_role_forgotten(pair, skunk1)
    assert pair.pool_health(skunk1) is None
    assert_role_primary_brings_back(pair, skunk1, files)


@pytest.mark.needs(Feature.POWER)
def test_reboot_with_the_pool_imported(pair: Pair) -> None:
    """`shutdown -r` takes the device from under an imported pool: the node hangs until reset.

    After the reset the role is forgotten; `role primary` and an import bring the files back.
    """
    skunk1 = pair.skunk1
    skunk1.run("fsync", CACHEFILE)  # it is to survive the reset
    files = Files.write(skunk1, pair.mountpoint)

    skunk1.run("shutdown", "-r", "now")
    wait_until("rc.shutdown", lambda: "Stopping hastd." in skunk1.console_text(), 60)
    settle("the hang", lambda: NEW_KERNEL not in skunk1.console_text(), LONG_ENOUGH)
    skunk1.reset()
    skunk1.wait_for_ssh()

    assert_role_forgotten(pair, skunk1)
    assert pair.pool_health(skunk1) is None
    assert_role_primary_brings_back(pair, skunk1, files, "-f")
