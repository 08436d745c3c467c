"""Sizes and times as FreeBSD's libraries print them."""

from __future__ import annotations

import pytest

from harness.lab.simulated.hast.text import duration, humanize


@pytest.mark.parametrize(
    ("number", "text"),
    [
        # recorded
        (0, "0"),
        (2097152, "2.0M"),
        (536866304, "512M"),
        (331350016, "316M"),
        (67104256, "64M"),
        # from the rules of humanize_number(3)
        (999, "999"),
        (1000, "1.0K"),
        (1023 * 1024, "1.0M"),
        (999 * 1024 + 511, "999K"),
        (999 * 1024 + 512, "1.0M"),
        (9 * 1024**2 + 972 * 1024, "9.9M"),
        (9 * 1024**2 + 973 * 1024, "10M"),
        (40 * 1024**3, "40G"),
    ],
)
def test_humanize(number: int, text: str) -> None:
    assert humanize(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (12.9, "12s"), (60, "1m"), (90, "1m30s"), (3605, "1h0m5s"), (90000, "1d1h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
