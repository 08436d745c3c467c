"""Provisioning: two fresh FreeBSD machines become the nodes of one HAST pair.

What happens on a node is in provision/, in sh(1), for an administrator to read and to run by hand.
Here is only what has to be found out first: which disk and which NIC a node has.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from harness.cluster import own_hast_conf, programs
from harness.cluster.node import Node
from harness.cluster.own_hast_conf import OwnHastConf, Place
from harness.config import paths
from harness.config.settings import PARTITION_MIB, SMALLEST_DATA_DISK_MIB, Settings
from harness.errors import LabError, SettingsError
from harness.freebsd import geom, ifconfig
from harness.lab.replaced import Replacement
from harness.waiting.parallel import on_each

LOCAL_FILE = "/var/hast-mirror"
"""The local provider of `local: file`."""

LOCAL_SIZE = f"{PARTITION_MIB}m"
"""Of a partition or a file as local provider: what ZFS needs at least, and some room."""

_EX_CONFIG = 78
"""hastctl's exit status for a configuration that it does not accept (sysexits(3))."""


@dataclass(frozen=True)
class Findings:
    """What a node turned out to have: its data disk as /dev/..., its NICs' names.

    `public_nic` is None on machines without one.
    """

    disk: str
    nic: str
    public_nic: str | None


def provision(
    nodes: Sequence[Node], settings: Settings, replacements: Sequence[Replacement] = ()
) -> None:
    """Make the nodes of a pair ready for `hastctl create`. Safe to repeat.

    The programs of `replacements` take their places first: they read the hast.conf. Everything else
    that can be wrong is looked at on both nodes before either is changed. Raises `LabError` when a
    disk or NIC is missing or too small and `SettingsError` when hastd refuses the hast.conf that
    follows from the settings, or a program does not load.
    """
    programs.replace(nodes, replacements)
    found, hast_conf = _checked(nodes, settings)

    def change(node: Node) -> None:
        _make_local_provider(node, settings, found[node.name].disk)
        _change(node, settings, found[node.name], hast_conf)

    on_each(nodes, change)


def configure(nodes: Sequence[Node], settings: Settings) -> None:
    """Give provisioned nodes, where hastd does not run, another hast.conf and its local providers.

    Raises like `provision`.
    """
    found, hast_conf = _checked(nodes, settings)

    def change(node: Node) -> None:
        _make_local_provider(node, settings, found[node.name].disk)
        node.put("/etc/hast.conf", hast_conf.encode())
        node.run("fsync", "/etc/hast.conf")

    on_each(nodes, change)


def configure_own(nodes: Sequence[Node], settings: Settings, text: str) -> OwnHastConf:
    """Give provisioned nodes, where hastd does not run, a hast.conf of the user's own.

    Names, disks and addresses in it become those of the lab. Raises `SettingsError` for a file that
    is not for two nodes, or that hastd refuses, before anything is changed; else like `provision`.
    """
    found = dict(on_each(nodes, lambda node: (node.name, _find(node, settings))))
    resources = own_hast_conf.resources_of(text)
    hast = settings.hast
    if len(resources) > 1:
        hast = hast.but(resource=resources[0], second=resources[1], local="partition")
        settings = settings.with_hast(hast)
    places = {}
    for name, findings in found.items():
        provider = local_provider(settings, findings.disk)
        more = (_second_partition(provider),) if len(resources) > 1 else ()
        address = str(settings.nodes[name].private_address)
        places[name] = Place(address, (provider, *more))
    own = own_hast_conf.adapt(text, places)
    on_each(nodes, lambda node: _check_hast_conf(node, own.text))

    def change(node: Node) -> None:
        _make_local_provider(node, settings, found[node.name].disk)
        node.put("/etc/hast.conf", own.text.encode())
        node.run("fsync", "/etc/hast.conf")  # a power cut takes what is not on the disk
        for line in own.changes:
            node.note(f"hast.conf: {line}")

    on_each(nodes, change)
    return own


def local_provider(settings: Settings, disk: str) -> str:
    """What `local` in hast.conf names on a node with this data disk (a path in /dev)."""
    return {
        "disk": disk,
        "partition": f"{disk}p1",
        "file": LOCAL_FILE,
        "gnop": f"{disk}.nop",
    }[settings.hast.local]


def _second_partition(provider: str) -> str:
    """Where the second resource is, when the first one is on a partition."""
    return provider.removesuffix("p1") + "p2"


