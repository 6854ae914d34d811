"""Facts about sites and countries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.study import record
from trialsync.study.facts.step import members, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.model import Change
    from trialsync.study.facts.step import Found

_LOCATIONS: Final = "locations"
_COUNTRY: Final = "country"


def site_facts(found: Found) -> None:
    """Note which sites came and went, and which rows made a country the first time listed, or the last."""
    rows = found.rows(_LOCATIONS)
    old, new = (set(record.countries(study)) for study in (found.step.old, found.step.new))
    came, gone = new - old, old - new
    for before, after in _respelled([change for _, change in rows], gone, came):
        gone.discard(before)
        came.discard(after)
    for place, change in rows:
        for fact, at_country, remaining, is_after in (
            ("site-opened", "country-first-site", came, True),
            ("site-closed", "country-last-site", gone, False),
        ):
            for site in members(change, after=is_after):
                country = text(site.get("country"))
                found.put(place, fact, country=country, status=text(site.get("status")))
                _note(found, place, at_country, country, remaining)
            if change.attribute == _COUNTRY:
                _note(found, place, at_country, text(change.after if is_after else change.before), remaining)


def _note(found: Found, place: int, fact: str, country: str | None, remaining: set[str]) -> None:
    """Note a country once, on the first row that made it so."""
    if country is not None and country in remaining:
        remaining.discard(country)
        found.put(place, fact, country=country)


def _respelled(rows: Sequence[Change], gone: set[str], came: set[str]) -> Iterator[tuple[str, str]]:
    """Yield countries that are only spelled otherwise, before and after: all sites that stay say so alike, and one at least in its city.

    A site whose city is another too was moved; where all of them were, the country is another.
    """
    moved = {change.item for change in rows if change.attribute == "city"}
    turned: dict[str, set[tuple[str | None, bool]]] = {}
    for change in rows:
        before, after = text(change.before), text(change.after)
        if change.attribute == _COUNTRY and before in gone:
            turned.setdefault(before, set()).add((after, change.item in moved))
    for before, ways in turned.items():
        (after, *others) = {after for after, _ in ways}
        if after in came and not others and (after, False) in ways:
            yield before, after
