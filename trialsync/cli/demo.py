"""``trialsync demo``: the whole of it on the sandbox, offline, with the real client, store and poll."""

from __future__ import annotations

import os
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trialsync import log, settings
from trialsync.cli.app import invoked_as, put_lines, say
from trialsync.cli.study import print_log
from trialsync.errors import FileError, UsageError
from trialsync.model import Watch
from trialsync.publish.line import line
from trialsync.publish.render import Format
from trialsync.registry.client import Registry, in_process
from trialsync.registry.sandbox import Sandbox, packaged_loads, packaged_past
from trialsync.store import schema
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer
from trialsync.sync.poll import poll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.sync.poll import Outcome

_WATCHES = (
    Watch("parkinson", query={"query.cond": ("Parkinson Disease",)}),
    Watch("everything", everything=True),
)
_MARK = "# Made by trialsync demo; it writes this folder anew each time.\n"
_SETTINGS = "trialsync.toml"
_ROWS = 20
_STORY = "NCT09000024"
"""The study whose log is shown: its primary outcome is reworded after its start."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("trialsync-demo"))
def demo(folder: Path) -> None:
    """See it work, offline, in seconds: follow invented studies through twelve loads of a stand-in registry.

    The client, the store and the poll are the real ones. FOLDER (trialsync-demo) keeps the settings and the store, to look around in.
    """
    began = time.perf_counter()
    log.configure(sys.stderr, level="error", format="auto", environ=os.environ)
    _prepare(folder)
    sandbox = Sandbox(packaged_loads(), past=packaged_past())
    clock = _Clock()
    say(f"A stand-in registry holds {len(sandbox.studies())} invented studies.")
    say(f"It brings out {len(sandbox.loads)} loads, each polled as it appears:", "")
    schema.create(folder / "trialsync.db")
    with (
        Registry(
            "https://clinicaltrials.gov/api/v2",
            requests_per_second=1_000_000,
            contact=None,
            transport=in_process(sandbox),
            now=clock,
            sleep=time.sleep,
            monotonic=time.monotonic,
        ) as registry,
        Writer.open(folder / "trialsync.db", now=clock, command="trialsync demo") as writer,
    ):
        while True:
            clock.at(sandbox.load)
            outcomes = [poll(watch, registry=registry, writer=writer, now=clock) for watch in _WATCHES]
            say(_line(outcomes))
            if sandbox.advance() is None:
                break
    with Reader.open(folder / "trialsync.db") as reader:
        _show(reader)
        total = reader.counts()
    seconds = time.perf_counter() - began
    program = invoked_as()
    command = f"{program} --config {shlex.quote(str(folder / _SETTINGS))}"
    say(
        "",
        f"{total.studies} studies, {total.versions} versions, {total.changes} changes, in {seconds:.1f} seconds. Now look around:",
        f"  {command} changes --watch parkinson",
        f"  {command} changes --field 'outcomes.*'",
        f"  {command} changes --by registry --all",
        f"  {command} log {_STORY} --all",
        f"  {command} show NCT07263919",
        f"  {command} show {_STORY} --as-of 2026-05-01 --format table",
        f"in a browser: {command} serve",
        "and then follow the real registry:",
        f"  {program} init 'https://clinicaltrials.gov/search?cond=Parkinson%20Disease'",
        f"  {program} sync",
    )


def _line(outcomes: Sequence[Outcome]) -> str:
    """Return what one load brought, over all watches."""
    rows = [outcome.poll for outcome in outcomes]
    new, updated, changes = (sum(getattr(row, name) for row in rows) for name in ("new", "updated", "changes"))
    notes = "".join(f"; {note}" for note in dict.fromkeys(note for outcome in outcomes for note in outcome.notes))
    return f"  {rows[0].load}  {new:>2} new, {updated} changed, {changes:>2} changes recorded{notes}"


class _Clock:
    """The instant at which each load is polled: its own day, shortly after the registry's refresh is due; a little later each time."""

    def __init__(self) -> None:
        self._now = datetime(1970, 1, 1, tzinfo=UTC)

    def at(self, load: str) -> None:
        self._now = datetime.fromisoformat(f"{load}T14:05:00+00:00")

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=137)
        return self._now


def _prepare(folder: Path) -> None:
    """Make the folder, or empty it where an earlier demo made it. Raises UsageError where it holds anything else, FileError."""
    file = folder / _SETTINGS
    try:
        if folder.exists():
            if not folder.is_dir() or (
                any(folder.iterdir()) and not (file.exists() and file.read_text("utf-8", "replace").startswith(_MARK))
            ):
                raise UsageError(f"{folder} is there and was not made by trialsync demo", hint="name another folder: trialsync demo FOLDER")
            for left in folder.iterdir():
                left.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(_MARK + settings.starter(_WATCHES, database="trialsync.db", contact=None), encoding="utf-8")
    except OSError as error:
        raise FileError(f"{folder} can't be written: {error.strerror}") from error


def _show(reader: Reader) -> None:
    wanted = ChangeFilter(watches=("parkinson",), housekeeping=False)
    say(
        "",
        f"The newest changes of the watch 'parkinson' ({reader.count(wanted)} in all, housekeeping left out), a line a study and day:",
        "",
    )
    days = reader.study_days(wanted, limit=_ROWS, newest_first=True).days
    put_lines((line(reader.logged(ids)) for ids in days.values()), Format.TABLE)
    sys.stdout.flush()
    say("", "One study's log:", "")
    print_log(reader, _STORY, Format.TABLE)
