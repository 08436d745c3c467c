"""A recorded run: every command on both nodes with what it printed, and all that was done to them.

A recording is a file of JSON lines. One says where it comes from; each other line is one step. What
a command was fed is kept as length and SHA-256 only, unless it is short.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import threading
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from harness.errors import HarnessError, SettingsError
from harness.lab.base import Endpoint, Gap, Lab, LabDescription, Machine, Network, Power
from harness.lab.replaced import Replacement
from harness.lab.ssh import Connect, Remote, Result, Wrapped
from harness.results.past.releases import Answers, answer
from harness.waiting.clock import Clock

_SHORT = 16384
"""Bytes, compressed, up to which standard input is kept."""


@dataclass(frozen=True)
class Fed:
    """What a command got on its standard input. `zlib` is None where it was long."""

    size: int
    sha256: str
    zlib: str | None = None

    @classmethod
    def of(cls, data: bytes) -> Fed:
        """Note the data, whole if it is short."""
        packed = zlib.compress(data, 9)
        kept = base64.b64encode(packed).decode() if len(packed) <= _SHORT else None
        return cls(len(data), hashlib.sha256(data).hexdigest(), kept)

    def stand_in(self) -> bytes:
        """The data, or other bytes of the same length that stand for them."""
        if self.zlib is not None:
            return zlib.decompress(base64.b64decode(self.zlib))
        return hashlib.shake_256(self.sha256.encode()).digest(self.size)


@dataclass(frozen=True)
class Step:
    """One thing that was done. Times are in seconds, `at` since the recording began.

    `verb` is `run` for a command, else what was done to the machine (power_cut, unplug_link, ...)
    or to the pair (save, restore: `argv` has the tag). `status` is None for a command that did not
    end, and then `error` has why.
    """

    at: float
    duration: float
    node: str
    verb: str
    argv: tuple[str, ...] = ()
    stdin: Fed | None = None
    status: int | None = None
    stdout: str = ""
    stderr: str = ""
    error: str | None = None

    @property
    def end(self) -> float:
        """When it had ended."""
        return self.at + self.duration


@dataclass(frozen=True)
class Source:
    """Where a recording comes from."""

    lab: str
    hypervisor: str
    release: str
    date: str


class Recorder:
    """Writes the steps of a run to a file as they end. Threads may record side by side."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Begin a recording in `path`, replacing what is there; `clock` is the lab's."""
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._clock = clock
        self._started = clock.monotonic()

    def now(self) -> float:
        """Seconds of the lab's time since the recording began."""
        return self._clock.monotonic() - self._started

    def add(self, step: Step) -> None:
        """Write one step."""
        self._write({key: value for key, value in asdict(step).items() if value not in (None, "")})

    def note(self, started: float, node: str, verb: str, *argv: str) -> None:
        """Write something that was done to a machine or to the pair."""
        self.add(Step(round(started, 6), round(self.now() - started, 6), node, verb, argv))

    def source(self, lab: LabDescription, release: str) -> None:
        """Say where the recording comes from."""
        today = self._clock.utc().date().isoformat()
        self._write({"source": asdict(Source(lab.lab, lab.hypervisor, release, today))})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, object]) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def load(path: Path) -> tuple[Source, tuple[Step, ...]]:
    """Read a recording, its steps in the order in which they began.

    Raises `SettingsError` when it is none.
    """
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        source = next(Source(**line["source"]) for line in lines if "source" in line)
        steps = [
            Step(
                **{
                    **line,
                    "argv": tuple(line.get("argv", ())),
                    "stdin": Fed(**line["stdin"]) if "stdin" in line else None,
                }
            )
            for line in lines
            if "verb" in line
        ]
    except (OSError, ValueError, TypeError, KeyError, StopIteration) as error:
        raise SettingsError(
            f"{path} is no recording of a run: {error!r}",
            advice="make one with `make record`",
        ) from error
    return source, tuple(sorted(steps, key=lambda step: step.at))


# --- recording what a session does --------------------------------------------------------------


class RecordedConnection(Wrapped):
    """A connection that notes each command."""

    def __init__(self, remote: Remote, node: str, recorder: Recorder) -> None:
        super().__init__(remote, node)
        self._recorder = recorder

    def run(self, argv: Sequence[str], *, within: float, stdin: bytes = b"") -> Result:
        """Run a command and note what it did."""
        started = self._recorder.now()
        fed = Fed.of(stdin) if stdin else None
        try:
            result = super().run(argv, within=within, stdin=stdin)
        except HarnessError as error:
            took = self._recorder.now() - started
            self._recorder.add(
                Step(started, took, self._node, "run", tuple(argv), fed, error=error.what)
            )
            raise
        self._recorder.add(
            Step(
                round(started, 6),
                round(self._recorder.now() - started, 6),
                self._node,
                "run",
                tuple(argv),
                fed,
                result.status,
                result.stdout,
                result.stderr,
            )
        )
        return result


