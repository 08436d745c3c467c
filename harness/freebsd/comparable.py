"""Taking out of what a command printed all that differs between two runs of FreeBSD itself.

Each rule has a reason. What is left has to be the same on the model, to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_RULES: tuple[tuple[str, str], ...] = (
    # Process ids.
    (r"\b(workerpid: |pid=|shutdown: \[pid )\d+", r"\1PID"),
    (r"^(<\d+>1 )\S+ (\S+) (\S+) \d+ ", r"\1TIME \2 \3 PID "),
    (r"(is running as pid |Waiting for PIDS: )\d+", r"\1PID"),
    # Times and dates.
    (r"\{ sec = \d+, usec = \d+ \} .*", "BOOTTIME"),
    (r"\busec = \d+", "usec = N"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (UTC )?\d{4}", "DATE"),
    # Numbers that chance makes: identities of pools, resources and hosts, ephemeral ports.
    (r"\bresuid: [1-9]\d*", "resuid: RESUID"),
    (r"\(hostid=[0-9a-f]+\)", "(hostid=HOSTID)"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}, hostid\d+", "UUID, HOSTID"),
    (r"^(\s*id: )\d+$", r"\1GUID"),
    (r"(tcp://192\.168\.0\.\d+:)(?!8457)\d+", r"\1PORT"),
    # How much was read and written: ZFS decides that anew each time.
    (r"^(    (?:reads|writes|deletes|flushes|activemap updates): )[1-9]\d*$", r"\1N"),
    (r"^(    queues: ).*", r"\1N"),
    (r"^(  dirty: )[1-9]\d* \(.*\)$", r"\1N"),
    (r"^([a-z]\S*\t)\d+\t(\d+)\t\d+\t\d+\t\d+\t", r"\1GUID\t\2\tN\tN\tN\t"),
    (r"^(\S+\tfilesystem\t)\d+\t\d+\t\d+\t", r"\1N\tN\tN\t"),
    (r"^(\S+ +480M) +[\d.]+[KM]? +[\d.]+[KM]? ", r"\1 N N "),
    # How long a resynchronisation took and so how fast it was, and how much ZFS had written.
    (r"\d+(?:\.\d)?[KMG]?B (synchronized) in \d+s \(.*?/sec\)", r"N \1 in N"),
    (r"(Synchronization started\. )\d+(?:\.\d)?[KMG]?B", r"\1N"),
    (r"(interrupted after )\d+s\. \d+(?:\.\d)?[KMG]?B", r"\1N"),
    (r"(WRITE|DELETE|READ|FLUSH)\(\d+, \d+\)", r"\1(N)"),
    # How fast dd(1) was.
    (r"( bytes transferred in )[\d.]+ secs \(\d+ bytes/sec\)", r"\1N"),
    # The letters that mkstemp(3) puts for the Xs of a template.
    (r"^(mktemp: mk(?:s|d)temp failed on .*\.)[0-9A-Za-z]+(: )", r"\1CHANCE\2"),
    # How full the system's own file system is.
    (r'"(total|used|available)-blocks":\d+', r'"\1-blocks":N'),
    (r'"used-percent":\d+', '"used-percent":N'),
)

_DIGEST = re.compile(r"[0-9a-f]{64} \./")
"""A line of `find ... -exec sha256 -r`. The order of the files in a directory is its own affair."""

_LONGEST_GROUP = 4
"""Lines: what a secondary logs of each attempt in a split-brain, every 10 s."""

_COMPILED = tuple((re.compile(pattern, re.MULTILINE), by) for pattern, by in _RULES)


def normalise(text: str, digests: Mapping[str, str] | None = None) -> str:
    """What is comparable of a command's output. `digests` translates the model's to the recorded.

    A group of lines that repeats what is before it is left out: how often hastd tried to connect
    within a time is no property of what it says.
    """
    for own, recorded in (digests or {}).items():
        text = text.replace(own, recorded)
    for pattern, by in _COMPILED:
        text = pattern.sub(by, text)
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        for length in range(1, _LONGEST_GROUP + 1):
            if lines[-length:] == lines[-2 * length : -length]:
                del lines[-length:]
                break
    if lines and all(_DIGEST.match(line) for line in lines):
        lines.sort()
    return "\n".join(lines)
