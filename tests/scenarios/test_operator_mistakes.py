"""What an operator does wrong, and what hastctl, hastd and zpool say and do about it."""

from __future__ import annotations

import contextlib

import pytest

from harness.cluster.invariants import Holds
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import CommandTimedOut, NodeUnreachable
from harness.freebsd.hast.hastctl import ExitCode, Role, Status
from harness.freebsd.hast.log import (
    NoMetadata,
    PeerWrongRole,
    ResourceUniqueIdMismatch,
    RoleChanged,
    RoleFellBack,
    SplitBrain,
    StartingAnyway,
    WaitingForPeer,
    WorkerExited,
    WrongRole,
)
from harness.freebsd.zpool import Health
from harness.lab.choose import Feature
from harness.lab.ssh import Result
from harness.waiting.wait import wait_until
from harness.workload.files import Files
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.hast(timeout=5, media_mib=192)

QUICK_TO_ANSWER = 10.0
"""Seconds. An orderly `service hastd restart` takes five to seven."""


def is_silent(said: Result) -> bool:
    """Whether a command ended with 0 and said nothing."""
    return (said.status, said.stdout, said.stderr) == (0, "", "")


def is_lost(pair: Pair, node: Node) -> bool:
    """Whether the pool of the node is suspended, or the whole node answers no more."""
    try:
        return pair.pool_health(node) is Health.SUSPENDED
    except (CommandTimedOut, NodeUnreachable):
        return True


@pytest.mark.needs(Feature.POWER)
@pytest.mark.claim(3)
@pytest.mark.leaves("fault")  # the node is left without power: nobody waits for its boot
@pytest.mark.parametrize("mistake", ["hastctl role secondary mirror", "service hastd restart"])
def test_without_export(pair: Pair, mistake: str) -> None:
    """Without `zpool export` first, each of these takes the device from under the pool for good.

    Nothing warns of it; the pool is suspended, or the node hangs. No file is lost on the other one.
    """
    skunk1, skunk2 = pair.nodes
    files = Files.write(skunk1, pair.mountpoint)

    with contextlib.suppress(CommandTimedOut, NodeUnreachable):
        assert skunk1.run(*mistake.split(), within=QUICK_TO_ANSWER).stderr == ""

    wait_until("skunk1 to be lost", lambda: is_lost(pair, skunk1), 60)
    skunk1.power_cut()
    pair.promote(skunk2)
    pair.import_pool(skunk2, "-f")
    files.check(skunk2)


@pytest.mark.claim(1)
def test_forgotten_create(provisioned_pair: Pair) -> None:
    """Without `hastctl create`, `role primary` ends with 0, and the node falls back to init.

    `role secondary` stays, until a primary connects. Only the log of each says why.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.start_hastd()
    assert is_silent(skunk1.run("hastctl", "role", "primary", pair.resource))
    assert is_silent(skunk2.run("hastctl", "role", "secondary", pair.resource))

    wait_until("skunk1 to fall back to init", lambda: pair.said(skunk1, RoleFellBack), 30)
    assert pair.said(skunk1, NoMetadata)[0].path == pair.info(skunk1).localpath
    assert pair.said(skunk1, WorkerExited)[0].exitcode == ExitCode.EX_NOINPUT
    assert (pair.role(skunk1), pair.role(skunk2)) == (Role.INIT, Role.SECONDARY)
    assert not pair.has_device(skunk1)
    assert not pair.said(skunk2, NoMetadata)

    pair.create_resource(skunk1)
    pair.promote(skunk1)
    wait_until("skunk2 to say what it lacks", lambda: pair.said(skunk2, NoMetadata), 30)
    assert pair.status(skunk1).status is Status.DEGRADED

    pair.create_resource(skunk2)
    pair.wait_until_in_sync(skunk1)


@pytest.mark.claim(1)
def test_the_same_role_twice(pair: Pair) -> None:
    """`hastctl role` with the role that a node has already does nothing, and says nothing."""
    for node, role in zip(pair.nodes, (Role.PRIMARY, Role.SECONDARY), strict=True):
        worker = pair.info(node).workerpid
        changes = pair.said(node, RoleChanged)

        assert is_silent(node.run("hastctl", "role", role, pair.resource))

        assert pair.info(node).workerpid == worker
        assert pair.said(node, RoleChanged) == changes
    assert pair.pool_health(pair.skunk1) is Health.ONLINE
    assert pair.status(pair.skunk1).status is Status.COMPLETE


@pytest.mark.claim(6)
def test_create_on_a_primary_at_work(pair: Pair) -> None:
    """`hastctl create` on a primary in use is not refused, and nobody notices it at first.

    From its next promotion on the nodes are strangers. The data are there: create clears no data.
    """
    skunk1 = pair.skunk1
    files = Files.write(skunk1, pair.mountpoint)

    pair.create_resource(skunk1)

    assert pair.status(skunk1).status is Status.COMPLETE
    assert pair.metadata(skunk1).resuid == 0
    pair.export_pool(skunk1)
    pair.disconnect_role(skunk1)
    pair.promote(skunk1)
    for node in pair:
        wait_until(
            f"hastd on {node} to say that the IDs differ",
            lambda node=node: pair.said(node, ResourceUniqueIdMismatch),  # type: ignore[misc]
            30,
        )
    assert pair.status(skunk1).status is Status.DEGRADED
    pair.import_pool(skunk1)
    files.check(skunk1)


@pytest.mark.lifts(Holds.ONE_PRIMARY)
@pytest.mark.claim(6)
def test_promotion_beside_a_living_primary(pair: Pair) -> None:
    """`role primary` on both: hastd waits for its timeout and starts anyway. zpool does refuse.

    As long as the second one has not written, `role secondary` is all it takes to be in sync again.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        assert is_silent(skunk2.run("hastctl", "role", "primary", pair.resource))
        wait_until("skunk2 to start anyway", lambda: pair.said(skunk2, StartingAnyway), 30)
        assert pair.said(skunk2, WaitingForPeer)[-1].seconds == pair.settings.hast.timeout
        assert pair.said(skunk2, PeerWrongRole)[-1].role is Role.PRIMARY
        assert pair.said(skunk1, WrongRole)[-1].role is Role.PRIMARY
        pair.wait_until_degraded(skunk1)
        ledger.wait_for(3)
    for node in pair:
        assert pair.role(node) is Role.PRIMARY
        assert pair.has_device(node)
    refused = skunk2.run("zpool", "import", pair.pool, check=False)
    assert refused.status == 1
    assert "pool was previously in use from another system" in refused.stderr

    pair.demote(skunk2)
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)
    assert not any(pair.said(node, SplitBrain) for node in pair)
