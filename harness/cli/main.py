"""The command line. `make` targets call it; every error is one message and an exit status."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import NoReturn

import typer

from harness.cli import bench, images, nightly, pair, results, scenarios, trials
from harness.errors import HarnessError
from harness.record.exit_status import BROKE, INTERRUPTED
from harness.record.marked import NOBODY_READS, stop_printing
from harness.waiting import interrupt

# Every command imports what it needs itself: `--help` and `status` are to answer at once, and what
# one lab needs must not be looked for by another (tests/unit/test_start_up.py).

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # with it the help alone would import rich and a parser of Markdown
)


for commands in (pair, scenarios, trials, results, images):
    app.add_typer(commands.app)
app.add_typer(bench.app, name="bench", help="Measure resyncs, failovers and writes.")
app.add_typer(nightly.app, name="nightly", help="Every night all releases; what changed.")


def main() -> None:
    """Run the command line. A `HarnessError` ends it with its message and status 3.

    SIGTERM, which a CI runner sends to a job that it cancels, stops the machines as Ctrl-C does,
    and so does SIGHUP, which a terminal sends that is closed.
    """
    interrupt.everywhere()
    try:
        app()
    except HarnessError as error:
        from harness.record.outgoing import outgoing  # noqa: PLC0415 - as in every command

        typer.echo(outgoing(f"error: {error}"), err=True)
        sys.exit(BROKE)
    except OSError as error:
        if interrupt.is_hang_up(error):
            _interrupted()
        typer.echo(f"error: this host says: {error}", err=True)
        sys.exit(BROKE)
    except KeyboardInterrupt:
        _interrupted()
    except Exception as error:  # a fault of the harness: Python's own 1 is FreeBSD's here
        traceback.print_exc()
        typer.echo(f"error: the harness itself broke: {type(error).__name__}", err=True)
        sys.exit(BROKE)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer has taken it
            _interrupted()
        if isinstance(end.__context__, BrokenPipeError):  # and made it 1, which is FreeBSD's
            stop_printing()
            with contextlib.suppress(BrokenPipeError):  # it may be the same pipe
                typer.echo(f"error: {NOBODY_READS}", err=True)
            sys.exit(BROKE)
        raise


def _interrupted() -> NoReturn:
    if interrupt.insisted():
        left = "the clean-up was left where it was; the next start of that pair removes the rest"
        typer.echo(f"interrupted twice: {left}", err=True)
    else:
        typer.echo("interrupted; everything that was started has been stopped", err=True)
    sys.exit(INTERRUPTED)
