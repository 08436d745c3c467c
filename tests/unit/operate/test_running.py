"""What is refused is refused with one message before pytest starts, and leaves nothing."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer.main
from typer.testing import CliRunner

from harness.cli import main as cli
from harness.cli.main import app
from harness.config import paths
from harness.config import settings as settings_file
from harness.errors import HarnessError, SettingsError
from harness.lab.choose import open_lab
from harness.lab.qemu_host import Qemu
from harness.operate.kept import About, Kept
from harness.pytest_plugin import running
from harness.record.marked import NOBODY_READS
from harness.waiting import interrupt
from tests import forked, needs
from tests.results_folders import case, failure, part
from tests.unit.operate.conftest import Skunk, error_of


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the command line by its words."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield words, command
        return
    for name, subcommand in subcommands.items():
        yield from commands(subcommand, (*words, name))


ARGUMENTS: dict[tuple[str, ...], list[str]] = {
    ("bench", "compare"): ["replication=async", "replication=fullsync"]
}
WITH_SETTINGS = [
    [*words, *ARGUMENTS.get(words, [])]
    for words, command in commands(typer.main.get_command(app))
    if any(parameter.name == "settings" for parameter in command.params)
]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.mark.parametrize("words", WITH_SETTINGS, ids=lambda words: "-".join(words[:2]))
def test_wrong_settings_are_one_message_before_anything_starts(
    words: list[str],
    results: Path,
    tmp_path: Path,
    skunk: Skunk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pytest, "main", lambda *_, **__: pytest.fail("pytest was started"))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(paths.SETTINGS.read_text() + "\ntime_scales: 2\n")
    assert "time_scales: unknown key" in str(error_of(skunk(*words, "--settings", str(wrong))))
    missing = str(tmp_path / "missing.yaml")
    assert f"{missing} cannot be read" in str(error_of(skunk(*words, "--settings", missing)))
    assert not results.exists()


def _folder(path: Path) -> None:
    path.mkdir()


def _text(path: Path) -> None:
    path.write_text("no image at all\n" * 1000)


def _packed(path: Path) -> None:
    path.write_bytes(b"\xfd7zXZ\x00 and more")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "there is no file {}"),
        (Path.touch, "{} is an empty file"),
        (_folder, "{} is a folder, not an image"),
        (_packed, "{} is still compressed with xz"),
        pytest.param(
            _text, "{} is not a bootable disk image", marks=needs.programs("qemu-img"), id="text"
        ),
    ],
)
def test_what_is_no_image_is_refused_before_anything_starts(
    make: Callable[[Path], None],
    why: str,
    results: Path,
    skunk: Skunk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pytest, "main", lambda *_, **__: pytest.fail("pytest was started"))
    monkeypatch.setattr(Qemu, "find", lambda: None)
    image = results.with_name("image.qcow2")
    make(image)
    for command in ("run", "record", "test"):
        error = error_of(skunk(command, "--lab", "qemu", "--image", str(image)))
        assert why.format(image) in str(error)
    assert not results.exists()


@pytest.mark.parametrize("lab", ["simulated", "vagrant"])
@pytest.mark.parametrize("command", ["run", "up", "bench run"])
def test_an_image_is_refused_by_a_lab_that_boots_none(
    command: str, lab: str, results: Path, skunk: Skunk
) -> None:
    words = command.split()
    done = skunk(*words, "--image", "x.qcow2", "--lab", lab, *(["--bare"] * ("up" in words)))
    assert done.exit_code == 2, done.output
    said = " ".join(done.output.split())
    assert f"the {lab} lab takes no image (x.qcow2)" in said
    assert "take --lab qemu" in said
    assert not results.exists()


def test_the_model_says_that_another_release_is_not_for_it(tmp_path: Path) -> None:
    chosen = settings_file.load(paths.SETTINGS)
    said: list[str] = []
    for release in ("14.3", "13.2", "14"):
        image = chosen.image.model_copy(update={"release": release})
        settings = chosen.model_copy(update={"image": image})
        open_lab("simulated", settings, image_path=None, pair="no-image", say=said.append)
    assert said == [
        "image.release of the settings is 14.3-RELEASE, the model is FreeBSD 13.2-RELEASE amd64"
    ]
    with pytest.raises(SettingsError, match="takes no image"):
        open_lab("simulated", chosen, image_path=tmp_path, pair="no-image", say=said.append)


def test_what_a_lab_lacks_is_refused_before_anything_starts(
    results: Path, tmp_path: Path, skunk: Skunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image of `make image`, the programs of a lab, and a port that is taken."""
    monkeypatch.setattr(pytest, "main", lambda *_, **__: pytest.fail("pytest was started"))
    monkeypatch.setenv("SKUNK_CACHE_DIR", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(Qemu, "find", lambda: None)
        assert "there is no image of FreeBSD" in str(error_of(skunk("run", "--lab", "qemu")))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert "there is no Vagrant" in str(error_of(skunk("run", "--lab", "vagrant")))
        assert "there is no qemu-system" in str(error_of(skunk("run", "--lab", "qemu")))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = tmp_path / "lab.yaml"
        settings.write_text(
            paths.SETTINGS.read_text().replace("ssh_port: null", f"ssh_port: {port}", 1)
        )
        error = error_of(skunk("run", "--lab", "simulated", "--settings", str(settings)))
        assert f"port {port} on 127.0.0.1 is taken" in str(error)
    assert not results.exists()


def test_a_second_ctrl_c_leaves_no_folder_without_results(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends pytest wherever it is, as where junit.xml is opened and not yet written."""

    def cut_off(folder: Path, *_: object) -> int:
        (folder / "junit.xml").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "_run", cut_off)
    assert running.run_tests("simulated", [], print) == (130, ())
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    ("left", "why"),
    [("junit.xml", "the lab had not started"), ("run.json", "the run did not come to its end")],
)
def test_evidence_without_a_report_says_why_there_is_none(
    left: str, why: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was interrupted while its lab started."""

    def interrupted(folder: Path, *_: object) -> int:
        for name in ("transcript.txt", left):
            (folder / name).write_text("something")
        return 130

    monkeypatch.setattr(running, "_run", interrupted)
    said: list[str] = []
    assert running.run_tests("simulated", [], said.append) == (130, ())
    assert [line.partition(":")[0] for line in said] == ["evidence", "report"]
    assert said[1] == f"report:   none, {why}"


def test_a_run_whose_output_nobody_reads_ends_with_its_report(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`| head -1`: pytest meets EPIPE, and 1 would say that FreeBSD broke a claim."""
    monkeypatch.setattr(running, "stop_printing", lambda: None)
    cases: list[str] = []

    def cut_off(folder: Path, *_: object) -> int:
        if cases:
            folder.rmdir()
            part(folder, "13.2-RELEASE amd64", *cases)
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(running, "_run", cut_off)
    assert running.run_tests("simulated", [], print) == (3, (NOBODY_READS,))
    assert list(results.iterdir()) == []
    cases.append(case("test_a"))
    assert running.run_tests("simulated", [], print) == (3, (NOBODY_READS,))
    assert (results / "latest" / "report.html").is_file()
    cases.append(case("test_b", failure("assert 1 == 2")))
    assert running.run_tests("simulated", [], print) == (1, (NOBODY_READS,))


def test_a_command_whose_output_nobody_reads_ends_with_3() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "harness", "--help"]
    done = subprocess.run(
        words, cwd=paths.PROJECT, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (3, f"error: {NOBODY_READS}\n".encode())


def test_a_fault_of_the_harness_itself_is_3_and_never_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> NoReturn:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(interrupt, "everywhere", lambda: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 3
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("error: the harness itself broke: ZeroDivisionError\n")


def test_there_are_commands_with_settings() -> None:
    assert len(WITH_SETTINGS) > 10


def test_a_run_says_at_80_columns_what_became_of_each_scenario(results: Path) -> None:
    scenarios = ("-k", "no_resource_at_all or test_set_up.py")
    done = forked.run("run", "--lab", "simulated", "--pair", "unit", *scenarios)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if re.search(r"XFAIL +\d+\.\d s  ", line))
    assert first <= 8, "a header, the start of the pair, and the first verdict"
    assert any(re.search(r"PASSED +\d+\.\d s  set_up$", line) for line in lines)
    assert any("aborts when hast.conf" in line for line in lines), "why it is expected to fail"
    assert (results / "latest" / "report.html").is_file()


def test_a_pair_that_is_up_is_not_there_for_a_run(
    results: Path, skunk: Skunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = About("simulated", "mine", None, 1, datetime.now(UTC), "skunk up", "skunk down")
    monkeypatch.setattr(Kept, "is_up", True)
    monkeypatch.setattr(Kept, "about", lambda _: about)
    error = error_of(CliRunner().invoke(app, ["run", "--lab", "simulated", "--pair", "mine"]))
    assert isinstance(error, HarnessError)
    assert "is up, for skunk up" in error.what
    assert "`skunk down --lab simulated --pair mine` stops it" in str(error.advice)
    assert not results.exists()
