"""What a folder of study pages has beside them: an index for people and programs, ``llms.txt``, a sitemap. Pure.

An index of very many studies is divided by the first digits of their numbers, so that every part can be opened, whoever has a number knows
its part, and a new study changes one of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Final

from trialsync.model import Presence
from trialsync.publish.confirmed import counted, registry_loads
from trialsync.publish.text import inline_markdown, line_markdown, one_line, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

MOST_IN_SITEMAP: Final = 50_000
"""How many addresses one sitemap may hold (sitemaps.org)."""

MOST_IN_INDEX: Final = 10_000
"""How many studies one index may list; of more it is divided."""

MOST_IN_PART: Final = 20_000
"""How many studies a part of an index may list where it has a hundred thousand numbers; where one had more all have ten thousand."""

_WIDE: Final = len("NCT072")
_NARROW: Final = _WIDE + 1
_EXAMPLE: Final = "NCT07263919"
_LONGEST: Final = 300
_STUDIES: Final = "Studies"
_DIVIDED: Final = "Each part lists the studies whose numbers begin alike."
_SITEMAPS: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;"
    "border-bottom:1px solid #8886}td:first-child,td:last-child{white-space:nowrap}"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A study in the index. ``followed`` is whether it is in what the site shows now, or was; ``posted`` an ISO day."""

    nct_id: str
    title: str | None
    status: str | None
    sponsor: str | None
    posted: str | None
    presence: Presence
    merged_into: str | None
    followed: bool


@dataclass(frozen=True, slots=True)
class About:
    """What the site says of itself: what it shows, the last load (ISO day), the instant at which that was confirmed, the settings.

    ``seen_since`` is the load which, or a later one, showed each study, where the last one did not show them all.
    """

    name: str
    load: str | None
    confirmed: str | None
    base_url: str | None
    note: str | None
    seen_since: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a divided index: what the numbers in it begin with, the first and the last of them, how many are followed, how many not."""

    name: str
    first: str
    last: str
    followed: int
    others: int


def part_length(nct_ids: Collection[str]) -> int | None:
    """Return how many characters of a number name its part of the index, ``None`` where the index of these studies is not divided."""
    if len(nct_ids) <= MOST_IN_INDEX:
        return None
    largest = max(Counter(each[:_WIDE] for each in nct_ids).values())
    return _WIDE if largest <= MOST_IN_PART else _NARROW


def part_paths(name: str) -> tuple[str, str]:
    """Return where a part of a divided index is, below the site's address: as Markdown, and as HTML."""
    return f"index-{name}.md", f"index-{name}.html"


def part_of(name: str, studies: Sequence[Listed]) -> Part:
    """Return what the whole index says of a part; there has to be a study in it."""
    followed = sum(each.followed for each in studies)
    return Part(name, studies[0].nct_id, studies[-1].nct_id, followed, len(studies) - followed)


def page_path(nct_id: str) -> str:
    """Return where a study's page is, below the site's address."""
    return f"trials/{nct_id}.md"


def index_markdown(about: About, studies: Sequence[Listed]) -> str:
    """Return the index as Markdown: a list of the studies that are followed, and one of those that are not any more."""
    return _markdown(about.name, _summary(about, len(studies)), about.note, _sections_markdown(studies))


def index_html(about: About, studies: Sequence[Listed]) -> str:
    """Return the index as an HTML page that needs nothing else: no script, no other file but the pages it leads to."""
    return _html(about.name, escape(_summary(about, len(studies))), about.note, _sections_html(studies))


def part_markdown(about: About, name: str, studies: Sequence[Listed]) -> str:
    """Return a part of a divided index as Markdown."""
    return _markdown(f"{about.name}: {name}", f"Part of the [index](index.md): {_span(name)}.", None, _sections_markdown(studies))


def part_html(about: About, name: str, studies: Sequence[Listed]) -> str:
    """Return a part of a divided index as an HTML page."""
    said = f'Part of the <a href="index.html">index</a>: {escape(_span(name))}.'
    return _html(f"{about.name}: {name}", said, None, _sections_html(studies))


