"""hastd, its roles and hast.conf: what an operator orders is not what happens (the model)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import around, mutation, nothing, replace

if TYPE_CHECKING:
    import pytest

_HASTD = "harness.lab.simulated.hastd"


@mutation(
    "hastd keeps its role over a restart and a reboot",
    r"and not init|assert not|has_device|to be refused",
)
def role_survives_a_restart(patch: pytest.MonkeyPatch) -> None:
    """It reads it from the metadata."""
    from harness.lab.simulated import hast_metadata  # noqa: PLC0415 - the model, where it is wanted
    from harness.lab.simulated.hastd import Hastd  # noqa: PLC0415

    def take_roles(hastd: Any) -> None:
        for resource in hastd.resources.values():
            config = resource.config
            try:
                device = hast_metadata.open_component(hastd.guest, config.localpath)
                found = hast_metadata.read(device, config.name, config.localpath)
            except hast_metadata.MetadataError:
                continue
            role = found.metadata.prevrole
            if role != "init":
                hastd.change_role(resource, role, hastd.no_more)

    def make(opened: Callable[..., Any]) -> Any:
        def open_with_roles(hastd: Any) -> None:
            opened(hastd)
            hastd.post(hastd.take_roles)

        return open_with_roles

    patch.setattr(Hastd, "take_roles", take_roles, raising=False)
    patch.setattr(Hastd, "no_more", nothing, raising=False)
    around(patch, f"{_HASTD}:Hastd.open", make)


@mutation(
    "hastd serves a disk that `hastctl create` has never seen",
    r"to fall back|NoMetadata|to say what it lacks",
)
def create_is_not_needed(patch: pytest.MonkeyPatch) -> None:
    """It writes fresh metadata by itself."""
    from harness.lab.simulated import hast_metadata  # noqa: PLC0415 - the model, where it is wanted

    def make(read: Callable[..., Any]) -> Any:
        def read_or_create(device: Any, name: str, path: str) -> Any:
            try:
                return read(device, name, path)
            except hast_metadata.MetadataError:
                disk = hast_metadata.disk_of(device)
                disk.reserved = hast_metadata.OnDisk(
                    hast_metadata.new(
                        name,
                        device.mediasize,
                        hast_metadata.EXTENT_SIZE,
                        hast_metadata.KEEP_DIRTY,
                    )
                )
                return disk.reserved

        return read_or_create

    around(patch, "harness.lab.simulated.hast_metadata:read", make)


@mutation(
    "/dev/hast/NAME stays when its node is no primary any more", r"to be gone|has_device|to be lost"
)
def device_survives_a_demotion(patch: pytest.MonkeyPatch) -> None:
    """It is there, and nobody serves it."""

    def destroy(gate: Any) -> None:
        gate.worker = None

    replace(patch, "harness.lab.simulated.hast_gate:GateDevice.destroy", destroy)


@mutation(
    "a secondary that has lost its primary makes itself primary",
    r"did not last|both primary|and not \w+|[Ss]plit-?[Bb]rain",
)
def secondary_promotes_itself(patch: pytest.MonkeyPatch) -> None:
    """As nobody has asked it to."""
    from harness.lab.simulated.hastd import Hastd  # noqa: PLC0415

    def make(ended: Callable[..., Any]) -> Any:
        def take_over(hastd: Any, worker: Any, status: int) -> None:
            ended(hastd, worker, status)
            if worker.resource.role == "secondary" and status > 0:
                hastd.change_role(worker.resource, "primary", hastd.no_more)

        return take_over

    patch.setattr(Hastd, "no_more", nothing, raising=False)
    around(patch, f"{_HASTD}:Hastd._child_exit", make)


@mutation(
    "`hastctl role secondary` on a primary does nothing and ends with 0",
    r"to be gone|both primary|and not \w+|has_device",
)
def demotion_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """It stays primary."""

    def make(change: Callable[..., Any]) -> Any:
        def refuse(hastd: Any, resource: Any, role: str, then: Any, *arguments: Any) -> None:
            if (resource.role, role) == ("primary", "secondary"):
                then(*arguments)
            else:
                change(hastd, resource, role, then, *arguments)

        return refuse

    around(patch, f"{_HASTD}:Hastd.change_role", make)


@mutation(
    "`hastctl role` with the role that a node has starts its worker anew", r"workerpid|assert"
)
def same_role_is_a_change(patch: pytest.MonkeyPatch) -> None:
    """It does not look at what there is."""
    from harness.lab.simulated.hast_control import Row  # noqa: PLC0415

    def set_next(hastd: Any, request: Any) -> None:
        while request.names:
            name = request.names.pop(0)
            resource = hastd.resources.get(name)
            if resource is None:
                request.reply.rows.append(Row(name, error=1))
                continue
            request.reply.rows.append(Row(name, role=resource.role))
            hastd.change_role(resource, request.role, hastd._set_next_role, request)
            return
        request.reply.done.fire()

    replace(patch, f"{_HASTD}:Hastd._set_next_role", set_next)


@mutation("a worker of a primary that was killed is not replaced", r"acknowledged writes|assert")
def dead_worker_is_not_replaced(patch: pytest.MonkeyPatch) -> None:
    """The device stays, and nobody serves it."""
    replace(patch, f"{_HASTD}:Hastd._restart", lambda hastd, _: hastd._release())


@mutation(
    "a primary beside a living primary starts at once, and says nothing",
    r"start anyway",
)
def second_primary_starts_at_once(patch: pytest.MonkeyPatch) -> None:
    """It does not wait for the other to become secondary."""

    def make(failed: Callable[..., Any]) -> Any:
        def start(worker: Any, *, wait: bool) -> None:
            del wait
            failed(worker, wait=False)

        return start

    around(patch, f"{_HASTD}_primary:Primary.not_connected", make)
