"""A study's first version, made ready to be recorded: all of it that needs no store, so that any process can do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trialsync.store import codec
from trialsync.store.rows import headline_columns
from trialsync.study import record
from trialsync.study.diff import baseline_parts
from trialsync.study.fingerprint import fingerprint

if TYPE_CHECKING:
    from trialsync.model import Study
    from trialsync.study.diff import BaselineFields


@dataclass(frozen=True, slots=True)
class First:
    """A study's number, posted date, fingerprint, stored content, headline columns and baseline rows.

    ``content`` is as the store keeps it. A row is a field, an item and a tier.
    """

    nct_id: str
    posted: str | None
    fingerprint: str
    content: bytes
    headlines: dict[str, Any]
    countries: tuple[str, ...]
    rows: tuple[tuple[str, str | None, str], ...]


def first(study: Study, fields: BaselineFields, text: bytes = b"") -> First:
    """Return a study made ready, with the baseline rows of these fields; ``text`` is what ``codec.text`` gives, where that is at hand.

    Raises RecordError for a record that is no valid JSON, or too deep to follow.
    """
    return First(
        record.check(study),
        record.posted(study),
        fingerprint(study),
        codec.pack(text or codec.text(study)),
        headline_columns(study),
        tuple(record.countries(study)),
        tuple((part.name, item, part.tier.value) for part, item, _ in baseline_parts(study, fields)),
    )
