"""Programs of the user's own: which are taken, on host and node, and what a run is then called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from harness.cluster import programs
from harness.cluster.node import Node
from harness.config import paths
from harness.config import settings as settings_file
from harness.config.settings import Settings
from harness.config.software import ReplacedProgram, in_words, system, system_of
from harness.errors import LabError, SettingsError
from harness.lab import choose, replaced
from harness.lab.ssh import Result
from harness.waiting import clock
from tests import elf

LOADED = settings_file.load()


def read(path: Path, program: str = "hastd") -> tuple[replaced.Replacement, ...]:
    return replaced.read(LOADED.with_programs(**{program: [str(path)]}))


# --- on the host ----------------------------------------------------------------------------------

GOOD = {
    "position independent": elf.program(),
    "at a fixed address": elf.program(kind=elf.EXECUTABLE, interpreter=False),
    "static, position independent": elf.program(interpreter=False, static_pie=True),
    "by its note alone": elf.program(osabi=0, note=b"FreeBSD\0"),
    "with a usage that nobody knows": elf.program(b"what a patch may print"),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD.keys())
def test_a_program_of_freebsd_is_taken(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "my hastd"
    path.write_bytes(content)
    first, second = read(path)
    assert (first.about.node, second.about.node) == ("skunk1", "skunk2")
    assert first.content == content
    path.unlink()  # what was checked is what the nodes get
    assert first.about.file == "my hastd"
    assert len(first.about.sha256) == 64


WRONG = {
    "a text": (b"#!/bin/sh\n", "no ELF file"),
    "empty": (b"", "is empty"),
    "of Linux": (elf.program(osabi=0), "none of FreeBSD"),
    "of Linux, with its note": (elf.program(osabi=0, note=b"GNU\0"), "none of FreeBSD"),
    "for arm64": (elf.program(machine=elf.AARCH64), "AArch64"),
    "for i386": (elf.program(machine=elf.I386), "x86"),
    "a library": (elf.program(interpreter=False), "a shared library"),
    "an object file": (elf.program(kind=elf.OBJECT), "an object file"),
    "cut off": (elf.program()[:40], "damaged"),
    "cut off in its program headers": (elf.program()[:70], "damaged"),
    "cut off in its contents": (elf.program(b"")[:-2], "it is cut off: it has"),
    "the magic alone": (b"\x7fELF", "damaged"),
    "the other program": (elf.program(elf.HASTCTL), "this is a hastctl"),
}


@pytest.mark.parametrize(("content", "why"), WRONG.values(), ids=WRONG.keys())
def test_what_no_node_could_run_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "hastd"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=why) as refused:
        read(path)
    assert f"{path} cannot take the place of hastd: " in refused.value.what


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, why in (
        (tmp_path, "a folder"),
        (tmp_path / "gone", "no such file"),
        (pipe, "not a regular file"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ):
        with pytest.raises(SettingsError, match=why):
            read(path)
    closed = tmp_path / "hastd"
    closed.write_bytes(elf.program())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SettingsError, match="cannot be read: Permission denied"):
        read(closed)


def test_a_file_that_was_cut_off_anywhere_is_told_of(tmp_path: Path) -> None:
    """Never an error of the library's own."""
    whole = elf.program(b"", osabi=0, interpreter=False, note=b"FreeBSD\0", static_pie=True)
    path = tmp_path / "hastd"
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(SettingsError, match="cannot take the place of hastd"):
            read(path)


# --- what is replaced where -----------------------------------------------------------------------


def chosen(settings: Settings) -> dict[str, Path]:
    return {
        f"{node} {program}": path
        for node in settings.nodes
        for program in ("hastd", "hastctl")
        if (path := settings.program_for(node, program)) is not None
    }