def parts_markdown(about: About, parts: Sequence[Part]) -> str:
    """Return a divided index as Markdown: a list of its parts."""
    lines = [f"- [{part.name}]({part_paths(part.name)[0]}) {part.first} to {part.last} — {_holds(part)}" for part in parts]
    listed = f"## {_STUDIES} ({_all(parts):,})\n\n" + "\n".join(lines)
    return _markdown(about.name, f"{_summary(about, _all(parts))} {_DIVIDED}", about.note, [listed])


def parts_html(about: About, parts: Sequence[Part]) -> str:
    """Return a divided index as an HTML page."""
    rows = [
        f'<tr><td><a href="{escape(part_paths(part.name)[1])}">{escape(part.name)}</a></td>'
        f"<td>{escape(part.first)}</td><td>{escape(part.last)}</td><td>{escape(_holds(part))}</td></tr>\n"
        for part in parts
    ]
    listed = _table_of(f"{_STUDIES} ({_all(parts):,})", ("Part", "First", "Last", "Studies"), rows)
    return _html(about.name, escape(f"{_summary(about, _all(parts))} {_DIVIDED}"), about.note, [listed])


def llms_txt(about: About, studies: int, length: int | None) -> str:
    """Return ``llms.txt`` (llmstxt.org): what is here, of so many studies, for a program that reads it first.

    ``length`` is how many characters of a number name its part of the index, where that is divided.
    """
    base = f"{about.base_url.rstrip('/')}/" if about.base_url else ""
    every = "every study, with its status and the date of its last update"
    parts = f"the parts that list {every}; {_EXAMPLE} is in `{base}{part_paths(_EXAMPLE[:length])[0]}`"
    lines = [
        f"# {inline_markdown(about.name)}",
        "",
        f"> {_summary(about, studies)}",
        "",
        "Each study has a Markdown page with front matter, key facts, and the changes of its last 30 days.",
        f"It is at `{base}trials/NCT_ID.md`, where NCT_ID is the study's number: `NCT` and eight digits.",
        "The registry's own record is authoritative.",
        *(("", line_markdown(inline_markdown(about.note))) if about.note else ()),
        "",
        "## Pages",
        "",
        f"- [Index]({base}index.md): {parts if length else every}",
        f"- [Changed pages]({base}changed.txt): what the last run wrote, a path a line",
    ]
    return "\n".join(lines) + "\n"


