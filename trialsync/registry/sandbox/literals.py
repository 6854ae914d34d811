"""Dates, numbers, ages and places as the search reads them, in records and in queries."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from datetime import date

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:T[\d:.]*)?)?)?")
_AMERICAN = re.compile(r"(?:(\d{1,2})/)?(?:(\d{1,2})/)?(\d{4})")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(year|month|week|day|hour|minute)?s?", re.IGNORECASE)
_RADIUS = re.compile(r"(\d+(?:\.\d+)?)\s*(km|mi)?")
_MINUTES = {"minute": 1.0, "hour": 60.0, "day": 1440.0, "week": 10080.0, "month": 365.25 / 12 * 1440, "year": 365.25 * 1440}
_KM_PER_MILE = 1.609344
_EARTH_KM = 6371.0088


def period(text: str) -> tuple[int, int] | None:
    """Return the first and last day, as ordinals, that a date of a query covers; None where it is no date.

    Takes ``2025``, ``2025-03``, ``2025-03-20``, ``03/2025`` and ``03/20/2025``.
    """
    text = text.strip()
    if match := _PARTIAL.fullmatch(text):
        year, month, day = match.groups()
    elif match := _AMERICAN.fullmatch(text):
        month, day, year = match.groups()
    else:
        return None
    try:
        if day is not None:
            only = date(int(year), int(month), int(day)).toordinal()
            return only, only
        first = int(month or 1)
        last = int(month or 12)
        return date(int(year), first, 1).toordinal(), date(int(year), last, monthrange(int(year), last)[1]).toordinal()
    except ValueError:
        return None


def day(value: object) -> int | None:
    """Return the day, as an ordinal, that a record's date counts as: a month is its first day, a year its first of January."""
    covered = period(value) if isinstance(value, str) else None
    return covered[0] if covered else None


def number(value: object) -> float | None:
    """Return a number, of a record or a query; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str | int | float):
        try:
            found = float(value)
        except ValueError:
            return None
        return found if math.isfinite(found) else None
    return None


def age(value: object) -> float | None:
    """Return a length of time such as ``18 Years`` in minutes; a bare number means years; None where it is none."""
    match = _AGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return None
    return float(match[1]) * _MINUTES[(match[2] or "year").lower()]


def kilometres(text: str) -> float | None:
    """Return a radius such as ``50mi`` or ``80km`` in kilometres (miles where no unit stands); None where it is none."""
    match = _RADIUS.fullmatch(text.strip().lower())
    if not match:
        return None
    return float(match[1]) * (1.0 if match[2] == "km" else _KM_PER_MILE)


def distance(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return the great-circle distance in kilometres between two points, each latitude and longitude in degrees."""
    lat1, lon1, lat2, lon2 = (math.radians(angle) for angle in (*here, *there))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def point(value: object) -> tuple[float, float] | None:
    """Return a record's geoPoint as latitude and longitude; None where it is none."""
    if not isinstance(value, dict):
        return None
    lat, lon = number(value.get("lat")), number(value.get("lon"))
    return None if lat is None or lon is None else (lat, lon)
