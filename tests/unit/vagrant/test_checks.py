"""What is missing is said before anything starts, and with the way to get it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest.mock import Mock

import filelock
import psutil
import pytest

from harness.config import paths
from harness.config.settings import Settings
from harness.errors import HarnessError, ImageError, LabError, MissingTool, PairInUse
from harness.lab.vagrant import boxes, lab
from harness.lab.vagrant.lab import VagrantLab
from harness.waiting import wait
from tests.unit.vagrant.conftest import Programs, with_box

NAME = "freebsd/FreeBSD-13.2-RELEASE"
PLUGIN = "1,,plugin-name,vagrant-libvirt\n1,vagrant-libvirt,plugin-version,0.11.2"


def box_line(provider: str, version: str = "0", name: str = NAME) -> str:
    return f"1,,box-name,{name}\n1,,box-provider,{provider}\n1,,box-version,{version}"


@pytest.fixture
def host(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A host where everything is right, and no network."""
    programs.make("virsh")
    programs.make("dnsmasq")
    programs.make(
        "vagrant",
        ("--version", "Vagrant 2.3.4"),
        ("plugin list*", PLUGIN),
        ("box list*", box_line("libvirt")),
    )
    monkeypatch.setenv("VAGRANT_SERVER_URL", "http://127.0.0.1:9")
    return programs


@pytest.fixture
def qemu_settings(settings: Settings) -> Settings:
    return with_box(settings, driver="qemu")


def complaint(settings: Settings) -> HarnessError:
    with pytest.raises(HarnessError) as error:
        VagrantLab(settings).start()
    assert not (paths.state_dir() / "pairs").exists(), "something was started"
    return error.value


def test_all_is_well(host: Programs, qemu_settings: Settings) -> None:
    VagrantLab(qemu_settings).check()
    assert not paths.state_dir().exists()


