"""Random command lines: from a grammar, real ones with something changed, and plain bytes."""

from __future__ import annotations

import random

_REAL = (
    "exec true",
    "exec uname -rm",
    "exec geom disk list",
    "exec ifconfig -a",
    "exec hastctl status",
    "exec hastctl list mirror",
    "exec hastctl role primary mirror",
    "exec hastctl role init all",
    "exec hastctl create mirror",
    "exec hastctl dump",
    "exec test -c /dev/hast/mirror",
    "exec zpool create -f tank /dev/hast/mirror",
    "exec zpool import -f tank",
    "exec zpool export -f tank",
    "exec zpool status -v",
    "exec zfs list -Hp -o name,used",
    "exec df --libxo json -kT",
    "exec service hastd start",
    "exec sysrc -n hastd_enable",
    "exec cat /var/log/hastd.log",
    "exec tail -n 200 /var/log/messages",
    "exec fsync /boot/zfs/zpool.cache",
    "exec date -u 202601020304.05",
    "exec sysctl -n kern.boottime",
    "exec kldstat",
    "exec shutdown -r now",
    "exec reboot -nq",
    "exec shutdown -p now",
    "exec service sshd stop",
    "exec sysctl debug.kdb.panic=1",
    "exec ifconfig vtnet1 down",
    "exec kill -9 1; kill -STOP -1; kill $(cat /var/run/hastd.pid)",
    "exec newfs -U /dev/vtbd1",
    "exec mount /dev/vtbd1 /mnt",
    "exec mount -p",
    "exec tar -xf - -C /root/provision",
    "exec sh /root/provision/provision-node.sh skunk1 vtnet1 192.168.0.1/24 '192.168.0.1 skunk1'",
    'exec /bin/sh -c \'cat > "$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"\''
    " sh /tmp/hast.conf 0644",
    "exec /bin/sh -c 'cd \"$1\" 2>/dev/null && find . -type f -maxdepth 1 -exec sha256 -r {} +'"
    " sh /tank",
    "exec /bin/sh -c 'hostname \"$1\" && exec hastctl dump -c /tmp/hast.conf' sh skunk1",
    'exec /bin/sh -c \'eval "$(printf %b "\\0145\\0143\\0150\\0157\\0040\\0041")"\'',
    'grep -qxF "192.168.0.1 skunk1" /etc/hosts || echo "192.168.0.1 skunk1" >> /etc/hosts',
    "if ! cmp -s /etc/hosts /etc/fstab; then install -m 644 /etc/hosts /tmp/x; fi",
    'for line in "$@"; do grep -qx "$line" /etc/hosts; done; here=$(cd / && pwd); echo ${here%/*}',
    "dd if=/dev/zero of=/tmp/x bs=4k count=2 conv=fsync; dd if=/dev/vtbd1 bs=1m count=1 | sha256",
    "i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo $i; done | sort -rn | head -n 2",
    "(sleep 1; echo late) & wait; kill -0 $! 2>/dev/null; trap 'echo bye' EXIT; exit 3",
    "cat <<EOF | tr a-z A-Z\nsome $HOME text `date -u +%s`\nEOF",
    "case $(uname -r) in 13.*) echo yes;; *) echo no;; esac; sed -n 's/o/0/gp' /etc/hosts",
)
"""Lines that the harness sends, and others in their manner."""

