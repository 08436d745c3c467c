"""Addresses and characters of hast.conf that people have published, and hast.conf(5)'s own."""

from __future__ import annotations

import pytest

from harness.lab.simulated.hast import hastd
from harness.lab.simulated.hast.address import AddressError, UnixAddress, resolve
from harness.lab.simulated.hast.text import visible
from tests.unit.simulated.hast_pair import HAST_CONF, Pair, running

HOSTS = b"""\
::1 localhost
127.0.0.1 localhost
192.168.0.1 skunk1 Skunk1.Example.org  # the crossover cable
192.168.0.2 skunk2
"""

IN_USE, NOT_OWN, INVALID = (
    "Address already in use",
    "Can't assign requested address",
    "Invalid argument",
)

LINK_1, LINK_2 = "192.168.0.1", "192.168.0.2"


def configured(pair: Pair, text: str) -> None:
    for guest in (pair.one, pair.two):
        guest.tree.write("/etc/hosts", HOSTS)
        guest.tree.write("/etc/hast.conf", text.encode("latin-1"))


def conf(
    remotes: tuple[str, str] = (LINK_2, LINK_1),
    listens: tuple[str, str] = (LINK_1, LINK_2),
    more: tuple[str, str] = ("", ""),
    extra: str = "",
) -> str:
    text = extra
    for number, listen in enumerate(listens, 1):
        text += f"on skunk{number} {{\n\tlisten {listen}\n}}\n"
    text += "resource mirror {\n"
    for number, remote in enumerate(remotes):
        text += f"\ton skunk{number + 1} {{\n\t\tlocal /dev/vtbd1\n\t\tremote {remote}\n"
        text += f"{more[number]}\t}}\n"
    return text + "}\n"


@pytest.fixture
def pair() -> Pair:
    return Pair()


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        conf(remotes=("skunk2", "skunk1")),
        conf(remotes=("tcp://skunk2", "tcp4://SKUNK1:8457"), listens=("skunk1", "skunk2:8457")),
        conf(
            remotes=("skunk2", "skunk1.example.org"),
            more=("\t\tsource skunk1\n", "\t\tsource tcp://skunk2\n"),
        ),
        conf(remotes=("192.168.2", "0xc0.168.1")),  # inet_aton(3) takes fewer than four numbers
        conf(extra="listen tcp://0.0.0.0\n"),
        conf(listens=("0.0.0.0", "tcp4://0.0.0.0:8457")),
        conf(remotes=("[192.168.0.2]:8457", LINK_1)),
    ],
    ids=["names", "schemes", "source", "short", "any and own", "any", "brackets"],
)
def test_a_pair_connects(pair: Pair, text: str) -> None:
    configured(pair, text)

    pair.connect()

    assert "complete" in pair.out(pair.two, "hastctl status")
    assert not [line for line in pair.log(pair.two) if "isn't known" in line]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (LINK_2, (LINK_2, 8457)),
        ("tcp4://192.168.0.2:1234", (LINK_2, 1234)),
        ("TCP://192.168.0.2", (LINK_2, 8457)),
        ("tcp6://[::]:8457", ("::", 8457)),
        ("fe80::1", ("fe80::1", 8457)),
        ("fe80::1:8457", ("fe80::1:8457", 8457)),
        ("[::1]:99", ("::1", 99)),
        ("localhost", ("127.0.0.1", 8457)),
        ("skunk2:08457", (LINK_2, 8457)),
        ("uds:///var/run/x", "/var/run/x"),
        ("UNIX:///tmp/x", "/tmp/x"),
        ("/tmp/x", "/tmp/x"),
    ],
)
def test_what_an_address_comes_to(
    pair: Pair, address: str, expected: tuple[str, int] | str
) -> None:
    configured(pair, conf())
    found = resolve(pair.one, address)

    if isinstance(found, UnixAddress):
        assert found.path == expected
    else:
        assert (found.host, found.port) == expected


@pytest.mark.parametrize(
    "address",
    [
        *("skunk2:0", "skunk2:", "skunk2:99999", "skunk2:-1", "skunk2:84x", "192.168.0.2/24"),
        *("tcp6://[2001:db8::1]", "tcp://2001:db8::1/64", "tcp6://skunk2", "[skunk2]"),
        *(
            "nosuch",
            "",
            "tcp://",
            ":8457",
            "192.168.0.256",
            "192.168.0.2.1",
            "tcp4://::1",
            "udp://x",
        ),
    ],
)
def test_invalid_argument(pair: Pair, address: str) -> None:
    configured(pair, conf())

    with pytest.raises(AddressError, match="Invalid argument"):
        resolve(pair.one, address)


