"""One run: a lab, its two nodes, the known states that scenarios start from, and the evidence.

A known state is a snapshot of the running pair. It is made once, when the first scenario wants it,
and brought back for each later one: restoring takes a second or two, booting half a minute.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.cluster.invariants import Holds, holding
from harness.cluster.known_bugs import Watch
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.cluster.provision import configure, provision
from harness.config.settings import NODES, HastSettings, Settings
from harness.config.software import ReplacedProgram, system
from harness.errors import HarnessError, KnownBugMet, LabLost
from harness.lab.base import Gap, Lab
from harness.lab.ssh import Connect, Connection
from harness.record.entry import PROVISIONED, Did, Entry
from harness.record.marked import prefix
from harness.record.sinks import Reached, Replaced, Sink, Sinks, Stage
from harness.record.transcript import Transcript
from harness.run import known_states
from harness.run.evidence import Evidence
from harness.run.known_states import KnownState
from harness.waiting import clock, interrupt, spent, wait
from harness.waiting.parallel import on_each
from harness.waiting.spent import Activity


class Session:
    """The pair for the length of a run. A context manager: leaving it stops everything."""

    def __init__(
        self,
        settings: Settings,
        lab: Lab,
        *,
        told: Sink,
        results: Path,
        part: str | None = None,
        connect: Connect = Connection,
    ) -> None:
        """Describe the run; the lab is started on entering.

        `told` is told what happens, and evidence goes into the folder `results`; `part` is
        the name of the pair where others do the same at the same time.
        `connect` logs in to a node.
        """
        self.settings = settings
        self.lab = lab
        self.releases: dict[str, str] = {}
        """What `uname -rm` prints on each node, once they are up."""
        self.watch = Watch()
        self.boot_seconds = 0.0
        self.restore_seconds = 0.0
        self._mark = prefix(lab.mark) + (f"{part}: " if part else "")
        self._connect = connect
        self._transcript = Transcript(lab.mark)
        self._told = Sinks(self._transcript, told)
        self._told_before: wait.Told = wait.nobody
        self.evidence = Evidence(results, self._transcript, part)
        self._nodes: tuple[Node, Node] | None = None
        self._pair: Pair | None = None
        self._clock_before = clock.current()
        self._interrupts = contextlib.ExitStack()
        self._snapshots: set[str] = set()
        self._state: str | None = None
        self.handed_out = False
        """Whether a scenario has the pair, or had it and `used` has not been called."""
        self.lost: LabLost | None = None
        """Set when there is no pair any more: no further scenario can run."""
        self._asked_for = False
        self._primary: str | None = None
        """The node that was primary when a scenario got the pair."""
        self._gaps_before: frozenset[Gap] = frozenset()

    def __enter__(self) -> Self:
        """Start the lab and provision both nodes."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(interrupt.at_checkpoints())
            self._start()
            self._interrupts = stack.pop_all()
        return self

    def _start(self) -> None:
        lab_folder = self.evidence.lab_folder
        self._transcript.open(lab_folder)
        self.evidence.raise_if_lost()
        start = self.lab.clock.monotonic()
        with spent.on(Activity.BOOT):
            self.lab.__enter__()
        self._clock_before = clock.current()
        clock.use(self.lab.clock)
        self._told_before = wait.tell(self._told.tell)
        try:
            with spent.on(Activity.BOOT):
                self._boot(start)
            self.evidence.describe(self.lab.describe(), self.releases, self._replaced)
            self.evidence.raise_if_lost()
        except BaseException:
            with interrupt.shielded():
                with contextlib.suppress(Exception):
                    self._keep_consoles(lab_folder)
                self.lab.stop()
            self._leave()
            raise
        finally:
            self._transcript.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the lab, whatever happened."""
        with self._interrupts, interrupt.shielded():
            try:
                if self._pair is not None:
                    with contextlib.suppress(Exception):  # the connection dies with its machine
                        on_each(self._pair.nodes, Node.disconnect)
                with self.evidence.writing():
                    self.lab.leave_notes(self.evidence.notes_folder)
            finally:
                try:
                    self.lab.__exit__(kind, error, traceback)
                finally:
                    self._leave()

    @property
    def release(self) -> str:
        """What `uname -rm` prints on skunk1; a mixed pair has another one on skunk2."""
        return self.releases.get(NODES[0], "unknown")

    @property
    def system(self) -> str:
        """The release, or both, and the programs that were replaced, in a few words."""
        return system(self.release, self.releases, self._replaced)

    @property
    def _replaced(self) -> tuple[ReplacedProgram, ...]:
        return tuple(each.about for each in self.lab.replacements)

    @property
    def pair(self) -> Pair:
        """The pair as it is now, whatever state it is in."""
        assert self._pair is not None, "the session has not been entered"
        return self._pair

    def provisioned(self, hast: HastSettings | None = None) -> Pair:
        """The pair with both nodes up and provisioned, and HAST not yet created.

        `hast` is another hast.conf than that of the settings.
        """
        return self.in_state(known_states.PROVISIONED, hast)

    def set_up(self, hast: HastSettings | None = None) -> Pair:
        """The pair as claim 1 leaves it: the pool on skunk1, skunk2 in sync.

        `hast` is another hast.conf than that of the settings. Raises `KnownBugMet` where FreeBSD
        has a bug that lets no pair be set up, and at once when it has been met before.
        """
        return self.in_state(known_states.SET_UP, hast)

    def in_state(self, state: KnownState, hast: HastSettings | None = None) -> Pair:
        """The pair in a known state, with the hast.conf of the settings or another one.

        Made from the state that it rests on, and saved; brought back where it has been made before.
        Raises like `set_up`, and whatever `state.make` raises.
        """
        self._asked_for = True
        self._primary = state.primary
        tag = self._tag_of(state, hast)
        if state.rests_on is None:
            self.handed_out = True
            self._bring(tag)
            self._take_hast(hast)
            if self.pair.settings.hast != self.settings.hast:
                configure(self.pair.nodes, self.pair.settings)
        elif tag in self._snapshots and self._bring(tag):
            self.handed_out = True
            self._take_hast(hast)
        elif state.replicates and (met := self.watch.met_in_set_up(state.primary)) is not None:
            raise KnownBugMet(
                f"{self.watch.named(met)}: met before in this run", met.number, node=state.primary
            )
        else:
            state.make(self.in_state(known_states.find(state.rests_on), hast))
            self._primary = state.primary
            self._save(tag)
            self._mark_consoles()
        return self.pair

    def begin(self) -> None:
        """Note that a scenario begins."""
        self._asked_for = False
        self._gaps_before = frozenset(self.lab.gaps())

    def gaps_met(self) -> tuple[Gap, ...]:
        """What the lab lacks of all that the scenario rests on: its own doing and its pair's."""
        met = self.lab.gaps()
        return met if self._asked_for else tuple(g for g in met if g not in self._gaps_before)

    def holding(self, lifted: Collection[Holds]) -> AbstractContextManager[None]:
        """Hold every invariant but the lifted ones while the block runs (`holding`)."""
        return holding(self.pair, self._told, lifted, self._primary)

    def used(self) -> None:
        """Note that a scenario has had the pair, so the next one needs it brought back."""
        self._state = None
        self.handed_out = False

    def restore(self, tag: str) -> None:
        """Bring the pair back to a saved state, with SSH up and the host's time on both clocks."""
        start = self.lab.clock.monotonic()
        on_each(self.pair.nodes, Node.disconnect)
        self.lab.restore(tag)
        self.pair.wait_for_ssh()
        self.restore_seconds = self.lab.clock.monotonic() - start
        self.pair.set_clocks()

    def _boot(self, start: float) -> None:
        """Wait for both machines, which were powered on at `start`, and provision them."""
        self._say(Reached.BOOTING, f"booting skunk1 and skunk2: {self.lab.describe()}")
        skunk1, skunk2 = (
            Node(self.lab.machines[name], self.settings, self._told, self._connect)
            for name in NODES
        )
        self._nodes = skunk1, skunk2
        self._pair = Pair(skunk1, skunk2, self.settings, self.watch)
        self._pair.wait_for_ssh()
        self.boot_seconds = self.lab.clock.monotonic() - start
        self._say(Reached.ANSWERS, f"both answer over SSH after {self.boot_seconds:.1f} s")
        self.releases = self._pair.releases()
        self.watch.know(self.releases, [each.program for each in self._replaced])
        start = self.lab.clock.monotonic()
        provision(self._pair.nodes, self.settings, self.lab.replacements)
        self._save(PROVISIONED)
        took = self.lab.clock.monotonic() - start
        self._say(Reached.PROVISIONED, f"provisioned in {took:.1f} s: FreeBSD {self.system}")

    def _say(self, reached: Reached, text: str) -> None:
        self._told.tell(Stage(reached, self._mark + text))

    def _replace(self, why: HarnessError) -> None:
        """Cut the power of a pair that cannot be brought back, and boot another one."""
        text = f"{self._mark}the pair cannot be brought back, and is replaced: {why}"
        self._told.tell(Replaced(why.what, text))
        on_each(self.pair.nodes, Node.disconnect)
        self._snapshots.clear()
        try:
            self.lab.stop()
            start = self.lab.clock.monotonic()
            self.lab.start()
            self._boot(start)
        except (HarnessError, OSError) as error:
            self.lost = LabLost(
                f"the pair cannot be brought back ({why.what}), and no other can be started: "
                f"{getattr(error, 'what', error)}",
                advice=getattr(error, "advice", None),
            )
            raise self.lost from error

    def _take_hast(self, hast: HastSettings | None) -> None:
        settings = self.settings if hast is None else self.settings.with_hast(hast)
        assert self._nodes is not None
        self._pair = Pair(*self._nodes, settings, self.watch)

    def _tag_of(self, state: KnownState, hast: HastSettings | None) -> str:
        """The name of the snapshot of a state with this hast.conf: what differs from the settings.

        Only with characters that every hypervisor takes in the name of a snapshot. What is made
        before there is a hast.conf is the same for all of them.
        """
        if hast is None or state.rests_on is None:
            return state.name
        usual = self.settings.hast.model_dump()
        different = [
            re.sub(r"[^A-Za-z0-9_-]", "-", f"{key}-{value}")
            for key, value in hast.model_dump().items()
            if value != usual[key]
        ]
        return ".".join([state.name, *different])

    def _bring(self, tag: str) -> bool:
        """Bring a known state back; False when the pair had to be replaced and has it no more."""
        if self.lost is not None:
            raise self.lost
        with spent.on(Activity.BOOT):
            if self._state != tag:
                start = self.lab.clock.monotonic()
                try:
                    self.restore(tag)
                except HarnessError as error:
                    self._replace(error)
                took = self.lab.clock.monotonic() - start
                text = f"restored to {tag!r}"
                self._told.tell(Entry.action("pair", text, took, did=Did.RESTORED, state=tag))
                self._state = tag if tag in self._snapshots else PROVISIONED
            self._mark_consoles()
        return self._state == tag

    def _leave(self) -> None:
        wait.tell(self._told_before)
        clock.use(self._clock_before)

    def _mark_consoles(self) -> None:
        for node in self.pair:
            node.mark_console()
            node.broken.clear()

    def _save(self, tag: str) -> None:
        # No SSH session goes into the snapshot: its peer would be long gone after a restore.
        on_each(self.pair.nodes, Node.disconnect)
        start = self.lab.clock.monotonic()
        self.lab.save(tag)
        took = self.lab.clock.monotonic() - start
        text = f"saved as {tag!r}"
        self._told.tell(Entry.action("pair", text, took, did=Did.SAVED, state=tag))
        self._snapshots.add(tag)
        self._state = tag

    def _keep_consoles(self, folder: Path) -> None:
        for name, machine in self.lab.machines.items():
            if machine.console.exists():
                (folder / f"{name}-console.txt").write_bytes(machine.console.read_bytes())
