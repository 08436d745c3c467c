"""How libutil and libc of FreeBSD print sizes and durations in hastd's and hastctl's lines."""

from __future__ import annotations

_UNITS = ("", "K", "M", "G", "T", "P", "E")


def humanize(number: int) -> str:
    """A size as hastctl(8) and hastd(8) print it, without the B: 512M, 2.0M, 0.

    The rules are those of humanize_number(3) with a buffer of five bytes and one decimal
    (lib/libutil/humanize_number.c and sbin/hastd/pjdlog.c, 13.2).
    """
    rest = unit = 0
    while (number >= 1000 or (number == 999 and rest >= 512)) and unit < len(_UNITS) - 1:
        number, rest = divmod(number, 1024)
        unit += 1
    if unit > 0 and (number < 9 or (number == 9 and rest < 973)):
        tenths = (rest * 10 + 512) // 1024
        return f"{number + tenths // 10}.{tenths % 10}{_UNITS[unit]}"
    return f"{number + (rest + 512) // 1024}{_UNITS[unit]}"


def duration(seconds: float) -> str:
    """A time as hastd logs it: 12s, 1m30s, 1m, 2h5s. Fractions are cut off.

    (lib/libc/stdio/xprintf_time.c, 13.2, with the alternate form and no decimals)
    """
    whole = left = int(seconds)
    text = ""
    for unit, length in (("y", 31536000), ("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= length and left:
            text += f"{left // length}{unit}"
            left %= length
    return text + f"{left}s" if left or not whole else text


def visible(text: str) -> str:
    """Bytes as syslogd(8) writes them: control characters as ^M."""
    shown = "".join(f"^{chr(ord(each) ^ 0x40)}" if ord(each) < 32 else each for each in text)
    return shown.encode("latin-1").decode("utf-8", "surrogateescape")
