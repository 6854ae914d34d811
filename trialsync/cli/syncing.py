"""``trialsync sync``: one pass over what is followed, for hands, cron and timers."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import click

from trialsync.cli.app import PARTIAL, App, interruptible, now, say
from trialsync.cli.outside import open_registry
from trialsync.cli.progress import progress
from trialsync.errors import BadNctId, FileError, SettingsError, TrialsyncError, UnknownWatch, UsageError
from trialsync.model import Ended, Watch, nct_id
from trialsync.publish.confirmed import confirmed, counted
from trialsync.sync.following import follow, rename_watches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.settings import WatchTable
    from trialsync.sync.poll import Outcome

_NAMED = 3
"""At most so many studies that were asked for once are named in a line."""

_SHOWN = 10
"""At most so many of one kind of sentence are printed; the rest is counted."""


@click.command()
@click.argument("what", nargs=-1, metavar="[WATCH | NCT_ID]...")
@click.option("--full", is_flag=True, help="Walk every study, whether there is a new load or not.")
@click.option("--quiet", is_flag=True, help="Print nothing, log lines included, where nothing is wrong, so that cron sends no mail.")
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
    if quiet:
        app.hush()
    asked = list(asked_for(app, what))
    code, begun = 0, monotonic()
    with (
        interruptible(lambda: "what was committed is kept; type it again to go on"),
        app.writer("trialsync sync", may_make=any(isinstance(each, Watch) for each in asked), quiet=quiet) as writer,
        open_registry(app) as registry,
    ):
        for before, name in rename_watches(app.settings, writer):
            if not quiet:
                say(f"the watch {before} is {name} now, and goes on where it was")
        for each in asked:
            try:
                with progress(each.name, "studies", shown=not quiet, since=begun) as tell:
                    polled = follow(
                        each,
                        settings=app.settings,
                        registry=registry,
                        writer=writer,
                        now=now,
                        full=full,
                        accept_removals=accept_removals,
                        progress=tell,
                    )
            except (UsageError, SettingsError, FileError) as error:  # what this watch asks for can't be asked; the others can
                say(f"{each.name}: {error}")
                code = max(code, error.exit_code)
                continue
            # A number that nobody can follow is wrong, so that it is said, once, in quiet too.
            if polled.mistyped and not isinstance(each, Watch):
                say(f"{each.name}: left out of {each.nct_ids_file}, not NCT and eight digits: {', '.join(polled.mistyped)}")
            code = max(code, report(polled.watch, polled.outcome, quiet=quiet, program=app.program))
    return code


def asked_for(app: App, what: Sequence[str]) -> Iterator[WatchTable | Watch]:
    """Yield what is meant: a watch of the settings, or else one made of the NCT numbers that were typed, which is not followed."""
    known = {table.name: table for table in app.settings.tables}
    if not what:
        if not known:
            where = app.settings.source or "no settings file was found"
            raise SettingsError(f"there is nothing to follow ({where})", hint="trialsync init, or name studies: trialsync sync NCT07263919")
        yield from known.values()
        return
    numbers = []
    for word in dict.fromkeys(what):
        if word in known:
            yield known[word]
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
        yield Watch(" ".join(numbers) if len(numbers) <= _NAMED else f"{len(numbers)} studies", nct_ids=tuple(numbers))


def report(watch: Watch, outcome: Outcome, *, quiet: bool, program: str) -> int:
    """Say how a poll ended, on standard error, and return its exit code; ``program`` is how the command is typed."""
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
        if not row.whole:
            say(f"  the others are looked at in turn: {program} watches says since which load all were")
    say_some(outcome.notes)
    say_some([f"skipped: {sentence}" for sentence in outcome.skipped])
    if row.new and row.new == row.studies and not row.changes:
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
