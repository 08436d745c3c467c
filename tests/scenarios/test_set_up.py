"""Claim 1 of the field notes: setting the cluster up."""

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.zpool import Health
from harness.workload.files import Files

pytestmark = pytest.mark.claim(1)


@pytest.mark.smoke
def test_set_up(provisioned_pair: Pair) -> None:
    """After create, hastd and the two roles the status is complete with nothing to synchronise.

    A pool on the primary's /dev/hast/mirror is mounted at /failover and holds files.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes

    pair.create_resource()
    pair.start_hastd()
    for node in pair:
        assert pair.role(node) is Role.INIT
        assert not pair.has_device(node)

    pair.demote(skunk2)
    pair.promote(skunk1)
    pair.wait_until_complete(skunk1)
    assert pair.info(skunk1).dirty == 0, "a virgin resource has nothing to synchronise"
    assert pair.has_device(skunk1)
    assert not pair.has_device(skunk2)
    assert (pair.role(skunk1), pair.role(skunk2)) == (Role.PRIMARY, Role.SECONDARY)

    pair.create_pool(skunk1)
    files = Files.write(skunk1, pair.mountpoint)
    assert pair.pool_health(skunk1) is Health.ONLINE
    assert pair.is_mounted(skunk1)
    files.check(skunk1)

    assert pair.pool_health(skunk2) is None
    assert pair.importable_pools(skunk2) == ()
    for node in pair:
        assert pair.status(node).status is Status.COMPLETE
        assert node.run("sysrc", "-n", "hastd_enable").stdout.strip() == "YES"
