"""The workflows of GitHub's runners: by actionlint, with shellcheck for what their steps run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.config import paths
from harness.config.settings import ImageSettings
from harness.nightly import plan
from tests import forked

FOLDER = paths.PROJECT / ".github" / "workflows"
BIN = Path(sys.executable).parent
WORKFLOWS = sorted(FOLDER.glob("*.yml"))

needs_actionlint = pytest.mark.skipif(
    not (BIN / "actionlint").exists() and shutil.which("actionlint") is None,
    reason="there is no actionlint for this platform",
)


def lint(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["actionlint", "-no-color", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
    )


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return loaded


@needs_actionlint
def test_what_ci_asks_of_the_harness_is_a_command_and_no_code_of_its_own() -> None:
    """A module that moves would break a line of Python in a script, and nobody would see it."""
    scripts = [path for path in (paths.PROJECT / ".ci").iterdir() if path.is_file()]
    assert [path.name for path in scripts if "import harness" in path.read_text()] == []
    assert [path.name for path in scripts if "from harness" in path.read_text()] == []


def test_where_the_image_is_is_told_to_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKUNK_CACHE_DIR", str(tmp_path))
    environment = dict(os.environ)
    missing = forked.run("image", "--where", env=environment)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert "there is no image of FreeBSD" in missing.stderr
    image = paths.images_dir() / ImageSettings(release="14.1").file_name
    image.parent.mkdir(parents=True)
    image.touch()
    found = forked.run("image", "--where", env=environment)
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{image}\n", "")


def test_actionlint_finds_nothing() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly.yml"]
    done = lint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout


@needs_actionlint
def test_actionlint_and_shellcheck_would_find_something(tmp_path: Path) -> None:
    text = (FOLDER / "nightly.yml").read_text()
    for right, wrong, finding in (
        ("steps.published.outputs", "steps.nothing.outputs", '"nothing" is not defined'),
        ('image "$RELEASE" --prepare', "image $RELEASE --prepare", "SC2086"),
    ):
        assert right in text
        (tmp_path / "wrong.yml").write_text(text.replace(right, wrong))
        assert finding in lint(tmp_path / "wrong.yml").stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_may_more_than_it_needs(workflow: Path) -> None:
    loaded = load(workflow.name)
    assert loaded["permissions"] == {"contents": "read"}
    more = {
        name: job["permissions"] for name, job in loaded["jobs"].items() if "permissions" in job
    }
    assert more == (
        {"tell": {"contents": "read", "issues": "write"}} if workflow.name == "nightly.yml" else {}
    )
    for name, job in loaded["jobs"].items():
        assert job["timeout-minutes"] <= 180, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_github_s_own_and_pinned(workflow: Path) -> None:
    used = set(re.findall(r"uses: (\S+)", workflow.read_text()))
    assert used
    assert all(re.fullmatch(r"actions/[a-z/-]+@v\d+", each) for each in used), used


def test_no_release_is_named_in_a_workflow() -> None:
    """They are in nightly.yaml, and nowhere else."""
    for workflow in WORKFLOWS:
        assert not re.search(
            r"\d+\.\d+-(RELEASE|CURRENT|STABLE)|RELEASE: .*\d", workflow.read_text()
        )


def test_the_matrix_has_what_the_jobs_ask_of_it() -> None:
    text = (FOLDER / "nightly.yml").read_text()
    asked = set(re.findall(r"[ {]matrix\.(\w+)", text))
    (job, *_) = yaml.safe_load(plan.load().matrix()["scenarios"])["include"]
    assert asked == set(job)
