"""The nouns as rows, and what a table of each shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields as parts_of
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trialsync.model import LoggedChange, Poll, Version
from trialsync.publish.long_text import in_a_line, is_long
from trialsync.publish.render import Sheet
from trialsync.publish.table import Column, key
from trialsync.publish.text import shortened
from trialsync.publish.value import before_after, path_in
from trialsync.study import fields, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trialsync.model import Json, Study, Watch
    from trialsync.publish.table import Row
    from trialsync.study.facts import Rule
    from trialsync.study.fields import Field

_KINDS: Final = MappingProxyType({"added": "32", "removed": "31", "changed": "33"})
_ENDS: Final = MappingProxyType({"partial": "33", "failed": "31"})


def _names(noun: type[LoggedChange | Poll | Version]) -> tuple[str, ...]:
    return tuple(part.name for part in parts_of(noun))


def _plain(value: Json) -> Json:
    return value.value if isinstance(value, Enum) else value


def _row(noun: LoggedChange | Poll | Version) -> dict[str, Json]:
    return {name: _plain(getattr(noun, name)) for name in _names(type(noun))}


def change_json(change: LoggedChange) -> dict[str, Json]:
    """Return a logged change as the JSON object that programs read: all keys, in the order of ``LoggedChange``, nulls kept."""
    return _row(change)


def version_json(version: Version) -> dict[str, Json]:
    """Return a version as a JSON object, in the order of ``Version``."""
    return _row(version)


def poll_json(poll: Poll) -> dict[str, Json]:
    """Return a poll as a JSON object, in the order of ``Poll``."""
    return _row(poll)


def watch_json(watch: Watch, **known: Json) -> dict[str, Json]:
    """Return a watch as a JSON object: its name, query, numbers, whether it is everything, then what is known of it.

    ``known`` may hold ``studies`` (how many it follows now), ``load`` and ``finished`` (of its last complete poll), ``ended`` (of its last
    poll), ``seen_since`` (every study was seen in this load or a later one) and ``sweep_due`` (the day by which that is a later one).
    """
    return {
        "name": watch.name,
        "query": {name: list(values) for name, values in watch.query.items()},
        "nct_ids": list(watch.nct_ids),
        "everything": watch.everything,
        **known,
    }


def field_json(field: Field) -> dict[str, Json]:
    """Return a field of the vocabulary as a JSON object: name, path, key (``null`` without items), tier, by, core."""
    return {
        "name": field.name,
        "path": field.path or None,
        "key": list(field.items.key) if field.items is not None else None,
        "tier": field.tier.value,
        "by": _plain(field.by),
        "core": field.core,
    }


def fact_json(rule: Rule, rows: int | None) -> dict[str, Json]:
    """Return a fact's rule as a JSON object: id, rule, definition, source, rows (how many carry it, ``null`` where that is not known)."""
    return {"id": rule.id, "rule": rule.rule, "definition": rule.definition, "source": rule.source, "rows": rows}


def overdue_json(nct_id: str, title: str | None, fact: Mapping[str, Json]) -> dict[str, Json]:
    """Return what is overdue of a study as a JSON object: its number and title, then the fact's values."""
    return {"nct_id": nct_id, "title": title, **fact}


def study_rows(study: Study) -> Iterator[dict[str, Json]]:
    """Yield a study field by field, in the vocabulary's order, as rows of ``field`` and ``value``."""
    for field, value in sorted(leaves.split(study), key=lambda part: fields.order(part[0].name)):
        yield {"field": field.name, "value": value}


def _what_changed(row: Row, room: int | None) -> str:
    if row["field"].startswith(fields.WATCH_PREFIX):
        return "joined the watch" if row["kind"] == "added" else "left the watch"
    if row["kind"] == "changed" and is_long(row["before"], row["after"]):
        return in_a_line(row["before"], row["after"], room)
    return before_after(row["kind"], row["before"], row["after"], room)