def render_hast_conf(settings: Settings, disks: dict[str, str]) -> str:
    """Return hast.conf, the same for both nodes; `disks` has each node's local provider."""
    names = sorted(settings.nodes)
    environment = jinja2.Environment(  # noqa: S701 - no HTML
        loader=jinja2.FileSystemLoader(paths.PROVISION),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    addresses = {name: str(settings.nodes[name].private_address) for name in names}
    return environment.get_template("hast.conf.j2").render(
        hast=settings.hast.model_dump(),
        nodes=[
            {
                "name": name,
                "address": addresses[name],
                "peer_address": addresses[peer],
                "disk": disks[name],
                "second_disk": _second_partition(disks[name]),
            }
            for name, peer in zip(names, reversed(names), strict=True)
        ],
    )


def _checked(nodes: Sequence[Node], settings: Settings) -> tuple[dict[str, Findings], str]:
    """Look at everything that can be wrong: what each node has, by name, and the hast.conf."""
    found = dict(on_each(nodes, lambda node: (node.name, _find(node, settings))))
    disks = {name: local_provider(settings, findings.disk) for name, findings in found.items()}
    hast_conf = render_hast_conf(settings, disks)
    on_each(nodes, lambda node: _check_hast_conf(node, hast_conf))
    return found, hast_conf


def _find(node: Node, settings: Settings) -> Findings:
    serial = settings.data_disk_serial(node.name)
    disks = geom.parse_disks(node.run(*geom.DISK_LIST_COMMAND).stdout)
    disk = next((disk for disk in disks if disk.ident == serial), None)
    if disk is None:
        seen = ", ".join(f"{disk.name} ({disk.ident or 'no serial'})" for disk in disks)
        raise LabError(f"there is no disk with the serial {serial}; it has {seen}", node=node.name)
    if disk.mediasize < SMALLEST_DATA_DISK_MIB << 20:
        raise LabError(
            f"the data disk {disk.name} has {disk.mediasize >> 20} MiB, and HAST with ZFS needs "
            f"{SMALLEST_DATA_DISK_MIB} MiB",
            node=node.name,
            advice="set machine.data_disk_mib in lab.yaml and make the pair anew",
        )
    mac = settings.private_mac(node.name)
    interfaces = ifconfig.parse(node.run(*ifconfig.COMMAND).stdout)
    nic = ifconfig.interface(interfaces, ether=mac)
    if nic is None:
        seen = ", ".join(f"{nic.name} ({nic.ether})" for nic in interfaces if nic.ether)
        raise LabError(f"there is no NIC with the address {mac}; it has {seen}", node=node.name)
    public = ifconfig.interface(interfaces, ether=settings.public_mac(node.name))
    return Findings(disk.path, nic.name, public.name if public else None)


def _check_hast_conf(node: Node, hast_conf: str) -> None:
    node.put("/tmp/hast.conf", hast_conf.encode())  # noqa: S108 - a path on the guest
    # hast.conf is read as the host that it names; the running host name is gone with a reboot.
    script = 'hostname "$1" && exec hastctl dump -c /tmp/hast.conf'
    said = node.sh(script, node.name, check=False)
    if said.status == _EX_CONFIG:
        raise SettingsError(
            f"hastd on {node.name} refuses this hast.conf:\n"
            f"{said.stderr}--- hast.conf ---\n{hast_conf}",
            advice="correct the section `hast` of lab.yaml, or the hast.conf",
        )


def _make_local_provider(node: Node, settings: Settings, disk: str) -> None:
    match settings.hast.local:
        case "partition":
            script = (
                'gpart show "$1" >/dev/null 2>&1 && exit\n'
                'gpart create -s gpt "$1" && gpart add -t freebsd-zfs -a 1m -s "$2" "$1" &&\n'
                'gpart add -t freebsd-zfs -a 1m -s "$2" "$1"'
            )
            node.sh(script, disk, LOCAL_SIZE)
        case "file":
            node.run("truncate", "-s", LOCAL_SIZE, LOCAL_FILE)
        case "gnop":  # gone after a reboot
            node.sh('[ -e "$1.nop" ] || { kldload -n geom_nop && gnop create "$1"; }', disk)
        case "disk":
            pass


def _change(node: Node, settings: Settings, found: Findings, hast_conf: str) -> None:
    node.put("/etc/hast.conf", hast_conf.encode())
    node.sh("rm -rf /root/provision && mkdir -p /root/provision")
    node.run("tar", "-xf", "-", "-C", "/root/provision", stdin=_bundle())
    prefix = settings.private_network.prefixlen
    public = []
    if settings.public is not None and found.public_nic is not None:
        address = settings.public_address(node.name)
        public = ["-p", f"{found.public_nic}={address}/{settings.public.network.prefixlen}"]
    node.run(
        *("sh", "/root/provision/provision-node.sh", *public, node.name, found.nic),
        f"{settings.nodes[node.name].private_address}/{prefix}",
        *(f"{settings.nodes[name].private_address} {name}" for name in sorted(settings.nodes)),
        within=180,
    )


def _bundle() -> bytes:
    """The provision folder as a tar archive: one transfer instead of one for each file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(paths.PROVISION.iterdir()):
            archive.add(path, arcname=path.name)
    return packed.getvalue()
