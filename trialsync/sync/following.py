"""What the settings follow, polled: what ``sync`` and the daemon have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trialsync.errors import FileError, SettingsError, UsageError
from trialsync.model import Watch
from trialsync.registry import query
from trialsync.registry.numbers import mistyped_in, nct_ids_in
from trialsync.sync.poll import Policy, failed_at_once, poll

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trialsync.model import Progress
    from trialsync.registry.client import Registry
    from trialsync.settings import Settings, WatchTable
    from trialsync.store.writer import Writer
    from trialsync.sync.poll import Outcome


@dataclass(frozen=True, slots=True)
class Followed:
    """A watch that was polled: what it asked for, how that ended, and what in its file of numbers is no NCT number, said once."""

    watch: Watch
    outcome: Outcome
    mistyped: tuple[str, ...] = ()


def policy_of(settings: Settings) -> Policy:
    """Return how polls go about it under these settings."""
    limits = settings.sync
    return Policy(settings.store.baseline, limits.incremental_above, limits.sweep_days, limits.largest_loss)


def rename_watches(settings: Settings, writer: Writer) -> list[tuple[str, str]]:
    """Give the watches that the settings rename (``was``) their new names in the store; return the pairs, the old name first."""
    return [(table.was, table.name) for table in settings.tables if table.was and writer.rename_watch(table.was, table.name)]


def follow(
    what: WatchTable | Watch,
    *,
    settings: Settings,
    registry: Registry,
    writer: Writer,
    now: Callable[[], datetime],
    full: bool = False,
    accept_removals: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Followed:
    """Poll once: a watch of the settings, its file of NCT numbers read anew, or studies that are asked for once and not followed.

    The options are those of ``poll``. Where the file can't be read or the query can't be asked, that is a poll that failed, as far as the
    outside is concerned. Raises StoreError, and for studies that are asked for once UsageError.
    """
    try:
        watch = what if isinstance(what, Watch) else settings.watch(what, nct_ids_in)
        query.validate(watch)
    except (FileError, SettingsError, UsageError) as error:
        if isinstance(what, Watch):
            raise
        return Followed(Watch(what.name), failed_at_once(what.name, error, writer=writer, now=now))
    mistyped: tuple[str, ...] = ()
    if not isinstance(what, Watch) and what.nct_ids_file is not None:
        file = what.nct_ids_file
        mistyped = tuple(word for word in mistyped_in(file) if writer.first_time(f"mistyped {file} {word}"))
    outcome = poll(
        watch,
        registry=registry,
        writer=writer,
        now=now,
        policy=policy_of(settings),
        full=full,
        followed=not isinstance(what, Watch),
        accept_removals=accept_removals,
        progress=progress,
        stop=stop,
    )
    return Followed(watch, outcome, mistyped)
