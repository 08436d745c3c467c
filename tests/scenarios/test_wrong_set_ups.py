"""Set-ups that are wrong: what hastd and hastctl make of them, and what they say."""

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.cluster.wire import capturing
from harness.errors import CommandFailed
from harness.freebsd.hast.hastctl import ExitCode, Role, Status
from harness.freebsd.hast.log import (
    PeerLost,
    ResourceUniqueIdMismatch,
    SizeMismatch,
    UnknownPeer,
    WorkerExited,
)
from harness.waiting.wait import wait_until

pytestmark = pytest.mark.hast(timeout=5, media_mib=32)

CONF = "/etc/hast.conf"
MIB = 1 << 20
LOCALOFF = 4608
"""Bytes that HAST keeps for itself on a provider of this size."""

BROKEN_OFF = {"Socket is not connected", "Connection reset by peer"}
"""Which of the two hastd says of an ended connection is a matter of moments."""

NO_PARSE = "Unable to parse configuration file at line 2 near 'never': syntax error"


def set_up(pair: Pair) -> None:
    """Both roles, and the device, but no pool."""
    pair.create_resource()
    pair.start_hastd()
    pair.demote(pair.skunk2)
    pair.promote(pair.skunk1)


def connect(pair: Pair) -> None:
    """Set up, and wait until the nodes are connected."""
    set_up(pair)
    pair.wait_until_complete(pair.skunk1)


def messages(pair: Pair, node: Node) -> list[str]:
    """What hastd has said on the node, without what syslogd and hastd put in front."""
    return [line.message for line in pair.hastd_log(node)]


def wait_until_said(pair: Pair, node: Node, beginning: str) -> None:
    """Wait until hastd on the node has said something that begins so."""
    wait_until(
        f"hastd on {node} to say {beginning!r}",
        lambda: messages(pair, node),
        30,
        accept=lambda said: any(message.startswith(beginning) for message in said),
    )


def edit(node: Node, old: str, new: str) -> None:
    """Change hast.conf on one node."""
    before = node.get(CONF).decode()
    assert old in before
    node.put(CONF, before.replace(old, new).encode())


def reload(pair: Pair, node: Node, outcome: str = "Configuration reloaded successfully.") -> None:
    """Have hastd read hast.conf again: with SIGHUP, which an idle hastd sees within 5 s."""
    before = messages(pair, node).count(outcome)
    node.run("service", "hastd", "reload")
    wait_until(
        f"hastd on {node} to say {outcome!r}",
        lambda: messages(pair, node).count(outcome),
        30,
        accept=lambda count: count > before,
    )


def assert_alone(pair: Pair) -> None:
    """The primary has its device, takes writes, and has them nowhere else."""
    skunk1, skunk2 = pair.nodes
    assert pair.status(skunk1).status is Status.DEGRADED
    assert pair.status(skunk2).status is None
    pair.write_device(skunk1, 0)
    assert pair.replica(skunk1, 0) != pair.replica(skunk2, 0)


@pytest.mark.parametrize(
    ("options", "what", "sizes"),
    [
        pytest.param(("-m", "48M"), "Data", (32 * MIB - LOCALOFF, 48 * MIB - LOCALOFF), id="data"),
        pytest.param(("-m", "32M", "-e", "1M"), "Extent", (2 * MIB, MIB), id="extent"),
    ],
)
def test_different_sizes(
    provisioned_pair: Pair, options: tuple[str, ...], what: str, sizes: tuple[int, int]
) -> None:
    """Nodes that were created with different sizes never connect, and only the log says why.

    `hastctl role` succeeds on both, and the primary takes writes that are nowhere else.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.create_resource(skunk1)
    skunk2.run("hastctl", "create", *options, pair.resource)
    pair.start_hastd()
    pair.demote(skunk2)
    pair.promote(skunk1)
    wait_until("the sizes to be compared", lambda: pair.said(skunk1, SizeMismatch), 30)
    assert pair.said(skunk1, SizeMismatch)[0] == SizeMismatch(what, *sizes)
    wait_until("the worker's end", lambda: pair.said(skunk2, WorkerExited), 30)
    assert pair.said(skunk2, PeerLost)[0].reason in BROKEN_OFF
    assert pair.said(skunk2, WorkerExited)[0].exitcode == ExitCode.EX_TEMPFAIL
    assert_alone(pair)


def test_created_anew_on_the_wrong_node(provisioned_pair: Pair) -> None:
    """`hastctl create` on the node that becomes primary makes two strangers of the nodes.

    Nothing is overwritten: both say `Resource unique ID mismatch`, until the other is created too.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    connect(pair)
    before = pair.metadata(skunk2).resuid
    pair.disconnect_role(skunk1)
    pair.create_resource(skunk1)
    pair.promote(skunk1)
    for node in pair:
        wait_until(
            f"the mismatch on {node}",
            lambda node=node: pair.said(node, ResourceUniqueIdMismatch),  # type: ignore[misc]
            30,
        )
        mismatch = pair.said(node, ResourceUniqueIdMismatch)[0]
        assert mismatch == ResourceUniqueIdMismatch(pair.metadata(skunk1).resuid, before)
    wait_until("the worker's end", lambda: pair.info(skunk2).workerpid is None, 30)
    assert ExitCode.EX_CONFIG in {end.exitcode for end in pair.said(skunk2, WorkerExited)}
    assert_alone(pair)
    pair.recover_from_split_brain(skunk2)
    pair.check_replicas_equal()


