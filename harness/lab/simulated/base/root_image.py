"""What is on the root file system of a freshly installed node that was prepared for SSH.

It is what provision/prepare-image.sh leaves on an image of the release (`releases/`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from harness.lab.simulated.kernel.files import Entry, Unseen
from harness.lab.simulated.kernel.release import Release

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

_LOCAL = {
    "/etc/machine-id": 0o444,
    "/etc/ssh/ssh_host_ed25519_key": 0o600,
    "/etc/ssh/ssh_host_ed25519_key.pub": 0o644,
    "/usr/local/etc/rc.d/skunk_seed": 0o555,
}
"""What the first boot and prepare-image.sh add; the lab gives the keys itself."""


@functools.cache
def _entries(release: Release, installed: float) -> dict[str, Entry]:
    """All entries; they never change, so every guest can share them.

    What the model knows more of than the name comes after the names of the release.
    """
    entries = dict(release.entries)
    for name, each in release.installed.items():
        path = name.rstrip("/") or "/"
        if not name.endswith("/"):
            entries[path] = Entry("file", each.text.encode(), each.mode or 0o644, installed)
        elif not isinstance(entries.get(path), Unseen):
            entries[path] = Entry("dir", mode=each.mode or 0o755, mtime=installed)
    for path, mode in _LOCAL.items():
        entries[path] = Unseen(path, mode=mode)
    entries["/etc/os-release"] = Entry(
        "link", mode=0o755, mtime=installed, target="../var/run/os-release"
    )
    return entries


def install(guest: Guest) -> None:
    """Put the files on an empty root file system, as from before its first boot."""
    installed = guest.world.utc().timestamp() - 3600.0
    guest.root.entries.update(_entries(guest.release, installed))
    guest.root.write_all()
