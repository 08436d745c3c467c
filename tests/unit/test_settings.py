"""The settings file: what it says, and what is wrong with a wrong one."""

from pathlib import Path

import pytest
import yaml

from harness.config import paths, settings
from harness.errors import SettingsError


def test_the_file_in_the_repository_is_right() -> None:
    loaded = settings.load()
    assert str(loaded.nodes["skunk1"].private_address) == "192.168.0.1"
    assert loaded.private_mac("skunk2") == "52:54:00:c0:a8:02"
    assert loaded.image.is_branch


BROKEN = [
    ("machine.colour", "blue", "machine.colour: unknown key"),
    ("tmie_scale", 2, "tmie_scale: unknown key"),
    ("machine.data_disk_mib", 64, "a data disk of 64 MiB is too small"),
    ("machine.memory_mib", "much", "machine.memory_mib: "),
    ("nodes.skunk1.ssh_port", 22, "nodes.skunk1.ssh_port: "),
    ("nodes.skunk3", {"private_address": "192.168.0.3"}, "exactly the nodes skunk1 and skunk2"),
    ("nodes.skunk2.private_address", "10.0.0.2", "10.0.0.2 is not in the private network"),
    ("nodes.skunk2.private_address", "192.168.0.1", "both nodes have the private address"),
    ("nodes.skunk1.release", "newest", "nodes.skunk1.release: "),
    (
        "nodes.skunk2",
        {"private_address": "192.168.0.2", "release": "15.1", "image": "x.qcow2"},
        "either image (x.qcow2) or release (15.1)",
    ),
    ("replace.hast", "hastd", "replace.hast: unknown key; did you mean hastd?"),
    ("nodes.skunk2.public_address", "192.168.1.2", "is not in the public network 203.0.113.0/24"),
    ("nodes.skunk2.public_address", "203.0.113.10", "have four public addresses"),
    ("public.network", "203.0.113.0/30", "no room for two nodes, a service and a client"),
    ("public.network", "192.168.0.0/16", "overlaps 192.168.121.0/24"),
    ("public.service", "203.0.113.255", "is the network's or the broadcast address"),
    ("public.port", 0, "public.port: "),
    ("public", None, "a public_address, and there is no public network"),
    ("hast.replication", "raid", "hast.replication: "),
    ("hast.resource", "a b; reboot", "hast.resource: "),
    ("deadlines.command", 0, "deadlines.command: "),
    # What passed the check once, and failed on the node.
    ("hast.resource", "-f", "hastctl takes -f for an option"),
    ("hast.resource", "--", "hastctl takes -- for an option"),
    ("hast.resource", "all", "`all` means every resource"),
    ("hast.resource", "none", "`none` is a word of hast.conf itself"),
    ("hast.resource", "on", "`on` is a word of hast.conf itself"),
    ("hast.resource", "42", "hast.conf takes 42 for a number"),
    ("hast.second", "resource", "`resource` is a word of hast.conf itself"),
    ("hast.extent_kib", 3, "hastctl aborts unless it is a power of two"),
    ("hast.extent_kib", 1 << 40, "hast.extent_kib: "),
    ("hast.media_mib", 1, "a pool needs 128"),
    ("hast.media_mib", 513, "the provider has 512"),
    ("hast.timeout", 1 << 32, "hast.timeout: "),
    ("hast.exec", "/root/hook;reboot", "hast.exec: "),
    ("pool", "mirror", "zpool keeps the name mirror for itself"),
    ("pool", "raidz1", "zpool keeps the name raidz1 for itself"),
    ("pool", "log", "zpool keeps the name log for itself"),
    ("pool", "spares", "zpool keeps the name spares for itself"),
    ("pool", "tmp", "the pool tmp would hide /tmp"),
    ("pool", "etc", "the pool etc would hide /etc"),
    ("pool", "p" * 61, "pool: "),
    ("machine.data_disk_mib", 10**15, "is too large"),
    ("machine.memory_mib", 10**9, "machine.memory_mib: "),
    ("time_scale", float("inf"), "time_scale: "),
    ("time_scale", float("nan"), "time_scale: "),
    ("time_scale", 1e300, "time_scale: "),
    ("deadlines.alive", float("inf"), "deadlines.alive: "),
    ("simulated.link_mbit", float("inf"), "simulated.link_mbit: "),
    ("nodes.skunk1.private_address", "192.168.0.0", "is the network's or the broadcast address"),
    ("nodes.skunk2.private_address", "192.168.0.255", "is the network's or the broadcast address"),
    ("private_network", "192.168.0.1/32", "has no room for two nodes"),
    ("private_network", "127.0.0.0/8", "has no addresses of hosts"),
    ("private_network", "10.0.0.0/8", "overlaps 10.0.2.0/24, the management network of QEMU"),
    (
        "nodes",
        {
            n: {"private_address": f"192.168.0.{n[-1]}", "ssh_port": 2222}
            for n in ("skunk1", "skunk2")
        },
        "both nodes have the ssh_port 2222",
    ),
]


@pytest.mark.parametrize(("key", "value", "complaint"), BROKEN)
def test_a_wrong_key_or_value_is_named(
    tmp_path: Path, key: str, value: object, complaint: str
) -> None:
    tree = yaml.safe_load(paths.SETTINGS.read_text())
    *parents, last = key.split(".")
    branch = tree
    for parent in parents:
        branch = branch[parent]
    branch[last] = value
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump(tree))
    with pytest.raises(SettingsError) as wrong:
        settings.load(file)
    assert complaint in str(wrong.value)
    assert str(file) in str(wrong.value)


@pytest.mark.parametrize(
    ("content", "complaint"), [("nodes: [", "is not YAML"), ("", "is wrong"), ("- a\n", "is wrong")]
)
def test_a_file_that_is_no_settings_file(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=complaint):
        settings.load(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        settings.load(tmp_path / "missing.yaml")


TYPED = [
    (
        "private_address:",
        "private_adress:",
        [
            f"nodes.skunk{n}.private_adress: unknown key; did you mean private_address?"
            for n in "12"
        ],
    ),
    ("time_scale:", "tmie_scale:", ["tmie_scale: unknown key; did you mean time_scale?"]),
    ("  timeout:", "  time-out:", ["hast.time-out: unknown key; did you mean timeout?"]),
    ("nodes:", "computers:", ["computers: unknown key", "nodes: missing"]),
]
"""A key, what was typed for it, and what is said: the likely cause first, and nothing else."""


@pytest.mark.parametrize(("key", "typed", "said"), TYPED, ids=[typed for _, typed, _ in TYPED])
def test_a_mistyped_key_is_told_with_the_one_that_is_meant(
    tmp_path: Path, key: str, typed: str, said: list[str]
) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(paths.SETTINGS.read_text().replace(key, typed))
    with pytest.raises(SettingsError) as raised:
        settings.load(path)
    assert raised.value.what.splitlines()[1:] == [f"  {line}" for line in said]
