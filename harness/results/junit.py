"""junit.xml as pytest writes it: the tests of a run, how each ended, and why."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from harness.errors import HarnessError
from harness.record.folders import folder_name
from harness.results.claims import BY_FILE, TITLES
from harness.results.run import Case, Failure, Verdict
from harness.waiting.spent import Spent

NOTED = "noted: "
"""What the plugin puts before the name of what a scenario kept."""

SECONDS = "seconds_"
"""What it puts before the name of each part of the time that a scenario took."""

TEST = "test"
"""The property that has what the test is called (harness.pytest_plugin.naming)."""

EVIDENCE = "evidence"
"""The property that has the name of its folder."""

GAP = "gap"
"""The property that has something the model lacked; one for each."""

NOT_RUN = "not run"
"""The property of a test that was to run and has no end."""

FIXED_HERE = "fixed here"
"""The property of a test that held where a known bug breaks it, with a replaced program: which."""

ENDED = "ended "
"""Before the name of the phase that did not end well: whether it `failed` or `broke`."""


def read(path: Path) -> tuple[float, tuple[Case, ...]]:
    """The seconds that the whole run took, and its tests in the order in which they ran.

    Raises `HarnessError` when the file is missing or is not what pytest writes.
    """
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - our own pytest wrote it
        seconds = sum(_seconds(suite.get("time", "0")) for suite in root.iter("testsuite"))
        cases = [_case(element) for element in root.iter("testcase")]
    except FileNotFoundError:
        raise HarnessError(
            f"there is no {path.name} in {path.parent}",
            advice="the run was killed before its end, or pytest ran without "
            f"`--junitxml {path}`: run the scenarios again with `skunk run`",
        ) from None
    except (ElementTree.ParseError, LookupError, ValueError, OSError) as error:
        raise HarnessError(
            f"{path} cannot be read: {error}",
            advice="it was cut off or edited: run the scenarios again with `skunk run`",
        ) from error
    return seconds, _merged(cases)


def _merged(cases: Iterable[Case]) -> tuple[Case, ...]:
    """One case a test: pytest writes a second one when its clean-up fails too."""
    found: dict[str, Case] = {}
    for case in cases:
        if not case.name:  # of earlier versions: a scenario that was interrupted
            continue
        earlier = found.get(case.folder)
        if earlier is not None:
            case = replace(  # noqa: PLW2901 - the two together
                earlier,
                seconds=earlier.seconds + case.seconds,
                verdict=next(
                    (one.verdict for one in (earlier, case) if one.verdict is Verdict.GAP),
                    Verdict.worst((earlier.verdict, case.verdict)),
                ),
                reason=earlier.reason or case.reason,
                failures=earlier.failures + case.failures,
                spent=case.spent or earlier.spent,
            )
        found[case.folder] = case
    return tuple(found.values())


def _case(element: ElementTree.Element) -> Case:
    modules = element.get("classname", "").split(".")
    module = next((part for part in modules if part.startswith("test_")), modules[-1])
    name = element.get("name", "")
    classes = modules[modules.index(module) + 1 :]
    properties = [(item.get("name"), item.get("value", "")) for item in element.iter("property")]
    said = {key: value for key, value in properties if key is not None}
    failures = tuple(_failure(item, said) for item in element if item.tag in ("failure", "error"))
    verdict, reason = Verdict.HELD, ""
    skipped = element.find("skipped")
    gaps = tuple(value for key, value in properties if key == GAP)
    test = said.get(TEST) or "::".join([f"{module}.py", *classes, name])
    if gaps or NOT_RUN in said:
        verdict = Verdict.GAP if gaps else Verdict.NOT_RUN
        reason = "" if skipped is None else skipped.get("message", "")
    elif failures:
        verdict = Verdict.worst(
            Verdict.BROKE if failure.broke else Verdict.FAILED for failure in failures
        )
    elif skipped is not None:
        expected = skipped.get("type") == "pytest.xfail"
        verdict = Verdict.KNOWN_BUG if expected else Verdict.SKIPPED
        reason = skipped.get("message", "")
    elif FIXED_HERE in said:
        verdict, reason = Verdict.FIXED_HERE, said[FIXED_HERE]
    return Case(
        name=test.partition("::")[2] if name else "",
        file=test.partition("::")[0],
        folder=said.get(EVIDENCE) or folder_name(test),
        seconds=_seconds(element.get("time", "0")),
        verdict=verdict,
        claims=_claims([value for key, value in properties if key == "claim"], f"{module}.py"),
        docstring=inspect.cleandoc(
            next((value for key, value in properties if key == "docstring"), "")
        ),
        noted=tuple(starting(properties, NOTED)),
        reason=reason,
        failures=failures,
        spent=_spent(said),
        gaps=gaps,
    )


def starting(properties: Iterable[tuple[str | None, object]], prefix: str) -> list[tuple[str, str]]:
    """The properties with this prefix, without it."""
    return [
        (key.removeprefix(prefix), str(value))
        for key, value in properties
        if key is not None and key.startswith(prefix)
    ]


def _spent(properties: Mapping[str, str]) -> Spent | None:
    """What the plugin has put there for each field of `Spent`, in seconds."""
    try:
        return Spent(
            *(_seconds(properties[f"{SECONDS}{field.name}"]) for field in dataclasses.fields(Spent))
        )
    except KeyError:
        return None


def _seconds(text: str) -> float:
    """A time. Raises `ValueError` for what none can be; commas are of a locale's numbers."""
    seconds = float(text.replace(",", ""))
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{text} is no time")
    return seconds


def _claims(values: Iterable[str], file: str) -> tuple[int, ...]:
    numbers = {int(number) for value in values for number in re.findall(r"[0-9]+", value)}
    if not numbers and file in BY_FILE:
        numbers = {BY_FILE[file]}
    return tuple(sorted(numbers & set(TITLES)))


def _failure(element: ElementTree.Element, said: Mapping[str, str]) -> Failure:
    message = element.get("message", "")
    phase = "call"
    if around := re.match(r'failed on (\w+) with "(.*)', message, re.DOTALL):
        phase, message = around[1], around[2].removesuffix('"')  # a long one is cut off
    error = re.match(r"(?:\w+\.)*([A-Z]\w+)(?:: |$)", message)
    traceback = (element.text or "").strip("\n")
    step, place = _scenario_line(traceback)
    wait = re.search(r"waited ([0-9.]+) s for (.*?); last seen: (.*)", message, re.DOTALL)
    return Failure(
        error=error[1] if error else "AssertionError",
        message=message[error.end() :] if error and error.end() < len(message) else message,
        traceback=traceback,
        step=step,
        place=place,
        awaited=wait[2] if wait else None,
        within=float(wait[1]) if wait else None,
        last=wait[3] if wait else None,
        phase=phase,
        told=None if (told := said.get(f"{ENDED}{phase}")) is None else told == Verdict.FAILED,
    )


def _scenario_line(traceback: str) -> tuple[str | None, str | None]:
    """The innermost line of a scenario file in pytest's traceback, with its file and number."""
    lines = traceback.split("\n")
    marked: str | None = None
    step: tuple[str | None, str | None] = (None, None)
    for index, line in enumerate(lines):
        if line.startswith(">"):
            marked = line[1:].strip()
        place = re.match(r"(?:\S*/)?(test_\w+\.py:[0-9]+): ?(in )?", line)
        if place and place[2]:
            step = lines[index + 1].strip() if index + 1 < len(lines) else None, place[1]
        elif place:
            step = marked, place[1]
    return step
