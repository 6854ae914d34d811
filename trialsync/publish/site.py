"""What a folder of study pages has beside them: an index for people and programs, ``llms.txt``, a sitemap. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from trialsync.model import Presence
from trialsync.publish.confirmed import counted, registry_loads
from trialsync.publish.text import inline_markdown, line_markdown, one_line, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_IN_SITEMAP: Final = 50_000
"""How many addresses one sitemap may hold (sitemaps.org)."""

_LONGEST: Final = 300
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


def page_path(nct_id: str) -> str:
    """Return where a study's page is, below the site's address."""
    return f"trials/{nct_id}.md"


def index_markdown(about: About, studies: Sequence[Listed]) -> str:
    """Return the index as Markdown: a list of the studies that are followed, and one of those that are not any more."""
    parts = [f"# {inline_markdown(about.name)}", _summary(about, studies)]
    if about.note:
        parts.append(line_markdown(inline_markdown(about.note)))
    parts += [f"## {title} ({len(found):,})\n\n" + "\n".join(map(_line, found)) for title, found in _sections(studies)]
    return "\n\n".join(parts) + "\n"


def index_html(about: About, studies: Sequence[Listed]) -> str:
    """Return the index as an HTML page that needs nothing else: no script, no other file but the pages it leads to."""
    name = escape(one_line(about.name))
    note = f"<p>{escape(one_line(about.note))}</p>\n" if about.note else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n<p>{escape(_summary(about, studies))}</p>\n{note}"
        + "".join(_table(title, found) for title, found in _sections(studies))
        + "</main>\n</body>\n</html>\n"
    )


def llms_txt(about: About, studies: Sequence[Listed]) -> str:
    """Return ``llms.txt`` (llmstxt.org): what is here, for a program that reads it first."""
    base = f"{about.base_url.rstrip('/')}/" if about.base_url else ""
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
        f"- [Index]({base}index.md): every study, with its status and the date of its last update",
        f"- [Changed pages]({base}changed.txt): what the last run wrote, a path a line",
    ]
    return "\n".join(lines) + "\n"


def sitemaps(base_url: str, pages: Sequence[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
    """Yield the sitemap's files, name and text: one, or where the pages are too many several and an index of them, which comes last.

    ``pages`` are paths below ``base_url``, each with the instant (UTC) or ISO day at which it was last confirmed, where known.
    """
    base = base_url.rstrip("/")
    chunks = [pages[start : start + MOST_IN_SITEMAP] for start in range(0, len(pages), MOST_IN_SITEMAP)]
    if len(chunks) <= 1:
        yield "sitemap.xml", _sitemap("urlset", "url", base, pages)
        return
    names = [f"sitemap-{number}.xml" for number in range(1, len(chunks) + 1)]
    for name, chunk in zip(names, chunks, strict=True):
        yield name, _sitemap("urlset", "url", base, chunk)
    yield "sitemap.xml", _sitemap("sitemapindex", "sitemap", base, [(name, None) for name in names])


def _sitemap(root: str, part: str, base: str, pages: Iterable[tuple[str, str | None]]) -> str:
    lines = [
        f"<{part}><loc>{escape(f'{base}/{path}')}</loc>{f'<lastmod>{escape(moment)}</lastmod>' if moment else ''}</{part}>\n"
        for path, moment in pages
    ]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_SITEMAPS}">\n{"".join(lines)}</{root}>\n'


def _summary(about: About, studies: Sequence[Listed]) -> str:
    seen = f", as of {registry_loads(about.seen_since or about.load, about.load)}" if about.load else ""
    confirmed = f", {'last asked' if about.seen_since else 'confirmed'} {about.confirmed}" if about.confirmed else ""
    return f"A mirror of {counted(len(studies), 'study', 'studies')} on ClinicalTrials.gov{seen}{confirmed}."


def _sections(studies: Sequence[Listed]) -> Iterator[tuple[str, list[Listed]]]:
    now = [each for each in studies if each.followed]
    before = [each for each in studies if not each.followed]
    yield "Studies", now
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
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Study", "Title", "Status", "Sponsor", "Updated"))
    return (
        f"<h2>{escape(title)} ({len(rows):,})</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table>\n"
    )
