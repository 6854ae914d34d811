"""A study's row: its headline columns, readable without decoding a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from trialsync.model import Presence
from trialsync.store import rows

COLUMNS: Final = (
    "nct_id, title, overall_status, phases, study_type, sponsor, conditions, countries, enrollment, start_date, primary_completion_date, "
    "completion_date, has_results, first_posted, posted, presence, merged_into, version"
)
"""What ``headlines`` reads, of ``studies``."""


@dataclass(frozen=True, slots=True)
class Headlines:
    """A study's row: what is worth knowing of its latest version without reading it. Dates are ISO, some of them months or years."""

    nct_id: str
    title: str | None
    overall_status: str | None
    phases: tuple[str, ...]
    study_type: str | None
    sponsor: str | None
    conditions: tuple[str, ...]
    countries: tuple[str, ...]
    enrollment: int | None
    start_date: str | None
    primary_completion_date: str | None
    completion_date: str | None
    has_results: bool
    first_posted: str | None
    posted: str | None
    presence: Presence
    merged_into: str | None
    version: int


def headlines(row: tuple[Any, ...]) -> Headlines:
    """Return the headlines that a row of COLUMNS holds; raise StoreDamaged where it holds none."""
    values = list(row)
    with rows.sound(f"the row of {row[0]}"):
        for place in (3, 6, 7):
            values[place] = tuple(orjson.loads(values[place]))
        values[12] = bool(values[12])
        values[15] = Presence(values[15])
        return Headlines(*values)
