"""A pair that is up between two commands: where its keeper listens, and how to ask it.

The keeper (`harness.operate.keeper`) is the process that holds the lab. It listens on a UNIX socket
in a folder that only its owner can enter; one request a connection, one JSON object each way.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.config import paths
from harness.errors import HarnessError, LabError, PairInUse, SettingsError
from harness.lab.pairs import PairFolder
from harness.waiting.wait import scaled

ANSWER_SECONDS = 60.0
"""What a keeper may take to answer where it waits for nothing: each of its calls is bounded."""

HEAL_SECONDS = 900.0
"""For `heal`, which waits until both nodes have booted."""

_ASK_AGAIN = 0.05
"""Seconds between two tries where many ask a keeper at the same time."""

_PREFIX = "kept-"
_LONGEST_ANSWER = 16 << 20


@dataclass(frozen=True)
class About:
    """What is written down of a pair that is up, for whoever wants to talk to its keeper."""

    lab: str
    pair: str
    mark: str | None
    pid: int
    since: datetime
    purpose: str
    """Why it is up: `skunk up`, or a run that stopped at a failure."""
    released_by: str
    """How it comes down."""

    @classmethod
    def read(cls, path: Path) -> About:
        """What `write` left. Raises `OSError`, and `ValueError` when it is something else."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return cls(**said | {"since": datetime.fromisoformat(said["since"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path} is not what a keeper writes: {error}") from None

    def write(self, path: Path) -> None:
        """Write it down in one step."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self) | {"since": self.since.isoformat()}) + "\n")
        new.rename(path)


class Kept:
    """A pair of one kind of lab by its name, up or not."""

    def __init__(self, lab: str, pair: str) -> None:
        """Name it; nothing is looked at or made yet."""
        self.lab = lab
        self.pair = pair
        self.folder = PairFolder(f"{_PREFIX}{lab}", pair)

    def __str__(self) -> str:
        return f"the pair {self.pair!r} of the {self.lab} lab"

    @property
    def control(self) -> Path:
        """Where its keeper listens."""
        return self.folder.path / "control.sock"

    @property
    def log(self) -> Path:
        """What its keeper says once nobody reads along."""
        return self.folder.path / "keeper.log"

    @property
    def _about(self) -> Path:
        return self.folder.path / "keeper.json"

    # --- for the keeper -------------------------------------------------------------------------

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder, made anew, while the block runs. Raises `PairInUse`."""
        self.folder.check()
        try:
            self.folder.acquire()
        except PairInUse as error:
            raise PairInUse(
                f"{self} is up already, by {error.what.rpartition(' in use by ')[2]}",
                advice="`skunk status` shows it and `skunk down` stops it; or name another one "
                "with --pair",
            ) from None
        try:
            self.folder.remove()  # what a keeper left that was killed
            self.folder.path.mkdir(mode=0o700)
            yield
        finally:
            self.folder.remove()
            self.folder.release()

    def write_about(self, mark: str | None, purpose: str, released_by: str) -> None:
        """Let others find the keeper: this process."""
        about = About(
            lab=self.lab,
            pair=self.pair,
            mark=mark,
            pid=os.getpid(),
            since=datetime.now(UTC),
            purpose=purpose,
            released_by=released_by,
        )
        about.write(self._about)

    # --- for everybody else ---------------------------------------------------------------------

    @classmethod
    def find(cls, lab: str | None = None, pair: str | None = None) -> Kept:
        """The one pair that is up, or the one of this lab or name where there are several.

        Raises `LabError` when none is, or when it is not clear which one is meant.
        """
        found = [
            kept for kept in cls.all() if lab in (None, kept.lab) and pair in (None, kept.pair)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise LabError(
                "several pairs are up: " + ", ".join(map(str, found)),
                advice="name one of them with --lab and --pair",
            )
        wanted = " of that name" if pair else ""
        raise LabError(
            f"no pair{wanted} is up" + (f" in the {lab} lab" if lab else ""),
            advice="`skunk up` boots one, `skunk up --lab simulated` a model of one",
        )

    @classmethod
    def all(cls) -> list[Kept]:
        """Every pair that is up, or was when its keeper died."""
        found = []
        for path in sorted((paths.state_dir() / "pairs").glob(f"{_PREFIX}*/keeper.json")):
            with contextlib.suppress(OSError, ValueError, SettingsError):
                about = About.read(path)
                found.append(cls(about.lab, about.pair))
        return found

    def about(self) -> About:
        """What its keeper has written down. Raises `LabError` when it is not up."""
        try:
            return About.read(self._about)
        except (OSError, ValueError):
            raise LabError(f"{self} is not up", advice="`skunk up` boots it") from None

    @property
    def is_up(self) -> bool:
        """Whether its keeper listens."""
        try:
            self._connect(1.0).close()
        except TimeoutError:
            return True  # it has more to do than it can
        except OSError:
            return False
        return True

    def ask(self, verb: str, *, within: float = ANSWER_SECONDS, **arguments: object) -> Any:
        """Let the keeper do something, and return what it answers.

        Raises `LabError` when it is gone or does not answer within so many seconds, and every
        error that it met itself as a `HarnessError`.
        """
        request = json.dumps({"verb": verb, **arguments}).encode() + b"\n"
        try:
            with contextlib.closing(self._connect(scaled(within))) as connection:
                connection.sendall(request)
                answer = connection.makefile("rb").readline(_LONGEST_ANSWER)
        except TimeoutError:
            about = self.about()
            raise LabError(
                f"the keeper of {self} (process {about.pid}) did not answer within "
                f"{scaled(within):.0f} s",
                advice=f"see {self.log}; to give it up, end that process, then `skunk down`",
            ) from None
        except OSError:
            raise self._gone() from None
        if not answer:
            raise self._gone()
        said = json.loads(answer)
        if (error := said.get("error")) is not None:
            raise HarnessError(error["what"], node=error["node"], advice=error["advice"])
        return said["answer"]

    def _connect(self, within: float) -> socket.socket:
        """Raises `TimeoutError` when too many ask for all that time, and `OSError`."""
        until = time.monotonic() + within
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(within)
            try:
                connection.connect(str(self.control))
            except BlockingIOError:  # the queue of those who ask is full
                connection.close()
                if time.monotonic() >= until:
                    raise TimeoutError from None
                time.sleep(_ASK_AGAIN)
            except OSError:
                connection.close()
                raise
            else:
                return connection

    def _gone(self) -> LabError:
        about = self.about()
        return LabError(
            f"{self} was up, and its keeper (process {about.pid}) is gone",
            advice="`skunk down` removes what it left",
        )


def refuse_if_up(lab: str, pair: str) -> None:
    """Raise `PairInUse`, with what brings it down, when a keeper holds the pair of this name."""
    kept = Kept(lab, pair)
    if not kept.is_up:
        return
    about = kept.about()
    down = f"skunk down --lab {lab} --pair {pair}"
    way = f"`{down}` stops it" if about.released_by == "skunk down" else about.released_by
    raise PairInUse(
        f"{kept} is up, for {about.purpose}", advice=f"{way}; or name another one with --pair"
    )