def test_too_long(pair: Pair) -> None:
    for address in ("x" * 256, "/" + "x" * 103, "uds:///" + "x" * 103):
        with pytest.raises(AddressError, match="File name too long"):
            resolve(pair.one, address)
    assert resolve(pair.one, "/" + "x" * 102) == UnixAddress("/" + "x" * 102)


# --- remote ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("remote", ["192.168.0.2:0", "192.168.0.2:", "skunk2:99999", "nosuch"])
def test_a_remote_that_is_none(pair: Pair, remote: str) -> None:
    configured(pair, conf(remotes=(remote, LINK_1)))
    pair.out(pair.one, "hastctl create mirror")
    pair.start(pair.one)

    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(2.0)

    assert pair.log(pair.one)[-2:] == [
        f"[WARNING] [mirror] (primary) Unable to create outgoing connection to {remote}: "
        "Invalid argument.",
        f"[WARNING] [mirror] (primary) Unable to connect to {remote}: Invalid argument.",
    ]
    assert "degraded primary" in pair.out(pair.one, "hastctl status")


def test_a_remote_without_a_valid_port_lets_no_primary_in(pair: Pair) -> None:
    configured(pair, conf(remotes=(LINK_2, "192.168.0.1:0")))
    pair.out(pair.one, "hastctl create mirror")
    pair.out(pair.two, "hastctl create mirror")
    pair.start()
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(2.0)

    assert "isn't known." in pair.log(pair.two)[-1]


def alone_with(pair: Pair, text: str) -> str:
    """What the primary says last, some seconds after its promotion."""
    configured(pair, text)
    pair.out(pair.one, "hastctl create mirror")
    pair.start(pair.one)
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(2.0)
    return pair.log(pair.one)[-1].removeprefix("[WARNING] [mirror] (primary) ")


@pytest.mark.parametrize(
    ("remote", "why"),
    [
        ("fd00::2", "No route to host"),
        ("tcp6://[::1]:8457", "Connection refused"),
        ("skunk1:9", "Connection refused"),
        ("/var/run/nosuch", "No such file or directory"),
    ],
)
def test_a_remote_that_is_not_there(pair: Pair, remote: str, why: str) -> None:
    said = alone_with(pair, conf(remotes=(remote, LINK_1)))

    assert said == f"Unable to connect to {remote}: {why}."
    # connect(2) itself fails, in the parent, and then the worker says it once more.
    assert pair.log(pair.one)[-2:] == [f"[WARNING] [mirror] (primary) {said}"] * 2


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("10.9.9.9", NOT_OWN),
        ("nosuch.example.org", INVALID),
        ("skunk1:0", INVALID),
        ("skunk1:8457", IN_USE),
        ("fd00::1", "Address family not supported by protocol family"),
    ],
)
def test_a_source_that_is_none(pair: Pair, source: str, why: str) -> None:
    said = alone_with(pair, conf(more=(f"\t\tsource {source}\n", "")))

    assert said == f"Unable to connect to {LINK_2}: {why}."
    assert f"Unable to create outgoing connection to {LINK_2}: {why}." in pair.log(pair.one)[-2]


def test_what_the_model_cannot_is_a_gap(pair: Pair) -> None:
    alone_with(pair, conf(remotes=("skunk1", LINK_1)))

    assert any("replicates to itself" in each.what for each in pair.world.gaps)


# --- listen and control ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("tcp://2001:db8::1/64", INVALID),
        ("tcp6://[2001:db8::1]", INVALID),
        ("2001:db8::1", NOT_OWN),
        ("10.0.0.1", NOT_OWN),
        (LINK_2, NOT_OWN),
        ("192.168.0.1\n listen tcp4://192.168.0.1", IN_USE),
        ("skunk1:0", INVALID),
        ("/nosuch/hast.sock", "No such file or directory"),
    ],
)
@pytest.mark.parametrize("foreground", [False, True])
def test_unable_to_listen(pair: Pair, listen: str, why: str, foreground: bool) -> None:
    configured(pair, conf(listens=(listen, LINK_2)))
    errors: list[str] = []

    status = hastd.start(pair.one, foreground=foreground, errors=errors)
    pair.world.pass_time(1.0)

    address = listen.rpartition(" ")[2]
    assert (errors or pair.log(pair.one)) == [
        f"[ERROR] Unable to listen on address {address}: {why}."
    ]
    assert status == (0 if foreground else 71)
    # It exits without a clean-up: what hastctl finds is a socket on which nobody listens.
    asked = pair.run(pair.one, "hastctl status")
    assert (asked.status, asked.stderr.decode().rpartition(": ")[2]) == (
        71,
        "Connection refused.\n",
    )


