"""hast.conf files of the kinds that the handbook, slides, blogs and scripts have, in our own words.

The nodes have the names that such a file has; each is tried, and none is silently wrong.
"""

from __future__ import annotations

import pytest

from harness.lab.simulated.hast import conf as hast_conf
from harness.lab.simulated.hast.hastd import Hast
from harness.lab.simulated.kernel.modules import Kernel
from tests.unit.simulated.hast_pair import Pair

LINK_1, LINK_2 = "192.168.0.1", "192.168.0.2"


def pair_of(one: str, two: str, text: str) -> Pair:
    pair = Pair()
    for guest, name in ((pair.one, one), (pair.two, two)):
        guest.part(Kernel).hostname = name
        guest.tree.write("/etc/hast.conf", text.encode())
        hosts = f"127.0.0.1 localhost\n{LINK_1} {one}\n{LINK_2} {two}\n"
        guest.tree.write("/etc/hosts", hosts.encode())
    return pair


def connect(pair: Pair, resource: str) -> None:
    for guest in (pair.one, pair.two):
        pair.out(guest, f"hastctl create {resource}")
    pair.start()
    pair.out(pair.two, f"hastctl role secondary {resource}")
    pair.out(pair.one, f"hastctl role primary {resource}")
    pair.world.pass_time(1.0)


# Name of each node, the resource, a file that works, and what the first node makes of it.
WORKS: dict[str, tuple[tuple[str, str, str], str, dict[str, object]]] = {
    "slides: local for both nodes, an underscore in a name": (
        ("fbsd_h1", "fbsd_h2", "shared"),
        f"""\
listen tcp://0.0.0.0

resource shared {{
    local /dev/vtbd1

    on fbsd_h1 {{
        remote tcp://{LINK_2}
    }}
    on fbsd_h2 {{
         remote tcp://{LINK_1}
    }}
}}
""",
        {"listen": ["tcp4 *:8457"], "remoteaddr": f"tcp://{LINK_2}", "localpath": "/dev/vtbd1"},
    ),
    "comments behind braces and words": (
        ("hasta", "hastb", "tank"),
        f"""\
# hastd(8) and hastctl(8) configuration file.
resource tank {{ # the only one
   # two lines
   # of comments
   on hasta {{
\t   local /dev/vtbd1 # given whole; "quoted", too
\t   source tcp://{LINK_1}
\t   remote tcp://{LINK_2}
   }} # end of hasta
   on hastb {{
\t   local /dev/vtbd1
\t   source tcp://{LINK_2}
\t   remote tcp://{LINK_1}
   }}
}}
""",
        {"sourceaddr": f"tcp://{LINK_1}", "remoteaddr": f"tcp://{LINK_2}"},
    ),
    "cloud machines: long names with hyphens, names for remote, two blanks": (
        ("user-failover-1", "user-failover-2", "disk1"),
        """\
resource disk1 {
        on user-failover-1 {
                local /dev/vtbd1
                remote user-failover-2
        }
        on  user-failover-2 {
                local /dev/vtbd1
                remote user-failover-1
        }
}
""",
        {"remoteaddr": "user-failover-2"},
    ),
    "full names of hosts, of which the file has the first part": (
        ("s1.example.org", "s2.example.org", "hast0"),
        f"resource hast0 {{ local /dev/vtbd1 on s1 {{ remote {LINK_2} }} "
        f"on s2 {{ remote {LINK_1} }} }}\n",
        {"remoteaddr": LINK_2},
    ),
    "another port on both": (
        ("a", "b", "r"),
        f"on a {{ listen {LINK_1}:9999 }} on b {{ listen {LINK_2}:9999 }}\n"
        f"resource r {{ local /dev/vtbd1\n on a {{ remote {LINK_2}:9999 }}\n"
        f" on b {{ remote {LINK_1}:9999 }}\n}}\n",
        {"listen": [f"tcp4 {LINK_1}:9999"], "remoteaddr": f"{LINK_2}:9999"},
    ),
    "both families, as by default": (
        ("a", "b", "r"),
        "listen tcp4://0.0.0.0:8457\nlisten tcp6://[::]:8457\n"
        "resource r { local /dev/vtbd1\n"
        f"on a {{ remote {LINK_2} }} on b {{ remote {LINK_1} }} }}\n",
        {"listen": ["tcp4 *:8457", "tcp6 *:8457"]},
    ),
    "every setting at every place, several on one line": (
        ("a", "b", "r"),
        "replication fullsync checksum crc32 compression lzf timeout 10 metaflush on\n"
        "control unix:///var/run/hastctl pidfile /var/run/hastd.pid\n"
        "resource r { replication async checksum none compression none timeout 5 metaflush off\n"
        f"exec /usr/local/sbin/hook name other local /dev/vtbd1\n on a {{ metaflush on name r\n"
        f"remote {LINK_2} }}\n on b {{ name r remote {LINK_1} }}\n}}\n",
        {
            "replication": "async",
            "checksum": "none",
            "compression": "none",
            "timeout": 5,
            "metaflush": True,
            "exec": "/usr/local/sbin/hook",
            "provname": "r",
        },
    ),
    "settings behind the resources count as well": (
        ("a", "b", "r"),
        f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} on b {{ remote {LINK_1} }} }}\n"
        "timeout 3\nlisten 0.0.0.0\n",
        {"timeout": 3, "listen": ["tcp4 *:8457"]},
    ),
    "a node twice, the second one wins": (
        ("a", "b", "r"),
        f"resource r {{ local /dev/nosuch on a {{ remote 10.9.9.9 }} on b {{ remote {LINK_1} }}\n"
        f"on a {{ local /dev/vtbd1 remote {LINK_2} }}\n"
        f"on b {{ local /dev/vtbd1 remote {LINK_1} }} }}",
        {"localpath": "/dev/vtbd1", "remoteaddr": LINK_2},
    ),
}


