"""The arguments that hastd gives to the program of `exec`."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.errors import UnrecognisedOutput
from harness.freebsd.hast.hastctl import Role
from harness.freebsd.hast.hooks import Hook, HookEvent, parse_arguments
from tests.unit.freebsd.recordings import recorded


def test_the_runs_of_a_program_on_a_secondary_that_was_primary_meanwhile() -> None:
    hooks = [parse_arguments(line.split(" ")) for line in recorded("hooks_skunk2").splitlines()]
    assert hooks[-9:] == [
        Hook(HookEvent.CONNECT, "mirror"),
        Hook(HookEvent.DISCONNECT, "mirror"),
        Hook(HookEvent.ROLE, "mirror", Role.SECONDARY, Role.PRIMARY),
        Hook(HookEvent.ROLE, "mirror", Role.PRIMARY, Role.SECONDARY),
        Hook(HookEvent.SPLIT_BRAIN, "mirror"),
        Hook(HookEvent.SPLIT_BRAIN, "mirror"),
        Hook(HookEvent.ROLE, "mirror", Role.SECONDARY, Role.INIT),
        Hook(HookEvent.ROLE, "mirror", Role.INIT, Role.SECONDARY),
        Hook(HookEvent.CONNECT, "mirror"),
    ]


def test_the_runs_of_a_program_on_a_primary_through_resyncs() -> None:
    hooks = [parse_arguments(line.split(" ")) for line in recorded("hooks_skunk1").splitlines()]
    counts = Counter(hook.event for hook in hooks)
    assert counts == {
        HookEvent.ROLE: 1,
        HookEvent.CONNECT: 4,
        HookEvent.DISCONNECT: 3,
        HookEvent.SYNCSTART: 4,
        HookEvent.SYNCINTR: 2,
        HookEvent.SYNCDONE: 2,
        HookEvent.SPLIT_BRAIN: 2,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["role", "mirror"],
        ["role", "mirror", "init", "king"],
        ["connect"],
        ["exploded", "mirror"],
    ],
)
def test_other_arguments_are_refused_with_their_text(arguments: list[str]) -> None:
    with pytest.raises(UnrecognisedOutput) as refused:
        parse_arguments(arguments)
    assert refused.value.text == " ".join(arguments)
