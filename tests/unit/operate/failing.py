"""Scenarios that fail, for the tests of what happens then. Not collected by itself."""

from __future__ import annotations

from harness.cluster.pair import Pair
from harness.waiting.wait import wait_until


def test_fails_while_something_is_broken(pair: Pair) -> None:
    lab_key = pair.skunk1.machine.endpoint().key.read_text()
    pair.skunk1.run("printf", "%s\n", lab_key)
    with pair.skunk2.link_unplugged():
        wait_until("the moon to be made of cheese", lambda: False, 3)


def test_holds(pair: Pair) -> None:
    assert pair.info(pair.skunk2).provname == "mirror"
