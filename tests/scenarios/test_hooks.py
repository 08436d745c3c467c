"""The program that `exec` in hast.conf names: what hastd tells it, and when."""

from collections.abc import Callable

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role
from harness.freebsd.hast.hooks import Hook, HookEvent, parse_arguments
from harness.freebsd.hast.log import HookFailed
from harness.waiting.wait import wait_until

HOOK = "/usr/local/sbin/hast-hook"
RUNS = "/var/log/hast-hook.log"
SCRIPT = f'#!/bin/sh\necho "$@" >> {RUNS}\n'

pytestmark = pytest.mark.hast(timeout=5, media_mib=16, exec=HOOK)


def became(old: Role, new: Role) -> Hook:
    """The hook of a changed role."""
    return Hook(HookEvent.ROLE, "mirror", old, new)


def when(event: HookEvent) -> Hook:
    """The hook of any other event."""
    return Hook(event, "mirror")


def start(pair: Pair) -> None:
    """Put the program on the nodes and start hastd."""
    for node in pair:
        node.run("mkdir", "-p", "/usr/local/sbin")
        node.put(HOOK, SCRIPT.encode(), "0755")
        node.put(RUNS, b"")
    pair.create_resource()
    pair.start_hastd()


def runs(node: Node) -> list[Hook]:
    """Every run so far, as each wrote itself down."""
    lines = node.get(RUNS).decode().splitlines()
    return [parse_arguments(line.split()) for line in lines]


def expect(pair: Pair, step: Callable[[], object], *expected: list[Hook]) -> None:
    """What `step` makes hastd run on skunk1 and on skunk2; two of one step may change places.

    hastd waits for no hook, so a later one can overtake: `syncstart` came before its `connect`.
    """
    before = [len(runs(node)) for node in pair]
    step()
    for node, count, hooks in zip(pair, before, expected, strict=True):
        new = wait_until(
            f"{len(hooks)} hooks on {node}",
            lambda node=node, count=count: runs(node)[count:],  # type: ignore[misc]
            30,
            accept=lambda seen, hooks=hooks: len(seen) >= len(hooks),  # type: ignore[misc]
        )
        assert sorted(new, key=str) == sorted(hooks, key=str)


@pytest.mark.smoke
def test_hooks(provisioned_pair: Pair) -> None:
    """Each node runs the program for its roles and for what happens to its connection.

    The three sync events come on the primary only, a split-brain on both.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    init, primary, secondary = Role.INIT, Role.PRIMARY, Role.SECONDARY
    start(pair)

    expect(pair, lambda: pair.demote(skunk2), [], [became(init, secondary)])
    expect(
        pair,
        lambda: pair.promote(skunk1),
        [became(init, primary), when(HookEvent.CONNECT)],
        [when(HookEvent.CONNECT)],
    )
    expect(pair, lambda: pair.disconnect_role(skunk2), [], [became(secondary, init)])
    expect(pair, lambda: pair.write_device(skunk1, 0), [when(HookEvent.DISCONNECT)], [])
    expect(pair, lambda: pair.write_device(skunk1, 0), [], [])
    expect(
        pair,
        lambda: pair.demote(skunk2),
        [when(HookEvent.CONNECT), when(HookEvent.SYNCSTART), when(HookEvent.SYNCDONE)],
        [became(init, secondary), when(HookEvent.CONNECT)],
    )
    expect(
        pair,
        lambda: pair.disconnect_role(skunk1),
        [became(primary, init)],
        [when(HookEvent.DISCONNECT)],
    )
    expect(pair, lambda: pair.disconnect_role(skunk2), [], [became(secondary, init)])

    alone = [became(init, primary), became(primary, init)]
    expect(pair, lambda: write_alone(pair, skunk1), alone, [])
    expect(pair, lambda: write_alone(pair, skunk2), [], alone)
    expect(pair, lambda: pair.demote(skunk2), [], [became(init, secondary)])
    expect(
        pair,
        lambda: pair.promote(skunk1),
        [became(init, primary), when(HookEvent.SPLIT_BRAIN)],
        [when(HookEvent.SPLIT_BRAIN)],
    )


def write_alone(pair: Pair, node: Node) -> None:
    """Be primary for one write, while the other node has no role."""
    pair.promote(node)
    pair.write_device(node, 0)
    pair.disconnect_role(node)


@pytest.mark.hast(exec="/usr/bin/false")
def test_hook_that_fails(provisioned_pair: Pair) -> None:
    """hastd changes the role all the same, and says how the program ended."""
    pair = provisioned_pair
    pair.create_resource()
    pair.start_hastd()
    pair.demote(pair.skunk2)
    (failed,) = wait_until("a failed hook", lambda: pair.said(pair.skunk2, HookFailed), 30)
    assert (failed.command, failed.exitcode) == ("/usr/bin/false role mirror init secondary", 1)
    assert pair.role(pair.skunk2) is Role.SECONDARY
