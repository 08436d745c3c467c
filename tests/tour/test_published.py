"""A tour through the hast.conf files that people have published, and through hast.conf(5)'s own.

As in test_tour.py it claims little: what FreeBSD answers is right, and the simulated lab is held to
it. Each situation is on skunk1 alone where the other node adds nothing.
"""

from __future__ import annotations

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.freebsd.hast import log as hastd_log
from harness.freebsd.hast.log import RoleFellBack
from harness.waiting.wait import wait_until

pytestmark = pytest.mark.hast(timeout=5, media_mib=64)

CONF = "/etc/hast.conf"
LOG = " ".join(hastd_log.COMMAND)
ADDRESSES = ("192.168.0.1", "192.168.0.2")
HAST = ("hastctl status", "hastctl list", "hastctl dump")


def ask(node: Node, *lines: str) -> None:
    """Ask each command line, whatever it answers."""
    for line in lines:
        node.sh(line, check=False)


def conf(
    remotes: tuple[str, str] = (ADDRESSES[1], ADDRESSES[0]),
    listens: tuple[str, str] = ADDRESSES,
    sources: tuple[str, str] = ("", ""),
    extra: str = "",
    resource: str = "",
) -> str:
    """A hast.conf for both nodes."""
    text = f"timeout 5\n{extra}"
    for number, listen in enumerate(listens, 1):
        text += f"on skunk{number} {{\n\tlisten {listen}\n}}\n"
    text += f"resource mirror {{\n{resource}\tlocal /dev/vtbd1\n"
    for number, (remote, source) in enumerate(zip(remotes, sources, strict=True), 1):
        text += f"\ton skunk{number} {{\n\t\tremote {remote}\n"
        text += f"\t\tsource {source}\n\t}}\n" if source else "\t}\n"
    return text + "}\n"


def put(text: str, *nodes: Node) -> None:
    for node in nodes:
        node.put(CONF, text.encode())


def said(pair: Pair, node: Node, text: str) -> None:
    """Wait until hastd has said something, and 2 s for what it says next."""
    wait_until(
        f"hastd on {node} to say {text!r}",
        lambda: [line.message for line in pair.hastd_log(node)],
        120,
        accept=lambda messages: any(text in message for message in messages),
    )
    node.run("sleep", "2")


def set_up(pair: Pair) -> None:
    pair.create_resource()
    pair.start_hastd()
    pair.demote(pair.skunk2)
    pair.promote(pair.skunk1)
    pair.wait_until_complete(pair.skunk1)


@pytest.mark.parametrize("way", ["names", "any", "short", "device"])
def test_a_pair_that_connects(provisioned_pair: Pair, way: str) -> None:
    """Host names, addresses of fewer numbers, any address, and a device of another name."""
    pair = provisioned_pair
    text = {
        "names": conf(
            remotes=("skunk2", "tcp://SKUNK1:8457"),
            listens=("skunk1", "tcp4://skunk2"),
            sources=("skunk1", "skunk2"),
        ),
        "any": conf(extra="listen tcp://0.0.0.0\n"),
        "short": conf(remotes=("192.168.2", "0xc0.168.1")),
        "device": conf(resource="\tname data\n"),
    }[way]
    put(text, *pair)
    set_up(pair)
    for node in pair:
        ask(node, *HAST, "ls /dev/hast", LOG)


@pytest.mark.parametrize(
    "listen",
    [
        *("tcp://2001:db8::1/64", "tcp6://[2001:db8::1]", "2001:db8::1", "tcp6://[::1]:8457"),
        *("10.0.0.1", "skunk1:0", "skunk1:", "/nosuch/hast.sock", "udp://skunk1", "tcp6://skunk1"),
        *("192.168.0.1/24", "[192.168.0.1]", "192.168.0.1\n\tlisten tcp4://192.168.0.1:8457"),
        *("/var/run/hast.sock", "fe80::1", "localhost"),
    ],
)
def test_listening(provisioned_pair: Pair, listen: str) -> None:
    """An address to listen on that is wrong, or strange; and what is left of hastd."""
    skunk1 = provisioned_pair.skunk1
    put(conf(listens=(listen, ADDRESSES[1])), skunk1)
    ask(
        skunk1,
        "hastctl create mirror",
        "/sbin/hastd",
        "hastctl status",
        "[ -S /var/run/hastctl ]",
        "[ -S /var/run/hast.sock ]",
        "service hastd start",
        LOG,
    )


