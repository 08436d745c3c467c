"""What holds all through a scenario: seen where it breaks, at no cost where it does not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from harness.cluster.invariants import INVARIANTS, Holds
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed, HarnessError, NodePanicked, NodeUnreachable
from harness.lab.simulated.direct import DirectConnection
from harness.run.session import Session


@pytest.fixture
def held(session: Session) -> Iterator[Pair]:
    yield session.set_up()
    session.used()


def panic(pair: Pair) -> None:
    """One that no scenario lets happen."""
    with contextlib.suppress(NodeUnreachable):
        pair.skunk2.ask("sysctl", "debug.kdb.panic=1")


def fall_silent(pair: Pair) -> None:
    """The machine starts over by itself, as after a fault of its processor."""
    pair.skunk2.run("true")
    pair.skunk2.machine.reset()


def both_primary(pair: Pair) -> None:
    pair.skunk2.run("hastctl", "role", "primary", "mirror")


BREACHES = {
    Holds.ONE_PRIMARY: (both_primary, ClaimFailed, "each say that they are primary of mirror"),
    Holds.NO_PANIC: (panic, NodePanicked, "kdb_sysctl_panic"),
    Holds.NOBODY_SILENT: (fall_silent, NodeUnreachable, "nothing is broken on it"),
}


def test_each_has_a_breach_here() -> None:
    assert BREACHES.keys() == INVARIANTS.keys()


@pytest.mark.parametrize("name", list(BREACHES), ids=str)
def test_a_breach_is_raised_by_the_next_command(session: Session, held: Pair, name: Holds) -> None:
    breach, kind, says = BREACHES[name]
    seen: list[str] = []

    def scenario() -> None:
        with session.holding(()):
            breach(held)
            held.skunk1.run("true")
            seen.append("went on")

    with pytest.raises(kind, match=says) as error:
        scenario()
    assert seen == []
    assert f"{name}: this has to hold all through a scenario" in error.value.__notes__


@pytest.mark.parametrize("name", list(BREACHES), ids=str)
def test_one_that_is_lifted_is_not_looked_at(session: Session, held: Pair, name: Holds) -> None:
    with session.holding({name, Holds.NOBODY_SILENT}):  # a kernel that panics is silent, too
        BREACHES[name][0](held)
        held.skunk1.run("true")


def test_a_breach_that_the_scenario_takes_for_something_else_is_told_at_its_end(
    session: Session, held: Pair
) -> None:
    def scenario() -> None:
        with session.holding(()):
            with contextlib.suppress(HarnessError):
                both_primary(held)
            held.skunk2.run("hastctl", "role", "secondary", "mirror")

    with pytest.raises(ClaimFailed, match="each say"):
        scenario()


def scenario_of_everything_allowed(pair: Pair) -> None:
    """What a scenario may do, with no invariant lifted."""
    skunk1, skunk2 = pair.nodes
    skunk2.panic()
    skunk2.wait_for_ssh()
    skunk2.reboot()
    skunk2.run("shutdown", "-p", "now")
    skunk1.run("true")
    skunk2.power_cut()
    skunk1.run("true")
    skunk2.power_on()
    skunk2.wait_for_ssh()
    pair.export_pool(skunk1)
    pair.demote(skunk1)
    pair.promote(skunk2)
    with skunk1.paused():
        skunk2.run("true")


def test_what_a_scenario_announces_breaks_nothing(session: Session, held: Pair) -> None:
    with session.holding(()):
        scenario_of_everything_allowed(held)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every command that reaches a node."""
    commands: list[str] = []
    run = DirectConnection.run

    def noted(self: DirectConnection, argv: list[str], **given: object) -> object:
        commands.append(" ".join(argv))
        return run(self, argv, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(DirectConnection, "run", noted)
    return commands


def test_nothing_is_asked_between_commands_without_a_reason(
    session: Session, held: Pair, asked: list[str]
) -> None:
    with session.holding(()):
        for _ in range(20):
            held.skunk1.run("hastctl", "status", "mirror")
            held.skunk2.run("hastctl", "status", "mirror")
    assert asked == ["hastctl status mirror"] * 40
