"""The arguments that hastd gives to the program of `exec`."""

from __future__ import annotations

import pytest

from harness.errors import UnrecognisedOutput
from harness.freebsd.hast import Role
from harness.freebsd.hastd_hooks import Hook, HookEvent, parse_arguments


@pytest.mark.parametrize(
    ("arguments", "hook"),
    [
        (
            ["role", "mirror", "init", "primary"],
            Hook(HookEvent.ROLE, "mirror", Role.INIT, Role.PRIMARY),
        ),
        (["split-brain", "mirror"], Hook(HookEvent.SPLIT_BRAIN, "mirror")),
        (["syncdone", "mirror"], Hook(HookEvent.SYNCDONE, "mirror")),
    ],
)
def test_the_arguments_of_hast_conf_5(arguments: list[str], hook: Hook) -> None:
    assert parse_arguments(arguments) == hook


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
