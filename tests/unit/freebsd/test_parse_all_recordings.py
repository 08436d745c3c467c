"""Every recording is understood, and a damaged one is never taken for something else."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UnrecognisedOutput
from harness.freebsd.hast.log import parse_log
from tests.unit.freebsd.recordings import RECORDED, all_with_parsers, recorded

ALL = all_with_parsers()
WITH_TEXT = [(recorded(name), parse) for name, parse in ALL if recorded(name)]


def unrecognised(view: object) -> Iterator[str]:
    """What the parsers kept without understanding it, anywhere in what they made."""
    if isinstance(view, tuple):
        for part in view:
            yield from unrecognised(part)
    elif dataclasses.is_dataclass(view):
        yield from getattr(view, "unrecognised", ())
        for each in dataclasses.fields(view):
            yield from unrecognised(getattr(view, each.name))


@pytest.mark.parametrize(("name", "parse"), ALL, ids=[name for name, _ in ALL])
def test_nothing_of_a_recording_is_unrecognised(name: str, parse: Callable[[str], object]) -> None:
    assert list(unrecognised(parse(recorded(name)))) == []


def test_every_recording_with_text_has_a_parser_or_is_known_to_have_none() -> None:
    read = {name for name, _ in ALL}
    others = {
        path.stem
        for path in (RECORDED / "13.2").glob("*.txt")
        if path.stem not in read and path.read_text(encoding="utf-8")
    }
    # The arguments of the exec program are read one line at a time.
    assert others == {"hooks_skunk1", "hooks_skunk2"}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Callable[[str], object], str]:
    """A recording cut off somewhere, or with some of its lines lost, doubled or swapped."""
    whole, parse = draw(st.sampled_from(WITH_TEXT))
    lines = whole.splitlines(keepends=True)
    indexes = st.integers(0, len(lines) - 1)
    for index in draw(st.lists(indexes, max_size=4)):
        match draw(st.sampled_from(["lose", "double", "swap", "cut"])):
            case "lose":
                lines[index] = ""
            case "double":
                lines[index] *= 2
            case "swap":
                other = draw(indexes)
                lines[index], lines[other] = lines[other], lines[index]
            case "cut":
                lines[index] = lines[index][: draw(st.integers(0, len(lines[index])))]
    text = "".join(lines)
    return parse, text[: draw(st.integers(0, len(text)) | st.just(len(text)))]


@settings(max_examples=1500, deadline=None)
@given(damaged())
def test_a_damaged_output_is_read_or_refused_as_unrecognised(
    case: tuple[Callable[[str], object], str],
) -> None:
    parse, text = case
    with contextlib.suppress(UnrecognisedOutput):
        parse(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_a_log_never_loses_a_line_whatever_is_in_it(text: str) -> None:
    assert "\n".join(line.text for line in parse_log(text)) == text.removesuffix("\n")
