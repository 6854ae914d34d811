"""Facts about the plan: how many may take part, who, and who answers for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trialsync.model import Kind
from trialsync.study import record
from trialsync.study.facts.step import text
from trialsync.study.words import renders_alike

if TYPE_CHECKING:
    from trialsync.model import Change, Json
    from trialsync.study.facts.step import Found

PLACEHOLDER: Final = 99_999_999
"""The number of participants that stands in records where nobody gave one."""

_AGE: Final = re.compile(r"(\d{1,9})\s*(year|month|week|day|hour|minute)s?", re.ASCII | re.IGNORECASE)
_MINUTES: Final = {"year": 525_960, "month": 43_830, "week": 10_080, "day": 1_440, "hour": 60, "minute": 1}
_NO_LIMIT: Final = frozenset({"", "n/a", "none", "no limit"})


def enrollment_facts(found: Found) -> None:
    """Note whether fewer or more take part, planned or actual."""
    old, new = found.step.old, found.step.new
    for place, change in found.rows("design.enrollmentCount"):
        before, after = record.enrollment(old), record.enrollment(new)
        if change.kind is not Kind.CHANGED or before is None or after is None:
            continue
        if PLACEHOLDER in {before, after} or min(before, after) < 0 or before == after:
            continue
        found.put(
            place,
            "enrollment-cut" if after < before else "enrollment-raised",
            percent=round(abs(after - before) * 100 / before, 1) if before else None,
            before=before,
            after=after,
            type=record.enrollment_type(new),
            type_before=record.enrollment_type(old),
        )


def eligibility_facts(found: Found) -> None:
    """Note which age limits let in more or less, and whether the criteria read otherwise."""
    for name, limit, open_end in (("eligibility.minAge", "minimum", 0.0), ("eligibility.maxAge", "maximum", float("inf"))):
        for place, change in found.rows(name):
            before, after = (age_minutes(value, open_end) for value in (change.before, change.after))
            if before is None or after is None or before == after:
                continue
            widened = (after < before) is (limit == "minimum")
            fact = "eligibility-age-widened" if widened else "eligibility-age-narrowed"
            found.put(place, fact, limit=limit, before=change.before, after=change.after)
    for place, change in found.rows("eligibility.criteria"):
        if not _is_markup(change):
            found.put(place, "criteria-changed")


def sponsor_facts(found: Found) -> None:
    """Note whether another lead sponsor is named."""
    for place, change in found.rows("sponsor.lead"):
        if change.attribute == "name" and change.kind is Kind.CHANGED and not _is_markup(change):
            found.put(place, "sponsor-changed", before=change.before, after=change.after)


def markup_facts(found: Found) -> None:
    """Note which texts only look otherwise to a program."""
    for place, change in enumerate(found.step.changes):
        if change.kind is Kind.CHANGED and _is_markup(change):
            found.put(place, "markup-only")


def age_minutes(value: Json, open_end: float) -> float | None:
    """Return an age in the registry's words (``18 Years``) in minutes, ``open_end`` for no limit, ``None`` where it can't be read."""
    if value is None:
        return open_end
    if not isinstance(value, str):
        return None
    words = value.strip()
    if words.lower() in _NO_LIMIT:
        return open_end
    found = _AGE.fullmatch(words)
    return float(int(found[1]) * _MINUTES[found[2].lower()]) if found else None


def _is_markup(change: Change) -> bool:
    before, after = text(change.before), text(change.after)
    return before is not None and after is not None and renders_alike(before, after)
