"""Several pairs on one host: room for them, one run of all their parts, and nobody left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from harness.config import paths
from harness.config import settings as settings_file
from harness.config.settings import Settings
from harness.errors import HarnessError, LabError, SettingsError
from harness.lab.choose import LabName
from harness.lab.pairs import PairFolder
from harness.pytest_plugin.pairs import side_by_side
from harness.pytest_plugin.pairs.gather import gather
from harness.pytest_plugin.pairs.room import check_room
from harness.results import results_json as model
from harness.results.read import read_run
from harness.results.run import Run, Verdict
from harness.waiting.wait import wait_until
from tests import forked

GIB = 1024
SCENARIOS = "test_set_up.py or test_no_resource_at_all or test_planned_failover"


def emulated() -> Settings:
    settings = settings_file.load()
    machine = settings.machine.model_copy(update={"accelerator": "tcg", "memory_mib": GIB})
    return settings.model_copy(update={"machine": machine})


@pytest.mark.parametrize(
    ("lab", "pairs", "free", "said", "advice"),
    [
        ("qemu", 4, (10, 99), "4 pairs need 16.0 GiB of memory, 10.0 GiB are free", "give -n 2"),
        ("qemu", 3, (99, 9), "3 pairs need 12.0 GiB of disk, 9.0 GiB are free", "give -n 2"),
        ("qemu", 4, (9, 8), "4 pairs need 16.0 GiB of memory, 9.0 GiB are free", "give -n 2"),
        ("qemu", 2, (7, 99), "2 pairs need 8.0 GiB of memory, 7.0 GiB are free", "leave -n out"),
        ("simulated", 9, (8, 1), "9 pairs need 9.0 GiB of memory, 8.0 GiB are free", "give -n 8"),
    ],
)
def test_too_little_room(
    lab: LabName, pairs: int, free: tuple[int, int], said: str, advice: str
) -> None:
    memory, disk = free
    with pytest.raises(LabError) as raised:
        check_room(lab, emulated(), pairs, free_memory_mib=memory * GIB, free_disk_mib=disk * GIB)
    assert raised.value.what == said
    assert advice in (raised.value.advice or "")


@pytest.mark.parametrize(
    ("arguments", "pairs"),
    [
        (["tests/unit"], False),
        (["tests/unit/test_spent.py::test_x[a/b]", "tests/unit/freebsd"], False),
        (["tests/scenarios"], True),
        (["tests/unit", "tests/scenarios/test_set_up.py"], True),
        (["mine/test_mine.py"], True),
        (["../elsewhere"], True),
    ],
)
def test_n_means_pairs_only_where_a_test_may_have_one(arguments: list[str], pairs: bool) -> None:
    config = SimpleNamespace(args=arguments, invocation_params=SimpleNamespace(dir=paths.PROJECT))
    assert side_by_side.concerns(cast(pytest.Config, config)) is pairs


def test_enough_room() -> None:
    check_room("qemu", emulated(), 4, free_memory_mib=16 * GIB, free_disk_mib=16 * GIB)


def test_a_fixed_port_is_for_one_pair() -> None:
    settings = emulated()
    node = settings.nodes["skunk2"].model_copy(update={"ssh_port": 2222})
    settings = settings.model_copy(update={"nodes": {**settings.nodes, "skunk2": node}})
    with pytest.raises(SettingsError, match="2 pairs cannot share port 2222 of skunk2"):
        check_room("qemu", settings, 2, free_memory_mib=99 * GIB, free_disk_mib=99 * GIB)


def test_the_parts_become_one_run(tmp_path: Path) -> None:
    gap = {"node": "skunk1", "command": "fortune", "what": "fortune"}
    for pair, started, gaps in (("x-1", "10:00:02", [gap]), ("x-2", "10:00:01", [gap, gap])):
        folder = tmp_path / "lab" / pair
        folder.mkdir(parents=True)
        began = f"2026-01-01T{started}+00:00"
        run = {"lab": "simulated", "release": "13.2", "seed": 1, "started": began}
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "gaps.json").write_text(json.dumps(gaps))
    gather(tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["started"] == "2026-01-01T10:00:01+00:00"
    assert run["pairs"] == 2
    assert json.loads((tmp_path / "gaps.json").read_text()) == [gap]


def test_parts_that_did_not_run_the_same_are_told_of(tmp_path: Path) -> None:
    """A program that is built anew while the pairs start: no report may name one for both."""
    for number in (1, 2):
        folder = tmp_path / "lab" / f"x-{number}"
        folder.mkdir(parents=True)
        program = {
            "node": "skunk1",
            "program": "hastd",
            "file": "hastd",
            "sha256": f"{number}" * 64,
        }
        run = {"release": "13.2", "replaced": [program], "started": f"2026-01-01T10:00:0{number}"}
        (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(SettingsError, match=r"hastd 1{12} on skunk1; 13\.2 with hastd 2{12}"):
        gather(tmp_path)
    assert (tmp_path / "run.json").is_file()


# --- whole runs on the simulated lab ------------------------------------------------------------


TEST = ("test", "--lab", "simulated")


def environment(place: Path) -> dict[str, str]:
    places = {"SKUNK_STATE_DIR": str(place / "state"), "SKUNK_RESULTS_DIR": str(place / "results")}
    return {**os.environ, **places}


def pairs_left(place: Path) -> list[Path]:
    return [path for path in (place / "state" / "pairs").iterdir() if path.is_dir()]


def run(place: Path, arguments: Sequence[str], status: int = 0) -> str:
    done = forked.run(*TEST, *arguments, env=environment(place), timeout=300)
    assert done.returncode == status, done.stdout
    assert pairs_left(place) == []
    return done.stdout


def told(ran: Run) -> dict[str, tuple[str, str, tuple[tuple[str, str], ...], bool]]:
    """What a run says of each scenario."""
    return {
        scenario.case.id: (
            scenario.case.verdict,
            scenario.case.reason,
            scenario.case.noted,
            bool(scenario.told.transcript),
        )
        for scenario in ran.scenarios
    }


def test_two_pairs_say_what_one_says(tmp_path: Path) -> None:
    """The same verdicts, one report with all scenarios, and every line says that it is a model."""
    ran = {}
    for pairs in (0, 2):
        said = run(tmp_path / str(pairs), ["-k", SCENARIOS, "-n", str(pairs)])
        assert [line for line in said.splitlines() if not line.startswith("[simulated] ")] == []
        folder = (tmp_path / str(pairs) / "results" / "latest").resolve()
        assert (folder / "report.html").exists()
        ran[pairs] = read_run(folder)
    assert told(ran[0]) == told(ran[2])
    assert {verdict for verdict, *_ in told(ran[2]).values()} == {"held", "known bug"}
    assert ran[2].gaps is not None
    for pair in ("default-1", "default-2"):
        assert f"{pair}: both answer over SSH" in said
        assert any(path.name == "transcript.txt" for path in (folder / "lab" / pair).iterdir())


def test_one_broken_pair_ends_the_run(tmp_path: Path) -> None:
    taken = PairFolder("simulated", "default-2", tmp_path / "state")
    taken.acquire()
    try:
        said = run(tmp_path, ["-k", SCENARIOS, "-n", "2"], status=3)
    finally:
        taken.release()
    assert "the lab cannot run: the pair 'default-2' is in use by process" in said


def test_an_interrupt_puts_every_pair_away(tmp_path: Path) -> None:
    with forked.start(
        *TEST, "-n", "2", env=environment(tmp_path), stdout=subprocess.DEVNULL
    ) as running:
        wait_until(
            "both pairs to be up",
            lambda: len(list(tmp_path.glob("results/2*/lab/*/run.json"))) == 2,
            120,
        )
        assert len(pairs_left(tmp_path)) == 2
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
    assert pairs_left(tmp_path) == []
    (folder,) = tmp_path.glob("results/2*")
    run_json = json.loads((folder / "run.json").read_text())
    assert run_json["pairs"] == 2
    told = model.load(folder / "results.json")
    assert told.run.ended_early.startswith("interrupted: ")
    assert told.counts[Verdict.NOT_RUN] >= 2
    assert not told.counts.keys() & {Verdict.FAILED, Verdict.BROKE}
    assert len(told.scenarios) == sum(told.counts.values()) > 50, "also what had not begun"


def test_an_interrupt_while_the_pairs_start(tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of the terminal: some die before anybody can ask them."""
    with forked.start(
        *(*TEST, "-n", "2"),
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        new_session=True,
    ) as running:
        wait_until(
            "the second of two processes to start",
            lambda: len(psutil.Process(running.pid).children()) == 2,
            60,
        )
        pressed = time.monotonic()
        os.killpg(running.pid, signal.SIGINT)
        # Python ends by the signal itself where it interrupted `exec`; a shell says 130 of both.
        assert running.wait(side_by_side.STOP_SECONDS) in (130, -signal.SIGINT)
        assert time.monotonic() - pressed < side_by_side.STOP_SECONDS - 10
    assert not (tmp_path / "state" / "pairs").exists() or pairs_left(tmp_path) == []


def test_names() -> None:
    assert [side_by_side.pair_name("ci", number) for number in (1, 2)] == ["ci-1", "ci-2"]
    with pytest.raises(HarnessError, match="no name for a pair"):
        PairFolder("qemu", side_by_side.pair_name("a" * 31, 1))
