"""Vagrant boxes: is the one that lab.yaml names here, and where does Vagrant keep its image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from harness.config.settings import BoxSettings
from harness.errors import ImageError
from harness.lab.images.download import reason

if TYPE_CHECKING:
    import vagrant

_CATALOGUE = "https://vagrantcloud.com"
"""Where Vagrant looks for a box by its name; VAGRANT_SERVER_URL moves it."""

_CATALOGUE_SECONDS = 10.0

_MAKE_BOX = (
    "`make box IMAGE=path` makes a libvirt box of this name from a FreeBSD image (qcow2 or raw)"
)


def check_box(box: BoxSettings, installed: Sequence[vagrant.Box]) -> None:
    """Raise `ImageError` unless `vagrant up` will find the box, here or in the catalogue."""
    named = [one for one in installed if one.name == box.name]
    if any(one.provider == box.provider and box.version in (None, one.version) for one in named):
        return
    here = ", ".join(sorted(f"for {one.provider}, version {one.version}" for one in named))
    wanted = f"the box {box.name}" + (f" of version {box.version}" if box.version else "")
    why = _not_in_catalogue(box)
    if why is None:
        return
    raise ImageError(
        f"{wanted} for {box.provider} is not here"
        + (f" (here is: {here})" if here else "")
        + f", and cannot be fetched: {why}",
        advice=_MAKE_BOX
        if box.provider == "libvirt"
        else f"fetch it where there is a network and add it: `vagrant box add {box.name} FILE`; "
        "or set box.provider to libvirt in lab.yaml",
    )


def _not_in_catalogue(box: BoxSettings) -> str | None:
    """Why the catalogue cannot give the box, or None when it can."""
    server = os.environ.get("VAGRANT_SERVER_URL") or _CATALOGUE
    try:
        answer = requests.get(
            f"{server}/api/v2/vagrant/{box.name}",
            headers={"Accept": "application/json"},
            timeout=_CATALOGUE_SECONDS,
        )
    except requests.RequestException as error:
        return f"no answer from {server}: {reason(error)}"
    if not answer.ok:
        return f"{server} answers {answer.status_code} {answer.reason}"
    try:
        offered = [
            (version["version"], provider["name"])
            for version in answer.json()["versions"]
            for provider in version["providers"]
        ]
    except (ValueError, KeyError, TypeError):
        return f"the answer of {server} is not understood"
    if any(
        provider == box.provider and box.version in (None, version) for version, provider in offered
    ):
        return None
    providers = ", ".join(sorted({provider for _, provider in offered})) or "nothing"
    return f"{server} has it only for {providers}"


def box_folder(name: str) -> Path:
    """Where Vagrant keeps the box `name` (Vagrant's lib/vagrant/box_collection.rb)."""
    home = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    return home / "boxes" / name.replace("/", "-VAGRANTSLASH-")


def libvirt_images(name: str) -> list[Path]:
    """The disk images of the libvirt box `name`, one a version, the last one added last."""
    images = box_folder(name).glob("**/libvirt/box.img")
    return sorted(images, key=lambda path: path.stat().st_mtime)
