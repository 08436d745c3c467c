"""Claim 3 of the field notes: the service is handed over in an orderly way."""

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.zpool import Health
from harness.workload.files import Files

pytestmark = [pytest.mark.claim(3), pytest.mark.hast(timeout=5, media_mib=192)]


@pytest.mark.smoke
def test_planned_failover(pair: Pair) -> None:
    """Export and demote on skunk1, promote and import on skunk2: the files are there.

    The same way back, where the import needs no force: what skunk2 wrote is on skunk1.
    """
    skunk1, skunk2 = pair.nodes
    files = Files.write(skunk1, pair.mountpoint, seed=1)

    pair.fail_over(skunk1, skunk2, "-f")

    assert (pair.role(skunk1), pair.role(skunk2)) == (Role.SECONDARY, Role.PRIMARY)
    assert (pair.has_device(skunk1), pair.has_device(skunk2)) == (False, True)
    assert pair.pool_health(skunk1) is None
    assert pair.pool_health(skunk2) is Health.ONLINE
    assert pair.is_mounted(skunk2)
    files.check(skunk2)

    files |= Files.write(skunk2, pair.mountpoint, seed=2)
    pair.wait_until_in_sync(skunk2)
    pair.fail_over(skunk2, skunk1)

    assert pair.pool_health(skunk1) is Health.ONLINE
    files.check(skunk1)
    pair.wait_until_complete(skunk1)
    assert pair.status(skunk1).status is Status.COMPLETE
