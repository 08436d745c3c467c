"""The keeper: it holds a lab between commands, and does what they ask of it.

It is the only process that ever touches the pair's hardware, so two commands cannot get in each
other's way: what changes something takes turns, and a look at the pair waits for nobody.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import HarnessError, LabError, SettingsError
from harness.lab.base import Lab
from harness.operate.cuts import Cuts
from harness.operate.kept import Kept
from harness.operate.look import Looker, now
from harness.operate.reach import Reached, SerialConsole, write_config
from harness.operate.views import PairView
from harness.waiting import clock, interrupt

MOST_CATCHING_UP = 600.0
"""Virtual seconds that pass at most between two commands, however long the host's clock says."""

_LOOK_AGAIN = 0.25
"""Seconds after which the keeper looks whether Ctrl-C has been pressed."""

_LAST_REQUESTS_SECONDS = 10.0
"""A look at two dead nodes takes less; `heal` may take longer, and then fails."""


class Keeper:
    """Serves requests for a pair while a block runs. Needs the claim on `kept`."""

    def __init__(
        self,
        kept: Kept,
        lab: Lab,
        pair: Pair,
        *,
        release: str,
        purpose: str = "skunk up",
        released_by: str = "skunk down",
        down: bool = True,
    ) -> None:
        """`purpose` and `released_by` tell others; `down`: whether `skunk down` may end it."""
        self.kept = kept
        self._lab = lab
        self._pair = pair
        self._release = release
        self._purpose = purpose
        self._released_by = released_by
        self._may_go_down = down
        self._hardware = {node.name: threading.Lock() for node in pair}
        self._writing = threading.Lock()
        self._changing = threading.Lock()
        self._cuts = Cuts(pair, self._hardware)
        self._looker = Looker(pair, self._hardware)
        self._busy: str | None = None
        self._reached: dict[str, Reached] = {}
        self._seen = time.monotonic()
        self._catching_up = threading.Lock()
        self._looking = threading.Lock()
        self._looked = 0.0
        self._seen_last: dict[str, Any] = {}
        self._under_way = 0
        self._idle = threading.Condition()
        self._server: _Server | None = None
        self.stopping = threading.Event()
        """Set when somebody wants the pair to go down."""

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._reach_all()
        self._server = _Server(str(self.kept.control), self._answer)
        self._seen = time.monotonic()
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self.kept.write_about(self._lab.mark, self._purpose, self._released_by)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cease to listen, and let what is under way come to its end, for some seconds."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        with clock.current().parked(), self._idle:
            self._idle.wait_for(lambda: self._under_way == 0, _LAST_REQUESTS_SECONDS)
        self._looker.close()

    def wait(self) -> None:
        """Serve until somebody wants the pair to go down."""
        with clock.current().parked():
            while not self.stopping.wait(_LOOK_AGAIN):
                interrupt.checkpoint()

    # --- requests -------------------------------------------------------------------------------

    def _answer(self, request: dict[str, Any]) -> Any:
        verb = request.pop("verb", None)
        verbs: dict[object, Callable[..., Any]] = {
            "tick": lambda: None,
            "status": self._status,
            "reach": self._reach,
            "console": self._console,
            "cut": self._cut,
            "heal": self._heal,
            "down": self._down,
        }
        if verb not in verbs:
            raise SettingsError(f"the keeper knows no verb {verb!r}")
        with self._counted():
            if verb == "status":
                return self._status()
            with self.in_the_pairs_time():
                return verbs[verb](**request)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._under_way += 1
        try:
            yield
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    @contextlib.contextmanager
    def in_the_pairs_time(self) -> Iterator[None]:
        """Let the calling thread use nodes; virtual time first catches up with the host's.

        A virtual clock stands still while nobody uses a node, and the person at the keyboard does
        not: after a minute's thought a minute has passed on the pair too.
        """
        current = clock.current()
        with current.workers(2) as workers:  # one more than until now
            try:
                if type(current) is not clock.Clock:
                    with self._catching_up:
                        passed, self._seen = time.monotonic() - self._seen, time.monotonic()
                    current.sleep(min(passed, MOST_CATCHING_UP))
                yield
            finally:
                workers.done()

    def _status(self) -> dict[str, Any]:
        """A look at both nodes that began after it was asked for; one is enough for all who wait.

        Who waits for another's look is not counted: virtual time has to pass meanwhile.
        """
        asked = time.monotonic()
        with self._looking:
            if self._looked < asked:
                begun = time.monotonic()
                with self.in_the_pairs_time():
                    self._seen_last = self._look()
                self._looked = begun
            return self._seen_last

    def _look(self) -> dict[str, Any]:
        start = clock.current().monotonic()
        nodes = self._looker.look()
        view = PairView(
            lab=self._lab.name,
            pair=self.kept.pair,
            mark=self._lab.mark,
            description=str(self._lab.describe()),
            release=self._release,
            at=now(),
            seconds=round(clock.current().monotonic() - start, 3),
            purpose=self._purpose,
            busy=self._busy,
            nodes=nodes,
        )
        return asdict(view)

    def _reach(self, node: str) -> dict[str, Any]:
        """Where one node is reached now; the other one may be dead and is not asked."""
        return self._reached_now(self._node(node)).as_dict()

    def _reached_now(self, node: Node) -> Reached:
        """Look, and let ssh_config have it. A node that gets power again may have another port."""
        with self._hardware[node.name]:
            found = Reached.of(node, self._lab.mark)
        with self._writing:
            if self._reached.get(node.name) != found:
                self._reached[node.name] = found
                write_config(self.kept, self._reached.values())
        return found

    def _reach_all(self) -> None:
        for node in self._pair.nodes:
            with contextlib.suppress(HarnessError):
                self._reached_now(node)

    def _console(self, node: str) -> dict[str, Any]:
        path = self._node(node).machine.console.absolute()
        return SerialConsole(node, path).as_dict()

    def _node(self, name: str) -> Node:
        for node in self._pair.nodes:
            if node.name == name:
                return node
        raise SettingsError(f"the pair has no node {name!r}")

    def _cut(self, what: str, node: str | None) -> None:
        nodes = self._pair.nodes if node is None else [self._node(node)]
        with self._change(f"cutting: {what}"):
            self._cuts.cut(what, nodes)

    def _heal(self) -> None:
        with self._change("healing"):
            self._cuts.heal()
        self._reach_all()

    def _down(self) -> None:
        if not self._may_go_down:
            raise LabError(f"{self.kept} belongs to a run of scenarios", advice=self._released_by)
        self.stopping.set()

    @contextlib.contextmanager
    def _change(self, what: str) -> Iterator[None]:
        if not self._changing.acquire(blocking=False):
            raise LabError(f"the pair is busy: {self._busy}", advice="wait for its end")
        self._busy = what
        try:
            yield
        finally:
            self._busy = None
            self._changing.release()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    """How many may ask at the same moment; others try again (`Kept.ask`)."""

    def __init__(self, path: str, answer: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(path, _Request)
        self.answer = answer


class _Request(socketserver.StreamRequestHandler):
    timeout = 10.0
    """Seconds for the request itself; whoever connects means to ask at once."""

    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        with contextlib.suppress(OSError):  # whoever asked has gone
            line = self.rfile.readline(1 << 16)
            if not line:
                return
            try:
                said: dict[str, Any] = {"answer": self.server.answer(json.loads(line))}
            except HarnessError as error:
                said = {"error": {"what": error.what, "node": error.node, "advice": error.advice}}
            except Exception as error:  # the answer is an error, and the pair stays up
                with contextlib.suppress(OSError):  # the disk with keeper.log is full
                    traceback.print_exc()
                what = f"the keeper failed: {type(error).__name__}: {error}"
                said = {"error": {"what": what, "node": None, "advice": "see keeper.log"}}
            self.wfile.write(json.dumps(said).encode() + b"\n")
