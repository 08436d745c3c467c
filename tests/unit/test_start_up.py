"""What a command imports before its first line, and what one lab imports of another.

Time on a busy machine says little, so what is held here is what costs the time: the modules.
`make bench-harness` measures the seconds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.config import paths
from harness.measure.evaluation.history import History
from harness.nightly import night
from harness.nightly.plan import Lane
from harness.record.folders import make_latest
from harness.report.publish import publish
from tests.results_folders import FIRST, case, part

HEAVY = {
    *("pytest", "pydantic", "yaml", "numpy", "scipy", "matplotlib", "paramiko", "cryptography"),
    *("rich", "jinja2", "tenacity", "requests", "psutil", "filelock", "asyncio"),
}
"""Packages that no command needs before its first line, unless it says so below."""

OF_ONE_LAB = {
    "vagrant": {"vagrant", "harness.lab.vagrant"},
    "qemu": {"qemu", "pycdlib", "pexpect", "harness.lab.qemu"},
    "simulated": {"harness.lab.simulated"},
}
"""Of which the others, and the command line, want to know nothing."""

OF_ANY_LAB = {name for names in OF_ONE_LAB.values() for name in names}

COMMANDS = [
    *("run", "demo", "record", "soak", "fuzz", "conformance", "mutations", "report", "history"),
    "index",
    *("image", "box", "doctor", "up", "down", "status", "ssh", "console", "cut", "heal"),
    *("bench run", "bench compare", "bench show", "bench history", "bench harness"),
    *("nightly run", "nightly news", "nightly issue", "nightly matrix", "nightly image"),
    *("nightly collect", "nightly prune"),
]

_SHOW_MODULES = """
import contextlib, sys
from harness.errors import HarnessError
from harness.cli.main import app
for words in {lines!r}:
    with contextlib.suppress(SystemExit, HarnessError):
        app(words)
print("imported:", *sys.modules)
"""


def imported(code: str, **environment: str) -> set[str]:
    """Every module that a process has imported by the end of this code, and its packages."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=paths.PROJECT,
        env=environment or None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    names = done.stdout.rpartition("imported: ")[2].split()
    return {name.rsplit(".", n)[0] for name in names for n in range(name.count(".") + 1)}


def imported_by(*lines: str) -> set[str]:
    """What these command lines import, one after the other, in one process."""
    return imported(_SHOW_MODULES.format(lines=[line.split() for line in lines]))


def test_the_help_of_every_command_is_there_at_once() -> None:
    modules = imported_by("--help", *(f"{command} --help" for command in COMMANDS))
    assert "harness.cli.nightly" in modules
    assert "harness.faults.link" in modules, "what `cut` offers"
    assert modules & {"harness.cluster.node", "harness.cluster.pair"} == set()
    assert modules & HEAVY == set()
    assert modules & OF_ANY_LAB == set()


def test_faults_are_imported_by_the_command_that_offers_them() -> None:
    modules = imported_by("--help", "status --help")
    assert modules & {"harness.faults", "harness.cluster", "harness.freebsd"} == set()


@pytest.fixture
def no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKUNK_STATE_DIR", str(tmp_path))


def test_no_lab_is_imported_by_a_question_about_a_pair(no_pair: None) -> None:
    lines = [f"{command} --pair other" for command in ("status", "ssh skunk1", "console skunk1")]
    modules = imported_by(*lines, "cut link", "heal")
    assert "harness.operate.kept" in modules
    assert modules & HEAVY == set()
    assert modules & OF_ANY_LAB == set()


_SHOW_AT_FIRST_LINE = """
import io, sys
from harness.errors import HarnessError
from harness.cli.main import app

class FirstLine(BaseException): ...

class Stops(io.TextIOWrapper):
    def write(self, text):
        raise FirstLine(text)

terminal, found = sys.stdout, []
for words in {lines!r}:
    sys.stdout = sys.stderr = Stops(io.BytesIO(), encoding="utf-8")
    try:
        app(words)
    except FirstLine:
        found.append(words)
    except (SystemExit, HarnessError):
        pass
sys.stdout, sys.stderr = terminal, sys.__stderr__
assert found == {lines!r}, found
print("imported:", *sys.modules)
"""


def imported_at_the_first_line_of(*lines: str) -> set[str]:
    """What these commands have imported when they print something, each of them ended there."""
    return imported(_SHOW_AT_FIRST_LINE.format(lines=[line.split() for line in lines]))


def test_what_takes_long_says_first_what_it_does(no_pair: None) -> None:
    modules = imported_at_the_first_line_of(
        *("run --lab simulated --pair other", "record", "demo", "soak", "fuzz", "conformance"),
        *("mutations", "up --lab simulated --pair other", "doctor", "image", "box"),
        *("bench run", "bench compare a b", "nightly image 14.5"),
    )
    assert modules & HEAVY == set()
    assert modules & OF_ANY_LAB == set()


def test_who_reads_results_imports_no_schema_before_the_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path))
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench.json").write_text('{"version": 1, "where": {"simulated": true}}')
    run = part(tmp_path / "run", "13.2-RELEASE amd64", case("test_a"))
    publish(run, remember=True)
    make_latest(run)
    lane = Lane("qemu", "13.2", may_fail=False, shards=1)
    night.write(tmp_path, FIRST, [(lane, run, "")])
    told = f"nightly news --always --results {tmp_path}"
    lines = ("report", "history", "bench show", "bench show --size 4TB", told)
    modules = imported_at_the_first_line_of(*lines)
    assert modules & HEAVY == set()
    assert modules & OF_ANY_LAB == set()
    assert imported_at_the_first_line_of("index") & HEAVY == {"jinja2"}, "it has written the page"
    with History() as kept:
        kept.runs()
    assert imported_at_the_first_line_of("bench history") & HEAVY == {"rich"}, "a table"


@pytest.mark.parametrize("lab", OF_ONE_LAB)
def test_what_one_lab_needs_is_looked_for_by_that_lab_alone(lab: str) -> None:
    modules = imported(
        "import sys, harness.cli.main, harness.operate.bring_up, harness.doctor.checks\n"
        "import harness.pytest_plugin.plugin\n"
        "from harness.config import settings\n"
        "from harness.errors import HarnessError\n"
        "from harness.lab.choose import open_lab\n"
        f"try: open_lab({lab!r}, settings.load(), image_path=None, pair='other')\n"
        "except HarnessError: pass\n"
        "print('imported:', *sys.modules)",
        PATH="/nonexistent",
        HOME="/nonexistent",
    )
    assert modules & (OF_ANY_LAB - OF_ONE_LAB[lab]) == set()
    assert OF_ONE_LAB[lab] & modules