def test_another_pair_starts_and_does_not_end(
    host: Programs, qemu_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh_ready = qemu_settings.deadlines.ssh_ready
    monkeypatch.setattr(lab, "BOX_IMPORT_SECONDS", 0.2 - ssh_ready)
    told = Mock()
    monkeypatch.setattr(wait, "_told", told)
    paths.cache_dir().mkdir(parents=True)
    pair = VagrantLab(qemu_settings)
    try:
        with (
            filelock.FileLock(paths.cache_dir() / "vagrant-up.lock"),
            pytest.raises(LabError, match="another pair has been starting for"),
        ):
            pair.start()
    finally:
        pair.stop()
    assert told.call_args_list[-2].args[0].what == "another pair to have started"


def test_no_vagrant(host: Programs, qemu_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bin" / "vagrant").unlink()
    error = complaint(qemu_settings)
    assert isinstance(error, MissingTool)
    assert "apt-get install vagrant vagrant-libvirt" in str(error)


def test_no_plugin(host: Programs, qemu_settings: Settings) -> None:
    host.make("vagrant", ("plugin list*", "1,,plugin-name,vagrant-share\n1,,plugin-version,2.0"))
    error = complaint(qemu_settings)
    assert isinstance(error, MissingTool)
    assert "vagrant plugin install vagrant-libvirt" in str(error)


def test_no_virtualbox(host: Programs, settings: Settings) -> None:
    host.make("vagrant", ("box list*", box_line("virtualbox")))
    error = complaint(with_box(settings, provider="virtualbox"))
    assert isinstance(error, MissingTool)
    assert "no VirtualBox" in str(error)


@pytest.mark.parametrize("listed", ["", box_line("libvirt", name="debian/bookworm64")])
def test_no_box_and_no_network(host: Programs, qemu_settings: Settings, listed: str) -> None:
    host.make("vagrant", ("box list*", listed))
    error = complaint(qemu_settings)
    assert isinstance(error, ImageError)
    assert NAME in error.what
    assert "no answer from http://127.0.0.1:9: Connection refused" in error.what
    assert "make box IMAGE=" in str(error.advice)


def test_a_box_for_the_other_provider(host: Programs, qemu_settings: Settings) -> None:
    host.make("vagrant", ("box list*", box_line("virtualbox", "2023.04.07")))
    error = complaint(qemu_settings)
    assert "here is: for virtualbox, version 2023.04.07" in error.what
    assert "make box IMAGE=" in str(error.advice)


def test_a_box_of_another_version(host: Programs, qemu_settings: Settings) -> None:
    error = complaint(with_box(qemu_settings, version="2"))
    assert "of version 2 for libvirt is not here (here is: for libvirt, version 0)" in error.what


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """A server that answers as Vagrant's own catalogue does, with what is put into it."""
    content: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = content.get(self.path)
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("VAGRANT_SERVER_URL", f"http://127.0.0.1:{server.server_port}")
        yield content
        server.shutdown()


def test_a_box_that_the_catalogue_has(
    host: Programs, qemu_settings: Settings, catalogue: dict[str, object]
) -> None:
    """FreeBSD's are there for VirtualBox and VMware, and not for libvirt."""
    host.make("vagrant", ("box list*", ""))
    assert "answers 404" in complaint(qemu_settings).what
    providers = [{"name": "virtualbox"}, {"name": "vmware_desktop"}]
    catalogue[f"/api/v2/vagrant/{NAME}"] = {"versions": [{"version": "1", "providers": providers}]}
    assert "has it only for virtualbox, vmware_desktop" in complaint(qemu_settings).what
    providers.append({"name": "libvirt"})
    VagrantLab(qemu_settings).check()
    assert "has it only" in complaint(with_box(qemu_settings, version="7")).what


def test_too_little_memory(host: Programs, qemu_settings: Settings) -> None:
    free = psutil.virtual_memory().available >> 20
    machine = qemu_settings.machine.model_copy(update={"memory_mib": free})
    error = complaint(qemu_settings.model_copy(update={"machine": machine}))
    assert isinstance(error, LabError)
    assert "machine.memory_mib" in str(error.advice)


def test_too_little_room(host: Programs, qemu_settings: Settings) -> None:
    machine = qemu_settings.machine.model_copy(update={"data_disk_mib": 1 << 40})
    error = complaint(qemu_settings.model_copy(update={"machine": machine}))
    assert isinstance(error, LabError)
    assert "machine.data_disk_mib" in str(error.advice)


def test_a_pair_in_use_is_left_alone(host: Programs, qemu_settings: Settings) -> None:
    """Neither a second start nor a stop touches what another run holds."""
    first, second = VagrantLab(qemu_settings), VagrantLab(qemu_settings)
    first._hold()
    try:
        for verb in (second.start, second.stop):
            with pytest.raises(PairInUse, match="in use by process"):
                verb()
        assert not [call for call in host.calls("virsh") if "destroy" in call or "delete" in call]
    finally:
        first._pair.release()


def test_pairs_of_other_state_folders_have_other_names(
    qemu_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All users of a host share one libvirt, and a name decides what is removed."""
    names = set()
    for folder in ("/home/one/state", "/home/two/state"):
        monkeypatch.setenv("SKUNK_STATE_DIR", folder)
        names |= {VagrantLab(qemu_settings, pair).prefix for pair in ("a", "b")}
    assert len(names) == 4
    assert all(name.startswith(("skunk-a-", "skunk-b-")) for name in names)


def test_hosts_that_share_a_libvirt_have_other_names(
    qemu_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI runners have the same folders, each on a host of its own, and may share a hypervisor."""
    shared = with_box(qemu_settings, libvirt_uri="qemu+ssh://hypervisor/system")
    names = {"here": set[str](), "shared": set[str]()}
    for host in ("runner1", "runner2"):
        monkeypatch.setattr("platform.node", lambda host=host: host)
        names["here"].add(VagrantLab(qemu_settings).prefix)
        names["shared"].add(VagrantLab(shared).prefix)
    assert {where: len(found) for where, found in names.items()} == {"here": 1, "shared": 2}


def test_a_box_has_the_name_of_its_release(settings: Settings, tmp_path: Path) -> None:
    image = tmp_path / "FreeBSD-14.10-RELEASE-amd64.qcow2"
    assert boxes.name_for(image, settings) == "freebsd/FreeBSD-14.10-RELEASE"
    assert boxes.name_for(tmp_path / "own.qcow2", settings) == NAME
    assert boxes.name_for(image, with_box(settings, name="my/box")) == "my/box"
    branch = of_release(settings, "14")
    with pytest.raises(ImageError, match=r"nothing says which release own\.qcow2 is"):
        boxes.name_for(tmp_path / "own.qcow2", branch)


def test_of_a_branch_the_newest_box_that_is_here_is_taken(
    host: Programs, qemu_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path))
    branch = of_release(qemu_settings, "14")
    assert "the box freebsd/FreeBSD-14.*-RELEASE for libvirt is not here" in str(complaint(branch))
    for release in ("13.2-RELEASE", "14.9-RELEASE", "14.10-RELEASE", "14.11-BETA1"):
        (tmp_path / "boxes" / f"freebsd-VAGRANTSLASH-FreeBSD-{release}").mkdir(parents=True)
    assert boxes.with_box(branch).box.name == "freebsd/FreeBSD-14.10-RELEASE"
    assert boxes.with_box(with_box(branch, name="my/box")).box.name == "my/box"


def of_release(settings: Settings, release: str) -> Settings:
    image = settings.image.model_copy(update={"release": release})
    return settings.model_copy(update={"image": image})
