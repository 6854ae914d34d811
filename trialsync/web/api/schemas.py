"""The JSON Schemas of what the API answers, by the names that the OpenAPI document gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import By, Ended, Kind, Origin, Presence, Tier

if TYPE_CHECKING:
    from enum import StrEnum

    from trialsync.model import Json

    Schema = dict[str, Json]

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: Final = {"type": ["integer", "null"]}
_FLAG: Final = {"type": "boolean"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_NCT_ID: Final = {"type": "string", "pattern": "^NCT[0-9]{8}$"}
_DAY: Final = {"type": "string", "format": "date"}
_DAY_OR_NULL: Final = {"type": ["string", "null"], "format": "date"}
_INSTANT: Final = {"type": "string", "format": "date-time"}
_INSTANT_OR_NULL: Final = {"type": ["string", "null"], "format": "date-time"}
_ADDRESS: Final = {"type": "string", "format": "uri"}
_ANYTHING: Final[dict[str, Json]] = {}


def _words(noun: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [each.value for each in noun]}


def _words_or_null(noun: type[StrEnum]) -> Schema:
    return {"type": ["string", "null"], "enum": [*(each.value for each in noun), None]}


def _told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _object(properties: dict[str, Schema]) -> Schema:
    """Return the schema of an object that has all of these properties, and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def of(name: str) -> Schema:
    """Return the reference to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(name: str, row: str, **beside: Schema) -> Schema:
    """Return the schema of an answer that lists rows under a name, with what stands beside them."""
    return _object({name: {"type": "array", "items": of(row)}, **beside})


NEXT: Final = _told({"type": ["string", "null"], "format": "uri-reference"}, "Where one reads on; null where the rows end here.")
CURSOR: Final = _told(_COUNT_OR_NULL, "The greatest id among the rows, otherwise after: asked as after it gives what came since.")

SCHEMAS: Final[dict[str, Schema]] = {
    "Change": _object(
        {
            "id": _told({"type": "integer", "minimum": 1}, "A reading position, in recording order, never reused."),
            "ref": _told(_TEXT, "The change's identity, the same on every machine that saw the same versions."),
            "nct_id": _NCT_ID,
            "title": _TEXT_OR_NULL,
            "sponsor": _told(_TEXT_OR_NULL, "The lead sponsor's name, as it is now."),
            "version": {"type": "integer", "minimum": 1},
            "registry_version": _told(_COUNT_OR_NULL, "The registry's own history number, where it is known."),
            "date": _told(_DAY, "When it began to hold."),
            "not_before": _told(_DAY_OR_NULL, "The last load, or date of the history, that still showed what was before."),
            "load": _told(_DAY, "The registry's refresh that first showed it."),
            "posted": _told(_DAY_OR_NULL, "The registry's date of the version."),
            "seen": _told(_INSTANT, "When we saw it."),
            "path": _told(_TEXT, "field, item and attribute joined by dots, for reading."),
            "field": _TEXT,
            "item": _told(_TEXT_OR_NULL, "The key of a list's member."),
            "attribute": _told(_TEXT_OR_NULL, "A part inside an item or a structured field."),
            "kind": _words(Kind),
            "tier": _words(Tier),
            "before": _told(_ANYTHING, "The registry's value; null means absent, or left out: see the path."),
            "after": _told(_ANYTHING, "The registry's value; null means absent, or left out: see the path."),
            "baseline": _told(_FLAG, "Whether it only says what stood there when the study was first seen."),
            "by": _told(_words_or_null(By), "Who made the change; null in a baseline."),
            "origin": _words(Origin),
            "facts": {"type": "array", "items": of("Fact")},
            "url": _ADDRESS,
        }
    ),
    "Fact": _told(
        {
            "type": "object",
            "properties": {"id": _TEXT, "rule": {"type": "integer", "minimum": 1}},
            "required": ["id", "rule"],
        },
        "A statement derived from the change, with the values that its rule names.",
    ),
    "NetChange": _object(
        {
            "nct_id": _NCT_ID,
            "title": _TEXT_OR_NULL,
            "sponsor": _TEXT_OR_NULL,
            "from": _DAY,
            "to": _DAY,
            "from_version": _told(_COUNT_OR_NULL, "The version that held at the end of from; null where the study was not there yet."),
            "to_version": {"type": "integer", "minimum": 1},
            "path": _TEXT,
            "field": _TEXT,
            "item": _TEXT_OR_NULL,
            "attribute": _TEXT_OR_NULL,
            "kind": _told(_words_or_null(Kind), "null where it changed and changed back."),
            "tier": _words(Tier),
            "before": _ANYTHING,
            "after": _ANYTHING,
            "by": _told(_words_or_null(By), "null where several made it."),
            "steps": _told(_COUNT, "How many rows of the change log led there."),
            "first": _DAY_OR_NULL,
            "last": _DAY_OR_NULL,
            "facts": {"type": "array", "items": of("Fact")},
            "url": _ADDRESS,
        }
    ),
    "Notice": _object(
        {
            "id": {"type": "integer", "minimum": 1},
            "load": _DAY,
            "field": _TEXT,
            "kind": _words(Kind),
            "studies": _told(_COUNT, "How many studies have such a row."),
            "followed": _told(_COUNT, "How many studies were followed then."),
            "seen": _INSTANT,
            "text": _told(_TEXT, "It in a sentence."),
        }
    ),
    "StudyRow": _object(
        {
            "nct_id": _NCT_ID,
            "title": _TEXT_OR_NULL,
            "overall_status": _TEXT_OR_NULL,
            "phases": _TEXTS,
            "study_type": _TEXT_OR_NULL,
            "sponsor": _TEXT_OR_NULL,
            "conditions": _TEXTS,
            "countries": _TEXTS,
            "enrollment": _COUNT_OR_NULL,
            "start_date": _told(_TEXT_OR_NULL, "A day, or a month or a year alone."),
            "primary_completion_date": _TEXT_OR_NULL,
            "completion_date": _TEXT_OR_NULL,
            "has_results": _FLAG,
            "first_posted": _TEXT_OR_NULL,
            "posted": _TEXT_OR_NULL,
            "presence": _words(Presence),
            "merged_into": _TEXT_OR_NULL,
            "version": _told({"type": "integer", "minimum": 1}, "The number of the latest version."),
            "url": _ADDRESS,
        }
    ),
    "Version": _object(
        {
            "nct_id": _NCT_ID,
            "number": {"type": "integer", "minimum": 1},
            "registry_version": _COUNT_OR_NULL,
            "date": _DAY,
            "not_before": _DAY_OR_NULL,
            "load": _DAY,
            "posted": _DAY_OR_NULL,
            "seen": _INSTANT,
            "origin": _words(Origin),
            "fingerprint": _told(_TEXT, "The digest of the content, noise left out."),
        }
    ),
    "Study": _object(
        {
            "nct_id": _NCT_ID,
            "version": of("Version"),
            "latest": _told(_FLAG, "Whether it is the latest version known."),
            "last_seen": _told(_INSTANT, "When this version was last confirmed."),
            "presence": _words(Presence),
            "merged_into": _TEXT_OR_NULL,
            "study": _told({"type": "object"}, "The registry's own JSON; contact persons are left out unless the settings show them."),
        }
    ),
    "Watch": _object(
        {
            "name": _TEXT,
            "query": {"type": "object", "additionalProperties": _TEXTS},
            "nct_ids": {"type": "array", "items": _NCT_ID},
            "everything": _FLAG,
            "studies": _told(_COUNT_OR_NULL, "How many it follows now."),
            "load": _told(_DAY_OR_NULL, "The load of its last complete poll."),
            "seen_since": _told(_DAY_OR_NULL, "Each of its studies was last seen in this load or a later one."),
            "sweep_due": _told(_DAY_OR_NULL, "By when that is a later load, where one load does not show all of it."),
            "finished": _told(_INSTANT_OR_NULL, "When its last complete poll ended."),
            "ended": _told(_words_or_null(Ended), "How its last poll ended."),
        }
    ),
    "Poll": _object(
        {
            "id": {"type": "integer", "minimum": 1},
            "watch": _TEXT_OR_NULL,
            "origin": _words(Origin),
            "load": _DAY_OR_NULL,
            "data_timestamp": _TEXT_OR_NULL,
            "started": _INSTANT,
            "finished": _INSTANT_OR_NULL,
            "ended": _words_or_null(Ended),
            **dict.fromkeys(("studies", "new", "updated", "unchanged", "skipped", "changes", "requests"), _COUNT),
            "message": _TEXT_OR_NULL,
            "whole": _FLAG,
            "etag": _TEXT_OR_NULL,
            "never": _COUNT,
        }
    ),
    "Field": _object(
        {
            "name": _TEXT,
            "path": _told(_TEXT_OR_NULL, "Where it is in the registry's JSON; null for what is said of a study as a whole."),
            "key": _told({"type": ["array", "null"], "items": _TEXT}, "What tells its items apart; null where it has none."),
            "tier": _words(Tier),
            "by": _told(_words_or_null(By), "Who alone can change it; null where the posted date decides."),
            "core": _FLAG,
        }
    ),
    "FactRule": _object(
        {
            "id": _TEXT,
            "rule": {"type": "integer", "minimum": 1},
            "definition": _TEXT,
            "source": _TEXT,
            "rows": _told(_COUNT_OR_NULL, "How many rows of the log carry it; null where it is only asked as of a day."),
        }
    ),
    "Problem": {
        "type": "object",
        "description": "RFC 9457 problem details.",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": _TEXT,
            "hint": _told(_TEXT, "What to do next."),
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": False,
    },
}
"""The schemas, by name. An answer of ours has no key beside those that are named."""
