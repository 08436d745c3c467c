"""inetd(8): a script that answers a client, and what it does with too many of them."""

from __future__ import annotations

import pytest

from harness.lab.simulated.base.inetd import conf
from harness.lab.simulated.engine.signal import NotModelled
from tests.unit.simulated.test_segments import Lan, lan

__all__ = ["lan"]

SERVE = """\
#!/bin/sh
echo "hello $# $1"
read number word
echo "$number $(uname -s)"
while read -r line; do echo "also $line"; done
exit 3
"""


def test_a_line_is_read() -> None:
    text = (
        "# ledger stream tcp nowait root /x x\n\n"
        'ledger\tstream\ttcp4\tnowait/2/3/1\troot:wheel\t/bin/sh\tsh -c "read x; echo $x"\n'
        "other stream tcp nowait root /x\n  x 'a b'\n"
        "bad stream tcp sometimes root /x x\n"
    )
    assert list(conf.parse(text)) == [
        conf.Line("ledger", "/bin/sh", ("sh", "-c", "read x; echo $x"), 2, 3, 1),
        conf.Line("other", "/x", ("x", "a b")),
        "/etc/inetd.conf: bad wait/nowait for service bad",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "time stream tcp nowait root internal",
        "x dgram udp wait root /x x",
        "x stream tcp6 nowait root /x x",
        "x stream tcp nowait nobody /x x",
    ],
)
def test_what_it_lacks_is_a_gap(line: str) -> None:
    with pytest.raises(NotModelled):
        list(conf.parse(line))


def test_names_of_ports() -> None:
    assert conf.ports("# x 1/tcp\nhttp\t80/tcp www www-http\nhttp 80/udp\nmine 7777/tcp # a\n") == {
        "http": 80,
        "www": 80,
        "www-http": 80,
        "mine": 7777,
    }


def _start(lan: Lan, line: str = "", flags: str = "-wW") -> None:
    line = line or "ledger stream tcp nowait root /root/serve serve one two"
    lan.one.tree.write("/root/serve", SERVE.encode(), mode=0o755)
    lan.one.tree.write("/etc/inetd.conf", f"{line}\n".encode())
    lan.out(
        lan.one,
        "echo 'ledger 7777/tcp' >>/etc/services; echo '*.* /var/log/all' >/etc/syslog.d/a.conf",
    )
    lan.out(lan.one, ": >/var/log/all; service syslogd reload")
    lan.out(lan.one, f"sysrc inetd_enable=YES inetd_flags='{flags}'")
    assert lan.out(lan.one, "service inetd start; echo $?") == "Starting inetd.\n0\n"


def _ask(lan: Lan, *lines: bytes, port: int = 7777) -> str:
    lan.client.said.clear()
    lan.client.connect("203.0.113.1", port)
    lan.world.pass_time(0.2)
    for line in lines:
        assert lan.client.socket is not None
        lan.client.socket.send(line, len(line))
        lan.world.pass_time(0.2)
    return b"".join(each for each in lan.client.said if isinstance(each, bytes)).decode()


def _log(lan: Lan) -> str:
    return lan.out(lan.one, "grep inetd /var/log/all")


def test_a_script_answers_line_by_line(lan: Lan) -> None:
    _start(lan)
    assert _ask(lan) == "hello 2 one\n"
    assert _ask(lan, b"7 wri", b"te\n") == "hello 2 one\n7 FreeBSD\n"
    assert lan.client.errors == []
    assert lan.client.socket is not None
    lan.client.socket.shutdown()
    lan.world.pass_time(0.5)
    assert lan.client.errors == [None], "the connection ends with the script"
    assert "/root/serve[" in _log(lan)
    assert "]: exited, status 3\n" in _log(lan)
    assert not lan.world.gaps


