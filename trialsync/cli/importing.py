"""``trialsync import``: studies from files."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trialsync.cli.app import PARTIAL, App, interruptible, now, say
from trialsync.cli.progress import progress
from trialsync.cli.syncing import say_some
from trialsync.errors import BadDate
from trialsync.publish.confirmed import confirmed, counted
from trialsync.registry import files
from trialsync.registry.bulk import is_download
from trialsync.registry.numbers import nct_ids_in
from trialsync.sync.bulk import Whole, load_bulk
from trialsync.sync.load import load

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trialsync.cli.progress import Told
    from trialsync.sync.poll import Outcome


@click.command(name="import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--load", "label", metavar="DATE", help="The load that records come from which are in no dated line.")
@click.pass_obj
def import_(app: App, paths: tuple[str, ...], *, label: str | None) -> int:
    """Record studies from files: one study, a list, a /studies answer, JSON lines, a zip of studies, folders, - for standard input.

    Compressed files (.gz, .bz2, .xz, .zst) are read as they are. Lines with "load", "nctId" and "study" are recorded load by load.
    Elsewhere a record stands for --load, else for the load that it names (versionHolder), else for its posted date.

    The registry's bulk download, a zip of all its studies, begins a watch with everything = true, where the settings have one: the next
    sync asks for what moved. An import that was broken off is typed again, and goes on fast.

    \b
      trialsync import NCT07263919.json
      trialsync import ctg-studies.json.zip
      curl -s 'https://clinicaltrials.gov/api/v2/studies?query.cond=ataxia' | trialsync import -
    """
    if label is not None:
        try:
            label = date.fromisoformat(label).isoformat()
        except ValueError:
            raise BadDate(f"--load {label!r} is not a day", hint="for example 2026-05-12") from None
    if label is None and len(paths) == 1 and is_download(Path(paths[0])):
        return _download(app, Path(paths[0]))
    skipped: list[str] = []
    code = 0
    with progress("import", "bytes") as tell, _kept(app):
        found = files.read(paths, stdin=sys.stdin.buffer, progress=tell)
        first = next(found, None)
        if first is None:
            say("import: there is no study in it")
            return PARTIAL
        with app.writer("trialsync import", may_make=True) as writer:
            try:
                for outcome in load(chain([first], found), writer=writer, now=now, baseline=app.settings.store.baseline, label=label):
                    code = max(code, _report(outcome))
                    skipped.extend(outcome.skipped)
            finally:
                say_some([f"skipped: {sentence}" for sentence in skipped])
    return code


def _download(app: App, path: Path) -> int:
    """Import the registry's bulk download; it begins the watch of everything, where the settings have one."""
    table = next((table for table in app.settings.tables if table.everything), None)
    whole = Whole(app.settings.watch(table, nct_ids_in), app.settings.sync.sweep_days) if table is not None else None
    with progress("import", "studies") as tell, _kept(app, tell), app.writer("trialsync import", may_make=True) as writer:
        outcome = load_bulk(path, writer=writer, now=now, baseline=app.settings.store.baseline, whole=whole, progress=tell)
    code = _report_download(outcome)
    if whole is not None and outcome.error is None:
        say(f"  {_next(whole.watch.name, outcome)}")
    if outcome.poll.skipped > outcome.older:
        say_some([f"skipped: {sentence}" for sentence in outcome.skipped])
    if outcome.error is not None:
        raise outcome.error
    return code


def _next(watch: str, outcome: Outcome) -> str:
    """Return what the next sync of the watch of everything makes of a download that was read to its end."""
    row, last = outcome.poll, outcome.previous_load
    if row.watch is not None:
        held = counted(row.studies, "study", "studies")
        return f"{watch} goes on from these {held} of load {row.load}: the next trialsync sync asks the registry whether that is all of it"
    why = (
        "it is older than what was polled"
        if last is not None and (row.load or "") < last
        else "records were left out of it"
        if row.skipped > outcome.older
        else "its studies are of several loads"
    )
    goes_on = f"goes on from its last poll, of load {last}" if last is not None else "asks the registry for all studies"
    return f"{why}: the next trialsync sync of {watch} {goes_on}"


def _kept(app: App, told: Told | None = None) -> AbstractContextManager[None]:
    """Say of an import that is interrupted how many studies it recorded, where it ``told`` that, or how many are in the store."""

    def stands() -> str:
        again = "type it again to go on"
        if told is not None and told.total is not None:
            return f"{told.done:,} of {counted(told.total, 'study', 'studies')} are in the store; {again}"
        if not app.store.exists():
            return "nothing was recorded"
        with app.reader() as reader:
            return f"{counted(reader.study_count(), 'study is', 'studies are')} in the store; {again}"

    return interruptible(stands)


def _report(outcome: Outcome) -> int:
    if outcome.poll.studies or outcome.error is None:
        say(f"import: {confirmed(outcome.poll)}")
    say_some(outcome.notes)
    return PARTIAL if outcome.skipped else 0


def _report_download(outcome: Outcome) -> int:
    """Report an import of a download, in which an older record is no fault: an older download has many."""
    if outcome.poll.skipped > outcome.older:
        return _report(outcome)
    row = replace(outcome.poll, skipped=0)
    _report(replace(outcome, poll=row, skipped=()))
    if outcome.older:
        are = "is" if outcome.older == 1 else "are"
        say(f"  {outcome.older:,} {are} older than what the store has, and {'was' if outcome.older == 1 else 'were'} left out")
    return 0