@pytest.mark.parametrize(("names", "text", "read"), WORKS.values(), ids=WORKS)
def test_a_file_that_works(names: tuple[str, str, str], text: str, read: dict[str, object]) -> None:
    pair = pair_of(*names[:2], text)
    (resource,) = hast_conf.load(pair.one, "/etc/hast.conf").resources
    known = {key: value for key, value in read.items() if key != "listen"}
    assert {key: getattr(resource, key) for key in known} == known

    connect(pair, names[2])

    assert f"{names[2]}\tcomplete primary" in pair.out(pair.one, "hastctl status")
    pair.out(pair.one, f"test -c /dev/hast/{names[2]}")
    sockets = pair.out(pair.one, "sockstat -l | awk '$5 ~ /^tcp/ { print $5, $6 }'")
    assert sockets.splitlines() == read.get("listen", ["tcp4 *:8457", "tcp6 *:8457"])
    assert not pair.world.gaps


# What `hastctl create r` ends with and says, on the node a.
IN_VAIN = {
    "a disk that is not there": (
        f"resource r {{ on a {{ local /dev/ad6 remote {LINK_2} }} on b {{ local /dev/ad6\n"
        f"remote {LINK_1} }} }}",
        (66, "[r] Unable to open /dev/ad6: No such file or directory."),
    ),
    "a volume that is not there": (
        f"resource r {{ on a {{ local /dev/zvol/tank/hast remote {LINK_2} }} }}",
        (66, "[r] Unable to open /dev/zvol/tank/hast: No such file or directory."),
    ),
    "a page that has lost its addresses": (
        "listen tcp://\n\nresource r {\n    local /dev/vtbd1\n\n    on a {\n        remote tcp://\n"
        "    on b {\n         remote tcp://\n",
        (78, "Unable to parse configuration file at line 7 near 'on': syntax error"),
    ),
    "the style of DRBD": (
        "resource r {\n  protocol C;\n  on a {\n    device /dev/drbd0;\n  }\n}\n",
        (78, "Unable to parse configuration file at line 1 near 'protocol': syntax error"),
    ),
    "a program with arguments": (
        "exec /usr/local/sbin/hook up\n",
        (78, "Unable to parse configuration file at line 0 near 'up': syntax error"),
    ),
    "a timeout for one node": (
        f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} timeout 5 }} }}",
        (78, "Unable to parse configuration file at line 0 near 'timeout': syntax error"),
    ),
    "a source for both nodes": (
        f"resource r {{ local /dev/vtbd1 source {LINK_1} }}",
        (78, "Unable to parse configuration file at line 0 near 'source': syntax error"),
    ),
    "an address to listen on in a resource": (
        f"resource r {{ listen {LINK_1} }}",
        (78, "Unable to parse configuration file at line 0 near 'listen': syntax error"),
    ),
    "an equals sign": (
        "timeout = 5\n",
        (0, ""),
    ),
    "a section without anything in it": (
        "resource r { local /dev/vtbd1 on a { } on b { } }",
        (78, "Remote address not configured for resource r."),
    ),
    "the same resource twice": (
        f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} }}\n"
        f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} }}\n",
        (78, "Resource r configured more than once."),
    ),
    "a comment that ends the file": (
        f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} }} # that is all",
        (78, "Unable to parse configuration file at line 0 near 'that': syntax error"),
    ),
    "another comment sign": (
        f"// ours\nresource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} }}",
        (78, "Unable to parse configuration file at line 0 near '//': syntax error"),
    ),
    "a name that is a number": (
        "resource 1 { }",
        (78, "Unable to parse configuration file at line 0 near '1': syntax error"),
    ),
    "capital letters": (
        "Resource r { }",
        (78, "Unable to parse configuration file at line 0 near 'Resource': syntax error"),
    ),
    "the name of a host in other letters": (
        f"resource r {{ local /dev/vtbd1 on A {{ remote {LINK_2} }} }}",
        (78, "No resource r configuration for this node (acceptable node names: a, "),
    ),
}


