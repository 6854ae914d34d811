"""``trialsync rebuild``: the log made again from the versions, by today's rules."""

from __future__ import annotations

import click

from trialsync.cli.app import App, interruptible, say
from trialsync.cli.progress import progress
from trialsync.publish.confirmed import counted
from trialsync.store.rebuild import Rebuilt, would_change
from trialsync.store.rebuild import rebuild as rebuild_log


@click.command()
@click.option("--dry-run", is_flag=True, help="Count what would differ, and write nothing.")
@click.pass_obj
def rebuild(app: App, *, dry_run: bool) -> None:
    """Make the change log and its facts again from the versions in the store, by today's rules.

    Where no rule changed nothing does. A row that still holds keeps its id; one that does not is removed, and what is new gets a new id, so
    a program that reads with --after meets it. Baseline rows are those that [store] baseline names. What a study is a member of, and its
    presence, stay as recorded. It can be interrupted: what is done is kept, and the next one does the rest.
    """
    fields = app.settings.store.baseline
    if dry_run:
        with progress("comparing", "studies") as told:
            done = would_change(app.store, fields, told)
        say(f"would change {done.differs:,} of {counted(done.rows, 'row', 'rows')}{_parts(done)}")
        return
    with (
        interruptible(lambda: "what was made again is kept; type it again to do the rest"),
        app.writer("trialsync rebuild") as writer,
        progress("rebuilding", "studies") as told,
    ):
        done = rebuild_log(writer, fields, told)
    say(f"changed {done.differs:,} of {counted(done.rows, 'row', 'rows')}{_parts(done)}")


def _parts(done: Rebuilt) -> str:
    """Return what the number of rows is made of, where it is not nothing."""
    parts = [
        f"{number:,} {what}"
        for number, what in (
            (done.added, "added"),
            (done.removed, "removed"),
            (done.changed - done.facts, "with another tier or maker"),
            (done.facts, "with other facts"),
            (done.baseline, "of the baseline beside them"),
        )
        if number
    ]
    return f": {', '.join(parts)}" if parts else ""
