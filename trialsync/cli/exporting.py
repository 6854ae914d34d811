"""``trialsync export``: rows of the store in a file, for a spreadsheet, a notebook, a paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import click
import orjson

from trialsync.cli.app import App, interruptible, now, put_text, say
from trialsync.cli.filters import Asked, filtered
from trialsync.cli.progress import progress
from trialsync.errors import UsageError
from trialsync.model import nct_id
from trialsync.publish.confirmed import counted
from trialsync.publish.datasette import metadata
from trialsync.publish.extracts import CHANGES, EXTRACTS
from trialsync.publish.feed import atom
from trialsync.store.when import day
from trialsync.sync import extract
from trialsync.sync.export import FileFormat, export, replacing
from trialsync.sync.extract import Extraction
from trialsync.sync.feeds import gathered
from trialsync.sync.site import CHANGED, write_site

if TYPE_CHECKING:
    from trialsync.model import Json

PAGE: Final = "page"
ATOM: Final = "atom"

_FILES: Final = tuple(each.value for each in FileFormat)
_FORMATS: Final = (*_FILES, PAGE, ATOM)


@click.command(name="export")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--datasette", "for_datasette", is_flag=True, help="Datasette's metadata for the store, to PATH or standard output.")
@click.option("--what", type=click.Choice(list(EXTRACTS)), help="The rows: the change log where nothing is said.")
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Without it what PATH ends in; page makes a folder.")
@click.option("--as-of", metavar="DATE", help="Studies as they were on a day, or a time ago (30d), and who was in a watch then.")
@click.option("--contacts", is_flag=True, help="Contact persons too, whom changes and facts otherwise leave out.")
@click.option("--fresh", is_flag=True, help="Of a folder of pages: write those too on which nothing but last_seen_at moved.")
@filtered
@click.pass_obj
def export_(
    app: App,
    path: Path | None,
    *,
    for_datasette: bool,
    asked: Asked,
    what: str | None,
    form: str | None,
    as_of: str | None,
    contacts: bool,
    fresh: bool,
) -> None:
    """Write the change log, or what else the store knows, into a file at PATH, the oldest first; or a folder of pages.

    \b
      changes    one row a change: all filters below choose (the baseline is left out unless --baseline)
      facts      one row a fact that follows from a change; the same filters
      versions   one row a version of a study
      studies    one row a study, as it is or was: --as-of
      coverage   one row a study: which loads showed it, since when, and which weekdays nobody looked

    \b
      trialsync export changes.csv --since 2026-01-01
      trialsync export changes.parquet --watch parkinson --field 'outcomes.*'
      trialsync export studies.csv --what studies --as-of 2026-05-01
      trialsync export coverage.jsonl --what coverage --watch parkinson

    CSV is UTF-8; text that a spreadsheet would take for a formula begins with '. Parquet has typed columns and needs pyarrow (pip install
    '.[parquet]' in a clone, 'trialsync[parquet]' elsewhere).

    That a contact person changed is told without names, numbers and addresses, as on the web; --contacts has them. The manifest says which.

    Beside the file stands PATH.manifest.json: the filters, the rules, the last load, the cursor, the columns, the file's SHA-256. The file
    appears when it is whole; an export that is broken off leaves what was there.

    \b
      trialsync export site/ --format page --watch parkinson
      trialsync export feed.xml --format atom --watch parkinson

    A folder of pages: a Markdown page a study (trials/NCT_ID.md), an index, llms.txt, and with [site] base_url a sitemap. Only pages that
    say something else are written, and named in changed.txt. Studies that left the watch or the registry keep theirs, which says so.
    The index of more than 10,000 studies is in parts, by how their numbers begin. One that is broken off goes on when it is typed again.
    An Atom feed has an entry a study and date, the newest fifty; its id is made of the filters, and with [site] base_url it says that it
    lies there under its file's name; without the baseline, housekeeping, contact persons and, unless --origin
    asks for it, the registry's history.

    \b
      trialsync export --datasette > metadata.json
      datasette trialsync.db --metadata metadata.json

    Datasette shows the store itself, contact persons with it: think of that before it is put on a network.
    """
    others: dict[str, object] = {"--what": what, "--as-of": as_of, "--contacts": contacts, "--fresh": fresh}
    if for_datasette:
        _datasette(app, path, asked, others={**others, "--format": form})
        return
    if path is None:
        raise UsageError("the file to write is missing", hint="trialsync export changes.csv")
    if str(path) == "-":
        raise UsageError("an export is a file, with a manifest beside it", hint="trialsync changes --format csv prints the log")
    if form == PAGE:
        _pages(app, path, asked, fresh=fresh, others={"--what": what, "--as-of": as_of, "--contacts": contacts})
        return
    if form == ATOM:
        _feed(app, path, asked, others={**others, "--baseline": asked.baseline})
        return
    if fresh:
        raise UsageError("--fresh is for a folder of pages", hint="--format page")
    wanted = EXTRACTS[what or CHANGES.what]
    format_ = _format(path, form)
    present = now()
    given: dict[str, Json] = asked.given()
    until = day(as_of, "--as-of", present) if as_of else None
    extract.check(wanted, until, given)
    extraction = Extraction(wanted, asked.wanted(present, housekeeping=True), until, contacts=contacts)
    with (
        interruptible(lambda: f"{path} is as it was before" if path.exists() else f"{path} is not written"),
        app.reader() as reader,
        progress(f"exporting {wanted.what}", "rows") as told,
    ):
        done = export(reader, extraction, path, format_, given=given, now=now, told=told)
    say(f"{path}: {counted(done.rows, 'row', 'rows')}, {done.bytes:,} bytes")
    if done.left_out:
        say(f"{counted(done.left_out, 'study', 'studies')} not known yet as of {until} left out")


def _format(path: Path, form: str | None) -> FileFormat:
    """Return the format that is named, or that a path ends in; raise UsageError where neither says."""
    if form is not None:
        return FileFormat(form)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _FILES:
        raise UsageError(f"{path} does not say its format", hint="end it in .csv, .jsonl or .parquet, or give --format")
    return FileFormat(suffix)


def _pages(app: App, folder: Path, asked: Asked, *, fresh: bool, others: dict[str, object]) -> None:
    """Write a folder of pages."""
    given = [*(option for option, value in others.items() if value), *asked.given()]
    strange = [option for option in given if option not in {"--study", "--watch"}]
    if strange:
        raise UsageError(f"{strange[0]} does not choose pages", hint="--watch and --study do")
    studies = tuple(map(nct_id, asked.studies))
    with (
        interruptible(lambda: f"{folder} is not finished; type it again to go on"),
        app.reader() as reader,
        progress("writing pages", "pages") as told,
    ):
        done = write_site(reader, folder, app.settings.site, watches=asked.watches, studies=studies, fresh=fresh, told=told)
    say(f"{folder}: {counted(done.pages, 'page', 'pages')}; {counted(done.changed, 'file', 'files')} written ({CHANGED} names them)")
    if not done.has_sitemap:
        say("no sitemap, which needs the address of the site: [site] base_url in the settings")


def _feed(app: App, path: Path, asked: Asked, *, others: dict[str, object]) -> None:
    """Write an Atom feed."""
    for option, value in others.items():
        if value:
            raise UsageError(f"{option} has no meaning for a feed", hint="the filters of changes choose what is in it")
    given = asked.given()
    title = "Changes of clinical trials" + "".join(
        f", {option.strip('-')} {' or '.join(map(str, _list(given[option])))}" for option in given
    )
    query = urlencode([(option.strip("-"), each) for option in given for each in sorted(map(str, _list(given[option])))])
    web, site = app.settings.web, app.settings.site
    with app.reader() as reader:
        feed = gathered(
            reader,
            asked.wanted(now(), housekeeping=False),
            title=title,
            # What is asked makes the feed's id, not the name of a file; the order of the options is that of the help.
            path=f"feeds/changes.atom{f'?{query}' if query else ''}",
            contacts=web is not None and web.contacts,
            address=f"{site.base_url.rstrip('/')}/{quote(path.name)}" if site.base_url else None,
            base_url=site.base_url,
        )
    with replacing(path) as partial:
        partial.write_text(atom(feed), encoding="utf-8")
    say(f"{path}: {counted(len(feed.occasions), 'entry', 'entries')}")


def _datasette(app: App, path: Path | None, asked: Asked, *, others: dict[str, object]) -> None:
    """Write what Datasette has to know of the store."""
    strange = [*(option for option, value in others.items() if value), *asked.given()]
    if strange:
        raise UsageError(f"{strange[0]} has no meaning for Datasette, which opens the store itself", hint="leave it out")
    app.reader().close()
    text = orjson.dumps(metadata(app.store.stem), option=orjson.OPT_INDENT_2).decode() + "\n"
    if path is None:
        put_text(text)
        return
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    say(f"datasette {app.store} --metadata {path}")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]
