"""An image on this host: where it is, and whether a node can start from it.

`make image` has put it there, or it is one's own (`IMAGE=path`); `inspect` judges it before
anything is started.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.filesize import decimal

from harness.config import paths
from harness.config.settings import ImageSettings
from harness.errors import ImageError, LabError, MissingTool
from harness.waiting.wait import scaled

OFFICIAL = "https://download.freebsd.org/releases/VM-IMAGES"
"""Supported releases, a folder each: 13.2-RELEASE/amd64/Latest/FreeBSD-13.2-RELEASE-amd64..."""

QEMU_IMG_SECONDS = 60.0

_COMPRESSED = {
    b"\xfd7zXZ\x00": ("xz", "unxz --keep"),
    b"\x1f\x8b": ("gzip", "gunzip --keep"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd --keep"),
}


_RELEASE_IN_NAME = re.compile(r"FreeBSD-(\d+\.\d+-(?:RELEASE|STABLE|CURRENT))-")

_ISO_9660 = (32769, b"CD001")


_BOOT_SIGNATURE = (510, b"\x55\xaa")


@dataclass(frozen=True)
class ImageInfo:
    """A bootable image: where it is, how it is stored, and the size in bytes of the disk in it."""

    path: Path
    format: Literal["qcow2", "raw"]
    virtual_size: int


def find(image: ImageSettings, folder: Path | None = None) -> Path:
    """The image that `make image` has put into `folder` (None: the user's cache).

    Of a branch it is the newest that is there; the network is not asked. Raises `ImageError` naming
    `make image`, IMAGE=path and the releases that are there when it is not.
    """
    folder = folder or paths.images_dir()
    found = there(folder, image.architecture)
    wanted = [release for release in found if image.names(release)]
    if wanted:
        return found[wanted[-1]]
    begun = any(folder.glob(f"FreeBSD-{image.full_release}[-.]*.xz.part"))
    newest = f"the newest of {image.release}" if image.is_branch else f"FreeBSD {image.release}"
    others = "; or run what is there, with `image: release:` in lab.yaml: " + ", ".join(
        release.removesuffix("-RELEASE") for release in reversed(found)
    )
    raise ImageError(
        f"there is no image of FreeBSD {image.release} for {image.architecture} in {folder}"
        + (", only a part of one" if begun else ""),
        advice=(
            "run `make image` again, it goes on where it stopped"
            if begun
            else f"`make image` downloads {newest}"
        )
        + "; or give an image of your own, qcow2 or raw, with IMAGE=path"
        + (others if found else ""),
    )


def there(folder: Path, architecture: str) -> dict[str, Path]:
    """The images in `folder` that have FreeBSD's own names, by release, the oldest release first.

    A release is as in the name: 13.2-RELEASE, 16.0-CURRENT.
    """
    found: dict[str, Path] = {}
    for path in folder.glob(f"FreeBSD-*-{architecture}.qcow2"):
        release = release_in_name(path)
        if release is not None and path.is_file():
            found[release] = path
    return {release: found[release] for release in sorted(found, key=by_age)}


def release_in_name(path: Path) -> str | None:
    """The release, as 13.2-RELEASE, of an image that has FreeBSD's own name for it."""
    found = _RELEASE_IN_NAME.match(path.name)
    return found and found[1]


def by_age(release: str) -> tuple[int, ...]:
    """A key that sorts releases by their numbers: 9.3-RELEASE comes before 13.2-RELEASE."""
    return tuple(int(number) for number in release.partition("-")[0].split("."))


def inspect(path: Path) -> ImageInfo:
    """Look into the file at `path`, changing nothing, to see whether a node can start from it.

    Whether FreeBSD is in it shows only when it boots. Raises `ImageError` for everything that is
    no qcow2 or raw disk image, is damaged, or lacks its backing file; `MissingTool` without
    qemu-img; `LabError` when qemu-img hangs.
    """
    check_content(path)
    info = _qemu_img("info", path)
    format_, backing = info["format"], info.get("full-backing-filename")
    if format_ not in ("qcow2", "raw"):
        raise ImageError(
            f"{path} is a {format_} image, and the qemu lab takes qcow2 and raw ones",
            advice="convert it: qemu-img convert -O qcow2 "
            + shlex.join([str(path), str(path.with_name(f"{path.stem}-converted.qcow2"))]),
        )
    if format_ == "raw" and not _has(path, *_BOOT_SIGNATURE):
        raise ImageError(
            f"{path} is not a bootable disk image: no image format that QEMU knows, and no boot "
            "signature 55 AA at the end of its first sector",
            advice="`make image` downloads one; or give another with IMAGE=path",
        )
    if backing is not None and not Path(backing).exists():
        raise ImageError(
            f"{path} is an overlay, and its backing file {backing} is not there",
            advice="put that file back, or make a whole image where it still is: "
            "qemu-img convert -O qcow2 OVERLAY WHOLE",
        )
    if format_ == "qcow2":
        _check_clusters(path)
    return ImageInfo(path, "qcow2" if format_ == "qcow2" else "raw", int(info["virtual-size"]))


def check_content(path: Path) -> None:
    """Raise `ImageError` for what is no disk image, as far as that shows without QEMU, at once."""
    other = "give another with IMAGE=path, or `make image` to download one"
    if not path.exists():
        raise ImageError(f"there is no file {path}", advice=other)
    if path.is_dir():
        raise ImageError(
            f"{path} is a folder, not an image", advice=f"name the file in it; or {other}"
        )
    if not path.is_file():
        raise ImageError(f"{path} is not a regular file", advice=other)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {error.strerror}",
            advice=f"give your user the right to read it; or {other}",
        ) from None
    if not start:
        raise ImageError(f"{path} is an empty file", advice=other)
    for magic, (name, command) in _COMPRESSED.items():
        if start.startswith(magic):
            raise ImageError(
                f"{path} is still compressed with {name}",
                advice=f"unpack it (`{command} {shlex.quote(str(path))}`) and give what comes out",
            )
    if _has(path, *_ISO_9660):
        raise ImageError(
            f"{path} is an installation CD, not the disk of an installed system",
            advice="take one of the VM images instead: `make image`, or "
            f"{OFFICIAL}/ and IMAGE=path",
        )


