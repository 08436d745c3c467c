"""FreeBSD bug 292322 and its end: whether the table of known bugs works (the model)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.simulated.hast.replication.handshake import Handshake
from harness.lab.simulated.hast.replication.wire import Welcome
from harness.lab.simulated.kernel.release import load
from harness.results.run import Verdict
from harness.trials.mutations.mutation import mutation

if TYPE_CHECKING:
    import pytest


def _never_arrives(patch: pytest.MonkeyPatch) -> None:
    """The primary's first message never arrives: the secondary waits 20 s for its header."""

    def greet(handshake: Handshake) -> None:
        assert handshake._outgoing is not None
        handshake._outgoing.listen_to(handshake._on_message, handshake._on_close)
        handshake._wait_for(Welcome)

    patch.setattr(Handshake, "_greet", greet)


def _call_it(patch: pytest.MonkeyPatch, release: str) -> None:
    patch.setattr(load(), "version", release)


@mutation("replication never works, as in FreeBSD bug 292322", r"FreeBSD bug 292322")
def nothing_replicates(patch: pytest.MonkeyPatch) -> None:
    """On a release that the table does not have it for."""
    _never_arrives(patch)


@mutation(
    "FreeBSD 15.0, where replication never works (bug 292322)",
    r"FreeBSD bug 292322",
    shows=Verdict.KNOWN_BUG,
    of_every_scenario=True,
)
def bug_292322_on_15_0(patch: pytest.MonkeyPatch) -> None:
    """Everything that needs a pair meets the known bug."""
    _never_arrives(patch)
    _call_it(patch, "15.0-RELEASE")


@mutation(
    "a FreeBSD 15.2 in which bug 292322 is fixed, and the table does not know it",
    r"XPASS\(strict\).*FreeBSD bug 292322.*seems to be fixed on 15\.2",
    of_every_scenario=True,
)
def bug_292322_is_fixed(patch: pytest.MonkeyPatch) -> None:
    """Each scenario that passes says that the table is wrong."""
    _call_it(patch, "15.2-RELEASE")
