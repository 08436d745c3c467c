"""The settings of a pair: `lab.yaml`, checked before anything is started."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from harness.config import paths, yaml_file
from harness.errors import SettingsError
from harness.freebsd.hast.conf import KEYWORDS

SMALLEST_DATA_DISK_MIB = 128
"""ZFS refuses a vdev under 64 MiB (SPA_MINDEVSIZE in FreeBSD's sys/fs/zfs.h), and HAST keeps the
start of the disk for its metadata; twice the ZFS minimum leaves room for files to check."""

NODES = ("skunk1", "skunk2")
"""The names of the two nodes, whatever their hast.conf calls them."""

Program = Literal["hastd", "hastctl"]
PROGRAMS: tuple[Program, ...] = ("hastd", "hastctl")
"""What of the base system a program of the user's own can take the place of."""

MAC_PREFIX = "52:54:00:c0:a8"
"""Private NICs get this prefix (QEMU's own, locally administered) and the node's number."""

PUBLIC_MAC_PREFIX = "52:54:00:cb:71"
"""NICs on the public network get this one."""

LARGEST_DATA_DISK_MIB = 16 << 20
"""16 TiB: what a file of the host's ext4, in which the disk is, can hold."""

PARTITION_MIB = 160
"""Of each partition, and of the file, as local provider (harness/cluster/provision.py)."""

_RESERVED_POOLS = re.compile(r"(mirror|raidz|draid|spare).*|log")
"""Names that zpool(8) keeps for itself (cmd/zpool/zpool_main.c; recorded on 13.2)."""

_FOLDERS = "bin boot dev etc home lib libexec media mnt net proc rescue root sbin sys tmp usr var"
_ROOT_FOLDERS = frozenset(_FOLDERS.split())
"""What is in / of a FreeBSD system, where a pool is mounted by its name (hier(7))."""

_OTHER_NETWORKS = {
    "10.0.2.0/24": "the management network of QEMU and VirtualBox",
    "192.168.121.0/24": "the management network of vagrant-libvirt",
}
"""Networks that the nodes are in already."""

Port = Annotated[int, Field(ge=1024, le=65535)]
Release = Annotated[str, Field(pattern=r"^(\d+|\d+\.\d+(-CURRENT|-STABLE|-RELEASE)?|CURRENT)$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]


_LONGEST_PUBLIC_PREFIX = 28
"""Sixteen addresses: those of the pair, and some that QEMU's user-mode network keeps."""


def _free(network: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """The network, unless nodes are in it already or hosts cannot be."""
    if network.is_loopback or network.is_multicast or network.is_unspecified:
        raise ValueError(f"{network} has no addresses of hosts")
    for taken, by in _OTHER_NETWORKS.items():
        if network.overlaps(ipaddress.IPv4Network(taken)):
            raise ValueError(f"{network} overlaps {taken}, {by}: take another one")
    return network


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReplaceSettings(_Section):
    """Programs of the user's own in the place of the image's: a path on the host, or None."""

    hastd: Path | None = None
    hastctl: Path | None = None


class NodeSettings(_Section):
    """One node: its addresses on both networks, and a fixed SSH port where one is wanted.

    `image` is another FreeBSD image than the other node's, or `release` another release that is in
    the cache (qemu lab); `replace` are programs for this node alone.
    """

    private_address: ipaddress.IPv4Address
    public_address: ipaddress.IPv4Address | None = None
    ssh_port: Port | None = None
    image: Path | None = None
    release: Release | None = None
    replace: ReplaceSettings = ReplaceSettings()

    @pydantic.model_validator(mode="after")
    def _one_image(self) -> NodeSettings:
        if self.image is not None and self.release is not None:
            raise ValueError(f"either image ({self.image}) or release ({self.release}), not both")
        return self


class PublicSettings(_Section):
    """The network of the pair's clients: one Ethernet segment of both nodes and a client.

    `service` is the address that a failover moves, `client` the client's own; `port` is the TCP
    port of the service.
    """

    network: ipaddress.IPv4Network
    service: ipaddress.IPv4Address
    client: ipaddress.IPv4Address
    port: Annotated[int, Field(ge=1, le=65535)] = 7777

    @pydantic.field_validator("network")
    @classmethod
    def _of_hosts(cls, network: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
        if network.prefixlen > _LONGEST_PUBLIC_PREFIX:
            raise ValueError(f"{network} has no room for two nodes, a service and a client")
        return _free(network)


class MachineSettings(_Section):
    """The virtual hardware of each node."""

    cpus: Annotated[int, Field(ge=1, le=64)] = 1
    memory_mib: Annotated[int, Field(ge=512, le=1 << 20)] = 1024
    data_disk_mib: int = 512
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"

    @pydantic.field_validator("data_disk_mib")
    @classmethod
    def _large_enough(cls, size: int) -> int:
        if size < SMALLEST_DATA_DISK_MIB:
            raise ValueError(
                f"a data disk of {size} MiB is too small: HAST's metadata and the smallest ZFS "
                f"pool need {SMALLEST_DATA_DISK_MIB} MiB"
            )
        if size > LARGEST_DATA_DISK_MIB:
            raise ValueError(
                f"a data disk of {size} MiB is too large: {LARGEST_DATA_DISK_MIB} (16 TiB) at most"
            )
        return size


class ImageSettings(_Section):
    """Which FreeBSD image the qemu lab takes when none is named.

    `release` is one (14.3, 16.0-CURRENT), or a branch: 14 is its newest release, CURRENT the
    newest development snapshot. Which one that is, `harness.lab.images` finds out.
    """

    release: Release = "14"
    architecture: Literal["amd64"] = "amd64"

    @property
    def is_branch(self) -> bool:
        """Whether only the branch is named, and not which release of it."""
        return "." not in self.release

    @property
    def is_snapshot(self) -> bool:
        """Whether the project publishes another image under this name every week."""
        return self.release.endswith(("-CURRENT", "-STABLE"))

    @property
    def full_release(self) -> str:
        """As in the image's name: 13.2-RELEASE, 16.0-CURRENT; of a branch as it is."""
        return self.release if self.is_branch or "-" in self.release else f"{self.release}-RELEASE"

    @property
    def file_name(self) -> str:
        """The project's own name of the image, as on download.freebsd.org; not of a branch."""
        return f"FreeBSD-{self.full_release}-{self.architecture}.qcow2"

    def names(self, release: str) -> bool:
        """Whether `release`, as `uname -r` or an image's name has it, is what is asked for.

        A patch level (14.3-RELEASE-p2) belongs to its release.
        """
        number, _, kind = release.partition("-")
        if self.release == "CURRENT":
            return kind.startswith("CURRENT")
        if self.is_branch:
            return number.startswith(f"{self.release}.") and kind.startswith("RELEASE")
        return release == self.full_release or release.startswith(f"{self.full_release}-")


class BoxSettings(_Section):
    """The Vagrant lab's box and provider; without a name it is one of `image.release`."""

    name: str | None = Field(default=None, min_length=1)
    version: str | None = None
    provider: Literal["libvirt", "virtualbox"] = "libvirt"
    driver: Literal["auto", "kvm", "qemu"] = "auto"
    libvirt_uri: str = Field(default="qemu:///system", min_length=1)


def _name_of_resource(name: str) -> str:
    """Refuse what hast.conf or hastctl(8) takes for something else."""
    if name.startswith("-"):
        raise ValueError(f"hastctl takes {name} for an option: begin it with a letter")
    if name == "all":
        raise ValueError("`all` means every resource to hastctl: give it another name")
    if name in KEYWORDS:
        raise ValueError(f"`{name}` is a word of hast.conf itself: give it another name")
    if name.isdecimal():
        raise ValueError(f"hast.conf takes {name} for a number: add a letter")
    return name


ResourceName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,60}$"),
    pydantic.AfterValidator(_name_of_resource),
]


class HastSettings(_Section):
    """The one HAST resource: hast.conf(5) and, from `extent_kib` on, the options of `create`.

    `timeout` is in seconds. `exec` is a program on the node. None leaves a choice to FreeBSD.
    `local` is what the provider is: the whole data disk, a partition of it, a file on the root
    disk, or the data disk under gnop(8), through which a measurement can make it slow.
    """

    resource: ResourceName = "mirror"
    replication: Literal["memsync", "fullsync", "async"] = "memsync"
    timeout: Annotated[int, Field(ge=1, le=86400)] = 20
    checksum: Literal["none", "crc32", "sha256"] | None = None
    compression: Literal["none", "hole", "lzf"] | None = None
    metaflush: bool | None = None
    exec: str | None = Field(default=None, pattern=r"^/[A-Za-z0-9._/:\[\]-]+$", max_length=1000)
    local: Literal["disk", "partition", "file", "gnop"] = "disk"
    extent_kib: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    keep_dirty: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    media_mib: Annotated[int, Field(ge=1, le=LARGEST_DATA_DISK_MIB)] | None = None
    """Use only so much of the provider, as `hastctl create -m` has it for unequal ones."""
    second: ResourceName | None = None
    """Another resource of this name, on a second partition of the data disk."""

    @pydantic.field_validator("extent_kib")
    @classmethod
    def _power_of_two(cls, size: int | None) -> int | None:
        if size is not None and size & (size - 1):
            raise ValueError(f"extents of {size} KiB: hastctl aborts unless it is a power of two")
        return size

    @pydantic.model_validator(mode="after")
    def _room_for_two(self) -> HastSettings:
        if self.second is not None and self.local != "partition":
            raise ValueError("a second resource needs partitions: set local to partition")
        if self.second == self.resource:
            raise ValueError(f"both resources have the name {self.second}")
        return self

    def but(self, **changes: object) -> HastSettings:
        """The same with these changes. Raises `SettingsError` for what hast.conf cannot have."""
        try:
            return HastSettings.model_validate(self.model_dump() | changes)
        except pydantic.ValidationError as error:
            raise SettingsError(
                f"these settings of HAST are wrong:\n{yaml_file.problems(error, HastSettings)}",
                advice="correct them where they are given",
            ) from None


class SimulatedSettings(_Section):
    """The simulated lab: its chance, its cable and its data disks.

    Rates are in megabytes (1e6) and megabits a second, delays one way in milliseconds, `link_loss`
    is the share of packets that have to be sent again.
    """

    seed: int = 1
    link_delay_ms: Annotated[float, Field(ge=0)] = 0.2
    link_mbit: Annotated[float, Field(gt=0)] = 1000.0
    link_loss: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    disk_latency_ms: Annotated[float, Field(ge=0)] = 0.5
    disk_mb: Annotated[float, Field(gt=0)] = 200.0


class Deadlines(_Section):
    """How long each thing may take, in seconds before the time scale."""

    ssh_ready: Seconds = 180.0
    command: Seconds = 60.0
    alive: Seconds = 10.0
    shutdown: Seconds = 90.0
    hypervisor: Seconds = 60.0


def _check_hosts(
    kind: str, network: ipaddress.IPv4Network, addresses: Sequence[ipaddress.IPv4Address]
) -> None:
    """Raise `ValueError` unless each of them can be a host's in the network."""
    for address in addresses:
        if address not in network:
            raise ValueError(f"{address} is not in the {kind} network {network}")
        ends = {network.network_address, network.broadcast_address}
        if network.prefixlen < 31 and address in ends:
            raise ValueError(
                f"{address} is the network's or the broadcast address of {network}, and no node's"
            )


class Settings(_Section):
    """All that can be chosen about a pair. Without `public` a node has no NIC for clients."""

    nodes: dict[str, NodeSettings]
    private_network: ipaddress.IPv4Network
    public: PublicSettings | None = None
    machine: MachineSettings = MachineSettings()
    image: ImageSettings = ImageSettings()
    box: BoxSettings = BoxSettings()
    replace: ReplaceSettings = ReplaceSettings()
    hast: HastSettings = HastSettings()
    pool: str = Field(default="failover", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,59}$")
    time_scale: Annotated[float, Field(gt=0, le=1000)] = 1.0
    simulated: SimulatedSettings = SimulatedSettings()
    deadlines: Deadlines = Deadlines()

    @pydantic.field_validator("private_network")
    @classmethod
    def _of_hosts(cls, network: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
        if network.prefixlen > 31:
            raise ValueError(f"{network} has no room for two nodes")
        return _free(network)

    @pydantic.field_validator("pool")
    @classmethod
    def _name_of_pool(cls, name: str) -> str:
        if _RESERVED_POOLS.fullmatch(name):
            raise ValueError(f"zpool keeps the name {name} for itself: give the pool another one")
        if name in _ROOT_FOLDERS:
            raise ValueError(f"the pool {name} would hide /{name}: give it another name")
        return name

    @pydantic.model_validator(mode="after")
    def _fits_the_disk(self) -> Settings:
        disk, hast = self.machine.data_disk_mib, self.hast
        if hast.local == "partition" and disk < 2 * PARTITION_MIB + 2:
            raise ValueError(
                f"machine.data_disk_mib is {disk}, and two partitions of {PARTITION_MIB} MiB need "
                f"{2 * PARTITION_MIB + 2}"
            )
        provider = PARTITION_MIB if hast.local in {"partition", "file"} else disk
        media = hast.media_mib
        if media is not None and not SMALLEST_DATA_DISK_MIB <= media <= provider:
            raise ValueError(
                f"hast.media_mib is {media}: a pool needs {SMALLEST_DATA_DISK_MIB}, and the "
                f"provider has {provider}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _a_pair(self) -> Settings:
        if sorted(self.nodes) != [*NODES]:
            raise ValueError(
                "a pair has exactly the nodes skunk1 and skunk2, and here are "
                + (", ".join(sorted(self.nodes)) or "none")
            )
        addresses = [node.private_address for node in self.nodes.values()]
        _check_hosts("private", self.private_network, addresses)
        if len(set(addresses)) != len(addresses):
            raise ValueError(f"both nodes have the private address {addresses[0]}")
        ports = [node.ssh_port for node in self.nodes.values() if node.ssh_port is not None]
        if len(set(ports)) != len(ports):
            raise ValueError(f"both nodes have the ssh_port {ports[0]}: one of them cannot have it")
        return self

    @pydantic.model_validator(mode="after")
    def _reached_by_clients(self) -> Settings:
        public = self.public
        if public is None:
            if any(node.public_address for node in self.nodes.values()):
                raise ValueError("a node has a public_address, and there is no public network")
            return self
        if public.network.overlaps(self.private_network):
            raise ValueError(f"{public.network} overlaps the private network")
        hosts = [*map(self.public_address, self.nodes), public.service, public.client]
        _check_hosts("public", public.network, hosts)
        if len(set(hosts)) != len(hosts):
            raise ValueError("two nodes, the service and the client have four public addresses")
        return self

    def with_seed(self, seed: int) -> Settings:
        """The same with another chance for the simulated lab."""
        simulated = self.simulated.model_copy(update={"seed": seed})
        return self.model_copy(update={"simulated": simulated})

    def with_hast(self, hast: HastSettings) -> Settings:
        """The same with another hast.conf."""
        return self.model_copy(update={"hast": hast})

    def with_programs(self, hastd: Sequence[str] = (), hastctl: Sequence[str] = ()) -> Settings:
        """The same with programs as a command line names them: FILE, or NODE=FILE for one node.

        FILE takes the place of what the settings name for any node. Raises `SettingsError` where a
        node would get two.
        """
        settings = self
        given: dict[Program, Sequence[str]] = {"hastd": hastd, "hastctl": hastctl}
        for program, words in given.items():
            settings = settings._with_program(program, words)
        return settings

    def _with_program(self, program: Program, words: Sequence[str]) -> Settings:
        named: dict[str, Path] = {}
        for word in words:
            node, equals, file = word.partition("=")
            if not equals or node not in NODES:
                node, file = "", word
            if node in named:
                raise SettingsError(
                    f"--{program} is given twice for {node or 'both nodes'}: "
                    f"{named[node]} and {file}",
                    advice=f"give it once, or once for each node: --{program} {NODES[0]}=FILE",
                )
            named[node] = Path(os.path.expanduser(file)).absolute()  # noqa: PTH111 - never raises
        if not named:
            return self
        shared, nodes = self.replace, dict(self.nodes)
        for name, node_settings in nodes.items():
            own = getattr(node_settings.replace, program) if "" not in named else None
            replace = node_settings.replace.model_copy(update={program: named.get(name, own)})
            nodes[name] = node_settings.model_copy(update={"replace": replace})
        if "" in named:
            shared = shared.model_copy(update={program: named[""]})
        return self.model_copy(update={"replace": shared, "nodes": nodes})

    def program_for(self, node: str, program: Program) -> Path | None:
        """The file that takes the place of a program on a node; None: the image's own stays."""
        own: Path | None = getattr(self.nodes[node].replace, program)
        shared: Path | None = getattr(self.replace, program)
        return own or shared

    def program_words(self, program: Program) -> list[str]:
        """What `with_programs` takes for what is in place of a program: whole paths, by node."""
        found = {node: self.program_for(node, program) for node in sorted(self.nodes)}
        return [f"{node}={path}" for node, path in found.items() if path is not None]

    def image_of(self, node: str) -> ImageSettings:
        """Which image a node boots, where it has no file of its own."""
        release = self.nodes[node].release or self.image.release
        return self.image.model_copy(update={"release": release})

    def _beside(self, folder: Path) -> Settings:
        """The same with every file that the settings name counted from their own folder."""

        def found(path: Path | None) -> Path | None:
            return path and folder / os.path.expanduser(path)  # noqa: PTH111 - never raises

        def replace(own: ReplaceSettings) -> ReplaceSettings:
            return ReplaceSettings(hastd=found(own.hastd), hastctl=found(own.hastctl))

        nodes = {
            name: node.model_copy(
                update={"image": found(node.image), "replace": replace(node.replace)}
            )
            for name, node in self.nodes.items()
        }
        return self.model_copy(update={"nodes": nodes, "replace": replace(self.replace)})

    def private_mac(self, node: str) -> str:
        """The Ethernet address of `node`'s private NIC, by which the guest finds the NIC."""
        return f"{MAC_PREFIX}:{sorted(self.nodes).index(node) + 1:02x}"

    def public_address(self, node: str) -> ipaddress.IPv4Address:
        """Its address there: as the settings say, else .1 for the first node and .2 for the other.

        Only with a public network.
        """
        assert self.public is not None
        number = sorted(self.nodes).index(node) + 1
        return self.nodes[node].public_address or self.public.network[number]

    def public_mac(self, node: str) -> str:
        """The Ethernet address of `node`'s NIC on the public network."""
        return f"{PUBLIC_MAC_PREFIX}:{sorted(self.nodes).index(node) + 1:02x}"

    def data_disk_serial(self, node: str) -> str:
        """The serial number of `node`'s data disk, by which the guest finds the disk.

        At most 20 characters, which is what virtio-blk carries.
        """
        return f"{node}-data"


def load(path: Path = paths.SETTINGS) -> Settings:
    """Read and check a settings file.

    Raises `SettingsError` naming the file, the key and what is wrong with it: no such file, not
    UTF-8 or not YAML, a key twice, an unknown key, a value of the wrong kind or out of its range.
    Relative paths of programs and images in it are counted from its own folder.
    """
    settings = yaml_file.read(
        path,
        Settings.model_validate,
        called="the settings file",
        advice="correct the keys above; lab.yaml in the repository shows them all",
    )
    return settings._beside(path.absolute().parent)
