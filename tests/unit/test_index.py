"""The page of all runs."""

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import main as cli
from harness.errors import HarnessError
from harness.report import index
from harness.report.publish import publish
from tests import results_folders
from tests.results_folders import EVIL


class Rows(HTMLParser):
    """The text of each row of the table, and every link."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append("")
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1] += f"{data} "


def run(folder: Path, name: str, **fields: object) -> Path:
    """The folder of a run that has ended, with what the page reads of it."""
    made = folder / name
    made.mkdir()
    about = {
        "lab": "qemu",
        "release": "13.2-RELEASE amd64",
        "started": "2026-11-22T12:00:00Z",
        "seconds": 61.5,
    }
    counts = fields.pop("counts", {"held": 5})
    results = {"run": about | fields, "counts": counts, "scenarios": []}
    (made / "results.json").write_text(json.dumps(results))
    (made / "report.html").write_text("<p>")
    return made


def rows(folder: Path) -> list[str]:
    return [" ".join(row.split()) for row in Rows(index.write(folder).read_text()).rows[1:]]


def test_every_run_is_a_line_the_newest_first(tmp_path: Path) -> None:
    run(tmp_path, "old")
    run(tmp_path, "new", started="2026-11-23T12:00:00+01:00", pairs=2, counts={"failed": 1})
    run(
        tmp_path,
        "cut short",
        started="2026-11-22T13:00:00Z",
        ended_early="interrupted: 1 of 4 ran",
        lab="simulated",
        mutation="pool-imports-empty",
        counts={"held": 1, "not run": 3},
    )
    (tmp_path / "latest").symlink_to("new")
    (tmp_path / "verdicts.sqlite").write_text("no run")
    found = rows(tmp_path)
    assert [row[:16] for row in found] == [
        f"2026-11-2{at}" for at in ("3 11:00", "2 13:00", "2 12:00")
    ]
    assert (
        found[0]
        == "2026-11-23 11:00 1 scenario failed. ✗ 1 new qemu, 2 pairs 13.2-RELEASE amd64 1 min 02 s"
        or "61.5 s" in found[0]
    )
    assert "Interrupted: 1 of 4 ran. 1 scenario held, 3 did not run." in found[1]
    assert "broken on purpose: pool-imports-empty" in found[1]
    source = (tmp_path / "index.html").read_text()
    assert set(Rows(source).links) == {
        "#main",
        "old/report.html",
        "new/report.html",
        "cut%20short/report.html",
    }
    assert "no evidence about FreeBSD" in source[: source.index("<h1>")]
    assert not re.findall(r"url\((?!#)|<script|src=", source)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("results.json", b"{", "cannot be read: Expecting property name"),
        ("results.json", b"\xff\xfe", "cannot be read"),
        ("results.json", b"[]", "cannot be read"),
        ("results.json", b"[" * 100_000, "cannot be read"),
        ("results.json", b'{"run": {}, "counts": {}}', "there is no 'started'"),
        ("results.json", b'{"run": {"started": 5}, "counts": {"held": 1}}', "cannot be read"),
        ("results.json", b'{"run": {"started": "x"}, "counts": {"fell": 1}}', "'fell' is not"),
        ("run.json", b"null", "cannot be read"),
        ("run.json", b'{"started": "2026-11-22T12:00:00", "lab": "qemu"}', "there is no 'release'"),
        ("junit.xml", b"", "its lab did not start"),
    ],
)
def test_a_broken_folder_is_a_line_and_takes_no_other_with_it(
    tmp_path: Path, file: str, content: bytes, said: str
) -> None:
    broken = tmp_path / "2026-11-21T10-00-00-qemu"
    broken.mkdir()
    (broken / file).write_bytes(content)
    run(tmp_path, "good")
    found = rows(tmp_path)
    assert "5 scenarios held." in found[0]
    assert said in found[1]
    assert found[1].startswith("2026-11-21 10:00")


@pytest.mark.parametrize("seconds", [float("nan"), -1, "long", 1e300])
def test_a_duration_that_is_none_is_told(tmp_path: Path, seconds: object) -> None:
    run(tmp_path, "odd", seconds=seconds)
    assert "is no duration in seconds" in rows(tmp_path)[0]


def test_a_run_that_was_killed_or_is_under_way(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    about = {"lab": "qemu", "release": "15.0", "started": "2026-11-22T12:00:00+00:00"}
    (tmp_path / "x" / "run.json").write_text(json.dumps(about))
    assert "is under way, or was killed" in rows(tmp_path)[0]


def test_what_a_folder_says_stays_text(tmp_path: Path) -> None:
    run(tmp_path, "evil", lab=EVIL, release=f"{EVIL}\x1b[1m", mutation=EVIL, ended_early=f"e{EVIL}")
    source = index.write(tmp_path).read_text()
    assert not Rows(source).tags & {"script", "img"}
    assert "\x1b" not in source


def test_five_hundred_runs_are_one_page_soon(tmp_path: Path) -> None:
    one = json.loads(
        (results_folders.RECORDED.parent / "2026-11-23-qemu-13.2-all" / "results.json").read_text()
    )
    text = json.dumps(one)
    for number in range(500):
        folder = tmp_path / f"2026-11-22T12-00-00-qemu-{number}"
        folder.mkdir()
        (folder / "results.json").write_text(text)
        (folder / "report.html").write_text("")
    start = time.process_time()  # of this process, however busy the host is
    path = index.write(tmp_path)
    assert time.process_time() - start < 3
    assert path.stat().st_size < 1_000_000
    assert len(Rows(path.read_text()).rows) == 501


def test_a_run_brings_it_up_to_date(tmp_path: Path) -> None:
    folder = results_folders.recorded(tmp_path / "results" / "now")
    publish(folder)
    assert not (tmp_path / "results" / "index.html").exists(), "only a run of its own does"
    publish(folder, remember=True)
    assert "now/report.html" in (tmp_path / "results" / "index.html").read_text()
    assert [each.name for each in (tmp_path / "results").glob(".*")] == []


def test_the_command_line_makes_it(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.app, ["index", str(tmp_path)]).output.strip() == str(
        tmp_path / "index.html"
    )
    assert "There is no run in this folder yet" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("words", [["index"], ["report"], ["history"], ["bench", "history"]])
def test_before_the_first_run_that_is_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """And nothing is made by a look."""
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path / "results"))
    error = CliRunner().invoke(cli.app, words).exception
    assert isinstance(error, HarnessError)
    assert "there is no " in error.what
    assert str(error.advice).startswith(("`skunk run` makes", "each `skunk run` adds", "make one"))
    assert not (tmp_path / "results").exists()


def test_a_file_is_no_folder_of_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match="is a file, and not the folder of all runs"):
        index.write(tmp_path / "file")
