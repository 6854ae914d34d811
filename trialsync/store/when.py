"""Dates as people type them when they ask the store: on the command line and in an address."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from trialsync.errors import BadDate
from trialsync.model import instant

_AGO: Final = re.compile(r"(\d{1,5})\s*([hdw])", re.ASCII)
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}
_HINT: Final = "a day such as 2026-02-18, or a time ago: 7d, 12h, 2w"


def day(text: str, option: str, now: datetime) -> str:
    """Return the ISO day (UTC) that ``2026-02-18``, ``7d`` or ``12h`` means, seen from ``now``. Raises BadDate naming the option."""
    return moment(text, option, now)[:10]


def moment(text: str, option: str, now: datetime) -> str:
    """Return the UTC instant that a day (its first moment), an instant or a time ago means; it ends in ``Z``. Raises BadDate."""
    word = text.strip()
    ago = _AGO.fullmatch(word.lower())
    try:
        if ago:
            return instant(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        if len(word) == len("2026-02-18"):
            return f"{date.fromisoformat(word).isoformat()}T00:00:00.000Z"
        found = datetime.fromisoformat(word)
    except (ValueError, OverflowError):
        raise BadDate(f"{option} {text!r} is not a date", hint=_HINT) from None
    if found.tzinfo is None:
        raise BadDate(f"{option} {text!r} has no time zone", hint="end it in Z for UTC, or name a day")
    return instant(found.astimezone(UTC))
