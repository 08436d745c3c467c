"""Vagrant boxes: is the one that lab.yaml names here, and where does Vagrant keep its image."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from harness.config.settings import BoxSettings, Settings
from harness.errors import ImageError
from harness.lab.images.download import reason
from harness.lab.images.image import by_age, release_in_name

if TYPE_CHECKING:
    import vagrant

_CATALOGUE = "https://vagrantcloud.com"
"""Where Vagrant looks for a box by its name; VAGRANT_SERVER_URL moves it."""

_CATALOGUE_SECONDS = 10.0

_MAKE_BOX = "`make box` makes a libvirt box of FreeBSD's image, `make box IMAGE=path` of yours"

_OWNER = "freebsd/FreeBSD-"
"""The project's own boxes are freebsd/FreeBSD-14.3-RELEASE and so on."""


def with_box(settings: Settings) -> Settings:
    """The settings with the name of the box that they mean, where they leave it to the release.

    Of a branch it is the newest release's that Vagrant has; where there is none, the name has a `*`
    in it, and `check_box` refuses it.
    """
    if settings.box.name is not None:
        return settings
    image = settings.image
    release = image.full_release
    if image.is_branch:
        here = [each for each in _releases_here() if image.names(each)]
        release = max(here, key=by_age, default=f"{release}.*-RELEASE")
    box = settings.box.model_copy(update={"name": f"{_OWNER}{release}"})
    return settings.model_copy(update={"box": box})


def name_for(image: Path, settings: Settings) -> str:
    """What the box that is made of `image` is called: as the settings say, else by its release.

    Raises `ImageError` when neither says it.
    """
    if settings.box.name is not None:
        return settings.box.name
    exact = None if settings.image.is_branch else settings.image.full_release
    if (release := release_in_name(image) or exact) is None:
        raise ImageError(
            f"nothing says which release {image.name} is, so the box would have no name",
            advice="name the box in lab.yaml, `box: name: freebsd/FreeBSD-14.3-RELEASE` for "
            "instance, or the release, `image: release:`",
        )
    return f"{_OWNER}{release}"


def _releases_here() -> list[str]:
    """The releases of the project's own boxes that Vagrant has, as 14.3-RELEASE."""
    folders = box_folder("*").parent.glob(f"{box_folder(_OWNER).name}*")
    found = (folder.name.removeprefix(box_folder(_OWNER).name) for folder in folders)
    return [release for release in found if _RELEASE.fullmatch(release)]


_RELEASE = re.compile(r"\d+\.\d+-RELEASE")


def check_box(box: BoxSettings, installed: Sequence[vagrant.Box]) -> None:
    """Raise `ImageError` unless `vagrant up` will find the box, here or in the catalogue.

    `box` has a name (`with_box`).
    """
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
        else "name one that the catalogue has: `box: name: freebsd/FreeBSD-14.3-RELEASE`, say"
        if "*" in str(box.name)
        else f"fetch it where there is a network and add it: `vagrant box add {box.name} FILE`; "
        "or set box.provider to libvirt in lab.yaml",
    )


def _not_in_catalogue(box: BoxSettings) -> str | None:
    """Why the catalogue cannot give the box, or None when it can."""
    server = os.environ.get("VAGRANT_SERVER_URL") or _CATALOGUE
    if box.name is None or "*" in box.name:
        return "it is looked for by its whole name, which `box: name:` in lab.yaml gives"
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
