"""The console, the seed and the transcript: small things that evidence stands on."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pycdlib
import pytest

from harness.errors import EvidenceLost
from harness.lab import console
from harness.lab.keys import KeyPair
from harness.lab.seed import VOLUME, Seed
from harness.record import folders as folders_of_runs
from harness.record.entry import Entry, Kind
from harness.record.transcript import Transcript
from harness.run import evidence

PANIC = """\
FreeBSD/amd64 (skunk1) (ttyu0)\r
\r
login: panic: kdb_sysctl_panic\r
panic: kdb_sysctl_panic\r
cpuid = 0\r
KDB: enter: panic\r
"""


def test_a_panic_is_found_from_its_first_line_on(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert console.find_panic(log) is None
    log.write_text("boot\nall well, no panic: here\n")
    seen = console.size(log)
    assert console.find_panic(log) is None
    with log.open("a") as file:
        file.write(PANIC)
    found = console.find_panic(log, seen)
    assert found is not None
    assert found.startswith("panic: kdb_sysctl_panic")
    assert "cpuid = 0" in found
    assert console.find_panic(log, console.size(log)) is None


def test_a_console_without_escapes_and_with_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert console.tail(log) == "(the console is empty)"
    log.write_bytes(b"one\r\n\x1b[1mtwo\x1b[0m\r\n\r\nthree\xff\r\n")
    assert console.tail(log, 2) == "two\nthree\ufffd"


def test_the_seed_is_a_volume_that_a_guest_can_read(tmp_path: Path) -> None:
    host_key = KeyPair.generate("skunk1")
    seed = Seed("lab-skunk1", "skunk1", "ssh-ed25519 AAAA client", host_key)
    path = tmp_path / "seed.iso"
    seed.write(path)
    assert path.stat().st_mode & 0o077 == 0, "it carries a private key"
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    assert iso.pvd.volume_identifier.decode().strip() == VOLUME
    for name, content in seed.files().items():
        read = io.BytesIO()
        iso.get_file_from_iso_fp(read, rr_path=f"/{name}")
        assert read.getvalue() == content
    iso.close()
    assert b"local-hostname: skunk1\n" in seed.files()["meta-data"]


def test_runs_that_begin_in_the_same_second_have_each_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders_of_runs, "run_folder", lambda lab: tmp_path / f"TIME-{lab}")
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(folders_of_runs.new_run_folder, ["qemu"] * 8))
    assert sorted(folder.name for folder in folders) == [
        "TIME-qemu",
        *(f"TIME-qemu-{number}" for number in range(2, 9)),
    ]
    assert len(list(tmp_path.iterdir())) == 8, "a run that has not begun is not the latest"


def test_latest_is_moved_in_one_step_and_never_over_somebodys_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path))
    for _ in range(2):
        folder = folders_of_runs.new_run_folder("qemu")
        folders_of_runs.make_latest(folder)
        assert (tmp_path / "latest").resolve() == folder
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    with pytest.raises(EvidenceLost, match="latest cannot be pointed to"):
        folders_of_runs.make_latest(folder)
    with pytest.raises(EvidenceLost, match="a folder or file of its own"):
        folders_of_runs.new_run_folder("qemu")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {folder.name, "latest"} | {path.name for path in tmp_path.glob("2*")}
    )


def test_a_results_folder_that_cannot_be_made_is_an_error_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path / "file"))
    with pytest.raises(EvidenceLost, match="SKUNK_RESULTS_DIR=FOLDER"):
        folders_of_runs.new_run_folder("qemu")
    with pytest.raises(EvidenceLost, match="cannot be made"):
        evidence.Evidence(tmp_path / "file" / "run", Transcript())


def test_the_transcript_tells_commands_and_actions_in_order(tmp_path: Path) -> None:
    transcript = Transcript()
    transcript.tell(Entry.action("skunk1", "nobody has opened a folder yet"))
    transcript.open(tmp_path / "run")
    transcript.open(tmp_path / "run" / "test")
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    transcript.tell(Entry(at, "skunk1", Kind.COMMAND, "hastctl role", 0.25, 71, "out\n", "err\n"))
    transcript.tell(Entry.action("pair", "restored", 1.5))
    transcript.close()
    transcript.tell(Entry.action("skunk2", "after the test"))
    transcript.close()
    text = (tmp_path / "run" / "test" / "transcript.txt").read_text()
    assert (
        "03:04:05.678 skunk1  # hastctl role    [status 71, 0.250 s]\n        out\n    err err\n"
        in text
    )
    assert "pair    * restored    [1.500 s]" in text
    lines = (tmp_path / "run" / "test" / "transcript.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["command", "action"]
    assert "after the test" in (tmp_path / "run" / "transcript.txt").read_text()


def test_a_repeated_answer_is_written_once_and_counted(tmp_path: Path) -> None:
    transcript = Transcript()
    transcript.open(tmp_path)
    at = datetime(2026, 1, 2, tzinfo=UTC)

    def answer(stdout: str) -> None:
        transcript.tell(Entry(at, "skunk1", Kind.COMMAND, "hastctl list", 0.1, 0, stdout))

    for _ in range(5):
        answer("degraded\n")
    transcript.tell(Entry(at, "skunk2", Kind.COMMAND, "hastctl list", 0.1, 0, "degraded\n"))
    answer("complete\n")
    answer("complete\n")
    transcript.close()
    lines = [json.loads(line) for line in (tmp_path / "transcript.jsonl").read_text().splitlines()]
    assert [(line["node"], line["kind"], line.get("stdout")) for line in lines] == [
        ("skunk1", "command", "degraded\n"),
        ("skunk2", "command", "degraded\n"),
        ("skunk1", "repeats", None),
        ("skunk1", "command", "complete\n"),
        ("skunk1", "repeats", None),
    ]
    assert lines[2]["text"] == "hastctl list: the same answer 4 more times"