@pytest.mark.parametrize(
    "remote",
    [
        *("skunk2:0", "skunk2:", "skunk2:99999", "skunk2:84x", "192.168.0.2/24", "tcp6://skunk2"),
        *("fd00::2", "tcp6://[::1]:8457", "10.9.9.9", "192.168.0.77", "skunk1:9", "localhost"),
        *("/var/run/nosuch", "nosuch"),
    ],
)
def test_a_remote(provisioned_pair: Pair, remote: str) -> None:
    """Another node that cannot be reached: what a primary says of it."""
    pair = provisioned_pair
    skunk1 = pair.skunk1
    put(conf(remotes=(remote, ADDRESSES[0])), skunk1)
    pair.create_resource(skunk1)
    pair.start_hastd(skunk1)
    ask(skunk1, "hastctl role primary mirror")
    said(pair, skunk1, f"Unable to connect to {remote}: ")
    ask(skunk1, "hastctl status", LOG)


@pytest.mark.parametrize(
    "source", ["10.9.9.9", "nosuch.example.org", "skunk1:0", "skunk1:8457", "fd00::1"]
)
def test_a_source(provisioned_pair: Pair, source: str) -> None:
    """An address to connect from that is none of the node's."""
    pair = provisioned_pair
    skunk1 = pair.skunk1
    put(conf(sources=(source, "")), skunk1)
    pair.create_resource(skunk1)
    pair.start_hastd(skunk1)
    ask(skunk1, "hastctl role primary mirror")
    said(pair, skunk1, "Unable to connect to ")
    ask(skunk1, "hastctl status", LOG)


def test_a_remote_that_lets_nobody_in(provisioned_pair: Pair) -> None:
    """A secondary whose `remote` has no valid port does not know its primary."""
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    put(conf(remotes=(ADDRESSES[1], "192.168.0.1:0")), *pair)
    pair.create_resource()
    pair.start_hastd()
    pair.demote(skunk2)
    pair.promote(skunk1)
    said(pair, skunk2, "isn't known")
    for node in pair:
        ask(node, "hastctl status", LOG)


@pytest.mark.parametrize("kind", ["CRLF", "quotes", "semicolons", "mark", "zone"])
def test_characters(provisioned_pair: Pair, kind: str) -> None:
    """Characters that the scanner of hast.conf does not know."""
    skunk1 = provisioned_pair.skunk1
    text = {
        "CRLF": conf().replace("\n", "\r\n"),
        "quotes": conf().replace("/dev/vtbd1", '"/dev/vtbd1"'),
        "semicolons": conf().replace("vtbd1", "vtbd1;"),
        "mark": "\ufeff" + conf(),
        "zone": conf(listens=("fe80::1%vtnet1", ADDRESSES[1])),
    }[kind]
    put(text, skunk1)
    ask(
        skunk1,
        "hastctl create mirror",
        "hastctl dump mirror",
        "service hastd start",
        "hastctl status",
        "hastctl list",
        "hastctl role primary mirror; sleep 5",
        "hastctl role init mirror; sleep 5",
        "service hastd reload; sleep 7",
        "service hastd stop",
        LOG,
    )


VALUES = (
    *("timeout 4294967297", "timeout 99999999999999999999", "timeout 2147483648", "timeout 0"),
    *("Timeout 5", "timeout 5s", "timeout -5", "metaflush yes", "replication memsync,"),
    *("checksum md5", "compression gzip", "exec /root/hook -v", "port 8457", "include /etc/x"),
    *("control tcp://127.0.0.1:8458", "pidfile /var/run/other.pid"),
)


def test_values(provisioned_pair: Pair) -> None:
    """Statements that hast.conf(5) does not have, and numbers that are none."""
    skunk1 = provisioned_pair.skunk1
    put(conf(), skunk1)
    ask(skunk1, "hastctl create mirror")
    for value in VALUES:
        put(f"{value}\n{conf()}", skunk1)
        ask(skunk1, "hastctl dump mirror")
    for name in ("none", "on", "all", "-f", "x" * 254, "x" * 255):
        put(conf().replace("resource mirror", f"resource {name}"), skunk1)
        ask(skunk1, f"hastctl create {name}", f"hastctl create -- {name}", f"hastctl dump {name}")


SOCKET = ("[ -S /var/run/hastctl ]", "[ -e /var/run/hastctl ]", "ls /var/run/hastctl /tmp/c")


