"""Claim 4 of the field notes: the secondary reboots while the primary keeps writing."""

import pytest

from harness.freebsd.hast import Role, Status
from harness.pair import Pair
from harness.wait import settle
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.claim(4)

LONGER_THAN_RECONNECT = 25.0
"""Seconds. The primary tries to reach its secondary every 10 s (`reconnect`, hast.conf(5))."""


def test_reboot_of_secondary(pair: Pair) -> None:
    """The primary goes on writing, degraded; the secondary stays out until `role secondary`.

    Then it catches up by itself: every acknowledged write is on it.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        skunk2.reboot()
        pair.wait_until_degraded(skunk1)
        ledger.wait_for(3)
        assert pair.role(skunk2) is Role.INIT
        settle(
            "skunk1 degraded",
            lambda: pair.status(skunk1).status is Status.DEGRADED,
            LONGER_THAN_RECONNECT,
        )
        pair.demote(skunk2)
        pair.wait_until_complete(skunk1)
        ledger.wait_for(3)
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)
