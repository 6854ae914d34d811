"""What the registry's answers say: bytes of the wire to values, every shape checked. No I/O.

The registry's text is not trusted: sentences of its own are cleaned and bounded before anyone prints them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeGuard

import orjson

from trialsync.errors import BadNctId
from trialsync.model import is_day
from trialsync.model import nct_id as normal_nct_id
from trialsync.study import record

if TYPE_CHECKING:
    from trialsync.model import Json, Study

DATA_CHANGED = "The data have probably changed while you were paginating. Please, start over from the first page."
"""The body of the 400 that a page token of an earlier load gets, word for word."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_TAG = re.compile(r"<(?:style|script|head)\b.*?</(?:style|script|head)\s*>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_HEAD = re.compile(rb'\s*\{\s*(?:"(?:totalCount|nextPageToken)"\s*:\s*(?:\d+|"[^"\\]*"|null)\s*,\s*)*"studies"\s*:\s*\[')
_NUMBER = re.compile(rb'"nctId"\s*:\s*"(NCT\d{8})"')
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z?", re.ASCII)
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_TOKEN_CHARACTERS = 2_000
_TAG_CHARACTERS = 200


class UnreadableAnswer(ValueError):
    """A 200 that is not what the specification promises; ``str()`` says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One study as the service sent it: the parsed record, and its own bytes (its line, else a dump of the record)."""

    study: Study
    raw: bytes


@dataclass(frozen=True, slots=True)
class RegistryVersion:
    """What ``/version`` says.

    ``data_timestamp`` is the label of the load, UTC without a zone suffix (``2026-10-02T09:00:04``), or ``None`` where the answer has none
    that can be read; ``stamp`` is then the text it had, cleaned. ``etag`` is for the next conditional request.
    """

    api_version: str
    data_timestamp: str | None
    etag: str | None
    stamp: str | None = None

    @property
    def load(self) -> str | None:
        """Return the load's date, an ISO day; ``None`` without a timestamp that can be read."""
        return self.data_timestamp[:10] if self.data_timestamp else None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of ``/studies``: its studies, the count of the whole query (first page only), the way to the next page.

    ``bad`` holds one sentence for each element of the list that is no study; the good ones are in ``studies``.
    """

    studies: tuple[Fetched, ...]
    total: int | None
    next_token: str | None
    bad: tuple[str, ...] = ()


def sentence(text: str, limit: int = 300) -> str:
    """Return text of the outside as one printable line of at most ``limit`` characters.

    Escape sequences, control and direction characters and mark-up are taken out, white space is collapsed.
    """
    plain = _TAG.sub(" ", _ANSI.sub(" ", text[: 20 * limit]))
    shown = "".join(" " if unicodedata.category(character) in _UNPRINTABLE else character for character in plain)
    line = " ".join(shown.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, a number or an HTTP date (RFC 9110); ``None`` if it says neither."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text, re.ASCII):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((aware - now) / timedelta(seconds=1), 0.0)


def read_version(body: bytes, etag: str | None) -> RegistryVersion:
    """Return what a body of ``/version`` says; raise UnreadableAnswer if it says nothing.

    Only ``apiVersion`` is required by the specification; a ``dataTimestamp`` of another form is survived.
    """
    said = _parsed(body)
    if not isinstance(said, dict) or not isinstance(said.get("apiVersion", ""), str) or not ({"apiVersion", "dataTimestamp"} & said.keys()):
        raise UnreadableAnswer("JSON that does not name a version")
    stamp = said.get("dataTimestamp")
    tag = etag if etag and len(etag) <= _TAG_CHARACTERS and etag.isascii() and etag.isprintable() else None
    return RegistryVersion(
        api_version=sentence(said.get("apiVersion", ""), 40),
        data_timestamp=stamp if _is_stamp(stamp) else None,
        etag=tag,
        stamp=None if stamp is None else sentence(str(stamp), 64),
    )


def read_size(body: bytes) -> int:
    """Return the number of studies in the registry from a body of ``/stats/size``; raise UnreadableAnswer if it has none."""
    said = _parsed(body)
    total = said.get("totalStudies") if isinstance(said, dict) else None
    if not _is_count(total):
        raise UnreadableAnswer("JSON without a number of studies")
    return total


def read_study(body: bytes, asked: str) -> Fetched:
    """Return the study of a body of ``/studies/{nctId}``; raise UnreadableAnswer if it is not the one asked for.

    The registry answers an alias with the study that it became: accepted only where that study names ``asked`` among its ``nctIdAliases``.
    """
    study = _parsed(body)
    if not isinstance(study, dict):
        raise UnreadableAnswer("JSON that is not a study")
    number = number_of(study)
    if number is None:
        raise UnreadableAnswer("a record without an NCT number")
    if asked != number and asked not in aliases_of(study):
        raise UnreadableAnswer(f"the record of {number}, which does not name {asked} as its alias")
    return Fetched(study, body.strip())


def read_page(body: bytes) -> Page:
    """Return a page from a body of ``/studies``; raise UnreadableAnswer if it is not one.

    The specification places every study in a line of its own. Each line is parsed by itself, so that a study and its bytes certainly belong
    together, and a line that cannot be read costs one study and not a thousand. Any other layout of the same JSON is read as a whole.
    """
    return _page_by_lines(body) or _page_as_a_whole(body)


def number_of(study: Json) -> str | None:
    """Return a record's NCT number in its one spelling, or ``None`` where it has none that can be used."""
    said = record.at(study, "protocolSection", "identificationModule", "nctId")
    return _normal(said) if isinstance(said, str) else None


