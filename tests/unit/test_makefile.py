"""What is given to `make` reaches a command as it was typed, and is never run by anybody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import from_make
from harness.cli import main as cli
from harness.config import paths
from tests import needs

MAKEFILE = (paths.PROJECT / "Makefile").read_text()
VARIABLES = ("LAB", "IMAGE", "HASTD", "HASTCTL", "PAIR", "ARGS")
TARGETS = re.findall(r"^([a-z-]+): setup.*\n(?:\t.*\n)*?\t@?\$\(SKUNK\)", MAKEFILE, re.MULTILINE)
HOSTILE = (
    *(
        "x; touch F",
        "$(touch F)",
        "`touch F`",
        "$(shell touch F)",
        "${shell touch F}",
        "$$(touch F)",
    ),
    *("' ; touch F; '", '" ; touch F; "', "x & touch F", "x | touch F", "x\\", "#x", "/a b.qcow2"),
    *("läb", "--help", "%", "a)b,c(d", "x > F"),
)

pytestmark = needs.programs("make")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Makefile in a folder of an odd name, with a Python that only says how it was called."""
    folder = tmp_path_factory.mktemp("HAST läb")
    (folder / "Makefile").write_text(MAKEFILE)
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf \'%s\\0\' called: "$ARGS" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv" / ".done").touch()
    return folder


def called(project: Path, target: str, **variables: str) -> tuple[list[str], str]:
    """The words that Python is given, and ARGS."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run(
        ["make", target, *(f"{name}={value}" for name, value in variables.items())],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    args, *words = done.stdout.rpartition("called:\0")[2].split("\0")[:-1]
    return words, args


def test_the_targets_are_found() -> None:
    assert {"test", "up", "bench", "bench-harness", "record", "demo", "box"} <= set(TARGETS)


@pytest.mark.parametrize("value", HOSTILE)
def test_nothing_that_is_given_is_run(project: Path, value: str) -> None:
    for target in ("test", "record", "box"):
        words, args = called(project, target, **dict.fromkeys(VARIABLES, value))
        assert args == value
        for option in ("--lab", "--image", "--pair"):
            if option in words:
                assert words[words.index(option) + 1] == value
        assert not (project / "F").exists(), target


def test_what_is_given_goes_where_it_belongs(project: Path) -> None:
    given = {"LAB": "qemu", "IMAGE": "/a b.qcow2", "PAIR": "mine", "ARGS": "-k 'a or b'"}
    words, args = called(project, "test", **given)
    assert words == [
        *("-m", "harness.cli.from_make", "test", "--lab", "qemu", "--image", "/a b.qcow2"),
        *("--pair", "mine"),
    ]
    assert args == "-k 'a or b'"
    assert called(project, "test")[0][3:] == ["--lab", "vagrant", "--pair", "default"]
    for target in TARGETS:
        words, args = called(project, target, **given)
        assert words[:2] == ["-m", "harness.cli.from_make"], target
        assert args == given["ARGS"], target


def test_the_python_of_a_new_environment_is_one_word_too(project: Path) -> None:
    for value in HOSTILE:
        done = subprocess.run(
            ["make", "-B", "setup", f"PYTHON={value}"],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode != 0
        assert not (project / "F").exists(), value


def test_no_recipe_has_a_variable_of_the_user_in_it() -> None:
    recipes = "".join(re.findall(r"^\t.*\n", MAKEFILE, re.MULTILINE))
    for name in (*VARIABLES, "PYTHON"):
        assert f"$({name})" not in recipes.replace(f"$(if $({name}),", ""), name


def test_args_are_words_and_nothing_in_them_is_expanded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(cli, "main", lambda: seen.extend(sys.argv))
    monkeypatch.setattr(sys, "argv", ["skunk", "test"])
    monkeypatch.setenv("ARGS", "-k 'a or b' \"*\" $HOME `ls` ; x")
    from_make.main()
    assert seen == ["skunk", "test", "-k", "a or b", "*", "$HOME", "`ls`", ";", "x"]
    assert "ARGS" not in os.environ, "what is started from here has words of its own"
    monkeypatch.setenv("ARGS", "-k 'a")
    with pytest.raises(SystemExit) as raised:
        from_make.main()
    assert raised.value.code == from_make.USAGE
    assert "No closing quotation" in capsys.readouterr().err


def test_the_list_of_targets_is_two_columns(project: Path) -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=project, capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    rows = [re.fullmatch(r"  make ([a-z-]+ +)(\S.*)", line) for line in listed]
    assert len({len(row[1]) for row in rows if row}) == 1
    assert len(rows) == len(list(filter(None, rows))) > 20