@pytest.mark.parametrize(
    "control",
    ["/var/run/hastctl", "uds:///var/run/hastctl", "unix:///var/run/hastctl", "UDS:///tmp/x"],
)
def test_control_addresses(pair: Pair, control: str) -> None:
    configured(pair, conf(extra=f"control {control}\n"))
    path = control.rpartition("//")[2] if "//" in control else control
    path = "/" + path.lstrip("/")
    assert pair.run(pair.one, f"[ -S {path} ]").status == 1

    pair.start(pair.one)

    assert "mirror\t-  " in pair.out(pair.one, "hastctl status")
    pair.out(pair.one, f"[ -S {path} ] && [ -e {path} ] && [ ! -f {path} ]")
    assert pair.out(pair.one, f"ls -l {path}").startswith("srwxr-xr-x")


def test_one_control_socket_with_three_names(pair: Pair) -> None:
    """hastd started with one of them answers a hastctl that reads another."""
    configured(pair, conf())
    pair.start(pair.one)
    text = conf(extra="control unix:///var/run/hastctl\n")
    pair.one.tree.write("/tmp/other.conf", text.encode())

    assert "init" in pair.out(pair.one, "hastctl status -c /tmp/other.conf")


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ("/etc/hosts", "connect to hastd via /etc/hosts: Socket operation on non-socket"),
        ("/nosuch", "connect to hastd via /nosuch: No such file or directory"),
        ("udp://here", "setup control connection to udp://here: Invalid argument"),
    ],
)
def test_a_control_address_where_no_hastd_is(pair: Pair, control: str, said: str) -> None:
    configured(pair, conf(extra=f"control {control}\n"))

    asked = pair.run(pair.one, "hastctl status")

    assert (asked.status, asked.stderr.decode()) == (71, f"[ERROR] Unable to {said}.\n")


def test_listening_on_a_path(pair: Pair) -> None:
    """hast.conf(5): `listen` takes what `control` does. No primary comes from there."""
    configured(pair, conf(extra="listen /var/run/hast.sock\n"))

    pair.connect()

    pair.out(pair.one, "[ -S /var/run/hast.sock ]")


def test_sighup_with_other_addresses(pair: Pair) -> None:
    """Whatever can be bound is, one is enough, and what is gone is closed."""
    configured(pair, conf(extra="listen 127.0.0.1:9000\n"))
    pair.start(pair.one)
    text = conf(extra="control /tmp/c\nlisten tcp://10.9.9.9\n")
    pair.one.tree.write("/etc/hast.conf", text.encode())

    running(pair.one).signal(1)
    pair.world.pass_time(6.0)

    assert pair.log(pair.one)[-6:] == [
        "[INFO] Reloading configuration...",
        "[WARNING] Unable to listen on address tcp://10.9.9.9: Can't assign requested address.",
        f"[INFO] Keep listening on address {LINK_1}.",
        "[INFO] Control socket changed from /var/run/hastctl to /tmp/c.",
        "[INFO] No longer listening on address 127.0.0.1:9000.",
        "[INFO] Configuration reloaded successfully.",
    ]
    pair.out(pair.one, "hastctl status && [ ! -e /var/run/hastctl ]")


def test_sighup_with_no_address_of_its_own(pair: Pair) -> None:
    configured(pair, conf())
    pair.start(pair.one)
    pair.one.tree.write("/etc/hast.conf", conf(listens=("skunk1", LINK_2)).encode())

    running(pair.one).signal(1)
    pair.world.pass_time(6.0)

    assert pair.log(pair.one)[-4:] == [
        "[INFO] Reloading configuration...",
        "[WARNING] Unable to listen on address skunk1: Address already in use.",
        "[ERROR] No addresses to listen on.",
        "[WARNING] Configuration not reloaded.",
    ]


def test_sighup_with_another_name_for_the_same_socket(pair: Pair) -> None:
    """hastd binds the new one, and then unlinks the path of the old one: nobody reaches it."""
    configured(pair, conf())
    pair.start(pair.one)
    text = conf(extra="control uds:///var/run/hastctl\n")
    pair.one.tree.write("/etc/hast.conf", text.encode())

    running(pair.one).signal(1)
    pair.world.pass_time(6.0)

    assert b"No such file" in pair.run(pair.one, "hastctl status").stderr


# --- characters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        (conf().replace("\n", "\r\n"), "\r" * conf().count("\n")),
        (conf().replace("/dev/vtbd1", '"/dev/vtbd1"'), '""""'),
        (conf().replace("vtbd1", "vtbd1;").replace(LINK_2, f"{LINK_2};"), ";;;;"),
        ("\ufeff".encode().decode("latin-1") + conf(), "\xef\xbb\xbf"),
    ],
    ids=["CRLF", "quotes", "semicolons", "byte order mark"],
)
def test_characters_that_hastd_does_not_know(pair: Pair, text: str, echoed: str) -> None:
    configured(pair, text)

    pair.connect()

    for command in ("status", "list", "dump"):
        said = pair.run(pair.one, f"hastctl {command}")
        assert said.stdout.startswith(echoed.encode("latin-1"))
        assert said.status == 0
    started = next(line for line in pair.log(pair.one) if "Started successfully" in line)
    assert started == visible(echoed) + ("[INFO] Started successfully, running protocol version 2.")


