"""The two nodes as one cluster, in the words of the operator who runs it by hand."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TypeVar

from harness.cluster.known_bugs import Watch
from harness.cluster.node import Node
from harness.config.settings import Settings
from harness.errors import HarnessError, ReplicasDiffer, WaitExpired
from harness.freebsd import df, zpool
from harness.freebsd.hast import conf as hast_conf
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast import log as hastd_log
from harness.freebsd.hast.hastctl import Role, Status
from harness.waiting import clock
from harness.waiting.parallel import on_each
from harness.waiting.wait import wait_until

CONNECT_SECONDS = 30.0
"""A primary looks for its secondary every 10 s (`reconnect`, hast.conf(5)): room for two tries."""


DEFAULT_TIMEOUT = 20
"""Seconds; `timeout` of hast.conf(5) where the file has none."""

CONNECT_SECONDS_IN_VAIN = 5.0
"""As short where a bug that lets no pair connect has been met: two healthy nodes need a second."""

SLOWEST_RESYNC = 2e6
"""Bytes a second. Two emulated guests on two busy cores still do several times that."""

E = TypeVar("E", bound=hastd_log.Event)


class UnknownCharacters(UserWarning):
    """hast.conf has characters that hastd does not know."""


class Pair:
    """skunk1 and skunk2 with one HAST resource between them and a ZFS pool on top."""

    def __init__(
        self, skunk1: Node, skunk2: Node, settings: Settings, watch: Watch | None = None
    ) -> None:
        """`watch` is what the run knows of FreeBSD's bugs."""
        self._watch = watch or Watch()
        self.skunk1 = skunk1
        self.skunk2 = skunk2
        self.settings = settings
        self.resource = settings.hast.resource
        self.pool = settings.pool
        self._provnames: dict[str, str] = {}
        """`name` in hast.conf, by node, as its hastd last said."""
        self._told: set[str] = set()

    def __repr__(self) -> str:
        return "pair"

    def __iter__(self) -> Iterator[Node]:
        yield self.skunk1
        yield self.skunk2

    @property
    def nodes(self) -> tuple[Node, Node]:
        """Both nodes, skunk1 first."""
        return self.skunk1, self.skunk2

    def peer(self, node: Node) -> Node:
        """The other node."""
        return self.skunk2 if node is self.skunk1 else self.skunk1

    def of(self, resource: str) -> Pair:
        """The same two nodes, seen from another resource of theirs."""
        hast = self.settings.hast.but(resource=resource, second=None)
        return Pair(*self.nodes, self.settings.with_hast(hast), self._watch)

    @property
    def device(self) -> str:
        """The device that hastd makes on the primary, and only there.

        It is called as `name` in hast.conf says, and like the resource without one. Where no hastd
        has been asked yet, skunk1's is, and then skunk2's.
        """
        for node in self.nodes:
            if not self._provnames:
                self._ask_provname(node)
        return self._device_of(next(iter(self._provnames.values()), None))

    def device_on(self, node: Node) -> str:
        """The device as this node's own hast.conf calls it; its hastd is asked the first time."""
        if node.name not in self._provnames:
            self._ask_provname(node)
        known = next(iter(self._provnames.values()), None)
        return self._device_of(self._provnames.get(node.name, known))

    def _ask_provname(self, node: Node) -> None:
        with contextlib.suppress(HarnessError):
            self.info(node)

    def _device_of(self, provname: str | None) -> str:
        return f"/dev/hast/{provname or self.resource}"

    @property
    def mountpoint(self) -> str:
        """Where ZFS mounts the pool unless told otherwise."""
        return f"/{self.pool}"

    # --- what the nodes say ---------------------------------------------------------------------

    def info(self, node: Node) -> hast.ResourceInfo:
        """The resource in `hastctl list` on this node. Raises `ClaimFailed` without hastd."""
        said = node.run(*hast.LIST_COMMAND, self.resource)
        listed = hast.parse_list(said.stdout)
        self._tell_unknown(node, listed.echoed)
        info = listed.resource(self.resource)
        self._provnames[node.name] = info.provname
        return info

    def releases(self) -> dict[str, str]:
        """What `uname -rm` prints on each node: 15.1-RELEASE amd64."""
        return dict(
            on_each(self.nodes, lambda node: (node.name, node.run("uname", "-rm").stdout.strip()))
        )

    def role(self, node: Node) -> Role:
        """The resource's role on this node."""
        return self.info(node).role

    def status(self, node: Node) -> hast.StatusRow:
        """The resource in `hastctl status` on this node."""
        said = node.run(*hast.STATUS_COMMAND, self.resource)
        table = hast.parse_status(said.stdout)
        self._tell_unknown(node, table.echoed)
        return table.resource(self.resource)

    def _tell_unknown(self, node: Node, echoed: str) -> None:
        """Say once which characters of a node's hast.conf hastd does not know, if it echoes any."""
        if not echoed or node.name in self._told:
            return
        self._told.add(node.name)
        text = hast_conf.explain(node.ask("cat", hast_conf.PATH).stdout)
        if text is not None:
            node.note(text)
            warnings.warn(f"{node}: {text}", UnknownCharacters, stacklevel=3)

    def metadata(self, node: Node) -> hast.Metadata:
        """What is in HAST's metadata on this node's own disk."""
        said = node.run(*hast.DUMP_COMMAND, self.resource)
        return next(iter(hast.parse_dump(said.stdout)))

    def has_device(self, node: Node) -> bool:
        """Whether /dev/hast/NAME is there on this node."""
        return self._exists(node, self.device_on(node))

    def _exists(self, node: Node, device: str) -> bool:
        return node.run("test", "-c", device, check=False).ok

    def pool_health(self, node: Node) -> zpool.Health | None:
        """The health of the pool on this node, or None when it is not imported there."""
        pools = zpool.parse_list(node.run(*zpool.LIST_COMMAND).stdout)
        return next((row.health for row in pools if row.name == self.pool), None)

    def importable_pools(self, node: Node) -> tuple[str, ...]:
        """The names of the pools that `zpool import` offers on this node."""
        said = node.run(*zpool.IMPORT_LIST_COMMAND, check=False)
        return tuple(pool.name for pool in zpool.parse_import_list(said.stdout))

    def is_mounted(self, node: Node) -> bool:
        """Whether df shows the pool's file system at its mount point."""
        mounted = df.parse(node.run(*df.COMMAND).stdout)
        return any((row.device, row.mounted_on) == (self.pool, self.mountpoint) for row in mounted)

    def hastd_log(self, node: Node) -> tuple[hastd_log.LogLine, ...]:
        """Everything hastd and its workers have said on this node."""
        return hastd_log.parse_log(node.ask(*hastd_log.COMMAND).check().stdout)

    def said(self, node: Node, kind: type[E]) -> list[E]:
        """The events of one kind in hastd's log on this node, oldest first."""
        return [line.event for line in self.hastd_log(node) if isinstance(line.event, kind)]

    def replica(self, node: Node, offset: int) -> str:
        """The SHA-256 of 64 KiB at `offset` of the data, as they are on this node's own disk.

        HAST's data begin `localoff` bytes into the provider (hastctl dump).
        """
        start = self.metadata(node).localoff + offset
        provider = self.info(node).localpath
        script = 'dd if="$1" bs=512 skip="$2" count=128 2>/dev/null | sha256'
        return node.sh(script, provider, str(start // 512)).stdout.strip()

    def replica_digests(self, node: Node, chunk_mib: int) -> tuple[str, ...]:
        """The SHA-256 of each `chunk_mib` MiB of the data on this node's own disk, in order.

        All of HAST's data area is read, from `localoff` to its end, and nothing of its metadata,
        which differ between the nodes. The disk is read past hastd: what is under way is not seen.
        """
        metadata = self.metadata(node)
        chunks = -(-metadata.datasize // (chunk_mib << 20))
        script = (
            '{ dd bs="$2" count=1 of=/dev/null\n'
            "  i=0\n"
            '  while [ "$i" -lt "$3" ]; do dd bs=1m count="$4" | sha256; i=$((i + 1)); done\n'
            '} < "$1" 2>/dev/null'
        )
        provider = self.info(node).localpath
        said = node.sh(script, provider, str(metadata.localoff), str(chunks), str(chunk_mib))
        return tuple(said.stdout.split())

    def unequal_mib(self, chunk_mib: int = 16) -> list[int]:
        """Where the two replicas differ: the offset in MiB of each chunk that does.

        Only between two quiet disks does the answer mean anything.
        """
        skunk1, skunk2 = on_each(self.nodes, lambda node: self.replica_digests(node, chunk_mib))
        return [
            index * chunk_mib
            for index, (ours, theirs) in enumerate(zip(skunk1, skunk2, strict=True))
            if ours != theirs
        ]

    def check_replicas_equal(self) -> None:
        """Raise `ReplicasDiffer` unless both disks have the same data, block for block."""
        unequal = self.unequal_mib()
        if unequal:
            places = ", ".join(str(place) for place in unequal)
            raise ReplicasDiffer(f"the two replicas differ in the 16 MiB from {places} MiB on")

    # --- what an operator does ------------------------------------------------------------------

    def create_resource(self, *nodes: Node) -> None:
        """Write fresh HAST metadata on the nodes' disks (both by default).

        Whatever the disk held is unreachable afterwards, and a node re-created alone gets
        everything from the other in a full resync.
        """
        hast = self.settings.hast
        options: list[str] = []
        for letter, value, unit in (
            ("-e", hast.extent_kib, "k"),
            ("-k", hast.keep_dirty, ""),
            ("-m", hast.media_mib, "M"),
        ):
            options += [] if value is None else [letter, f"{value}{unit}"]
        command = ("hastctl", "create", *options, self.resource)
        on_each(nodes or self.nodes, lambda node: node.run(*command))

    def use_hast_conf(self, text: str) -> Pair:
        """Give both nodes a hast.conf of your own, and return the pair as seen from its resource.

        Nodes of other names, their disks and their addresses in it become those of the lab; the
        transcript says which. Of several resources it is the first. Raises `SettingsError` for a
        file that is not for two nodes, or that hastd refuses.
        """
        from harness.cluster import provision  # noqa: PLC0415 - takes its time, and few need it

        own = provision.configure_own(self.nodes, self.settings, text)
        changes: dict[str, object] = {"timeout": own.timeout or DEFAULT_TIMEOUT}
        if own.resources:
            changes["resource"] = own.resources[0]
        hast = self.settings.hast.but(**changes, second=None)
        return Pair(*self.nodes, self.settings.with_hast(hast), self._watch)

    def start_hastd(self, *nodes: Node) -> None:
        """Start hastd (on both nodes by default). Raises `CommandFailed` with what it said last.

        `service hastd start` returns when hastctl is answered (provision/hastd.rc.conf).
        """

        def start(node: Node) -> None:
            self._provnames.pop(node.name, None)
            node.run("service", "hastd", "start")

        on_each(nodes or self.nodes, start)

    def promote(self, node: Node) -> None:
        """Make the node primary and wait until its device is there.

        The device appears before it serves I/O: without a peer the first read or write waits for
        HAST's timeout. Raises `KnownBugMet` like `wait_until_complete`: on 15.1 there is no device
        while a primary tries in vain to reach its secondary.
        """
        device = self.device_on(node)
        node.run("hastctl", "role", "primary", self.resource)
        with self._known_bugs_named(node):
            wait_until(
                f"{device} on {node}",
                lambda: self._exists(node, device),
                CONNECT_SECONDS_IN_VAIN if self._watch.met_by(node.name) else 30,
            )

    def demote(self, node: Node) -> None:
        """Make the node secondary. Export the pool first: hastd takes the device away by force."""
        device = self.device_on(node)
        node.run("hastctl", "role", "secondary", self.resource)
        wait_until(f"{device} to be gone on {node}", lambda: not self._exists(node, device), 30)

    def wait_until_complete(self, primary: Node) -> None:
        """Wait until both say that they are connected. That is not in sync yet.

        The secondary is asked too, because a primary can say `complete` of a secondary that is
        gone, until it next sends something (docs/findings.md). Raises `KnownBugMet` where that is
        what a known bug looks like, and sooner once it has been met in this run.
        """
        for node in (self.peer(primary), primary):
            with self._known_bugs_named(primary):
                wait_until(
                    f"{node} to say complete",
                    lambda node=node: self.info(node),  # type: ignore[misc]
                    CONNECT_SECONDS_IN_VAIN
                    if self._watch.met_by(primary.name)
                    else CONNECT_SECONDS,
                    accept=lambda info: info.status is Status.COMPLETE,
                    hint=lambda info, node=node: self._role_hint(node, info, primary),  # type: ignore[misc]
                )

    @contextlib.contextmanager
    def _known_bugs_named(self, primary: Node) -> Iterator[None]:
        """Where a wait for the pair to connect expires, raise it by the bug that it looks like."""
        try:
            yield
        except WaitExpired as expired:
            raise self._watch.explain(primary, self.peer(primary), expired) from expired

    def _role_hint(self, node: Node, info: hast.ResourceInfo, primary: Node) -> str | None:
        """What a node's role has to do with its not being connected."""
        wanted = Role.PRIMARY if node is primary else Role.SECONDARY
        command = f"hastctl role {wanted} {self.resource}"
        forgotten = False
        if info.role is Role.INIT:
            with contextlib.suppress(HarnessError):
                forgotten = bool(self.said(node, hastd_log.NoMetadata))
            if forgotten:
                return f"Its disk has no metadata: hastctl create {self.resource}, then {command}"
            return f"It forgot its role at boot: {command}"
        if info.role is not wanted:
            return f"It should be {wanted}: {command}"
        return None

    def wait_until_degraded(self, primary: Node) -> None:
        """Wait until the primary has noticed that its secondary is gone: at most the timeout."""
        wait_until(
            f"{primary} to say degraded",
            lambda: self.info(primary),
            self.settings.hast.timeout + CONNECT_SECONDS,
            accept=lambda info: info.status is Status.DEGRADED,
        )

    @property
    def longest_resync(self) -> float:
        """Seconds in which a full resync has to end: the whole data disk at `SLOWEST_RESYNC`."""
        return CONNECT_SECONDS + (self.settings.machine.data_disk_mib << 20) / SLOWEST_RESYNC

    def wait_until_in_sync(self, primary: Node) -> None:
        """Wait until the secondary is connected and nothing is left to send to it."""
        self.wait_until_complete(primary)
        wait_until(
            f"{primary} to be in sync with {self.peer(primary)}",
            lambda: self.info(primary),
            self.longest_resync,
            accept=lambda info: info.in_sync,
        )

    def write_device(self, primary: Node, offset: int) -> None:
        """Write 64 KiB of chance to the device itself, at `offset` bytes, and wait for its end.

        Whatever is there is overwritten: the pool has to be exported, and may be damaged.
        """
        primary.run(
            *("dd", "if=/dev/random", f"of={self.device}", "bs=64k", "count=1"),
            f"seek={offset >> 16}",
            within=self.settings.hast.timeout + CONNECT_SECONDS,
        )

    def create_pool(self, node: Node, *options: str) -> None:
        """`zpool create` on the HAST device of the primary."""
        node.run("zpool", "create", *options, self.pool, self.device)

    def export_pool(self, node: Node) -> None:
        """`zpool export -f`: unmount, write everything out, and let the device go."""
        node.run("zpool", "export", "-f", self.pool)

    def import_pool(self, node: Node, *options: str) -> None:
        """`zpool import`: with `-f` also a pool that another node has not exported.

        Only devices in /dev/hast are looked at, which is where the pool is.
        """
        node.run("zpool", "import", *options, self.pool, within=120)

    def set_up(self) -> None:
        """Set the cluster up as claim 1 has it: skunk1 primary with the pool, skunk2 secondary."""
        self.set_up_replication()
        self.create_pool(self.skunk1)

    def set_up_replication(self) -> None:
        """The same without anything on the device yet."""
        self.create_resource()
        self.start_hastd()
        self.demote(self.skunk2)
        self.promote(self.skunk1)
        self.wait_until_in_sync(self.skunk1)

    def fail_over(self, old: Node, new: Node, *options: str) -> None:
        """Hand the service over in an orderly way, as claim 3 has it.

        `options` go to `zpool import`; after an export it needs none.
        """
        self.export_pool(old)
        self.demote(old)
        self.promote(new)
        self.import_pool(new, *options)

    def disconnect_role(self, node: Node) -> None:
        """Take the role away: hastd lets go of the disk and of the peer."""
        node.run("hastctl", "role", "init", self.resource)

    def rejoin(self, node: Node) -> None:
        """Make a node that came back secondary again, and wait until it has caught up."""
        self.demote(node)
        self.wait_until_in_sync(self.peer(node))

    def discard(self, node: Node) -> None:
        """Throw away all that the node has, as claim 6 ends a split-brain.

        Its metadata are created anew, and as secondary it gets everything from the other node.
        """
        self.disconnect_role(node)
        self.create_resource(node)
        self.demote(node)

    def replace_disk(self, node: Node) -> None:
        """Put a new disk in: all that HAST uses of it reads as zeros, and its metadata are new.

        The node has no role afterwards. Made secondary it gets everything from the other one.
        """
        metadata, provider = self.metadata(node), self.info(node).localpath
        size = metadata.localoff + metadata.datasize
        self.disconnect_role(node)
        script = 'dd if=/dev/zero of="$1" bs=1m count="$2" 2>/dev/null'
        node.sh(script, provider, str(-(-size // (1 << 20))))
        self.create_resource(node)

    def recover_from_split_brain(self, loser: Node) -> None:
        """End a split-brain: what the loser has is thrown away, and it gets the other's data."""
        self.discard(loser)
        self.wait_until_in_sync(self.peer(loser))

    # --- the harness's own needs ----------------------------------------------------------------

    def wait_for_ssh(self) -> None:
        """Wait until both nodes answer over SSH."""
        on_each(self.nodes, lambda node: node.wait_for_ssh())

    def set_clocks(self) -> None:
        """Give both nodes the host's time: after a restore they still live in the snapshot's."""

        def set_clock(node: Node) -> None:
            node.run("date", "-u", clock.current().utc().strftime("%Y%m%d%H%M.%S"))

        on_each(self.nodes, set_clock)
