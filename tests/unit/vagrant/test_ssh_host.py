"""The host behind a URI of libvirt, and lines to it, by an ssh that does all of it here."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.config import paths
from harness.errors import LabError, SettingsError
from harness.lab.vagrant import ssh_host
from harness.lab.vagrant.ssh_host import Line, SshHost, follow, forward
from harness.waiting.wait import wait_until
from tests.unit.vagrant.conftest import Programs, children, kill_children

HOST = SshHost("hypervisor")


# --- the URI ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("qemu+ssh://host/system", ""),
        ("qemu+ssh://Host-1.example/system", ""),
        ("qemu+ssh://me@host/system", "-l me"),
        ("qemu+ssh://me%40there@host:2222/system", "-l me@there -p 2222"),
        ("qemu+ssh://host/system?keyfile=/k&no_tty=1&netcat=/nc", "-i /k"),
    ],
)
def test_ssh_is_told_what_the_uri_says(uri: str, words: str) -> None:
    command = SshHost.of(uri).command("true")
    split = command.index("--")
    host = "Host-1.example" if "Host-1" in uri else "host"
    assert command[split + 1 :] == [host, "exec /bin/sh -c true sh"]
    options = [word for word in command[2:split] if word != "-o" and "=" not in word]
    assert " ".join(options) == words
    assert "BatchMode=yes" in command
    assert "StrictHostKeyChecking=yes" in command


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("no_verify=1", "no_verify"),
        ("keyfile=/k&command=/opt/ssh", "command"),
        ("keyfile=id", "keyfile id"),
    ],
)
def test_what_would_not_hold_for_all_is_refused(query: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        SshHost.of(f"qemu+ssh://host/system?{query}")


def test_a_host_cannot_be_an_option() -> None:
    with pytest.raises(SettingsError):
        SshHost.of("qemu+ssh://-oProxyCommand=x/system")


# --- commands -----------------------------------------------------------------------------------


def test_a_script_gets_its_arguments_as_they_are(programs: Programs) -> None:
    programs.ssh()
    said = HOST.run('printf "<%s>" "$@"', "a b", "c'd", "$HOME", within=10)
    assert said == "<a b><c'd><$HOME>"


# --- lines --------------------------------------------------------------------------------------


Opened = Callable[..., Line]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Lines that are closed at the end."""
    lines = []

    def open_line(command: Callable[[], list[str]], output: Path | None = None) -> Line:
        lines.append(Line(HOST, "a test", command, log=tmp_path / "log", output=output))
        return lines[-1]

    yield open_line
    for line in lines:
        line.close()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "there"
    path.write_bytes(b"")
    return path


def add(path: Path, more: bytes) -> None:
    with path.open("ab") as file:
        file.write(more)


def arrives(here: Path, content: bytes) -> None:
    wait_until("all of it to arrive", lambda: here.exists() and here.read_bytes() == content, 10)


def test_a_file_comes_from_its_first_byte_on(
    programs: Programs, opened: Opened, tmp_path: Path, there: Path
) -> None:
    """And nothing else comes: not what a login shell says before."""
    programs.ssh(first="echo Welcome; echo")
    here = tmp_path / "here"
    add(there, b"before\n")
    opened(lambda: follow(HOST, str(there), 0), here).wait()
    arrives(here, b"before\n")
    add(there, b"a line\n\xff\x00 no end of line")
    arrives(here, b"before\na line\n\xff\x00 no end of line")


def test_a_broken_line_goes_on_where_it_ended(
    programs: Programs, opened: Opened, tmp_path: Path, there: Path
) -> None:
    programs.ssh()
    here = tmp_path / "here"
    add(there, b"one\n")
    opened(lambda: follow(HOST, str(there), here.stat().st_size if here.exists() else 0), here)
    arrives(here, b"one\n")
    kill_children()
    add(there, b"two\n")
    arrives(here, b"one\ntwo\n")
    assert "ssh for a test broke" in (tmp_path / "log").read_text()


def test_a_line_that_cannot_be_says_why(
    programs: Programs, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_host, "LINE_SECONDS", 2.0)
    programs.script("ssh", "echo 'me@hypervisor: Permission denied (publickey).' >&2; exit 255")
    with pytest.raises(LabError, match=r"no ssh to hypervisor for a test .*Permission denied"):
        opened(lambda: forward(HOST, 1234, "10.157.0.7", 22)).wait()


def test_a_closed_line_leaves_nothing(programs: Programs, opened: Opened, there: Path) -> None:
    programs.ssh()
    before = children()
    line = opened(lambda: follow(HOST, str(there), 0), there.with_name("here"))
    line.wait()
    family = children() - before
    assert family
    line.close()
    wait_until("nothing to be left", lambda: not any(map(lives, family)), 5)
    time.sleep(ssh_host._PAUSE + 0.2)  # when a broken one would be tried again
    assert not children() - before


@pytest.mark.parametrize("kind", ["follow", "forward"])
def test_a_line_ends_with_a_harness_that_is_killed(
    programs: Programs, there: Path, kind: str
) -> None:
    """Over there too: the commands that the line runs there are run here."""
    programs.ssh(then="| cat")
    command = {
        "follow": f"follow(host, {str(there)!r}, 0)",
        "forward": "forward(host, 1234, '10.157.0.7', 22)",
    }[kind]
    harness = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\nfrom pathlib import Path\n"
            "from harness.lab.vagrant.ssh_host import *\n"
            f"host = SshHost('hypervisor'); here = Path({str(there.with_name('here'))!r})\n"
            f"Line(host, 'a test', lambda: {command}, log=here, output=here).wait()\n"
            "print('up', flush=True)\ntime.sleep(987)",
        ],
        cwd=paths.PROJECT,
        stdout=subprocess.PIPE,
    )
    with harness:
        try:
            assert harness.stdout is not None
            assert harness.stdout.readline() == b"up\n"
            family = psutil.Process(harness.pid).children(recursive=True)
        finally:
            harness.send_signal(signal.SIGKILL)
    assert family
    wait_until("nothing to be left", lambda: not any(map(lives, family)), 10)


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