def test_control_sockets(provisioned_pair: Pair) -> None:
    """The control socket by its three names, another one, and one that is taken away."""
    pair = provisioned_pair
    skunk1 = pair.skunk1
    put(conf(), skunk1)
    skunk1.put("/tmp/uds.conf", conf(extra="control uds:///var/run/hastctl\n").encode())
    skunk1.put("/tmp/unix.conf", conf(extra="control UNIX:///var/run/hastctl\n").encode())
    skunk1.put("/tmp/other.conf", conf(extra="control /tmp/c\n").encode())
    skunk1.put("/tmp/file.conf", conf(extra="control /etc/hosts\n").encode())
    skunk1.put("/tmp/none.conf", conf(extra="control udp://here\n").encode())
    ask(skunk1, "hastctl create mirror", *SOCKET, "service hastd start", *SOCKET)
    ask(skunk1, "ls -l /var/run/hastctl | cut -c 1-10", "cat /var/run/hastctl")
    for name in ("uds", "unix", "other", "file", "none"):
        ask(skunk1, f"hastctl status -c /tmp/{name}.conf")
    # hastd obeys SIGHUP within 5 s.
    for name in ("other", "uds"):
        ask(skunk1, f"cp /tmp/{name}.conf {CONF}", "service hastd reload; sleep 7", *SOCKET)
        ask(skunk1, "hastctl status", LOG)
    ask(skunk1, "cp /tmp/unix.conf /etc/hast.conf; service hastd reload; sleep 7", *SOCKET, LOG)


def test_a_second_hastd(provisioned_pair: Pair) -> None:
    """Another hastd beside one that runs, with and without a pid file."""
    skunk1 = provisioned_pair.skunk1
    ask(
        skunk1,
        "hastctl create mirror",
        "service hastd start",
        "/sbin/hastd 2>&1 | sed 's/pid: .*//'",
    )
    ask(skunk1, "hastctl status", "/sbin/hastd -F", "hastctl status", "ls /var/run/hastctl")


def test_starting(provisioned_pair: Pair) -> None:
    """`service hastd start` as provisioned, and as FreeBSD has it."""
    skunk1 = provisioned_pair.skunk1
    steps = (
        "service hastd start; hastctl role primary mirror; echo $?; sleep 5",
        "hastctl role init mirror; sleep 5",
        "service hastd start 2>&1 | sed 's/pid=.*//'",
        "service hastd status",
        "service hastd restart && hastctl status",
        "service hastd stop; ls /var/run/hast*",
        "cp /etc/hast.conf /tmp/good; echo broken > /etc/hast.conf; service hastd start; echo $?",
        "echo listen 10.9.9.9 > /etc/hast.conf; service hastd start; echo $?",
        "ls /var/run/hast*",
        "cp /tmp/good /etc/hast.conf",
    )
    ask(skunk1, "hastctl create mirror", *steps)
    ask(skunk1, "rm /etc/rc.conf.d/hastd", *steps, LOG)


def test_forgotten_create(provisioned_pair: Pair) -> None:
    """`hastctl role` on a disk that `hastctl create` has never seen."""
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.start_hastd()
    ask(skunk1, "hastctl role primary mirror")
    ask(skunk2, "hastctl role secondary mirror")
    wait_until("skunk1 to fall back", lambda: pair.said(skunk1, RoleFellBack), 30)
    for node in pair:
        ask(node, *HAST, LOG, "ls /dev/hast")


@pytest.mark.parametrize(
    "options", ["-e 3k", "-e 3", "-e 1g", "-m 1m", "-m 4k", "-k 0", "-e 2M -k 64"]
)
def test_options_of_create(provisioned_pair: Pair, options: str) -> None:
    """Sizes that `hastctl create` takes and a primary may not."""
    skunk1 = provisioned_pair.skunk1
    put(conf(remotes=("none", "none")), skunk1)
    ask(skunk1, f"hastctl create {options} mirror", "hastctl dump", "service hastd start")
    ask(skunk1, "hastctl role primary mirror; sleep 3", "hastctl status", "ls /dev/hast")
    ask(skunk1, "dd if=/dev/zero of=/dev/hast/mirror bs=4k count=2", LOG)


def test_names_of_pools(provisioned_pair: Pair) -> None:
    """Names that zpool(8) keeps for itself, or that hide a folder of the system."""
    pair = provisioned_pair
    skunk1 = pair.skunk1
    put(conf(remotes=("none", "none")), skunk1)
    pair.create_resource(skunk1)
    pair.start_hastd(skunk1)
    pair.promote(skunk1)
    names = "mirror mirror1 raidz1 raidz draid log logs spare spares cache special dedup c0 c0d0 1a"
    for name in (*names.split(), "tmp", "etc", "a" * 256, "disk1", "replacing-0"):
        ask(skunk1, f"zpool create {name} hast/mirror")
