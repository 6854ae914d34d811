"""``trialsync backfill``: the registry's own history of studies, into the same log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trialsync.cli.app import PARTIAL, App, interruptible, now, say
from trialsync.cli.outside import open_registry
from trialsync.cli.progress import progress
from trialsync.cli.syncing import asked_for, say_some
from trialsync.errors import UnknownWatch
from trialsync.model import Watch
from trialsync.publish.confirmed import counted
from trialsync.store.when import day
from trialsync.sync.backfill import Extent, cost
from trialsync.sync.backfill import backfill as run
from trialsync.sync.following import policy_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.store.writer import Writer
    from trialsync.sync.backfill import Outcome

_MINUTE = 60
_HOUR = 3600


@click.command()
@click.argument("what", nargs=-1, metavar="[WATCH | NCT_ID]...")
@click.option("--since", metavar="DATE", help="Only the versions that held on this day (or 90d ago) or later.")
@click.option("--latest", type=click.IntRange(min=1), metavar="N", help="Only the newest N versions of each study.")
@click.option("--gaps", is_flag=True, help="Fill in what lies between polls too; what the polls told stays as it is, beside it.")
@click.pass_obj
def backfill(app: App, what: tuple[str, ...], *, since: str | None, latest: int | None, gaps: bool) -> int:
    """Put the registry's own history before what was polled.

    Each past version of a study becomes a version with origin `history`, with the changes that led to it, as if it had been polled from its
    first day on; later polls go on from there. Without arguments it is done for every study in a watch. A study that was never polled is
    asked for once and need not be followed.

    It takes a request a version, at the pace of the settings, and says so first. What was fetched is kept: after Ctrl-C the same command
    goes on where it was, and once all is there it costs one request a study. The registry does not document its history; an answer of
    another form than it had is refused and named, and nothing is recorded of it. Nor has it any of a study that is withheld, removed or
    merged now: what was backfilled before stays, and what was not can't be had any more (exit code 3).

    \b
      trialsync backfill NCT07263919             one study, followed or not
      trialsync backfill parkinson --latest 5    a watch, the newest versions of each study
      trialsync backfill --since 2024-01-01      every watch, from a day on
    """
    extent = Extent(None if since is None else day(since, "--since", now()), latest, gaps)
    asked = list(asked_for(app, what))
    with (
        interruptible(lambda: "what was fetched is kept; type it again to go on"),
        app.writer("trialsync backfill", may_make=any(isinstance(each, Watch) for each in asked)) as writer,
        open_registry(app) as registry,
    ):
        numbers: list[str] = []
        for each in asked:
            numbers += each.nct_ids if isinstance(each, Watch) else _members(writer, each.name)
        numbers = list(dict.fromkeys(numbers))
        requests = cost(writer, numbers, extent)
        pace = app.settings.registry.requests_per_second
        say(f"{counted(len(numbers), 'study', 'studies')}, about {counted(requests, 'request', 'requests')}, {_about(requests / pace)}")
        with progress("history", "requests") as tell:
            outcome = run(numbers, registry=registry, writer=writer, now=now, policy=policy_of(app.settings), extent=extent, progress=tell)
    return _report(outcome, len(numbers))


def _members(writer: Writer, watch: str) -> Sequence[str]:
    """Return the studies that are in a watch now. Raises UnknownWatch where it was never polled."""
    members = sorted(writer.members(watch))
    if not members:
        raise UnknownWatch(f"{watch} has no studies yet", hint=f"trialsync sync {watch} polls it first")
    return members


def _about(seconds: float) -> str:
    """Return a time to wait, as a person would say it."""
    if seconds < _MINUTE:
        return "less than a minute"
    if seconds < _HOUR:
        return f"about {counted(round(seconds / _MINUTE), 'minute', 'minutes')}"
    return f"about {counted(round(seconds / _HOUR), 'hour', 'hours')}"


def _report(outcome: Outcome, asked: int) -> int:
    """Say what came of it, on standard error, and return the exit code."""
    found = outcome.studies
    good = [each for each in found if each.error is None]
    versions, changes = sum(each.versions for each in good), sum(each.changes for each in good)
    say(
        f"{counted(len(good), 'study', 'studies')}: {counted(versions, 'version', 'versions')} and "
        f"{counted(changes, 'change', 'changes')} added, {counted(outcome.requests, 'request', 'requests')}"
    )
    returned = sum(each.returned for each in good)
    if returned:
        say(f"  {counted(returned, 'version was', 'versions were')} returned by the registry's reviewers, never posted, and left out")
    partial = [each for each in good if not each.complete]
    if partial:
        say(f"  {counted(len(partial), 'study has', 'studies have')} more history than was asked for")
    failed = [each for each in found if each.error is not None]
    say_some([f"{each.nct_id}: {each.error}" if each.nct_id not in str(each.error) else str(each.error) for each in failed])
    if outcome.stopped is not None:
        say(f"{outcome.stopped}; {asked - len(found):,} of {counted(asked, 'study', 'studies')} left: the same command goes on")
        return outcome.stopped.exit_code
    return PARTIAL if failed else 0