def test_nc_gets_the_answer_before_it_ends(lan: Lan) -> None:
    _start(lan)
    answer = "hello 2 one\n1 FreeBSD\nalso more\n"
    assert lan.out(lan.two, "printf '1\\nmore\\n' | nc -N 203.0.113.1 7777") == answer
    assert lan.out(lan.one, "printf '1\\nmore\\n' | nc -N -w 3 127.0.0.1 7777") == answer
    began = lan.world.now
    assert lan.out(lan.two, "echo 1 | nc -w 3 203.0.113.1 7777") == "hello 2 one\n1 FreeBSD\n"
    assert 3 < lan.world.now - began < 4
    listening = lan.out(lan.one, "sockstat -4l | grep inetd").split()
    assert listening[0:2] + listening[4:] == ["root", "inetd", "tcp4", "*:7777", "*:*"]


def test_a_program_may_be_the_shell(lan: Lan) -> None:
    _start(lan, 'ledger stream tcp nowait root /bin/sh sh -c "read x; echo got $x; pwd"')
    assert _ask(lan, b"word more\n") == "got word more\n/\n"
    assert lan.client.errors == [None]


def test_who_goes_away_ends_the_script_that_writes(lan: Lan) -> None:
    _start(lan, 'ledger stream tcp nowait root /bin/sh sh -c "while sleep 1; do echo x; done"')
    _ask(lan)
    assert lan.client.socket is not None
    lan.client.socket.close()
    lan.world.pass_time(3)
    assert "exited, signal 13\n" in _log(lan)


def test_what_it_says_of_its_file(lan: Lan) -> None:
    """Recorded on 13.2, where a number is no name of a service."""
    lines = "7778 stream tcp nowait root /x x\nledger stream tcp nowait root /nosuch x"
    _start(lan, lines)
    assert "]: 7778/tcp: unknown service\n" in _log(lan)
    assert _ask(lan) == ""
    assert "]: cannot execute /nosuch: No such file or directory\n" in _log(lan)
    lan.out(lan.one, "echo 'broken stream' >>/etc/inetd.conf; service inetd reload")
    assert "]: /etc/inetd.conf: syntax error\n" in _log(lan)
    assert lan.out(lan.one, "service inetd status") == "inetd is not running.\n"
    assert "not running? (check /var/run/inetd.pid)." in lan.out(lan.one, "service inetd stop")
    lan.client.connect("203.0.113.1", 7777)
    lan.world.pass_time(1)
    assert lan.client.errors[-1] == "ECONNREFUSED"


def test_too_many_of_one_address_in_a_minute(lan: Lan) -> None:
    _start(lan, flags="-wW -C 3")
    answers = [_ask(lan) for _ in range(5)]
    assert answers == ["hello 2 one\n"] * 3 + ["", ""]
    assert "]: ledger from 203.0.113.99 exceeded counts/min (limit 3/min)\n" in _log(lan)
    lan.world.pass_time(70)
    assert _ask(lan) == "hello 2 one\n"


def test_too_many_in_a_minute_close_the_service(lan: Lan) -> None:
    _start(lan, flags="-R 3")
    assert [_ask(lan) for _ in range(3)] == ["hello 2 one\n"] * 2 + [""]
    assert "]: ledger/tcp server failing (looping), service terminated\n" in _log(lan)
    lan.client.connect("203.0.113.1", 7777)
    lan.world.pass_time(1)
    assert lan.client.errors[-1] == "ECONNREFUSED"
    lan.world.pass_time(600)
    assert _ask(lan) == "hello 2 one\n", "ten minutes later"


def test_a_limit_lets_the_next_one_wait(lan: Lan) -> None:
    _start(lan, "ledger stream tcp nowait/1 root /bin/sh sh -c 'sleep 2; echo done'")
    assert _ask(lan) == ""
    first = lan.client.socket
    assert _ask(lan) == ""
    lan.world.pass_time(2)
    assert lan.client.said == [b"done\n"]
    assert lan.client.socket is not first
    lan.world.pass_time(2)
    assert lan.client.said == [b"done\n"] * 2


def test_it_listens_at_one_address(lan: Lan) -> None:
    _start(lan, flags="-a 203.0.113.10")
    assert "]: ledger/tcp: bind: Can't assign requested address\n" in _log(lan)
    lan.out(lan.one, "ifconfig vtnet2 inet 203.0.113.10/32 alias; service inetd restart")
    assert _ask(lan) == ""
    lan.client.connect("203.0.113.10", 7777)
    lan.world.pass_time(1)
    assert lan.client.said == [b"hello 2 one\n"]