def sitemap_names(pages: int) -> list[str]:
    """Return the names of the sitemap's files for so many pages."""
    chunks = -(-pages // MOST_IN_SITEMAP)
    return ["sitemap.xml"] if chunks <= 1 else [*(f"sitemap-{number}.xml" for number in range(1, chunks + 1)), "sitemap.xml"]


def sitemaps(base_url: str, pages: Iterable[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
    """Yield the sitemap's files, name and text: one, or where the pages are too many several and an index of them, which comes last.

    ``pages`` are paths below ``base_url``, each with the instant (UTC) or ISO day at which it was last confirmed, where known. They are
    read as they are needed, so that no more than one file's are in memory.
    """
    base = base_url.rstrip("/")
    rest = iter(pages)
    chunk = list(islice(rest, MOST_IN_SITEMAP))
    names: list[str] = []
    while following := list(islice(rest, 1)):
        names.append(f"sitemap-{len(names) + 1}.xml")
        yield names[-1], _sitemap("urlset", "url", base, chunk)
        chunk = [*following, *islice(rest, MOST_IN_SITEMAP - 1)]
    if not names:
        yield "sitemap.xml", _sitemap("urlset", "url", base, chunk)
        return
    names.append(f"sitemap-{len(names) + 1}.xml")
    yield names[-1], _sitemap("urlset", "url", base, chunk)
    yield "sitemap.xml", _sitemap("sitemapindex", "sitemap", base, [(name, None) for name in names])


def _sitemap(root: str, part: str, base: str, pages: Iterable[tuple[str, str | None]]) -> str:
    lines = [
        f"<{part}><loc>{escape(f'{base}/{path}')}</loc>{f'<lastmod>{escape(moment)}</lastmod>' if moment else ''}</{part}>\n"
        for path, moment in pages
    ]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_SITEMAPS}">\n{"".join(lines)}</{root}>\n'


def _markdown(title: str, said: str, note: str | None, sections: Iterable[str]) -> str:
    parts = [f"# {inline_markdown(title)}", said, *((line_markdown(inline_markdown(note)),) if note else ()), *sections]
    return "\n\n".join(parts) + "\n"


def _html(title: str, said: str, note: str | None, sections: Iterable[str]) -> str:
    """Return an HTML page; what is ``said`` is HTML already."""
    name = escape(one_line(title))
    noted = f"<p>{escape(one_line(note))}</p>\n" if note else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n<p>{said}</p>\n{noted}"
        + "".join(sections)
        + "</main>\n</body>\n</html>\n"
    )


def _summary(about: About, studies: int) -> str:
    seen = f", as of {registry_loads(about.seen_since or about.load, about.load)}" if about.load else ""
    confirmed = f", {'last asked' if about.seen_since else 'confirmed'} {about.confirmed}" if about.confirmed else ""
    return f"A mirror of {counted(studies, 'study', 'studies')} on ClinicalTrials.gov{seen}{confirmed}."


def _span(name: str) -> str:
    rest = len(_EXAMPLE) - len(name)
    return f"studies {name}{'0' * rest} to {name}{'9' * rest}"


def _holds(part: Part) -> str:
    held = counted(part.followed + part.others, "study", "studies")
    return f"{held}, {part.others:,} of them no longer followed" if part.others else held


def _all(parts: Iterable[Part]) -> int:
    return sum(part.followed + part.others for part in parts)


def _sections_markdown(studies: Sequence[Listed]) -> Iterator[str]:
    return (f"## {title} ({len(found):,})\n\n" + "\n".join(map(_line, found)) for title, found in _sections(studies))


def _sections_html(studies: Sequence[Listed]) -> Iterator[str]:
    return (_table(title, found) for title, found in _sections(studies))


def _sections(studies: Sequence[Listed]) -> Iterator[tuple[str, list[Listed]]]:
    now = [each for each in studies if each.followed]
    before = [each for each in studies if not each.followed]
    yield _STUDIES, now
    if before:
        yield "No longer followed", before


def _state(study: Listed) -> str:
    """Return a study's status, or what the registry says of it as a whole where it does not list it any more."""
    if study.presence is Presence.LISTED:
        return shortened(one_line(study.status or ""), _LONGEST)
    return f"{study.presence.value}{f' into {study.merged_into}' if study.merged_into else ''}"


def _line(study: Listed) -> str:
    said = [part for part in (_state(study), f"updated {one_line(study.posted)}" if study.posted else "") if part]
    title = inline_markdown(shortened(one_line(study.title or ""), _LONGEST)).replace("[", "\\[").replace("]", "\\]")
    return f"- [{study.nct_id}]({page_path(study.nct_id)}) {title}" + (f" — {inline_markdown(', '.join(said))}" if said else "")


def _table(title: str, studies: Iterable[Listed]) -> str:
    rows = [
        f'<tr><td><a href="{escape(page_path(study.nct_id))}">{escape(study.nct_id)}</a></td>'
        + "".join(
            f"<td>{escape(shortened(one_line(text or ''), _LONGEST))}</td>"
            for text in (study.title, _state(study), study.sponsor, study.posted)
        )
        + "</tr>\n"
        for study in studies
    ]
    return _table_of(f"{title} ({len(rows):,})", ("Study", "Title", "Status", "Sponsor", "Updated"), rows)


def _table_of(title: str, names: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<h2>{escape(title)}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table>\n"
