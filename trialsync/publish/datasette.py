"""Metadata for Datasette: what each table of a store is, which column names a row, what to filter by, what to search. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trialsync.publish.extracts import CHANGES, COVERAGE, STUDIES, VERSIONS

if TYPE_CHECKING:
    from trialsync.publish.extracts import Extract

SOURCE: Final = "ClinicalTrials.gov"
_SOURCE_URL: Final = "https://clinicaltrials.gov"

_HIDDEN: Final = (
    "contents", "fact_counts", "holder", "said", "slices", "occasions", "history_pages", "change_words", "study_words",
    "_sqlite_migrations", "sqlite_sequence",
)  # fmt: skip
"""What the store needs and a reader does not: compressed records, locks, bookkeeping, the indexes for words."""


def metadata(database: str) -> dict[str, Any]:
    """Return the metadata for a store that Datasette knows as ``database``, its file's name without the end."""
    return {
        "title": "trialsync",
        "description": "Studies on ClinicalTrials.gov that trialsync follows, every version it saw, and what changed between them. It is "
        "the store itself, with contact persons as the registry published them, which trialsync's own pages leave out.",
        "source": SOURCE,
        "source_url": _SOURCE_URL,
        "databases": {
            database: {
                "description": "Begin with happened: a row a change, newest first. In change_log stand the baseline rows too, with "
                "baseline = 1: they did not happen, but say what stood there when a study was first seen.",
                "source": SOURCE,
                "source_url": _SOURCE_URL,
                "tables": _TABLES | {name: {"hidden": True} for name in _HIDDEN},
                "queries": _QUERIES,
            }
        },
    }


def _columns(extract: Extract, *names: str, **more: str) -> dict[str, str]:
    found = {column.name: column.about for column in extract.columns}
    return {name: found[name] for name in (names or found)} | more


_TABLES: Final[dict[str, dict[str, Any]]] = {
    "happened": {
        "description": "The change log: one difference between two consecutive versions of a study a row. before and after are JSON.",
        "columns": _columns(CHANGES),
        "sort_desc": "id",
        "facets": ["kind", "tier", "by", "origin"],
        "fts_table": "change_words",
        "fts_pk": "id",
        "size": 50,
    },
    "change_log": {
        "description": "The change log and the baseline, whose before and after are in the version. Of a large store happened answers "
        "sooner, and this where a condition names a study.",
        "columns": _columns(CHANGES),
        "facets": ["kind", "tier", "by", "origin", "baseline"],
        "fts_table": "change_words",
        "fts_pk": "id",
        "size": 50,
    },
    "studies": {
        "description": "One row a study, as its latest version has it. phases, conditions and countries are JSON lists.",
        "columns": _columns(
            STUDIES,
            *(name for name in STUDIES.keys if name not in {"version_date", "load", "seen", "last_seen", "url"}),
            missing_since="the load since which a poll has not found the study",
        ),
        "label_column": "title",
        "sort_desc": "posted",
        "facets": ["overall_status", "study_type", "presence", "has_results"],
        "fts_table": "study_words",
        "fts_pk": "id",
    },
    "versions": {
        "description": "One row a version: a distinct content of a study. The contents are compressed; trialsync show prints them.",
        "columns": _columns(VERSIONS),
        "label_column": "date",
        "sort_desc": "id",
        "facets": ["origin"],
    },
    "changes": {
        "description": "What happened is made of: shorter, with the numbers of versions and fields.",
        "sort_desc": "id",
    },
    "baselines": {
        "description": "The baseline rows of change_log, all of a version in one list, whose first has its id: each is the number of a "
        "field, or a text where it is a site, or a list of a field's number, an item and a tier.",
    },
    "change_facts": {
        "description": "What follows from a change by a rule; json has the values.",
        "columns": {"change_id": "the change", "fact": "the fact's name", "rule": "the version of its rule", "json": "its values"},
        "facets": ["fact"],
    },
    "fields": {
        "description": "The vocabulary: every field, its path in the registry's JSON, the key of its items, its tier.",
        "label_column": "name",
        "facets": ["tier", "core", "known"],
        "size": 100,
    },
    "study_countries": {"description": "In which countries a study has a site now.", "facets": ["country"]},
    "watches": {"description": "What is followed: query is the registry's own search.", "label_column": "name"},
    "watch_studies": {
        "description": "Who was in which watch, from which load to which.",
        "columns": {"joined_load": "the load that showed the study in the watch first", "left_load": "the load that did not any more"},
        "facets": ["watch_id"],
    },
    "polls": {
        "description": "Each pass of a watch, and each import: what it covered and how it ended.",
        "sort_desc": "id",
        "facets": ["watch", "ended", "origin"],
    },
    "notices": {"description": "What the registry added to its records, or took from most of them, in a load.", "sort_desc": "id"},
    "histories": {"description": "How far the registry's own history of a study was fetched."},
}

_QUERIES: Final[dict[str, dict[str, Any]]] = {
    "recent": {
        "title": "What changed last",
        "description": "The newest 200 changes, housekeeping left out.",
        "sql": 'SELECT date, nct_id, title, path, kind, before, after, "by" FROM happened '
        "WHERE tier <> 'housekeeping' ORDER BY id DESC LIMIT 200",
    },
    "one_study": {
        "title": "One study's log",
        "sql": 'SELECT date, version, path, kind, before, after, "by", seen FROM happened WHERE nct_id = upper(trim(:nct_id)) ORDER BY id',
    },
    "stopped": {
        "title": "What stopped, and why",
        "sql": "SELECT date, nct_id, title, sponsor, json_extract(after, '$') AS why FROM happened "
        "WHERE field = 'status.whyStopped' AND kind <> 'removed' ORDER BY date DESC LIMIT 500",
    },
    "outcomes": {
        "title": "Whose outcomes were touched",
        "sql": "SELECT date, nct_id, title, path, kind, before, after FROM happened "
        "WHERE field LIKE 'outcomes.%' ORDER BY date DESC LIMIT 500",
    },
    "facts": {
        "title": "What follows from the changes",
        "sql": 'SELECT l.date, x.fact, l.nct_id, l.title, x.json AS "values", l.path FROM change_facts x JOIN happened l ON l.id = '
        "x.change_id WHERE :fact = '' OR x.fact = :fact ORDER BY l.date DESC LIMIT 500",
    },
    "words": {
        "title": "Changes that hold words",
        "description": "Full text of before and after; nothing without words.",
        "sql": "SELECT date, nct_id, title, path, kind, before, after FROM happened WHERE id IN (SELECT rowid FROM change_words "
        # Nothing is no question of full text; an empty phrase is, which nothing holds.
        """WHERE change_words MATCH coalesce(nullif(escape_fts(:words), ''), '""')) ORDER BY id DESC LIMIT 200""",
    },
    "coverage": {
        "title": "What is known of each study",
        "description": f"{COVERAGE.about.split(':', maxsplit=1)[0].capitalize()}: trialsync export --what coverage has the loads too.",
        "sql": "SELECT s.nct_id, s.title, s.presence, count(*) AS versions, min(v.date) AS first_date, min(v.load) AS first_load, "
        "min(v.seen) AS first_seen, max(v.load) AS last_new_load FROM studies s JOIN versions v ON v.nct_id = s.nct_id "
        "GROUP BY s.nct_id ORDER BY s.nct_id LIMIT 1000",
    },
}
