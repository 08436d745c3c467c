"""QMP, QEMU's control protocol, for code that does not speak asyncio.

The protocol itself is the `qemu.qmp` library of the QEMU project. It lives in one event loop in a
thread of its own; every call from outside has a deadline.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import ExecuteError, QMPClient, QMPError

from harness.errors import LabError
from harness.waiting.wait import Deadline, wait_until

T = TypeVar("T")

# A QEMU that is killed on purpose ends its connection in a way that the library logs as an error.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class _Loop:
    """An asyncio event loop in a daemon thread, started on first use and shared by all monitors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, work: Coroutine[Any, Any, T], within: float) -> T:
        """Run a coroutine in the loop and wait for it. Raises TimeoutError."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(within)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError from None


_loop = _Loop()


class Monitor:
    """The QMP connection to one QEMU process."""

    def __init__(self, node: str, within: float) -> None:
        """Make an unconnected monitor; `within` seconds is the deadline of every command."""
        self._node = node
        self._within = within
        self._client: QMPClient | None = None

    def connect(self, path: Path) -> None:
        """Connect to the UNIX socket at `path`. Raises `OSError` when nobody listens there yet."""
        client = QMPClient(self._node)
        try:
            _loop.call(client.connect(str(path)), Deadline.after(self._within).remaining)
        except (QMPError, TimeoutError) as error:
            raise ConnectionError(str(error) or type(error).__name__) from error
        self._client = client

    def execute(self, command: str, **arguments: object) -> Any:
        """Send one command and return its answer.

        Raises `LabError` when QEMU refuses it, does not answer in time, or is gone.
        """
        if self._client is None:
            raise LabError(f"no QMP connection for `{command}`", node=self._node)
        deadline = Deadline.after(self._within)
        # QMP's oldest commands have underscores, and so have their arguments.
        hyphen = "_" if "_" in command else "-"
        names = {name.replace("_", hyphen): value for name, value in arguments.items()}
        try:
            return _loop.call(self._client.execute(command, names or None), deadline.remaining)
        except ExecuteError as error:
            raise LabError(f"QEMU refused `{command}`: {error}", node=self._node) from error
        except TimeoutError:
            raise LabError(
                f"QEMU did not answer `{command}` within {deadline.within:.0f} s", node=self._node
            ) from None
        except QMPError as error:
            raise LabError(
                f"QEMU went away during `{command}`: {error}", node=self._node
            ) from error

    def run_job(self, command: str, job: str, **arguments: object) -> None:
        """Run a command that QEMU carries out as a background job, and wait for the job's end.

        Raises `LabError` with QEMU's reason when the job fails.
        """
        self.execute(command, job_id=job, **arguments)

        def state() -> dict[str, Any]:
            jobs: list[dict[str, Any]] = self.execute("query-jobs")
            return next(entry for entry in jobs if entry["id"] == job)

        ended = wait_until(
            f"QEMU's job {job} on {self._node}",
            state,
            self._within,
            accept=lambda entry: entry["status"] == "concluded",
            every=0.02,
        )
        self.execute("job-dismiss", id=job)
        if "error" in ended:
            raise LabError(f"`{command}` failed: {ended['error']}", node=self._node)

    def close(self) -> None:
        """Drop the connection; safe when QEMU is dead or the connection was never up."""
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(Exception):
                _loop.call(client.disconnect(), 5.0)
