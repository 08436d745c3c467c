"""Every error a person can meet, each saying what happened, to which node, and what to do next.

Two families are kept apart. A `ClaimFailed` means that FreeBSD answered, and not as the scenario
claims. Everything else means that the lab, the host or the set-up broke, and says nothing about
FreeBSD.
"""

from __future__ import annotations

from harness.words import in_words


class HarnessError(Exception):
    """Base of all errors of the harness.

    `what` is the fact, `node` the machine it happened to (None: the host or the pair), and `advice`
    the next thing to do.
    """

    def __init__(self, what: str, *, node: str | None = None, advice: str | None = None) -> None:
        self.what = what
        self.node = node
        self.advice = advice
        text = f"{node}: {what}" if node else what
        if advice:
            text += f"\n  What to do: {advice}"
        super().__init__(text)


# --- Before anything is started -----------------------------------------------------------------


class SettingsError(HarnessError):
    """The settings file, or an option that overrides it, is wrong."""


class MissingTool(HarnessError):
    """A program, plugin or library that the chosen lab needs is not on this host."""


class ImageError(HarnessError):
    """There is no FreeBSD image, or it cannot be used."""


class PairInUse(HarnessError):
    """Another run holds this pair of nodes."""


class PortInUse(HarnessError):
    """A port that the settings fix is taken on this host."""


# --- While the lab runs -------------------------------------------------------------------------


class LabError(HarnessError):
    """The hypervisor did not do what it was told."""


class LabLost(LabError):
    """The pair could not be brought back to a known state, and no other took its place."""


class EvidenceLost(HarnessError):
    """The folder of results cannot be written: nobody could look at what the nodes said."""


class NodeUnreachable(HarnessError):
    """The node does not answer over SSH: dead, frozen, cut off, or not up yet."""


class CommandTimedOut(HarnessError):
    """The node is alive, but a command on it did not end within its deadline."""


class NodePanicked(HarnessError):
    """The console shows a kernel panic."""


class UnrecognisedOutput(HarnessError):
    """FreeBSD printed something that no parser has seen before. `text` is all of it."""

    def __init__(self, what: str, text: str, *, node: str | None = None) -> None:
        self.text = text
        super().__init__(
            f"{what}\n--- the output, {len(text)} characters ---\n{text}\n--- its end ---",
            node=node,
            advice="if this is a new release's format, record it under tests/unit/recorded/ and "
            "teach the parser in harness/freebsd/ to read it",
        )


# --- FreeBSD answered, and not as claimed -------------------------------------------------------


class ClaimFailed(HarnessError, AssertionError):
    """Base of what a scenario reports when FreeBSD does not behave as it claims."""


class CommandFailed(ClaimFailed):
    """A command ended with a non-zero status. `result` is the whole `harness.lab.ssh.Result`."""

    def __init__(self, what: str, result: object, *, node: str | None = None) -> None:
        self.result = result
        super().__init__(what, node=node)


class WaitExpired(ClaimFailed):
    """What was awaited did not come before its deadline. `last` is the last value seen.

    `hint` says what that value means, and what to do about it.
    """

    def __init__(self, awaited: str, within: float, last: object, hint: str | None = None) -> None:
        self.awaited = awaited
        self.within = within
        self.last = last
        seen = in_words(last) + (f". {hint}" if hint else "")
        super().__init__(f"waited {within:.1f} s for {awaited}; last seen: {seen}")


class ReplicasDiffer(ClaimFailed):
    """The data on the two disks are not the same, though both nodes say that they are in sync."""


class KnownBugMet(ClaimFailed):
    """FreeBSD shows the symptoms of a bug of known-bugs.yaml. `number` is FreeBSD's."""

    def __init__(self, what: str, number: int, *, node: str | None = None) -> None:
        self.number = number
        super().__init__(what, node=node)
