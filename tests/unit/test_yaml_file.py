"""Whatever is wrong with a YAML file of the project: one error that names the file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import known_bugs
from harness.config import paths, settings, yaml_file
from harness.errors import SettingsError
from harness.measure import plan as bench
from harness.nightly import plan as nightly
from harness.trials.conformance import replay

READERS: dict[str, Callable[[Path], object]] = {
    "lab.yaml": settings.load,
    "demo.yaml": settings.load,
    "bench.yaml": bench.load,
    "compare.yaml": bench.load,
    "nightly.yaml": nightly.load,
    "known-bugs.yaml": known_bugs.load,
    "tests/recordings/known-differences.yaml": replay.known_differences,
}


def test_each_yaml_file_of_the_project_is_among_them() -> None:
    folders = (paths.PROJECT, paths.PROJECT / "tests" / "recordings")
    files = {path for folder in folders for path in folder.glob("*.y*ml")}
    assert {str(path.relative_to(paths.PROJECT)) for path in files} == set(READERS)


NAUGHTY = [
    b"\xe9", b"\xff\xfe", b"\x00", b"\t", b"[" * 3000, b"{" * 500, b"- " * 500, b"2020-99-99",
    b"9" * 5000, b"0x", b"&a *a", b"*a", b"!!python/object:os.system x", b"? [a]\n: b\n", b"---\n",
    b"%YAML 9.9\n", b"'", b'"', b"|", b"!!binary ?", b"<<: 1\n", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b"0:99:99", b".inf", b"null", b"~", b"yes", b": ", b"\r", b"\x1b[31m",
]  # fmt: skip


def _damaged(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    at = chance.randrange(len(content))
    line = chance.randrange(len(lines))
    damages: list[Callable[[], bytes]] = [
        lambda: content[:at] + chance.choice(NAUGHTY) + content[at:],
        lambda: content[:at] + chance.choice(NAUGHTY) + content[at + 1 :],
        lambda: content[:at],
        lambda: content[at:],
        lambda: b"".join([*lines[:line], lines[line], *lines[line:]]),
        lambda: b"".join(lines[:line] + lines[line + 1 :]),
        lambda: lines[line].replace(b":", b": " + chance.choice(NAUGHTY)),
        lambda: content.decode().encode(chance.choice(["utf-16", "utf-32", "utf-7"])),
        lambda: content + chance.choice(NAUGHTY),
    ]
    return chance.choice(damages)()


@pytest.mark.parametrize("name", READERS)
def test_two_hundred_damaged_copies_are_read_or_refused(name: str, tmp_path: Path) -> None:
    content = (paths.PROJECT / name).read_bytes()
    copy = tmp_path / "copy.yaml"
    chance = random.Random(name)
    refused = 0
    for _ in range(200):
        copy.write_bytes(_damaged(content, chance))
        try:
            READERS[name](copy)
        except SettingsError as error:
            refused += 1
            message = str(error)
            assert str(copy) in message
            assert len(message.splitlines()) <= yaml_file.MOST_PROBLEMS + 3, message
            assert all(line.isprintable() for line in message.splitlines()), repr(message)
    assert refused > 60  # otherwise the damage is none


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"pool: caf\xe9\n", "is not UTF-8: byte 0xe9 in line 1"),
        ("pool: a\n".encode("utf-16"), "is not UTF-8: byte 0xff in line 1"),
        (b"a: 1\nb: 2020-99-99\n", "is not YAML: line 2, column 4: month must be in 1..12"),
        (b"a: " + b"[" * 3000, "is not YAML: line 1, column 43: more than 40 levels"),
        (b"a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' is here twice, first in line 1"),
        (b"a: {b: 1, b: 2}\n", "the key 'b' is here twice, first in line 1"),
        (b"a: &x 1\nb: *x\n", "line 2, column 4: anchors and aliases are not read here"),
        (b"a: \x07\n", "is not YAML: the character U+0007 at position 3"),
        (b"a: [1\n", "is not YAML: line 2, column 1: "),
        (b"a" * (yaml_file.LARGEST + 1), "is larger than 1024 KiB"),
        (b"a: " + b"9" * 5000, "is not YAML: "),
    ],
)
def test_what_is_wrong_stands_in_the_first_line(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as wrong:
        yaml_file.read(path, lambda tree: tree, advice="", called="the plan")
    first = wrong.value.what.partition("\n")[0]
    assert first.startswith(f"the plan {path} ")
    assert complaint in first
    assert len(first) < 300


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(SettingsError, match="cannot be read: "):
            yaml_file.read(path, lambda tree: tree, advice="")


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert yaml_file.read(path, lambda tree: tree, advice="") == {"a": 1}


def test_the_reader_in_c_reads_the_same_and_the_one_in_python_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = (paths.PROJECT / "lab.yaml").read_text()
    wrong = f"{text}0x"
    with pytest.raises(ValueError, match=f"line {len(wrong.splitlines())}, column 3: "):
        yaml_file.parse(wrong)  # libyaml says it of the line after that
    tree = yaml_file.parse(text)
    monkeypatch.setattr(yaml_file, "_READERS", yaml_file._READERS[-1:])
    assert yaml_file.parse(text) == tree
