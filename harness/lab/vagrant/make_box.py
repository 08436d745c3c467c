"""Making a libvirt box for Vagrant out of a FreeBSD disk image: `make box IMAGE=...`.

FreeBSD publishes boxes for VirtualBox and VMware only. A libvirt box is a tar archive of box.img
(qcow2), metadata.json and a Vagrantfile (vagrant-libvirt's documentation, "Box Format").
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.config import paths
from harness.lab.images import image as images
from harness.lab.vagrant.commands import QUIET, Vagrant
from harness.lab.vagrant.programs import run

COPY_SECONDS = 900.0
"""For copying an image of some GB once: into the box, or into Vagrant's folder."""

INSECURE_KEY = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGE"
    "FHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9"
    "D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jM"
    "ZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9"
    "WhQ== vagrant insecure public key"
)
"""The key that every box lets in (keys/vagrant.pub of Vagrant, all versions): its private half is
public, so Vagrant replaces it by one of its own on the first start."""

VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.vm.guest = :freebsd
  config.ssh.username = "root"
  config.ssh.shell = "sh"
  config.ssh.sudo_command = "%c" # root needs none, and the base system has none
end
"""


def make_box(image: Path, name: str, *, say: Callable[[str], None] = print) -> None:
    """Add `image` to Vagrant as the libvirt box `name`, in the place of one that has this name.

    The image must take an address by DHCP on its first NIC, run sshd, and let root in by
    `INSECURE_KEY`. It stays as it is; an overlay is flattened with all it stands on. `say` gets a
    line for each stage.

    Raises `ImageError` when the image cannot be read, `MissingTool` without qemu-img or Vagrant,
    and `LabError` when one of them fails or takes more than `COPY_SECONDS`.
    """
    info = images.inspect(image)
    vagrant = Vagrant(Path("/"), QUIET, within={"box": COPY_SECONDS})
    vagrant.version()
    paths.cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="box-", dir=paths.cache_dir()) as scratch:
        folder = Path(scratch)
        disk = folder / "box.img"
        say(f"copying {image.name}")
        run(
            ["qemu-img", "convert", "-f", info.format, "-O", "qcow2", str(image), str(disk)],
            within=COPY_SECONDS,
        )
        metadata = {
            "provider": "libvirt",
            "format": "qcow2",
            "virtual_size": -(-info.virtual_size // 2**30),  # whole GiB, and never smaller
        }
        (folder / "metadata.json").write_text(json.dumps(metadata))
        (folder / "Vagrantfile").write_text(VAGRANTFILE)
        archive = folder / "libvirt.box"
        with tarfile.open(archive, "w") as box:  # not compressed: Vagrant unpacks it at once
            for file in ("metadata.json", "Vagrantfile", "box.img"):
                box.add(folder / file, arcname=file)
        disk.unlink()
        say(f"adding it to Vagrant as {name}")
        vagrant.box_add(name, str(archive), provider="libvirt", force=True)
