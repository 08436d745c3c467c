"""Makes the pictures of README.md that are not the benchmarks': `make pictures`.

run.svg is a terminal with the whole suite on the simulated lab, as it is today. The others are
today's report of recorded runs on real FreeBSD (docs/evidence/), in headless Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from harness.config import paths
from harness.report.publish import publish

IMAGES = paths.PROJECT / "docs" / "images"
EVIDENCE = paths.PROJECT / "docs" / "evidence"

COLUMNS = 100
_FIRST, _LAST = 6, 12
"""Scenarios that are shown; how many are left out between them is said."""

_VERDICT = re.compile(r"\[simulated\] [A-Z]+ +[0-9.]+ s ")
_SLOW = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2} \[[0-9]+/")

WHOLE = "2026-11-23-qemu-13.2-all"
"""All scenarios; of this run there are the verdicts, and no transcripts."""

SPLIT_BRAIN = "2026-11-22-qemu-13.2-claims-1-to-7", "test-split-brain-py-test-split-brain"
STALL = "2026-11-22-qemu-13.2-link-cut", "test-link-cut-py-test-write-in-flight"
"""Recorded run, and the scenario whose timeline is shown."""


def run() -> str:
    """What a terminal shows of the whole suite on the simulated lab, with its colours."""
    words = [sys.executable, "-m", "harness", "run", "--lab", "simulated", "--pair", "pictures"]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [*words, "--no-wire", "--color=yes"],
            cwd=paths.PROJECT,
            env=os.environ | {"COLUMNS": str(COLUMNS), "SKUNK_RESULTS_DIR": f"{folder}/results"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=True,
        ).stdout.replace(folder, "")


def shortened(said: str) -> list[str]:
    """The start, the first and the last scenarios, and the end; how many more there were is said.

    Lines that a run writes only on a slow host are left out, and what the scenarios noted.
    """
    lines = [line for line in said.rstrip("\n").split("\n") if not _SLOW.search(line)]
    told = [n for n, line in enumerate(lines) if _VERDICT.match(Text.from_ansi(line).plain)]
    end = next(n for n in range(len(lines) - 1, 0, -1) if " passed" in lines[n])
    more = f"[simulated] ... {len(told) - _FIRST - _LAST} more ..."
    shown = [*lines[: told[_FIRST]], more, *lines[told[-_LAST] : told[-1] + 1]]
    return [*shown, *lines[end:]]


def terminal(said: str, path: Path) -> None:
    """Draw it as a terminal."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print("$ skunk run --lab simulated", highlight=False)
    for line in shortened(said):
        console.print(Text.from_ansi(line), soft_wrap=False)
    drawn = console.export_svg(title="skunk run --lab simulated", unique_id="run")
    # The fonts are of the reader's own: a picture asks nobody for anything.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    path.write_text("\n".join(line.rstrip() for line in drawn.split("\n")))


@contextmanager
def chromium() -> Iterator[Chrome]:
    """A browser without a window."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-sandbox"):
        options.add_argument(argument)
    service = ChromeService(executable_path=shutil.which("chromedriver"))
    browser = Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()


def show(browser: Chrome, recorded: str, folder: Path, width: int, height: int) -> None:
    """Open today's report of a recorded run."""
    copy = shutil.copytree(EVIDENCE / recorded, folder / recorded)
    report = publish(copy).report
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    browser.get(report.as_uri())


def main() -> None:
    """Write the pictures."""
    terminal(run(), IMAGES / "run.svg")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        show(browser, WHOLE, Path(folder), 1000, 1240)
        browser.save_screenshot(str(IMAGES / "report.png"))
        for name, (recorded, anchor) in {"timeline": SPLIT_BRAIN, "stall": STALL}.items():
            show(browser, recorded, Path(folder), 1000, 1600)
            browser.execute_script(f"location.hash = {anchor!r}")
            card = browser.find_element("css selector", f"article:has(#{anchor})")
            card.screenshot(str(IMAGES / f"{name}.png"))


if __name__ == "__main__":
    main()