UNKNOWN = {
    "role primary": (ExitCode.EHAST_NOENTRY, "[WARNING] [nosuch] Received error 1 from hastd.\n"),
    "list": (ExitCode.EHAST_NOENTRY, "nosuch:\n  error: 1\n"),
    "status": (ExitCode.EHAST_NOENTRY, "Name\tStatus\t Role\t\tComponents\nnosuch\tERR1\n"),
    "create": (ExitCode.EX_DATAERR, "[ERROR] Unknown resource nosuch.\n"),
    "dump": (ExitCode.EX_DATAERR, "[ERROR] Unknown resource nosuch.\n"),
}
"""By hastctl's command: its exit status and all that it prints."""


@pytest.mark.smoke
def test_unknown_resource(provisioned_pair: Pair) -> None:
    """hastctl fails for a resource that hast.conf does not have, and does what it can of the rest.

    hastd itself says nothing.
    """
    pair = provisioned_pair
    skunk1 = pair.skunk1
    pair.create_resource()
    pair.start_hastd(skunk1)
    for command, expected in UNKNOWN.items():
        said = skunk1.run("hastctl", *command.split(), "nosuch", check=False)
        assert (said.status, said.stdout + said.stderr) == expected
    both = skunk1.run("hastctl", "role", "secondary", "nosuch", pair.resource, check=False)
    assert (both.status, pair.role(skunk1)) == (ExitCode.EHAST_NOENTRY, Role.SECONDARY)
    assert not any("nosuch" in message for message in messages(pair, skunk1))


def test_hast_conf_that_does_not_parse(provisioned_pair: Pair) -> None:
    """A running hastd keeps what it has; hastctl and a new hastd refuse with 78, and say where.

    `service hastd start` fails and says why, and `service hastd stop` stops nothing.
    """
    pair = provisioned_pair
    skunk1 = pair.skunk1
    connect(pair)
    good = skunk1.get(CONF)
    edit(skunk1, "timeout 5", "timeout never")
    reload(pair, skunk1, "Configuration not reloaded.")
    assert NO_PARSE in messages(pair, skunk1)
    pair.write_device(skunk1, 0)
    for command in ("role primary mirror", "list", "status", "dump", "create mirror"):
        said = skunk1.run("hastctl", *command.split(), check=False)
        assert (said.status, said.stderr) == (ExitCode.EX_CONFIG, f"[ERROR] {NO_PARSE}\n")
    assert not skunk1.run("service", "hastd", "stop", check=False).ok
    skunk1.put("/tmp/good.conf", good)
    said = skunk1.run("hastctl", "status", "-c", "/tmp/good.conf")
    assert "complete primary" in said.stdout

    skunk1.put(CONF, good)
    skunk1.run("service", "hastd", "stop")
    edit(skunk1, "timeout 5", "timeout never")
    started = skunk1.run("service", "hastd", "start", check=False)
    assert (started.status, started.stdout) == (1, "Starting hastd.\n")
    assert NO_PARSE in started.stderr
    alone = skunk1.run("/sbin/hastd", check=False)
    assert (alone.status, alone.stderr) == (ExitCode.EX_CONFIG, f"[ERROR] {NO_PARSE}\n")
    assert not skunk1.run("service", "hastd", "status", check=False).ok


def test_reload_while_primary(provisioned_pair: Pair) -> None:
    """SIGHUP changes how a primary replicates, and neither its role, its worker nor its device.

    Another `name` or another resource takes the device away, whoever has it open.
    """
    pair = provisioned_pair
    skunk1 = pair.skunk1
    connect(pair)
    worker = pair.info(skunk1).workerpid
    edit(
        skunk1,
        "replication memsync\ntimeout 5\n",
        "replication fullsync\ntimeout 7\nchecksum sha256\ncompression lzf\nmetaflush off\n",
    )
    reload(pair, skunk1)
    info = pair.info(skunk1)
    assert (info.role, info.replication, info.workerpid) == (Role.PRIMARY, "fullsync", worker)
    with capturing(skunk1, pair.settings) as wire:
        text = 'jot -b skunk 20000 | dd of="$1" bs=64k count=1 iflag=fullblock'
        skunk1.sh(text, pair.device)
    assert wire.values("checksum") == ["sha256"]
    assert wire.values("compression") == ["lzf"]

    edit(skunk1, "resource mirror {", "resource mirror {\n\tname other")
    reload(pair, skunk1)
    assert not pair.has_device(skunk1)
    wait_until(
        "/dev/hast/other",
        lambda: skunk1.run("test", "-c", "/dev/hast/other", check=False).ok,
        30,
    )
    info = pair.info(skunk1)
    assert (info.role, info.workerpid == worker) == (Role.PRIMARY, False)

    edit(skunk1, "resource mirror {", "resource another {")
    reload(pair, skunk1)
    assert "Resource mirror removed." in messages(pair, skunk1)
    assert not skunk1.run("test", "-c", "/dev/hast/other", check=False).ok
    assert pair.of("another").role(skunk1) is Role.INIT


