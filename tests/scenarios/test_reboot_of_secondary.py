"""Claim 4 of the field notes: the secondary reboots while the primary keeps writing."""

import pytest

from harness.cluster.pair import CONNECT_SECONDS, Pair
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.hast.log import WrongRole
from harness.waiting.wait import wait_until
from harness.workload.ledger import Ledger

pytestmark = [pytest.mark.claim(4), pytest.mark.hast(timeout=5, media_mib=192)]


def test_reboot_of_secondary(pair: Pair) -> None:
    """The primary goes on writing, degraded; the secondary stays out until `role secondary`.

    Then it catches up by itself: both disks are equal, and every acknowledged write is on it.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        refusals = len(pair.said(skunk2, WrongRole))
        skunk2.reboot()
        wait_until(
            "the primary to be refused by a node without a role",
            lambda: len(pair.said(skunk2, WrongRole)) > refusals,
            CONNECT_SECONDS,
        )
        assert pair.role(skunk2) is Role.INIT
        assert pair.status(skunk1).status is Status.DEGRADED
        ledger.wait_for(3)
        pair.demote(skunk2)
        pair.wait_until_complete(skunk1)
        ledger.wait_for(3)
    pair.export_pool(skunk1)
    pair.wait_until_in_sync(skunk1)
    pair.check_replicas_equal()
    pair.demote(skunk1)
    pair.promote(skunk2)
    pair.import_pool(skunk2)
    ledger.check(skunk2)
