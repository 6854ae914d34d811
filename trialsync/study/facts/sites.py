"""Facts about sites and countries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.study import record
from trialsync.study.facts.step import members, text

if TYPE_CHECKING:
    from trialsync.study.facts.step import Found

_LOCATIONS: Final = "locations"


def site_facts(found: Found) -> None:
    """Note which sites came and went, and which of them were a country's first or last."""
    rows = found.rows(_LOCATIONS)
    old, new = (set(record.countries(study)) for study in (found.step.old, found.step.new))
    # Sites that stay and whose country is spelled otherwise: the country is not new, nor gone.
    renamed = [change for _, change in rows if change.attribute == "country"]
    first = new - old - {change.after for change in renamed if isinstance(change.after, str)}
    last = old - new - {change.before for change in renamed if isinstance(change.before, str)}
    for place, change in rows:
        for fact, at_country, remaining, came in (
            ("site-opened", "country-first-site", first, True),
            ("site-closed", "country-last-site", last, False),
        ):
            for site in members(change, after=came):
                country = text(site.get("country"))
                found.put(place, fact, country=country, status=text(site.get("status")))
                if country in remaining:
                    remaining.discard(country)
                    found.put(place, at_country, country=country)