def _path(name: str) -> Column:
    return Column(name, lambda row, room: path_in(row[name], room), least=16, most=60)


def _facts(row: Row, room: int | None) -> str:
    counts = Counter(str(fact["id"]) for fact in row["facts"])
    names = ", ".join(f"{name} ×{count:,}" if count > 1 else name for name, count in counts.items())  # noqa: RUF001 - times
    return names if room is None else shortened(names, room)


def _follows(row: Row, room: int | None) -> str:
    if row["everything"]:
        return "the whole registry"
    if row["nct_ids"]:
        return path_in(f"{len(row['nct_ids']):,} {'study' if len(row['nct_ids']) == 1 else 'studies'}: {', '.join(row['nct_ids'])}", room)
    if not row["query"]:
        return "not in the settings any more; what it saw stays"
    return path_in(", ".join(f"{name}={'|'.join(values)}" for name, values in row["query"].items()), room)


def _swept(row: Row, room: int | None) -> str:
    """Return since which load each study was seen, and by when that is a later one; nothing where one load showed all."""
    del room
    if not row.get("seen_since") or row["seen_since"] == row["load"]:
        return ""
    return f"{row['seen_since']}, again by {row['sweep_due']}" if row.get("sweep_due") else str(row["seen_since"])


def _moment(name: str) -> Column:
    """Return a column of an instant, to the second."""

    def text(row: Row, room: int | None) -> str:
        del room
        return (row.get(name) or "")[:19].replace("T", " ")

    return Column(name, text, optional=True)


def _count(name: str, *, optional: bool = False) -> Column:
    return Column(name, lambda row, _: "" if row.get(name) is None else f"{row[name]:,}", right=True, optional=optional)


