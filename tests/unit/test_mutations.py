"""Mutations: the table, who catches one and for what reason, and the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import paths
from harness.errors import HarnessError, SettingsError
from harness.results.run import Case, Failure, Verdict
from harness.trials.mutations import table
from harness.trials.mutations.mutation import Mutation, nothing
from harness.trials.mutations.run import Matrix, judge
from harness.trials.mutations.show import lines, write_markdown

BROKEN = Mutation("broken", "a thing", "replicas differ", nothing, of_model=True)


def case(name: str, *failures: Failure, verdict: Verdict = Verdict.FAILED) -> Case:
    return Case(name, "test_a.py", f"test_a.py-{name}", 1.0, verdict, failures=failures)


def failure(message: str, phase: str = "call") -> Failure:
    return Failure("ClaimFailed", message, "", phase=phase)


def outcomes() -> Matrix:
    cases = [
        case("test_right", failure("the two replicas differ:\n  at 16 MiB")),
        case("test_other", failure("assert 1 == 2")),
        case("test_no_pair", failure("replicas differ", "setup")),
        case("test_audit", failure("the two replicas differ, too", "teardown")),
        case("test_held", verdict=Verdict.HELD),
        case("test_bug", verdict=Verdict.KNOWN_BUG),
    ]
    names = tuple(f"test_a.py::{each.name}" for each in cases[:-1])
    return Matrix(names, ("test_a.py::test_bug",), (), (judge(BROKEN, cases),))


def test_only_who_fails_for_the_right_reason_has_noticed() -> None:
    matrix = outcomes()
    (outcome,) = matrix.outcomes
    assert outcome.caught == {
        "test_a.py::test_right": "the two replicas differ: at 16 MiB",
        "test_a.py::test_audit": "the two replicas differ, too",
    }
    assert outcome.otherwise == {"test_a.py::test_other": "assert 1 == 2"}
    assert outcome.not_set_up == ("test_a.py::test_no_pair",)
    assert matrix.never_failed == [
        f"test_a.py::{name}" for name in ("test_other", "test_no_pair", "test_held")
    ]
    assert not matrix.ok


def test_what_every_scenario_notices_counts_for_none() -> None:
    release = Mutation("r", "", "x", nothing, of_model=True, of_every_scenario=True)
    matrix = Matrix(
        ("test_a.py::test_b",), (), (), (judge(release, [case("test_b", failure("x"))]),)
    )
    assert matrix.uncaught == []
    assert matrix.never_failed == ["test_a.py::test_b"]
    assert not matrix.ok


def test_the_document_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "mutations.md"
    text = (paths.PROJECT / "docs" / "mutations.md").read_text()
    path.write_text(text)
    write_markdown(outcomes(), path)
    written = path.read_text()
    assert "- **`broken`** (the model): a thing.\\\n  Caught by 2. `test_right`: the two" in written
    assert "- `broken`: `test_a.py::test_other`: assert 1 == 2" in written
    assert written.partition("<!--")[0] == text.partition("<!--")[0]
    assert any("never failed by a mutation: test_a.py::test_held" in x for x in lines(outcomes()))
    path.write_text("no marks")
    with pytest.raises(HarnessError, match="lacks the marks"):
        write_markdown(outcomes(), path)


def test_every_mutation_can_be_applied_and_taken_back() -> None:
    """A target that was renamed is noticed here, and not as a mutation that nobody notices."""
    from harness.cluster.pair import Pair  # noqa: PLC0415 - as it is before

    export = Pair.export_pool
    for mutation in table.ALL.values():
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
    assert Pair.export_pool is export


def test_a_wrong_name_and_a_wrong_lab_are_refused() -> None:
    with pytest.raises(SettingsError, match="did you mean pool-imports-empty"):
        table.find("pool_import_empty")
    with pytest.raises(SettingsError, match="one of the model"):
        table.find("pool-imports-empty").check("qemu")
    table.find("one-block-is-corrupted").check("qemu")
