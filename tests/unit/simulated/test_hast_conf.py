"""hast.conf(5) and what hastd says about a wrong one. The messages were seen on a running 13.2."""

from __future__ import annotations

import pytest

from harness.lab.simulated.hast import conf as hast_conf
from harness.lab.simulated.hast.conf import ConfigError, Node

NODE = Node("skunk2.example.org", "60346fcc-e6b3-11f1-ba63-ddc21e3cfd8c", 192862210)
RESOURCE = "resource mirror {{ on {name} {{ local /dev/vtbd1\n remote 192.168.0.1 }} }}\n"


@pytest.mark.parametrize(
    "name", ["skunk2.example.org", "skunk2", NODE.uuid.upper(), "hostid192862210"]
)
def test_a_node_has_four_names(name: str) -> None:
    config = hast_conf.parse(RESOURCE.format(name=name), NODE)

    assert config.resources[0].remoteaddr == "192.168.0.1"


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        (
            RESOURCE.format(name="nobody"),
            78,
            "No resource mirror configuration for this node (acceptable node names: skunk2, "
            "skunk2.example.org, 60346fcc-e6b3-11f1-ba63-ddc21e3cfd8c, hostid192862210).",
        ),
        ("foo\n", 78, "Unable to parse configuration file at line 0 near 'foo': syntax error"),
        (
            "resource a {\n",
            78,
            "Unable to parse configuration file at line 1 near '': syntax error",
        ),
        ("timeout 0\n", 78, "Negative or zero timeout."),
        ("# x", 78, "Unable to parse configuration file at line 0 near 'x': syntax error"),
        (
            RESOURCE.format(name="skunk2") * 2,
            78,
            "Resource mirror configured more than once.",
        ),
        (
            "resource mirror { on skunk2 { local /dev/vtbd1 } }",
            78,
            "Remote address not configured for resource mirror.",
        ),
        (
            "resource mirror { on skunk2 { remote none } }",
            78,
            "Path to local component not configured for resource mirror.",
        ),
        (
            "replication sometimes\n",
            78,
            "Unable to parse configuration file at line 0 near 'sometimes': syntax error",
        ),
    ],
)
def test_errors(text: str, status: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hast_conf.parse(text, NODE)

    assert (caught.value.text, caught.value.status) == (message, status)


def test_what_the_scanner_does_not_know_is_echoed() -> None:
    with pytest.raises(ConfigError) as caught:
        hast_conf.parse('resource mirror "x" {\n on nobody {\n}\n}\n', NODE)

    assert caught.value.text.endswith("at line 0 near 'x': syntax error")
    assert caught.value.echoed == '"'


def test_settings_of_a_resource_go_before_global_ones() -> None:
    config = hast_conf.parse(
        "timeout 7\nreplication async\nexec /root/hook\nmetaflush off\n"
        "on skunk2 { listen 10.0.0.2\n control /tmp/c }\non other { listen 10.0.0.3 }\n"
        "resource a { replication fullsync\n name b\n local /dev/x\n"
        "on skunk2 { remote none\n source 10.0.0.9\n metaflush on } }\n"
        "resource c { local /dev/y\n on skunk2 { remote h } }\n",
        NODE,
    )

    first, second = config.resources
    assert (first.replication, first.provname, first.localpath) == ("fullsync", "b", "/dev/x")
    assert (first.metaflush, first.sourceaddr, first.real_remote) == (True, "10.0.0.9", False)
    assert (second.replication, second.provname, second.timeout) == ("async", "c", 7)
    assert (second.metaflush, second.exec, second.compression) == (False, "/root/hook", "hole")
    assert (config.listen, config.control) == (["10.0.0.2"], "/tmp/c")
    assert hast_conf.parse("", NODE).listen == ["tcp4://0.0.0.0:8457", "tcp6://[::]:8457"]
