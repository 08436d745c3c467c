"""How a run ends: which verdict each scenario has, what did not run, and the exit status.

A pytest plugin. A scenario's verdict is told when all of it is over, its audit too. One that met a
gap in the model has none. What was to run and has no end is told as such, in every report. And
whatever ends a run early (Ctrl-C, a lab that broke, a full disk, a fault of the harness) is one
message after the verdicts, once everything that was started has been stopped.
"""

from __future__ import annotations

import contextlib
import errno
import re
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from xml.etree import ElementTree

import pytest
from _pytest.runner import runtestprotocol  # as other plugins that tell a verdict later do

from harness.errors import EvidenceLost, HarnessError
from harness.lab.base import Gap
from harness.record.exit_status import BROKE, FAILED, INTERRUPTED, MET_GAPS
from harness.record.folders import ELSEWHERE
from harness.record.outgoing import outgoing
from harness.record.sinks import RunEnded
from harness.results import junit
from harness.results.run import ABOUT_FREEBSD, Verdict
from harness.waiting import interrupt

if TYPE_CHECKING:
    from harness.run.session import Session


GAPS = pytest.StashKey[tuple[Gap, ...]]()
"""What a scenario met, as it was before its audit and its evidence asked for more."""

_REPORTS = pytest.StashKey[list[pytest.TestReport]]()
_PLUGIN = "skunk-ending"

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What a whole disk is, whatever is written to it."""

WHILE_IT_RAN = ": while it ran"
"""The end of why a scenario did not run to its end, and had begun."""

_Selected = tuple[str, tuple[str, int | None, str], list[tuple[str, object]]]
"""Node id, location and properties, as a report has them."""


class Stop(Exception):
    """Ends the run after the scenario that is over now."""


def of(config: pytest.Config) -> Ending:
    """The plugin of this process."""
    found = config.pluginmanager.getplugin(_PLUGIN)
    assert isinstance(found, Ending)
    return found


def is_in(config: pytest.Config) -> bool:
    """Whether this process has the plugin: not after a wrong option."""
    return config.pluginmanager.hasplugin(_PLUGIN)


def configure(config: pytest.Config) -> None:
    """Register the plugin."""
    ending = Ending(config)
    config.pluginmanager.register(ending, _PLUGIN)
    config.pluginmanager.register(LastGuard(ending))


def has_broken(item: pytest.Item) -> bool:
    """Whether a scenario has ended, its clean-up aside, with an error that is not FreeBSD's."""
    properties = dict(item.user_properties)
    phases = [properties.get(f"{junit.ENDED}{when}") for when in ("setup", "call")]
    return Verdict.BROKE in phases and Verdict.FAILED not in phases


