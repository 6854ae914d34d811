"""``trialsync watches``, ``fields`` and ``polls``: what is followed, the vocabulary, past polls."""

from __future__ import annotations

import sys

import click

from trialsync.cli.app import App, chosen, put, say
from trialsync.cli.changes import TERMINAL_LIMIT, format_option
from trialsync.errors import UnknownWatch
from trialsync.model import Watch
from trialsync.publish.sheets import FIELDS, POLLS, WATCHES, field_json, poll_json, watch_json
from trialsync.study.fields import ABOUT_THE_WHOLE
from trialsync.study.fields import FIELDS as VOCABULARY


@click.command()
@format_option
@click.pass_obj
def watches(app: App, *, form: str | None) -> None:
    """Print what is followed: the watches of the settings, and what the store knows of each."""
    followed = {watch.name: watch for watch in app.watches()}
    known = {}
    if app.store.exists():
        with app.reader() as reader:
            known = {row.name: row for row in reader.watches()}
    rows = []
    for name in [*followed, *(name for name in known if name not in followed)]:
        row = known.get(name)
        last, complete = (row.last, row.last_complete) if row else (None, None)
        rows.append(
            watch_json(
                followed.get(name) or Watch(name),
                studies=row.members if row else None,
                load=complete.load if complete else None,
                seen_since=row.seen.oldest if row and row.seen else None,
                sweep_due=row.seen.due(app.settings.sync.sweep_days) if row and row.seen else None,
                finished=complete.finished if complete else None,
                ended=last.ended.value if last and last.ended else None,
            )
        )
    put(rows, WATCHES, chosen(form))
    if not rows:
        say("no watch is set up: trialsync init 'https://clinicaltrials.gov/search?cond=…' makes one")


@click.command()
@format_option
@click.pass_obj
def fields(app: App, *, form: str | None) -> None:
    """Print the vocabulary: every field's name, its path in the registry's JSON, the key of its items, its tier.

    First the core, in the order of the study page, then the rest in the registry's order, then what is said of a study as a whole.
    A list with a key has a row of the change log for each item that was added or removed, and for each attribute of one that changed; where
    the list appears or vanishes whole that is one row at the field's own name.

    An item whose key was edited is still the same item, and one change of its key attribute, where more than half of what it is recognised
    by agrees: a site by its facility (Research Site says nothing), city, state and zip, and by contact persons that no other site has; an
    outcome by its measure, description and time frame; an arm by its label, type, description and interventions; persons, collaborators and
    references by most of their name or citation; a measure, class or category in results by its title and its numbers. Of all ways to pair
    two lists the best is taken, the same in both directions and in any order. A group in results goes by its title, and its numbers with
    it. Nothing is paired across lists. Mentions that only follow an arm or an intervention that was renamed are housekeeping.
    """
    del app
    put((field_json(each) for each in (*VOCABULARY, *ABOUT_THE_WHOLE)), FIELDS, chosen(form))


@click.command()
@click.option("--watch", metavar="NAME", help="The polls of one watch.")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many, 0 for all; without it 100 on a terminal, all in a pipe.")
@format_option
@click.pass_obj
def polls(app: App, *, watch: str | None, limit: int | None, form: str | None) -> None:
    """Print past polls and imports, the newest first: what each covered, and how it ended."""
    most = limit if limit is not None else TERMINAL_LIMIT if sys.stdout.isatty() else 0
    with app.reader() as reader:
        if watch is not None and watch not in {row.name for row in reader.watches()} | {each.name for each in app.watches()}:
            raise UnknownWatch(f"there is no watch {watch!r}", hint="trialsync watches lists them")
        rows = reader.polls(limit=most or None, watch=watch)
    put((poll_json(row) for row in rows), POLLS, chosen(form))
    if not rows:
        say(f"nothing was polled yet: {app.program} sync")
