"""One node: commands and files over SSH, and the power and link of the machine under it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from harness.cluster.fault import Fault
from harness.cluster.hardware_faults import LINK, PAUSE, POWER, SWITCHED_OFF
from harness.config.settings import Deadlines, Settings
from harness.errors import CommandTimedOut, HarnessError, NodePanicked, NodeUnreachable, WaitExpired
from harness.lab import console
from harness.lab.base import Endpoint, Machine
from harness.lab.ssh import Connect, Connection, Remote, Result
from harness.record.entry import Did, Effect, Entry, Kind
from harness.record.sinks import Asking, Sink
from harness.waiting import clock as clocks
from harness.waiting import spent
from harness.waiting.spent import Activity
from harness.waiting.wait import Deadline, under_way, wait_until

REBOOTING = "Rebooting..."
"""The last thing that a kernel says before it starts over (sys/kern/kern_shutdown.c)."""


class Node:
    """A FreeBSD machine as a scenario sees it. Everything done to it goes into the transcript."""

    def __init__(
        self,
        machine: Machine,
        settings: Settings,
        told: Sink,
        connect: Connect = Connection,
    ) -> None:
        """`told` is told of all that is done to it; `connect` logs in to the machine's endpoint."""
        self.name = machine.name
        self.machine = machine
        self.settings = settings
        """Those of the lab; a scenario's own hast.conf is in `Pair.settings`."""
        self._deadlines = settings.deadlines
        self._told = told
        self._connect_to = connect
        self._connection: Remote | None = None
        self._pinned: str | None = None
        self._console_start = 0
        self._panics_after = 0
        self._may_panic = False
        self.broken: list[Fault[Any]] = []
        """What is broken on it on purpose, right now."""

    def __repr__(self) -> str:
        return self.name

    @property
    def faults(self) -> list[str]:
        """What is broken on it on purpose, right now, in words."""
        return [fault.what for fault in self.broken]

    def second_login(self, deadlines: Deadlines | None = None) -> Node:
        """The same machine over a connection of its own, for a thread beside the scenario's.

        `deadlines` are other ones than this login's.
        """
        login = Node(self.machine, self.settings, self._told, self._connect_to)
        login._deadlines = deadlines or self._deadlines
        login._pinned = self._pinned
        login._panics_after = self._panics_after
        return login

    def reached_at(self) -> Endpoint:
        """Where its SSH server is, with its host key once one is known. Raises `LabError`."""
        endpoint = self.machine.endpoint()
        if endpoint.host_key is None:
            endpoint = dataclasses.replace(endpoint, host_key=self._pinned)
        return endpoint

    # --- commands and files ---------------------------------------------------------------------

    def run(
        self,
        *argv: str,
        within: float | None = None,
        check: bool = True,
        stdin: bytes = b"",
    ) -> Result:
        """Run one command as root and return what it did.

        Raises `CommandFailed` on a non-zero status unless `check` is False, `CommandTimedOut` when
        it does not end within `within` seconds (the settings' `command` deadline by default),
        `NodeUnreachable` when the node stops answering, and `NodePanicked` when its console says
        why.
        """
        try:
            result = self.ask(*argv, within=within, stdin=stdin)
        except NodeUnreachable as error:
            self._no_answer(argv, error)
            self.raise_if_panicked()
            raise
        except HarnessError as error:
            self._no_answer(argv, error)
            raise
        self._told.tell(
            Entry(
                result.started,
                self.name,
                Kind.COMMAND,
                result.command,
                result.duration,
                result.status,
                result.stdout,
                result.stderr,
            )
        )
        return result.check() if check else result

    def sh(
        self, script: str, *args: str, within: float | None = None, check: bool = True
    ) -> Result:
        """Run a script of sh(1), which finds `args` as $1, $2 and so on; else like `run`."""
        return self.run("/bin/sh", "-c", script, "sh", *args, within=within, check=check)

    def put(self, path: str, content: bytes, mode: str = "0644") -> None:
        """Write a file on the node, whole or not at all, with the given octal mode.

        Raises like `run`.
        """
        script = 'cat > "$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"'
        self.ask("/bin/sh", "-c", script, "sh", path, mode, stdin=content).check()
        text = f"wrote {path} ({len(content)} bytes, mode {mode})"
        self._told.tell(Entry.action(self.name, text, did=Did.WROTE))

    def get(self, path: str, within: float | None = None) -> bytes:
        """The content of a file on the node. Raises `CommandFailed` when it cannot be read."""
        return self.run("cat", path, within=within).raw

    def note(self, text: str) -> None:
        """Put a line about the node into the transcript."""
        self._told.tell(Entry.action(self.name, text))

    # --- being there ----------------------------------------------------------------------------

    def wait_for_ssh(self, within: float | None = None) -> None:
        """Wait until the node answers a command over SSH.

        Raises `WaitExpired` with the last lines of the console, or `NodePanicked`.
        """
        within = within or self._deadlines.ssh_ready
        deadline = Deadline.after(within)

        def answers() -> bool:
            self.raise_if_panicked()
            patience = max(1.0, min(self._deadlines.alive, deadline.remaining))
            self._connect(patience).run(("true",), within=patience)
            return True

        with spent.on(Activity.BOOT), self.timed("SSH answers", did=Did.SSH_ANSWERS):
            try:
                wait_until(f"{self.name} to answer over SSH", answers, within)
            except WaitExpired as expired:
                raise WaitExpired(
                    expired.awaited,
                    expired.within,
                    f"{expired.last}\n--- the last lines of its console ---\n"
                    f"{console.tail(self.machine.console)}",
                ) from None

    def disconnect(self) -> None:
        """Drop the SSH connection. The next command makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def lost(self) -> bool:
        """Whether the connection of the last command has died, and nobody has dropped it."""
        return self._connection is not None and not self._connection.alive

    def ask(self, *argv: str, within: float | None = None, stdin: bytes = b"") -> Result:
        """Run a command of the harness's own, which does not go into the transcript.

        Raises like `run`, but never `CommandFailed`.
        """
        within = within or self._deadlines.command
        with spent.on(Activity.FREEBSD):
            remote = self._connect()
            asking = Asking(self.name, argv, deadline=Deadline.after(within))
            with under_way(self._told.tell, asking):
                return remote.run(argv, within=within, stdin=stdin)

    def write_down(self, entry: Entry) -> None:
        """Put into the transcript what a workload on this node has to tell."""
        self._told.tell(entry)

    @contextlib.contextmanager
    def timed(
        self,
        text: str,
        kind: Kind = Kind.ACTION,
        *,
        did: Did | None = None,
        fault: str = "",
        effect: Effect | None = None,
    ) -> Iterator[None]:
        """Put into the transcript what the block does, once it has ended without an error."""
        clock = clocks.current()
        started, start = clock.utc(), clock.monotonic()
        with spent.on(Activity.FREEBSD):
            yield
        seconds = clock.monotonic() - start
        self._told.tell(
            Entry(started, self.name, kind, text, seconds, did=did, fault=fault, effect=effect)
        )

    def boot_time(self) -> str:
        """When the running kernel was booted (sysctl kern.boottime): it tells two boots apart.

        The microseconds go along, so that a clock that was set back cannot make two boots alike.
        """
        return self.ask("sysctl", "-n", "kern.boottime").check().stdout.strip()

    def reboot(self, within: float | None = None) -> None:
        """Reboot in an orderly way (shutdown -r now) and wait until SSH answers again.

        Raises `WaitExpired` when it does not go down, or does not come back.
        """
        before = self.boot_time()
        with spent.on(Activity.BOOT), self.timed("rebooted", did=Did.REBOOTED):
            self.run("shutdown", "-r", "now")
            wait_until(
                f"{self.name} to go down for its reboot",
                lambda: self._is_down(before),
                self._deadlines.shutdown,
            )
            self.wait_for_ssh(within)

    def _is_down(self, boot_time: str) -> bool:
        try:
            return self.boot_time() != boot_time
        except NodeUnreachable:
            return True

    # --- power and link -------------------------------------------------------------------------

    def power_on(self) -> None:
        """Give the machine power; returns while it boots."""
        POWER.heal_on(self)
        if SWITCHED_OFF in self.broken:
            self.broken.remove(SWITCHED_OFF)

    def power_cut(self) -> None:
        """Simulate a sudden power failure: the machine is off when this returns."""
        POWER.break_on(self)

    def reset(self) -> None:
        """Press the reset button."""
        self.disconnect()
        with self.timed("reset", did=Did.RESET):
            self.machine.reset()

    def shut_down(self) -> None:
        """Press the ACPI power button and wait until the machine has switched itself off."""
        SWITCHED_OFF.break_on(self)

    @contextlib.contextmanager
    def powered_off(self) -> Iterator[None]:
        """Cut the power for the length of the block; afterwards it boots until SSH answers."""
        with POWER.on(self):
            yield

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze the machine while the block runs; it wakes up as if no time had passed."""
        with PAUSE.on(self):
            yield

    @contextlib.contextmanager
    def link_unplugged(self) -> Iterator[None]:
        """Keep the cable out of the private NIC while the block runs."""
        with LINK.on(self):
            yield

    def panic(self) -> str:
        """Let the kernel panic (sysctl debug.kdb.panic=1), and return what its console says.

        Afterwards the kernel reboots by itself, or stands still where it is told to. Raises
        `WaitExpired` when there is no panic on the console within 30 s.
        """
        before = self._panics_after
        with self.timed("panic", did=Did.PANIC):
            # What is running dies with the kernel, so nobody waits for the command's end.
            with contextlib.suppress(NodeUnreachable, CommandTimedOut):
                self.ask("/bin/sh", "-c", "sysctl debug.kdb.panic=1 >/dev/null 2>&1 &", within=5)
            self.disconnect()
            with self._panic_expected():
                text = wait_until(
                    f"{self.name} to panic",
                    lambda: console.find_panic(self.machine.console, before),
                    30,
                )
        assert text is not None
        return text

    @contextlib.contextmanager
    def _panic_expected(self) -> Iterator[None]:
        """Let a panic in the block be nobody's failure."""
        self._may_panic = True
        try:
            yield
        finally:
            self._panics_after = console.size(self.machine.console)
            self._may_panic = False

    def reboot_without_shutdown(self) -> None:
        """`reboot -nq`: the kernel starts over at once; nothing is stopped, nothing is written.

        Returns when the kernel has said on the console that it does. Raises `WaitExpired` when it
        does not within 30 s.
        """
        before = console.size(self.machine.console)
        with self.timed("reboot -nq", did=Did.REBOOT_AT_ONCE):
            # The connection dies without a word, so nobody waits for the command's end.
            with contextlib.suppress(NodeUnreachable, CommandTimedOut):
                self.ask("/bin/sh", "-c", "reboot -nq >/dev/null 2>&1 &", within=5)
            self.disconnect()
            wait_until(
                f"{self.name} to reboot",
                lambda: REBOOTING in console.read(self.machine.console, before),
                30,
            )

    # --- the console ----------------------------------------------------------------------------

    def mark_console(self) -> None:
        """Let `raise_if_panicked` and the evidence look only at what the console says from now."""
        self._console_start = self._panics_after = console.size(self.machine.console)

    def console_text(self) -> str:
        """What the console said since `mark_console`."""
        return console.read(self.machine.console, self._console_start)

    def raise_if_panicked(self) -> None:
        """Raise `NodePanicked` if the kernel panicked since `mark_console`, but by `panic`."""
        text = console.find_panic(self.machine.console, self._panics_after)
        if text is not None and not self._may_panic:
            raise NodePanicked(f"the kernel panicked:\n{text}", node=self.name)

    # --- inside ---------------------------------------------------------------------------------

    def _no_answer(self, argv: Sequence[str], error: HarnessError) -> None:
        text = f"{' '.join(argv)}: {error.what}"
        self._told.tell(Entry.action(self.name, text, did=Did.NO_ANSWER))

    def _connect(self, within: float | None = None) -> Remote:
        if self._connection is not None and not self._connection.alive:
            self.disconnect()
        if self._connection is None:
            self._connection = self._connect_to(
                self.name,
                self.reached_at(),
                alive=self._deadlines.alive,
                within=within or self._deadlines.alive,
            )
            self._pinned = self._connection.host_key
        return self._connection