_WORDS = (  # the paths are a guest's
    *("a", "b", "/etc/hosts", "/dev/null", "/dev/hast/mirror", "/nosuch", "*", "/var/*", "/root/x"),
    *("-n", "-f", "-r", "-rf", "--", "-", "1", "0", "-1", "99999999999999999999", "''", '"$@"'),
    *("$x", '"$x"', "${x:-y}", "${x%.*}", "${#x}", "$((x+1))", "$((1/0))", "$?", "$$", "$!", "!"),
    *(
        "$(echo a)",
        "`echo b`",
        "'q r'",
        "[a-z]*",
        "\\*",
        "~",
        "x=1",
        "é",
        "mirror",
        "tank",
        "{}",
        ";",
    ),
)
_COMMANDS = (
    *("echo", "cat", "cp", "mv", "rm", "mkdir", "rmdir", "ln -s", "ls", "ls -l", "chmod", "touch"),
    *(
        "install",
        "stat -f %z",
        "find",
        "head",
        "tail",
        "grep",
        "grep -E",
        "sed",
        "awk",
        "cut",
        "sort",
    ),
    *("uniq", "wc", "tr", "cmp", "diff -q", "sha256", "md5", "basename", "dirname", "tar", "dd"),
    *("fsync", "sync", "truncate -s", "jot", "seq", "date", "uuidgen", "id", "uname", "hostname"),
    *("env", "which", "tee", "xargs", "printf", "expr", "sleep", "time", "timeout 1", "mktemp"),
    *("test", "[", "cd", "pwd", "export", "unset", "umask", "wait", "kill", "read", "set", "shift"),
    *("eval", ".", "command -v", "type", "local", "return", "exit", "trap", "nohup", "nosuch"),
    *("hastctl", "hastctl role", "zpool", "zfs", "df", "mount", "umount", "geom", "ifconfig"),
    *("service", "sysrc", "sysctl", "kldstat", "ps", "pgrep", "logger", "sh -c", "exec", "break"),
    *("ipfw", "ipfw -q add", "ipfw pipe 1 config", "gnop create", "gnop configure", "kenv"),
    *("nc", "nc -l", "ktrace -t c dd", "kdump", "ping", "netstat"),
)
_JOINS = ("; ", " && ", " || ", " | ", " & ", "\n", " ; ;", "|")
_REDIRECTIONS = (" > /tmp/x", " >> /tmp/y", " < /etc/hosts", " 2>&1", " >/dev/null", " 2>/nosuch/x")
_PIECES = ("'", '"', "`", "$(", "${", "$((", ")", "}", "))", "(", "{", "\\", "&", "|", ";", "<<E")
_SHAPES = (
    "if {0}; then {1}; else {2}; fi",
    "while {0}; do {1}; break; done",
    "until {0}; do {1}; break; done",
    "for x in {words}; do {0}; done",
    "case {word} in {word}) {0};; *) {1};; esac",
    "f() {{ {0}; }}; f {words}",
    "( {0}; {1} )",
    "{{ {0}; {1}; }}",
    "x=$({0}); {1}",
    "! {0}",
    "{0} <<E\n{words}\nE\n{1}",
)


def _command(rng: random.Random, depth: int) -> str:
    """A line that the grammar of sh(1) allows, mostly."""
    if depth < 3 and rng.random() < 0.35:
        inner = [_command(rng, depth + 1) for _ in range(3)]
        return rng.choice(_SHAPES).format(*inner, word=rng.choice(_WORDS), words=_some(rng))
    line = f"{rng.choice(_COMMANDS)} {_some(rng)}"
    while rng.random() < 0.2:
        line += rng.choice(_REDIRECTIONS)
    while rng.random() < 0.3:
        line += rng.choice(_JOINS) + f"{rng.choice(_COMMANDS)} {_some(rng)}"
    return line


def _some(rng: random.Random) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randrange(4)))


def _changed(rng: random.Random, line: bytes) -> bytes:
    """A real line with a few bytes taken out, put in, doubled or replaced."""
    text = bytearray(line)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.randrange(1, 8))
        match rng.randrange(4):
            case 0:
                del text[at:end]
            case 1:
                text[at:at] = rng.choice(_PIECES).encode()
            case 2:
                text[at:at] = text[at:end]
            case _:
                text[at:end] = rng.randbytes(1)
    return bytes(text)


def random_line(rng: random.Random) -> bytes:
    """A command line that nobody would think of, the same for the same state of `rng`."""
    kind = rng.random()
    if kind < 0.45:
        return _command(rng, 0).encode()
    if kind < 0.85:
        return _changed(rng, rng.choice(_REAL).encode())
    if kind < 0.95:
        return rng.randbytes(rng.randrange(60))
    return " ".join(rng.choice([*_PIECES, *_WORDS]) for _ in range(rng.randrange(20))).encode()