class RecordedConnect:
    """Logs in as `connect` does, and records what is run."""

    def __init__(self, connect: Connect, recorder: Recorder) -> None:
        self._connect = connect
        self._recorder = recorder

    def __call__(self, node: str, endpoint: Endpoint, *, alive: float, within: float) -> Remote:
        """Log in to a node over SSH."""
        connection = self._connect(node, endpoint, alive=alive, within=within)
        return RecordedConnection(connection, node, self._recorder)


class RecordedMachine(Machine):
    """A machine whose every verb is noted."""

    def __init__(self, machine: Machine, recorder: Recorder) -> None:
        self.name = machine.name
        self._machine = machine
        self._recorder = recorder

    @property
    def console(self) -> Path:
        """The machine's own."""
        return self._machine.console

    def endpoint(self) -> Endpoint:
        """Return the machine's own."""
        return self._machine.endpoint()

    def power(self) -> Power:
        """Return the machine's own."""
        return self._machine.power()

    def power_on(self) -> None:
        """Give it power."""
        self._do("power_on")

    def power_cut(self) -> None:
        """Cut its power."""
        self._do("power_cut")

    def reset(self) -> None:
        """Reset it."""
        self._do("reset")

    def press_power_button(self) -> None:
        """Press its button."""
        self._do("press_power_button")

    def pause(self) -> None:
        """Freeze it."""
        self._do("pause")

    def resume(self) -> None:
        """Let it go on."""
        self._do("resume")

    @property
    def networks(self) -> Collection[Network]:
        """The machine's own."""
        return self._machine.networks

    def unplug_link(self, network: Network = Network.PRIVATE) -> None:
        """Pull its cable."""
        self._do("unplug_link", network)

    def plug_link(self, network: Network = Network.PRIVATE) -> None:
        """Put its cable back."""
        self._do("plug_link", network)

    def limit_data_disk(self, bytes_per_s: float | None) -> None:
        """Limit its data disk, which no recording has: a replay could not."""
        self._machine.limit_data_disk(bytes_per_s)

    def _do(self, verb: str, *arguments: str) -> None:
        started = self._recorder.now()
        getattr(self._machine, verb)(*arguments)
        self._recorder.note(started, self.name, verb, *arguments)


class RecordedLab(Lab):
    """A lab whose every verb is noted. It is the given lab in everything else."""

    def __init__(self, lab: Lab, recorder: Recorder) -> None:
        self._lab = lab
        self._recorder = recorder
        self.clock = lab.clock

    @property
    def name(self) -> str:  # type: ignore[override]
        """The lab's own."""
        return self._lab.name

    @property
    def mark(self) -> str | None:  # type: ignore[override]
        """The lab's own."""
        return self._lab.mark

    @property
    def machines(self) -> Mapping[str, Machine]:  # type: ignore[override]
        """The lab's machines, each recorded."""
        return {
            name: RecordedMachine(machine, self._recorder)
            for name, machine in self._lab.machines.items()
        }

    def check(self) -> None:
        """Check the lab."""
        self._lab.check()

    def start(self) -> None:
        """Start the lab: in a recording that is the moment when both get power."""
        started = self._recorder.now()
        self._lab.start()
        self._recorder.note(started, "pair", "start")

    def stop(self) -> None:
        """Stop the lab."""
        self._lab.stop()

    def save(self, tag: str) -> None:
        """Save the pair."""
        started = self._recorder.now()
        self._lab.save(tag)
        self._recorder.note(started, "pair", "save", tag)

    def restore(self, tag: str) -> None:
        """Restore the pair."""
        started = self._recorder.now()
        self._lab.restore(tag)
        self._recorder.note(started, "pair", "restore", tag)

    @property
    def replacements(self) -> tuple[Replacement, ...]:  # type: ignore[override]
        """The programs that the lab's provisioning replaces."""
        return self._lab.replacements

    def describe(self) -> LabDescription:
        """Describe the lab."""
        return self._lab.describe()

    def service(self) -> tuple[str, int]:
        """The lab's own; what a client says there is not recorded."""
        return self._lab.service()

    def gaps(self) -> tuple[Gap, ...]:
        """What the lab lacks."""
        return self._lab.gaps()

    def leave_notes(self, folder: Path) -> None:
        """Write what the lab has to say."""
        self._lab.leave_notes(folder)


def answers(path: Path) -> Answers:
    """Every answer of a recording, each once, for comparison with another release's."""
    found: dict[str, list[str]] = {}
    for step in load(path)[1]:
        if step.verb == "run":
            known = found.setdefault(shlex.join(step.argv), [])
            said = answer(step.status, step.stdout, step.stderr)
            if said not in known:
                known.append(said)
    return found
