"""Outputs as people have published them: tabs that became blanks, and what hast.conf adds."""

from __future__ import annotations

import textwrap

import pytest

from harness.errors import UnrecognisedOutput
from harness.freebsd import ifconfig, zpool
from harness.freebsd.hast import conf as hast_conf
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast import log as hastd_log
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.hast.log import Started
from harness.freebsd.zpool import Health
from tests.unit.freebsd.recordings import recorded

STATUS = "zpool_status_mirror_offline"


@pytest.mark.parametrize(
    "line",
    [
        "shared\t complete\tprimary\t/dev/ada0p4\ttcp://10.0.1.233",
        "shared  complete primary        /dev/ada0p4     tcp://10.0.1.233",
        "shared complete primary /dev/ada0p4 tcp://10.0.1.233",
    ],
)
def test_hastctl_status_with_blanks_for_tabs(line: str) -> None:
    (row,) = hast.parse_status(f"Name Status  Role   Components\n{line}\n").rows

    assert (row.name, row.status, row.role) == ("shared", Status.COMPLETE, Role.PRIMARY)
    assert (row.localpath, row.remoteaddr) == ("/dev/ada0p4", "tcp://10.0.1.233")


def test_an_error_in_hastctl_status_with_blanks_for_tabs() -> None:
    (error,) = hast.parse_status("Name Status Role Components\nnosuch  ERR1\n").errors

    assert (error.name, error.code) == ("nosuch", 1)


@pytest.mark.parametrize("width", [8, 4, 2])
def test_zpool_status_with_blanks_for_tabs(width: int) -> None:
    text = recorded(STATUS)
    pasted = "\n".join(line.expandtabs(width) for line in text.split("\n"))

    assert zpool.parse_status(pasted) == zpool.parse_status(text)


def test_zpool_status_without_its_blank_lines() -> None:
    text = recorded(STATUS)
    pasted = "".join(f"{line}\n" for line in text.split("\n") if line.strip())

    assert zpool.parse_status(pasted) == zpool.parse_status(text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "\n".join(line.strip() for line in text.split("\n")),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\t    ", "   "),
    ],
    ids=["no indentation", "no end", "half of it"],
)
def test_a_tree_is_never_lost_without_a_word(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(UnrecognisedOutput):
        zpool.parse_status(damage(recorded(STATUS)))


def test_a_note_beside_a_device_in_a_pasted_table() -> None:
    text = textwrap.dedent(
        """\
          pool: tank
         state: DEGRADED
        status: One or more devices has been removed by the administrator.
                Sufficient replicas exist.
        config:

                NAME             STATE     READ WRITE CKSUM
                tank             DEGRADED     0     0     0
                  mirror-0       DEGRADED     0     0     0
                    hast/disk1   ONLINE       0     0     0
                    hast/disk2   REMOVED      0     0     0  was /dev/hast/disk2

        errors: No known data errors
        """
    )
    (pool,) = zpool.parse_status(text)

    assert pool.status is not None
    assert pool.status.endswith("Sufficient replicas exist.")
    assert [(each.name, each.state) for each in pool.config[0].walk()] == [
        ("tank", Health.DEGRADED),
        ("mirror-0", Health.DEGRADED),
        ("hast/disk1", Health.ONLINE),
        ("hast/disk2", Health.REMOVED),
    ]


def test_ifconfig_with_blanks_for_tabs() -> None:
    text = recorded("ifconfig_carp_key")

    assert ifconfig.parse(text.expandtabs(8)) == ifconfig.parse(text)


# --- what hast.conf adds --------------------------------------------------------------------------


@pytest.mark.parametrize("echoed", ["\r\r\r\r", ";;", '""""', "\ufeff", "%", "=,'"])
def test_characters_of_hast_conf_before_an_answer(echoed: str) -> None:
    status = hast.parse_status(echoed + recorded("hastctl_status_primary_complete"))
    listed = hast.parse_list(echoed + recorded("hastctl_list_primary_complete"))
    dumped = hast.parse_dump(echoed + recorded("hastctl_dump_primary_complete"))

    assert (status.echoed, listed.echoed) == (echoed, echoed)
    assert status.resource("mirror").status is Status.COMPLETE
    assert listed.resource("mirror").role is Role.PRIMARY
    assert dumped[0].name == "mirror"


@pytest.mark.parametrize("echoed", ["^M^M^M", ";;;", '""', ""])
def test_characters_of_hast_conf_in_the_log(echoed: str) -> None:
    line = hastd_log.parse_line(f"{echoed}[INFO] Started successfully, running protocol version 2.")

    assert line.event == Started(2)
    assert (line.level, line.echoed) == ("INFO", echoed)


def test_which_characters_of_a_hast_conf_hastd_does_not_know() -> None:
    text = (
        '# a comment may have anything; "quotes", too\n'
        'resource "shared" {\r\n'
        "\tlocal /dev/da0;\n"
        "\ton a { remote 10.0.0.2; }\n"
        "}\n"
    )

    assert hast_conf.explain(text) == (
        "hast.conf has characters that hastd does not know: '\"' (line 2); carriage return "
        "(line 2); ';' (line 3, 4). It skips them and reads what is around them; hastctl prints "
        "them before its answer. Take them out"
    )
    assert hast_conf.explain("listen tcp6://[::]:8457\n") is None
    assert hast_conf.explain("timeout 5\r\n" * 9) is not None
