"""What a keeper says of a pair, as plain data: `skunk status` has to be quick, and imports this."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class CarpView:
    """One carp(4) group on one interface."""

    interface: str
    vhid: int
    state: str


@dataclass
class ResourceView:
    """What hastd says of one resource. `dirty` is in bytes; only a primary knows it."""

    name: str
    role: str
    status: str | None
    replication: str
    dirty: int | None


@dataclass
class NodeView:
    """One node. What FreeBSD would have to say is empty or None where it does not answer."""

    name: str
    power: str
    answers: bool = False
    silent_because: str | None = None
    broken: list[str] = field(default_factory=list)
    """On purpose, by `skunk cut` or by the scenario that was stopped."""
    uptime: float | None = None
    resources: list[ResourceView] = field(default_factory=list)
    hastd: str | None = None
    """Why there are no resources."""
    pools: dict[str, str] = field(default_factory=dict)
    link: str | None = None
    """Of the private NIC: `active`, `no carrier`, or None when nothing is known of it."""
    public: str | None = None
    """The same of the NIC on the public network; None also when there is none."""
    carp: list[CarpView] = field(default_factory=list)

    @classmethod
    def read(cls, said: dict[str, Any]) -> NodeView:
        """One node as a keeper wrote it down."""
        return cls(
            **said
            | {
                "resources": [ResourceView(**each) for each in said["resources"]],
                "carp": [CarpView(**each) for each in said["carp"]],
            }
        )


@dataclass
class PairView:
    """Both nodes at one moment. `seconds` is what the look took, on the pair's own clock."""

    lab: str
    pair: str
    mark: str | None
    description: str
    release: str
    at: str
    seconds: float
    purpose: str = ""
    busy: str | None = None
    nodes: list[NodeView] = field(default_factory=list)

    @classmethod
    def read(cls, said: dict[str, Any]) -> PairView:
        """The pair as a keeper wrote it down: `asdict` of one, from JSON."""
        return cls(**said | {"nodes": [NodeView.read(node) for node in said["nodes"]]})

    def as_json(self) -> str:
        """All of it, for a script."""
        return json.dumps(asdict(self), indent=2)
