"""hast.conf, hastctl and the handshake: what is asked for is not what is done (the model)."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Program
from harness.lab.simulated.hast import address as hast_address
from harness.lab.simulated.hast.address import AddressError
from harness.lab.simulated.hast.conf import Node, ResourceConfig, _Parser
from harness.lab.simulated.hast.hastctl import EX_OSERR
from harness.lab.simulated.hast.hastd import Hastd, RoleRequest
from harness.lab.simulated.hast.reload import Reload
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication import secondary as hastd_secondary
from harness.lab.simulated.hast.replication.decision import Decision, Hello, decide
from harness.lab.simulated.hast.replication.handshake import Handshake
from harness.lab.simulated.hast.replication.metadata import Metadata
from harness.lab.simulated.hast.replication.wire import Accepted
from harness.lab.simulated.shell import programs as commands
from harness.lab.simulated.shell.programs import Context
from harness.trials.mutations.mutation import mutation, nothing
from harness.trials.mutations.replication import LOST

if TYPE_CHECKING:
    import pytest


def _always(patch: pytest.MonkeyPatch, **settings: object) -> None:
    """Give every resource these settings, whatever hast.conf says."""
    assert settings.keys() <= {each.name for each in dataclasses.fields(ResourceConfig)}
    fill = _Parser._fill

    def forget(parser: _Parser, resource: ResourceConfig) -> None:
        fill(parser, resource)
        for name, value in settings.items():
            setattr(resource, name, value)

    patch.setattr(_Parser, "_fill", forget)


@mutation("`timeout` is always 20 s", r"to say degraded|did not end within|assert|> pair\.settings")
def timeout_is_always_20(patch: pytest.MonkeyPatch) -> None:
    """The default."""
    _always(patch, timeout=20)


@mutation("`timeout` is always 1 s", r"did not last|Disconnected|assert|SplitBrain|" + LOST)
def timeout_is_always_1(patch: pytest.MonkeyPatch) -> None:
    """Every hiccup is a lost connection."""
    _always(patch, timeout=1)


@mutation("`replication` is always async", r"async|assert \d+ <= 0|" + LOST)
def replication_is_always_async(patch: pytest.MonkeyPatch) -> None:
    """No write waits for the secondary."""
    _always(patch, replication="async")


@mutation("`checksum` has no effect", r"checksum|crc32|sha256|assert \[\]")
def checksum_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Messages have none."""
    _always(patch, checksum="none")


@mutation("`compression` has no effect", r"compression|hole|lzf|assert \[\]")
def compression_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Zeros travel as zeros."""
    _always(patch, compression="none")


@mutation("`metaflush` has no effect", r"flush|assert .* == ")
def metaflush_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """The map is never flushed."""
    _always(patch, metaflush=False)


@mutation(
    "a host name in hast.conf is no address",
    r"Unable to listen on address tcp4://skunk1|to say complete",
)
def names_are_not_resolved(patch: pytest.MonkeyPatch) -> None:
    """/etc/hosts is not looked at."""
    patch.setattr(hast_address, "_hosts", lambda _: [])


@mutation("`listen` takes any address that it is given", r"ListenFailed|to begin|assert")
def any_address_is_listened_on(patch: pytest.MonkeyPatch) -> None:
    """What cannot be bound is passed over."""
    listen = Hastd.listen_on

    def pass_over(hastd: Hastd, address: str, *, name: str = "") -> None:
        with contextlib.suppress(AddressError):
            listen(hastd, address, name=name)

    patch.setattr(Hastd, "listen_on", pass_over)


@mutation("the options of `hastctl create` have no effect", r"assert|Extent|sizes")
def create_takes_no_options(patch: pytest.MonkeyPatch) -> None:
    """Extents of 2 MiB, 64 of them kept dirty, all of the provider."""
    create = hast_metadata.new

    def plain(name: str, mediasize: int, *_: int) -> Metadata:
        return create(name, mediasize, hast_metadata.EXTENT_SIZE, hast_metadata.KEEP_DIRTY)

    patch.setattr(hast_metadata, "new", plain)


@mutation("nodes with different sizes connect", r"sizes|assert|to be compared")
def sizes_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """The primary believes what it has itself."""
    accepted = Handshake._accepted

    def believe(handshake: Handshake, answer: Accepted) -> None:
        own = handshake._worker.meta
        same = dataclasses.replace(answer, datasize=own.datasize, extentsize=own.extentsize)
        accepted(handshake, same)

    patch.setattr(Handshake, "_accepted", believe)


@mutation("strangers connect: the resource's unique ID is not compared", r"mismatch|IDs differ")
def unique_id_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    """The primary's data win."""

    def believe(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
        if resuid not in (0, primary.resuid):
            return Decision()
        return decide(primary, resuid, localcnt, remotecnt)

    patch.setattr(hastd_secondary, "decide", believe)


@mutation("a secondary takes any primary", r"to say .*|assert")
def any_primary_is_known(patch: pytest.MonkeyPatch) -> None:
    """The address is not looked at."""

    def known(*_: object) -> bool:
        return True

    patch.setattr(Hastd, "_is_remote", known)


@mutation("hastctl ends with 0 also where it refuses", r"assert \(?0, |assert 0 == |DID NOT")
def hastctl_always_succeeds(patch: pytest.MonkeyPatch) -> None:
    """It says what it has to say. That there is no hastd is all that it fails for."""
    hastctl = commands.COMMANDS["hastctl"]

    def succeed(context: Context, arguments: list[str]) -> Program:
        result = hastctl(context, arguments)
        status = result if isinstance(result, int) else (yield from result)
        return status if status == EX_OSERR else 0

    patch.setitem(commands.COMMANDS, "hastctl", succeed)


@mutation("a node takes the section of a node that is not there for its own", r"assert|to say")
def a_strangers_section_will_do(patch: pytest.MonkeyPatch) -> None:
    """`on NAME` means everybody, unless it is the name of the peer."""
    is_me = Node.is_me

    def is_me_or_nobody(node: Node, name: str) -> bool:
        return is_me(node, name) or name not in {"skunk1", "skunk2"}

    patch.setattr(Node, "is_me", is_me_or_nobody)


@mutation("SIGHUP starts every resource anew", r"workerpid|assert|has_device")
def reload_restarts_everything(patch: pytest.MonkeyPatch) -> None:
    """Whether its settings have changed or not."""

    def restart(*_: object) -> bool:
        return True

    patch.setattr(Reload, "_needs_restart", restart)


@mutation(
    "what is ordered for one resource is done to all of them",
    r"assert|and not \w+",
)
def a_role_is_for_all_resources(patch: pytest.MonkeyPatch) -> None:
    """The name is not looked at."""
    set_roles = Hastd._set_roles

    def everybody(hastd: Hastd, request: RoleRequest) -> None:
        if any(name in hastd.resources for name in request.names):
            request.names = ["all"]
        set_roles(hastd, request)

    patch.setattr(Hastd, "_set_roles", everybody)


@mutation("the program of `exec` is never run", r"hooks on|a failed hook")
def hooks_are_not_run(patch: pytest.MonkeyPatch) -> None:
    """Whatever happens."""
    patch.setattr(Hastd, "_execute_hook", nothing)


@mutation("nobody says that the program of `exec` failed", r"a failed hook")
def failed_hooks_are_not_told(patch: pytest.MonkeyPatch) -> None:
    """Its status is not looked at."""
    patch.setattr(Hastd, "_log_hook", nothing)
