"""The one issue on GitHub that says how things stand: opened, kept up to date, closed.

It is spoken to through `gh`, GitHub's own command line, which runners have and which takes its
token from GH_TOKEN. The issue is known by its label and by a line in its text that no person sees.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError, MissingTool
from harness.nightly import words
from harness.nightly.night import News
from harness.waiting.wait import scaled

LABEL = "nightly"
_SECONDS = 60.0
_MARK = re.compile(r"<!-- hast-lab nightly: (\S+) -->")


@dataclass(frozen=True)
class Issue:
    """An open issue of ours, and the name of the last night that it tells of."""

    number: int
    night: str


def tell(news: News, link: str | None = None, *, dry_run: bool = False) -> list[str]:
    """Open, update or close the issue as the night asks for; return what was done, in words.

    While something is bad an issue is open, and each night rewrites its text; a comment, which is
    mailed to people, is added only when something changed. Nothing is done twice for the same
    night: a job that is run again does no harm. Should there be several such issues, the oldest
    is kept and the others are closed. With `dry_run` GitHub is read and not written to. Raises
    `HarnessError` and `MissingTool`.
    """
    github = _GitHub(dry_run)
    found = github.issues()
    ours = found[0] if found else None
    done = [github.close(each.number, f"A duplicate of #{found[0].number}.") for each in found[1:]]
    if ours is not None and ours.night == news.night.name:
        return [*done, f"issue #{ours.number} tells of this night already"]
    body = f"<!-- hast-lab nightly: {news.night.name} -->\n{words.state(news, link)}"
    if ours is None:
        if news.is_bad or (news.changed and not news.only_better):
            return [*done, github.create(words.title(news), body)]
        return [*done, "nothing to tell, and no issue is open"]
    done.append(github.edit(ours.number, words.title(news), body))
    if news.changed:
        done.append(github.comment(ours.number, words.changes(news, link)))
    if news.only_better:
        done.append(github.close(ours.number, "Everything holds again."))
    return done


class _GitHub:
    def __init__(self, dry_run: bool) -> None:
        self._dry_run = dry_run

    def issues(self) -> list[Issue]:
        """Those that are open and ours, the oldest first."""
        listed = _gh(
            *("issue", "list", "--state", "open", "--label", LABEL, "--limit", "100"),
            *("--json", "number,body"),
        )
        try:
            told: list[dict[str, Any]] = json.loads(listed)
            found = [
                Issue(each["number"], mark[1])
                for each in told
                if (mark := _MARK.search(each["body"]))
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise HarnessError(
                f"`gh issue list` did not answer with issues: {error}", advice="see `gh --version`"
            ) from None
        return sorted(found, key=lambda issue: issue.number)

    def create(self, title: str, body: str) -> str:
        self._do(
            *("label", "create", LABEL, "--force", "--color", "b60205"),
            *("--description", "What the nightly run found otherwise than the night before"),
        )
        url = self._do("issue", "create", "--title", title, "--label", LABEL, body=body)
        return f"opened an issue: {url or title}"

    def edit(self, number: int, title: str, body: str) -> str:
        self._do("issue", "edit", str(number), "--title", title, body=body)
        return f"brought issue #{number} up to date"

    def comment(self, number: int, body: str) -> str:
        self._do("issue", "comment", str(number), body=body)
        return f"commented on issue #{number}"

    def close(self, number: int, why: str) -> str:
        self._do("issue", "close", str(number), "--comment", why)
        return f"closed issue #{number}: {why}"

    def _do(self, *words: str, body: str | None = None) -> str:
        if self._dry_run:
            return ""
        return _gh(*words, *([] if body is None else ["--body-file", "-"]), stdin=body or "")


def _gh(*words: str, stdin: str = "") -> str:
    command = f"gh {' '.join(words[:2])}"
    if shutil.which("gh") is None:
        raise MissingTool(
            "gh, the command line of GitHub, is not on this host",
            advice="install it (Debian's package is gh), or read the news: skunk nightly news",
        )
    try:
        done = subprocess.run(
            ["gh", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=scaled(_SECONDS),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HarnessError(
            f"`{command}` did not end within {scaled(_SECONDS):.0f} s", advice="try again later"
        ) from None
    if done.returncode != 0:
        raise HarnessError(
            f"`{command}` ended with {done.returncode}: {done.stderr.strip()}",
            advice="give GH_TOKEN a token that may write issues; in a workflow: "
            "`permissions: issues: write`",
        )
    return done.stdout.strip()
