"""Virtual time between commands: it catches up with the host's clock, but not for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.operate.keeper import MOST_CATCHING_UP, Keeper
from harness.operate.kept import Kept
from harness.run.session import Session
from harness.waiting import clock
from tests.unit.operate.conftest import Skunk
from tests.unit.simulated.conftest import session, settings

__all__ = ["session", "settings"]


@pytest.fixture
def keeper(session: Session, skunk: Skunk) -> Iterator[Keeper]:
    pair = session.set_up()
    kept = Kept("simulated", "time")
    with kept.claimed(), Keeper(kept, session.lab, pair, release=session.release) as keeper:
        yield keeper
    session.used()


def ask_after(keeper: Keeper, seconds: float) -> float:
    """The virtual seconds that pass for a command so long after the last one."""
    before = clock.current().monotonic()
    keeper._seen -= seconds
    with clock.current().parked():
        keeper.kept.ask("tick", within=10)
    return clock.current().monotonic() - before


def test_thinking_takes_time(keeper: Keeper) -> None:
    assert 30 <= ask_after(keeper, 30) < 35
    assert ask_after(keeper, 86_400) == pytest.approx(MOST_CATCHING_UP)


def test_a_cut_link_is_noticed_while_nobody_looks(keeper: Keeper, session: Session) -> None:
    session.pair.skunk2.machine.unplug_link()
    session.pair.skunk1.run("touch", f"{session.pair.mountpoint}/x")
    ask_after(keeper, 60)
    with clock.current().parked():
        skunk1, _ = keeper.kept.ask("status")["nodes"]
    assert skunk1["resources"][0]["status"] == "degraded"
    assert skunk1["resources"][0]["dirty"] > 0
