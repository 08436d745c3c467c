"""devd(8): which rule is for an event, in which order, and what comes while it does not run."""

from __future__ import annotations

import pytest

from harness.lab.simulated.base.devd.rules import BadRules, Rules, expand
from tests.unit.simulated.test_segments import Lan, lan

__all__ = ["lan"]

EVENT = {"system": "CARP", "subsystem": "1@vtnet2", "type": "MASTER"}
SLOW = """\
notify 100 {
	match "system" "CARP";
	match "type" "(MASTER|BACKUP)";
	action "echo begin $type >>/var/log/seen; sleep 4; echo end $type >>/var/log/seen";
};
"""


def chosen(text: str, **event: str) -> tuple[str, ...] | None:
    rules = Rules()
    rules.read(text)
    rule = rules.rule_for("notify", {**EVENT, **event}, {"vtnet2": "ethernet"})
    return None if rule is None else rule.actions


@pytest.mark.parametrize(
    ("match", "agrees"),
    [
        ('match "system" "CARP";', True),
        ('match "system" "carp";', True),
        ('match "system" "CAR";', False),
        ('match "subsystem" "[0-9]+@vtnet[0-9]";', True),
        ('match "type" "!MASTER";', False),
        ('match "type" "!BACKUP";', True),
        ('match "type" "(INIT|MASTER)";', True),
        ('match "type" "$kind";', True),
        ('match "nosuch" "x?";', True),
        ('media-type "ethernet";', False),
        ('device-name "vtnet2"; match "type" "MASTER";', False),
    ],
)
def test_what_matches(match: str, agrees: bool) -> None:
    text = f'options {{ set kind "MASTER"; }};\nnotify 1 {{ {match} action "a"; }};'
    assert (chosen(text) == ("a",)) is agrees


def test_the_highest_priority_wins_and_among_equals_the_first() -> None:
    """Recorded on 13.2: of three rules one runs."""
    rules = "".join(
        f'notify {priority} {{ match "system" "CARP"; action "{name}"; action "{name}2"; }};\n'
        for priority, name in ((10, "a"), (20, "b"), (20, "c"), (0, "d"))
    )
    assert chosen(rules) == ("b", "b2")
    assert chosen(rules, system="IFNET") is None


def test_link_events_have_media() -> None:
    text = 'notify 0 { media-type "Ethernet"; action "a"; };'
    assert chosen(text, system="IFNET", subsystem="vtnet2") == ("a",)
    assert chosen(text, system="IFNET", subsystem="em0") is None


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("/root/x $subsystem $type", "/root/x $'1@vtnet2' $'MASTER'"),
        ("[$nosuch] $$HOME $$ ${x} $(date $type) $5", "[$''] $HOME $ ${x} $(date $type) $5"),
        ("$type-a", "$''"),
        ("$odd", "$'it\\'s \\\\'"),
    ],
)
def test_variables_become_words_of_the_shell(text: str, expanded: str) -> None:
    assert expand(text, {**EVENT, "odd": "it's \\"}) == expanded


@pytest.mark.parametrize(
    ("text", "line", "token"),
    [
        ('notify 10 {\n match "system" "CARP"\n action "true";\n};\n', 3, "action"),
        ('notify {\n action "true";\n};\n', 1, "{"),
        ('notify 10 {\n match system "CARP";\n};\n', 2, "system"),
        ("nosuch 10 {\n};\n", 1, "nosuch"),
        ('notify 10 {\n match "system" "CARP";\n action "true";\n}\n', 5, ""),
        ('notify 10 { action "true };\n', 1, "true"),
        ("options { };", 1, "}"),
    ],
)
def test_what_it_does_not_take(text: str, line: int, token: str) -> None:
    """Recorded on 13.2, but for the last one, which is the grammar's."""
    with pytest.raises(BadRules) as caught:
        Rules().read(text)
    assert str(caught.value) == f"line {line}: {token}: syntax error."


def test_comments_and_empty_files_are_taken() -> None:
    for text in ("", "# notify\n", "// x\n/* y\n * z */\n", "notify 10 { };"):
        Rules().read(text)


# --- the daemon ---------------------------------------------------------------------------------


def _address(lan: Lan, rules: str = SLOW) -> None:
    """skunk1 alone with the address, and rules in /usr/local/etc/devd."""
    lan.out(lan.one, "mkdir -p /usr/local/etc/devd; : >/var/log/seen; kldload carp")
    lan.one.tree.write("/usr/local/etc/devd/carp.conf", rules.encode())
    lan.out(lan.one, "ifconfig vtnet2 inet vhid 1 203.0.113.10/32 alias; sleep 4")


