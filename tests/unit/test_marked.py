"""Output of which every line says that it is simulated."""

from __future__ import annotations

import io

from harness.record.marked import MarkedStream


def test_every_line_has_the_mark_once() -> None:
    stream = io.StringIO()
    marked = MarkedStream(stream, "simulated")
    for text in ("one", " and\n", "two\n\nthree\n", "[simulated] four\n", "five"):
        assert marked.write(text) == len(text)
    assert stream.getvalue() == (
        "[simulated] one and\n[simulated] two\n[simulated] \n[simulated] three\n"
        "[simulated] four\n[simulated] five"
    )
    assert marked.width == len("[simulated] ")


def test_a_line_that_is_written_over_has_the_mark_again() -> None:
    stream = io.StringIO()
    marked = MarkedStream(stream, "simulated")
    for text in ("collecting ... ", "\rcollected 2 items\n", "dos\r\n", "one\rtwo\n"):
        marked.write(text)
    assert stream.getvalue() == (
        "[simulated] collecting ... \r[simulated] collected 2 items\n[simulated] dos\r\n"
        "[simulated] one\r[simulated] two\n"
    )
