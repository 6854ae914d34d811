"""The change log as an Atom feed (RFC 4287): an entry is what happened to one study on one date. Pure.

An entry's id is made from the study's number and the date alone, so that it is the same in every feed and on every machine; where more
becomes known of that date later, the entry stays and is updated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from trialsync import __version__
from trialsync.model import Tier
from trialsync.publish.line import line
from trialsync.publish.long_text import html_difference, is_long
from trialsync.publish.text import one_line, shortened
from trialsync.publish.value import before_after, path_in
from trialsync.study import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Json, LoggedChange

MEDIA_TYPE: Final = "application/atom+xml"

MOST_CHANGES: Final = 40
"""How many changes one entry shows; the rest are counted."""

_LONGEST_TEXT: Final = 10_000
_VALUE: Final = 1_000
_IN_TITLE: Final = 80
_NAMESPACE: Final = "http://www.w3.org/2005/Atom"
_NEVER: Final = "1970-01-01T00:00:00.000Z"
_PHRASES: Final = 2


@dataclass(frozen=True, slots=True)
class Occasion:
    """What happened to one study on one date (ISO day): rows of the log, by id; ``more`` were left out of them."""

    nct_id: str
    date: str
    rows: Sequence[LoggedChange]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed: its title, its path below the site's address, the occasions in it, the newest first.

    ``address`` is where it can be had, ``base_url`` where the studies' Markdown pages are, ``web`` where trialsync serves pages, each
    ``None`` where it is not known; ``since`` is the UTC instant up to which an empty feed is known to be empty. ``older`` is the cursor
    behind which there is more, ``next`` where that is.
    """

    title: str
    path: str
    occasions: Sequence[Occasion]
    address: str | None = None
    base_url: str | None = None
    web: str | None = None
    since: str | None = None
    older: int | None = None
    next: str | None = None

    @property
    def updated(self) -> str:
        """Return the instant (UTC) at which the newest of its rows was seen."""
        return max((_updated(each) for each in self.occasions), default=self.since or _NEVER)


def atom(feed: Feed) -> str:
    """Return a feed as an Atom document, well-formed whatever the registry's text holds."""
    link = f'<link rel="self" type="{MEDIA_TYPE}" href="{_text(feed.address)}"/>\n' if feed.address else ""
    # RFC 5005 (3): who was away for longer than the feed is long reads on there.
    link += f'<link rel="next" type="{MEDIA_TYPE}" href="{_text(feed.next)}"/>\n' if feed.next else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="{_NAMESPACE}">\n'
        f"<id>{_id(f'https://clinicaltrials.gov/#trialsync/{feed.path}')}</id>\n<title>{_text(feed.title)}</title>\n"
        f"<updated>{feed.updated}</updated>\n{link}<author><name>trialsync</name></author>\n"
        f'<generator version="{__version__}">trialsync</generator>\n'
        + "".join(_entry(each, feed.base_url, feed.web) for each in feed.occasions)
        + "</feed>\n"
    )


def bounded(row: LoggedChange) -> LoggedChange:
    """Return a row whose texts are short enough to be looked at many times; two long ones begin where they part."""
    before, after = row.before, row.after
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > _LONGEST_TEXT:
        start = max(_equal_until(before, after) - _IN_TITLE, 0)
        before, after = before[start:], after[start:]
        if start:
            before, after = f"… {before}", f"… {after}"
    return replace(row, title=_cut(row.title), sponsor=_cut(row.sponsor), before=_cut(before), after=_cut(after))


def entry_title(occasion: Occasion) -> str:
    """Return an occasion on one line: the study, what says most of what happened, and how much more there is."""
    told = line(occasion.rows)
    title = shortened(one_line(occasion.rows[-1].title or ""), _IN_TITLE)
    said = [f'{phrase.text} ("{phrase.quoted}")' if phrase.quoted else phrase.text for phrase in told.phrases[:_PHRASES]]
    left = len(told.phrases) - len(said) + len(told.left)
    if not said:
        said, left = [", ".join(told.left[:_PHRASES])], len(told.left[_PHRASES:])
    text = shortened(one_line("; ".join(said)), 2 * _IN_TITLE)
    # Where not every row was read, the phrases speak of those that were.
    more = f"; and {occasion.more:,} more changes" if occasion.more else f"; {left:,} more" if left else ""
    return f"{occasion.nct_id} {title}: {text}{more}"


