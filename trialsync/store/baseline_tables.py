"""The SQL of the migration that gives baseline rows a table of their own; ``changes`` then holds what happened and nothing else."""

from __future__ import annotations

from typing import Final

from trialsync.store.tables import ITS_COUNTRY
from trialsync.store.view import VIEWS

HAS_COUNTRY: Final = "item LIKE '%|%|%|%' OR attribute = 'country' OR instr(item, char(0))"
"""Which rows of ``changes`` can be about a site: its key has four parts."""

BASELINES: Final = (
    "DROP VIEW change_log",
    # All baseline rows of a version together: a row each takes twice the room, most of it to say that there is nothing to say.
    """
    CREATE TABLE baselines (
        id INTEGER PRIMARY KEY,
        version_id INTEGER NOT NULL REFERENCES versions (id),
        rows TEXT NOT NULL
    ) STRICT
    """,
    # Their ids are from the sequence of the log's, which a store may have before it has a row in ``changes``.
    "INSERT INTO sqlite_sequence (name, seq) SELECT 'changes', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'changes')",
)
"""What comes before the rows are moved."""

CHANGES_ALONE: Final = (
    "CREATE INDEX baselines_by_version ON baselines (version_id)",
    "DROP INDEX changes_by_id",
    "DROP INDEX changes_late",
    "DROP INDEX changes_by_date",
    "DROP INDEX changes_by_field",
    "DROP INDEX changes_by_version",
    "DROP INDEX changes_by_study",
    "DROP INDEX changes_by_origin",
    "DROP INDEX changes_by_country",
    "DELETE FROM changes WHERE baseline = 1",
    "ALTER TABLE changes DROP COLUMN baseline",
    "CREATE INDEX changes_by_date ON changes (date)",
    "CREATE INDEX changes_by_field ON changes (field_id)",
    "CREATE INDEX changes_by_version ON changes (version_id)",
    "CREATE INDEX changes_by_study ON changes (study_id)",
    "CREATE INDEX changes_by_origin ON changes (origin)",
    f"CREATE INDEX changes_by_country ON changes ({ITS_COUNTRY}) WHERE {HAS_COUNTRY}",
    *VIEWS,
)
"""What comes after."""
