"""What can be exported: for each kind of rows its columns, what each holds, and of which type it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    """What a column's values are; ``None`` is possible in each."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DAY = "day"
    """An ISO day."""
    INSTANT = "instant"
    """A UTC instant, milliseconds."""
    TEXTS = "list of text"
    JSON = "json"
    """A value of the registry, or an object of ours: any JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an export: its name, type, and what it says."""

    name: str
    type: Type
    about: str


@dataclass(frozen=True, slots=True)
class Extract:
    """One kind of rows: what it is called, what a row is, and its columns in order."""

    what: str
    about: str
    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(column.name for column in self.columns)


_TEXT, _INTEGER, _BOOLEAN, _DAY = Type.TEXT, Type.INTEGER, Type.BOOLEAN, Type.DAY
_INSTANT, _TEXTS, _JSON = Type.INSTANT, Type.TEXTS, Type.JSON

_NCT_ID: Final = Column("nct_id", _TEXT, "the study's NCT number")
_TITLE: Final = Column("title", _TEXT, "the study's brief title, as it is now")
_SPONSOR: Final = Column("sponsor", _TEXT, "the study's lead sponsor, as it is now")
_URL: Final = Column("url", _TEXT, "the study's page at ClinicalTrials.gov")
_DATE: Final = Column("date", _DAY, "since when it holds: its posted date where the sponsor posted an update, otherwise its load")
_LOAD: Final = Column("load", _DAY, "the registry's daily load that showed it first")
_POSTED: Final = Column("posted", _DAY, "the registry's date of the version (lastUpdatePostDate)")
_SEEN: Final = Column("seen", _INSTANT, "when we saw it")
_NOT_BEFORE: Final = Column("not_before", _DAY, "the last load, or history date, that still showed the old content")
_ORIGIN: Final = Column("origin", _TEXT, "how the version reached us: poll, import or history")
_VERSION: Final = Column("version", _INTEGER, "the version's number in this store, by date from 1")
_REGISTRY_VERSION: Final = Column("registry_version", _INTEGER, "the registry's own number of the version, where known")
_PATH: Final = Column("path", _TEXT, "field, item and attribute joined by dots, for reading")
_KIND: Final = Column("kind", _TEXT, "added, removed or changed")
_BY: Final = Column("by", _TEXT, "who made the change: sponsor or registry; nothing in a baseline")

CHANGES: Final = Extract(
    "changes",
    "one difference between two consecutive versions of a study",
    (
        Column("id", _INTEGER, "a reading position: grows in recording order, never used twice"),
        Column("ref", _TEXT, "the change's identity, equal on every machine that saw the same versions"),
        _NCT_ID,
        _TITLE,
        _SPONSOR,
        _VERSION,
        _REGISTRY_VERSION,
        _DATE,
        _NOT_BEFORE,
        _LOAD,
        _POSTED,
        _SEEN,
        _PATH,
        Column("field", _TEXT, "the name of the field, as trialsync fields lists them"),
        Column("item", _TEXT, "the key of the item in a list; nothing where the field is none"),
        Column("attribute", _TEXT, "the part of the item or of the field"),
        _KIND,
        Column("tier", _TEXT, "how much the field matters: headline, detail or housekeeping"),
        Column("before", _JSON, "what stood there"),
        Column("after", _JSON, "what stands there now"),
        Column("baseline", _BOOLEAN, "whether it only says what stood there when the study was first seen"),
        _BY,
        _ORIGIN,
        Column("facts", _JSON, "what follows from the change, each with its rule"),
        _URL,
    ),
)

VERSIONS: Final = Extract(
    "versions",
    "one distinct content of a study",
    (
        _NCT_ID,
        Column("number", _INTEGER, "the version's number in this store, by date from 1"),
        _REGISTRY_VERSION,
        _DATE,
        _NOT_BEFORE,
        _LOAD,
        _POSTED,
        _SEEN,
        _ORIGIN,
        Column("fingerprint", _TEXT, "digest of the content without its noise, after the number of the rule that made it"),
    ),
)

