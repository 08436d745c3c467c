"""The settings file: what it says, and what is wrong with a wrong one."""

from pathlib import Path

import pytest
import yaml

from harness import paths, settings
from harness.errors import SettingsError


def test_the_file_in_the_repository_is_right() -> None:
    loaded = settings.load()
    assert str(loaded.nodes["skunk1"].private_address) == "192.168.0.1"
    assert loaded.private_mac("skunk2") == "52:54:00:c0:a8:02"
    assert loaded.image.file_name == "FreeBSD-13.2-RELEASE-amd64.qcow2"


BROKEN = [
    ("machine.colour", "blue", "machine.colour: unknown key"),
    ("tmie_scale", 2, "tmie_scale: unknown key"),
    ("machine.data_disk_mib", 64, "a data disk of 64 MiB is too small"),
    ("machine.memory_mib", "much", "machine.memory_mib: "),
    ("nodes.skunk1.ssh_port", 22, "nodes.skunk1.ssh_port: "),
    ("nodes.skunk3", {"private_address": "192.168.0.3"}, "exactly the nodes skunk1 and skunk2"),
    ("nodes.skunk2.private_address", "10.0.0.2", "10.0.0.2 is not in the private network"),
    ("nodes.skunk2.private_address", "192.168.0.1", "both nodes have the private address"),
    ("hast.replication", "raid", "hast.replication: "),
    ("hast.resource", "a b; reboot", "hast.resource: "),
    ("deadlines.command", 0, "deadlines.command: "),
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
