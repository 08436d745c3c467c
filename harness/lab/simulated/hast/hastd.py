"""hastd(8): the parent process, its control socket, its listeners and its workers (hastd.c, 13.2).

The parent does one thing at a time. What comes in meanwhile waits, also when it waits for a worker
that does not end. Signals, SIGCHLD among them, are blocked: it looks for them when something else
wakes it up, or after five seconds. So an idle hastd takes up to five seconds to obey SIGTERM and to
report a worker that has ended (seen on 13.2).

Deviation: a worker that tells of an event does not wait for the parent.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.lab.simulated.base.supervisor import Supervisors
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.engine.timeline import Event
from harness.lab.simulated.hast import conf as hast_conf
from harness.lab.simulated.hast.address import (
    AddressError,
    TcpAddress,
    UnixAddress,
    is_own,
    matches,
    resolve,
)
from harness.lab.simulated.hast.conf import Config, ConfigError, ResourceConfig
from harness.lab.simulated.hast.control import CONTROL, NEW_CONTROL, Reply, Row, row_of
from harness.lab.simulated.hast.reload import Reload
from harness.lab.simulated.hast.replication.decision import Hello
from harness.lab.simulated.hast.replication.primary import Primary
from harness.lab.simulated.hast.replication.secondary import Secondary
from harness.lab.simulated.hast.replication.wire import Greeting, Refusal, Welcome
from harness.lab.simulated.hast.replication.worker import (
    EX_OSERR,
    EX_TEMPFAIL,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGSTOP,
    SIGTERM,
    Parent,
    Resource,
    Worker,
    strerror,
)
from harness.lab.simulated.hast.text import visible
from harness.lab.simulated.kernel.files import STRERROR, Entry, FileError
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.network.tcp import Listener, Socket, Tcp
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.paths import entry_at

PROTOCOL_VERSION = 2
ACCEPT_TIMEOUT = 20.0
"""Seconds that the parent waits for the first message of a connection."""

SELECT_TIMEOUT = 5.0
"""Seconds after which it looks for signals when nothing else wakes it up (REPORT_INTERVAL)."""

SEEN_AT_ONCE = 0.6
"""How often the end of a worker is seen at once. Its connection's end wakes the parent up, which
is often too early to find the process ended (13.2: three of five)."""

EHAST_NOENTRY = 1
_LEVELS = {"info": "daemon.info", "warning": "daemon.warning", "error": "daemon.err"}


@dataclass
class RoleRequest:
    """hastctl role: the resources still to be changed."""

    role: str
    names: list[str]
    reply: Reply = field(default_factory=Reply)


class Hast(Part):
    """The HAST of one boot: the hastd that runs."""

    def __init__(self, guest: Guest) -> None:
        self.hastd: Hastd | None = None
        """None while there is none. It registers itself here."""
        guest.openers.append(self._mode)

    def _mode(self, device: str) -> str | None:
        """How hastd has a device open (13.2): a primary's for reading twice, a secondary's once."""
        if self.hastd is None:
            return None
        for each in self.hastd.resources.values():
            if each.config.localpath == f"/dev/{device}" and each.worker is not None:
                return {"primary": "r2w1e0", "secondary": "r1w1e0"}.get(each.role, "r0w0e0")
        return None


class Hastd(Parent):
    """The parent."""

    def __init__(
        self, guest: Guest, config: Config, path: str, *, foreground: bool, pid_file: str = ""
    ) -> None:
        """`path` is where hast.conf is, for SIGHUP."""
        self.guest = guest
        self.config = config
        self.path = path
        self.foreground = foreground
        self.pid_file = pid_file
        given = f" -P {pid_file}" if foreground and pid_file else ""
        self.title = f"/sbin/hastd -F{given}" if foreground else "/sbin/hastd"
        self.pid = guest.next_pid()
        self.alive = True
        self.echoed = ""
        """What the scanner of hast.conf has put into standard output, for the next line there."""
        self._bound: dict[str, TcpAddress | UnixAddress] = {}
        """What it listens on, by the address in hast.conf."""
        self._owned: frozenset[str] = frozenset()
        """Those sockets that this very process has bound."""
        self.is_up = False
        self.stopped = False
        self.resources = {each.name: Resource(each) for each in config.resources}
        self._jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._busy = False
        self._awake = False
        self._signals: list[int] = []
        self._ended: list[tuple[Worker, int]] = []
        self._woken_at = guest.world.now
        self._waiting: tuple[Worker, Callable[..., None], tuple[Any, ...]] | None = None
        self._accepting: tuple[Socket, str] | None = None
        self._accept_timer: Event | None = None
        self._hooks: dict[int, str] = {}
        guest.daemons[self.pid] = self

    @property
    def parent(self) -> int:
        """The daemon(8) that has started it in the foreground, or init."""
        return self.guest.part(Supervisors).parent_of(self)

    # --- logging --------------------------------------------------------------------------------

    def write_log(self, pid: int, level: str, text: str) -> None:
        """Write a line: on stderr with its level, for daemon(8), or to syslogd by itself."""
        if self.foreground:
            line = f"[{level.upper()}] {text}"
            if level == "info":
                line, self.echoed = self.echoed + line, ""
            self.guest.log("hastd", pid, "daemon.notice", line)
        else:
            self.guest.log("hastd", pid, _LEVELS[level], text)

    def log(self, level: str, text: str) -> None:
        """Log a line without a resource."""
        self.write_log(self.pid, level, text)

    def resource_log(self, resource: Resource, level: str, text: str) -> None:
        """Log a line about a resource."""
        self.write_log(self.pid, level, resource.prefix + text)

    # --- the main loop --------------------------------------------------------------------------

    def post(self, job: Callable[..., None], *arguments: Any) -> None:
        """Have something done when the parent has time."""
        self._jobs.append((job, arguments))
        self._wake()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self.guest.world.schedule(self.guest, 0.0, self._loop)

    def _loop(self) -> None:
        self._awake = False
        self._look_for_signals()
        while self._jobs and self._can_work:
            self._woken_at = self.guest.world.now
            job, arguments = self._jobs.pop(0)
            job(*arguments)
            self._look_for_signals()

    @property
    def _can_work(self) -> bool:
        return self.alive and not self._busy and not self.stopped

    def _look_for_signals(self) -> None:
        """What check_signals() does: ended workers, and signals from outside."""
        while self._can_work and (self._ended or self._signals):
            if self._ended:
                self._child_exit(*self._ended.pop(0))
            elif self._signals.pop(0) == SIGHUP:
                self._reload()
            else:
                self._terminate()

    def _wake_in_time(self) -> None:
        """Wake up when select(2) does by itself."""
        passed = self.guest.world.now - self._woken_at
        delay = SELECT_TIMEOUT - passed % SELECT_TIMEOUT
        self.guest.world.schedule(self.guest, delay, self._loop)

    def _release(self) -> None:
        """Go on with what came in meanwhile."""
        self._busy = False
        self._wake()

    def _wait_for(self, worker: Worker, then: Callable[..., None], *arguments: Any) -> None:
        """Do nothing until a worker has ended, then something."""
        self._busy = True
        self._waiting = (worker, then, arguments)

    def signal(self, number: int) -> None:
        """Receive a signal."""
        if not self.alive:
            return
        if number == SIGKILL:
            self.end()
        elif number in {SIGSTOP, 18, 21, 22}:
            self.stopped = True
        elif number == SIGCONT:
            self.stopped = False
            self._wake()
        elif number in {SIGTERM, SIGINT, SIGHUP}:
            self._signals.append(number)
            self._wake_in_time()
        elif number not in {16, 20, 23, 28, 29}:
            self.end()

    def _terminate(self) -> None:
        self.log("info", "Termination signal received, exiting.")
        for resource in self.resources.values():
            worker = resource.worker
            if worker is not None:
                self.log(
                    "info",
                    f"Terminating worker process (resource={resource.config.name}, "
                    f"role={resource.role}, pid={worker.pid}).",
                )
                worker.signal(SIGTERM)
        self._unbind(CONTROL)
        self.end()

    def end(self) -> None:
        """The process is gone, whatever ended it; its workers notice."""
        self.alive = False
        self.guest.daemons.pop(self.pid, None)
        running = self.guest.part(Hast)
        if running.hastd is self:
            running.hastd = None
        self._stop_listening()
        if self._accepting is not None:
            self._accepting[0].close()
        for resource in self.resources.values():
            if resource.half_open is not None:
                resource.half_open.close()
            if resource.worker is not None:
                resource.worker.later(0.001, self._orphan, resource.worker)
        self.guest.world.schedule(self.guest, 0.001, self.guest.part(Supervisors).reap)

    def _orphan(self, worker: Worker) -> None:
        """A worker reads the end of file from its control socket, unless a signal was faster."""
        if SIGTERM not in worker.pending:
            worker.log("error", f"Unable to receive control message: {STRERROR['ENOTCONN']}.")
            worker.signal(SIGTERM)

    # --- workers --------------------------------------------------------------------------------

    def worker_ended(self, worker: Worker, status: int) -> None:
        """A worker has ended; `status` is as a shell's, negative for a signal."""
        if self._waiting is not None and self._waiting[0] is worker:
            _, then, arguments = self._waiting
            self._waiting = None
            self.guest.world.schedule(self.guest, 0.0, self._waited, then, arguments)
            return
        self._ended.append((worker, status))
        if self.guest.rng.random() < SEEN_AT_ONCE:
            delay = self.guest.rng.uniform(0.002, 0.02)
            self.guest.world.schedule(self.guest, delay, self._loop)
        else:
            self._wake_in_time()

    def _waited(self, then: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if not self.alive:
            return
        if self.stopped:
            self._jobs.insert(0, (then, arguments))
            self._busy = False
            return
        self._busy = False
        then(*arguments)
        self._wake()

    def _child_exit(self, worker: Worker, status: int) -> None:
        resource = worker.resource
        if resource.worker is not worker:
            return
        self._log_exit(resource, worker, status)
        resource.worker = None
        if resource.role != "primary":
            return
        if status < 0 or status == EX_TEMPFAIL:
            self._busy = True
            self.guest.world.schedule(self.guest, 1.0, self._restart, resource)
        else:
            self.resource_log(resource, "info", "Changing resource role back to init.")
            resource.role = "init"

    def _restart(self, resource: Resource) -> None:
        if self.alive:
            self.resource_log(resource, "info", "Restarting worker process.")
            self._start_primary(resource)
            self._release()

    def _log_exit(self, resource: Resource, worker: Worker, status: int) -> None:
        if status < 0:
            text = f"Worker process killed (pid={worker.pid}, signal={-status})."
        elif status > 0:
            text = f"Worker process exited ungracefully (pid={worker.pid}, exitcode={status})."
        else:
            return
        self.resource_log(resource, "error", text)

    def _start_primary(self, resource: Resource) -> None:
        worker = Primary(self, resource)
        resource.worker = worker
        worker.begin()

    # --- hastctl(8) -----------------------------------------------------------------------------

    def ask_status(self, names: list[str]) -> Reply:
        """Ask about resources; the answer is there when its `done` is fired."""
        reply = Reply()
        self.post(self._status, names, reply)
        return reply

    def ask_role(self, role: str, names: list[str]) -> Reply:
        """Ask to change a role."""
        request = RoleRequest(role, names)
        self.post(self._set_roles, request)
        return request.reply

    def _names(self, names: list[str]) -> list[str]:
        return list(self.resources) if names[0] == "all" else names

    def _status(self, names: list[str], reply: Reply) -> None:
        names = self._names(names)
        for name in names[len(reply.rows) :]:
            resource = self.resources.get(name)
            worker = None if resource is None else resource.worker
            if worker is not None and worker.alive and worker.stopped:
                # It asks the worker and waits for the answer, without a limit.
                self._busy = True
                self.guest.world.schedule(self.guest, 0.05, self._status_again, names, reply)
                return
            reply.rows.append(
                Row(name, error=EHAST_NOENTRY) if resource is None else row_of(resource)
            )
        reply.done.fire()

    def _status_again(self, names: list[str], reply: Reply) -> None:
        self._busy = False
        if self.alive:
            self._jobs.insert(0, (self._status, (names, reply)))
            self._wake()

    def _set_roles(self, request: RoleRequest) -> None:
        request.names = self._names(request.names)
        self._set_next_role(request)

    def _set_next_role(self, request: RoleRequest) -> None:
        while request.names:
            name = request.names.pop(0)
            resource = self.resources.get(name)
            if resource is None:
                request.reply.rows.append(Row(name, error=EHAST_NOENTRY))
                continue
            request.reply.rows.append(Row(name, role=resource.role))
            if resource.role != request.role:
                self.change_role(resource, request.role, self._set_next_role, request)
                return
        request.reply.done.fire()

    def change_role(
        self, resource: Resource, role: str, then: Callable[..., None], *arguments: Any
    ) -> None:
        """Change a role and then do something. If there is a worker it has to end first."""
        self.resource_log(resource, "info", f"Role changed to {role}.")
        old, resource.role = resource.role, role
        worker, resource.worker = resource.worker, None
        if worker is not None and worker.alive:
            worker.signal(SIGTERM)
            self._wait_for(worker, self._role_changed, resource, old, then, arguments)
        else:
            self._role_changed(resource, old, then, arguments)

    def _role_changed(
        self, resource: Resource, old: str, then: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        if resource.role == "primary":
            self._start_primary(resource)
        self._execute_hook(resource, ["role", resource.config.name, old, resource.role], "")
        then(*arguments)

    # --- hooks ----------------------------------------------------------------------------------

    def run_hook(self, resource: Resource, event: str) -> None:
        """Run the program of `exec` for a worker's event."""
        self._execute_hook(resource, [event, resource.config.name], resource.prefix)

    def _execute_hook(self, resource: Resource, words: list[str], prefix: str) -> None:
        program = resource.config.exec
        if program:
            delay = self.guest.rng.uniform(0.001, 0.012)
            self.guest.world.schedule(
                self.guest, delay, self._spawn_hook, [program, *words], prefix
            )

    def _spawn_hook(self, words: list[str], prefix: str) -> None:
        """Each is a process of its own, so that a later one can be faster."""
        try:
            entry = entry_at(self.guest, words[0])
        except FileError:
            entry = None
        if entry is None or entry.kind != "file" or not entry.mode & 0o111:
            reason = STRERROR["ENOENT"] if entry is None else "Permission denied"
            pid = self.guest.next_pid()
            if self.alive:
                self.write_log(pid, "error", f"{prefix}Unable to execute {words[0]}: {reason}.")
            self._hook_exit(pid, 70, " ".join(words))
            return
        process = shell.spawn(self.guest, shlex.join(words))
        self._hooks[process.pid] = " ".join(words)
        process.on_end = self._hook_ended

    def _hook_ended(self, process: Process) -> None:
        assert process.status is not None
        self._hook_exit(process.pid, process.status, self._hooks.pop(process.pid, ""))

    def _hook_exit(self, pid: int, status: int, words: str) -> None:
        if self.alive and status:
            self.post(self._log_hook, pid, status, words)

    def _log_hook(self, pid: int, status: int, words: str) -> None:
        if status < 0:
            self.log("error", f"Hook was killed (pid={pid}, signal={-status}, cmd=[{words}]).")
        else:
            self.log(
                "error",
                f"Hook exited ungracefully (pid={pid}, exitcode={status}, cmd=[{words}]).",
            )

    # --- connections of a primary ---------------------------------------------------------------

    def open(self) -> None:
        """Listen for hastctl and for primaries, and say so."""
        if not self.alive:
            return
        if self.foreground and not self._began_to_listen():
            self.end()
            return
        self.is_up = True
        if self.pid_file:
            _write(self.guest, self.pid_file, str(self.pid))
        self.log("info", f"Started successfully, running protocol version {PROTOCOL_VERSION}.")
        for address in self.config.listen:
            self.log("info", f"Listening on address {address}.")

    def _began_to_listen(self) -> bool:
        try:
            failure = self.listen()
        except NotModelled as gap:
            self.guest.world.note_gap(self.guest.name, "hastd", str(gap))
            return False
        if failure is not None:
            self.log("error", failure)
            self.remove_pid_file()
        return failure is None

    def remove_pid_file(self) -> None:
        """pidfile_remove(3): what a failed start does, and no orderly end."""
        if self.pid_file:
            _remove(self.guest, self.pid_file)

    def has_control_at(self, path: str) -> bool:
        """Whether it waits for hastctl at this path."""
        return self._bound.get(CONTROL) == UnixAddress(path)

    def take_stranger(self) -> None:
        """Somebody who is not hastctl has connected to the control socket, and left."""
        reason = STRERROR["ENOTCONN"]
        self.post(self.log, "error", f"Unable to receive control header: {reason}.")

    def listen(self) -> str | None:
        """Begin to listen, for hastctl first; the error of the first address that cannot be.

        What was bound before that stays where it is a file: hastd just exits.
        """
        control = self.config.control
        try:
            self.listen_on(control, name=CONTROL)
        except AddressError as error:
            return f"Unable to listen on control address {control}: {error.reason}."
        for address in self.config.listen:
            try:
                self.listen_on(address)
            except AddressError as error:
                return f"Unable to listen on address {address}: {error.reason}."
        return None

    def listen_on(self, address: str, *, name: str = "") -> None:
        """Listen on an address of hast.conf. Raises `AddressError` and `NotModelled`."""
        where = resolve(self.guest, address)
        if isinstance(where, UnixAddress):
            _bind(self.guest, where.path, self.socket_id)
        elif name:
            raise NotModelled(f"control {address}: hastctl over TCP")
        elif not is_own(self.guest, where.ip):
            raise AddressError("EADDRNOTAVAIL")
        elif where in self._bound.values():
            raise AddressError("EADDRINUSE")
        else:
            self._listen_to_peers(where)
        self._bound[name or address] = where
        if self.foreground or self.is_up:
            self._owned = self._owned | {name or address}

    def _listen_to_peers(self, where: TcpAddress) -> None:
        if where.ip.version != 4:
            return  # nobody comes from there
        listeners = self.guest.part(Tcp).listeners
        listener = listeners.get(where.port)
        if listener is None:
            listeners[where.port] = Listener(where.port, self._accept, self._is_at)
        elif not self.accepts_from(listener):
            raise AddressError("EADDRINUSE")

    def stop_listening_on(self, address: str) -> None:
        """Close one of the sockets that it listens on."""
        where = self._bound.get(address)
        self._unbind(address)
        if isinstance(where, TcpAddress) and not any(
            isinstance(other, TcpAddress) and other.port == where.port and other.ip.version == 4
            for other in self._bound.values()
        ):
            self._close(where.port)

    def listens_on(self, address: str) -> bool:
        """Whether it listens on an address of hast.conf, by its text."""
        return address in self._bound

    @property
    def bound(self) -> list[TcpAddress | UnixAddress]:
        """What it listens on, in the order in which it has begun to."""
        return list(self._bound.values())

    def accepts_from(self, listener: Listener) -> bool:
        """Whether it is this process that takes a listener's connections."""
        return listener.accept == self._accept

    def _is_at(self, address: str) -> bool:
        return any(
            isinstance(each, TcpAddress)
            and each.ip.version == 4
            and (each.ip.is_unspecified or each.host == address)
            for each in self._bound.values()
        )

    def is_bound_to(self, where: TcpAddress) -> bool:
        """Whether a connection to this address of its own node comes to it."""
        return any(
            isinstance(each, TcpAddress)
            and each.port == where.port
            and each.ip.version == where.ip.version
            and (each.ip.is_unspecified or each.ip == where.ip)
            for each in self._bound.values()
        )

    def take_control(self, address: str) -> None:
        """Be reached by hastctl on what `NEW_CONTROL` names, and no longer where it was."""
        self._unbind(CONTROL)  # takes the file away also where the new one has the same path
        self._bound[CONTROL] = self._bound.pop(NEW_CONTROL)
        if NEW_CONTROL in self._owned:
            self._owned = self._owned - {NEW_CONTROL} | {CONTROL}
        self.config.control = address

    def _unbind(self, name: str) -> None:
        """Close a socket. Its file goes if the process that bound it is the one that closes it.

        A daemon is not the process that bound what it listens on from its start (13.2).
        """
        where = self._bound.pop(name, None)
        if isinstance(where, UnixAddress) and name in self._owned:
            _remove(self.guest, where.path)
        self._owned = self._owned - {name}

    @property
    def socket_id(self) -> str:
        """What tells its sockets in the file system from those of other processes."""
        return f"hastd {self.guest.boot}/{self.pid}"

    def _stop_listening(self) -> None:
        for where in self._bound.values():
            if isinstance(where, TcpAddress):
                self._close(where.port)
        self._bound.clear()

    def _close(self, port: int) -> None:
        listener = self.guest.part(Tcp).listeners.get(port)
        if listener is not None and self.accepts_from(listener):
            del self.guest.part(Tcp).listeners[port]

    def _accept(self, socket: Socket) -> None:
        self.post(self._accepted, socket)

    def _accepted(self, socket: Socket) -> None:
        assert socket.peer is not None
        remote = socket.peer.description
        self.log("info", f"Connection from {remote} to {socket.description}.")
        host = socket.peer.address
        if not any(self._is_remote(each, host) for each in self.resources.values()):
            self.log("error", f"Client {remote} isn't known.")
            socket.close()
            return
        self._busy = True
        self._accepting = (socket, remote)
        self._accept_timer = self.guest.world.schedule(
            self.guest, ACCEPT_TIMEOUT, self._no_header, "ETIMEDOUT"
        )
        socket.listen_to(self._header, self._no_header)

    def _is_remote(self, resource: Resource, host: str) -> bool:
        return matches(self.guest, resource.config.remoteaddr, host)

    def _no_header(self, error: str | None) -> None:
        if self._accepting is None or not self.alive:
            return
        (socket, remote), self._accepting = self._accepting, None
        self.guest.world.cancel(self._accept_timer)
        self.log("error", f"Unable to receive header from {remote}: {strerror(error)}.")
        socket.close()
        self._release()

    def _header(self, message: object) -> None:
        if self._accepting is None or not self.alive:
            return
        (socket, remote), self._accepting = self._accepting, None
        self.guest.world.cancel(self._accept_timer)
        socket.listen_to(_ignore, _ignore)
        self._busy = False
        self._jobs.insert(0, (self._handle, (socket, remote, message)))
        self._wake()

    def _handle(self, socket: Socket, remote: str, message: object) -> None:
        assert isinstance(message, Greeting | Hello)
        resource = self.resources.get(message.resource)
        if resource is None:
            self.log("error", f"No resource '{message.resource}' as requested by {remote}.")
            self._refuse(socket, Refusal("Resource not configured."))
        elif socket.peer is not None and not self._is_remote(resource, socket.peer.address):
            text = f"Client {remote} has no access to the resource."
            self.resource_log(resource, "error", text)
            self._refuse(socket, Refusal("No access to the resource."))
        elif resource.role != "secondary":
            self._not_secondary(resource, socket, remote)
        elif isinstance(message, Greeting):
            self._first_step(resource, socket)
        elif message.token != resource.token:
            text = f"Token received from {remote} doesn't match."
            self.resource_log(resource, "error", text)
            self._refuse(socket, Refusal("Token doesn't match."))
        else:
            self._second_step(resource, socket, message)

    def _refuse(self, socket: Socket, refusal: Refusal) -> None:
        socket.send(refusal)
        socket.close()

    def _not_secondary(self, resource: Resource, socket: Socket, remote: str) -> None:
        role = resource.role
        self.resource_log(
            resource,
            "warning",
            f"We act as {role} for the resource and not as secondary as requested by {remote}.",
        )
        text = f"Remote node acts as {role} for the resource and not as secondary."
        self._refuse(socket, Refusal(text, wait=role == "primary"))

    def _first_step(self, resource: Resource, socket: Socket) -> None:
        """A primary begins anew: whatever there was with it is over."""
        worker = resource.worker
        if worker is not None and worker.alive:
            worker.signal(SIGINT)
            self._wait_for(worker, self._interrupted, resource, worker, socket)
            return
        if resource.half_open is not None:
            resource.half_open.close()
            resource.half_open = None
        self._welcome(resource, socket)

    def _interrupted(self, resource: Resource, worker: Worker, socket: Socket) -> None:
        self._log_exit(resource, worker, -SIGINT)
        resource.worker = None
        self._welcome(resource, socket)

    def _welcome(self, resource: Resource, socket: Socket) -> None:
        resource.token = self.guest.rng.getrandbits(64)
        resource.half_open = socket
        socket.send(Welcome(resource.token))

    def _second_step(self, resource: Resource, socket: Socket, hello: Hello) -> None:
        incoming, resource.half_open = resource.half_open, None
        if incoming is None:
            socket.close()
            return
        worker = Secondary(self, resource, incoming, socket, hello)
        resource.worker = worker
        worker.begin()

    # --- reload ---------------------------------------------------------------------------------

    def add(self, config: ResourceConfig) -> Resource:
        """Take in a resource, as init."""
        resource = self.resources[config.name] = Resource(config)
        return resource

    def _reload(self) -> None:
        Reload(self).start()


def _ignore(_: object) -> None:
    """Nobody reads this connection yet."""


def _remove(guest: Guest, path: str) -> None:
    try:
        filesystem, inner = guest.tree.locate(path)
        filesystem.remove(inner)
    except FileError:
        pass


def _bind(guest: Guest, path: str, owner: str) -> None:
    """unlink(2) what is there, and bind a socket to the path. Raises `AddressError`."""
    _remove(guest, path)
    try:
        if guest.tree.entry(path) is not None:
            raise AddressError("EADDRINUSE")
        filesystem, inner = guest.tree.locate(path)
        filesystem.put(inner, Entry("sock", b"", 0o755, guest.wall_clock(), owner))
    except FileError as error:
        raise AddressError(error.errno) from None


def start(
    guest: Guest,
    *,
    foreground: bool,
    config: str = hast_conf.PATH,
    pid_file: str | None = None,
    errors: list[str] | None = None,
    echoed: list[str] | None = None,
) -> int:
    """Start hastd and return what its first process exits with: 0 when it runs.

    With `foreground` (`hastd -F`) it stays the child of whoever starts it, daemon(8) for instance,
    and every line goes through `guest.log` with its level in front; otherwise it logs to syslogd
    by itself, and what its workers say after dropping their privileges is lost (13.2). The lines
    of a failure before that go to `errors` if given, else to `guest.log`; `echoed` gets what the
    scanner of hast.conf copies to standard output then. `pid_file` is that of `-P`: with it hastd
    keeps one in the foreground too, and writes it when it listens.
    """
    lines: list[str] = []
    text: list[str] = []
    status = _start(guest, config, lines, text, foreground=foreground, pid_file=pid_file)
    if echoed is not None:
        echoed += text
    if errors is not None:
        errors += lines
    else:
        for line in [*lines, *map(visible, filter(None, text))]:
            guest.log("hastd", guest.next_pid(), "daemon.notice", line)
    return status


def _start(
    guest: Guest,
    path: str,
    lines: list[str],
    echoed: list[str],
    *,
    foreground: bool,
    pid_file: str | None,
) -> int:
    try:
        config = hast_conf.load(guest, path)
    except ConfigError as error:
        lines.append(f"[ERROR] {error.text}")
        echoed.append(error.echoed)
        return error.status
    kept = pid_file or ("" if foreground else config.pidfile)
    running = guest.part(Hast).hastd
    if running is not None and kept and kept == running.pid_file:
        echoed.append(config.echoed)
        lines.append(
            f"[ERROR] Another hastd is already running, pidfile: {kept}, pid: {running.pid}."
        )
        return EX_TEMPFAIL
    hastd = Hastd(guest, config, path, foreground=foreground, pid_file=kept)
    if running is not None:
        # It takes the control socket away from the one that runs, before it finds the port taken.
        failure = hastd.listen()
        hastd.remove_pid_file()
        hastd.end()
        if failure is None:
            raise NotModelled("a second hastd beside the one that runs")
        lines.append(f"[ERROR] {failure}")
        return EX_OSERR
    if foreground:
        # daemon(8) does not wait for it: for a moment there is no control socket yet (13.2).
        hastd.echoed = visible(config.echoed)
        guest.part(Hast).hastd = hastd
        guest.world.schedule(guest, guest.rng.uniform(0.05, 0.25), hastd.open)
        return 0
    failure = hastd.listen()
    if failure is not None:
        hastd.remove_pid_file()
        hastd.end()
        echoed.append(config.echoed)
        lines.append(f"[ERROR] {failure}")
        return EX_OSERR
    guest.part(Hast).hastd = hastd
    hastd.open()
    return 0


def _write(guest: Guest, path: str, text: str) -> None:
    with contextlib.suppress(FileError):
        guest.tree.write(path, text.encode(), mode=0o600)