@pytest.mark.parametrize(("text", "expected"), IN_VAIN.values(), ids=IN_VAIN)
def test_a_file_that_does_not(text: str, expected: tuple[int, str]) -> None:
    status, said = expected
    if status == 0:
        text += f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} }}\n"
    pair = pair_of("a", "b", text)

    created = pair.run(pair.one, "hastctl create r")

    assert (created.status, said in created.stderr.decode()) == (status, True), created.stderr
    if status == 0:
        assert created.stdout.decode() == "="
    assert not pair.world.gaps


def test_the_regression_test_of_freebsd() -> None:
    """Sockets and a pid file in a folder of its own, and no resource: 13.2 aborts.

    `hastctl stop`, with which it ends, is newer than 13.2.
    """
    text = "control /tmp/t/hastctl\npidfile /tmp/t/hastd.pid\nlisten /tmp/t/hastd.sock\n"
    pair = pair_of("a", "b", "")
    pair.out(pair.one, "mkdir /tmp/t")
    pair.one.tree.write("/tmp/t/hast.conf", text.encode())

    pair.out(pair.one, "hastd -c /tmp/t/hast.conf")
    pair.world.pass_time(1.0)

    pair.out(
        pair.one, "[ -S /tmp/t/hastctl ] && [ -S /tmp/t/hastd.sock ] && [ -s /tmp/t/hastd.pid ]"
    )
    assert pair.run(pair.one, "hastctl status -c /tmp/t/hast.conf").status == 128 + 6
    assert pair.run(pair.one, "hastctl stop -c /tmp/t/hast.conf").status == 64
    pair.out(pair.one, "kill $(cat /tmp/t/hastd.pid)")
    pair.world.pass_time(6.0)
    assert pair.one.part(Hast).hastd is None
    # A daemon leaves its sockets: the process that bound them was its parent.
    pair.out(pair.one, "[ -S /tmp/t/hastctl ] && [ -S /tmp/t/hastd.sock ]")


def test_a_resource_that_was_added_while_hastd_runs() -> None:
    """hastctl create takes it at once, and hastd knows nothing of it until it reads the file."""
    text = (
        f"resource r {{ local /dev/vtbd1 on a {{ remote {LINK_2} }} on b {{ remote {LINK_1} }} }}\n"
    )
    pair = pair_of("a", "b", text)
    pair.start(pair.one)
    more = text.replace("resource r", "resource added")
    pair.one.tree.write("/etc/hast.conf", (text + more).encode())

    pair.out(pair.one, "hastctl create added")
    role = pair.run(pair.one, "hastctl role primary added")

    assert (role.status, role.stderr.decode()) == (
        1,
        "[WARNING] [added] Received error 1 from hastd.\n",
    )


def test_the_other_node_is_not_set_up_yet() -> None:
    """`remote none`: a primary alone, which serves its device at once."""
    pair = pair_of("a", "b", "resource r { local /dev/vtbd1 on a { remote none } }\n")
    pair.out(pair.one, "hastctl create r")
    pair.start(pair.one)

    pair.out(pair.one, "hastctl role primary r; sleep 1")

    assert "r\tdegraded primary        /dev/vtbd1\tnone\n" in pair.out(pair.one, "hastctl status")
    assert not any("Unable" in line for line in pair.log(pair.one))
