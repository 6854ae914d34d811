"""The SQL of the store's tables, as each migration makes them: what is released is never edited.

What a study said is in ``contents``, compressed; everything else is plain SQL. Baseline rows are kept small: they have no values (those
are in the version), no tier and kind where the field's and ``added`` are meant. Up to the third schema, which is here, they are rows of
``changes`` in no secondary index; ``baseline_tables`` has what came then. The view ``change_log`` puts everything together under the names
that a change has in JSON. Rows about a study as a whole (``registry.presence``, ``watch.<name>``) hang on the version that was current, and
have their own dates in ``occasions``.

Columns named ``seal`` hold a second copy, or a digest, of what nothing else in the store repeats: SQLite checks the shape of its file, not
its values.
"""

from __future__ import annotations

from typing import Final

from trialsync.store.view import DATED, DATED_OR_NUMBERED, change_log

FIRST_STORE: Final = (
    """
    CREATE TABLE studies (
        id INTEGER PRIMARY KEY,
        nct_id TEXT NOT NULL UNIQUE,
        title TEXT,
        overall_status TEXT,
        phases TEXT NOT NULL,
        study_type TEXT,
        sponsor TEXT,
        conditions TEXT NOT NULL,
        countries TEXT NOT NULL,
        enrollment INTEGER,
        start_date TEXT,
        primary_completion_date TEXT,
        completion_date TEXT,
        has_results INTEGER NOT NULL,
        first_posted TEXT,
        posted TEXT,
        presence TEXT NOT NULL DEFAULT 'listed',
        merged_into TEXT,
        missing_since TEXT,
        version INTEGER NOT NULL,
        bytes_digest BLOB,
        seal TEXT GENERATED ALWAYS AS (presence || coalesce(merged_into, '') || coalesce(missing_since, '')) STORED
    ) STRICT
    """,
    "CREATE TABLE study_countries (country TEXT NOT NULL, nct_id TEXT NOT NULL, PRIMARY KEY (country, nct_id)) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY,
        nct_id TEXT NOT NULL REFERENCES studies (nct_id),
        number INTEGER NOT NULL,
        registry_version INTEGER,
        date TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        not_before TEXT,
        load TEXT NOT NULL,
        posted TEXT,
        seen TEXT NOT NULL,
        origin TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        first_change INTEGER,
        last_change INTEGER,
        seal INTEGER NOT NULL,
        UNIQUE (nct_id, number)
    ) STRICT
    """,
    "CREATE TABLE contents (version_id INTEGER PRIMARY KEY REFERENCES versions (id), content BLOB NOT NULL) STRICT",
    """
    CREATE TABLE fields (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        path TEXT,
        item_key TEXT,
        tier TEXT NOT NULL,
        "by" TEXT,
        core INTEGER NOT NULL,
        known INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        version_id INTEGER NOT NULL REFERENCES versions (id),
        field_id INTEGER NOT NULL REFERENCES fields (id),
        item TEXT,
        attribute TEXT,
        baseline INTEGER NOT NULL,
        date TEXT,
        kind TEXT,
        tier TEXT,
        "by" TEXT,
        before TEXT,
        after TEXT
    ) STRICT
    """,
    "CREATE INDEX changes_by_id ON changes (id) WHERE baseline = 0",
    "CREATE INDEX changes_by_date ON changes (date) WHERE baseline = 0",
    "CREATE INDEX changes_by_field ON changes (field_id) WHERE baseline = 0",
    "CREATE INDEX changes_by_version ON changes (version_id) WHERE baseline = 0",
    """
    CREATE TABLE occasions (
        change_id INTEGER PRIMARY KEY REFERENCES changes (id),
        not_before TEXT,
        load TEXT NOT NULL,
        posted TEXT,
        seen TEXT NOT NULL,
        origin TEXT NOT NULL,
        seal INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE change_facts (
        change_id INTEGER NOT NULL REFERENCES changes (id),
        fact TEXT NOT NULL,
        rule INTEGER NOT NULL,
        json TEXT NOT NULL,
        PRIMARY KEY (change_id, fact)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX change_facts_by_fact ON change_facts (fact)",
    """
    CREATE TABLE watches (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        "query" TEXT NOT NULL,
        since TEXT NOT NULL,
        seal TEXT GENERATED ALWAYS AS (name || "query" || since) STORED
    ) STRICT
    """,
    """
    CREATE TABLE watch_studies (
        watch_id INTEGER NOT NULL REFERENCES watches (id),
        nct_id TEXT NOT NULL REFERENCES studies (nct_id) DEFERRABLE INITIALLY DEFERRED,
        joined_load TEXT NOT NULL,
        left_load TEXT,
        seal INTEGER GENERATED ALWAYS AS (
            watch_id * 1000000007 + CAST(substr(nct_id, 4) AS INTEGER) * 10007 + CAST(replace(joined_load, '-', '') AS INTEGER) * 101
            + CAST(replace(coalesce(left_load, ''), '-', '') AS INTEGER)
        ) STORED,
        PRIMARY KEY (watch_id, nct_id, joined_load)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE polls (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        watch TEXT,
        origin TEXT NOT NULL,
        load TEXT,
        data_timestamp TEXT,
        "query" TEXT,
        started TEXT NOT NULL,
        finished TEXT,
        ended TEXT,
        studies INTEGER NOT NULL DEFAULT 0,
        new INTEGER NOT NULL DEFAULT 0,
        updated INTEGER NOT NULL DEFAULT 0,
        unchanged INTEGER NOT NULL DEFAULT 0,
        skipped INTEGER NOT NULL DEFAULT 0,
        changes INTEGER NOT NULL DEFAULT 0,
        requests INTEGER NOT NULL DEFAULT 0,
        message TEXT,
        whole INTEGER NOT NULL DEFAULT 1,
        etag TEXT,
        never INTEGER NOT NULL DEFAULT 0,
        covered BLOB,
        unshown BLOB,
        seal INTEGER
    ) STRICT
    """,
    "CREATE INDEX polls_by_watch ON polls (watch, ended)",
    "CREATE INDEX polls_by_load ON polls (load) WHERE covered IS NOT NULL",
    """
    CREATE TABLE slices (
        watch_id INTEGER NOT NULL REFERENCES watches (id),
        place INTEGER NOT NULL,
        first TEXT,
        last TEXT,
        undated INTEGER NOT NULL,
        swept TEXT,
        seal TEXT GENERATED ALWAYS AS (coalesce(first, '') || ' ' || coalesce(last, '') || ' ' || coalesce(swept, '') || undated) STORED,
        PRIMARY KEY (watch_id, place)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE said (
        what TEXT PRIMARY KEY,
        since TEXT NOT NULL,
        seal TEXT GENERATED ALWAYS AS (what || since) STORED
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE holder (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        command TEXT NOT NULL,
        since TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE VIRTUAL TABLE study_words USING fts5 (
        title, conditions, sponsor, content = 'studies', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER studies_are_searchable AFTER INSERT ON studies BEGIN
        INSERT INTO study_words (rowid, title, conditions, sponsor) VALUES (new.id, new.title, new.conditions, new.sponsor);
    END
    """,
    """
    CREATE TRIGGER studies_stay_searchable AFTER UPDATE OF title, conditions, sponsor ON studies
    WHEN old.title IS NOT new.title OR old.conditions IS NOT new.conditions OR old.sponsor IS NOT new.sponsor BEGIN
        INSERT INTO study_words (study_words, rowid, title, conditions, sponsor)
            VALUES ('delete', old.id, old.title, old.conditions, old.sponsor);
        INSERT INTO study_words (rowid, title, conditions, sponsor) VALUES (new.id, new.title, new.conditions, new.sponsor);
    END
    """,
    "CREATE VIRTUAL TABLE change_words USING fts5 (value, content = '', tokenize = 'unicode61 remove_diacritics 2')",
    change_log(DATED),
)

ITS_COUNTRY: Final = (
    "CASE WHEN attribute = 'country' OR instr(item, char(0)) THEN '' ELSE substr("
    "substr(item, length(rtrim(item, replace(item, '|', ''))) + 1), 1, "
    "instr(substr(item, length(rtrim(item, replace(item, '|', ''))) + 1) || ' #', ' #') - 1) END"
)
"""The country that a site's key ends in, of ``changes``; empty where a row has to be looked at, since its values may name another."""

HAS_COUNTRY: Final = "baseline = 0 AND (item LIKE '%|%|%|%' OR attribute = 'country' OR instr(item, char(0)))"
"""Which rows of ``changes`` can be about a site: its key has four parts."""

MOST_COMMON_STATUS: Final = "COMPLETED"
"""The overall status of more than half of all studies, which are met soon enough without an index."""

HISTORY_AND_NOTICES: Final = (
    # What stands was compared by the first rule.
    "ALTER TABLE versions ADD COLUMN rule INTEGER NOT NULL DEFAULT 1",
    # Baseline rows are found by the ids that their version was given; those that came later have a date, by which they are told.
    "CREATE INDEX changes_late ON changes (version_id) WHERE baseline = 1 AND date IS NOT NULL",
    # What a row of the log hangs on is found without its version: the study, and the origin where that is not a poll.
    "ALTER TABLE changes ADD COLUMN study_id INTEGER",
    "ALTER TABLE changes ADD COLUMN origin TEXT",
    """
    UPDATE changes SET
        study_id = (SELECT s.id FROM versions v JOIN studies s ON s.nct_id = v.nct_id WHERE v.id = changes.version_id),
        origin = nullif(coalesce(
            (SELECT o.origin FROM occasions o WHERE o.change_id = changes.id),
            (SELECT v.origin FROM versions v WHERE v.id = changes.version_id)
        ), 'poll')
    WHERE baseline = 0
    """,
    "CREATE INDEX changes_by_study ON changes (study_id) WHERE baseline = 0",
    "CREATE INDEX changes_by_origin ON changes (origin) WHERE baseline = 0",
    # When a row was seen its version says, and it is later than the first; rows about a study as a whole say it themselves.
    "CREATE INDEX versions_by_seen ON versions (seen) WHERE number > 1",
    "CREATE INDEX occasions_by_seen ON occasions (seen)",
    # The first rule's rows are those that are not here.
    "CREATE INDEX change_facts_by_rule ON change_facts (fact, rule) WHERE rule <> 1",
    f"CREATE INDEX changes_by_country ON changes ({ITS_COUNTRY}) WHERE {HAS_COUNTRY}",
    """
    CREATE TABLE notices (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        load TEXT NOT NULL,
        field TEXT NOT NULL,
        kind TEXT NOT NULL,
        studies INTEGER NOT NULL,
        followed INTEGER NOT NULL,
        seen TEXT NOT NULL,
        text TEXT NOT NULL,
        seal TEXT GENERATED ALWAYS AS (
            load || ' ' || field || ' ' || kind || ' ' || studies || ' ' || followed || ' ' || seen || ' ' || text
        ) STORED,
        UNIQUE (load, field, kind)
    ) STRICT
    """,
    # How far back the registry's history of a study is recorded; a study need not be in the store while its history is being fetched.
    """
    CREATE TABLE histories (
        nct_id TEXT PRIMARY KEY,
        listed INTEGER NOT NULL,
        oldest INTEGER,
        newest INTEGER,
        complete INTEGER NOT NULL DEFAULT 0,
        fetched TEXT NOT NULL,
        phrases BLOB,
        seal TEXT GENERATED ALWAYS AS (
            nct_id || ' ' || listed || ' ' || coalesce(oldest, '') || ' ' || coalesce(newest, '') || ' ' || complete || ' ' || fetched
        ) STORED
    ) STRICT, WITHOUT ROWID
    """,
    # What was fetched of a history that is not recorded yet, so that nothing is asked for twice after an interruption.
    """
    CREATE TABLE history_pages (
        nct_id TEXT NOT NULL,
        registry_version INTEGER NOT NULL,
        content BLOB NOT NULL,
        PRIMARY KEY (nct_id, registry_version)
    ) STRICT, WITHOUT ROWID
    """,
    "DROP VIEW change_log",
    change_log(DATED_OR_NUMBERED),
)

COUNTS_AND_PLACES: Final = (
    # The latest content of a study stays in the row in which its first was written, and the one before moves to a row of its own, as a
    # difference: rows that keep their size leave no pages half empty. A version without a number here has the row that has its own.
    "ALTER TABLE contents RENAME COLUMN version_id TO id",
    "ALTER TABLE versions ADD COLUMN content_id INTEGER",
    # What is only ever added behind what stands leaves no pages half empty where its rows have numbers of their own. A row's facts are
    # written in the order of their names.
    "DROP VIEW change_log",
    "ALTER TABLE change_facts RENAME TO first_facts",
    """
    CREATE TABLE change_facts (
        change_id INTEGER NOT NULL REFERENCES changes (id),
        fact TEXT NOT NULL,
        rule INTEGER NOT NULL,
        json TEXT NOT NULL
    ) STRICT
    """,
    "INSERT INTO change_facts SELECT change_id, fact, rule, json FROM first_facts ORDER BY change_id, fact",
    "DROP TABLE first_facts",
    "CREATE INDEX change_facts_by_change ON change_facts (change_id)",
    "CREATE INDEX change_facts_by_fact ON change_facts (fact, change_id)",
    # How many rows carry a fact, by each rule of it: too many to be counted whenever somebody asks which facts there are.
    """
    CREATE TABLE fact_counts (
        fact TEXT NOT NULL,
        rule INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        PRIMARY KEY (fact, rule)
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO fact_counts SELECT fact, rule, count(*) FROM change_facts GROUP BY fact, rule",
    """
    CREATE TRIGGER facts_are_counted AFTER INSERT ON change_facts BEGIN
        INSERT INTO fact_counts (fact, rule, rows) VALUES (new.fact, new.rule, 1) ON CONFLICT (fact, rule) DO UPDATE SET rows = rows + 1;
    END
    """,
    """
    CREATE TRIGGER facts_stay_counted AFTER DELETE ON change_facts BEGIN
        UPDATE fact_counts SET rows = rows - 1 WHERE fact = old.fact AND rule = old.rule;
    END
    """,
    """
    CREATE TRIGGER facts_are_counted_anew AFTER UPDATE OF fact, rule ON change_facts BEGIN
        UPDATE fact_counts SET rows = rows - 1 WHERE fact = old.fact AND rule = old.rule;
        INSERT INTO fact_counts (fact, rule, rows) VALUES (new.fact, new.rule, 1) ON CONFLICT (fact, rule) DO UPDATE SET rows = rows + 1;
    END
    """,
    # In the order of the studies' numbers, as they are listed.
    f"CREATE INDEX studies_by_status ON studies (overall_status, nct_id) WHERE overall_status <> '{MOST_COMMON_STATUS}'",
    "CREATE INDEX studies_by_presence ON studies (presence, nct_id) WHERE presence <> 'listed'",
    # How many studies are in a watch, and how many were: a watch of everything has more than can be counted for each page that says so.
    "ALTER TABLE watches ADD COLUMN members INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE watches ADD COLUMN former INTEGER NOT NULL DEFAULT 0",
    """
    UPDATE watches SET
        members = (SELECT count(*) FROM watch_studies m WHERE m.watch_id = watches.id AND m.left_load IS NULL),
        former = (SELECT count(DISTINCT m.nct_id) - count(*) FILTER (WHERE m.left_load IS NULL) FROM watch_studies m
            WHERE m.watch_id = watches.id)
    """,
    """
    CREATE TRIGGER watches_count_who_joins AFTER INSERT ON watch_studies BEGIN
        UPDATE watches SET members = members + 1, former = former - EXISTS (
            SELECT 1 FROM watch_studies m WHERE m.watch_id = new.watch_id AND m.nct_id = new.nct_id AND m.joined_load <> new.joined_load
        ) WHERE id = new.watch_id;
    END
    """,
    """
    CREATE TRIGGER watches_count_who_leaves AFTER UPDATE OF left_load ON watch_studies
    WHEN (old.left_load IS NULL) <> (new.left_load IS NULL) BEGIN
        UPDATE watches SET members = members + iif(new.left_load IS NULL, 1, -1), former = former + iif(new.left_load IS NULL, -1, 1)
        WHERE id = new.watch_id;
    END
    """,
    # How many words a study has nobody asks. The words of the log, of which each row has each once, are put in by the migration itself;
    # what counts them stays, since a table without content can't be read from end to end otherwise, as Datasette does.
    "DROP TABLE study_words",
    """
    CREATE VIRTUAL TABLE study_words USING fts5 (
        title, conditions, sponsor, content = 'studies', content_rowid = 'id', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
    )
    """,
    "INSERT INTO study_words (study_words) VALUES ('rebuild')",
    "DROP TABLE change_words",
    "CREATE VIRTUAL TABLE change_words USING fts5 (value, content = '', tokenize = 'unicode61 remove_diacritics 2')",
    change_log(DATED_OR_NUMBERED),
)
