"""Results folders to report on: copies of a recorded run, with other verdicts where wanted."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.config import paths

RECORDED = paths.PROJECT / "docs" / "evidence" / "2026-11-22-qemu-13.2"
EVIL = "<script>alert('x')</script><img src=x onerror=y>"


def recorded(folder: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(RECORDED, folder))


def junit(folder: Path, *cases: str) -> None:
    (folder / "junit.xml").write_text(
        f'<testsuites><testsuite time="9">{"".join(cases)}</testsuite></testsuites>'
    )


def case(name: str, inside: str = "", *, file: str = "test_new", **properties: str) -> str:
    told = "".join(f'<property name="{key}" value="{text}"/>' for key, text in properties.items())
    return (
        f'<testcase classname="tests.scenarios.{file}" name="{name}" time="3.5">'
        f"<properties>{told}</properties>{inside}</testcase>"
    )


def failure(message: str, traceback: str = "", tag: str = "failure") -> str:
    return f'<{tag} message="{message}">{traceback}</{tag}>'


HELD, FAILED, BROKE = "", failure("assert 1 == 2"), failure("harness.errors.LabError: gone")
KNOWN = '<skipped type="pytest.xfail" message="FreeBSD bug 292322: degraded"/>'
FIRST = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)
"""When the first night began."""


def part(
    folder: Path, release: str, *cases: str, lab: str = "qemu", hours: float = 0, **about: object
) -> Path:
    """What one run leaves."""
    folder.mkdir(parents=True)
    told = {
        "lab": lab,
        "hypervisor": "QEMU 8.2",
        "acceleration": "KVM",
        "image": "image.qcow2",
        "release": release,
        "harness": "0.1.0",
        "started": (FIRST + timedelta(hours=hours)).isoformat(),
    }
    (folder / "run.json").write_text(json.dumps(told | about))
    junit(folder, *cases)
    return folder


def simulated(folder: Path, gaps: list[dict[str, str]] | None) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lab": "simulated", "seed": 7}))
    if gaps is not None:
        (folder / "gaps.json").write_text(json.dumps(gaps))


def everything(results: Path) -> Path:
    """A run with something of every kind in it, and markup wherever a node or a person writes."""
    evil = EVIL.replace("<", "&lt;").replace(">", "&gt;")
    junit(
        results,
        case("test_power_cut", failure(evil, evil), docstring=evil, claim="5", file="test_cut"),
        case("test_planned_failover", file="test_planned_failover"),
        case("test_b", f'<skipped type="pytest.xfail" message="bug 292322 {evil}"/>'),
        case("test_c", f'<skipped type="pytest.skip" message="{evil}"/>'),
        case(f"test_d[{evil}]", failure(f"harness.errors.LabError: {evil}", tag="error")),
    )
    simulated(results, [{"node": EVIL, "command": EVIL, "what": EVIL}])
    told = results / "test_cut.py-test_power_cut"
    told.mkdir()
    lines = [
        {
            "at": "2026-11-22T12:00:00+00:00",
            "node": EVIL,
            "kind": "action",
            "text": EVIL,
            "duration": 1,
        },
        {
            "at": "2026-11-22T12:00:00+00:00",
            "node": "skunk1",
            "kind": "command",
            "duration": 1,
            "text": f"hastctl role {EVIL}",
            "status": 0,
            "stdout": f"{EVIL}\x1b[1m\x00 {'x' * 3000}",
            "stderr": EVIL,
        },
    ]
    (told / "transcript.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (told / "console #1 <b>.txt").write_text("x")
    return results


def fifty(results: Path) -> Path:
    """Fifty scenarios with the transcripts of a recorded run."""
    recorded = [path for path in results.iterdir() if path.name.startswith("test_")]
    for number in range(50):
        shutil.copytree(
            recorded[number % len(recorded)], results / f"test_many.py-test_number{number}"
        )
    junit(results, *(case(f"test_number{number}", file="test_many") for number in range(50)))
    return results
