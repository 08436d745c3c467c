"""A line of the transcript: what was done to a node, when, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from harness.waiting import clock
from harness.words import Word

PROVISIONED = "provisioned"
"""A state that the pair is restored to: both nodes up and provisioned; HAST not yet created."""

SET_UP = "set-up"
"""As claim 1 leaves the pair: skunk1 primary, the pool on it, skunk2 secondary and in sync."""


class Kind(Word):
    """What a line of the transcript is about.

    A wait's text is what was awaited, and it is written at its end, after what was done meanwhile.
    Writes are those of a ledger, with a line of `stdout` for each.
    """

    COMMAND = "command"
    REPEATS = "repeats"
    WAIT = "wait"
    WRITES = "writes"
    FAULT = "fault"
    HEAL = "heal"
    ACTION = "action"


class Did(Word):
    """What the harness did, where it is neither a command nor a fault that is to be healed."""

    NOTE = "note"
    """It wrote a line down, for whoever reads the transcript."""

    NO_ANSWER = "no answer"
    """It gave a command up, whose line it is."""

    RESTORED = "restored"
    SAVED = "saved"
    REPLACED = "replaced"
    """It gave the pair up and boots another one."""

    WROTE = "wrote"
    SSH_ANSWERS = "ssh answers"
    """It waited until the node answered."""

    REBOOTED = "rebooted"
    RESET = "reset"
    PANIC = "panic"
    REBOOT_AT_ONCE = "reboot -nq"


class Effect(Word):
    """What a fault makes of a node, where a report draws that."""

    OFF = "off"
    SWITCHED_OFF = "switched off"
    """Off, once FreeBSD has shut down."""

    PAUSED = "paused"
    UNPLUGGED = "unplugged"
    """Its cable is out of the private link."""


@dataclass(frozen=True)
class Entry:
    """One line of the story. `at` is UTC, `duration` in seconds; `status` only for commands.

    An action has `did`, and the known `state` where one was restored or saved. A fault and its end
    have the name of the `fault`. What is told of them is told by these values: `text` is for
    persons.
    """

    at: datetime
    node: str
    kind: Kind
    text: str
    duration: float
    status: int | None = None
    stdout: str = ""
    stderr: str = ""
    did: Did | None = None
    state: str = ""
    fault: str = ""
    effect: Effect | None = None

    @classmethod
    def action(
        cls,
        node: str,
        text: str,
        duration: float = 0.0,
        *,
        did: Did = Did.NOTE,
        state: str = "",
    ) -> Entry:
        """What the harness just did to `node` (or to the "pair")."""
        return cls(clock.current().utc(), node, Kind.ACTION, text, duration, did=did, state=state)

    def repeats(self, earlier: Entry) -> bool:
        """Whether this is the same command on the same node with the same answer."""
        return self.kind is Kind.COMMAND and (
            (self.node, self.text, self.status, self.stdout, self.stderr)
            == (earlier.node, earlier.text, earlier.status, earlier.stdout, earlier.stderr)
        )

    def render(self) -> str:
        """The entry as a person reads it."""
        time = self.at.strftime("%H:%M:%S.%f")[:-3]
        prompt = {Kind.COMMAND: "#", Kind.WAIT: "* waited for"}.get(self.kind, "*")
        head = f"{time} {self.node:<7} {prompt} {self.text}"
        if self.kind is Kind.COMMAND:
            head += f"    [status {self.status}, {self.duration:.3f} s]"
        elif self.duration:
            head += f"    [{self.duration:.3f} s]"
        body = [f"        {line}" for line in self.stdout.splitlines()]
        body += [f"    err {line}" for line in self.stderr.splitlines()]
        return "\n".join([head, *body]) + "\n"