def _seen(lan: Lan) -> list[str]:
    return lan.out(lan.one, "cat /var/log/seen").split("\n")[:-1]


def _backup_and_master(lan: Lan) -> None:
    lan.out(lan.one, "ifconfig vtnet2 vhid 1 state backup")


def test_the_next_event_waits_for_the_action_of_the_last_one(lan: Lan) -> None:
    _address(lan)
    lan.out(lan.one, "service devd restart; sleep 1; : >/var/log/seen")
    for _ in range(2):
        _backup_and_master(lan)
        lan.world.pass_time(3.5)
    assert _seen(lan) == ["begin BACKUP", "end BACKUP", "begin MASTER"]
    lan.world.pass_time(12)
    both = ["begin BACKUP", "end BACKUP", "begin MASTER", "end MASTER"]
    assert _seen(lan) == both * 2, "as recorded on 13.2"


def test_events_wait_in_the_kernel_until_it_starts_and_the_start_for_them(lan: Lan) -> None:
    _address(lan)
    lan.out(lan.one, "service devd restart; pkill -9 devd; : >/var/log/seen")
    _backup_and_master(lan)
    lan.world.pass_time(5)
    assert _seen(lan) == []
    began = lan.world.now
    assert lan.out(lan.one, "service devd start") == "Starting devd.\n"
    assert 8 < lan.world.now - began < 9, "it goes to the background when none is left"
    assert _seen(lan) == ["begin BACKUP", "end BACKUP", "begin MASTER", "end MASTER"]
    assert lan.out(lan.one, "sysctl hw.bus.devctl_queue") == "hw.bus.devctl_queue: 1000\n"


def test_killed_it_leaves_the_action_and_told_to_end_it_waits_for_it(lan: Lan) -> None:
    _address(lan)
    lan.out(lan.one, "service devd restart; : >/var/log/seen")
    _backup_and_master(lan)
    lan.world.pass_time(1)
    lan.out(lan.one, "pkill -9 devd")
    lan.world.pass_time(8)
    assert _seen(lan) == ["begin BACKUP", "end BACKUP"], "MASTER waits in the queue"
    lan.out(lan.one, "service devd start; : >/var/log/seen")
    _backup_and_master(lan)
    lan.world.pass_time(1)
    stopped = lan.out(lan.one, "service devd stop; service devd status")
    assert stopped.startswith("Stopping devd.\nWaiting for PIDS: ")
    assert stopped.endswith("devd is not running.\n")
    assert _seen(lan) == ["begin BACKUP", "end BACKUP"]


def test_the_oldest_events_make_room(lan: Lan) -> None:
    _address(lan, 'notify 1 { match "system" "CARP"; action "echo $type >>/var/log/seen"; };')
    lan.out(lan.one, "service devd restart; service devd stop; : >/var/log/seen")
    assert "Invalid argument" in lan.out(lan.one, "sysctl hw.bus.devctl_queue=3")
    lan.one.devctl.room = 3
    for _ in range(2):
        lan.out(lan.one, "ifconfig vtnet2 down; ifconfig vtnet2 up")
    lan.world.pass_time(5)
    lan.out(lan.one, "service devd start")
    assert _seen(lan) == ["INIT", "BACKUP", "MASTER"]


def test_a_mistake_keeps_it_from_starting(lan: Lan) -> None:
    _address(lan, 'notify 10 {\n match "system" "CARP"\n action "true";\n};\n')
    lan.out(lan.one, "echo '*.* /var/log/all' >/etc/syslog.d/all.conf; : >/var/log/all")
    lan.out(lan.one, "service syslogd reload")
    said = lan.out(lan.one, "service devd restart; echo $?; service devd status")
    assert said.splitlines() == [
        *("Stopping devd.", "Starting devd.", "1", "devd is not running."),
        "devd: Cannot parse /usr/local/etc/devd/carp.conf at line 3",
        "/etc/rc.d/devd: WARNING: failed to start devd",
    ]
    assert "]: line 3: action: syntax error.\n" in lan.out(lan.one, "cat /var/log/all")


def test_rules_may_be_added_to_freebsds_own_file(lan: Lan) -> None:
    _address(lan, "# none here\n")
    rule = 'notify 9 { match "type" "BACKUP"; action "echo $type >>/var/log/seen"; };'
    lan.out(lan.one, f"echo '{rule}' >>/etc/devd.conf; service devd restart; : >/var/log/seen")
    _backup_and_master(lan)
    lan.world.pass_time(1)
    assert _seen(lan) == ["BACKUP"]
    assert not lan.world.gaps
    assert "what is in /etc/devd.conf" in lan.out(lan.one, "grep notify /etc/devd.conf")
