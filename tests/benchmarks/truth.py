"""What really changed between dated loads, found from the raw records by a comparison that shares nothing with trialsync's.

A study changed where its JSON, the load's label cut out, is another. A *place* is the path of a leaf without the positions in lists; it
changed where the values that stand there, counted, are others. That says where a record differs and never how lists are to be paired, so
it favours nobody. Of the fifteen fields that ``biocatalystfeed`` follows it says what each held before and after, read here anew.

Of a tool whose rows have values it is demanded that they add up: at each place just as many of each value have to come and go in its rows
as did in the records. Of one whose rows have none, a row about a place is enough.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Key: TypeAlias = tuple[str, str]
"""A load's day and an NCT number: one study on one load."""

Leaf: TypeAlias = tuple[str, str]
"""A place and the JSON of a value that stands there."""

Study: TypeAlias = dict[str, Any]

_PROTOCOL: Final = "protocolSection."
_STATUS: Final = "protocolSection.statusModule."
_ARMS: Final = "protocolSection.armsInterventionsModule."

UPDATE_DATES: Final = frozenset(
    f"{_STATUS}{name}"
    for name in ("statusVerifiedDate", "lastUpdateSubmitDate", "lastUpdatePostDateStruct.date", "lastUpdatePostDateStruct.type")
)
"""Places that change with every update of a sponsor, and say no more than that there was one."""

SITES: Final = "protocolSection.contactsLocationsModule.locations"
ARMS: Final = f"{_ARMS}armGroups"
COUNTED: Final = {"site_count": SITES, "arm_count": ARMS}
"""The two of the fifteen fields that are the length of a list."""

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "status": (f"{_STATUS}overallStatus",),
    "phase": (f"{_PROTOCOL}designModule.phases",),
    "enrollment": (f"{_PROTOCOL}designModule.enrollmentInfo.count",),
    "start_date": (f"{_STATUS}startDateStruct.date",),
    "primary_completion_date": (f"{_STATUS}primaryCompletionDateStruct.date",),
    "completion_date": (f"{_STATUS}completionDateStruct.date",),
    "lead_sponsor": (f"{_PROTOCOL}sponsorCollaboratorsModule.leadSponsor.name",),
    "title": (f"{_PROTOCOL}identificationModule.briefTitle",),
    "why_stopped": (f"{_STATUS}whyStopped",),
    "has_results": ("hasResults",),
    "interventions": (f"{_ARMS}interventions.type", f"{_ARMS}interventions.name"),
    "primary_outcomes": (f"{_PROTOCOL}outcomesModule.primaryOutcomes.measure",),
    "arm_count": (),
    "site_count": (),
    "results_first_posted": (f"{_STATUS}resultsFirstPostDateStruct.date",),
}
"""The fifteen fields by biocatalystfeed's names, and the places that each is read from; the two counts are read from no leaf."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one load changed one study.

    ``moved`` has for each leaf, its place and its value as JSON, how many came (above 0) or went (below); it is empty where only an order
    changed. ``fields`` has both sides of those of the fifteen fields that changed.
    """

    moved: Mapping[Leaf, int]
    fields: Mapping[str, tuple[Any, Any]]

    @property
    def places(self) -> set[str]:
        """Return the places that changed."""
        return {place for place, _ in self.moved}

    @property
    def is_news(self) -> bool:
        """Return whether more changed than the dates of the update itself."""
        return bool(self.places - UPDATE_DATES) or not self.moved


@dataclass(frozen=True, slots=True)
class Truth:
    """What the loads after the first one brought, took away and changed; ``known`` are all places of the studies that changed."""

    new: set[Key] = field(default_factory=set)
    gone: set[Key] = field(default_factory=set)
    changed: dict[Key, Difference] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)


