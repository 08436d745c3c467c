"""What ps(1) and kill(1) know of a process, whatever it is: a daemon, or a command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Task(ABC):
    """A process. It is in `Guest.daemons` or `Guest.processes` under its pid while it lives."""

    pid: int
    title: str
    """As ps(1) shows its command."""
    user = "root"
    started = 0.0
    """In virtual time; of a daemon it does not matter."""
    stopped = False
    """Whether SIGSTOP holds it."""

    @property
    @abstractmethod
    def parent(self) -> int:
        """The pid of its parent."""

    @property
    @abstractmethod
    def group(self) -> int:
        """Its process group."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Receive a signal that it does not catch, as by kill(2)."""


class Daemon(Task):
    """A long-lived process of the base system."""

    @property
    def parent(self) -> int:
        """The pid of its parent: init's, as daemon(3) leaves it."""
        return 1

    @property
    def group(self) -> int:
        """Its process group: one of its own, as daemon(3) makes it."""
        return self.pid


class Script(Protocol):
    """A running shell, or a script within one: with a pid of its own, but perhaps no process."""

    title: str
    """As ps(1) shows it; empty when that is the process's."""

    @property
    def process(self) -> Task:
        """What it is part of."""

    def catches(self, name: str, /) -> bool:
        """Whether it has a trap for a signal, by its name without SIG; then it takes it."""
