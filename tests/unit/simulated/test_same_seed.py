"""The same seed gives the same run, to the last digit of each time, over SSH and with threads."""

from __future__ import annotations

from pathlib import Path

from harness.config.settings import Settings
from harness.lab.simulated.lab import SimulatedLab
from harness.record.sinks import Sinks
from harness.run.session import Session
from harness.workload.ledger import Ledger


def story(settings: Settings, seed: int, folder: Path) -> str:
    """The transcript of a failover while a thread writes."""
    lab = SimulatedLab(settings.with_seed(seed), "seed", state_dir=folder)
    with Session(settings, lab, told=Sinks(), results=folder / "results") as session:
        test = session.evidence.open("test")
        pair = session.set_up()
        with Ledger.writing(pair.skunk1, f"{pair.mountpoint}/ledger") as ledger:
            ledger.wait_for(5)
            pair.skunk1.power_cut()
        pair.promote(pair.skunk2)
        pair.import_pool(pair.skunk2, "-f")
        ledger.check(pair.skunk2)
        session.evidence.close(test, [pair.skunk2])
    files = sorted(path for path in (folder / "results").rglob("*.txt"))
    assert files
    return "\n".join(path.read_text() for path in files)


def test_the_same_seed_gives_the_same_run(settings: Settings, tmp_path: Path) -> None:
    first, again, other = (
        story(settings, seed, tmp_path / name)
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first == again
    assert first != other
