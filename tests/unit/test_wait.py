"""Waiting: deadlines, the value that ends a wait, and what an expired wait says."""

import time
from collections.abc import Iterator

import pytest

from harness.errors import ClaimFailed, NodeUnreachable, SettingsError, WaitExpired
from harness.waiting import wait
from harness.waiting.wait import Deadline, Doing, Over, Waited, Waiting, settle, wait_until


@pytest.fixture(autouse=True)
def scale_back() -> Iterator[None]:
    yield
    wait.set_time_scale(1.0)


def test_the_first_accepted_value_is_returned() -> None:
    values = iter(["init", "init", "primary", "secondary"])
    found = wait_until(
        "the role", lambda: next(values), 5, accept=lambda role: role == "primary", every=0.01
    )
    assert found == "primary"
    assert next(values) == "secondary", "nothing is probed after that"


def test_an_expired_wait_names_what_and_the_last_value() -> None:
    values = iter(range(1000))
    with pytest.raises(WaitExpired) as expired:
        wait_until(
            "the dirty bytes to be 5000",
            lambda: next(values),
            0.3,
            accept=lambda v: v == 5000,
            every=0.05,
        )
    assert "waited 0.3 s for the dirty bytes to be 5000" in str(expired.value)
    assert expired.value.last == next(values) - 1


def test_a_node_on_its_way_back_is_waited_for() -> None:
    answers: Iterator[bool | Exception] = iter([NodeUnreachable("refused", node="skunk1"), True])

    def probe() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_until("skunk1", probe, 5, every=0.01)


def test_a_node_that_never_comes_back_is_the_last_thing_seen() -> None:
    def probe() -> bool:
        raise NodeUnreachable("connection refused", node="skunk1")

    with pytest.raises(WaitExpired, match="skunk1: connection refused"):
        wait_until("skunk1 to answer", probe, 0.1, every=0.02)


def test_other_errors_end_the_wait_at_once() -> None:
    def probe() -> bool:
        raise ValueError("a bug")

    clock = time.monotonic()
    with pytest.raises(ValueError, match="a bug"):
        wait_until("nothing", probe, 30)
    assert time.monotonic() - clock < 5


def test_a_wait_ends_at_its_deadline_and_not_a_poll_later() -> None:
    clock = time.monotonic()
    with pytest.raises(WaitExpired):
        wait_until("never", lambda: False, 0.2, every=10)
    assert time.monotonic() - clock < 2


def test_the_time_scale_stretches_deadlines() -> None:
    wait.set_time_scale(3)
    assert Deadline.after(10).within == 30
    assert 29 < Deadline.after(10).remaining <= 30
    with pytest.raises(SettingsError, match="must be positive"):
        wait.set_time_scale(0)


def test_settle_watches_for_the_whole_time() -> None:
    clock = time.monotonic()
    settle("the silence", lambda: True, 0.3, every=0.05)
    assert time.monotonic() - clock >= 0.3


def test_settle_ends_at_the_first_change() -> None:
    values = iter([True, True, False])
    with pytest.raises(ClaimFailed, match=r"did not last: it ended after .*, last seen: no"):
        settle("the silence", lambda: next(values), 30, every=0.01)


def test_a_wait_that_was_one_is_told() -> None:
    told: list[Doing | Over | Waited] = []
    wait.tell(told.append)
    try:
        values = iter([1, 2, 3])
        wait_until("three", lambda: next(values), 30, accept=lambda value: value == 3, every=0.05)
        wait_until("what is there already", lambda: True, 30)
        with pytest.raises(WaitExpired):
            wait_until("never", lambda: False, 0.1, every=0.05)
        settle("the silence", lambda: True, 0.1, every=0.05)
    finally:
        wait.tell()
    assert [type(each) for each in told[:3]] == [Waiting, Over, Waited], "one that was none has two"
    waited = [each for each in told if isinstance(each, Waited)]
    assert [(each.what, each.came) for each in waited] == [
        ("three", True),
        ("never", False),
        ("the silence to last", True),
    ]
    assert all(0.08 < each.seconds < 20 for each in waited)
