"""The views ``change_log`` and ``happened``: rows of the log under the names that a change has in JSON."""

from __future__ import annotations

from typing import Final

from trialsync.store.baselines import FIELD_ID, ID, ITEM, TIER

DATED: Final = "coalesce(c.date, v.date) || CASE WHEN o.change_id IS NULL AND v.ordinal > 1 THEN '.' || v.ordinal ELSE '' END"
"""A version by its date, and which one of that date it is."""

DATED_OR_NUMBERED: Final = f"""CASE
            WHEN o.change_id IS NULL AND v.origin = 'history' THEN 'r' || v.registry_version
            ELSE {DATED}
            END"""
"""The same; a version that is known by the registry's history alone by its number there."""


def _statement(since: str, joins: str, **columns: str) -> str:
    """Return the statement for rows of ``changes c``; ``since`` is the SQL of what a row's ``ref`` says behind the ``@``.

    ``columns`` are the SQL of date, kind, tier and baseline.
    """
    return f"""
    SELECT
        c.id AS id,
        s.nct_id || '@' || {since}
            || '#' || f.name || coalesce('.' || replace(replace(c.item, '%', '%25'), '.', '%2E'), '') || coalesce('.' || c.attribute, '')
            AS ref,
        s.nct_id AS nct_id,
        s.title AS title,
        s.sponsor AS sponsor,
        v.number AS version,
        v.registry_version AS registry_version,
        {columns["date"]} AS date,
        CASE WHEN o.change_id IS NULL THEN v.not_before ELSE o.not_before END AS not_before,
        coalesce(o.load, v.load) AS load,
        CASE WHEN o.change_id IS NULL THEN v.posted ELSE o.posted END AS posted,
        coalesce(o.seen, v.seen) AS seen,
        f.name || coalesce('.' || c.item, '') || coalesce('.' || c.attribute, '') AS path,
        f.name AS field,
        c.item AS item,
        c.attribute AS attribute,
        {columns["kind"]} AS kind,
        {columns["tier"]} AS tier,
        c.before AS before,
        c.after AS after,
        {columns["baseline"]} AS baseline,
        c."by" AS "by",
        coalesce(o.origin, v.origin) AS origin,
        (SELECT coalesce(json_group_array(json(x.json)), '[]') FROM change_facts x WHERE x.change_id = c.id) AS facts,
        'https://clinicaltrials.gov/study/' || s.nct_id AS url
    FROM changes c
    {joins}
    LEFT JOIN occasions o ON o.change_id = c.id
    """  # noqa: S608 - put together from constants of ours


def change_log(since: str) -> str:
    """Return the view ``change_log`` of the first three schemas; ``since`` is the SQL of what its ``ref`` says behind the ``@``.

    Baseline rows stood in ``changes`` with the others then, and left date, kind and tier to their version and field.
    """
    joins = """JOIN versions v ON v.id = c.version_id
    JOIN studies s ON s.nct_id = v.nct_id
    JOIN fields f ON f.id = c.field_id"""
    date, kind, tier = "coalesce(c.date, v.date)", "coalesce(c.kind, 'added')", "coalesce(c.tier, f.tier)"
    return f"\n    CREATE VIEW change_log AS{_statement(since, joins, date=date, kind=kind, tier=tier, baseline='c.baseline')}"


_TO_EACH: Final = """LEFT JOIN versions v ON v.id = c.version_id
    LEFT JOIN studies s ON s.id = c.study_id
    LEFT JOIN fields f ON f.id = c.field_id"""

HAPPENED: Final = _statement(DATED_OR_NUMBERED, _TO_EACH, date="c.date", kind="c.kind", tier="c.tier", baseline="0")
"""The statement for the rows of the log that happened.

Each has a version, a study and a field: SQLite is told to begin with the row, unless a condition names one of these, and to leave out what
is not asked for.
"""

STOOD: Final = f"""
    SELECT
        CAST({ID} AS INTEGER) AS id,
        s.nct_id || '@' || CASE WHEN v.origin = 'history' THEN 'r' || v.registry_version
            ELSE v.date || CASE WHEN v.ordinal > 1 THEN '.' || v.ordinal ELSE '' END
            END
            || '#' || f.name || coalesce('.' || replace(replace({ITEM}, '%', '%25'), '.', '%2E'), '')
            AS ref,
        s.nct_id AS nct_id,
        s.title AS title,
        s.sponsor AS sponsor,
        v.number AS version,
        v.registry_version AS registry_version,
        v.date AS date,
        iif(1, v.not_before, NULL) AS not_before,
        iif(1, v.load, NULL) AS load,
        iif(1, v.posted, NULL) AS posted,
        iif(1, v.seen, NULL) AS seen,
        f.name || coalesce('.' || {ITEM}, '') AS path,
        f.name AS field,
        CAST({ITEM} AS TEXT) AS item,
        CAST(NULL AS TEXT) AS attribute,
        CAST('added' AS TEXT) AS kind,
        CAST(coalesce({TIER}, f.tier) AS TEXT) AS tier,
        CAST(NULL AS TEXT) AS before,
        CAST(NULL AS TEXT) AS after,
        1 AS baseline,
        CAST(NULL AS TEXT) AS "by",
        iif(1, v.origin, NULL) AS origin,
        '[]' AS facts,
        'https://clinicaltrials.gov/study/' || s.nct_id AS url
    FROM baselines b
    JOIN versions v ON v.id = b.version_id
    JOIN studies s ON s.nct_id = v.nct_id
    JOIN json_each(b.rows) j
    JOIN fields f ON f.id = {FIELD_ID}
    """  # noqa: S608 - put together from constants of ours
"""The statement for the baseline rows of the log, of ``baselines b``; a condition may follow.

SQLite takes the two statements of the view apart, and gives each its conditions, only where their columns have the same affinities: hence
casts, and expressions where the other statement has one.
"""

VIEWS: Final = (f"CREATE VIEW happened AS{HAPPENED}", f"CREATE VIEW change_log AS{HAPPENED}UNION ALL{STOOD}")
"""``change_log``, and ``happened``, which is the same without the baseline, and quick whatever is asked of it."""
