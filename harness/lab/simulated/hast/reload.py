"""SIGHUP: hastd reads hast.conf again and changes what is different (hastd_reload(), 13.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hast import conf as hast_conf
from harness.lab.simulated.hast.address import AddressError
from harness.lab.simulated.hast.conf import Config, ConfigError, ResourceConfig
from harness.lab.simulated.hast.control import NEW_CONTROL
from harness.lab.simulated.hast.replication.primary import Primary
from harness.lab.simulated.hast.replication.worker import Resource
from harness.lab.simulated.hast.text import visible
from harness.lab.simulated.kernel.guest import Guest

_NODE = ("provname", "localpath")
_SETTINGS = (
    "remoteaddr",
    "sourceaddr",
    "replication",
    "checksum",
    "compression",
    "timeout",
    "exec",
    "metaflush",
)


class Reloaded(Protocol):
    """What a reload asks of the hastd that it changes."""

    config: Config
    resources: dict[str, Resource]
    echoed: str

    @property
    def guest(self) -> Guest:
        """Where it runs."""

    @property
    def path(self) -> str:
        """Where its hast.conf is."""

    @property
    def foreground(self) -> bool:
        """Whether it runs under daemon(8)."""

    def log(self, level: str, text: str) -> None:
        """Log a line without a resource."""

    def listen_on(self, address: str, *, name: str = "") -> None:
        """Listen on an address of hast.conf. Raises `AddressError` and `NotModelled`."""

    def listens_on(self, address: str) -> bool:
        """Whether it listens on an address of hast.conf, by its text."""

    def stop_listening_on(self, address: str) -> None:
        """Close one of the sockets that it listens on."""

    def take_control(self, address: str) -> None:
        """Be reached by hastctl on what `NEW_CONTROL` names, and no longer where it was."""

    def add(self, config: ResourceConfig) -> Resource:
        """Take in a resource, as init."""

    def change_role(
        self, resource: Resource, role: str, then: Callable[..., None], *arguments: Any
    ) -> None:
        """Change a role and then do something."""


class Reload:
    """One reload."""

    def __init__(self, hastd: Reloaded) -> None:
        self._hastd = hastd
        self._restarts: list[tuple[Resource, ResourceConfig | None]] = []

    def start(self) -> None:
        """Read the file; with an error in it nothing changes."""
        hastd = self._hastd
        hastd.log("info", "Reloading configuration...")
        try:
            config = hast_conf.load(hastd.guest, hastd.path)
        except ConfigError as error:
            hastd.echoed += visible(error.echoed)
            hastd.log("error", error.text)
            hastd.log("warning", "Configuration not reloaded.")
            return
        hastd.echoed += visible(config.echoed)
        if not self._listens(config):
            hastd.log("warning", "Configuration not reloaded.")
            return
        self._sort_out(config)
        self._next()

    def _listens(self, config: Config) -> bool:
        """Listen on what is new, and no longer on what is gone."""
        hastd = self._hastd
        old = hastd.config
        new_control = config.control != old.control
        if new_control and not self._bound(config.control, NEW_CONTROL):
            return False
        listening = [address for address in config.listen if self._keeps(address)]
        if not listening:
            hastd.log("error", "No addresses to listen on.")
            if new_control:
                hastd.stop_listening_on(NEW_CONTROL)
            return False
        if not hastd.foreground and config.pidfile != old.pidfile:
            self._gap(f"hastd: SIGHUP with a new pidfile, {config.pidfile}")
        if new_control:
            hastd.log("info", f"Control socket changed from {old.control} to {config.control}.")
            hastd.take_control(config.control)
        for address in old.listen:
            if address not in config.listen and hastd.listens_on(address):
                hastd.stop_listening_on(address)
                hastd.log("info", f"No longer listening on address {address}.")
        old.listen = list(config.listen)
        return True

    def _keeps(self, address: str) -> bool:
        """Whether it listens on an address, from now on or still."""
        hastd = self._hastd
        if hastd.listens_on(address):
            hastd.log("info", f"Keep listening on address {address}.")
            return True
        if self._bound(address):
            hastd.log("info", f"Listening on new address {address}.")
            return True
        return False

    def _bound(self, address: str, name: str = "") -> bool:
        hastd = self._hastd
        try:
            hastd.listen_on(address, name=name)
        except AddressError as error:
            if name:
                hastd.log("error", f"Unable to listen on control address {address}: {error}.")
            else:
                hastd.log("warning", f"Unable to listen on address {address}: {error}.")
        except NotModelled as gap:
            self._gap(str(gap))
        else:
            return True
        return False

    def _sort_out(self, config: Config) -> None:
        hastd = self._hastd
        new = {each.name: each for each in config.resources}
        for name, resource in list(hastd.resources.items()):
            if name not in new:
                self._restarts.append((resource, None))
        for name, settings in new.items():
            known = hastd.resources.get(name)
            if known is None:
                hastd.add(settings)
                hastd.log("info", f"Resource {name} added.")
            elif self._needs_restart(known, settings):
                self._restarts.append((known, settings))
            elif known.role == "primary" and _differ(known.config, settings, _SETTINGS):
                hastd.log("info", f"Resource {name} configuration was modified, reloading it.")
                known.config = settings
                if isinstance(known.worker, Primary):
                    known.worker.call(known.worker.reload, settings)

    def _needs_restart(self, resource: Resource, settings: ResourceConfig) -> bool:
        names = _NODE if resource.role == "primary" else _NODE + _SETTINGS
        return _differ(resource.config, settings, names)

    def _next(self) -> None:
        """Stop the next resource that has to be, and go on when its worker has ended."""
        hastd = self._hastd
        if not self._restarts:
            hastd.log("info", "Configuration reloaded successfully.")
            return
        resource, settings = self._restarts.pop(0)
        if settings is not None:
            hastd.log(
                "info",
                f"Resource {settings.name} configuration was modified, restarting it.",
            )
        role = resource.role
        if role == "init":
            self._stopped(resource, settings, role)
        else:
            hastd.change_role(resource, "init", self._stopped, resource, settings, role)

    def _stopped(self, resource: Resource, settings: ResourceConfig | None, role: str) -> None:
        hastd = self._hastd
        del hastd.resources[resource.config.name]
        if settings is None:
            hastd.log("info", f"Resource {resource.config.name} removed.")
            self._next()
            return
        added = hastd.add(settings)
        if role == "init":
            self._next()
        else:
            hastd.change_role(added, role, self._next)

    def _gap(self, text: str) -> None:
        guest = self._hastd.guest
        guest.world.note_gap(guest.name, text, "hastd")


def _differ(one: ResourceConfig, other: ResourceConfig, names: tuple[str, ...]) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in names)