def test_a_zone_cannot_be_written(pair: Pair) -> None:
    configured(pair, conf(listens=("fe80::1%vtnet1", LINK_2)))

    said = pair.run(pair.one, "hastctl dump")

    assert (said.status, bytes(said.stdout)) == (78, b"%")
    assert b"near 'vtnet1': syntax error" in said.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("timeout 4294967297", None),  # an int: 1
        ("timeout 99999999999999999999", "Negative or zero timeout."),
        ("timeout 2147483648", "Negative or zero timeout."),
        ("listen " + "x" * 1024, "listen argument is too long."),
        ("exec /" + "x" * 1023, "Exec path is too long."),
        ("Timeout 5", "near 'Timeout': syntax error"),
        ("timeout 5s", "near '5s': syntax error"),
        ("timeout -5", "near '-5': syntax error"),
        ("replication memsync,", None),
        ("metaflush yes", "near 'yes': syntax error"),
    ],
)
def test_values(pair: Pair, line: str, said: str | None) -> None:
    configured(pair, f"{line}\n{conf()}")
    pair.run(pair.one, "hastctl create mirror")

    dumped = pair.run(pair.one, "hastctl dump")

    assert dumped.status == (0 if said is None else 78), dumped.stderr
    assert said is None or said in dumped.stderr.decode()


def test_the_example_of_the_manual(pair: Pair) -> None:
    """hast.conf(5)'s own example: hastd refuses it for the prefix length, and hastctl does not."""
    text = HAST_CONF.format(replication="memsync", extra="").replace(
        "listen 192.168.0.1", "listen tcp://2001:db8::1/64"
    )
    configured(pair, text)

    assert pair.run(pair.one, "hastctl create mirror").status == 0
    started = pair.run(pair.one, "hastd")

    assert (started.status, started.stderr.decode()) == (
        71,
        "[ERROR] Unable to listen on address tcp://2001:db8::1/64: Invalid argument.\n",
    )


def test_a_second_hastd_takes_the_control_socket_away(pair: Pair) -> None:
    """It unlinks what is there before it finds its port taken: the first is deaf from then on."""
    configured(pair, conf())
    pair.start(pair.one)
    errors: list[str] = []

    hastd.start(pair.one, foreground=True, errors=errors)

    assert errors == [f"[ERROR] Unable to listen on address {LINK_1}: Address already in use."]
    assert b"Connection refused" in pair.run(pair.one, "hastctl status").stderr


@pytest.mark.parametrize("foreground", [True, False])
def test_what_is_left_of_a_stopped_hastd(pair: Pair, foreground: bool) -> None:
    """A daemon leaves its control socket: the process that bound it was its parent (13.2)."""
    configured(pair, conf())
    assert hastd.start(pair.one, foreground=foreground, pid_file="/var/run/hastd.pid") == 0
    pair.world.pass_time(1.0)

    running(pair.one).signal(15)
    pair.world.pass_time(6.0)

    assert pair.run(pair.one, "[ -S /var/run/hastctl ]").status == int(foreground)
    pair.out(pair.one, "[ -s /var/run/hastd.pid ]")
    reason = b"No such file" if foreground else b"Connection refused"
    assert reason in pair.run(pair.one, "hastctl status").stderr


def test_a_failed_start_takes_its_pid_file_away(pair: Pair) -> None:
    configured(pair, conf(listens=("10.9.9.9", LINK_2)))
    pair.one.tree.write("/var/run/hastd.pid", b"4711")

    assert pair.run(pair.one, "hastd").status == 71

    pair.out(pair.one, "[ ! -e /var/run/hastd.pid ]")


def test_cat_connects_to_a_socket(pair: Pair) -> None:
    configured(pair, conf())
    pair.start(pair.one)

    assert pair.out(pair.one, "cat /var/run/hastctl") == ""
    pair.world.pass_time(0.1)

    said = "[ERROR] Unable to receive control header: Socket is not connected."
    assert pair.log(pair.one)[-1] == said
    assert pair.run(pair.one, "hastd -F").status == 71
    dead = pair.run(pair.one, "cat /var/run/hastctl")
    assert (dead.status, dead.stderr.decode()) == (
        1,
        "cat: /var/run/hastctl: Connection refused\n",
    )
