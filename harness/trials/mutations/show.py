"""The matrix of mutations and scenarios as text, and as the table of docs/mutations.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError
from harness.trials.mutations.run import Matrix, Outcome

_LONGEST = 150
_MOST = 6
"""Scenarios named of those that catch one mutation."""
_BEGIN, _END = "<!-- begin: made by `skunk mutations --markdown` -->", "<!-- end -->"


def lines(matrix: Matrix) -> Iterator[str]:
    """Every mutation with the scenarios that catch it, then what is missing."""
    for outcome in matrix.outcomes:
        yield ""
        yield f"{outcome.mutation.name}: {outcome.mutation.breaks}"
        yield from (f"    {name}: {_short(text)}" for name, text in outcome.caught.items())
        yield from (
            f"    (for another reason) {name}: {_short(text)}"
            for name, text in outcome.otherwise.items()
        )
        if outcome.not_set_up:
            yield f"    ({len(outcome.not_set_up)} scenarios could not begin)"
        if not outcome.caught:
            yield "    NOBODY NOTICES"
    yield ""
    yield from summary(matrix)


def summary(matrix: Matrix) -> Iterator[str]:
    """What is missing, and the counts."""
    yield from (f"fails without any mutation: {name}" for name in matrix.broken)
    if matrix.complete:
        yield from (f"never failed by a mutation: {name}" for name in matrix.never_failed)
    yield from (f"caught by nothing: {name}" for name in matrix.uncaught)
    caught = len(matrix.outcomes) - len(matrix.uncaught)
    told = f"{caught} of {len(matrix.outcomes)} mutations are caught"
    if matrix.complete:
        noticing = len(matrix.scenarios) - len(matrix.never_failed)
        told += f", {noticing} of {len(matrix.scenarios)} scenarios catch one"
    yield told + (
        f" ({len(matrix.expected_to_fail)} more are expected to fail)"
        if matrix.expected_to_fail
        else ""
    )


def write_markdown(matrix: Matrix, path: Path) -> None:
    """Put the matrix into a document, between its two marks. Raises `HarnessError` without them."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise HarnessError(f"{path} lacks the marks {_BEGIN} and {_END}", advice="put them back")
    made = "\n".join(_markdown(matrix))
    path.write_text(f"{before}{_BEGIN}\n\n{made}\n\n{_END}{after}", encoding="utf-8")


def _markdown(matrix: Matrix) -> Iterator[str]:
    yield from (f"- {line}" for line in summary(matrix))
    yield ""
    for outcome in matrix.outcomes:
        mutation = outcome.mutation
        where = "the model" if mutation.of_model else "any lab"
        yield f"- **`{mutation.name}`** ({where}): {_escaped(mutation.breaks)}.\\"
        yield f"  {_catchers(outcome)}"
    others = [outcome for outcome in matrix.outcomes if outcome.otherwise]
    if others:
        yield ""
        yield "Failures for another reason than the mutation's:"
        yield ""
        for outcome in others:
            for name, text in outcome.otherwise.items():
                yield f"- `{outcome.mutation.name}`: `{name}`: {_escaped(_short(text))}"


def _catchers(outcome: Outcome) -> str:
    """Who notices, in a line; of many the first few, for all of them tell the same."""
    if not outcome.caught:
        return "**Nobody notices.**"
    (first, said), *_ = outcome.caught.items()
    counts = Counter(_function(name) for name in outcome.caught)
    others = [
        f"`{name}`" if count == 1 else f"`{name}` ({count})"
        for name, count in counts.items()
        if name != _function(first)
    ]
    told = f"`{_function(first)}`: {_escaped(_short(said))}"
    if not others:
        return f"Caught by {told}"
    more = f" and {len(others) - _MOST} more" if len(others) > _MOST else ""
    return f"Caught by {len(outcome.caught)}. {told}; {', '.join(others[:_MOST])}{more}"


def _function(name: str) -> str:
    """A test's name without its parameters."""
    return name.partition("::")[2].partition("[")[0]


def _short(text: str) -> str:
    text = text.partition("; last seen: ")[0]
    text = re.sub(r"\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ UTC", "...", text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\")
    return escaped.replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")
