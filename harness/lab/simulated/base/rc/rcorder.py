"""The order that rcorder(8) finds for scripts of rc.d(8), from what they say in their first lines.

It gives each script a level, one more than that of the highest one that has to come before it, and
sorts by that (sbin/rcorder, 13.2). How it orders those of one level is no promise of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.release import Headers


def levels(scripts: Mapping[str, Headers]) -> dict[str, int]:
    """The level of each script.

    What nobody provides is passed over, as rcorder does with a warning that rc(8) throws away.
    Raises `NotModelled` when some wait for each other.
    """
    providers: dict[str, list[str]] = {}
    for name, headers in scripts.items():
        for each in headers.provides:
            providers.setdefault(each, []).append(name)
    earlier = {
        name: [each for wanted in headers.requires for each in providers.get(wanted, ())]
        for name, headers in scripts.items()
    }
    for name, headers in scripts.items():
        for each in headers.before:
            for later in providers.get(each, ()):
                earlier[later].append(name)
    found: dict[str, int] = {}
    under_way: list[str] = []

    def level(name: str) -> int:
        if name in under_way:
            circle = [*under_way[under_way.index(name) :], name]
            raise NotModelled(f"rc.d: a circle, {' waits for '.join(circle)}")
        if name not in found:
            under_way.append(name)
            found[name] = 1 + max((level(each) for each in earlier[name]), default=0)
            under_way.pop()
        return found[name]

    return {name: level(name) for name in scripts}