STUDIES: Final = Extract(
    "studies",
    "one study, as it is or as it was on a day",
    (
        _NCT_ID,
        Column("title", _TEXT, "brief title"),
        Column("overall_status", _TEXT, "overall status, as the registry spells it"),
        Column("phases", _TEXTS, "phases"),
        Column("study_type", _TEXT, "interventional, observational, expanded access"),
        Column("sponsor", _TEXT, "lead sponsor"),
        Column("conditions", _TEXTS, "conditions"),
        Column("countries", _TEXTS, "countries of the sites"),
        Column("enrollment", _INTEGER, "participants, actual or planned"),
        Column("start_date", _TEXT, "start: a day or a month"),
        Column("primary_completion_date", _TEXT, "primary completion: a day or a month"),
        Column("completion_date", _TEXT, "completion: a day or a month"),
        Column("has_results", _BOOLEAN, "whether results are posted"),
        Column("first_posted", _DAY, "first posted"),
        Column("posted", _DAY, "last update posted"),
        Column("presence", _TEXT, "what the registry says of the study as a whole: listed, removed, merged, withheld"),
        Column("merged_into", _TEXT, "the study that the number leads to, where it was merged"),
        Column("version", _INTEGER, "the version shown"),
        Column("version_date", _DAY, "since when that version holds"),
        Column("load", _DAY, "the load that showed that version first"),
        Column("seen", _INSTANT, "when we saw that version first"),
        Column("last_seen", _INSTANT, "the last complete poll or import that covered the study"),
        _URL,
    ),
)

FACTS: Final = Extract(
    "facts",
    "one fact that follows from a change by a rule",
    (
        Column("fact", _TEXT, "the fact's name, as trialsync facts lists them"),
        Column("rule", _INTEGER, "the version of its rule"),
        Column("values", _JSON, "the fact's values"),
        _NCT_ID,
        _TITLE,
        _SPONSOR,
        _DATE,
        _LOAD,
        _POSTED,
        _SEEN,
        _PATH,
        _KIND,
        _BY,
        _ORIGIN,
        Column("change", _INTEGER, "the id of the change"),
        Column("ref", _TEXT, "the identity of the change"),
        _URL,
    ),
)

COVERAGE: Final = Extract(
    "coverage",
    "what is known of one study, and what is not: which loads showed it, and the weekdays since the first of them on which nobody looked",
    (
        _NCT_ID,
        _TITLE,
        Column("presence", _TEXT, "what the registry says of the study as a whole"),
        Column("versions", _INTEGER, "how many distinct contents are known"),
        Column("version_dates", _TEXTS, "since when each of them holds: ISO days"),
        Column("origins", _TEXTS, "how the versions reached us"),
        Column("first_date", _DAY, "since when the first known version holds"),
        Column("first_load", _DAY, "the first load known to have shown the study"),
        Column("first_seen", _INSTANT, "when we first saw the study"),
        Column("last_load", _DAY, "the last load known to have shown the study"),
        Column("last_seen", _INSTANT, "the last complete poll or import that covered the study"),
        Column("loads", _INTEGER, "how many loads are known to have shown the study"),
        Column("load_dates", _TEXTS, "those loads: ISO days"),
        Column(
            "weekdays_not_observed",
            _INTEGER,
            "how many weekdays since its first load no load showed it, up to the newest that a watch was polled of (its last where "
            "the registry lists it no more); some had no load",
        ),
        Column("not_observed", _TEXTS, "those weekdays: ISO days, or first/last of several in a row"),
        _URL,
    ),
)

EXTRACTS: Final = {extract.what: extract for extract in (CHANGES, VERSIONS, STUDIES, FACTS, COVERAGE)}
"""All kinds of rows, by name."""
