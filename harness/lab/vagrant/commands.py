"""python-vagrant, with the deadlines and the log that it lacks."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from harness.errors import MissingTool
from harness.lab.vagrant.programs import run

# Where there is no Vagrant it says so on standard error as soon as it is imported. Whoever wants to
# use Vagrant hears it from `MissingTool`, with what to do; nobody else wants to hear it.
with contextlib.redirect_stderr(io.StringIO()):
    import vagrant

INSTALL_VAGRANT = (
    "install it: `apt-get install vagrant vagrant-libvirt` (Debian), or from "
    "https://developer.hashicorp.com/vagrant/install, then `vagrant plugin install vagrant-libvirt`"
)

QUIET = {
    "VAGRANT_CHECKPOINT_DISABLE": "1",
    "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
    "VAGRANT_NO_COLOR": "1",
}
"""Vagrant does not phone home."""

COMMAND_SECONDS = 120.0
"""For a command that only asks or removes: Vagrant takes 1 to 3 s to start on the reference
machine."""


_PythonVagrant: Any = vagrant.Vagrant  # it has no type annotations


class Vagrant(_PythonVagrant):  # type: ignore[misc]
    """`vagrant` in the folder `root`, with `env` added to the environment.

    `within` gives the seconds that a subcommand may take where it is not `COMMAND_SECONDS`. What a
    command says is added to `log`. Every method raises `LabError` when the command fails or does
    not end.
    """

    def __init__(
        self,
        root: Path,
        env: Mapping[str, str],
        *,
        log: Path | None = None,
        within: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        super().__init__(root=str(root), env=dict(env))
        self._log = log
        self._within = within

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._bounded(args, capture=False)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        return self._bounded(args, capture=True)

    def _bounded(self, args: Sequence[str | None], *, capture: bool) -> str:
        check_installed()
        return run(
            self._make_vagrant_command(args),
            within=self._within.get(str(args[0]), COMMAND_SECONDS),
            env=self.env,
            cwd=Path(self.root),
            log=self._log,
            capture=capture,
        )


def check_installed() -> None:
    """Raise `MissingTool` where there is no Vagrant."""
    if shutil.which("vagrant") is None:
        raise MissingTool("there is no Vagrant on this host", advice=INSTALL_VAGRANT)


def kill_strays(dotfile: Path) -> None:
    """Kill every Vagrant that still works on the pair whose state is in `dotfile`.

    A harness that is killed cannot end the `vagrant up` it was running. It is known by its
    environment, so no file has to tell its number; and nothing but a Vagrant is ever killed.
    """
    strays = [process for process in psutil.process_iter() if _works_on(process, dotfile)]
    for stray in strays:
        with contextlib.suppress(psutil.NoSuchProcess):
            stray.kill()
    psutil.wait_procs(strays, timeout=10)


def _works_on(process: psutil.Process, dotfile: Path) -> bool:
    try:
        named = any(Path(word).name == "vagrant" for word in process.cmdline())
        return named and process.environ().get("VAGRANT_DOTFILE_PATH") == str(dotfile)
    except psutil.Error:
        return False  # somebody else's, or gone
