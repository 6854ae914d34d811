"""The filters of the change log and of studies as parameters: the names of the command line's options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import By, Kind, Origin, Presence, Tier
from trialsync.store.filters import ChangeFilter
from trialsync.store.study_filters import StudyFilter
from trialsync.study.facts import FACTS as RULES
from trialsync.web.api.parameters import Parameter
from trialsync.web.api.values import GLOB, NAME, NCT_ID, STATUS, WORDS, Choice, Day, Flag, Moment, Whole
from trialsync.web.problems import not_found, senseless

if TYPE_CHECKING:
    from enum import StrEnum

    from trialsync.store.reader import Reader
    from trialsync.web.api.parameters import Asked

LIMIT: Final = 100
"""How many rows are answered where nobody says."""

MOST_ROWS: Final = 1_000
MOST_LINES: Final = 10_000
"""How many rows one answer has at most: as JSON, and as CSV or JSON lines."""

_LARGEST: Final = 2**63 - 1


def _words(noun: type[StrEnum]) -> Choice:
    return Choice(tuple(each.value for each in noun))


FACT: Final = Choice(tuple(rule.id for rule in RULES if rule.recorded))
"""A fact that rows of the log carry."""

STUDY: Final = Parameter("study", NCT_ID, "Changes of this study.", many=True)

_IN_ONE_STUDY: Final = (
    Parameter("since", Day(), "Changes dated on or after this day, or a time ago: 7d, 12h."),
    Parameter("until", Day(), "Changes dated on or before this day, or a time ago."),
    Parameter("seen-since", Moment(), "Changes that we saw at or after this day, instant or time ago."),
    Parameter("field", GLOB, "Changes whose path matches; * crosses dots. /api/fields lists the names.", many=True),
    Parameter("kind", _words(Kind), "What happened.", many=True),
    Parameter("tier", _words(Tier), "How much the field matters.", many=True),
    Parameter("by", _words(By), "Who made the change.", many=True),
    Parameter("origin", _words(Origin), "How the version reached us.", many=True),
    Parameter("fact", FACT, "Changes that carry this fact. /api/facts defines them.", many=True),
    Parameter("without", FACT, "Changes that do not carry this fact.", many=True),
    Parameter("text", WORDS, "Changes of which title, conditions, before or after hold all of these words.", many=True),
    Parameter("baseline", Flag(), "The rows of first versions too: what stood there when we first saw a study."),
    Parameter("all", Flag(), "Housekeeping too, as is the default; false leaves it out."),
)

_OF_STUDIES: Final = (
    Parameter("watch", NAME, "Of the studies that are or were in this watch.", many=True),
    Parameter("country", WORDS, "Of studies with a site in this country, now or in the row.", many=True),
    Parameter("sponsor", WORDS, "Of studies whose lead sponsor's name holds these words.", many=True),
)

_READING_ON: Final = (
    Parameter("after", Whole(0, _LARGEST), "A cursor: rows with a greater id, the oldest first unless order says otherwise."),
    Parameter("before", Whole(0, _LARGEST), "Rows with a smaller id, for reading on towards the oldest."),
    Parameter("order", Choice(("oldest", "newest")), "By id; newest where after is not given."),
    Parameter("limit", Whole(1, MOST_LINES), f"At most so many rows, {LIMIT} by default; as JSON never more than {MOST_ROWS:,}."),
)

OF_ONE_STUDY: Final = (*_IN_ONE_STUDY, *_READING_ON)
"""How the changes of one study are asked for."""

CHANGES: Final = (STUDY, *_OF_STUDIES, *OF_ONE_STUDY)
"""How the change log is asked."""

STUDIES: Final = (
    Parameter("watch", NAME, "Studies that are in this watch now.", many=True),
    Parameter("sponsor", WORDS, "Studies whose lead sponsor's name holds these words.", many=True),
    Parameter("country", WORDS, "Studies with a site in this country.", many=True),
    Parameter("status", STATUS, "Studies of this overall status.", many=True),
    Parameter("presence", _words(Presence), "What the registry last said of the study as a whole.", many=True),
    Parameter("text", WORDS, "Studies of which title or conditions hold all of these words.", many=True),
    Parameter("after", NCT_ID, "Studies with a greater number."),
    Parameter("limit", Whole(1, MOST_LINES), f"At most so many rows, {LIMIT} by default; as JSON never more than {MOST_ROWS:,}."),
)
"""How studies are asked for."""


def change_filter(asked: Asked, *, study: str | None = None, housekeeping: bool = True) -> ChangeFilter:
    """Return the rows of the change log that are asked for, those of one study where it is given.

    ``housekeeping`` is what holds where ``all`` is not given. Raises Problem (422) for days in the wrong order.
    """
    since, until, everything = asked.one("since"), asked.one("until"), asked.one("all")
    if since and until and since > until:
        raise senseless(f"since {since} is after until {until}")
    tiers = tuple(Tier(each) for each in asked.many("tier"))
    return ChangeFilter(
        since=since,
        until=until,
        seen_since=asked.one("seen-since"),
        studies=(study,) if study else asked.many("study"),
        watches=asked.many("watch"),
        fields=asked.many("field"),
        kinds=tuple(Kind(each) for each in asked.many("kind")),
        tiers=tiers,
        bys=tuple(By(each) for each in asked.many("by")),
        origins=tuple(Origin(each) for each in asked.many("origin")),
        facts=asked.many("fact"),
        without_facts=asked.many("without"),
        countries=asked.many("country"),
        sponsors=asked.many("sponsor"),
        texts=asked.many("text"),
        baseline=bool(asked.one("baseline")),
        housekeeping=(housekeeping if everything is None else everything) or Tier.HOUSEKEEPING in tiers,
    )


def study_filter(asked: Asked) -> StudyFilter:
    """Return which studies are asked for."""
    return StudyFilter(
        watches=asked.many("watch"),
        sponsors=asked.many("sponsor"),
        countries=asked.many("country"),
        statuses=asked.many("status"),
        presences=tuple(Presence(each) for each in asked.many("presence")),
        texts=asked.many("text"),
    )


def check_known(reader: Reader, studies: tuple[str, ...]) -> None:
    """Raise Problem (404) for a study that the store does not have."""
    for number in studies:
        if not reader.has(number):
            raise not_found(f"{number} is not in the store", word="unknown-study", hint="/api/studies lists those that are")