def _age(row: Row, room: int | None) -> str:
    """Return how long ago the last success was, in its two largest units."""
    del room
    if row["age"] is None:
        return "never"
    minutes, hours, days = int(row["age"] // 60), int(row["age"] // 3600), int(row["age"] // 86400)
    if days:
        return f"{days} d {hours % 24} h ago"
    return f"{hours} h {minutes % 60} min ago" if hours else f"{minutes} min ago"


def _writer(row: Row, room: int | None) -> str:
    del room
    holder = row["holder"]
    return (
        f"{holder['command']} (pid {holder['pid']} on {holder['host']}), since {holder['since'][:16].replace('T', ' ')}Z" if holder else ""
    )


_WHAT_AND_HOW: Final = (
    _path("path"),
    Column("kind", key("kind"), tints=_KINDS),
    Column("change", _what_changed, least=20, most=100),
    Column("facts", _facts, least=10, optional=True),
)

CHANGES: Final = Sheet(_names(LoggedChange), (Column("date", key("date")), Column("study", key("nct_id")), *_WHAT_AND_HOW))
"""Changes of several studies."""

STUDY_CHANGES: Final = Sheet(
    CHANGES.keys,
    (Column("date", key("date")), *_WHAT_AND_HOW, Column("by", key("by"), optional=True)),
)
"""Changes of one version of a study."""

DAY_CHANGES: Final = Sheet(CHANGES.keys, STUDY_CHANGES.columns[1:])
"""Changes of one version of a study that all have its date."""

VERSIONS: Final = Sheet(
    _names(Version),
    (
        Column("version", key("number"), right=True),
        Column("date", key("date")),
        Column("posted", key("posted"), optional=True),
        Column("load", key("load")),
        _moment("seen"),
        Column("origin", key("origin")),
        Column("history", key("registry_version"), right=True, optional=True),
    ),
)
"""Versions of one study."""

WATCHES: Final = Sheet(
    ("name", "query", "nct_ids", "everything", "studies", "load", "seen_since", "sweep_due", "finished", "ended"),
    (
        Column("watch", key("name"), least=12),
        Column("follows", _follows, least=16),
        _count("studies", optional=True),
        Column("load", key("load"), optional=True),
        Column("all seen since", _swept, optional=True),
        _moment("finished"),
        Column("ended", key("ended"), optional=True, tints=_ENDS),
    ),
)
"""Watches, with what is known of each."""

POLLS: Final = Sheet(
    _names(Poll),
    (
        Column("poll", key("id"), right=True),
        Column("watch", lambda row, room: key("watch")(row, room) or str(row["origin"]), least=10, most=30),
        Column("load", key("load"), optional=True),
        _moment("started"),
        Column("ended", key("ended"), tints=_ENDS),
        *(_count(name) for name in ("studies", "new", "updated", "unchanged", "skipped", "changes", "requests")),
        Column("message", key("message"), least=16, optional=True),
    ),
)
"""Polls and imports."""

FIELDS: Final = Sheet(
    ("name", "path", "key", "tier", "by", "core"),
    (
        Column("field", lambda row, room: path_in(row["name"], room), least=20),
        Column("path", lambda row, room: path_in(row["path"] or "", room), least=20, most=100),
        Column("key", lambda row, _: " | ".join(row["key"] or ()), least=10, optional=True),
        Column("tier", key("tier")),
        Column("by", key("by"), optional=True),
        Column("core", lambda row, _: "core" if row["core"] else ""),
    ),
)
"""The vocabulary."""

FACTS: Final = Sheet(
    ("id", "rule", "definition", "source", "rows"),
    (
        Column("fact", key("id")),
        Column("rule", key("rule"), right=True),
        _count("rows", optional=True),
        Column("definition", key("definition"), least=24, most=100, whole=True),
        Column("source", key("source"), least=16, most=100, whole=True),
    ),
)
"""The rules by which facts are derived."""

OVERDUE: Final = Sheet(
    ("nct_id", "title", "id", "rule", "what", "date", "type", "months", "status", "study_type", "delay_requested", "results_submitted"),
    (
        Column("study", key("nct_id")),
        Column("overdue", key("what")),
        Column("date", key("date")),
        Column("months", key("months"), right=True),
        Column("status", key("status")),
        Column("title", key("title"), least=16, most=80),
    ),
)
"""What is overdue."""

STUDY: Final = Sheet(
    ("field", "value"),
    (Column("field", lambda row, room: path_in(row["field"], room), least=20), Column("value", key("value"), least=20, most=100)),
)
"""One study, field by field."""

WATCH_HEALTH: Final = Sheet(
    ("name", "members", "load", "seen_since", "last_success", "age", "next_due", "overdue_from", "overdue", "failures", "ended", "message"),
    (
        Column("watch", key("name"), least=12),
        _count("members"),
        Column("load", key("load"), optional=True),
        Column("all seen since", _swept, optional=True),
        Column("last success", _age),
        Column(
            "health",
            lambda row, _: "overdue" if row["overdue"] else "failing" if row["failures"] else "ok",
            tints=MappingProxyType({"overdue": "31", "failing": "33", "ok": "32"}),
        ),
        Column("failures", lambda row, _: f"{row['failures']:,}" if row["failures"] else "", right=True, optional=True),
        Column("ended", key("ended"), optional=True, tints=_ENDS),
        Column("message", key("message"), least=16, optional=True),
    ),
)
"""The health of watches."""

STORE_HEALTH: Final = Sheet(
    ("store", "bytes", "schema", "studies", "versions", "load", "registry_stale", "holder"),
    (
        Column("store", lambda row, room: path_in(row["store"], room), least=16),
        _count("bytes"),
        Column("schema", key("schema"), right=True),
        _count("studies"),
        _count("versions"),
        Column("load", lambda row, _: f"{row['load']}{' (stale)' if row['registry_stale'] else ''}" if row["load"] else "", optional=True),
        Column("writing now", _writer, least=16, optional=True),
    ),
)
"""The health of a store."""
