"""From nothing to a pair that is up and kept, and back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.cluster.provision import provision
from harness.config import paths
from harness.config import settings as settings_file
from harness.config.settings import NODES, Settings
from harness.config.software import in_words, system
from harness.errors import HarnessError, LabError
from harness.lab.base import Lab
from harness.lab.choose import LabName, open_lab
from harness.lab.pairs import PairFolder
from harness.operate.keeper import Keeper
from harness.operate.kept import Kept
from harness.record.sinks import Lines, Reached, Sink, Sinks, Stage
from harness.record.transcript import Transcript
from harness.waiting import clock, interrupt, wait
from harness.waiting.parallel import on_each
from harness.waiting.wait import wait_until

State = Literal["set-up", "provisioned", "bare"]
"""How far a pair is brought: as claim 1 leaves it; with everything but HAST's metadata and roles;
or booted and nothing else."""

_DOWN_SECONDS = 120.0
"""Both machines' power, and what Vagrant takes to destroy them."""

Say = Callable[[str], None]


class Order(BaseModel):
    """What `skunk up` was asked for."""

    lab: LabName
    pair: str
    image: Path | None = None
    settings: Path = paths.SETTINGS
    seed: int | None = None
    hastd: tuple[str, ...] = ()
    """What takes the place of it, as `Settings.program_words` has it."""
    hastctl: tuple[str, ...] = ()
    state: State = "set-up"

    @property
    def kept(self) -> Kept:
        """Where that pair is kept."""
        return Kept(self.lab, self.pair)


def keep(order: Order, say: Say, ready: Callable[[], None]) -> None:
    """Bring a pair up, call `ready`, and keep it until `skunk down` or Ctrl-C.

    Raises what the lab, the provisioning and the set-up raise, with nothing left.
    """
    settings = settings_file.load(order.settings).with_programs(order.hastd, order.hastctl)
    if order.seed is not None:
        settings = settings.with_seed(order.seed)
    wait.set_time_scale(settings.time_scale)
    with contextlib.ExitStack() as stack:
        stack.enter_context(interrupt.at_checkpoints())
        stack.enter_context(order.kept.claimed())
        lab = open_lab(order.lab, settings, image_path=order.image, pair=order.pair, say=say)
        transcript = Transcript(lab.mark)
        transcript.open(order.kept.folder.path)
        stack.callback(transcript.close)
        stack.enter_context(lab)
        stack.callback(clock.use, clock.current())
        clock.use(lab.clock)
        pair, ran = _bring_up(lab, settings, order.state, Sinks(transcript, Lines(say)))
        stack.callback(on_each, pair.nodes, Node.disconnect)
        keeper = stack.enter_context(Keeper(order.kept, lab, pair, release=ran))
        ready()
        keeper.wait()


def _bring_up(lab: Lab, settings: Settings, state: State, told: Sink) -> tuple[Pair, str]:
    def say(reached: Reached, text: str) -> None:
        told.tell(Stage(reached, text))

    say(Reached.BOOTING, f"booting skunk1 and skunk2: {lab.describe()}")
    replaced = [each.about for each in lab.replacements] if state != "bare" else []
    if state == "bare" and lab.replacements:
        say(Reached.BOOTING, "a bare pair keeps its own programs: those of `replace` stay here")
    for line in in_words(replaced):
        say(Reached.BOOTING, line)
    start = clock.current().monotonic()

    def took() -> str:
        return f"{clock.current().monotonic() - start:.1f} s"

    skunk1, skunk2 = (Node(lab.machines[name], settings, told) for name in NODES)
    pair = Pair(skunk1, skunk2, settings)
    pair.wait_for_ssh()
    releases = pair.releases()
    ran = system(releases[skunk1.name], releases, replaced)
    say(Reached.ANSWERS, f"both answer over SSH after {took()}: FreeBSD {ran}")
    if state != "bare":
        pair.set_clocks()
        provision(pair.nodes, settings, lab.replacements)
        say(Reached.PROVISIONED, f"provisioned after {took()}")
    if state == "set-up":
        pair.set_up()
        synced = "skunk1 is primary with the pool, skunk2 secondary, in sync"
        say(Reached.SET_UP, f"set up after {took()}: {synced}")
    return pair, ran


# --- a keeper in the background -----------------------------------------------------------------


class _Said(BaseModel):
    """One line from a keeper that is bringing a pair up."""

    say: str | None = None
    error: str | None = None
    ready: bool = False


def start_keeper(order: Order, say: Say) -> None:
    """Start a keeper of its own session, and return when the pair is up.

    `say` gets its lines. Raises `LabError` with what it says when it fails. If the caller dies or
    is interrupted before the pair is up, the keeper stops what it has started and ends.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, order.model_dump_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=paths.PROJECT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for line in process.stdout:
            said = _Said.model_validate_json(line)
            if said.say is not None:
                say(said.say)
            if said.error is not None:
                raise HarnessError(said.error)
            if said.ready:
                return
        process.wait(10)
        raise LabError(
            f"the keeper ended with status {process.returncode}:\n"
            + process.stderr.read().decode(errors="replace").strip()
        )
    except BaseException:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_DOWN_SECONDS)
        raise
    finally:
        process.stdout.close()
        process.stderr.close()


def take_down(kept: Kept) -> str:
    """Bring a pair down, or remove what is left of one whose keeper has died. Say which.

    Raises `LabError` when it does not go down or never was, and `PairInUse` when a run has it.
    """
    if kept.is_up:
        kept.ask("down")
        wait_until(
            f"{kept} to be gone", lambda: not kept.folder.is_there, _DOWN_SECONDS, every=0.05
        )
        return f"{kept} is down, and nothing of it is left"
    if not kept.folder.path.exists() and not PairFolder(kept.lab, kept.pair).path.exists():
        raise LabError(
            f"{kept} is not up, and nothing is left of one",
            advice="`skunk status` shows the one that is up",
        )
    with kept.claimed():
        _remove_leftovers(kept)
    return f"the keeper of {kept} was gone; what it left is removed"


def _remove_leftovers(kept: Kept) -> None:
    if kept.lab == "vagrant":
        from harness.lab.vagrant.lab import VagrantLab  # noqa: PLC0415 - only where it is wanted

        VagrantLab(settings_file.load(), kept.pair).stop()
        return
    folder = PairFolder(kept.lab, kept.pair)
    folder.acquire()
    try:
        if kept.lab == "qemu":
            from harness.lab.qemu.machine import kill_leftovers  # noqa: PLC0415 - as above

            kill_leftovers(folder.path)
        folder.remove()
    finally:
        folder.release()


def _daemon(order: Order) -> int:
    """A keeper in the background: it talks JSON lines to whoever started it until it is ready."""
    heard = threading.Event()

    def tell(said: _Said) -> None:
        if not heard.is_set():
            os.write(1, said.model_dump_json(exclude_none=True).encode() + b"\n")

    def ready() -> None:
        log = os.open(order.kept.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        tell(_Said(ready=True))
        heard.set()
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)

    # Whoever started it may end it while it starts; the terminal it came from may close.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt.everywhere()
    try:
        keep(order, lambda text: tell(_Said(say=text)), ready)
    except (HarnessError, OSError) as error:
        host = "" if isinstance(error, HarnessError) else "this host says: "
        tell(_Said(error=f"{host}{error}"))
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    status = _daemon(Order.model_validate(json.loads(sys.argv[1])))
    sys.stderr.flush()
    # All is stopped and removed. A request that still waits for a node must not hold the process.
    os._exit(status)
