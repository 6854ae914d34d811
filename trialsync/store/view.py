"""The view ``change_log``: every row of the log under the names that a change has in JSON."""

from __future__ import annotations

from typing import Final

DATED: Final = "coalesce(c.date, v.date) || CASE WHEN o.change_id IS NULL AND v.ordinal > 1 THEN '.' || v.ordinal ELSE '' END"
"""A version by its date, and which one of that date it is."""

DATED_OR_NUMBERED: Final = f"""CASE
            WHEN o.change_id IS NULL AND v.origin = 'history' THEN 'r' || v.registry_version
            ELSE {DATED}
            END"""
"""The same; a version that is known by the registry's history alone by its number there."""


def change_log(since: str) -> str:
    """Return the view ``change_log``; ``since`` is the SQL of what its ``ref`` says behind the ``@``."""
    return f"""
    CREATE VIEW change_log AS
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
        coalesce(c.date, v.date) AS date,
        CASE WHEN o.change_id IS NULL THEN v.not_before ELSE o.not_before END AS not_before,
        coalesce(o.load, v.load) AS load,
        CASE WHEN o.change_id IS NULL THEN v.posted ELSE o.posted END AS posted,
        coalesce(o.seen, v.seen) AS seen,
        f.name || coalesce('.' || c.item, '') || coalesce('.' || c.attribute, '') AS path,
        f.name AS field,
        c.item AS item,
        c.attribute AS attribute,
        coalesce(c.kind, 'added') AS kind,
        coalesce(c.tier, f.tier) AS tier,
        c.before AS before,
        c.after AS after,
        c.baseline AS baseline,
        c."by" AS "by",
        coalesce(o.origin, v.origin) AS origin,
        (SELECT coalesce(json_group_array(json(x.json)), '[]') FROM change_facts x WHERE x.change_id = c.id) AS facts,
        'https://clinicaltrials.gov/study/' || s.nct_id AS url
    FROM changes c
    JOIN versions v ON v.id = c.version_id
    JOIN studies s ON s.nct_id = v.nct_id
    JOIN fields f ON f.id = c.field_id
    LEFT JOIN occasions o ON o.change_id = c.id
    """  # noqa: S608 - put together from constants of ours
