"""Rows of the change log as pages show them: what stood there before and after, long text word by word, huge text cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from trialsync.model import Kind, Tier
from trialsync.publish.fact_words import fact_words
from trialsync.publish.line import line
from trialsync.publish.long_text import counted_words, html_difference, is_long
from trialsync.publish.privacy import change_without_contacts
from trialsync.publish.text import one_line
from trialsync.publish.value import compact
from trialsync.study.fields import WATCH_PREFIX
from trialsync.web.pages.rendering import in_a_line, statuses_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trialsync.model import Json, LoggedChange
    from trialsync.publish.phrase import Phrase
    from trialsync.web.desk import Desk

LONGEST_DIFFERENCE: Final = 60_000
"""The most characters (before and after together) that a page compares word by word."""

LONGEST_VALUE: Final = 1_200
"""The most characters of one value that a page shows; the whole is in JSON."""

_WITH_STATUS: Final = frozenset({"status.overallStatus", "locations"})
_NAMES: Final = 4
_MOST_MEMBERS: Final = 40
_CLIPPED: Final = 20_000
_LONG: Final = 60


@dataclass(frozen=True, slots=True)
class ShownFact:
    """A fact: its id, and what it says."""

    id: str
    says: str


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A row: ``field``, ``item`` and ``attribute`` name the place; ``difference`` is set for long text, ``before`` and ``after`` otherwise.

    ``words`` counts what the difference inserted and deleted; ``whole`` is the address of the row as JSON, where the page does not show
    all of it.
    """

    id: int
    nct_id: str
    title: str
    date: str
    version: int
    field: str
    item: str | None
    attribute: str | None
    kind: str
    tier: str
    by: str | None
    baseline: bool
    before: str | None
    after: str | None
    difference: Markup | None
    words: str
    facts: tuple[ShownFact, ...]
    whole: str | None

    @property
    def is_long(self) -> bool:
        """Return whether what stands there now is more than a word or two."""
        return self.after is not None and ("\n" in self.after or len(self.after) > _LONG)


@dataclass(frozen=True, slots=True)
class ShownLine:
    """What happened to one study on one day: phrases, the fields that have none, and how many rows there are."""

    date: str
    nct_id: str
    title: str
    sponsor: str
    phrases: tuple[Phrase, ...]
    left: str
    count: int


def told(desk: Desk, changes: Iterable[LoggedChange]) -> list[LoggedChange]:
    """Return rows as pages may tell them: without contact persons unless the settings show them."""
    return list(changes) if desk.shows_contacts else [change_without_contacts(change) for change in changes]


def shown_line(changes: Sequence[LoggedChange]) -> ShownLine:
    """Return the line for the rows of one study and day."""
    found = line(changes)
    last = changes[-1]
    phrases = tuple(_in_words(phrase) for phrase in found.phrases)
    names = [name.partition(".")[2] or name for name in found.left]
    more = f", … {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return ShownLine(
        date=found.date,
        nct_id=found.nct_id,
        title=in_a_line(last.title or found.nct_id),
        sponsor=in_a_line(last.sponsor),
        phrases=phrases,
        left=f"{', '.join(names[:_NAMES])}{more}",
        count=len(changes),
    )


def _in_words(phrase: Phrase) -> Phrase:
    """Return a phrase with statuses as the study's page spells them."""
    return replace(phrase, text=statuses_in_words(phrase.text)) if phrase.fields & _WITH_STATUS else phrase


def by_day(lines: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Return lines, or rows, by their day, the newest first; those of a day in the order given."""
    ordered = sorted(lines, key=lambda each: str(each.date), reverse=True)
    return [(day, list(found)) for day, found in groupby(ordered, key=lambda each: str(each.date))]


def shown_change(change: LoggedChange) -> ShownChange:
    """Return a row as a page shows it."""
    before, after, difference, words, cut = _values(change)
    return ShownChange(
        id=change.id,
        nct_id=change.nct_id,
        title=in_a_line(change.title or change.nct_id),
        date=change.date,
        version=change.version,
        field=change.field,
        item=_readable(change.item),
        attribute=change.attribute,
        kind=change.kind.value,
        tier=change.tier.value,
        by=change.by.value if change.by else None,
        baseline=change.baseline,
        before=before,
        after=after,
        difference=difference,
        words=words,
        facts=shown_facts(change.facts),
        whole=whole(change) if cut else None,
    )


def _readable(item: str | None) -> str | None:
    """Return an item's key for reading: its parts by commas, without those that are empty."""
    return None if item is None else ", ".join(part for part in item.split("|") if part.strip()) or item


def shown_facts(facts: Iterable[Mapping[str, Json]]) -> tuple[ShownFact, ...]:
    """Return facts with what they say."""
    return tuple(ShownFact(str(fact.get("id", "")), fact_words(fact)) for fact in facts)


def whole(change: LoggedChange) -> str:
    """Return the address of one row as JSON."""
    first_seen = "&baseline=true" if change.baseline else ""
    return f"/api/studies/{change.nct_id}/changes?after={change.id - 1}&limit=1{first_seen}"


def is_quiet(change: LoggedChange) -> bool:
    """Return whether a row is housekeeping, which pages fold."""
    return change.tier is Tier.HOUSEKEEPING


def text_of(value: Json) -> str:
    """Return a value as text of several lines: an object a line a key, a list a line a member, nothing as a dash."""
    if isinstance(value, dict) and value:
        return "\n".join(f"{one_line(str(name))}: {compact(_clipped(inside))}" for name, inside in value.items())
    if isinstance(value, list) and value:
        lines = [compact(_clipped(each)) for each in value[:_MOST_MEMBERS]]
        more = len(value) - _MOST_MEMBERS
        return "\n".join([*lines, *([f"… {more:,} more"] if more > 0 else [])])
    return value[:_CLIPPED].strip() or "—" if isinstance(value, str) else compact(value)


def _clipped(value: Json) -> Json:
    """Return a value with texts that no page shows whole cut before anything is done with them."""
    if isinstance(value, str):
        return value[:_CLIPPED]
    if isinstance(value, list):
        return [_clipped(each) for each in value]
    return {name: _clipped(inside) for name, inside in value.items()} if isinstance(value, dict) else value


def cut(text: str, longest: int = LONGEST_VALUE) -> tuple[str, bool]:
    """Return a text in so many characters at most, and whether any were left out."""
    return (text, False) if len(text) <= longest else (f"{text[:longest].rstrip()} …", True)


def _values(change: LoggedChange) -> tuple[str | None, str | None, Markup | None, str, bool]:
    """Return before, after, the difference of long text, its words in numbers, and whether anything was left out."""
    if change.field.startswith(WATCH_PREFIX):
        joined = change.kind is Kind.ADDED
        return (None, "in the watch", None, "", False) if joined else ("in the watch", "left", None, "", False)
    compared = change.kind is Kind.CHANGED and is_long(change.before, change.after)
    if compared and len(change.before) + len(change.after) <= LONGEST_DIFFERENCE:
        # What the function gives is escaped, and holds no tags but its own.
        difference = Markup(html_difference(change.before, change.after))  # noqa: S704
        return None, None, difference, counted_words(change.before, change.after), False
    before, before_cut = cut(text_of(change.before))
    after, after_cut = cut(text_of(change.after))
    has_members = any(isinstance(value, list) and len(value) > _MOST_MEMBERS for value in (change.before, change.after))
    return (
        None if change.kind is Kind.ADDED else before,
        None if change.kind is Kind.REMOVED else after,
        None,
        "",
        before_cut or after_cut or has_members,
    )
