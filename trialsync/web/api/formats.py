"""Rows in the form that was asked for, JSON, CSV or JSON lines, by the address's suffix or by what the client accepts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from trialsync.publish.render import Format, json_text, render
from trialsync.web.answer import JSON, Answer
from trialsync.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.model import Json
    from trialsync.publish.render import Sheet
    from trialsync.publish.table import Row


class Form(Enum):
    """A form of an answer: its suffix is the value."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """Return the media type that the form is answered with."""
        return {Form.JSON: JSON, Form.JSONL: "application/jsonl", Form.CSV: "text/csv; charset=utf-8; header=present"}[self]


LARGEST_BODY: Final = 8_000_000
"""An answer ends with the row that takes it past so many bytes, however many were asked for; its link leads on."""

_ACCEPTED: Final = {
    "application/json": Form.JSON,
    "application/jsonl": Form.JSONL,
    "application/x-ndjson": Form.JSONL,
    "application/x-jsonlines": Form.JSONL,
    "text/csv": Form.CSV,
    "application/*": Form.JSON,
    "text/*": Form.CSV,
    "*/*": Form.JSON,
}


def accepted(accept: str | None, forms: tuple[Form, ...]) -> Form:
    """Return the form that an ``Accept`` header likes best of those there are; JSON where it does not care.

    Raises Problem (406) where it takes none of them.
    """
    if accept is None or not accept.strip():
        return Form.JSON
    ranked = []
    for place, part in enumerate(accept.split(",")):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        form = _ACCEPTED.get(name)
        weight = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        if form in forms and weight > 0:
            # Of what is liked as much, the one that is named most closely; then the first.
            ranked.append((-weight, name.count("*"), place, form))
    if not ranked:
        offered = ", ".join(form.media_type.partition(";")[0] for form in forms)
        raise Problem(
            406, "not-acceptable", "No form of the answer is accepted", "the Accept header takes none", hint=f"there are {offered}"
        )
    return min(ranked, key=lambda each: each[:3])[3]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def address(path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return an address of this server, without its name, so that it holds behind any proxy that keeps the path."""
    query = urlencode(list(pairs))
    return quote(path, safe="/.") + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class Filled:
    """Rows of an answer as text, one piece a row, with the first and the last of them, and whether there were more."""

    pieces: list[str]
    first: Row | None
    last: Row | None
    more: bool


def filled(rows: Iterable[Row], sheet: Sheet, form: Form, limit: int | None = None) -> Filled:
    """Return as many rows as are wanted and as LARGEST_BODY takes, in a form; the one that reaches the bound is the last."""
    pulled: list[Row] = []

    def pulling() -> Iterator[Row]:
        for row in rows:
            pulled[:] = [*pulled[:1], row]
            yield row

    texts = (json_text(row) for row in pulling()) if form is Form.JSON else render(pulling(), sheet, Format(form.value))
    pieces = [next(texts)] if form is Form.CSV else []
    room = LARGEST_BODY
    first: Row | None = None
    last: Row | None = None
    for count, piece in enumerate(texts):
        if count == limit or room <= 0:
            return Filled(pieces, first, last, more=True)
        pieces.append(piece)
        room -= len(piece)
        first, last = pulled[0], pulled[-1]
    return Filled(pieces, first, last, more=False)


def answer(form: Form, name: str, found: Filled, *, beside: dict[str, Json] | None = None, following: str | None = None) -> Answer:
    """Return rows as an answer: in JSON as the list ``name`` with what stands beside it, in the others by themselves.

    ``following`` is the address where one reads on: a Link header, and in JSON ``next`` too, where ``beside`` does not say otherwise.
    """
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    if form is Form.JSON:
        rest = "".join(f",{json_text(key)}:{json_text(value)}" for key, value in (beside or {}).items())
        return Answer(f"{{{json_text(name)}:[{','.join(found.pieces)}]{rest}}}".encode(), form.media_type, headers)
    if form is Form.CSV:
        headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return Answer("".join(found.pieces).encode(), form.media_type, headers)
