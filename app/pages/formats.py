"""Numbers, times and sizes as people read them. Also filters of the templates."""

import math
from datetime import datetime

MINUTE, HOUR, DAY = 60, 3600, 86_400


def count(value: int) -> str:
    return f"{value:,}"


def number(value: float | str | None) -> str:
    """A return or a rate: as many digits as tell values of its size apart.

    Text stands for a value that JSON has not, such as "NaN".
    """
    if value is None:
        return "–"  # noqa: RUF001 (an en dash stands for no value)
    if isinstance(value, str) or not math.isfinite(value):
        return str(value)
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:,.{digits}f}"
    return "0" if float(text.replace(",", "")) == 0 else text.replace("-", "−")  # noqa: RUF001


def percent(fraction: float) -> str:
    """Rounded down: 100 % means that nothing is left."""
    return f"{int(fraction * 100)}%"


def duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min" + (f" {whole % MINUTE} s" if whole < 10 * MINUTE else "")
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def age(then: str, now: datetime) -> str:
    """`then` as RFC 3339. A clock that runs ahead of ours gives "now", not a negative age."""
    seconds = int((now - datetime.fromisoformat(then)).total_seconds())
    if seconds < 1:
        return "now"
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    raise AssertionError("a second or more has a unit")


def elapsed(start: str, end: str | None, now: datetime) -> str:
    last = now if end is None else datetime.fromisoformat(end)
    return duration(max(0.0, (last - datetime.fromisoformat(start)).total_seconds()))


def clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%H:%M:%S}"


def day_and_time(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"


def ordinal(position: int) -> str:
    teens = 10 <= position % 100 <= 20
    return f"{position}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(position % 10, 'th')}"


def size(size_bytes: int) -> str:
    for unit, limit in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= limit:
            return f"{size_bytes / limit:.1f} {unit}"
    return f"{size_bytes} B"


def plural(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def gain(share: float) -> str:
    """+12.3 %"""
    return f"{share * 100:+.1f} %".replace("-", "\N{MINUS SIGN}")
