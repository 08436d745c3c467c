"""The SSH server of a simulated node: the lab's key, on loopback, and a command line of the model.

It is paramiko's server. Nothing that a client sends is ever run by the host: a command goes to the
model's own shell (`harness.lab.simulated.shell.interpreter`), SFTP sees the model's own files
(`harness.lab.simulated.sftp`), and everything else (a terminal, another subsystem, forwarding of
ports, agents or X11) is refused, which is what paramiko's `ServerInterface` does unless told
otherwise.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import signal
import socket
import threading

import paramiko

from harness.errors import PortInUse
from harness.lab.keys import KeyPair
from harness.lab.simulated.clock import CallKey, VirtualClock
from harness.lab.simulated.kernel.guest import Guest, World
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.sftp import Files, Subsystem
from harness.lab.simulated.shell import interpreter as shell

LOOPBACK = "127.0.0.1"

_MOST_STDIN = 256 << 20
"""Bytes that a command may be sent; a client that sends more is cut off."""

_STRANGERS_PATIENCE = 3600.0
"""Virtual seconds after which a command that nobody in the harness waits for is killed."""

_MOST_CONNECTIONS = 64
_ACCEPT_SECONDS = 0.5
_LOGIN_SECONDS = 20.0
_GRANTED_SECONDS = 1.0
"""How long an answer waits for the word that the command was accepted, which some clients do not
want."""


class Sshd:
    """The SSH server of one node. It listens while the node's sshd(8) is up, on one fixed port."""

    def __init__(
        self, name: str, clock: VirtualClock, client: KeyPair, host: KeyPair, port: int | None
    ) -> None:
        """Take a port (any free one for None). Raises `PortInUse` when a given one is taken."""
        self.name = name
        self.clock = clock
        self.client = client
        self._host_key = paramiko.Ed25519Key.from_private_key(io.StringIO(host.private.decode()))
        # Bound and never listening: the port stays this node's while the node is down.
        self._reservation = _bound_socket(name, port or 0)
        self.port: int = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self._transports: set[paramiko.Transport] = set()
        self.world: World | None = None

    @property
    def guest(self) -> Guest:
        """The node as it is now."""
        assert self.world is not None
        return self.world.guests[self.name]

    def set_up(self, *, up: bool) -> None:
        """Begin to listen, or cease and drop every connection."""
        self.drop()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        if up:
            listener = _bound_socket(self.name, self.port)
            listener.listen(32)
            listener.settimeout(_ACCEPT_SECONDS)
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def drop(self) -> None:
        """Cut all connections, without a word."""
        with self.clock.condition:
            transports, self._transports = self._transports, set()
        for transport in transports:
            cut(transport)

    def close(self) -> None:
        """Stop for good and give the port back."""
        self.set_up(up=False)
        self._reservation.close()

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._transports = {each for each in self._transports if each.is_active()}
            if len(self._transports) >= _MOST_CONNECTIONS or not self.answers():
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = _Transport(sock)
            transport.auth_timeout = _LOGIN_SECONDS
            transport.add_server_key(self._host_key)
            transport.set_subsystem_handler("sftp", Subsystem, sftp_si=Files, sshd=self)
            self._transports.add(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                # With an event it does not wait: the next client can come in at once.
                transport.start_server(event=threading.Event(), server=_Login(self, transport))

    def answers(self) -> bool:
        """Whether the node would answer now: it is up and not frozen."""
        guest = self.guest
        return guest.sshd_up and guest.running and not guest.frozen


class _Transport(paramiko.Transport):
    """Knows when its client has been told that a request was granted.

    paramiko says so after `check_channel_exec_request` has returned. A command that ended before
    would close its channel first, and the client would take the request for refused.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._granting: list[threading.Event] = []

    def granting(self) -> threading.Event:
        """Of the request that is being looked at: set when its client has the answer."""
        event = threading.Event()
        self._granting.append(event)
        return event

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc] # not in the stubs
        if threading.current_thread() is self:  # the thread that reads and grants requests
            while self._granting:
                self._granting.pop().set()


class _Login(paramiko.ServerInterface):
    """One connection: what it may do."""

    def __init__(self, sshd: Sshd, transport: _Transport) -> None:
        self._sshd = sshd
        self._transport = transport

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's interface
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = self._sshd.client.public.split()[1]
        if username == "root" and hmac.compare_digest(key.get_base64(), known):
            return int(paramiko.common.AUTH_SUCCESSFUL)
        return int(paramiko.common.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - as above
        if not self._sshd.answers():
            # A frozen machine says nothing at all; here the client learns it at once.
            cut(self._transport)
            return int(paramiko.common.OPEN_FAILED_CONNECT_FAILED)
        if kind != "session":
            return int(paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)
        return int(paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        clock = self._sshd.clock
        try:
            key: CallKey = (self._transport.getpeername()[1], channel.remote_chanid)
        except OSError:
            return False
        with clock.condition:
            if not self._sshd.answers():
                return False
            process = Process(self._sshd.guest, command.decode("utf-8", "surrogateescape"))
            process.start(shell.run_line(process, process.command))
            clock.calls[key] = process
            clock.condition.notify_all()
        arguments = (channel, key, process, self._transport.granting())
        threading.Thread(target=self._serve, args=arguments, daemon=True).start()
        return True

    def _serve(
        self, channel: paramiko.Channel, key: CallKey, process: Process, granted: threading.Event
    ) -> None:
        clock = self._sshd.clock
        granted.wait(_GRANTED_SECONDS)
        try:
            if clock.is_claimed(key):
                self._feed(channel, process)
            else:
                # Somebody at a terminal: their standard input does not end with the command's.
                threading.Thread(target=self._feed, args=(channel, process), daemon=True).start()
                self._live_through(channel, process)
            with clock.condition:
                while process.status is None:
                    if channel.closed:
                        return
                    clock.condition.wait(_ACCEPT_SECONDS)
            channel.sendall(bytes(process.stdout))
            channel.sendall_stderr(bytes(process.stderr))
            channel.shutdown_write()
            if process.status >= 0:
                channel.send_exit_status(process.status)
        except (OSError, EOFError, paramiko.SSHException):
            return  # the client is gone; its command goes on, as on a real node
        finally:
            clock.forget(key)
            with contextlib.suppress(OSError, EOFError):
                channel.close()

    def _feed(self, channel: paramiko.Channel, process: Process) -> None:
        """Give a command its standard input, once all of it is here."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            stdin = channel.makefile("rb").read(_MOST_STDIN + 1)
            if len(stdin) > _MOST_STDIN:
                channel.close()
                return
            with self._sshd.clock.condition:
                process.feed(stdin)
                self._sshd.clock.condition.notify_all()

    def _live_through(self, channel: paramiko.Channel, process: Process) -> None:
        """Let the virtual time pass that a stranger's command takes, for some time at most.

        None passes while it waits for standard input: a person is typing.
        """
        clock = self._sshd.clock
        until = clock.monotonic() + _STRANGERS_PATIENCE
        with clock.condition:
            while process.status is None and not channel.closed:
                if process.waits_for_stdin:
                    clock.condition.wait(_ACCEPT_SECONDS)
                elif not clock.wait(
                    lambda: process.status is not None or process.waits_for_stdin,
                    until - clock.monotonic(),
                    counted=False,
                ):
                    process.signal(signal.SIGKILL)


def cut(transport: paramiko.Transport) -> None:
    """Cut a connection under its transport, whose own thread then ends by itself.

    `Transport.close` would wait for that thread, which may wait for the lock that we hold.
    """
    with contextlib.suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)


def _bound_socket(name: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError as error:
        sock.close()
        raise PortInUse(
            f"port {port} on {LOOPBACK} is taken: {error.strerror}",
            node=name,
            advice=f"free it, or set nodes.{name}.ssh_port in lab.yaml to another port or null",
        ) from None
    return sock
