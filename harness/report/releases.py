"""Releases side by side as Markdown: what held where, what took longer, what is said otherwise."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.config.software import in_words
from harness.report.summary import block, code, plain
from harness.results.past.earlier import results_of
from harness.results.past.releases import (
    Answers,
    Otherwise,
    Releases,
    Row,
    answers,
    beside,
    otherwise,
)
from harness.results.results_json import Description, Results
from harness.words import seconds

_MOST = 60
"""Commands that were answered otherwise, shown with what changed."""


def compare(folders: Sequence[Path]) -> str:
    """The page for these results folders, the first of them compared with each of the others.

    Raises `HarnessError` when one is no run, or its transcripts are broken.
    """
    runs = [results_of(folder) for folder in folders]
    columns = headings([run.run for run in runs])
    changed = otherwise([answers(folder) for folder in folders])
    return "\n".join(
        [
            *_head(runs, columns),
            *_verdicts(beside(runs, columns)),
            *_answers("What the scenarios' commands were answered otherwise", columns, changed),
        ]
    )


def compare_recordings(names: Sequence[str], recorded: Sequence[Answers]) -> str:
    """The part of the page for recordings of the same tour."""
    changed = otherwise(recorded)
    return "\n".join(_answers("Recorded commands that are answered otherwise", names, changed))


def headings(runs: Sequence[Description]) -> list[str]:
    """A short name for each run: its release, a replaced program, and more if need be."""
    names = [run.system.replace(f" {run.release.partition(' ')[2]}", "") for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.name})"
        for name, run in zip(names, runs, strict=True)
    ]


def _head(runs: Sequence[Results], columns: Sequence[str]) -> Iterator[str]:
    yield f"# FreeBSD {' beside '.join(plain(name) for name in columns)}"
    yield ""
    for name, run in zip(columns, runs, strict=True):
        if run.run.programs:
            yield f"{plain(name)}: {plain('; '.join(in_words(run.run.programs)))}.\n"
    if any(run.run.simulated for run in runs):
        yield "> [!WARNING]\n> Some of it is a model, and no evidence about FreeBSD.\n"
    yield "| | run | lab | verdicts | time |"
    yield "| --- | --- | --- | --- | --- |"
    for name, run in zip(columns, runs, strict=True):
        about = run.run
        lab = f"{about.lab}, {about.acceleration}"
        yield (
            f"| {plain(name)} | `{code(about.name)}` | {plain(lab)} | {plain(run.headline)} "
            f"| {seconds(about.seconds)} |"
        )
    yield ""


def _verdicts(found: Releases) -> Iterator[str]:
    heads = "".join(f" {plain(name)} |" for name in found.columns)
    rule = "| --- |" + " --- |" * len(found.columns)
    yield from ("## Claims\n", f"| claim |{heads}", rule)
    yield from (_line(row, plain(row.name)) for row in found.claims)
    differing = [row for row in found.scenarios if row.differs]
    yield f"\n## Scenarios that end otherwise: {len(differing)} of {len(found.scenarios)}\n"
    if differing:
        yield from (f"| scenario |{heads}", rule)
    for row in differing:
        yield _line(row, f"`{code(row.name)}`")
    yield ""
    for row in differing:
        for column, why in enumerate(row.why):
            if why:
                yield f"- `{code(row.name)}`, {plain(found.columns[column])}: {plain(why)}"
    yield f"\n## All scenarios\n\n| scenario |{heads}\n{rule}"
    yield from (_line(row, f"`{code(row.name)}`") for row in found.scenarios)
    slower = list(found.slower)
    yield f"\n## What held everywhere and took another time: {len(slower)}\n"
    for each in slower:
        word = "longer" if each.then > each.first else "shorter"
        yield (
            f"- `{code(each.name)}`: {seconds(each.first)}, on "
            f"{plain(found.columns[each.column])} {word}: {seconds(each.then)}"
        )
    yield ""


def _line(row: Row, name: str) -> str:
    verdicts = "".join(f" {'-' if each is None else each} |" for each in row.verdicts)
    return f"| {name} |{verdicts}"


def _answers(title: str, columns: Sequence[str], changed: Iterator[Otherwise]) -> Iterator[str]:
    found = list(changed)
    yield f"## {title}: {len(found)}\n"
    yield (
        "Of commands that both were asked, those that never got the same answer. What differs "
        "between two runs of one release is taken out first (harness/freebsd/comparable.py).\n"
    )
    for each in found[:_MOST]:
        yield f"- `{code(each.command)}`, on {plain(columns[each.column])}:\n"
        changes = difflib.unified_diff(
            each.first.splitlines(),
            each.then.splitlines(),
            columns[0],
            columns[each.column],
            lineterm="",
            n=1,
        )
        yield block("\n".join(changes))
    if len(found) > _MOST:
        yield f"- and {len(found) - _MOST} more"
    yield ""
