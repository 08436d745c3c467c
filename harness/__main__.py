"""The command line: `skunk` and `python -m harness`, as one process of it starts another.

Reading the modules of the command line takes a quarter of a second, and nothing is started in it.
"""

import os
import signal

_INTERRUPTED = 130  # harness.record.exit_status; nothing is imported before the signals are taken


def main() -> None:
    """Run the command line. A signal that comes before it listens ends the process, in a word."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from harness.cli.main import main as run  # noqa: PLC0415 - not before

    run()


def _end(number: int, frame: object) -> None:  # noqa: ARG001 - as signal(3)
    # No exception: one that is raised while modules are read can become another one, or none.
    try:
        os.write(2, b"interrupted; nothing had been started\n")
    finally:
        os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
