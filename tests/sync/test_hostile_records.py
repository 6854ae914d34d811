"""Records that no registry should send, and once in a while one will."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from following import DAYS, World, edited, invent, publish, site

from trialsync.model import is_day
from trialsync.store.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

ONE = invent(1)


def test_a_nul_in_a_country_costs_no_study(tmp_path: Path) -> None:
    """A country with a NUL is kept, is no damage, and the study's next version replaces it like any other."""
    odd = edited(ONE, contactsLocationsModule={"locations": [site("Clinic", "Lyon", "Fr\0ance")]})
    world = World(tmp_path, publish([odd], [edited(odd, DAYS[1], contactsLocationsModule={})]))
    world.poll()
    assert verify(world.store) == []
    with closing(sqlite3.connect(world.store)) as raw, raw:
        raw.execute("UPDATE study_countries SET country = 'Fr'")
    assert verify(world.store) == ["NCT00000001: its countries are not those of its latest version"]
    with closing(sqlite3.connect(world.store)) as raw, raw:
        raw.execute("UPDATE study_countries SET country = ?", ("Fr\0ance",))
    assert world.next().poll.updated == 1
    assert verify(world.store) == []


def test_an_item_that_looks_like_an_attribute_has_a_ref_of_its_own(tmp_path: Path) -> None:
    """Two rows of one day that read alike as paths are two different rows by their refs."""
    both = edited(ONE, outcomesModule={"primaryOutcomes": [{"measure": "Pain", "description": "old"}, {"measure": "Pain.description"}]})
    less = edited(ONE, DAYS[1], outcomesModule={"primaryOutcomes": [{"measure": "Pain", "description": "new"}]})
    world = World(tmp_path, publish([both], [less]))
    world.poll()
    world.next()
    rows = [row for row in world.log() if row.field == "outcomes.primary"]
    assert [row.path for row in rows] == ["outcomes.primary.pain.description"] * 2
    assert len({row.ref for row in rows}) == 2


@pytest.mark.parametrize("country", ["Republic|of|Nowhere", "Nowhere #2", "Nowhere|"])
def test_a_country_whose_name_reads_like_a_key_is_found(tmp_path: Path, country: str) -> None:
    """What came and went of a country with a bar or a number sign in its name is told to who asks for that country."""
    away = edited(ONE, contactsLocationsModule={"locations": [site("Clinic", "Lyon", "France"), site("Clinic", "Nowhere", country)]})
    world = World(tmp_path, publish([ONE], [edited(away, DAYS[1])], [edited(ONE, DAYS[2])]))
    world.poll()
    world.next()
    world.next()
    due = [row.id for row in world.log(fields=("locations*nowhere*",))]
    assert len(due) == 2
    assert [row.id for row in world.log(countries=(country,))] == due


@pytest.mark.parametrize("day", ["2026-02-30", "9999-12-31", "0001-01-01", "2026-2-3", "2026-02-03T00:00:00", "", None, 20260203])
def test_what_no_calendar_has_is_no_load(day: object) -> None:
    """A label that no calendar has, or of a year that no load is of, is none."""
    assert not is_day(day)


def test_a_day_is_a_load() -> None:
    """An ISO day of our times is one."""
    assert is_day("2026-02-03")
