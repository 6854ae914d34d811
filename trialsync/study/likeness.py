"""How alike two members of a list are: what decides whether one of them is the other, edited.

Every attribute that has a weight agrees by a share from 0 to 1: equal values wholly; texts by the words that they share (Dice's
coefficient over words without case and accents, ``GENERIC`` words left out where others remain); lists by the members that they share;
anything else not at all. An attribute that neither has does not count; one that a single side has counts as disagreement, by half where it
is ``often_absent`` (a site's zip). The **likeness** is the weighted share that agrees, and two members with different keys may be one only
where it is more than ``LIKENESS_TO_PAIR``. Beside that,

- what is ``hidden`` on a side (a facility called Research Site, or none) says nothing, neither for nor against;
- what ``support`` names counts only where it agrees and no other member on either side has it: the same contact persons tell that a site is
  the same, and a hotline that all sites have does not;
- what ``needs`` names must agree by so many percent, whatever else does: another person in the same office is another person;
- members with one ``twin`` attribute (the id of a group in results) may be one however little else agrees.

Everything is counted in whole numbers, so that it is the same in both directions and on every machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trialsync.study.fingerprint import canonical, is_empty

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trialsync.model import Json
    from trialsync.study.fields import Items

WHOLE: Final = 1000
"""What a wholly agreeing member's likeness is."""

LIKENESS_TO_PAIR: Final = WHOLE // 2
"""Two members with different keys are one edited member only where their likeness is more than this."""

_GENERIC: Final = """
    an and any as assessed at baseline between by change changes during following for from group groups in incidence is mean measured
    measurement number of on or participant participants patient patients percent percentage proportion rate score study subject subjects
    the time to total up using versus vs who with arm cohort
    center centre clinic clinical clinics clinique co college company corp corporation department dept dr gmbh hospital hospitals
    inc institute institution institut international investigator limited llc ltd md medical medicine national phd pharma pharmaceutical
    pharmaceuticals plc research school site university universitaire universitair universitaria universitario universidad universita
    universitat universitatsklinikum universite de del der des di do du el hopital klinik klinikum la le ospedale und
    http https www com org net html
    """
"""What outcomes, arms and time frames have in common; institutions, companies and persons; addresses."""

GENERIC: Final = frozenset(_GENERIC.split())
"""Words that do not tell one member from another."""

_COMPARED: Final = 2_000
"""Texts are likened by so many characters from their beginning; whether they are equal is decided by all of them."""

_WORD: Final = re.compile(r"[^\W_]+")
_MOST_OTHERS: Final = 63


@dataclass(frozen=True, slots=True)
class _Part:
    """One attribute: its canonical text, and the words or members by which it is likened to another."""

    text: bytes
    bag: Counter[str | bytes]
    size: int


@dataclass(frozen=True, slots=True)
class Traits:
    """What a member is recognised by: its weighted attributes, those that support, its twin attribute, and all the rest."""

    parts: Mapping[str, _Part]
    unique: Mapping[str, bytes]
    hides: frozenset[str]
    twin: bytes
    others: frozenset[tuple[str, bytes]]


def traits(members: Sequence[dict[str, Json]], whole: Sequence[dict[str, Json]], items: Items) -> list[Traits]:
    """Return what each of these members is recognised by, in the list that they stand in."""
    counts = {name: Counter(canonical(each.get(name)) for each in whole) for name in items.support}
    return [_traits(member, items, counts) for member in members]


def _traits(member: Mapping[str, Json], items: Items, counts: Mapping[str, Counter[bytes]]) -> Traits:
    hides = frozenset(name for name, pattern in items.hidden.items() if _is_hidden(member.get(name), pattern))
    parts = {}
    for name in (*items.weights, *(name for name in items.needs if name not in items.weights)):
        value = member.get(name)
        if not is_empty(value) and name not in hides:
            parts[name] = _part(value)
    unique = {name: text for name in items.support if (text := canonical(member.get(name))) and counts[name][text] == 1}
    twin = b"" if items.twin is None else canonical(member.get(items.twin))
    others = frozenset((name, text) for name, value in member.items() if name not in items.weights and (text := canonical(value)))
    return Traits(parts, unique, hides, twin, others)


def _is_hidden(value: Json, pattern: re.Pattern[str]) -> bool:
    return is_empty(value) or (isinstance(value, str) and pattern.search(value[:_COMPARED]) is not None)


def _part(value: Json) -> _Part:
    bag: Counter[str | bytes] = Counter()
    if isinstance(value, str):
        bag.update(words(value))
    elif isinstance(value, list):
        bag.update(map(canonical, value))
    return _Part(canonical(value), bag, bag.total())


def words(text: str) -> list[str]:
    """Return the words of a text by which it is likened to others: without case and accents, and without generic words where others are."""
    text = text[:_COMPARED]
    if not text.isascii():
        text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    found = _WORD.findall(text.casefold())
    return [word for word in found if word not in GENERIC] or found


def likeness(one: Traits, other: Traits, items: Items) -> int:
    """Return how alike two members are, 0 to ``WHOLE``; 0 where what must agree does not."""
    if items.needs and not all(_agrees(one.parts.get(name), other.parts.get(name), least) for name, least in items.needs.items()):
        return 0
    # Twice the weights, so that half of one is whole.
    total = agreed = 0
    hides = one.hides | other.hides
    for name, weight in items.weights.items():
        this, that = one.parts.get(name), other.parts.get(name)
        if name in hides or this is that is None:
            continue
        if this is not None and that is not None:
            total += 2 * weight
            agreed += 2 * weight * _agreement(this, that)
        else:
            total += weight if name in items.often_absent else 2 * weight
    for name, weight in items.support.items():
        text = one.unique.get(name)
        if text is not None and text == other.unique.get(name):
            total += 2 * weight
            agreed += 2 * weight * WHOLE
    return agreed // total if total else 0


def _agrees(this: _Part | None, that: _Part | None, least: int) -> bool:
    if this is None or that is None:
        return this is that
    return _agreement(this, that) * 100 >= least * WHOLE


def _agreement(this: _Part, that: _Part) -> int:
    if this.text == that.text:
        return WHOLE
    size = this.size + that.size
    return 2 * WHOLE * _common(this.bag, that.bag) // size if this.size and that.size else 0


def _common(one: Counter[str | bytes], other: Counter[str | bytes]) -> int:
    if len(other) < len(one):
        one, other = other, one
    return sum(min(count, other[each]) for each, count in one.items() if each in other)


def equal_others(one: Traits, other: Traits) -> int:
    """Return how many of the attributes without a weight are equal, 63 at most."""
    return min(len(one.others & other.others), _MOST_OTHERS)


def are_twins(one: Traits, other: Traits) -> bool:
    """Return whether two members have their twin attribute in common."""
    return one.twin != b"" and one.twin == other.twin


def shared(traits: Iterable[tuple[int, Traits]]) -> dict[tuple[str, bytes], list[int]]:
    """Return the places of the members that have a value, by the attribute's name and its text."""
    holders: dict[tuple[str, bytes], list[int]] = {}
    for place, each in traits:
        held = [(name, part.text) for name, part in each.parts.items()]
        held += each.unique.items()
        if each.twin:
            held.append(("", each.twin))
        for value in held:
            holders.setdefault(value, []).append(place)
    return holders
