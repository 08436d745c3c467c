"""Claim 2 of the field notes: the primary reboots."""

import pytest

from harness.freebsd.hast import Role
from harness.freebsd.zpool import Health
from harness.pair import Pair
from harness.workload.files import Files


@pytest.mark.parametrize("cachefile", ["default", "none"])
def test_reboot_of_primary(pair: Pair, cachefile: str) -> None:
    """After a reboot hastd has forgotten its role: no device, no dataset, no healthy pool.

    `role primary` brings the device back, the pool imports, and the files are there.
    """
    skunk1 = pair.skunk1
    if cachefile == "none":
        skunk1.run("zpool", "set", "cachefile=none", pair.pool)
    files = Files.write(skunk1, pair.mountpoint)

    skunk1.reboot()

    assert pair.role(skunk1) is Role.INIT
    assert not pair.has_device(skunk1)
    assert not pair.is_mounted(skunk1)
    assert pair.pool_health(skunk1) in {None, Health.FAULTED, Health.UNAVAIL, Health.SUSPENDED}
    assert files.read_back(skunk1) == {}

    pair.promote(skunk1)
    if pair.pool_health(skunk1) is not None:
        pair.export_pool(skunk1)
    pair.import_pool(skunk1)

    assert pair.pool_health(skunk1) is Health.ONLINE
    assert pair.is_mounted(skunk1)
    files.check(skunk1)
    pair.wait_until_in_sync(skunk1)
