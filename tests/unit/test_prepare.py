"""Making an image reachable over SSH, with a program in QEMU's place that prints what FreeBSD does.

What the console says at each step is from the console of FreeBSD 13.2-RELEASE, 2026-11-23.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import filelock
import psutil
import pytest

from harness.errors import HarnessError, LabError
from harness.lab.qemu import prepare
from harness.waiting import spent, wait
from harness.waiting.wait import Waiting
from tests.programs import python_program

CONSOLE = r"""
import base64, hashlib, re, socket, sys, time

if "--version" in sys.argv:
    print("QEMU emulator version 7.2.0")
    sys.exit()
(descriptor,) = re.findall(r"socket,id=c,fd=(\d+)", " ".join(sys.argv))
line = socket.socket(fileno=int(descriptor))
log = open("console.log", "wb")
does = "DOES"

def say(text):
    log.write(text.encode())
    log.flush()
    line.sendall(text.encode())

def hear(until):
    heard = b""
    while not heard.endswith(until.encode()):
        came = line.recv(1)
        if not came:
            sys.exit()
        heard += came
    return heard.decode().replace("\n", "\r\n")

say("Starting cron.\r\n\r\nFreeBSD/amd64 (freebsd) (ttyu0)\r\n\r\n")
if does == "QEMU complains":
    sys.exit("qemu-system-x86_64: unable to map backing store")
if does == "never asks":
    time.sleep(60)
if does == "dies":
    sys.exit()
say("login: ")
say(hear("root\n"))
if does == "password":
    say("Password:")
    time.sleep(60)
say("FreeBSD 13.2-RELEASE GENERIC\r\nroot@freebsd:~ # ")
say(hear("exec /bin/sh\n") + "# ")
settings = hear("PS2=''\n")
say(settings + "skunk-prepare> ")
came = {}
lost = {"loses a line's end": 1, "loses every line's end": 99, "changes a letter": 1}.get(does, 0)
while True:
    heard = hear("\n")
    if heard.startswith("{ "):
        hear("status''-failed\n")
        break
    if heard.startswith("\x03"):
        say("^C\r\nskunk-prepare> ")
        continue
    command, number = re.fullmatch(r"(.*); echo came''-(\d+\.)\r\n", heard).groups()
    if "set +o emacs;" not in settings:
        # Else sh(1) of 13.2 edits its lines, and what comes fast is lost in that.
        continue
    if write := re.fullmatch(r"echo (\S+) >(\S+)", command):
        text, name = write.groups()
        if lost and name.endswith("3"):
            lost -= 1
            if "letter" not in does:
                continue
            text = text.swapcase()
        came[name] = text
    else:
        script = base64.b64decode("".join(came[name] for name in sorted(came)))
        say(hashlib.sha256(script).hexdigest() + "\r\n")
    say(f"came-{number}\r\nskunk-prepare> ")
echo = ""
if does == "fails":
    say(echo + ".: cannot open /usr/share/bsdconfig/common.subr: No such file\r\nstatus-failed\r\n")
    time.sleep(60)
say(echo + "status-ok\r\nskunk-prepare> ")
say(hear("exec shutdown -p now\n") + "Shutdown NOW!\r\n")
"""

IMG = """
import json, pathlib, sys

if sys.argv[1] == "info":
    print(json.dumps({"format": "qcow2", "virtual-size": 6 << 30}))
elif sys.argv[1] == "check":
    print(json.dumps({"corruptions": 0}))
else:
    pathlib.Path(sys.argv[-1]).write_text("an overlay")
"""


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKUNK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(prepare, "_FIRMWARE", (str(tmp_path / "OVMF.fd"),))
    (tmp_path / "OVMF.fd").touch()
    python_program(tmp_path / "qemu-img", IMG)
    path = tmp_path / "FreeBSD.qcow2"
    path.write_bytes(b"QFI\xfb image")
    return path


@pytest.fixture
def console(tmp_path: Path) -> Callable[[str], None]:
    """Say what the image's console does."""

    def does(what: str) -> None:
        python_program(tmp_path / "qemu-system-x86_64", CONSOLE.replace("DOES", what))

    return does


def _still_running(folder: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cwd"])
        if (process.info["cwd"] or "").startswith(str(folder))
    ]


def test_an_image_is_prepared_once(
    image: Path, console: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(wait, "_told", told.append)
    console("what it should")
    spent.start()
    said: list[str] = []
    made = prepare.prepared(image, say=said.append)
    assert made.read_text() == "an overlay"
    assert not made.with_suffix(".work").exists()
    assert [line.split(":")[0].strip() for line in said] == [
        "preparing FreeBSD.qcow2 for SSH, once",
        "it is up; logging in as root",
        "its settings are changed; shutting it down",
        *[line.split(":")[0] for line in said[-1:]],
    ]
    assert said[-1].startswith("prepared in ")
    # Each wait is shown by its name while it lasts, and all of it counts as the lab's start.
    waits = [each.what for each in told if isinstance(each, Waiting)]
    typed = ("the shell's prompt", "prepare-image.sh to be typed")
    assert [what for what in waits if what not in typed] == [
        "another run to prepare the image",
        "the image's console to ask for a login",
        "the login as root",
        "a shell",
        "prepare-image.sh in the image",
        "the image to shut down",
    ]
    read = spent.read()
    assert read is not None
    assert read.boot > 0
    assert read.freebsd == 0

    console("dies")
    assert prepare.prepared(image, say=said.append) == made


@pytest.mark.parametrize("does", ["loses a line's end", "changes a letter"])
def test_what_a_busy_console_loses_is_typed_again(
    does: str, image: Path, console: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    console(does)
    monkeypatch.setattr(prepare, "_TYPED", 1.0)
    assert prepare.prepared(image, say=lambda _: None).read_text() == "an overlay"


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("loses every line's end", r"waited 0 s for prepare-image.sh to be typed"),
        ("QEMU complains", r"QEMU could not run the image: qemu-system-x86_64: unable to map"),
        ("never asks", r"waited 0 s for the image's console to ask(.|\n)*FreeBSD/amd64 \(freebsd"),
        ("dies", r"the machine ended before the image's console to ask"),
        ("password", r"root has a password"),
        ("fails", r"prepare-image.sh failed in the image:(.|\n)*cannot open /usr/share/bsdconfig"),
    ],
)
def test_an_image_that_does_not_do_it(
    does: str,
    message: str,
    image: Path,
    console: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console(does)
    if does == "never asks":
        monkeypatch.setattr(prepare, "_BOOT_SECONDS", 0.4)
    if does == "loses every line's end":
        monkeypatch.setattr(prepare, "_TYPED", 0.2)
    with pytest.raises(HarnessError, match=message):
        prepare.prepared(image, say=lambda _: None)
    assert not list((image.parent / "cache" / "prepared").glob("*.qcow2"))
    assert not _still_running(image.parent)


def test_another_run_prepares_it_and_does_not_end(
    image: Path,
    console: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console("what it should")
    made = prepare.prepared(image, say=lambda _: None)
    made.unlink()
    monkeypatch.setattr(prepare, "_OTHERS_SECONDS", 0.2)
    other = filelock.FileLock(f"{made}.lock", thread_local=False)
    with other, pytest.raises(LabError, match=r"another run has been preparing .*\.qcow2 for"):
        prepare.prepared(image, say=lambda _: None)

    monkeypatch.setattr(prepare, "_OTHERS_SECONDS", 30.0)
    other.acquire()
    threading.Timer(0.3, other.release).start()
    assert prepare.prepared(image, say=lambda _: None) == made
