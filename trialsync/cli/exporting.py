"""``trialsync export``: rows of the store in a file, for a spreadsheet, a notebook, a paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from trialsync.cli.app import App, now, say
from trialsync.cli.filters import Asked, filtered
from trialsync.cli.progress import progress
from trialsync.cli.when import day
from trialsync.errors import UsageError
from trialsync.publish.confirmed import counted
from trialsync.publish.extracts import CHANGES, EXTRACTS
from trialsync.sync import extract
from trialsync.sync.export import FileFormat, export
from trialsync.sync.extract import Extraction

if TYPE_CHECKING:
    from trialsync.model import Json

_FORMATS: Final = tuple(each.value for each in FileFormat)


@click.command(name="export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--what", type=click.Choice(list(EXTRACTS)), help="The rows: the change log where nothing is said.")
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Without it what PATH ends in: .csv, .jsonl, .parquet.")
@click.option("--as-of", metavar="DATE", help="Studies as they were on a day, or a time ago (30d), and who was in a watch then.")
@filtered
@click.pass_obj
def export_(app: App, path: Path, *, asked: Asked, what: str | None, form: str | None, as_of: str | None) -> None:
    """Write the change log, or what else the store knows, into a file at PATH, the oldest first.

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
    'trialsync[parquet]').

    Beside the file stands PATH.manifest.json: the filters, the rules, the last load, the cursor, the columns, the file's SHA-256. The file
    appears when it is whole; an export that is broken off leaves what was there. For what came since, use --since-last of trialsync
    changes.
    """
    wanted = EXTRACTS[what or CHANGES.what]
    format_ = _format(path, form)
    present = now()
    given: dict[str, Json] = asked.given()
    until = day(as_of, "--as-of", present) if as_of else None
    extract.check(wanted, until, given)
    extraction = Extraction(wanted, asked.wanted(present, housekeeping=True), until)
    with app.reader() as reader, progress(f"exporting {wanted.what}", "rows") as told:
        done = export(reader, extraction, path, format_, given=given, now=now, told=told)
    say(f"{path}: {counted(done.rows, 'row', 'rows')}, {done.bytes:,} bytes")
    if done.left_out:
        say(f"{counted(done.left_out, 'study', 'studies')} not known yet as of {until} left out")


def _format(path: Path, form: str | None) -> FileFormat:
    """Return the format that is named, or that a path ends in; raise UsageError where neither says."""
    if form is not None:
        return FileFormat(form)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise UsageError(f"{path} does not say its format", hint="end it in .csv, .jsonl or .parquet, or give --format")
    return FileFormat(suffix)
