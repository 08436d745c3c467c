"""The command that mends what a host lacks, on the systems that people run the labs on."""

from __future__ import annotations

import platform
import sys
from typing import Literal

Family = Literal["debian", "fedora", "freebsd", "macos", "other"]
Missing = Literal[
    "qemu", "firmware", "ssh", "vagrant", "vagrant-libvirt", "libvirt", "virtualbox", "kvm group"
]

_OTHER = "see the documentation of your system"

_NO_LIBVIRT = (
    "the libvirt provider needs a Linux host: take the qemu lab (`skunk doctor --lab qemu`)"
)

_COMMANDS: dict[Missing, dict[Family, str]] = {
    "qemu": {
        "debian": "apt-get install qemu-system-x86 qemu-utils",
        "fedora": "dnf install qemu-system-x86 qemu-img",
        "freebsd": "pkg install qemu",
        "macos": "brew install qemu",
    },
    "firmware": {
        "debian": "apt-get install ovmf",
        "fedora": "dnf install edk2-ovmf",
        "freebsd": "pkg install edk2-qemu-x64",
        "macos": "brew reinstall qemu",
    },
    "ssh": {
        "debian": "apt-get install openssh-client",
        "fedora": "dnf install openssh-clients",
        "freebsd": "it is part of the base system: look at PATH",
        "macos": "it is part of the system: look at PATH",
    },
    "vagrant": {
        "debian": "apt-get install vagrant vagrant-libvirt",
        "fedora": "dnf install vagrant vagrant-libvirt",
        "freebsd": "pkg install vagrant",
        "macos": "brew install hashicorp/tap/hashicorp-vagrant",
    },
    "vagrant-libvirt": {
        "debian": "apt-get install vagrant-libvirt, or, where Vagrant is not Debian's: "
        "vagrant plugin install vagrant-libvirt",
        "fedora": "dnf install vagrant-libvirt",
        "freebsd": _NO_LIBVIRT,
        "macos": _NO_LIBVIRT,
    },
    "libvirt": {
        "debian": "apt-get install libvirt-daemon-system libvirt-clients qemu-system-x86 "
        "qemu-utils dnsmasq-base && usermod -aG libvirt $USER",
        "fedora": "dnf install libvirt-daemon-kvm libvirt-client dnsmasq && "
        "systemctl enable --now libvirtd && usermod -aG libvirt $USER",
        "freebsd": _NO_LIBVIRT,
        "macos": _NO_LIBVIRT,
    },
    "virtualbox": {
        "debian": "install it from https://www.virtualbox.org/wiki/Linux_Downloads",
        "fedora": "dnf install VirtualBox (RPM Fusion)",
        "freebsd": "pkg install virtualbox-ose",
        "macos": "brew install --cask virtualbox",
    },
    "kvm group": {
        "debian": "usermod -aG kvm $USER, then log in anew",
        "fedora": "usermod -aG kvm $USER, then log in anew",
    },
}


def host_family() -> Family:
    """What kind of system this host is, by its package manager."""
    if sys.platform == "darwin":
        return "macos"
    if sys.platform.startswith("freebsd"):
        return "freebsd"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "other"
    likes = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    if likes & {"debian", "ubuntu"}:
        return "debian"
    if likes & {"fedora", "rhel", "centos"}:
        return "fedora"
    return "other"


def host_name() -> str:
    """The system by its own name, as `Debian GNU/Linux 12 (bookworm)`."""
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {platform.release()}"


def command(missing: Missing, family: Family) -> str:
    """What to type, as root where it is a package manager."""
    return _COMMANDS[missing].get(family, _OTHER)


def host_in_words() -> str:
    """The host's system, its processors' kind and Python, in less than a line."""
    return f"{host_name()}, {platform.machine()}; Python {platform.python_version()}"
