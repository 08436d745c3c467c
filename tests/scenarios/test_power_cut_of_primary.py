"""Claim 5 of the field notes: the primary loses its power."""

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import ExitCode, Role
from harness.freebsd.hast.log import ConnectFailed, WorkerExited
from harness.lab.choose import Feature
from harness.waiting import clock
from harness.waiting.wait import scaled, settle, wait_until
from harness.workload.files import Files
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.claim(5)

LONGER_THAN_SILENCE = 21.0
"""Seconds. A secondary gives its primary up after 20 s of silence, which is twice HAST_KEEPALIVE of
sbin/hastd/hast.h and no matter of hast.conf."""

FINDS_A_DEAD_WORKER = 10.0
"""Seconds, with room. hastd looks for dead workers once every 5 s (REPORT_INTERVAL in main_loop of
sbin/hastd/hastd.c), at once only if SIGCHLD comes while it waits for connections: it once took 5.1
s, on 13.2."""

ALL_BUT_THE_TIMEOUT = 15.0
"""Seconds, with much room, for the import and the first writes: two on a quiet machine."""


@pytest.mark.needs(Feature.POWER)
@pytest.mark.smoke
def test_power_cut_of_primary(pair: Pair) -> None:
    """Nothing happens by itself; `role primary` and `zpool import -f` bring every write back.

    It takes HAST's timeout, because hastd first tries to reach its peer. The old primary forgets
    its role, catches up as secondary, and can be failed over to.
    """
    skunk1, skunk2 = pair.nodes
    timeout = pair.settings.hast.timeout
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        ledger.wait_for(5)
        with skunk1.powered_off():
            settle(
                "skunk2 secondary", lambda: pair.role(skunk2) is Role.SECONDARY, LONGER_THAN_SILENCE
            )
            assert not pair.has_device(skunk2)
            ends = wait_until(
                "hastd on skunk2 to find its worker dead",
                lambda: pair.said(skunk2, WorkerExited),
                FINDS_A_DEAD_WORKER,
            )
            assert ends[-1].exitcode == ExitCode.EX_TEMPFAIL

            start = clock.current().monotonic()
            pair.promote(skunk2)
            pair.import_pool(skunk2, "-f")
            files = Files.write(skunk2, pair.mountpoint)
            until_usable = clock.current().monotonic() - start

            assert timeout <= until_usable < timeout + scaled(ALL_BUT_THE_TIMEOUT)
            peer = pair.info(skunk2).remoteaddr
            assert ConnectFailed(peer, "Operation timed out") in pair.said(skunk2, ConnectFailed)
            ledger.check(skunk2)
    assert pair.role(skunk1) is Role.INIT
    pair.rejoin(skunk1)
    pair.fail_over(skunk2, skunk1)
    ledger.check(skunk1)
    files.check(skunk1)
