"""One node: commands and files over SSH, and the power and link of the machine under it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from harness.cluster.healing import fault
from harness.config.settings import Deadlines
from harness.errors import CommandTimedOut, HarnessError, NodePanicked, NodeUnreachable, WaitExpired
from harness.lab import console
from harness.lab.base import Endpoint, Machine, Power
from harness.lab.ssh import Connect, Connection, Remote, Result
from harness.record.transcript import Entry, Transcript
from harness.waiting import clock as clocks
from harness.waiting import spent
from harness.waiting.spent import Activity
from harness.waiting.wait import Deadline, wait_until

REBOOTING = "Rebooting..."
"""The last thing that a kernel says before it starts over (sys/kern/kern_shutdown.c)."""

NO_POWER = "without power"
SWITCHED_OFF = "switched off by its power button"
"""Faults that last until the machine gets power."""


class Node:
    """A FreeBSD machine as a scenario sees it. Everything done to it goes into the transcript."""

    def __init__(
        self,
        machine: Machine,
        deadlines: Deadlines,
        transcript: Transcript,
        connect: Connect = Connection,
    ) -> None:
        """`connect` logs in to the machine's endpoint."""
        self.name = machine.name
        self.machine = machine
        self._deadlines = deadlines
        self._transcript = transcript
        self._connect_to = connect
        self._connection: Remote | None = None
        self._pinned: str | None = None
        self._console_start = 0
        self._panics_after = 0
        self._may_panic = False
        self.faults: list[str] = []
        """What is broken on it on purpose, right now."""

    def __repr__(self) -> str:
        return self.name

    def second_login(self, deadlines: Deadlines | None = None) -> Node:
        """The same machine over a connection of its own, for a thread beside the scenario's.

        `deadlines` are other ones than this login's.
        """
        login = Node(self.machine, deadlines or self._deadlines, self._transcript, self._connect_to)
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
            self._transcript.note(self.name, f"{' '.join(argv)}: {error.what}")
            self.raise_if_panicked()
            raise
        except HarnessError as error:
            self._transcript.note(self.name, f"{' '.join(argv)}: {error.what}")
            raise
        self._transcript.add(
            Entry(
                result.started,
                self.name,
                "command",
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
        self._transcript.note(self.name, f"wrote {path} ({len(content)} bytes, mode {mode})")

    def get(self, path: str, within: float | None = None) -> bytes:
        """The content of a file on the node. Raises `CommandFailed` when it cannot be read."""
        return self.run("cat", path, within=within).raw

    def note(self, text: str) -> None:
        """Put a line about the node into the transcript."""
        self._transcript.note(self.name, text)

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

        with spent.on(Activity.BOOT), self._timed("SSH answers"):
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
        with spent.on(Activity.FREEBSD):
            return self._connect().run(argv, within=within or self._deadlines.command, stdin=stdin)

    def write_down(self, entry: Entry) -> None:
        """Put into the transcript what a workload on this node has to tell."""
        self._transcript.add(entry)

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
        with spent.on(Activity.BOOT), self._timed("rebooted"):
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
        with self._timed("power on"):
            self.machine.power_on()
        self.faults[:] = [fault for fault in self.faults if fault not in (NO_POWER, SWITCHED_OFF)]

    def power_cut(self) -> None:
        """Simulate a sudden power failure: the machine is off when this returns."""
        self.disconnect()
        with self._timed("power cut"):
            self.machine.power_cut()
        self._broken(NO_POWER)

    def reset(self) -> None:
        """Press the reset button."""
        self.disconnect()
        with self._timed("reset"):
            self.machine.reset()

    def shut_down(self) -> None:
        """Press the ACPI power button and wait until the machine has switched itself off."""
        with self._timed("ACPI shutdown"):
            self.machine.press_power_button()
            wait_until(
                f"{self.name} to switch itself off",
                self.machine.power,
                self._deadlines.shutdown,
                accept=lambda power: power is Power.OFF,
            )
        self.disconnect()
        self._broken(SWITCHED_OFF)

    @contextlib.contextmanager
    def powered_off(self) -> Iterator[None]:
        """Cut the power for the length of the block; afterwards it boots until SSH answers."""

        def heal() -> None:
            if self.machine.power() is Power.OFF:
                self.power_on()
            self.wait_for_ssh()

        with fault(self, NO_POWER, self.power_cut, heal):
            yield

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze the machine while the block runs; it wakes up as if no time had passed."""

        def begin() -> None:
            with self._timed("paused"):
                self.machine.pause()

        def heal() -> None:
            with self._timed("resumed"):
                self.machine.resume()

        with fault(self, "paused", begin, heal):
            yield

    @contextlib.contextmanager
    def link_unplugged(self) -> Iterator[None]:
        """Keep the cable out of the private NIC while the block runs."""

        def begin() -> None:
            with self._timed("private link unplugged"):
                self.machine.unplug_link()

        def heal() -> None:
            with self._timed("private link plugged"):
                self.machine.plug_link()

        with fault(self, "private link unplugged", begin, heal):
            yield

    def panic(self) -> str:
        """Let the kernel panic (sysctl debug.kdb.panic=1), and return what its console says.

        Afterwards the kernel reboots by itself, or stands still where it is told to. Raises
        `WaitExpired` when there is no panic on the console within 30 s.
        """
        before = self._panics_after
        with self._timed("panic"):
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
        with self._timed("reboot -nq"):
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

    def _broken(self, what: str) -> None:
        """Note a fault that lasts; the one that is its block may have noted it already."""
        if what not in self.faults:
            self.faults.append(what)

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

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        clock = clocks.current()
        started, start = clock.utc(), clock.monotonic()
        with spent.on(Activity.FREEBSD):
            yield
        self._transcript.add(Entry(started, self.name, "action", what, clock.monotonic() - start))
