"""``trialsync verify``, ``backup`` and ``restore``: is the store sound, and copies of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import monotonic

import click

from trialsync.cli.app import App, say
from trialsync.cli.progress import progress
from trialsync.errors import FileError, StoreDamaged
from trialsync.publish.confirmed import counted
from trialsync.store import care
from trialsync.store.verify import counts as count_all
from trialsync.store.verify import notes as find_notes
from trialsync.store.verify import verify as find_problems
from trialsync.sync.garbage import few_collections


@click.command()
@click.pass_obj
def verify(app: App) -> int:
    """Prove the store sound, or name what is wrong with it.

    Every version decodes to its fingerprint, the log's rows lead from each version to the next, counts and keys hold, nothing was altered
    since it was written. Exit code 6 where something is wrong.
    """
    from trialsync.sync.ready import Crew  # noqa: PLC0415 - backups and restores need none of it

    with few_collections(), Crew() as crew:
        problems = find_problems(app.store, partial(progress, since=monotonic()), crew)
    if not problems:
        say(*find_notes(app.store))
        holds = count_all(app.store)
        say(f"{app.store} is sound: {holds.studies:,} studies, {holds.versions:,} versions, {holds.changes:,} changes")
        return 0
    say(*problems, f"{app.store} is damaged: {counted(len(problems), 'problem', 'problems')} found")
    say("trialsync restore BACKUP brings a copy back; the damaged store is kept beside it")
    return StoreDamaged.exit_code


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_obj
def backup(app: App, path: Path) -> None:
    """Copy the store, in use or not, to PATH, which must not exist: one file, one moment, checked.

    The places of changes --since-last lie beside the store, in <store>.places/, and are not in the copy.
    """
    with progress("backup", "bytes") as tell:
        size = care.backup(app.store, path, tell)
    say(f"{path}: {size:,} bytes")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_obj
def restore(app: App, path: Path) -> None:
    """Put a copy of the backup at PATH in the store's place; what stands there is kept beside it under another name."""
    if not path.is_file():
        raise FileError(f"there is no backup at {path}", hint="trialsync backup PATH makes one")
    with progress("restore", "bytes") as tell:
        done = care.restore(path, app.store, tell)
    say(f"{done.target} is the copy of {path}")
    if done.kept is not None:
        say(f"what stood there is {done.kept}")
