"""``trialsync facts``: the rules, how often each was met; and what is overdue as of a day."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, cast

import click

from trialsync.cli.app import App, chosen, now, put, put_text, say, terminal
from trialsync.cli.changes import TERMINAL_LIMIT, format_option
from trialsync.cli.progress import progress
from trialsync.errors import BadDate, UnknownWatch, UsageError
from trialsync.model import Presence
from trialsync.publish.confirmed import counted
from trialsync.publish.definitions import definitions
from trialsync.publish.render import Format
from trialsync.publish.sheets import FACTS, OVERDUE, fact_json, overdue_json
from trialsync.store.when import day
from trialsync.study.facts import FACTS as RULES
from trialsync.study.facts import may_be_overdue
from trialsync.study.facts import overdue as overdue_facts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from trialsync.model import Json, Progress
    from trialsync.store.headlines import Headlines
    from trialsync.store.reader import Reader


@click.command()
@click.option("--overdue", is_flag=True, help="What is overdue as of a day, instead of the rules.")
@click.option("--as-of", metavar="DATE", help="With --overdue: as of a day (2026-11-01), or a time ago (30d); today otherwise.")
@click.option("--watch", metavar="NAME", help="With --overdue: the studies of one watch.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="With --overdue: at most so many, 0 for all; without it 100 on a terminal, all in a pipe.",
)
@format_option
@click.pass_obj
def facts(app: App, *, overdue: bool, as_of: str | None, watch: str | None, limit: int | None, form: str | None) -> None:
    """Print the facts: id, version of the rule, definition, source, and how many rows of the log carry each.

    Facts are deterministic statements about changes; they state, and never score. trialsync changes --fact ID asks for the rows that carry
    one, --without ID for those that do not. Each definition stands whole, below its id; in JSON and CSV each is a row.

    With --overdue it prints, by each study's version of that day: completion dates that were expected and are past while the status says
    that the study goes on, and results that are not posted a year or more after primary completion, whether or not any law asks for them.

    \b
      trialsync facts
      trialsync facts --overdue --watch parkinson
      trialsync facts --overdue --as-of 2026-05-01 --format csv
    """
    if overdue:
        _overdue(app, as_of, watch, limit, form)
        return
    for option, value in (("--as-of", as_of), ("--watch", watch), ("--limit", limit)):
        if value is not None:
            raise UsageError(f"{option} goes with --overdue")
    rows: dict[str, int] | None = None
    older = 0
    if app.store.exists():
        with app.reader() as reader:
            rows, older = reader.fact_counts({rule.id: rule.rule for rule in RULES})
    told = [fact_json(rule, None if rows is None or not rule.recorded else rows.get(rule.id, 0)) for rule in RULES]
    style = chosen(form)
    if style is Format.TABLE:
        width, color = terminal()
        put_text("".join(definitions(told, width=width, color=color)))
    else:
        put(told, FACTS, style)
    if older:
        say(f"{counted(older, 'row carries a fact', 'rows carry facts')} by an older rule: trialsync rebuild makes them by today's")


def _overdue(app: App, as_of: str | None, watch: str | None, limit: int | None, form: str | None) -> None:
    present = now()
    most = limit if limit is not None else TERMINAL_LIMIT if sys.stdout.isatty() else 0
    text = day(as_of, "--as-of", present) if as_of is not None else present.date().isoformat()
    with app.reader() as reader:
        members = {row.name: row.members for row in reader.watches()}
        if watch is not None and watch not in members:
            raise UnknownWatch(f"no watch {watch!r} in {app.store}", hint="trialsync watches lists them")
        met, cut, total = 0, False, members[watch] if watch is not None else reader.study_count()

        def rows(told: Progress | None) -> Iterator[dict[str, Json]]:
            nonlocal met, cut
            for done, study in enumerate(reader.studies(watch), 1):
                for row in _rows_of(reader, study, date.fromisoformat(text), known_today=as_of is None):
                    if most and met == most:
                        cut = True
                        return
                    met += 1
                    yield row
                if told is not None:
                    told(done, total)

        # A bar between rows that are printed to the same terminal would break both.
        with (
            progress("reading", "studies", shown=not sys.stdout.isatty()) as told,
            closing(cast("Generator[dict[str, Json]]", rows(told))) as found,
        ):
            put(found, OVERDUE, chosen(form))
    if not met:
        say(f"nothing is overdue as of {text}")
    elif cut:
        say(f"the first {met:,}, by number; there are more (--limit 0 for all)")


def _rows_of(reader: Reader, study: Headlines, as_of: date, *, known_today: bool) -> Iterator[dict[str, Json]]:
    """Yield what of a study is overdue; nothing of one that the registry lists no more, or that was not known on the day."""
    if study.presence is not Presence.LISTED:
        return
    if known_today and not may_be_overdue(
        study.overall_status, study.primary_completion_date, study.completion_date, has_results=study.has_results, as_of=as_of
    ):
        return
    try:
        version = None if known_today else reader.version_at(study.nct_id, as_of.isoformat()).number
    except BadDate:
        return
    for fact in overdue_facts(reader.study(study.nct_id, version=version), as_of):
        yield overdue_json(study.nct_id, study.title, fact)