def truth(lines: Iterable[tuple[str, str, Study | None]]) -> Truth:
    """Return what changed from load to load; a line is a load's day, an NCT number and the study's record, None where it is gone.

    The lines are in the order of their loads, and a load has a line for each study that it changed.
    """
    found, first = Truth(), None
    known: dict[str, str] = {}
    for load, nct_id, study in lines:
        first = first or load
        text = None if study is None else _text(study)
        before = known.pop(nct_id, None)
        if text is not None:
            known[nct_id] = text
        if load == first:
            continue
        if text is None:
            if before is not None:
                found.gone.add((load, nct_id))
        elif before is None:
            found.new.add((load, nct_id))
        elif text != before:
            old, new = json.loads(before), json.loads(text)
            found.changed[load, nct_id] = difference(old, new)
            found.known.update(place for side in (old, new) for place, _ in leaves(side))
    return found


def difference(before: Study, after: Study) -> Difference:
    """Return how two records of a study differ."""
    moved = Counter(leaves(after))
    moved.subtract(Counter(leaves(before)))
    sides = {name: (read(before), read(after)) for name, read in _READ.items()}
    return Difference(
        {leaf: number for leaf, number in moved.items() if number}, {name: pair for name, pair in sides.items() if pair[0] != pair[1]}
    )


def _text(study: Study) -> str:
    """Return a record as text in which equal records are equal; the load's label is left out."""
    derived = dict(study.get("derivedSection", {}))
    if "miscInfoModule" in derived:
        derived["miscInfoModule"] = {name: part for name, part in derived["miscInfoModule"].items() if name != "versionHolder"}
    return json.dumps({**study, "derivedSection": derived}, sort_keys=True)


def leaves(node: Any, place: str = "") -> Iterator[Leaf]:
    """Yield each leaf's place and value, as JSON so that ``1`` and ``true`` are two things. Nothing is yielded of what is empty."""
    if isinstance(node, dict):
        for name, part in node.items():
            yield from leaves(part, f"{place}.{name}" if place else name)
    elif isinstance(node, list):
        for part in node:
            yield from leaves(part, place)
    else:
        yield place, json.dumps(node)


def _at(place: str) -> Callable[[Study], Any]:
    def read(study: Study) -> Any:
        node: Any = study
        for name in place.split("."):
            node = node.get(name) if isinstance(node, dict) else None
        return node

    return read


def _listed(place: str) -> Callable[[Study], list[Any]]:
    read = _at(place)
    return lambda study: read(study) or []


_READ: Final[Mapping[str, Callable[[Study], Any]]] = {
    **{name: _at(places[0]) for name, places in PLACES.items() if len(places) == 1},
    "phase": _listed(PLACES["phase"][0]),
    "has_results": lambda study: bool(study.get("hasResults")),
    "interventions": lambda study: [(each.get("type"), each.get("name")) for each in _listed(f"{_ARMS}interventions")(study)],
    "primary_outcomes": lambda study: [each.get("measure") for each in _listed(f"{_PROTOCOL}outcomesModule.primaryOutcomes")(study)],
    "arm_count": lambda study: len(_listed(ARMS)(study)),
    "site_count": lambda study: len(_listed(SITES)(study)),
}


@dataclass(slots=True)
class Told:
    """What a tool told, in the words of both: studies that are new or gone, and on which studies it had rows about what.

    That a study is gone may be told on a later load, since one look alone is no proof. ``withheld`` are studies of which it told that the
    registry withholds them: that is all that was in their record. ``rows`` has for each study the places that each of its rows is about
    (each with what is below it), ``fields`` those of the fifteen that they tell, ``moved`` the leaves that came and went by their values;
    ``has_values`` says whether they have any.
    """

    has_values: bool
    new: set[Key] = field(default_factory=set)
    gone: set[Key] = field(default_factory=set)
    withheld: set[Key] = field(default_factory=set)
    rows: dict[Key, list[tuple[str, ...]]] = field(default_factory=dict)
    fields: dict[Key, set[str]] = field(default_factory=dict)
    moved: dict[Key, Counter[Leaf]] = field(default_factory=dict)

    def add(self, key: Key, places: tuple[str, ...], fields: Iterable[str], *, before: Any = None, after: Any = None) -> None:
        """Note a row; ``before`` and ``after`` are what it says of its place, where it says that."""
        self.rows.setdefault(key, []).append(places)
        self.fields.setdefault(key, set()).update(fields)
        if self.has_values:
            moved = self.moved.setdefault(key, Counter())
            for value, sign in ((before, -1), (after, 1)):
                for leaf in leaves(value, places[0]) if value is not None else ():
                    moved[leaf] += sign

    def covers(self, key: Key, place: str, really: Difference) -> bool:
        """Return whether the rows tell what changed at a place."""
        if key in self.withheld:
            return True
        if self.has_values:
            return at_place(self.moved.get(key, {}), place) == at_place(really.moved, place)
        return any(lies_within(place, start) for starts in self.rows.get(key, ()) for start in starts)

    def has_field(self, key: Key, name: str) -> bool:
        """Return whether some row tells one of the fifteen fields."""
        return key in self.withheld or name in self.fields.get(key, ())


