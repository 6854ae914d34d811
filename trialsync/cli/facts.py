"""``trialsync facts``: the rules, how often each was met; and what is overdue as of a day."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, cast

import click

from trialsync.cli.app import App, chosen, now, put, put_text, say, terminal
from trialsync.cli.changes import format_option
from trialsync.errors import BadDate, UnknownWatch, UsageError
from trialsync.model import Presence
from trialsync.publish.confirmed import counted
from trialsync.publish.definitions import definitions
from trialsync.publish.render import Format
from trialsync.publish.sheets import FACTS, OVERDUE, fact_json, overdue_json
from trialsync.store.when import day
from trialsync.study.facts import FACTS as RULES
from trialsync.study.facts import overdue as overdue_facts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from trialsync.model import Json
    from trialsync.store.headlines import Headlines
    from trialsync.store.reader import Reader


@click.command()
@click.option("--overdue", is_flag=True, help="What is overdue as of a day, instead of the rules.")
@click.option("--as-of", metavar="DATE", help="With --overdue: as of a day (2026-11-01), or a time ago (30d); today otherwise.")
@click.option("--watch", metavar="NAME", help="With --overdue: the studies of one watch.")
@format_option
@click.pass_obj
def facts(app: App, *, overdue: bool, as_of: str | None, watch: str | None, form: str | None) -> None:
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
        _overdue(app, as_of, watch, form)
        return
    if as_of is not None or watch is not None:
        raise UsageError(f"{'--as-of' if as_of is not None else '--watch'} goes with --overdue")
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


def _overdue(app: App, as_of: str | None, watch: str | None, form: str | None) -> None:
    present = now()
    text = day(as_of, "--as-of", present) if as_of is not None else present.date().isoformat()
    with app.reader() as reader:
        if watch is not None and watch not in {row.name for row in reader.watches()}:
            raise UnknownWatch(f"no watch {watch!r} in {app.store}", hint="trialsync watches lists them")
        met = 0

        def rows() -> Iterator[dict[str, Json]]:
            nonlocal met
            for study in reader.studies(watch):
                for row in _rows_of(reader, study, date.fromisoformat(text), known_today=as_of is None):
                    met += 1
                    yield row

        with closing(cast("Generator[dict[str, Json]]", rows())) as found:
            put(found, OVERDUE, chosen(form))
    if not met:
        say(f"nothing is overdue as of {text}")


def _rows_of(reader: Reader, study: Headlines, as_of: date, *, known_today: bool) -> Iterator[dict[str, Json]]:
    """Yield what of a study is overdue; nothing of one that the registry lists no more, or that was not known on the day."""
    if study.presence is not Presence.LISTED:
        return
    try:
        version = None if known_today else reader.version_at(study.nct_id, as_of.isoformat()).number
    except BadDate:
        return
    for fact in overdue_facts(reader.study(study.nct_id, version=version), as_of):
        yield overdue_json(study.nct_id, study.title, fact)
