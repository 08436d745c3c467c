"""libvirt "on another host": this host's, reached by nothing but an SSH server on its loopback.

Needs what the Vagrant lab needs, and sshd(8). That the guests' network is out of reach cannot be
had without root and a second host; docs/vagrant.md tells of a trial where it was.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.config.settings import Settings
from harness.lab import console
from harness.lab.base import Lab
from harness.lab.vagrant.remote import CONSOLES
from harness.waiting.wait import wait_until
from tests.plumbing.conftest import nodes_of, vagrant_lab

SYSTEM_PROGRAMS = "/usr/sbin:/usr/local/sbin:/sbin"


@pytest.fixture(scope="module")
def hypervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name under which every ssh of these tests reaches this host, as this user."""
    program = shutil.which("sshd", path=SYSTEM_PROGRAMS)
    if program is None:
        pytest.skip("there is no sshd on this host")
    folder = tmp_path_factory.mktemp("sshd")
    for key in ("host_key", "user_key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(keygen, check=True, timeout=30)
    if psutil.Process().username() == "root":
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks itself in
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\nPidFile none\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "StrictModes no\n"  # the folder of a test's files is in one that anybody may write to
    )
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "ssh_config").write_text(
        f"Host hypervisor\n  HostName 127.0.0.1\n  Port {port}\n"
        f"  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n"
        # As docs/vagrant.md advises: one login for all but the harness's own lines.
        f"  ControlMaster auto\n  ControlPath {folder}/shared\n  ControlPersist 5m\n"
    )
    # libvirt, Vagrant and the harness all take the ssh that they find in PATH.
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    ssh.chmod(0o755)
    server = [program, "-D", "-E", f"{folder}/log", "-f", f"{folder}/sshd_config"]
    with subprocess.Popen(server) as sshd:
        wait_until("sshd to listen", lambda: _listens(port), 10, every=0.1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(ssh.parent), prepend=":")
            yield "hypervisor"
            leave = [str(ssh), "-O", "exit", "hypervisor"]
            subprocess.run(leave, check=False, timeout=30, capture_output=True)
        sshd.terminate()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture(scope="module")
def remote_lab(own_state: None, small: Settings, hypervisor: str) -> Iterator[Lab]:
    uri = {"libvirt_uri": f"qemu+ssh://{hypervisor}/system", "driver": "qemu"}
    settings = small.model_copy(update={"box": small.box.model_copy(update=uri)})
    with vagrant_lab(settings, "plumbing-remote") as lab:
        yield lab


def test_a_pair_on_another_host(remote_lab: Lab, small: Settings) -> None:
    """SSH, power and consoles come through ssh alone, also after that has broken."""
    node = nodes_of(remote_lab, small)["skunk1"]
    node.wait_for_ssh()
    assert node.reached_at().host == "127.0.0.1"
    (there,) = CONSOLES.glob("skunk-plumbing-remote-*-consoles/skunk1.console")
    here = node.machine.console
    assert console.read(here).count("SYSLINUX") == 1
    assert console.read(here).strip().startswith("SYSLINUX")

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ssh of a virsh that has just ended
            if process.name() == "ssh":
                process.kill()
    node.disconnect()
    node.wait_for_ssh()
    node.run("sh", "-c", "echo said after the break >/dev/console")
    wait_until(
        "the console to come again", lambda: "said after the break" in console.read(here), 30
    )

    node.power_cut()
    assert here.read_bytes() == there.read_bytes()
    node.power_on()
    node.wait_for_ssh()
    assert console.read(here).count("SYSLINUX") == 2
    remote_lab.stop()
    assert not there.parent.exists()