def at_place(moved: Mapping[Leaf, int], place: str) -> dict[str, int]:
    """Return how many of each value came to a place and went from it."""
    return {value: number for (where, value), number in moved.items() if where == place and number}


def lies_within(place: str, start: str) -> bool:
    """Return whether a place is ``start`` or below it."""
    return place == start or place.startswith(f"{start}.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tool's account held against the truth.

    ``new``, ``gone``, ``changed`` and ``news`` count the studies told of those that there were (a study counts on each load that changed
    it), ``places`` the places told, ``beyond`` those of them that are not dates of the update, ``counts`` those of which no more was told
    than the new length of their list, ``fields`` those of the fifteen told; ``missed`` has for each place how many studies' change there
    was not told. ``untrue`` names what was told and is not so.
    """

    new: int
    gone: int
    changed: int
    news: int
    places: int
    beyond: int
    counts: int
    fields: Counter[str]
    missed: Counter[str]
    untrue: tuple[str, ...]


def judge(true: Truth, told: Told) -> Verdict:
    """Hold what a tool told against what really changed."""
    missed: Counter[str] = Counter()
    places = beyond = counts = 0
    for key, each in true.changed.items():
        counted = [COUNTED[name] for name in each.fields if name in COUNTED and told.has_field(key, name)]
        for place in each.places:
            if told.covers(key, place, each):
                places += 1
                beyond += place not in UPDATE_DATES
            elif not told.has_values and any(lies_within(place, start) for start in counted):
                counts += 1
            else:
                missed[place] += 1
    heard = true.changed.keys() & (told.rows.keys() | told.withheld)
    return Verdict(
        new=len(true.new & told.new),
        gone=sum(any(_confirms(said, really) for said in told.gone) for really in true.gone),
        changed=len(heard),
        news=sum(true.changed[key].is_news for key in heard),
        places=places,
        beyond=beyond,
        counts=counts,
        fields=Counter(name for key, each in true.changed.items() for name in each.fields if told.has_field(key, name)),
        missed=missed,
        untrue=tuple(_untrue(true, told)),
    )


def _confirms(said: Key, really: Key) -> bool:
    return said[1] == really[1] and said[0] >= really[0]


def _untrue(true: Truth, told: Told) -> Iterator[str]:
    nothing = Difference({}, {})
    for load, nct_id in sorted(told.new - true.new):
        yield f"{nct_id} new on {load}"
    for load, nct_id in sorted(told.gone):
        if not any(_confirms((load, nct_id), really) for really in true.gone):
            yield f"{nct_id} gone on {load}"
    for load, nct_id in sorted(told.withheld):
        if true.changed.get((load, nct_id), nothing).fields.get("status", ("", ""))[1] != "WITHHELD":
            yield f"{nct_id} withheld on {load}"
    for load, nct_id in sorted(told.rows):
        for what in _untrue_of_one(true.changed.get((load, nct_id), nothing), told, (load, nct_id)):
            yield f"{nct_id} {what} on {load}"


def _untrue_of_one(really: Difference, told: Told, key: Key) -> Iterator[str]:
    for starts in filter(None, told.rows[key]):
        if not any(lies_within(place, start) for place in really.places for start in starts):
            yield starts[0]
    for place in sorted({place for (place, _), number in told.moved.get(key, {}).items() if number} - really.places):
        yield f"other values at {place}"
    yield from sorted(told.fields[key] - really.fields.keys())
