"""The seed: a read-only disk that tells a machine who it is and whom to let in.

It is a NoCloud data source (an ISO 9660 volume with the files meta-data and user-data), which
FreeBSD's BASIC-CLOUDINIT images read by themselves (nuageinit(7)), with three more files for images
that the harness prepared (`harness.lab.qemu.prepare`): authorized_keys, ssh_host_ed25519_key and
ssh_host_ed25519_key.pub. Because the harness makes the host key, it knows whom it talks to from the
first connection on.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pycdlib
import yaml

from harness.lab.keys import KeyPair

VOLUME = "CIDATA"
"""The volume's name, by which a guest finds it: /dev/iso9660/CIDATA on FreeBSD."""


@dataclass(frozen=True)
class Seed:
    """What one machine is told: its host name, the client key it lets in, its own host key."""

    instance: str
    hostname: str
    authorized_key: str
    host_key: KeyPair

    def files(self) -> dict[str, bytes]:
        """The files of the volume, by name."""
        meta_data = {"instance-id": self.instance, "local-hostname": self.hostname}
        user_data = {
            "ssh_authorized_keys": [self.authorized_key],
            "ssh_keys": {
                "ed25519_private": self.host_key.private.decode("ascii"),
                "ed25519_public": self.host_key.public,
            },
        }
        return {
            "meta-data": yaml.safe_dump(meta_data).encode(),
            "user-data": b"#cloud-config\n" + yaml.safe_dump(user_data).encode(),
            "authorized_keys": self.authorized_key.encode() + b"\n",
            "ssh_host_ed25519_key": self.host_key.private,
            "ssh_host_ed25519_key.pub": self.host_key.public.encode() + b"\n",
        }

    def write(self, path: Path) -> None:
        """Write the ISO image, readable by its owner alone: it carries a private key."""
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=VOLUME)
        for number, (name, content) in enumerate(self.files().items()):
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                f"/FILE{number}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
            )
        path.touch(mode=0o600)
        with path.open("wb") as file:
            iso.write_fp(file)
        iso.close()
