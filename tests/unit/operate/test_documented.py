"""Every example of docs/command-line.md does what it says, on the model."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from harness.operate.kept import Kept
from tests import forked, needs
from tests.documented import COMMAND_LINE, Reader, examples

EXAMPLES = examples(COMMAND_LINE)
RUNS = [line for lines in EXAMPLES.values() for line in lines if line.startswith("skunk run")]
SESSION = EXAMPLES["A pair to play with"]


def test_no_example_is_left_out() -> None:
    known = {*RUNS, *SESSION}
    assert [line for lines in EXAMPLES.values() for line in lines if line not in known] == []


@needs.programs("ssh")
def test_the_pair_to_play_with(state_dir: Path) -> None:
    """Word for word, in its order; at the end nothing is left of it."""
    reader = Reader({"SKUNK_STATE_DIR": str(state_dir)})
    assert SESSION[0].startswith("skunk up")
    assert SESSION[-1].startswith("skunk down")
    for line in SESSION[:-1]:
        reader.types(line)
    skunk1, skunk2 = Kept("simulated", "default").ask("status")["nodes"]
    assert skunk1["resources"][0]["role"] == "secondary"
    assert skunk2["resources"][0]["role"] == "primary"
    assert skunk2["pools"] == {"failover": "ONLINE"}
    reader.types(SESSION[-1])
    assert list((state_dir / "pairs").iterdir()) == []


def test_the_runs_select_scenarios(tmp_path: Path) -> None:
    """On the simulated lab, and without running them: no folder of results is left of that."""
    (tmp_path / "before").mkdir()
    (tmp_path / "latest").symlink_to("before")
    assert RUNS
    for line in RUNS:
        words = shlex.split(line.replace("qemu", "simulated"), comments=True)[1:]
        environment = {**os.environ, "SKUNK_RESULTS_DIR": str(tmp_path)}
        done = forked.run(*words, "--collect-only", "-q", env=environment)
        assert done.returncode == 0, (line, done)
        assert "junit.xml" not in done.stdout + done.stderr, (line, done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "latest"]
    assert (tmp_path / "latest").resolve() == tmp_path / "before"
