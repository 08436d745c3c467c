"""Making a stock FreeBSD image reachable over SSH, once, by talking to its console.

An official VM image has root without a password on the console, no SSH server, and its console on
the screen. Booted through UEFI firmware its boot loader and kernel also use the firmware's serial
console, so the harness can log in there and run provision/prepare-image.sh. What that changes goes
into an overlay in the cache folder; the image itself is never written to.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import shutil
import socket
import subprocess
import textwrap
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pexpect
from pexpect import socket_pexpect

from harness.config import paths
from harness.errors import ImageError, LabError, MissingTool
from harness.lab import console
from harness.lab.images import image
from harness.lab.qemu.machine import kill_leftovers
from harness.lab.qemu_host import Qemu, processors
from harness.lab.turns import turn
from harness.waiting import spent
from harness.waiting.spent import Activity
from harness.waiting.wait import Deadline, followed

SCRIPT = paths.PROVISION / "prepare-image.sh"

_FIRMWARE = (
    "/usr/share/OVMF/OVMF.fd",
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/edk2/ovmf/OVMF.fd",
    "/usr/share/edk2-ovmf/x64/OVMF.fd",
    "/usr/local/share/edk2-qemu/QEMU_UEFI-x86_64.fd",
    "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
    "/usr/local/share/qemu/edk2-x86_64-code.fd",
)
"""Where Debian, Fedora, Arch, FreeBSD and Homebrew put UEFI firmware for QEMU."""

_BOOT_SECONDS = 420.0
_STEP_SECONDS = 300.0
"""Emulated on a host with much other work, 90 s were too few for a login, or for the script."""

_OTHERS_SECONDS = _BOOT_SECONDS + 9 * _STEP_SECONDS
"""More than another run takes, whose login and eight further steps have each a deadline."""

_TYPED = 30.0
"""Seconds for a line that is typed to be answered; most take a tenth of one."""

_TRIES = 5

_PROMPT = "skunk-prepare> "
_COPY = "/tmp/prepare.sh"  # noqa: S108 - of the image


def prepared(
    base: Path, *, authorized_keys: str | None = None, say: Callable[[str], None] = print
) -> Path:
    """Return an image over `base` that SSH can reach, making it when it is not in the cache yet.

    With `authorized_keys` those lines are in the image (a Vagrant box needs some); without, it
    takes its keys from the seed at each boot. `say` gets one line for each stage of the minute or
    two that it takes. Raises `ImageError` with the console's last lines when the image does not
    boot to a login or does not let root in, `MissingTool` when QEMU or the firmware is missing,
    `LabError` when another run prepares the same image and does not end.
    """
    info = image.inspect(base)
    qemu = Qemu.find()
    base = base.resolve()
    target = target_of(base, authorized_keys)
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    with spent.on(Activity.BOOT), _alone(target):
        if target.exists():
            return target
        work = folder / f"{target.stem}.work"
        kill_leftovers(work)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        say(f"preparing {base.name} for SSH, once: booting it on its console (a minute or two)")
        overlay = work / "os.qcow2"
        qemu.create_overlay(overlay, base, info.format)
        started = time.monotonic()
        _run_script(qemu, work, overlay, [] if authorized_keys is None else [authorized_keys], say)
        overlay.rename(target)
        shutil.rmtree(work)
        say(f"prepared in {time.monotonic() - started:.0f} s: {target}")
    return target


def target_of(base: Path, authorized_keys: str | None = None) -> Path:
    """Where `prepared` keeps what it makes of an image: another one for each change of it."""
    base = base.resolve()
    stat = base.stat()
    identity = f"{base}|{stat.st_size}|{stat.st_mtime_ns}|{authorized_keys}|{SCRIPT.read_text()}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return paths.cache_dir() / "prepared" / f"{base.stem}-{key}.qcow2"


def _alone(target: Path) -> AbstractContextManager[object]:
    """Keep every other run from making `target`, and wait for one that does."""
    lock = Path(f"{target}.lock")
    deadline = Deadline.after(_OTHERS_SECONDS)
    late = LabError(
        f"another run has been preparing {target.name} for {deadline.within:.0f} s",
        advice=f"end it (`fuser {lock}` tells its process), and start again",
    )
    return turn(lock, "another run to prepare the image", deadline, late)


def _run_script(
    qemu: Qemu, work: Path, disk: Path, arguments: list[str], say: Callable[[str], None]
) -> None:
    log = work / "console.log"
    # A pair of sockets, not one in the folder: its path may be longer than an address can be.
    line, theirs = socket.socketpair()
    with (work / "qemu.log").open("wb") as qemu_log, theirs:
        process = subprocess.Popen(
            [
                *(qemu.system, "-nodefaults", "-no-user-config", "-display", "none"),
                *("-machine", "q35,accel=tcg", "-smp", processors(1, "tcg"), "-m", "1024"),
                *("-bios", firmware()),
                *("-drive", f"file={disk.name},format=qcow2,if=virtio"),
                *(
                    "-netdev",
                    "user,id=n,restrict=on",
                    "-device",
                    "virtio-net-pci,netdev=n,romfile=",
                ),
                *("-chardev", f"socket,id=c,fd={theirs.fileno()},logfile=console.log"),
                *("-serial", "chardev:c", "-device", "virtio-rng-pci"),
            ],
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=qemu_log,
            stderr=qemu_log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    try:
        with line:
            _talk(line, arguments, say)
    except OSError as error:
        complaint = (work / "qemu.log").read_text(errors="replace").strip()
        if complaint:
            raise LabError(f"QEMU could not run the image: {complaint}") from error
        raise ImageError(
            f"the image did not do what was expected on its console: {error}; the console's last "
            f"lines:\n{console.tail(log)}",
            advice="boot it by hand and see whether root can log in on the serial console without "
            "a password; official VM images can. An image that answers SSH by itself needs "
            "provision/prepare-image.sh run in it once",
        ) from error
    finally:
        process.kill()
        process.wait(30)


def _talk(line: socket.socket, arguments: list[str], say: Callable[[str], None]) -> None:
    """Log in on the console at the other end of `line`, run the script and shut down."""
    dialog: socket_pexpect.SocketSpawn[bytes] = socket_pexpect.SocketSpawn(line)
    _expect(dialog, "the image's console to ask for a login", rb"login: ", within=_BOOT_SECONDS)
    say("  it is up; logging in as root")
    dialog.send("root\n")
    if _expect(dialog, "the login as root", rb"Password:", rb"[#%$] ") == 0:
        raise ImageError(
            "root has a password on this image, so the harness cannot log in on its console",
            advice="run provision/prepare-image.sh in it by hand",
        )
    dialog.send("exec /bin/sh\n")
    _expect(dialog, "a shell", rb"[#$] ")
    # sh(1) edits its lines, and echoes them as it does so, even with stty -echo; on a busy host
    # characters were lost in that. The quotes keep the echo of this line from looking like the
    # prompt itself.
    dialog.send(f"set +o emacs; stty -echo; PS1='{_PROMPT[:5]}''{_PROMPT[5:]}'; PS2=''\n")
    _expect(dialog, "the shell's prompt", re.escape(_PROMPT.encode()))
    _transfer(dialog, SCRIPT.read_bytes())
    quoted = " ".join(f"'{argument}'" for argument in arguments)
    _command(dialog, f"sh {_COPY} {quoted} && rm {_COPY}*")
    say("  its settings are changed; shutting it down")
    dialog.send("exec shutdown -p now\n")
    # QEMU ends with its machine.
    _expect(dialog, "the image to shut down", pexpect.EOF)


def _expect(
    dialog: socket_pexpect.SocketSpawn[bytes],
    what: str,
    *patterns: bytes | type[pexpect.EOF],
    within: float = _STEP_SECONDS,
) -> int:
    """Wait for `what`, which prints one of `patterns`; return the number of that one.

    Raises `OSError` naming it, when it does not come or the machine ends first.
    """
    deadline = Deadline.after(within)
    with followed(what, deadline):
        try:
            return int(dialog.expect(list(patterns), timeout=deadline.within))
        except pexpect.TIMEOUT:
            raise TimeoutError(f"waited {deadline.within:.0f} s for {what}") from None
        except pexpect.EOF:
            raise ConnectionError(f"the machine ended before {what}") from None


def _command(dialog: socket_pexpect.SocketSpawn[bytes], command: str) -> None:
    dialog.send(f"{{ {command}\n}} && echo status''-ok || echo status''-failed\n")
    if _expect(dialog, "prepare-image.sh in the image", b"status-ok", b"status-failed") == 1:
        raise ImageError(
            f"prepare-image.sh failed in the image:\n{_text(dialog.before)}",
            advice="is it a FreeBSD image, release 13 or newer?",
        )
    _expect(dialog, "the shell's prompt", re.escape(_PROMPT.encode()))


def _text(printed: object) -> str:
    return printed.decode("utf-8", "replace") if isinstance(printed, bytes) else ""


def _transfer(dialog: socket_pexpect.SocketSpawn[bytes], script: bytes) -> None:
    """Write the script into the image, a line at a time, and make sure that all of it came.

    Raises `OSError` when a line, or the whole of it, does not come through in `_TRIES`.
    """
    # Short lines: a terminal in canonical mode takes at most 255 bytes at once (MAX_CANON).
    lines = textwrap.wrap(base64.b64encode(script).decode("ascii"), 76)
    wanted = hashlib.sha256(script).hexdigest()
    for _ in range(_TRIES):
        for number, line in enumerate(lines):
            _answered(dialog, f"echo {line} >{_COPY}.{number:04}")
        came = _answered(dialog, f"cat {_COPY}.* | b64decode -r >{_COPY}; sha256 -q {_COPY}")
        if wanted in came:
            return
    raise OSError(f"{SCRIPT.name} arrived changed {_TRIES} times")


_numbers = itertools.count(1)


def _answered(dialog: socket_pexpect.SocketSpawn[bytes], command: str) -> str:
    """Type a command that may be repeated, again where nothing answers, and return what it prints.

    On a busy host an emulated console has lost characters: then the shell waits for the rest.
    """
    for left in reversed(range(_TRIES)):
        number = next(_numbers)
        dialog.send(f"{command}; echo came''-{number}.\n")
        try:
            _expect(dialog, f"{SCRIPT.name} to be typed", rb"came-%d\." % number, within=_TYPED)
        except TimeoutError:
            if not left:
                raise
            dialog.send("\x03\n")
        else:
            return _text(dialog.before)
    raise AssertionError  # the last try returns or raises


def firmware() -> str:
    """The path of UEFI firmware for QEMU. Raises `MissingTool`."""
    for path in _FIRMWARE:
        if Path(path).exists():
            return path
    raise MissingTool(
        "there is no UEFI firmware for QEMU on this host, which a stock image needs once to give "
        "its console to the serial port",
        advice="`apt-get install ovmf` (Debian), `dnf install edk2-ovmf` (Fedora), `pkg install "
        "edk2-qemu-x64` (FreeBSD)",
    )
