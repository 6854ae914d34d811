"""What happened to a study's sites on a day, in a phrase."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from trialsync.publish.phrase import Phrase, Rows, added_removed, fields_of
from trialsync.publish.value import compact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trialsync.model import LoggedChange

_ADDRESS: Final = frozenset({"city", "state", "zip", "country"})
_COUNTRIES: Final = 3


def sites(rows: Rows) -> Iterator[Phrase]:
    """Yield how many sites came and went, what became of those that stay, and of which countries they are the first or last."""
    taken = rows.take("locations")
    if not taken:
        return
    parts = [" ".join(added_removed(taken))] if any(added_removed(taken)) else []
    by_site: dict[str | None, dict[str, LoggedChange]] = {}
    for row in taken:
        if row.attribute:
            by_site.setdefault(row.item, {})[row.attribute.split(".")[0]] = row
    counts = Counter(_became(edits) for edits in by_site.values())
    parts += [f"{counts[word]:,} {word}" for word in sorted(counts, key=_order)]
    parts += [
        f"{words} {named}"
        for name, words in (("country-first-site", "first in"), ("country-last-site", "none left in"))
        if (named := _countries(_of(name, taken)))
    ]
    yield Phrase(f"sites {', '.join(parts)}", fields_of(taken))


def _became(edits: Mapping[str, LoggedChange]) -> str:
    """Return what became of a site that stays, by its attributes that changed: the status first, then its place, then its name."""
    status = edits.get("status")
    if status is not None:
        if status.after:
            return f"now {compact(status.after)}"
        return "stopped recruiting" if status.before == "RECRUITING" else "without a status"
    if {"city", "country"} <= edits.keys():
        return "moved"
    # That a part of the name or the address was added or taken away is no other name.
    name = edits.get("facility")
    if name is not None and name.before and name.after:
        return "renamed"
    return "address edited" if edits.keys() & _ADDRESS else "edited"


def _order(word: str) -> tuple[int, str]:
    after = ("stopped recruiting", "without a status", "moved", "renamed", "address edited", "edited")
    return (after.index(word) + 1 if word in after else 0, word)


def _of(fact: str, rows: Sequence[LoggedChange]) -> Iterator[str]:
    for row in rows:
        yield from (compact(each["country"]) for each in row.facts if each.get("id") == fact and each.get("country"))


def _countries(countries: Iterable[str]) -> str:
    """Return a few countries by name, more by number."""
    each = list(dict.fromkeys(countries))
    return f"{len(each):,} countries" if len(each) > _COUNTRIES else " and ".join([", ".join(each[:-1]), each[-1]] if each[1:] else each)