def test_the_command_line_wins_over_the_settings(tmp_path: Path) -> None:
    text = paths.SETTINGS.read_text()
    for old, new in (
        ("nodes:\n  skunk1:\n", "nodes:\n  skunk1:\n    replace: {hastd: own}\n"),
        ("  hastd: null ", "  hastd: sub/both "),
        ("  hastctl: null ", "  hastctl: /abs/ctl "),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    loaded = settings_file.load(path)
    both, own, ctl = tmp_path / "sub" / "both", tmp_path / "own", Path("/abs/ctl")
    controls = {"skunk1 hastctl": ctl, "skunk2 hastctl": ctl}
    assert chosen(loaded) == {"skunk1 hastd": own, "skunk2 hastd": both, **controls}
    one = loaded.with_programs(hastd=["skunk2=/cli"])
    assert chosen(one) == {"skunk1 hastd": own, "skunk2 hastd": Path("/cli"), **controls}
    all_ = loaded.with_programs(hastd=["/x=y"])
    assert chosen(all_) == {"skunk1 hastd": Path("/x=y"), "skunk2 hastd": Path("/x=y"), **controls}
    mixed = loaded.with_programs(hastd=["/all", "skunk1=/one"])
    assert chosen(mixed) == {"skunk1 hastd": Path("/one"), "skunk2 hastd": Path("/all"), **controls}
    again = settings_file.load().with_programs(
        hastd=mixed.program_words("hastd"), hastctl=mixed.program_words("hastctl")
    )
    assert chosen(again) == chosen(mixed)


@pytest.mark.parametrize("words", [["/a", "/b"], ["skunk1=/a", "skunk1=/b"]])
def test_one_node_gets_one_program(words: Sequence[str]) -> None:
    with pytest.raises(SettingsError, match="--hastctl is given twice for"):
        LOADED.with_programs(hastctl=words)


def test_a_lab_without_programs_or_images_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "hastd"
    path.write_bytes(elf.program())
    with pytest.raises(SettingsError, match="the simulated lab replaces no hastd"):
        choose.check_software("simulated", LOADED.with_programs(hastd=[f"skunk2={path}"]))
    choose.check_software("vagrant", LOADED.with_programs(hastd=[str(path)]))
    nodes = dict(LOADED.nodes)
    nodes["skunk2"] = nodes["skunk2"].model_copy(update={"image": path})
    mixed = LOADED.model_copy(update={"nodes": nodes})
    choose.check_software("qemu", mixed)
    for lab in ("simulated", "vagrant"):
        with pytest.raises(SettingsError, match=r"no other FreeBSD for one node \(nodes.skunk2,"):
            choose.check_software(cast(Any, lab), mixed)


# --- on the node ----------------------------------------------------------------------------------


class _Guest:
    """A node that says what it is told to say of a program's usage, and notes what it is asked."""

    def __init__(
        self, name: str, says: str = "hastd: [-dFh] [-c config]", status: int = 64
    ) -> None:
        self.name = name
        self.says = says
        self.status = status
        self.loses = False
        self.done: list[str] = []
        self.files: dict[str, bytes] = {}

    def put(self, path: str, content: bytes, mode: str) -> None:
        self.files[path] = content[:-1] if self.loses else content

    def run(self, *argv: str, **_: Any) -> Result:
        self.done.append(argv[0])
        return self._said(self.says, self.status)

    def ask(self, *argv: str, **_: Any) -> Result:
        return self._said(hashlib.sha256(self.files[argv[-1]]).hexdigest(), 0)

    def sh(self, script: str, *_: str) -> None:
        self.done.append(script.split(maxsplit=1)[0])

    def note(self, text: str) -> None:
        self.done.append(text)

    def _said(self, text: str, status: int) -> Result:
        now = clock.Clock().utc()
        return Result(self.name, ("x",), status, text.encode(), "", 0.0, now)


def replace_on(*guests: _Guest) -> None:
    content = elf.program()
    about = [ReplacedProgram(guest.name, "hastd", "my hastd", _digest(content)) for guest in guests]
    programs.replace(
        [cast(Node, guest) for guest in guests],
        [replaced.Replacement(each, content) for each in about],
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_it_takes_its_place_once_it_is_seen_to_load() -> None:
    first, second = _Guest("skunk1"), _Guest("skunk2")
    replace_on(first, second)
    for guest in (first, second):
        assert guest.done[:3] == ["mkdir", "env", "install"]
        assert guest.done[3].startswith("/sbin/hastd is now my hastd, SHA-256 ")


LINKER = "ld-elf.so.1: "


@pytest.mark.parametrize(
    ("says", "status", "why"),
    [
        (
            f'{LINKER}Shared object "libx.so.7" not found, required by "hastd"\n',
            1,
            r'hastd does not load on skunk2 \(my hastd\): ld-elf.so.1: Shared object "libx.so.7"',
        ),
        (
            f'{LINKER}/root/replaced/hastd: Undefined symbol "pidfile_opem"\n',
            1,
            'hastd does not load on skunk2.*Undefined symbol "pidfile_opem"',
        ),
        (
            f"{LINKER}/lib/libc.so.7: version FBSD_1.8 required by /root/hastd not found\n",
            1,
            "hastd does not load on skunk2.*version FBSD_1.8",
        ),
        ("usage: hastd create [-d] [-c config]\n", 64, "my hastd is no hastd on skunk2"),
        ("Exec format error", 126, "status 126 and said: Exec format error"),
        ("", -1, "status -1 and said nothing"),
    ],
)
def test_what_does_not_load_is_named_and_nothing_is_replaced(
    says: str, status: int, why: str
) -> None:
    first, second = _Guest("skunk1"), _Guest("skunk2", says, status)
    with pytest.raises(SettingsError, match=why):
        replace_on(first, second)
    assert "install" not in (*first.done, *second.done)


def test_what_does_not_arrive_whole_is_the_labs_fault() -> None:
    guest = _Guest("skunk1")
    guest.loses = True
    with pytest.raises(LabError, match="did not arrive whole"):
        replace_on(guest)
    assert "install" not in guest.done


# --- what it is called ----------------------------------------------------------------------------


def test_runs_of_other_programs_are_called_otherwise() -> None:
    old, new = "13.2-RELEASE amd64", "15.1-RELEASE amd64"
    one = ReplacedProgram("skunk1", "hastd", "my hastd", "ab" * 32)
    other = ReplacedProgram("skunk2", "hastd", "my hastd", "ab" * 32)
    assert system(old) == system(old, {"skunk1": old, "skunk2": old}) == old
    assert system(old, {"skunk1": old, "skunk2": new}) == f"{old} on skunk1, {new} on skunk2"
    assert system(new, None, [one]) == f"{new} with hastd abababababab on skunk1"
    assert system(new, None, [one, other]) == f"{new} with hastd abababababab"
    assert in_words([one, other]) == [
        f"hastd of skunk1 and skunk2 is my hastd, SHA-256 {'ab' * 32}"
    ]
    as_written = {"release": new, "replaced": [vars(one), vars(other)]}
    assert system_of(as_written) == f"{new} with hastd abababababab"
    assert system_of({"release": new, "releases": None}) == new


def test_each_node_boots_what_is_named_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node's own file, then its own release, then --image for both, then the settings'."""
    monkeypatch.setenv("SKUNK_CACHE_DIR", str(tmp_path))
    (tmp_path / "images").mkdir()
    old, new, file = (
        tmp_path / "images" / f"FreeBSD-{name}-RELEASE-amd64.qcow2"
        for name in ("13.2", "15.1", "x")
    )
    for path in (old, new, file):
        path.touch()

    def booted(named: Path | None, **skunk2: object) -> list[Path]:
        nodes = dict(LOADED.nodes)
        nodes["skunk2"] = nodes["skunk2"].model_copy(update=skunk2)
        shared = LOADED.image.model_copy(update={"release": "13.2"})
        chosen = LOADED.model_copy(update={"nodes": nodes, "image": shared})
        return list(choose._images(chosen, named).values())

    assert booted(None) == [old, old]
    assert booted(file) == [file, file]
    assert booted(None, release="15.1") == [old, new]
    assert booted(file, release="15.1") == [file, new]
    assert booted(None, image=file) == [old, file]
