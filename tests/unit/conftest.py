"""What holds for every unit test."""

import signal


def pytest_configure() -> None:
    """Have Ctrl-C mean in the tests, and in what they start, what it means at a terminal.

    A job that a shell put into the background starts with SIGINT ignored, and so do its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
