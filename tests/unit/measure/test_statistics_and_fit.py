"""Figures from repeats, and the model of a resync."""

import random

import pytest

from harness.measure.evaluation.figures import differences
from harness.measure.evaluation.fit import CHUNK, FitError, Point, fit
from harness.measure.evaluation.statistics import compare, compare_all, summarise


def test_a_median_with_its_interval() -> None:
    """By the binomial distribution: of 20 values the 6th to the 15th, as tables have it."""
    summary = summarise([*range(1, 20), 1000])
    assert (summary.n, summary.median) == (20, 10.5)
    assert (summary.low, summary.high) == (6, 15)
    assert summary.percentile(100) == 1000


def test_few_repeats_have_a_range_and_none_are_refused() -> None:
    six, five = summarise([6.0, 1, 3, 4, 2, 5]), summarise([5.0, 1, 3, 4, 2])
    assert (six.low, six.high) == (1, 6)
    assert (five.low, five.high) == (1, 5)
    assert (summarise([1.0, 2.0]).low, summarise([1.0, 2.0]).high) == (None, None)
    with pytest.raises(ValueError, match="nothing"):
        summarise([])


def test_a_difference_is_seen_with_its_size_and_only_if_there_is_one() -> None:
    chance = random.Random(1)
    a = [chance.gauss(10, 0.2) for _ in range(8)]
    slower = [value * 1.1 for value in a]
    assert str(compare(a, slower, paired=True)) == "slower by 10.0 % (p = 0.0078, n = 8)"
    assert compare(slower, a).percent == pytest.approx(-9.1, abs=0.1)
    same = [chance.gauss(10, 0.2) for _ in range(8)]
    assert str(compare(a, same)).startswith("no difference seen (p = 0.")


def test_no_difference_is_faster_by_nothing() -> None:
    """Where time is virtual repeats are equal to the nanosecond, and so is any difference."""
    a = [10.0] * 10
    assert str(compare(a, [9.9999] * 10, paired=True)) == "the same to 0.1 % (n = 10)"
    assert not compare(a, [9.9999] * 10, paired=True).seen
    assert str(compare(a, [9.98] * 10, paired=True)).startswith("faster by 0.2 % ")
    assert str(compare(a, [300.0] * 10, paired=True)).startswith("slower by 30 times (p")


def test_too_few_repeats_say_so() -> None:
    said = str(compare([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]))
    assert said == "too few repeats to tell (p = 0.1, n = 3 and 3; it takes 4)"
    assert str(compare([1.0], [2.0])).startswith("too few")


def test_of_many_figures_that_are_alike_none_is_told_to_differ() -> None:
    """As seen on FreeBSD: one image against its copy, 14 figures, one of them with p = 0.031."""
    clearly = ([1.0] * 6, [1.1 + step / 100 for step in range(6)])
    assert str(compare(*clearly, paired=True)).startswith("slower by 12.5 % (p = 0.031, n = 6)")
    alike = [([1.0, 1.1] * 3, [1.1, 1.0] * 3)] * 13
    found = compare_all([clearly, *alike], paired=True)
    assert not any(each.seen for each in found)
    assert str(found[0]) == "too few repeats to tell (p = 0.44, n = 6; it takes 10)"
    # All of them clear is no chance, and neither is one of few.
    assert all(each.seen for each in compare_all([clearly] * 14, paired=True))
    more = (clearly[0] * 2, clearly[1] * 2)
    assert compare_all([more, *alike[:3]], paired=True)[0].seen
    assert compare_all([]) == []


def test_a_step_of_a_failover_does_not_differ_by_less_than_one_command_takes() -> None:
    """As seen on FreeBSD: of an image and its copy one step took 87 ms and 137 ms, ten times."""
    conditions = ("planned, timeout 5 s", "s")
    role = ("failover: role primary", *conditions)
    device = ("failover: device there", *conditions)
    command = ("failover: one command", *conditions)
    a = {role: [0.087] * 10, device: [0.5] * 10, command: [0.08] * 10}
    b = {role: [0.137] * 10, device: [0.6] * 10, command: [0.09] * 10}
    found = differences(a, b, paired=True)
    assert str(found[role]) == (
        "no difference that can be measured: 50 ms, and one command takes 90 ms (n = 10)"
    )
    assert str(found[device]).startswith("slower by 20.0 %")
    assert str(found[command]).startswith("slower by 12.5 %"), "that is measured itself"
    del a[command], b[command]  # of a run before these were timed
    assert differences(a, b, paired=True)[role].seen


def measured(
    size_mib: int, *, round_trip: float = 0.001, noise: float = 1.0, link: float | None = None
) -> Point:
    """A resync with 0.5 s to start, 20 ms a chunk or what the link takes, and one round trip."""
    size = size_mib * CHUNK
    slower = max(size_mib * 0.020, 0 if link is None else size / link)
    seconds = 0.5 + size_mib * round_trip + slower
    return Point(size, seconds * noise, round_trip, link)


def test_the_model_finds_what_a_resync_costs_and_predicts_others() -> None:
    chance = random.Random(2)
    points = [
        measured(mib, round_trip=trip, noise=chance.gauss(1, 0.01))
        for mib in (16, 32, 64)
        for trip in (0.001, 0.005, 0.02)
    ]
    model = fit(points)
    assert model.start == pytest.approx(0.5, rel=0.2)
    assert model.work == pytest.approx(0.020, rel=0.1)
    assert model.trips == pytest.approx(1, rel=0.1)
    true = measured(256, round_trip=0.01, link=12.5e6).seconds
    estimate = model.predict(256 * CHUNK, 0.01, 12.5e6)
    assert estimate.seconds == pytest.approx(true, rel=0.03)
    assert estimate.low < true < estimate.high


def test_a_link_that_is_quicker_than_the_work_costs_nothing() -> None:
    slow, quick = (measured(32, link=rate) for rate in (1e6, 1e9))
    assert quick.seconds == measured(32).seconds
    points = [*(measured(mib) for mib in (16, 32, 64, 128)), slow, quick]
    model = fit(points)
    assert model.error < 0.002
    assert model.seconds(64 * CHUNK, link_rate=1e6) == pytest.approx(0.5 + 64 * 1.048576)
    wrong = Point(slow.size, slow.seconds / 2, slow.round_trip, slow.link_rate)
    assert fit([*points[:4], wrong]).error == pytest.approx(1, rel=0.01)


def test_without_another_delay_the_round_trip_is_part_of_the_work() -> None:
    model = fit([measured(mib) for mib in (16, 32, 64)])
    assert model.trips is None
    assert model.work == pytest.approx(0.021)
    assert model.rate == pytest.approx(CHUNK / 0.021)


def test_a_host_that_slows_down_is_not_taken_for_a_longer_link() -> None:
    """As seen on FreeBSD: pings of 1.2 to 1.9 ms, and `work` of 5 ms with 12 round trips."""
    paced = [(mib, pace) for mib in (30, 60, 120) for pace in (1.0, 1.1, 1.5)]
    model = fit([measured(mib, round_trip=0.0012 * pace, noise=pace) for mib, pace in paced])
    assert model.trips is None


def test_points_that_determine_nothing_are_refused() -> None:
    with pytest.raises(FitError, match="two sizes"):
        fit([measured(16), measured(16), measured(16)])
    with pytest.raises(FitError, match="too few"):
        fit([measured(16), measured(32)])
