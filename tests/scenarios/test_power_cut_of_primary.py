"""Claim 5 of the field notes: the primary loses its power."""

import pytest

from harness.freebsd.hast import Role
from harness.pair import Pair
from harness.wait import settle
from harness.workload.files import Files
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.claim(5)

LONGER_THAN_TIMEOUT = 25.0
"""Seconds. The secondary gives the primary up after HAST's timeout of 20 s."""


def test_power_cut_of_primary(pair: Pair) -> None:
    """Nothing happens by itself; `role primary` and `zpool import -f` bring every write back.

    The old primary forgets its role, catches up as secondary, and can be failed over to.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        ledger.wait_for(5)
        skunk1.power_cut()
    settle("skunk2 secondary", lambda: pair.role(skunk2) is Role.SECONDARY, LONGER_THAN_TIMEOUT)
    assert not pair.has_device(skunk2)
    pair.promote(skunk2)
    pair.import_pool(skunk2, "-f")
    ledger.check(skunk2)
    files = Files.write(skunk2, pair.mountpoint)
    skunk1.power_on()
    skunk1.wait_for_ssh()
    assert pair.role(skunk1) is Role.INIT
    pair.rejoin(skunk1)
    pair.fail_over(skunk2, skunk1)
    ledger.check(skunk1)
    files.check(skunk1)
