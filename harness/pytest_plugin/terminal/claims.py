"""After each scenario's verdict, what it claims: so that a run reads as a story."""

from __future__ import annotations

import pytest

from harness.record.sinks import Event, Reported, Sink


def sink(config: pytest.Config) -> Sink | None:
    """The sink of a run that is not to be brief."""
    return Claims(config) if config.getoption("verbose") > 0 else None


class Claims(Sink):
    """Writes the docstring of a scenario that has ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def tell(self, event: Event) -> None:
        """Write it below the verdict."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        match event:
            case Reported(when="call", claim=int(), not_run=None) if event.docstring and terminal:
                terminal.ensure_newline()
                for paragraph in event.docstring.split("\n\n"):
                    for line in paragraph.splitlines():
                        terminal.write_line(f"    claim {event.claim}: {line}")
