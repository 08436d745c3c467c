"""The documentation: its commands run, its code works, its tables and messages are the code's."""

import ast
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.config import paths
from tests import forked, reference

DOCS = paths.PROJECT / "docs"
PAGES = [paths.PROJECT / "README.md", *DOCS.glob("*.md"), DOCS / "evidence" / "README.md"]

WIDEST = 220
"""Characters that are shown of a row of a table: two lines of a laptop's page."""

# --- pages that are run ---------------------------------------------------------------------------

NOT_RUN = {"make setup", ". .venv/bin/activate"}
"""What has happened where these tests run."""

_BLOCK = re.compile(
    r"(?:<!-- (?P<verb>file|change): (?P<path>\S+) -->\n+)?"
    r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Command:
    """A command line of a page, and the lines that the page shows of its output."""

    line: str
    shows: tuple[str, ...]


def commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *shows = part.rstrip("\n").split("\n")
        yield Command(line, tuple(shows))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a scenario needs, to write into as a reader would."""
    copy = tmp_path_factory.mktemp("docs") / "hast-lab"
    for name in ("harness", "provision", "tests/scenarios"):
        shutil.copytree(paths.PROJECT / name, copy / name)
    for name in ("pyproject.toml", *(p.name for p in paths.PROJECT.glob("*.yaml"))):
        shutil.copy(paths.PROJECT / name, copy / name)
    (copy / "tests" / "__init__.py").touch()
    return copy


def run(command: str, checkout: Path, state: Path) -> str:
    environment = os.environ | {
        "PYTHONPATH": str(checkout),  # before the project that is installed
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SKUNK_STATE_DIR": str(state),
        "COLUMNS": "200",
    }
    environment.pop("SKUNK_RESULTS_DIR", None)
    program, *words = shlex.split(command)
    if program == "skunk":
        return forked.run(
            *words,
            stderr=subprocess.STDOUT,
            env=environment,
            project=checkout,
            cwd=checkout,
        ).stdout
    return subprocess.run(
        command,
        shell=True,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    ).stdout


def check_shown(command: Command, output: str) -> None:
    """Each line that the page shows is in the output, in that order; `...` is anything."""
    lines = iter(output.splitlines())
    for shown in command.shows:
        pattern = ".*".join(map(re.escape, shown.split("...")))
        assert any(re.fullmatch(pattern, line) for line in lines), (
            f"$ {command.line}\ndoes not print (here)\n{shown}\nbut\n{output[-6000:]}"
        )


@pytest.mark.parametrize(
    ("page", "commands_run"), [("tutorial.md", 4), ("bring-your-own.md", 3)], ids=str
)
def test_a_page_does_what_it_shows(
    page: str, commands_run: int, checkout: Path, tmp_path: Path
) -> None:
    ran = 0
    for block in _BLOCK.finditer((DOCS / page).read_text()):
        path = checkout / (block["path"] or "")
        match block["verb"], block["kind"]:
            case "file", _:
                path.parent.mkdir(exist_ok=True)
                path.write_text(block["text"])
            case "change", "diff":
                old = "".join(re.findall(r"^-(.*\n)", block["text"], re.MULTILINE))
                new = "".join(re.findall(r"^\+(.*\n)", block["text"], re.MULTILINE))
                assert old in path.read_text(), f"{page} changes what is not there: {old}"
                path.write_text(path.read_text().replace(old, new))
            case None, "console":
                for command in commands(block["text"]):
                    if command.line not in NOT_RUN:
                        check_shown(command, run(command.line, checkout, tmp_path / "state"))
                        ran += 1
    assert ran == commands_run


def test_shown_output_is_compared() -> None:
    command = Command("x", ("...passed...", "report: ...html"))
    check_shown(command, "a\n2 passed in 1 s\nreport: r.html\n")
    with pytest.raises(AssertionError, match="report: "):
        check_shown(command, "report: r.html\n2 passed in 1 s\n")


def test_the_code_of_the_pages_is_as_tidy_as_the_projects_own(tmp_path: Path) -> None:
    for page in ("tutorial.md", "bring-your-own.md"):
        for block in _BLOCK.finditer((DOCS / page).read_text()):
            if block["verb"] == "file" and block["kind"] == "python":
                path = tmp_path / block["path"]  # as `make check` finds it there
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block["text"])
    settings = str(paths.PROJECT / "pyproject.toml")
    for words in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--config", settings, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


# --- pages that are held to the code --------------------------------------------------------------


@pytest.mark.parametrize("path", reference.PAGES, ids=lambda path: path.name)
def test_the_reference_is_that_of_the_code(path: Path) -> None:
    text = path.read_text()
    assert text == reference.page(text), "write it anew: make reference"


@functools.cache
def messages() -> set[str]:
    """Every string of the harness, with `...` for what is filled in, and one space for white."""
    found = set()
    for path in (paths.PROJECT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(" ".join(node.value.split()))
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    str(part.value) if isinstance(part, ast.Constant) else "..."
                    for part in node.values
                ]
                found.add(" ".join("".join(parts).split()))
    return found


_COMPOSED = {
    "waited ... s for ... to answer over SSH; last seen: ...": (
        "waited ... s for ...; last seen: ...",
        "... to answer over SSH",
    ),
    "waited ... s for ... to say complete; last seen: ...": (
        "waited ... s for ...; last seen: ...",
        "... to say complete",
    ),
    "`gh ...` ended with ...: ...": ("`...` ended with ...: ...", "gh ..."),
}
"""Messages that are put together of several."""


def headings() -> list[str]:
    text = (DOCS / "troubleshooting.md").read_text()
    found = re.finditer(r"^### (?P<fence>`+)(?P<message>.+)(?P=fence)$", text, re.MULTILINE)
    return [each["message"].strip() for each in found]


@pytest.mark.parametrize("heading", headings())
def test_a_message_in_the_troubleshooting_is_one_of_the_code(heading: str) -> None:
    known = messages()
    for message in _COMPOSED.get(heading, (heading,)):
        pieces = [piece.strip() for piece in message.split("...") if piece.strip()]
        pattern = re.compile(".*".join(re.escape(piece) for piece in pieces), re.DOTALL)
        assert any(pattern.search(each) for each in known), f"no message says {message!r}"


def test_there_are_many_messages() -> None:
    assert len(headings()) > 25


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """`make docs` checks the anchors, too; this also the README, which is not in the site."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_make_target_in_the_pages_is_one() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (paths.PROJECT / "Makefile").read_text(), re.MULTILINE)
    )
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([a-z-]+)\b", page.read_text(), re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"


def test_every_command_of_skunk_in_the_pages_is_one() -> None:
    from typer.main import get_command  # noqa: PLC0415 - only here

    from harness.cli import main as cli  # noqa: PLC0415

    known = getattr(get_command(cli.app), "commands")  # noqa: B009 - of click's Group
    for page in PAGES:
        for line in re.findall(
            r"(?:^(?:\$ )?|`|/bin/)skunk ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", page.read_text(), re.M
        ):
            first, _, second = line.partition(" ")
            assert first in known, f"{page.name}: skunk {line}"
            below = getattr(known[first], "commands", None)
            if below is not None and second:
                assert second in below, f"{page.name}: skunk {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_table_is_wider_than_a_laptops_page(page: Path) -> None:
    """What is shown of a row, without the addresses of its links."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("|"):
            shown = re.sub(r"\]\([^)]*\)", "]", line)
            assert len(shown) <= WIDEST, f"{page.name}:{number} has {len(shown)}: make it a list"
