"""Stand-ins for virsh, VBoxManage and vagrant, which note their calls and answer as told."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import psutil
import pytest

from harness.config import settings as settings_file
from harness.config.settings import Settings


class Programs:
    """A folder that is all of PATH, with programs in it that a test makes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answers: dict[str, list[str]] = {}

    def make(self, name: str, *answers: tuple[str, str] | tuple[str, str, int]) -> None:
        """Make a program, or give it more answers: (arguments, output[, exit status]).

        The arguments are a shell pattern, which the whole command line has to match; an answer
        given later goes first. What matches nothing is silent success.
        """
        branches = self._answers.setdefault(name, [])
        for pattern, output, *status in answers:
            quoted = pattern.replace(" ", "\\ ")
            branches.insert(
                0, f"{quoted}) echo {shlex.quote(output)}; exit {status[0] if status else 0};;"
            )
        program = self._folder / name
        program.write_text(
            f"#!/bin/sh\necho \"$*\" >> {self._calls(name)}\n"
            f"case \"$*\" in\n{chr(10).join(branches)}\nesac\n"
        )  # fmt: skip
        program.chmod(0o755)

    def script(self, name: str, text: str) -> None:
        """Make a program of one's own words."""
        program = self._folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    def ssh(self, first: str = "", then: str = "") -> None:
        """Make an ssh that does here what it is told to do over there.

        `first` is a line that goes before; with `then` the output goes through that command, which
        stays, as ssh does, until there is something that it cannot hand on.
        """
        self.script(
            "ssh",
            f'echo "$*" >> {self._calls("ssh")}\n'
            f"PATH=/usr/bin:/bin\n{first}\n"
            'while [ "$1" != -- ]; do shift; done\n'
            f'{"" if then else "exec "}/bin/sh -c "$3" {then}',
        )

    def calls(self, name: str) -> list[str]:
        """The command lines that the program has had, the oldest first."""
        calls = self._calls(name)
        return calls.read_text().splitlines() if calls.exists() else []

    def forget(self) -> None:
        """Forget all command lines."""
        for calls in self._folder.glob("*.calls"):
            calls.unlink()

    def _calls(self, name: str) -> Path:
        return self._folder / f"{name}.calls"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("SKUNK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SKUNK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    return Programs(folder)


@pytest.fixture
def settings() -> Settings:
    loaded = settings_file.load()
    image = loaded.image.model_copy(update={"release": "13.2"})
    return loaded.model_copy(update={"image": image})


def children() -> set[psutil.Process]:
    """All that this process has started and what those have, other tests' leftovers too."""
    return set(psutil.Process().children(recursive=True))


def kill_children() -> None:
    """End all that this process has started, as a broken network would end an ssh."""
    for process in children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with the one before
            process.kill()


def with_box(settings: Settings, **changes: object) -> Settings:
    """The settings with other values in the section `box`."""
    return settings.model_copy(update={"box": settings.box.model_copy(update=changes)})
