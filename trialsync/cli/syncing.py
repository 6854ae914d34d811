"""``trialsync sync``: one pass over what is followed, for hands, cron and timers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trialsync.cli.app import PARTIAL, App, invoked_as, now, say
from trialsync.cli.outside import open_registry
from trialsync.cli.progress import progress
from trialsync.errors import BadNctId, FileError, SettingsError, TrialsyncError, UnknownWatch, UsageError
from trialsync.model import Ended, Watch, nct_id
from trialsync.publish.confirmed import confirmed, counted
from trialsync.registry.numbers import mistyped_in, nct_ids_in
from trialsync.sync.poll import Policy, poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.settings import WatchTable
    from trialsync.store.writer import Writer
    from trialsync.sync.poll import Outcome

_NAMED = 3
"""At most so many studies that were asked for once are named in a line."""

_SHOWN = 10
"""At most so many of one kind of sentence are printed; the rest is counted."""


@click.command()
@click.argument("what", nargs=-1, metavar="[WATCH | NCT_ID]...")
@click.option("--full", is_flag=True, help="Walk every study, whether there is a new load or not.")
@click.option("--quiet", is_flag=True, help="Print nothing where nothing is wrong, so that cron sends no mail.")
@click.option("--accept-removals", is_flag=True, help="Record removals even where a large share of a watch is gone at once.")
@click.pass_obj
def sync(app: App, what: tuple[str, ...], *, full: bool, quiet: bool, accept_removals: bool) -> int:
    """Ask the registry for what is new, once, and exit.

    Without arguments every watch of the settings is polled; otherwise the watches and studies that are named. A load that was polled
    completely before costs one request.

    \b
      trialsync sync                      every watch
      trialsync sync parkinson            one watch
      trialsync sync NCT07263919          one study, with or without settings
    """
    limits = app.settings.sync
    policy = Policy(app.settings.store.baseline, limits.incremental_above, limits.sweep_days, limits.largest_loss)
    asked = list(_asked(app, what))
    code = 0
    with (
        app.writer("trialsync sync", may_make=any(once for _, once in asked)) as writer,
        open_registry(app.settings) as registry,
    ):
        for table in app.settings.tables:
            if table.was and writer.rename_watch(table.was, table.name):
                say(f"the watch {table.was} is {table.name} now, and goes on where it was")
        for named, once in asked:
            try:
                watch = once or _watch(app, named, writer)
                with progress(watch.name, "studies") as tell:
                    outcome = poll(
                        watch,
                        registry=registry,
                        writer=writer,
                        now=now,
                        policy=policy,
                        full=full,
                        followed=once is None,
                        accept_removals=accept_removals,
                        progress=tell,
                    )
            except (UsageError, SettingsError, FileError) as error:  # what this watch asks for can't be asked; the others can
                say(f"{named.name if named else ''}: {error}")
                code = max(code, error.exit_code)
                continue
            code = max(code, report(watch, outcome, quiet=quiet))
    return code


def _asked(app: App, what: Sequence[str]) -> Iterator[tuple[WatchTable | None, Watch | None]]:
    """Yield what to poll: a watch of the settings, or else one made of the NCT numbers that were typed, which is not followed."""
    known = {table.name: table for table in app.settings.tables}
    if not what:
        if not known:
            where = app.settings.source or "no settings file was found"
            raise SettingsError(f"there is nothing to follow ({where})", hint="trialsync init, or name studies: trialsync sync NCT07263919")
        yield from ((table, None) for table in known.values())
        return
    numbers = []
    for word in dict.fromkeys(what):
        if word in known:
            yield known[word], None
            continue
        try:
            numbers.append(nct_id(word))
        except BadNctId:
            if word[:3].upper() == "NCT":
                raise
            names = ", ".join(known) or "none"
            raise UnknownWatch(
                f"there is no watch {word!r}", hint=f"the settings have: {names}; a study is named by its NCT number"
            ) from None
    if numbers:
        yield None, Watch(" ".join(numbers) if len(numbers) <= _NAMED else f"{len(numbers)} studies", nct_ids=tuple(numbers))


def _watch(app: App, table: WatchTable | None, writer: Writer) -> Watch:
    """Return a watch of the settings, its list of numbers read anew; what looks mistyped in it is said once."""
    assert table is not None  # noqa: S101 - what is not in the settings is a watch already
    watch = app.settings.watch(table, nct_ids_in)
    if table.nct_ids_file is not None:
        words = [word for word in mistyped_in(table.nct_ids_file) if writer.first_time(f"mistyped {table.nct_ids_file} {word}")]
        if words:
            say(f"{table.name}: left out of {table.nct_ids_file}, not NCT and eight digits: {', '.join(words)}")
    return watch


def report(watch: Watch, outcome: Outcome, *, quiet: bool) -> int:
    """Say how a poll ended, on standard error, and return its exit code."""
    row = outcome.poll
    code = outcome.error.exit_code if isinstance(outcome.error, TrialsyncError) else 0
    if row.ended is Ended.PARTIAL or row.skipped or any("never found" in note for note in outcome.notes):
        code = max(code, PARTIAL)
    if quiet and code == 0:
        return code
    if outcome.error is not None:
        say(f"{watch.name}: {outcome.error}")
    if row.ended is Ended.NOTHING_NEW:
        say(f"{watch.name}: nothing new, still load {row.load}")
    elif row.ended is not Ended.FAILED:
        say(f"{watch.name}: {confirmed(row, loads=[outcome.previous_load] if outcome.previous_load else [])}")
    say_some(outcome.notes)
    say_some([f"skipped: {sentence}" for sentence in outcome.skipped])
    if row.new and row.new == row.studies and not row.changes:
        program = invoked_as()
        again = f"{'sync' if row.watch else f'sync {watch.name}':<18}"
        say(
            f"First sight of {counted(row.new, 'study', 'studies')}: that is the baseline, and what changes from now on is news. Try",
            f"  {program} changes --baseline  what stands in them now, field by field",
            f"  {program} show NCT_ID         one study as a page",
            f"  {program} {again}  again, when the registry has a new load (on weekdays)",
        )
    return code


def say_some(sentences: Sequence[str]) -> None:
    """Say sentences, the first few of many, and how many more there are."""
    say(*(f"  {sentence}" for sentence in sentences[:_SHOWN]))
    if len(sentences) > _SHOWN:
        say(f"  … and {len(sentences) - _SHOWN:,} more")
