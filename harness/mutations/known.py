"""FreeBSD bug 292322 and its end: whether the table of known bugs works (the model)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import mutation, replace
from harness.report.run import Verdict

if TYPE_CHECKING:
    import pytest

_MODEL = "harness.lab.simulated"


def _never_arrives(patch: pytest.MonkeyPatch) -> None:
    """The primary's first message never arrives: the secondary waits 20 s for its header."""
    from harness.lab.simulated.hast_wire import Welcome  # noqa: PLC0415 - the model

    def greet(handshake: Any) -> None:
        handshake._outgoing.listen_to(handshake._on_message, handshake._on_close)
        handshake._wait_for(Welcome)

    replace(patch, f"{_MODEL}.hast_handshake:Handshake._greet", greet)


def _call_it(patch: pytest.MonkeyPatch, release: str) -> None:
    replace(patch, f"{_MODEL}.commands.host:RELEASE", release)
    replace(patch, f"{_MODEL}.system:System.release", release)


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