def test_host_names_in_hast_conf(provisioned_pair: Pair) -> None:
    """`listen`, `remote` and `source` take names of /etc/hosts."""
    pair = provisioned_pair
    for node in pair:
        for number, own, other in ((1, "skunk1", "skunk2"), (2, "skunk2", "skunk1")):
            edit(node, f"listen 192.168.0.{number}", f"listen tcp4://{own}:8457")
            remote = f"\t\tremote {other}\n\t\tsource {own}\n"
            edit(node, f"\t\tremote 192.168.0.{3 - number}\n", remote)
    connect(pair)
    for node, peer in zip(pair.nodes, reversed(pair.nodes), strict=True):
        info = pair.info(node)
        assert (info.remoteaddr, info.sourceaddr) == (peer.name, node.name)
        assert not pair.said(node, UnknownPeer)


def test_the_example_of_the_manual(provisioned_pair: Pair) -> None:
    """hast.conf(5)'s own example has `listen tcp://2001:db8::1/64`: hastd refuses it with 71.

    No address may have a prefix length, and one of IPv6 in brackets needs its port.
    """
    skunk1 = provisioned_pair.skunk1
    for address in ("tcp://2001:db8::1/64", "tcp6://[2001:db8::1]"):
        before = skunk1.get(CONF).decode()
        edit(skunk1, "listen 192.168.0.1", f"listen {address}")
        said = skunk1.run("/sbin/hastd", check=False)
        skunk1.put(CONF, before.encode())
        refused = f"[ERROR] Unable to listen on address {address}: Invalid argument.\n"
        assert (said.status, said.stderr) == (ExitCode.EX_OSERR, refused)
        # It has left its control socket, which makes hastctl say something else than without hastd.
        assert "Connection refused" in skunk1.run("hastctl", "status", check=False).stderr


NO_SECTION = "No resource mirror configuration for this node (acceptable node names: skunk2, "


@pytest.mark.parametrize(
    ("old", "new", "secondary_says", "primary_says"),
    [
        pytest.param(
            "resource mirror",
            "resource other",
            "No resource 'mirror' as requested by tcp://192.168.0.1:",
            "Resource not configured.",
            id="another resource",
        ),
        pytest.param(
            "remote 192.168.0.1",
            "remote 192.168.0.7",
            "Client tcp://192.168.0.1:",
            "Unable to receive handshake header from 192.168.0.2: ",  # reset, or not connected
            id="another primary",
        ),
    ],
)
def test_secondary_that_does_not_know_its_primary(
    provisioned_pair: Pair, old: str, new: str, secondary_says: str, primary_says: str
) -> None:
    """A secondary whose hast.conf has another resource or primary refuses it; both logs say why.

    To hastctl it is a secondary that nobody has called yet.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.create_resource()
    edit(skunk2, old, new)
    pair.start_hastd()
    skunk2.run("hastctl", "role", "secondary", "all")
    pair.promote(skunk1)
    wait_until_said(pair, skunk1, primary_says)
    wait_until_said(pair, skunk2, secondary_says)
    assert pair.status(skunk1).status is Status.DEGRADED
    assert " secondary " in skunk2.run("hastctl", "status").stdout


def test_node_without_a_section_of_its_own(provisioned_pair: Pair) -> None:
    """hast.conf without `on skunk2`: there hastctl and hastd refuse with 78; skunk1 is degraded."""
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.create_resource()
    edit(skunk2, "\ton skunk2 {", "\ton skunk3 {")
    for command in (("hastctl", "status"), ("hastctl", "create", "mirror"), ("/sbin/hastd",)):
        said = skunk2.run(*command, check=False)
        assert said.status == ExitCode.EX_CONFIG
        assert said.stderr.startswith(f"[ERROR] {NO_SECTION}")
    pair.start_hastd(skunk1)
    pair.promote(skunk1)
    refused = "Unable to connect to 192.168.0.2: Connection refused."
    wait_until_said(pair, skunk1, refused)
    assert pair.status(skunk1).status is Status.DEGRADED


@pytest.mark.leaves("crashed hastd")
@pytest.mark.xfail(
    strict=True,
    raises=CommandFailed,
    reason="hastctl of 13.2 aborts when hast.conf has no resource (docs/findings.md)",
)
def test_no_resource_at_all(provisioned_pair: Pair) -> None:
    """Without any resource in hast.conf `hastctl status` has nothing to say, and says so."""
    skunk1 = provisioned_pair.skunk1
    skunk1.put(CONF, b"listen 192.168.0.1\n")
    skunk1.run("service", "hastd", "start")
    skunk1.run("hastctl", "status")
