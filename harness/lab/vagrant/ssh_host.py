"""The host behind a `qemu+ssh` URI of libvirt: one command there, and a line to it that stays."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from harness.errors import LabError, SettingsError
from harness.lab.ssh import remote_command
from harness.lab.vagrant.libvirt import wrong_uri
from harness.lab.vagrant.programs import ENGLISH, kill_family, run
from harness.waiting.wait import scaled

_URI = re.compile(
    r"qemu\+ssh://(?:(?P<user>[^@:/?#]+)@)?(?P<host>[^-@:/?#\[\]][^@:/?#\[\]]*)(?::(?P<port>\d+))?"
    r"/system(?:\?(?P<query>.*))?"
)

_LIBVIRTS_OWN = {"mode", "netcat", "no_tty", "proxy", "socket"}
"""Parameters of the URI (libvirt's docs/uri.rst) that are about libvirt, once ssh is through.

Besides them `keyfile` is taken. Others, like `no_verify` or `command`, would hold for virsh and not
for Vagrant, which makes up an ssh command line of its own.
"""

_OPTIONS = (
    "BatchMode=yes",  # nobody is there to type a password
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",  # a broken line is noticed within 15 s
    "ServerAliveCountMax=3",
)

_LINE = (
    *("-S", "none", "-o", "ControlMaster=no"),
    *("-o", "ExitOnForwardFailure=yes"),
    *("-o", "LogLevel=INFO"),  # it says of a silent host that it is silent
)
"""A line and its port must end with its process: a connection that the user's configuration shares
would outlive it."""

LOG_IN = (
    "log in once by hand, with the same user, port and key: ssh has to know its host key, and to "
    "get in without a password (ssh-copy-id, ssh-agent); ~/.ssh/config counts"
)

LINE_SECONDS = 30.0
"""Within this a line is there, or is there again, unless the host or the network is down."""

_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
"""Seconds before a broken line is tried again; twice as many after each try that fails."""

_UP = "skunk: the line is up"
"""Said over there when the login is done. What a login shell prints comes before it."""


def is_over_ssh(uri: str) -> bool:
    """Whether libvirt is on another host, reached by the ssh program."""
    return uri.startswith("qemu+ssh:")


@dataclass(frozen=True)
class SshHost:
    """A host as ssh(1) is told of it; what is None is up to the user's ssh_config(5)."""

    host: str
    user: str | None = None
    port: int | None = None
    key: Path | None = None

    @classmethod
    def of(cls, uri: str) -> SshHost:
        """The host of a URI.

        Raises `SettingsError` for one that libvirt, Vagrant and the harness would not all
        understand in the same way.
        """
        found = _URI.fullmatch(uri)
        if found is None:
            raise wrong_uri(uri)
        query = urllib.parse.parse_qs(found["query"] or "", keep_blank_values=True)
        for parameter in query.keys() - _LIBVIRTS_OWN - {"keyfile"}:
            raise SettingsError(
                f"box.libvirt_uri has the parameter {parameter}, which Vagrant does not know",
                advice="say it of this host in ~/.ssh/config, which every ssh reads",
            )
        key = Path(query["keyfile"][-1]) if "keyfile" in query else None
        if key is not None and not key.is_absolute():
            raise SettingsError(
                f"box.libvirt_uri has the keyfile {key}, which libvirt looks for in one folder and "
                "Vagrant in another",
                advice="give its whole path, from / on",
            )
        return cls(
            host=found["host"],
            user=urllib.parse.unquote(found["user"]) if found["user"] else None,
            port=int(found["port"]) if found["port"] else None,
            key=key,
        )

    def __str__(self) -> str:
        return self.host

    def command(self, script: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """The command line of ssh(1) for a script of sh(1) there, which has `arguments` as $1..."""
        words = ["ssh", "-T"]
        for option in _OPTIONS:
            words += ["-o", option]
        if self.user is not None:
            words += ["-l", self.user]
        if self.port is not None:
            words += ["-p", str(self.port)]
        if self.key is not None:
            words += ["-i", str(self.key)]
        there = remote_command(["/bin/sh", "-c", script, "sh", *arguments])
        return [*words, *options, "--", self.host, there]

    def run(
        self,
        script: str,
        *arguments: str,
        within: float,
        node: str | None = None,
        advice: str | None = None,
    ) -> str:
        """Run a script there to its end and return what it prints. Raises `LabError`."""
        command = self.command(script, *arguments, options=("-o", "LogLevel=ERROR"))
        return run(command, within=within, node=node, advice=advice)


class Line:
    """An ssh to a host that stays, and is made anew when it breaks, until `close`.

    It also ends when this process does, however that ends: what runs over there reads a pipe whose
    other end only this process has.
    """

    def __init__(
        self,
        host: SshHost,
        purpose: str,
        command: Callable[[], list[str]],
        *,
        log: Path,
        output: Path | None = None,
    ) -> None:
        """Begin to connect. `command` gives the command line, by `forward` or `follow`, each time.

        What comes is added to `output`, and why the line broke to `log`.
        """
        self._host = host
        self._purpose = purpose
        self._command = command
        self._log = log
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = _PAUSE
        self._up = threading.Event()
        self._closed = threading.Event()
        self._changing = threading.Lock()
        self._broke = "it has not answered yet"
        self._thread = threading.Thread(target=self._keep, name=purpose, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return once the line is there. Raises `LabError` when it does not come (again) soon."""
        within = scaled(LINE_SECONDS)
        if not self._up.wait(within):
            raise LabError(
                f"no ssh to {self._host} for {self._purpose} for {within:.0f} s: {self._broke}",
                advice="see whether that host, and the network on the way to it, are up",
            )

    def close(self) -> None:
        """End it. Safe to repeat."""
        with self._changing:
            self._closed.set()
            if self._process is not None:
                _end(self._process)
        self._thread.join(scaled(LINE_SECONDS))

    def _keep(self) -> None:
        while not self._closed.is_set():
            with tempfile.TemporaryFile() as errors:
                try:
                    self._once(errors)
                except OSError as error:  # no ssh any more, or the disk is full
                    errors.write(str(error).encode())
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").split("\n")
            why = next((line for line in reversed(said) if line.strip()), "it ended").strip()
            if why != self._broke and not self._closed.is_set():
                self._note(why)
            self._broke = why
            self._closed.wait(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _once(self, errors: IO[bytes]) -> None:
        with self._changing:
            if self._closed.is_set():
                return
            # A session of its own: the terminal's Ctrl-C reaches the harness, which then ends it.
            self._process = process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | ENGLISH,
                start_new_session=True,
            )
        with process:
            try:
                assert isinstance(process.stdout, io.BufferedReader)
                for line in process.stdout:
                    if line.decode("utf-8", "replace").rstrip() == _UP:
                        self._pause, self._broke = _PAUSE, ""
                        self._up.set()
                        self._receive(process.stdout)
            finally:
                self._up.clear()
                _end(process)

    def _receive(self, stream: io.BufferedReader) -> None:
        if self._output is None:
            stream.read()  # nothing comes but the end
            return
        with self._output.open("ab", buffering=0) as output:
            while chunk := stream.read1():
                output.write(chunk)

    def _note(self, why: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S} UTC: ssh for {self._purpose} broke: {why}\n")


def forward(host: SshHost, port: int, guest: str, guest_port: int) -> list[str]:
    """The command of a line by which `port` on this host's loopback leads to a guest over there.

    cat(1) has nothing to say, but must have where to say it: the end of its output is the line's.
    """
    return host.command(
        f"echo {shlex.quote(_UP)}; exec cat",
        options=(*_LINE, "-L", f"127.0.0.1:{port}:{guest}:{guest_port}"),
    )


def follow(host: SshHost, path: str, after: int) -> list[str]:
    """The command of a line that brings a file over there, all but its first `after` bytes.

    tail(1) goes on with what is added, and ends at the end of its input, which it does not read.
    """
    return host.command(
        "exec 3<&0; { cat <&3; kill $$; } >/dev/null 2>&1 & "
        f'echo {shlex.quote(_UP)}; exec tail -c "+$2" -F "$1"',
        path,
        str(after + 1),
        options=(*_LINE, "-o", "ClearAllForwardings=yes"),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        kill_family(process)
