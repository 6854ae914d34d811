"""Templates to HTML: escaped by default, nothing undefined, and the registry's control characters never left as they are."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trialsync import __version__
from trialsync.model import STATUSES
from trialsync.publish.text import one_line, shortened, visible
from trialsync.web.answer import Answer

HTML: Final = "text/html; charset=utf-8"
LONGEST: Final = 8_000
"""The most characters that one value takes on a page, whatever it is."""

_STATUS: Final = re.compile(rf"(\bnow )?\b({'|'.join(sorted(STATUSES, key=len, reverse=True))})\b")
_LONGEST_LINE: Final = 400
_QUOTED: Final = 160


def segment(text: str) -> str:
    """Return a text as one segment of an address: slashes, dots at its ends and whatever else are escaped."""
    return quote(text, safe="")


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 study``, ``2,176 studies``; ``many`` where the plural is not the noun with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def minute(instant: str | None) -> str:
    """Return a UTC instant to the minute, for reading: ``2026-05-15 14:05 UTC``; nothing for none."""
    return f"{instant[:16].replace('T', ' ')} UTC" if instant else ""


def spelled(word: str | None) -> str:
    """Return one of the registry's words for reading: ``NOT_YET_RECRUITING`` as ``Not yet recruiting``."""
    if not word:
        return "—"
    text = in_a_line(word)
    return text.replace("_", " ").capitalize() if text.isupper() else text


def in_words(value: object) -> str:
    """Return a status as the study's page spells it, a dash for none; any other value as it is, on one line."""
    return spelled(value) if value is None or (isinstance(value, str) and value in STATUSES) else in_a_line(str(value))


def statuses_in_words(text: str) -> str:
    """Return a phrase of ours with the registry's statuses spelled out: ``Recruiting → Suspended``, ``4 now recruiting``."""

    def spelled_out(found: re.Match[str]) -> str:
        word = spelled(found[2])
        return f"{found[1]}{word.lower()}" if found[1] else word

    return _STATUS.sub(spelled_out, text)


def in_a_line(text: str | None) -> str:
    """Return a text on one line, cut where it is longer than any title is."""
    return shortened(one_line((text or "")[: 4 * _LONGEST_LINE]), _LONGEST_LINE)


def quoted(text: str | None) -> str:
    """Return the registry's own words on one line, cut to what a list has room for."""
    return shortened(one_line((text or "")[: 4 * _QUOTED]), _QUOTED)


def _shown(value: Any) -> Any:
    """Return what a template puts out for a value: markup of ours as it is, all else as text without control characters."""
    if isinstance(value, Markup):
        return value
    text = "" if value is None else str(value)
    return visible(text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates' environment, made once."""
    found = Environment(
        loader=PackageLoader("trialsync.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"segment": segment, "line": in_a_line, "minute": minute, "spelled": spelled, "quoted": quoted}
    found.globals |= {"counted": counted, "software": __version__}
    return found


def html(template: str, **values: Any) -> str:
    """Return a page: a template of the folder ``templates`` with these values."""
    return environment().get_template(template).render(**values)


def page(template: str, **values: Any) -> Answer:
    """Return a page as an answer."""
    return Answer(html(template, **values).encode(), HTML)