def aliases_of(study: Study) -> tuple[str, ...]:
    """Return the NCT numbers that were merged into this study, in their one spelling."""
    return tuple(number for alias in record.aliases(study) if (number := _normal(alias)))


def _normal(text: str) -> str | None:
    try:
        return normal_nct_id(text)
    except BadNctId:
        return None


def _parsed(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableAnswer(_not_json(body)) from error


def _not_json(body: bytes) -> str:
    if not body.strip():
        return "an empty body"
    start = body.lstrip()[:1]
    if start in b"{[":
        return f"JSON that is cut off or damaged ({len(body):,} bytes)"
    return f"no JSON but {sentence(body[:2_000].decode('utf-8', 'replace'), 80)!r}"


def _is_count(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_stamp(value: Json) -> bool:
    if not isinstance(value, str) or not _STAMP.fullmatch(value) or not is_day(value[:10]):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _page_by_lines(body: bytes) -> Page | None:
    head = _HEAD.match(body)
    if head is None:
        return None
    lines = body[head.end() :].split(b"\n")
    good: list[Fetched] = []
    bad: list[str] = []
    may_follow, must_follow = True, False
    for index, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        if text.startswith(b"]"):
            return None if must_follow else _closed(body[: head.end()] + b"\n".join(lines[index:]), good, bad)
        if not may_follow:
            return None
        may_follow = must_follow = text.endswith(b",")
        if not _take(text.removesuffix(b",").rstrip(), good, bad):
            return None
    return None


def _take(line: bytes, good: list[Fetched], bad: list[str]) -> bool:
    """Sort one line to the good or the bad, and return whether it is just one element of the list."""
    try:
        element = orjson.loads(line)
    except orjson.JSONDecodeError:
        if not _is_one_element(line):
            return False
        number = _NUMBER.search(line)
        name = number[1].decode() if number else "a record without a readable NCT number"
        bad.append(f"{name}: its line of the answer is not valid JSON text")
        return True
    if isinstance(element, dict):
        good.append(Fetched(element, line))
    else:
        bad.append(_no_object(element))
    return True


def _is_one_element(line: bytes) -> bool:
    """Return whether a line that strict JSON refuses (half a surrogate pair, bytes that are no UTF-8) still has the frame of one value."""
    try:
        json.loads(line.decode("utf-8", "replace"))
    except RecursionError:
        return line.startswith(b"{") and line.endswith(b"}")
    except ValueError:
        return False
    return True


def _closed(envelope: bytes, good: list[Fetched], bad: list[str]) -> Page | None:
    """Return the page if what is around the lines is a page with an empty list: then the lines are the whole of the list."""
    try:
        said = orjson.loads(envelope)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or said.get("studies") != []:
        return None
    return _page(said, good, bad)


def _page_as_a_whole(body: bytes) -> Page:
    said = _parsed(body)
    studies = said.get("studies") if isinstance(said, dict) else None
    if not isinstance(studies, list):
        raise UnreadableAnswer("JSON without a list of studies")
    good = [Fetched(element, orjson.dumps(element)) for element in studies if isinstance(element, dict)]
    return _page(said, good, [_no_object(element) for element in studies if not isinstance(element, dict)])


def _page(said: dict[str, Json], good: list[Fetched], bad: list[str]) -> Page:
    total, token = said.get("totalCount"), said.get("nextPageToken")
    if total is not None and not _is_count(total):
        raise UnreadableAnswer("a page whose totalCount is not a number")
    if token is not None and not (isinstance(token, str) and 0 < len(token) <= _TOKEN_CHARACTERS):
        raise UnreadableAnswer("a page whose nextPageToken is not a text")
    return Page(tuple(good), total, token, tuple(bad))


def _no_object(element: Json) -> str:
    return f"an element of the list of studies is not an object but {sentence(json.dumps(element), 40)}"