def _has(path: Path, offset: int, expected: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(expected)) == expected


def _check_clusters(path: Path) -> None:
    """A qcow2 file that was cut short in copying opens all the same: ask for its clusters."""
    found = _qemu_img("check", path)
    errors = found.get("corruptions", 0) + found.get("check-errors", 0)
    if errors:
        raise ImageError(
            f"{path} is damaged: qemu-img check counts {errors} errors in it. A copy that was cut "
            f"short looks like this (the file is {decimal(path.stat().st_size)})",
            advice="copy or download it again",
        )


def _qemu_img(verb: Literal["info", "check"], path: Path) -> dict[str, Any]:
    """What `qemu-img VERB` says of the file. Running nodes may have it open (--force-share)."""
    within = scaled(QEMU_IMG_SECONDS)
    try:
        done = subprocess.run(
            ["qemu-img", verb, "--force-share", "--output=json", str(path.absolute())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
    except FileNotFoundError:
        raise MissingTool(
            "qemu-img is not on this host", advice="install it: Debian's package is qemu-utils"
        ) from None
    except subprocess.TimeoutExpired:
        raise LabError(
            f"`qemu-img {verb} {path}` did not end within {within:.0f} s",
            advice="see whether the disk or network share that holds the image answers",
        ) from None
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise ImageError(
            f"qemu-img cannot open {path}: {done.stderr.strip() or f'exit {done.returncode}'}",
            advice="copy or download it again, or give another with IMAGE=path",
        ) from None
    assert isinstance(answer, dict)
    return answer
