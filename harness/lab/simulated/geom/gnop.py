"""gnop(8): create, configure and destroy (sbin/geom/core/geom.c, sys/geom/nop/g_nop.c, 13.2)."""

from __future__ import annotations

import re

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.geom.nop import SUFFIX, NopDevice
from harness.lab.simulated.hardware.disk import LocalDisk, Op
from harness.lab.simulated.kernel.files import STRERROR
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.tool import Failure

_MODULE = "geom_nop"
_NAMES = {"d": "delaymsec", "q": "rdelayprob", "x": "wdelayprob"}
_EBUSY = 16


@command("gnop")
def gnop(context: Context, arguments: list[str]) -> int:
    """Make a provider that can be slow, set how slow it is, or remove it. Says nothing."""
    verb = arguments[0] if arguments else ""
    if verb not in {"create", "configure", "destroy"}:
        raise NotModelled(f"gnop {verb}".rstrip())
    flags, valued = ("fv", "") if verb == "destroy" else ("v", "dqx")
    try:
        options = Options(arguments[1:], flags, valued)
    except BadOption as bad:
        raise NotModelled(f"gnop {verb} -{bad.letter}") from bad
    guest = context.guest
    try:
        if verb == "create":
            guest.part(Kernel).load(_MODULE)
        numbers = {letter: _number(letter, options.value(letter)) for letter in options.letters()}
        if _MODULE not in guest.part(Kernel).modules:
            raise Failure('Class not found: "NOP"')
        if not options.rest:
            raise Failure("Missing device(s).")
        for letter, number in numbers.items():
            _check(letter, number)
        for name in options.rest:
            _do(guest, verb, name, numbers)
    except Failure as failure:
        context.complain(f"gnop: {failure.text}")
        return failure.status
    if "v" in options:
        context.print("Done.")
    return 0


def _number(letter: str, text: str) -> int:
    if letter in "fv":
        return 1
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        if re.fullmatch(r"[0-9]+[bkmgtpeBKMGTPE].*", text) or text[:1] in {"", " ", "+", "0"}:
            raise NotModelled(f"gnop -{letter} {text}")
        raise Failure(f"Invalid value for '{letter}' argument: {STRERROR['EINVAL']}")
    return int(text)


def _check(letter: str, number: int) -> None:
    """A delay has to be of a millisecond at least; -1 stands for `as it is`."""
    if letter in "fv" or number == -1:
        return
    if (letter == "d" and number < 1) or (letter in "qx" and not 0 <= number <= 100):
        raise Failure(f"Invalid '{_NAMES[letter]}' argument")


def _do(guest: Guest, verb: str, given: str, numbers: dict[str, int]) -> None:
    name = given.removeprefix("/dev/")
    device = guest.devices.get(name)
    if verb == "destroy":
        _destroy(guest, name, force="f" in numbers)
        return
    if device is None:
        raise Failure(f'Provider not found: "{given}"')
    if verb == "create":
        device = _create(guest, name)
    if not isinstance(device, NopDevice):
        raise Failure(f"Provider {name} is invalid.")
    for letter, number in numbers.items():
        if letter == "d" and number != -1:
            device.delay_ms = number
        elif letter in "qx" and number != -1:
            device.shares[Op.READ if letter == "q" else Op.WRITE] = number


def _create(guest: Guest, name: str) -> NopDevice:
    below = guest.devices[name]
    if name + SUFFIX in guest.devices:
        raise Failure(f"Provider {name}{SUFFIX} already exists.")
    if type(below) is not LocalDisk:
        raise NotModelled(f"gnop create {name}")
    device = NopDevice(guest, below)
    guest.devices[device.name] = device
    guest.part(Kernel).say(f"GEOM_NOP: Device {device.name} created.")
    return device


def _destroy(guest: Guest, name: str, *, force: bool) -> None:
    device = guest.devices.get(name)
    if not isinstance(device, NopDevice):
        raise Failure(f"Device {name} is invalid.")
    if device.opened or guest.opened_by(name) is not None:
        if force:
            raise NotModelled("gnop destroy -f of an open device")
        raise Failure(f"Cannot destroy device {name} (error={_EBUSY}).")
    del guest.devices[name]
    guest.part(Kernel).say(f"GEOM_NOP: Device {name} removed.")