def is_about_freebsd(error: BaseException) -> bool:
    """Whether an error of a scenario says something about FreeBSD.

    `pytest.fail` is a scenario's own word; pytest-timeout uses it for the host's patience.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(is_about_freebsd(each) for each in error.exceptions)
    if isinstance(error, pytest.fail.Exception):
        return not str(error.msg).startswith("Timeout ")
    return isinstance(error, ABOUT_FREEBSD)


def in_words(error: BaseException) -> str:
    """An error that is no verdict, as one message; of a fault of the harness its place, too."""
    if isinstance(error, (HarnessError, pytest.exit.Exception)):
        return str(error)
    if isinstance(error, OSError):
        return f"this host says: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in place)
    return f"the harness itself broke: {type(error).__name__}: {error}{where}"


def told_once(messages: Iterable[str], told: str = "") -> Iterator[str]:
    """Those of the messages that do not only repeat that the disk is full, or gone.

    A disk that is full lets one write after another fail, and the first one has said it all. `told`
    is what has been said before.
    """
    known = _of_the_disk(told)
    for message in messages:
        found = _of_the_disk(message)
        if not found or found - known:
            yield message
        known |= found


def _of_the_disk(message: str) -> set[int]:
    """Which errors of the disk a message tells of, by their numbers."""
    return {int(number) for number in re.findall(r"\[Errno (\d+)\]", message)} & _DISK


def _host_or_lab(message: str) -> str:
    return "the host broke" if _of_the_disk(message) else "the lab broke"


class Ending:
    """The plugin. Where several processes share a run, each has one; the controller's tells."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        self._selected: dict[str, _Selected] = {}
        """By the names of their folders."""
        self._verdicts: dict[str, Verdict] = {}
        self._begun: set[str] = set()
        self._over: set[str] = set()
        self.why = ""
        """Why the run ends early: interrupted, stopped early, the lab broke, the harness broke."""
        self.message = ""
        """What a person has to know of that."""
        self.session: Session | None = None
        """The lab that runs in this process, once it does."""
        self.results: Path | None = None
        """The run's folder, once it is there."""
        self._troubles: list[str] = []
        """What broke and ended nothing: the run's end, not its scenarios."""
        self.on_selected: Callable[[list[Any]], None] | None = None
        """Where a worker tells what there is to run."""

    # --- what is to run -------------------------------------------------------------------------

    @property
    def scenarios(self) -> bool:
        """Whether this run has scenarios: for other tests pytest does as it always does."""
        return bool(self._selected) or self._config.getoption("--results") is not None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """Ctrl-C while the scenarios are read ends the run as at any other moment."""
        try:
            return (yield)
        except (KeyboardInterrupt, OSError) as error:
            ends = type(error) is KeyboardInterrupt or interrupt.is_hang_up(error)
            if self._is_worker or not self.scenarios or not ends:
                raise
            session.items.clear()
            self.end("interrupted", "the scenarios were still being read")
            return True
        except HarnessError as error:
            if not self._is_worker and not self.scenarios:
                raise pytest.UsageError(str(error)) from None
            session.items.clear()
            self.end("a scenario's file broke", str(error))
            return True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note every scenario that is to run: a test that asks for the lab."""
        # pytest calls this too when Ctrl-C has ended the collection, before `EVIDENCE` is there.
        items = [
            item
            for item in session.items
            if "session" in getattr(item, "fixturenames", ())
            and junit.EVIDENCE in dict(item.user_properties)
        ]
        if self._config.option.collectonly:
            return
        found = [[item.nodeid, list(item.location), _plain(item.user_properties)] for item in items]
        self.select(found)
        if self.on_selected is not None:
            self.on_selected(found)

    def select(self, found: Iterable[Any]) -> None:
        """Note what is to run, as a worker's `on_selected` tells it."""
        for nodeid, (file, line, name), properties in found:
            told = [(key, value) for key, value in properties]
            folder = str(dict(told)[junit.EVIDENCE])
            self._selected[folder] = nodeid, (file, line, name), told

    def _key(self, report: pytest.TestReport) -> str:
        """Which scenario a report is of: outside of the project several may have one node id."""
        folder = dict(report.user_properties).get(junit.EVIDENCE)
        if folder is not None:
            return str(folder)
        named = (key for key, (nodeid, *_) in self._selected.items() if nodeid == report.nodeid)
        return next((key for key in named if key not in self._over), report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be read."""
        if report.failed:
            self._verdicts[report.nodeid] = Verdict.BROKE

    # --- one scenario ---------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a scenario, and tell its verdict when all of it is over."""
        if "session" not in getattr(item, "fixturenames", ()):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        item.stash[_REPORTS] = []
        try:
            runtestprotocol(item, log=False, nextitem=nextitem)
        except BaseException:
            reports = item.stash[_REPORTS]
            if any(report.failed for report in reports):  # Ctrl-C in the clean-up of a failure
                self._tell(item, reports)
            raise
        self._tell(item, item.stash[_REPORTS])
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if self.why:
            raise Stop
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say whether a phase that did not end well failed or broke, or met a gap before."""
        report = yield
        if gaps := self._gaps(item):
            told = [(junit.GAP, outgoing(str(gap))) for gap in gaps]
            for properties in (item.user_properties, report.user_properties):
                properties += [each for each in told if each not in properties]
            if report.when == "teardown" and not report.passed:
                report.outcome, report.longrepr = "passed", None
            elif not report.passed:
                make_gap(report, item)
        elif report.failed:
            error = None if call.excinfo is None else call.excinfo.value
            about = error is None or is_about_freebsd(error)  # None: a strict expected failure
            kind = Verdict.FAILED if about else Verdict.BROKE
            entry = (f"{junit.ENDED}{report.when}", str(kind))
            item.user_properties.append(entry)
            report.user_properties.append(entry)
        if _REPORTS in item.stash:
            item.stash[_REPORTS].append(report)
        return report

    def _gaps(self, item: pytest.Item) -> tuple[Gap, ...]:
        if self.session is None:
            return ()
        return item.stash.get(GAPS, None) or self.session.gaps_met()

    def _tell(self, item: pytest.Item, reports: list[pytest.TestReport]) -> None:
        gaps = [each for each in item.user_properties if each[0] == junit.GAP]
        if gaps and all(verdict_of(report) is not Verdict.GAP for report in reports):
            report = reports[min(1, len(reports) - 1)]  # the scenario's own part, if it came to it
            report.user_properties += [e for e in gaps if e not in report.user_properties]
            make_gap(report, item)
            for other in reports:
                if other.failed:
                    other.outcome, other.longrepr = "passed", None
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Know what has begun, here or in a worker."""
        self._begun.add(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict, here or from a worker."""
        key = self._key(report)
        if report.when not in ("setup", "call") or report.failed:
            self._over.add(key)
        kind = verdict_of(report)
        if kind is not None:
            self._verdicts[key] = Verdict.worst((kind, self._verdicts.get(key, kind)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, Any] | None:
        """A gap and what did not run are told as that."""
        match verdict_of(report):
            case Verdict.GAP:
                return "gap", "G", ("GAP", {"yellow": True})
            case Verdict.NOT_RUN:
                return "not run", "", ""
            case Verdict.FIXED_HERE:
                return "fixed here", ".", ("FIXED", {"green": True})
        return None

    # --- the end --------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Whatever ends the run early becomes a message, and what was started is stopped."""
        try:
            return (yield)
        except Stop:
            return True
        except (KeyboardInterrupt, session.Failed, pytest.exit.Exception, Exception) as error:
            if not self.scenarios:
                raise
            early = (KeyboardInterrupt, session.Failed, pytest.exit.Exception)
            if self._is_worker and isinstance(error, early):
                raise
            self._end_by(error, session)
            return True

    def _end_by(self, error: BaseException, session: pytest.Session) -> None:
        text = str(error)
        hung_up = interrupt.is_hang_up(error)
        if type(error) is KeyboardInterrupt or "keyboard-interrupt" in text or hung_up:
            self.end("interrupted")
        elif isinstance(error, pytest.exit.Exception):
            self.end(_host_or_lab(text), text)
        elif "during collection" in text:
            self.end("a scenario's file broke", text)
        elif isinstance(error, (KeyboardInterrupt, session.Failed)):  # as by -x
            self.end("stopped early", text)
        elif isinstance(error, (OSError, EvidenceLost)):
            self.end("the host broke", in_words(error))
        else:
            self.end("the harness broke", in_words(error))

    def end(self, why: str, message: str = "") -> None:
        """End the run after what is under way. The first reason counts.

        With several pairs all of it ends, for the reason that this process leaves.
        """
        if not self.why:
            self.why, self.message = why, message
            if self._is_worker and why != "interrupted":
                self._config.workeroutput["ended"] = [why, message]  # type: ignore[attr-defined]

    def give_up(self, why: str) -> NoReturn:
        """End the run now, because the lab cannot run."""
        self.end(_host_or_lab(why), why)
        pytest.exit(why, returncode=BROKE)

    @contextlib.contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Note whatever goes wrong in the block, for the end of the run, instead of raising it."""
        try:
            yield
        except Exception as error:
            self.note(f"{what}: {in_words(error)}")

    def note(self, trouble: str) -> None:
        """Note what broke: the run ends with 3."""
        if trouble not in self._troubles:
            self._troubles.append(trouble)

    @property
    def troubles(self) -> list[str]:
        """What broke beside what ended the run, if something did."""
        lost = None if self.session is None else self.session.evidence.lost
        told = dict.fromkeys([*([] if lost is None else [str(lost)]), *self._troubles])
        return [trouble for trouble in told_once(told, self.message) if trouble != self.message]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Tell of every scenario that was to run and has no end, before the files are written."""
        if self._is_worker or not self.scenarios:
            return
        for folder, (nodeid, location, properties) in self._selected.items():
            if folder not in self._over:
                reason = self._reason(nodeid)
                report = pytest.TestReport(
                    nodeid,
                    location,
                    {},
                    "skipped",
                    (location[0], location[1] or 0, f"Skipped: {reason}"),
                    "call",
                    user_properties=[*properties, (junit.NOT_RUN, reason)],
                )
                self._config.hook.pytest_runtest_logreport(report=report)
                teardown = pytest.TestReport(
                    nodeid,
                    location,
                    {},
                    "passed",
                    None,
                    "teardown",
                    user_properties=report.user_properties,
                )
                self._config.hook.pytest_runtest_logreport(report=teardown)

    def _reason(self, nodeid: str) -> str:
        why = self.why or "the run ended"
        if nodeid in self._begun:
            return f"{why}{WHILE_IT_RAN}"
        return f"{why}: {self.message.partition(chr(10))[0]}" if self.message else why

    def status(self, given: int) -> int:
        """The exit status of the run; `given` is what pytest would end with."""
        if not self.scenarios:
            return given
        verdicts = self._verdicts.values()
        if Verdict.FAILED in verdicts:
            return FAILED
        broke = self.why.endswith(" broke") or self.troubles or Verdict.BROKE in verdicts
        if broke or given == pytest.ExitCode.TESTS_FAILED:
            return BROKE
        if self.why == "interrupted":
            return INTERRUPTED
        return MET_GAPS if Verdict.GAP in verdicts else given

    @property
    def _ended(self) -> set[str]:
        return {
            folder
            for folder in self._over & self._selected.keys()
            if self._verdicts.get(folder) is not Verdict.NOT_RUN
        }

    @property
    def ran(self) -> int:
        """How many scenarios have come to their end."""
        return len(self._ended)

    @property
    def has_verdict(self) -> bool:
        """Whether any scenario has come to its end."""
        return bool(self._ended)

    def ended(self, known_bugs: Iterable[str] = ()) -> RunEnded:
        """How the run has ended, as far as is known now."""
        return RunEnded(
            self.why,
            self.message,
            tuple(self.troubles),
            self.ran,
            len(self._selected),
            tuple(known_bugs),
        )


def verdict_of(report: pytest.TestReport) -> Verdict | None:
    """What a report says of its scenario; None for a part that ended well."""
    properties = dict(getattr(report, "user_properties", ()))
    if report.skipped:
        if junit.GAP in properties:
            return Verdict.GAP
        if junit.NOT_RUN in properties:
            return Verdict.NOT_RUN
    if report.failed:
        failed = properties.get(f"{junit.ENDED}{report.when}") == Verdict.FAILED
        return Verdict.FAILED if failed else Verdict.BROKE
    if report.when == "call" and junit.FIXED_HERE in properties:
        return Verdict.FIXED_HERE
    return None


def make_gap(report: pytest.TestReport, item: pytest.Item) -> None:
    """Let a report say that the scenario met the gaps that it tells of, and nothing else."""
    told = [str(value) for name, value in report.user_properties if name == junit.GAP]
    more = f"; and {len(told) - 1} more" if len(told) > 1 else ""
    path, line, _ = item.reportinfo()
    report.outcome = "skipped"
    report.longrepr = (str(path), (line or 0) + 1, f"Skipped: gap in the model: {told[0]}{more}")
    if hasattr(report, "wasxfail"):
        del report.wasxfail


def _plain(properties: Iterable[tuple[str, object]]) -> list[list[object]]:
    return [[name, value if isinstance(value, int) else str(value)] for name, value in properties]


class LastGuard:
    """Starts nothing once the run has ended, and stops the lab whatever fails in other plugins.

    pytest's own JUnit writer may fail at the end.
    """

    def __init__(self, ending: Ending) -> None:
        self._ending = ending

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """Run nothing after Ctrl-C while the scenarios were read, in other processes neither."""
        return True if self._ending.why else None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Note what fails in the other plugins, and tear down what they have left."""
        if not self._ending.scenarios:
            return (yield)
        try:
            return (yield)
        except KeyboardInterrupt:
            if interrupt.insisted():
                raise
            self._ending.end("interrupted")
        except OSError as error:
            lost = f"the end of the run cannot be written: {error}"
            self._ending.note(str(EvidenceLost(lost, advice=ELSEWHERE)))
            _remove_if_cut_off(session.config.option.xmlpath)
        except Exception as error:
            self._ending.note(in_words(error))
        with self._ending.noting("the lab was not stopped in order"):
            session._setupstate.teardown_exact(None)
        return None


def _remove_if_cut_off(junit_xml: str | None) -> None:
    """What pytest could not write to its end says less than nothing."""
    with contextlib.suppress(OSError):
        try:
            ElementTree.parse(junit_xml or "")  # noqa: S314 - our own pytest wrote it
        except ElementTree.ParseError:
            Path(junit_xml or "").unlink()
