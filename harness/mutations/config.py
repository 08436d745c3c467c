"""hast.conf, hastctl and the handshake: what is asked for is not what is done (the model)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import around, mutation, nothing, replace
from harness.mutations.replication import LOST

if TYPE_CHECKING:
    import pytest

_MODEL = "harness.lab.simulated"


def _always(patch: pytest.MonkeyPatch, **settings: object) -> None:
    """Give every resource these settings, whatever hast.conf says."""

    def make(fill: Callable[..., Any]) -> Any:
        def forget(parser: Any, resource: Any) -> None:
            fill(parser, resource)
            for name, value in settings.items():
                setattr(resource, name, value)

        return forget

    around(patch, f"{_MODEL}.hast_conf:_Parser._fill", make)


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
    replace(patch, f"{_MODEL}.hast_address:_hosts", lambda _: [])


@mutation("`listen` takes any address that it is given", r"ListenFailed|to begin|assert")
def any_address_is_listened_on(patch: pytest.MonkeyPatch) -> None:
    """What cannot be bound is passed over."""
    from harness.lab.simulated.hast_address import AddressError  # noqa: PLC0415

    def make(listen: Callable[..., Any]) -> Any:
        def pass_over(hastd: Any, address: str, *, name: str = "") -> None:
            try:
                listen(hastd, address, name=name)
            except AddressError:
                return

        return pass_over

    around(patch, f"{_MODEL}.hastd:Hastd.listen_on", make)


@mutation("the options of `hastctl create` have no effect", r"assert|Extent|sizes")
def create_takes_no_options(patch: pytest.MonkeyPatch) -> None:
    """Extents of 2 MiB, 64 of them kept dirty, all of the provider."""

    def make(create: Callable[..., Any]) -> Any:
        def plain(name: str, mediasize: int, *_: int) -> Any:
            from harness.lab.simulated import hast_metadata  # noqa: PLC0415 - the model

            return create(name, mediasize, hast_metadata.EXTENT_SIZE, hast_metadata.KEEP_DIRTY)

        return plain

    around(patch, f"{_MODEL}.hast_metadata:new", make)


@mutation("nodes with different sizes connect", r"sizes|assert|to be compared")
def sizes_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """The primary believes what it has itself."""

    def make(accepted: Callable[..., Any]) -> Any:
        def believe(handshake: Any, answer: Any) -> None:
            own = handshake._worker.meta
            sizes = {"datasize": own.datasize, "extentsize": own.extentsize}
            accepted(handshake, dataclasses.replace(answer, **sizes))

        return believe

    around(patch, f"{_MODEL}.hast_handshake:Handshake._accepted", make)


@mutation("strangers connect: the resource's unique ID is not compared", r"mismatch|IDs differ")
def unique_id_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    """The primary's data win."""
    from harness.lab.simulated.hast_decision import Decision  # noqa: PLC0415

    def make(decide: Callable[..., Any]) -> Any:
        def believe(primary: Any, resuid: int, *counters: int) -> Any:
            if resuid not in (0, primary.resuid):
                return Decision()
            return decide(primary, resuid, *counters)

        return believe

    around(patch, f"{_MODEL}.hastd_secondary:decide", make)


@mutation("a secondary takes any primary", r"to say .*|assert")
def any_primary_is_known(patch: pytest.MonkeyPatch) -> None:
    """The address is not looked at."""

    def known(*_: object) -> bool:
        return True

    replace(patch, f"{_MODEL}.hastd:Hastd._is_remote", known)


@mutation("hastctl ends with 0 also where it refuses", r"assert \(?0, |assert 0 == |DID NOT")
def hastctl_always_succeeds(patch: pytest.MonkeyPatch) -> None:
    """It says what it has to say. That there is no hastd is all that it fails for."""
    from harness.lab.simulated import commands  # noqa: PLC0415
    from harness.lab.simulated.commands.hastctl import EX_OSERR  # noqa: PLC0415

    commands.load_all()
    hastctl = commands.COMMANDS["hastctl"]

    def succeed(context: Any, arguments: list[str]) -> Any:
        result = hastctl(context, arguments)
        status = result if isinstance(result, int) else (yield from result)
        return status if status == EX_OSERR else 0

    patch.setitem(commands.COMMANDS, "hastctl", succeed)


@mutation("a node takes the section of a node that is not there for its own", r"assert|to say")
def a_strangers_section_will_do(patch: pytest.MonkeyPatch) -> None:
    """`on NAME` means everybody, unless it is the name of the peer."""

    def make(is_me: Callable[..., bool]) -> Any:
        def is_me_or_nobody(node: Any, name: str) -> bool:
            return is_me(node, name) or name not in {"skunk1", "skunk2"}

        return is_me_or_nobody

    around(patch, f"{_MODEL}.hast_conf:Node.is_me", make)


@mutation("SIGHUP starts every resource anew", r"workerpid|assert|has_device")
def reload_restarts_everything(patch: pytest.MonkeyPatch) -> None:
    """Whether its settings have changed or not."""

    def restart(*_: object) -> bool:
        return True

    replace(patch, f"{_MODEL}.hast_reload:Reload._needs_restart", restart)


@mutation(
    "what is ordered for one resource is done to all of them",
    r"assert|and not \w+",
)
def a_role_is_for_all_resources(patch: pytest.MonkeyPatch) -> None:
    """The name is not looked at."""

    def make(set_roles: Callable[..., Any]) -> Any:
        def everybody(hastd: Any, request: Any) -> None:
            if any(name in hastd.resources for name in request.names):
                request.names = ["all"]
            set_roles(hastd, request)

        return everybody

    around(patch, f"{_MODEL}.hastd:Hastd._set_roles", make)


@mutation("the program of `exec` is never run", r"hooks on|a failed hook")
def hooks_are_not_run(patch: pytest.MonkeyPatch) -> None:
    """Whatever happens."""
    replace(patch, f"{_MODEL}.hastd:Hastd._execute_hook", nothing)


@mutation("nobody says that the program of `exec` failed", r"a failed hook")
def failed_hooks_are_not_told(patch: pytest.MonkeyPatch) -> None:
    """Its status is not looked at."""
    replace(patch, f"{_MODEL}.hastd:Hastd._log_hook", nothing)