def entry_html(occasion: Occasion) -> str:
    """Return an occasion as HTML, escaped: a list of its changes, long text word by word."""
    shown = sorted(occasion.rows, key=_weight)[:MOST_CHANGES]
    more = len(occasion.rows) - len(shown) + occasion.more
    first = occasion.rows[0]
    title = shortened(one_line(first.title or occasion.nct_id), _VALUE)
    sponsor = f" · {escape(shortened(one_line(first.sponsor), _VALUE))}" if first.sponsor else ""
    return (
        f"<p><strong>{escape(title)}</strong>{sponsor}</p><ul>"
        + "".join(f"<li>{_change(row)}</li>" for row in shown)
        + f"</ul>{f'<p>and {more:,} more</p>' if more else ''}"
    )


def _entry(occasion: Occasion, base_url: str | None, web: str | None) -> str:
    first = occasion.rows[0]
    links = [f'<link rel="{"related" if web else "alternate"}" type="text/html" href="{_text(first.url)}"/>\n']
    if web:
        page = f"{web.rstrip('/')}/studies/{quote(occasion.nct_id)}#d{quote(occasion.date)}"
        links.insert(0, f'<link rel="alternate" type="text/html" href="{_text(page)}"/>\n')
    if base_url:
        page = f"{base_url.rstrip('/')}/trials/{quote(occasion.nct_id)}.md"
        links.append(f'<link rel="related" type="text/markdown" href="{_text(page)}"/>\n')
    terms = sorted({fact["id"] for row in occasion.rows for fact in row.facts})
    return (
        f"<entry>\n<id>{_id(f'https://clinicaltrials.gov/study/{occasion.nct_id}#{occasion.date}')}</id>\n"
        f"<title>{_text(entry_title(occasion))}</title>\n"
        f"<published>{min(row.seen for row in occasion.rows)}</published>\n<updated>{_updated(occasion)}</updated>\n{''.join(links)}"
        + "".join(f'<category term="{_text(term)}"/>\n' for term in terms)
        + f'<content type="html">{escape(entry_html(occasion))}</content>\n</entry>\n'
    )


def _change(row: LoggedChange) -> str:
    facts = "".join(f" <em>{escape(one_line(str(fact['id'])))}</em>" for fact in row.facts)
    path = f"<code>{escape(path_in(row.path, _VALUE))}</code>"
    if row.field.startswith(fields.WATCH_PREFIX):
        return f"{path}: {'joined' if row.kind == 'added' else 'left'} the watch{facts}"
    if is_long(row.before, row.after):
        return f"{path} {row.kind.value}:{facts}<br>{html_difference(row.before, row.after).replace(chr(10), '<br>')}"
    return f"{path} {row.kind.value}: {escape(before_after(row.kind, row.before, row.after, _VALUE))}{facts}"


def _weight(row: LoggedChange) -> tuple[bool, int, int, int]:
    """Return what sorts the rows of an occasion: what says most first."""
    return row.baseline, list(Tier).index(row.tier), fields.order(row.field), row.id


def _updated(occasion: Occasion) -> str:
    return max(row.seen for row in occasion.rows)


def _equal_until(before: str, after: str) -> int:
    """Return at which character two texts part, by halves, since they may be megabytes."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if before[low:middle] == after[low:middle] else (low, middle - 1)
    return low


def _cut(value: Json) -> Json:
    return f"{value[:_LONGEST_TEXT]}…" if isinstance(value, str) and len(value) > _LONGEST_TEXT else value


def _id(name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"


def _text(text: str) -> str:
    """Return text of ours or the registry's as XML has it: on one line, without what XML does not allow."""
    return escape(one_line(text))
