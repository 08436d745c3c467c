"""A small real SSH server on loopback and a wire to it that can be frozen or cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from harness.lab.base import Endpoint
from harness.lab.keys import KeyPair


class _Server(paramiko.ServerInterface):
    def __init__(
        self, allowed: str, shell: tuple[str, ...], commands: list[subprocess.Popen[bytes]]
    ) -> None:
        self._allowed = allowed
        self._shell = shell
        self._commands = commands

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if key.get_base64() != self._allowed:
            return paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._serve, args=(channel, command), daemon=True).start()
        return True

    def _serve(self, channel: paramiko.Channel, command: bytes) -> None:
        stdin = channel.makefile("rb").read()
        pipe = subprocess.PIPE
        running = subprocess.Popen([*self._shell, command], stdin=pipe, stdout=pipe, stderr=pipe)
        self._commands.append(running)
        output, errors = running.communicate(stdin)
        with contextlib.suppress(OSError):
            channel.sendall(output)
            channel.sendall_stderr(errors)
            if running.returncode >= 0:
                channel.send_exit_status(running.returncode)
            channel.close()


@dataclass
class Wire:
    """A TCP relay between the harness and the server. Frozen, it loses all that it is given."""

    target: tuple[str, int]
    connections: int = 0
    frozen: threading.Event = field(default_factory=threading.Event)
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(self.target)
            self._pairs.append((near, far))
            threading.Thread(target=self._relay, args=(near, far), daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    try:
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if data and not self.frozen.is_set():
                            key.data.sendall(data)
                    except OSError:
                        data = b""
                    if not data:
                        self.cut()
                        return


@dataclass
class Sshd:
    """The running server as a lab would describe it."""

    endpoint: Endpoint
    wire: Wire


@contextlib.contextmanager
def running_sshd(folder: Path, shell: tuple[str, ...] = ("/bin/sh", "-c")) -> Iterator[Sshd]:
    """Serve commands through `shell`, which plays the user's login shell.

    What a client has given up ends with the server.
    """
    client, host = KeyPair.generate("client"), KeyPair.generate("host")
    client_key, host_key = folder / "client", folder / "host"
    client.write_private(client_key)
    host.write_private(host_key)
    listener = socket.create_server(("127.0.0.1", 0))
    server_key = paramiko.Ed25519Key.from_private_key_file(str(host_key))
    commands: list[subprocess.Popen[bytes]] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(server_key)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=_Server(client.public.split()[1], shell, commands))

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    wire = Wire(listener.getsockname())
    try:
        yield Sshd(Endpoint("127.0.0.1", wire.port, "root", client_key, host.public), wire)
    finally:
        wire.close()
        # Wakes the thread in accept(2). Left there, it would take up another socket's connections
        # as soon as that gets the same file descriptor.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        for command in commands:
            command.kill()
