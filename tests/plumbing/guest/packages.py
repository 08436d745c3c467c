"""The guest's programs: Debian packages, fetched and unpacked without being installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.waiting.wait import Deadline
from tests.plumbing.guest.steps import GuestError, run

KERNEL = "linux-image-cloud-amd64"
PACKAGES = (KERNEL, "busybox-static", "openssh-server", "openssh-client", "openssh-sftp-server")
FOLLOWED = re.compile(r"lib|linux-image-\d")
"""Of what those depend on, only libraries and the kernel itself are wanted."""

BOOT_MODULES = ("virtio_pci", "virtio_rng", "virtio_blk", "ata_piix", "sd_mod")
"""What it takes to find the system disk."""
LATE_MODULES = ("virtio_net", "isofs", "sr_mod", "button", "evdev")
"""The network, the seed and the power button."""

_LIBRARIES = Path("lib/x86_64-linux-gnu")
_LOADER = Path("lib64/ld-linux-x86-64.so.2")


@dataclass(frozen=True)
class Programs:
    """The unpacked packages, as one tree."""

    tree: Path
    deadline: Deadline

    @classmethod
    def fetch(cls, scratch: Path, deadline: Deadline) -> Programs:
        """Download and unpack the packages below `scratch`. apt checks their signatures."""
        downloads, tree, one = scratch / "packages", scratch / "tree", scratch / "one"
        downloads.mkdir()
        run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "download", *_names(deadline)],
            deadline,
            cwd=downloads,
            advice="run `apt-get update`; the first build needs a Debian mirror",
        )
        for folder in ("bin", "lib", "lib64", "sbin"):  # since Debian 12 these are links into usr
            (tree / "usr" / folder).mkdir(parents=True)
            (tree / folder).symlink_to(f"usr/{folder}")
        for package in sorted(downloads.glob("*.deb")):
            run(["dpkg-deb", "-x", package, one], deadline)
            shutil.copytree(one, tree, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(one)
        return cls(tree, deadline)

    @property
    def kernel(self) -> Path:
        """The kernel, as a boot loader takes it."""
        (kernel,) = self.tree.glob("boot/vmlinuz-*")
        return kernel

    def add_busybox(self, stage: Path) -> None:
        """Put busybox into `stage` under each of its names."""
        busybox = self.tree / "bin/busybox"
        for applet in run([busybox, "--list-full"], self.deadline).decode().split():
            link = stage / applet
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/bin/busybox")
        (stage / "bin/busybox").unlink()
        shutil.copy(busybox, stage / "bin/busybox")

    def add_program(self, stage: Path, program: str) -> None:
        """Put a program into `stage`, with the libraries that its own loader says it needs."""
        loader = self.tree / _LOADER
        said = run(
            [loader, "--library-path", self.tree / _LIBRARIES, "--list", self.tree / program],
            self.deadline,
        ).decode()
        libraries = re.findall(r" => (/\S+) \(", said)
        for source, folder in [
            (self.tree / program, Path(program).parent),
            (loader, _LOADER.parent),
            *((Path(library), _LIBRARIES) for library in libraries),
        ]:
            (stage / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, stage / folder)

    def add_modules(
        self, stage: Path, name: str, wanted: Iterable[str], loaded: Iterable[str] = ()
    ) -> None:
        """Put kernel modules into `stage`, and a list `name`.order to load them by.

        What the modules of `loaded` brought along is there already.
        """
        version = self.kernel.name.removeprefix("vmlinuz-")
        source = self.tree / "lib/modules" / version
        if not (source / "modules.dep").exists():
            run(["depmod", "-b", self.tree, version], self.deadline)
        needs: dict[str, list[str]] = {}
        for line in (source / "modules.dep").read_text().splitlines():
            path, _, others = line.partition(":")
            module = Path(path).name.partition(".")[0].replace("-", "_")
            needs[module] = [*reversed(others.split()), path]
        folder = stage / "lib/modules"
        folder.mkdir(parents=True)

        def closure(modules: Iterable[str]) -> list[str]:
            every = [path for module in modules for path in needs.get(module, [])]  # or built in
            return list(dict.fromkeys(every))

        before = closure(loaded)
        order = [path for path in closure(wanted) if path not in before]
        for path in order:
            shutil.copy(source / path, folder)
        (folder / f"{name}.order").write_text("".join(f"{Path(path).name}\n" for path in order))


def _names(deadline: Deadline) -> list[str]:
    """The packages to download: `PACKAGES` and those of `FOLLOWED` that they depend on."""
    listing = run(
        ["apt-cache", "depends", "--recurse", "--important", *PACKAGES],
        deadline,
        advice="run `apt-get update`",
    ).decode()
    depends: dict[str, list[str]] = {}
    current: list[str] = []
    for line in listing.splitlines():
        if line[0] not in " <":
            current = depends.setdefault(line, [])
        elif match := re.match(r" [ |](?:Pre)?Depends: ([a-z0-9][^: ]*)$", line):
            current.append(match[1])
    wanted: set[str] = set()
    ahead = [*PACKAGES]
    while ahead:
        name = ahead.pop()
        if name not in depends:
            raise GuestError(f"apt knows no package {name}", advice="run `apt-get update`")
        if name not in wanted:
            wanted.add(name)
            ahead += [other for other in depends[name] if FOLLOWED.match(other)]
    return sorted(wanted - {KERNEL})  # that one only points at the current kernel
