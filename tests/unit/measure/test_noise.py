"""What else the host does: a share that can be one, and what died is not counted against others."""

import psutil
import pytest

from harness.measure.probes.noise import _spent_between, listening


def test_a_machine_that_lost_its_power_is_no_noise() -> None:
    assert _spent_between({1: 10.0, 2: 500.0}, {1: 12.0, 3: 1.5}) == 3.5


def test_what_is_heard_is_a_share() -> None:
    with listening() as meter:
        sum(range(300_000))
    assert 0 <= meter.noise.other <= 1
    assert 0 <= meter.noise.stolen <= 1
    assert meter.noise.pace_s is not None
    assert 0 < meter.noise.pace_s < 1


def test_a_block_shorter_than_a_clock_tick_still_has_the_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    with listening() as meter:
        pass
    assert (meter.noise.other, meter.noise.stolen) == (0.0, 0.0)
    assert meter.noise.pace_s is not None
