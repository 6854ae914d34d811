"""Attributes that mention the items of another list by name: an intervention's arms, an arm's interventions.

Where an arm is relabelled, every intervention that is given in it says so too. The relabelling is the news; that the mentions follow is
still a change of the record and has its rows, but of tier ``housekeeping``. A mention that changed in any other way is what it always was.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trialsync.model import Json
    from trialsync.study.align import Pair

ARMS: Final = "armsInterventions.arms"
INTERVENTIONS: Final = "armsInterventions.interventions"


def _label(arm: Mapping[str, Json]) -> Json:
    return arm.get("label")


def _in_words(intervention: Mapping[str, Json]) -> Json:
    """Return an intervention as arms mention it: ``Combination Product: Pump and insulin``."""
    sort, name = intervention.get("type"), intervention.get("name")
    return f"{sort.replace('_', ' ').title()}: {name}" if isinstance(sort, str) and isinstance(name, str) else None


MENTIONS: Final[Mapping[tuple[str, str], tuple[str, Callable[[Mapping[str, Json]], Json]]]] = {
    (INTERVENTIONS, "armGroupLabels"): (ARMS, _label),
    (ARMS, "interventionNames"): (INTERVENTIONS, _in_words),
}
"""Which attribute of which field mentions the items of which other field, and how it calls them."""


def only_follows(field: str, attribute: str | None, old: Json, new: Json, pairs: Mapping[str, Iterable[Pair]]) -> bool:
    """Return whether a change of an attribute only follows items that were renamed; ``pairs`` are the paired items of fields, by field."""
    if attribute is None or (field, attribute) not in MENTIONS or not (_is_texts(old) and _is_texts(new)):
        return False
    mentioned, name = MENTIONS[field, attribute]
    both = [(name(pair.old), name(pair.new)) for pair in pairs.get(mentioned, ()) if pair.old is not None and pair.new is not None]
    renamed = [(was, now) for was, now in both if isinstance(was, str) and isinstance(now, str) and was != now]
    forth, back = dict(renamed), {now: was for was, now in renamed}
    return Counter(forth.get(each, each) for each in old) == Counter(new) and Counter(back.get(each, each) for each in new) == Counter(old)


def _is_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
