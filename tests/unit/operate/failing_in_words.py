"""Scenarios that fail, for the test of what a person then reads. Not collected by itself."""

from __future__ import annotations

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.hast.log import RoleChanged

pytestmark = pytest.mark.hast(timeout=5, media_mib=192)


def assert_degraded(pair: Pair) -> None:
    assert pair.status(pair.skunk1).status is Status.DEGRADED


def test_forgotten_role(pair: Pair) -> None:
    """A node that has no role any more."""
    pair.disconnect_role(pair.skunk2)
    pair.wait_until_complete(pair.skunk1)


def test_status(pair: Pair) -> None:
    """A status that is another one, seen by a helper."""
    assert_degraded(pair)


def test_event(pair: Pair) -> None:
    """An event that is another one."""
    expected = RoleChanged(Role.INIT, Role.SECONDARY)
    assert pair.said(pair.skunk1, RoleChanged)[0] == expected


def test_no_event(pair: Pair) -> None:
    """An event that should not have been."""
    assert not pair.said(pair.skunk1, RoleChanged)
