"""summary.md: a run on the page of a CI job, as GitHub's Markdown. Failures come first.

A job's summary may have 1 MiB (docs.github.com, "Adding a job summary"); this one stays far below.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.config.software import in_words
from harness.record.outgoing import printable, without_secrets
from harness.results.causes import by_cause, cause
from harness.results.past.history import Past, flakiest
from harness.results.run import BAD, Verdict
from harness.words import seconds

if TYPE_CHECKING:  # the words for a mail are here, too, and need no schema
    from harness.results.results_json import Changed, Difference, Ended, Results

NAME = "summary.md"
LARGEST = 500_000
"""Bytes."""

_MOST = 50
"""Rows of a table; the report has them all."""

_MOST_NAMES = 60
"""Of scenarios that failed with the same words."""

_LONGEST = 1_500
"""Characters of what a failure says."""

_SIGNS = {
    Verdict.HELD: "✅",
    Verdict.FIXED_HERE: "🩹",
    Verdict.FAILED: "❌",
    Verdict.BROKE: "💥",
    Verdict.KNOWN_BUG: "🐞",
    Verdict.GAP: "❓",
    Verdict.NOT_RUN: "⏹️",
    Verdict.SKIPPED: "⏭️",
    Verdict.NOT_TESTED: "",
}


def write(
    folder: Path, results: Results, pasts: Mapping[str, Past], warnings: Sequence[str] = ()
) -> Path:
    """Write summary.md into the folder of a run, and return its path. Raises `OSError`."""
    path = folder / NAME
    text = without_secrets(markdown(results, pasts, warnings))
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


def markdown(results: Results, pasts: Mapping[str, Past], warnings: Sequence[str] = ()) -> str:
    """The summary, at most `LARGEST` bytes."""
    text = "\n".join(_lines(results, pasts, warnings)) + "\n"
    if len(text.encode(errors="replace")) <= LARGEST:
        return text
    kept = text.encode(errors="replace")[:LARGEST].decode(errors="ignore")
    return f"{kept.rpartition(chr(10))[0]}\n\nCut off here; the report has it all.\n"


def _lines(results: Results, pasts: Mapping[str, Past], warnings: Sequence[str]) -> Iterator[str]:
    run = results.run
    yield f"## {'Simulated: ' if run.simulated else ''}{results.headline}"
    yield ""
    yield " · ".join(
        [
            f"**{plain(run.lab)} lab**",
            f"**{'a model of ' if run.simulated else ''}FreeBSD {plain(run.system)}**",
            *map(plain, in_words(run.programs)),
            plain(run.hypervisor),
            plain(run.acceleration),
            *([f"seed {run.seed}"] if run.seed is not None else []),
            f"{run.started:%Y-%m-%d %H:%M} UTC",
            seconds(run.seconds),
        ]
    )
    yield ""
    if run.simulated:
        yield "> [!WARNING]\n> Its nodes were a model: nothing here is evidence about FreeBSD.\n"
    if run.mutation is not None:
        yield f"> [!WARNING]\n> The world was broken on purpose: {plain(run.mutation)}.\n"
    yield from (f"> {plain(warning)}\n" for warning in warnings)
    yield from _failures([one for one in results.scenarios if one.verdict in BAD])
    yield from _not_run([one for one in results.scenarios if one.verdict is Verdict.NOT_RUN])
    yield from _gaps([one for one in results.scenarios if one.verdict is Verdict.GAP])
    yield from _claims(results)
    for title, verdict in (
        ("Known bugs", Verdict.KNOWN_BUG),
        ("Fixed here", Verdict.FIXED_HERE),
    ):
        yield from _known_bugs(title, [o for o in results.scenarios if o.verdict is verdict])
    if results.difference is not None:
        yield from _difference(results.difference)
    yield from _flaky(flakiest(pasts.values()))
    yield from _notes(results.scenarios)
    yield f"Evidence: `{code(run.name)}`, with report.html and results.json{_artifacts()}."


def _failures(failed: Sequence[Ended]) -> Iterator[str]:
    if not failed:
        return
    yield "### What did not hold\n"
    causes = by_cause(failed, _cause)
    for one, *others in causes[:_MOST]:
        yield f"- {_SIGNS[one.verdict]} **{one.verdict}** {_name(one.id)}{_of_claims(one)}"
        if others:
            names = ", ".join(_name(other.id) for other in others[:_MOST_NAMES])
            more = ", and more" if len(others) > _MOST_NAMES else ""
            yield f"  and **{len(others)} more** with the same words: {names}{more}"
        for why in one.failures[:2]:
            where = f" at `{code(why.place)}`" if why.place else ""
            yield f"  {plain(why.error)}{where}"
            if why.step:
                yield block(why.step)
            if why.awaited is not None:
                yield f"  waited {seconds(why.within or 0.0)} for {plain(why.awaited)}; last seen:"
                yield block(why.last_seen or "nothing")
            else:
                yield block(why.message)
    yield from _more(causes)
    yield ""


def _cause(one: Ended) -> str:
    if not one.failures:
        return str(one.verdict)
    first = one.failures[0]
    words = first.message.partition("\n")[0].partition("; last seen: ")[0]
    return f"{one.verdict}: {cause(first.error, words)}"


def _not_run(missing: Sequence[Ended]) -> Iterator[str]:
    if not missing:
        return
    yield "### Did not run\n"
    for one in missing[:_MOST]:
        yield f"- {_name(one.id)}{_of_claims(one)}: {plain(one.reason)}"
    yield from _more(missing)
    yield ""


def _gaps(met: Sequence[Ended]) -> Iterator[str]:
    if not met:
        return
    yield "### Gaps in the model: no verdict\n"
    yield "These asked for something that FreeBSD has and the model lacks: run them on FreeBSD.\n"
    for one in met[:_MOST]:
        yield f"- {_name(one.id)}{_of_claims(one)}"
        yield from (f"  - {plain(gap)}" for gap in one.gaps[:10])
    yield from _more(met)
    yield ""


def _claims(results: Results) -> Iterator[str]:
    yield "### Claims\n"
    yield "| | claim | verdict | scenarios |"
    yield "| --- | --- | --- | --- |"
    by_id = {one.id: one for one in results.scenarios}
    for claim in results.claims:
        counts = _counts(by_id[name].verdict for name in claim.scenarios)
        text = f"{claim.title} ({claim.untested})" if claim.untested else claim.title
        yield f"| {claim.number} | {plain(text)} | {_verdict(claim.verdict)} | {counts} |"
    others = [one.verdict for one in results.scenarios if not one.claims]
    if others:
        worst = _verdict(Verdict.worst(others))
        yield f"| | beyond the field notes | {worst} | {_counts(others)} |"
    yield ""


def _known_bugs(title: str, known: Sequence[Ended]) -> Iterator[str]:
    if not known:
        return
    yield f"### {title}\n"
    yield "| bug | scenario | what |"
    yield "| --- | --- | --- |"
    for one in known[:_MOST]:
        number = one.known_bug
        link = (
            f"[{number}](https://bugs.freebsd.org/bugzilla/show_bug.cgi?id={number})"
            if number
            else "no number"
        )
        yield f"| {link} | {_name(one.id)} | {plain(one.reason)} |"
    yield from _more(known)
    yield ""


def _difference(other: Difference) -> Iterator[str]:
    yield f"### Against {plain(other.name)}\n"
    yield (
        f"{other.compared} scenarios in common; FreeBSD {plain(other.release)}, "
        f"harness {plain(other.harness)}.\n"
    )
    if not (other.verdicts or other.times or other.added or other.missing):
        yield "Nothing changed.\n"
        return
    for title, changes in (
        ("new failure", other.new_failures),
        ("fixed", other.fixed),
        ("changed", other.changed),
    ):
        for change in changes[:_MOST]:
            yield f"- **{title}**: {_name(change.id)}, {_was(change)}"
        yield from _more(changes)
    for title, names in (("new", other.added), ("not in this run", other.missing)):
        if names:
            some = ", ".join(map(_name, names[:10]))
            yield f"- {title}: {len(names)}: {some}{' and more' if len(names) > 10 else ''}"
    for time in other.times[:10]:
        word = "slower" if time.now > time.before else "faster"
        yield f"- {word}: {_name(time.id)}, {seconds(time.before)} before, now {seconds(time.now)}"
    yield ""


def _flaky(flaky: Sequence[Past]) -> Iterator[str]:
    if not flaky:
        return
    yield "### Flaky scenarios\n"
    yield "| scenario | runs | bad | flake rate |"
    yield "| --- | --- | --- | --- |"
    for past in flaky[:_MOST]:
        rate = past.flake_rate or 0.0
        yield f"| {_name(past.scenario)} | {len(past.verdicts)} | {past.bad} | {rate:.0%} |"
    yield from _more(flaky)
    yield ""


def _notes(scenarios: Iterable[Ended]) -> Iterator[str]:
    noted = [(one, note) for one in scenarios for note in one.notes]
    if not noted:
        return
    yield f"<details><summary>{len(noted)} figures noted by the scenarios</summary>\n"
    yield "| scenario | what | |"
    yield "| --- | --- | --- |"
    for one, note in noted[: 2 * _MOST]:
        yield f"| {_name(one.id)} | {plain(note.name)} | {plain(note.value)} |"
    yield "\n</details>\n"


def _artifacts() -> str:
    """Where the evidence is, on GitHub's runners: its documented variables say."""
    server, repository, number = (
        os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    if not (server and repository and number):
        return ""
    url = quote(f"{server}/{repository}/actions/runs/{number}#artifacts", safe=":/#")
    return f", is among [the artifacts of this run]({url})"


def _was(change: Changed) -> str:
    why = f": {plain(change.reason)}" if change.reason else ""
    return f"{change.before} before, now {change.now}{why}"


def _verdict(verdict: Verdict) -> str:
    return f"{_SIGNS[verdict]} {verdict}".strip()


def _counts(verdicts: Iterable[Verdict]) -> str:
    found = list(verdicts)
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in Verdict if verdict in found)


def _of_claims(one: Ended) -> str:
    return f", claim {', '.join(map(str, one.claims))}" if one.claims else ""


def _more(rows: Sequence[object]) -> Iterator[str]:
    if len(rows) > _MOST:
        yield f"\n{len(rows) - _MOST} more are in the report."


def _name(scenario: str) -> str:
    return f"`{code(scenario)}`"


def code(text: str) -> str:
    """What may stand between backquotes, in a table too."""
    return " ".join(printable(text).replace("`", "'").replace("|", "\\|").split())


def block(text: str) -> str:
    """Several lines as they are, in a list's item; no fence in them ends it."""
    text = printable(text)
    lines = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... (cut off)"
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", lines) or [""]))
    return "\n".join(f"  {line}" for line in (f"{fence}text", *lines.splitlines(), fence))


def plain(text: str) -> str:
    """A node's or a person's text in one line, with nothing that Markdown takes for its own."""
    line = " ".join(printable(text).split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ... (cut off)"
    return re.sub(r"([\\`*_{}\[\]<>#|~@$&])", r"\\\1", line)
