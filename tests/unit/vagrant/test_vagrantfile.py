"""The Vagrantfile follows the settings, and gives both providers' machines what nodes look for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.config import paths
from harness.config.settings import Settings
from tests import needs
from tests.unit.vagrant.conftest import with_box

READER = Path(__file__).with_name("vagrantfile.rb")

pytestmark = needs.programs("ruby")


@pytest.fixture
def changed(settings: Settings) -> Settings:
    """Settings that differ from lab.yaml wherever the Vagrantfile reads them."""
    machine = settings.machine.model_copy(
        update={"cpus": 3, "memory_mib": 768, "data_disk_mib": 321}
    )
    deadlines = settings.deadlines.model_copy(update={"ssh_ready": 100.0})
    box = with_box(settings, name="some/box", version="7", libvirt_uri="qemu+unix:///system").box
    return settings.model_copy(
        update={"machine": machine, "deadlines": deadlines, "box": box, "time_scale": 1.5}
    )


def read(
    settings: Settings,
    folder: Path,
    release: str = "0.12.2",
    driver: str = "qemu",
    consoles: str | None = None,
) -> Any:
    """What the Vagrantfile says under a release of vagrant-libvirt."""
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    told = {
        "SKUNK_SETTINGS": str(file),
        "SKUNK_PREFIX": "skunk-try-",
        "SKUNK_FOLDER": str(folder),
        "SKUNK_DRIVER": driver,
        "SKUNK_MANAGEMENT_NETWORK": "10.157.9.0/24",
        **({"SKUNK_CONSOLES": consoles} if consoles else {}),
    }
    said = subprocess.run(
        ["ruby", READER, paths.PROJECT / "Vagrantfile", release],
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def libvirt(said: Any, number: int) -> tuple[Any, list[Any]]:
    """A machine's libvirt settings, and its networks in the order of its NICs."""
    provider, override = said["vm"]["in define"][number]["vm"]["in provider"][:2]
    return provider, [options for _, options in override["vm"]["network"]]


def test_everything_comes_from_the_settings(changed: Settings, tmp_path: Path) -> None:
    said = read(changed, tmp_path)
    assert said["vm"]["box"] == [["some/box"]]
    assert said["vm"]["box_version"] == [["7"]]
    assert said["vm"]["boot_timeout"] == [[150]]
    assert said["vm"]["define"] == [["skunk1"], ["skunk2"]]
    for number, name in enumerate(("skunk1", "skunk2")):
        provider, (management, private) = libvirt(said, number)
        assert provider["memory"] == [[768]]
        assert provider["cpus"] == [[3]]
        assert provider["uri"] == [["qemu+unix:///system"]]
        ((kind, disk),) = provider["storage"]
        assert (kind, disk["type"], disk["size"]) == ("file", "qcow2", "321M")
        assert disk["serial"] == changed.data_disk_serial(name)
        assert management["ip"] == "10.157.9.0"
        assert private["mac"] == changed.private_mac(name)
        assert private["libvirt__forward_mode"] == "veryisolated"
        assert private["libvirt__dhcp_enabled"] is False
        assert "ip" not in private


def test_the_cpu_goes_with_the_driver(settings: Settings, tmp_path: Path) -> None:
    emulated, _ = libvirt(read(settings, tmp_path, driver="qemu"), 0)
    assert (emulated["driver"], emulated["cpu_model"]) == ([["qemu"]], [["qemu64"]])
    room_for_two = [[{"value": "-smp"}], [{"value": "1,maxcpus=2,sockets=2,cores=1,threads=1"}]]
    assert emulated["qemuargs"] == room_for_two
    real, _ = libvirt(read(settings, tmp_path, driver="kvm"), 0)
    assert real["driver"] == [["kvm"]]
    assert "cpu_model" not in real
    assert "qemuargs" not in real


@pytest.mark.parametrize(
    ("release", "source"),
    [
        ("0.11.2", {"path": "{}/skunk1.console' append='on"}),
        ("0.12.2", {"path": "{}/skunk1.console", "append": "on"}),
    ],
)
def test_a_power_cycle_does_not_empty_the_console(
    settings: Settings, tmp_path: Path, release: str, source: dict[str, str]
) -> None:
    provider, _ = libvirt(read(settings, tmp_path, release), 0)
    expected = {key: value.format(tmp_path) for key, value in source.items()}
    assert provider["serial"] == [[{"type": "file", "source": expected}]]
    assert (tmp_path / "skunk1.console").stat().st_uid == os.getuid()


def test_libvirt_on_another_host(settings: Settings, tmp_path: Path) -> None:
    """Its console files are its own, and it has none where nobody made a folder for them."""
    remote = with_box(settings, libvirt_uri="qemu+ssh://host/system")
    provider, _ = libvirt(read(remote, tmp_path, consoles="/var/tmp/consoles"), 1)
    source = {"path": "/var/tmp/consoles/skunk2.console", "append": "on"}
    assert provider["serial"] == [[{"type": "file", "source": source}]]
    by_hand, _ = libvirt(read(remote, tmp_path), 1)
    assert "serial" not in by_hand
    assert not list(tmp_path.glob("*.console"))


def test_virtualbox(changed: Settings, tmp_path: Path) -> None:
    """The same hardware by its command lines; a disk that is there is not made again."""

    def second_machine() -> tuple[list[str], Any]:
        said = read(changed, tmp_path)["vm"]["in define"][1]["vm"]
        provider, override = said["in provider"][2:]
        assert provider["name"] == [["skunk-try-skunk2"]]
        assert (provider["memory"], provider["cpus"]) == ([[768]], [[3]])
        ((_, private),) = override["vm"]["network"]
        return [" ".join(map(str, order)) for (order,) in provider["customize"]], private

    orders, private = second_machine()
    assert private["mac"] == changed.private_mac("skunk2").replace(":", "")
    assert private["virtualbox__intnet"] == "skunk-try-private"
    disk = tmp_path / "skunk2-data.vdi"
    always = [
        f"modifyvm id --uart1 0x3F8 4 --uartmode1 file {tmp_path}/skunk2.console",
        "modifyvm id --nicpromisc2 allow-all",
    ]
    assert orders == [
        *always,
        f"createmedium disk --filename {disk} --size 321 --format VDI",
        "storagectl id --name data --add sata --portcount 1",
        f"storageattach id --storagectl data --port 0 --device 0 --type hdd --medium {disk}",
        "setextradata id VBoxInternal/Devices/ahci/0/Config/Port0/SerialNumber "
        + changed.data_disk_serial("skunk2"),
    ]
    disk.touch()
    orders, _ = second_machine()
    assert orders == always
