"""hastd, its roles and hast.conf: what an operator orders is not what happens (the model)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.lab.simulated.hardware.disk import BlockDevice
from harness.lab.simulated.hast.control import Row
from harness.lab.simulated.hast.hastd import Hastd, RoleRequest
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication.gate import GateDevice
from harness.lab.simulated.hast.replication.metadata import OnDisk
from harness.lab.simulated.hast.replication.primary import Primary
from harness.lab.simulated.hast.replication.worker import Resource, Worker
from harness.trials.mutations.mutation import mutation, nothing

if TYPE_CHECKING:
    import pytest


@mutation(
    "hastd keeps its role over a restart and a reboot",
    r"and not init|assert not|has_device|to be refused",
)
def role_survives_a_restart(patch: pytest.MonkeyPatch) -> None:
    """It reads it from the metadata."""
    opened = Hastd.open

    def take_roles(hastd: Hastd) -> None:
        for resource in hastd.resources.values():
            config = resource.config
            try:
                device = hast_metadata.open_component(hastd.guest, config.localpath)
                found = hast_metadata.read(device, config.name, config.localpath)
            except hast_metadata.MetadataError:
                continue
            role = found.metadata.prevrole
            if role != "init":
                hastd.change_role(resource, role, nothing)

    def open_with_roles(hastd: Hastd) -> None:
        opened(hastd)
        hastd.post(take_roles, hastd)

    patch.setattr(Hastd, "open", open_with_roles)


@mutation(
    "hastd serves a disk that `hastctl create` has never seen",
    r"to fall back|NoMetadata|to say what it lacks",
)
def create_is_not_needed(patch: pytest.MonkeyPatch) -> None:
    """It writes fresh metadata by itself."""
    read = hast_metadata.read

    def read_or_create(device: BlockDevice, name: str, path: str) -> OnDisk:
        try:
            return read(device, name, path)
        except hast_metadata.MetadataError:
            extentsize, keepdirty = hast_metadata.EXTENT_SIZE, hast_metadata.KEEP_DIRTY
            fresh = OnDisk(hast_metadata.new(name, device.mediasize, extentsize, keepdirty))
            hast_metadata.disk_of(device).reserved = fresh
            return fresh

    patch.setattr(hast_metadata, "read", read_or_create)


@mutation(
    "/dev/hast/NAME stays when its node is no primary any more", r"to be gone|has_device|to be lost"
)
def device_survives_a_demotion(patch: pytest.MonkeyPatch) -> None:
    """It is there, and nobody serves it."""

    def destroy(gate: GateDevice) -> None:
        gate.worker = None

    patch.setattr(GateDevice, "destroy", destroy)


@mutation(
    "a secondary that has lost its primary makes itself primary",
    r"did not last|both primary|and not \w+|[Ss]plit-?[Bb]rain",
)
def secondary_promotes_itself(patch: pytest.MonkeyPatch) -> None:
    """As nobody has asked it to."""
    ended = Hastd._child_exit

    def take_over(hastd: Hastd, worker: Worker, status: int) -> None:
        ended(hastd, worker, status)
        if worker.resource.role == "secondary" and status > 0:
            hastd.change_role(worker.resource, "primary", nothing)

    patch.setattr(Hastd, "_child_exit", take_over)


@mutation(
    "`hastctl role secondary` on a primary does nothing and ends with 0",
    r"to be gone|both primary|and not \w+|has_device",
)
def demotion_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """It stays primary."""
    change = Hastd.change_role

    def refuse(
        hastd: Hastd, resource: Resource, role: str, then: Callable[..., None], *arguments: Any
    ) -> None:
        if (resource.role, role) == ("primary", "secondary"):
            then(*arguments)
        else:
            change(hastd, resource, role, then, *arguments)

    patch.setattr(Hastd, "change_role", refuse)


@mutation(
    "`hastctl role` with the role that a node has starts its worker anew", r"workerpid|assert"
)
def same_role_is_a_change(patch: pytest.MonkeyPatch) -> None:
    """It does not look at what there is."""

    def set_next(hastd: Hastd, request: RoleRequest) -> None:
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

    patch.setattr(Hastd, "_set_next_role", set_next)


@mutation("a worker of a primary that was killed is not replaced", r"acknowledged writes|assert")
def dead_worker_is_not_replaced(patch: pytest.MonkeyPatch) -> None:
    """The device stays, and nobody serves it."""
    patch.setattr(Hastd, "_restart", lambda hastd, _: hastd._release())


@mutation(
    "a primary beside a living primary starts at once, and says nothing",
    r"start anyway",
)
def second_primary_starts_at_once(patch: pytest.MonkeyPatch) -> None:
    """It does not wait for the other to become secondary."""
    failed = Primary.not_connected

    def start(worker: Primary, *, wait: bool) -> None:
        del wait
        failed(worker, wait=False)

    patch.setattr(Primary, "not_connected", start)
