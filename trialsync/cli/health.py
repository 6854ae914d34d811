"""``trialsync health``: is it doing its work, for people, cron and supervisors."""

from __future__ import annotations

import sys

import click

from trialsync.cli.app import App, now, put, put_text, say
from trialsync.errors import StoreError
from trialsync.publish.render import Format, json_text
from trialsync.publish.sheets import STORE_HEALTH, WATCH_HEALTH
from trialsync.sync.health import advice, broken
from trialsync.sync.health import health as judge


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    help="How it is printed; without it a table on a terminal, one JSON object in a pipe.",
)
@click.pass_obj
def health(app: App, *, form: str | None) -> int:
    """Say whether polls are made as they should, and the registry goes on; ask nobody but the store.

    A watch is overdue when no poll of it has completed for longer than [health] overdue_after (26 hours) and its schedule wanted one. A
    watch is failing when its last three polls, or more, failed or stayed partial. The registry is stale when it was asked and showed no new
    load for three weekdays. With [backup] a nightly copy that is missing two hours after its time is overdue too. What is wrong is said on
    standard error, with what to do.

    \b
      trialsync health                          as a table
      trialsync health > /dev/null || mail …    from cron: silent where all is well

    Exit codes: 0 all is well, 3 a watch is overdue or failing, or a copy overdue, 4 the registry is stale, 2 there is no store or it can't
    be opened or written, 6 it is damaged.
    """
    as_json = not sys.stdout.isatty() if form is None else form == "json"
    try:
        with app.reader() as reader:
            found = judge(reader, app.settings, now())
    except StoreError as error:
        if as_json:
            put_text(json_text(broken(error)) + "\n")
        raise
    if as_json:
        put_text(json_text(found.json()) + "\n")
    else:
        whole = found.json()
        put(whole["watches"], WATCH_HEALTH, Format.TABLE)
        put_text("\n" if found.watches else "")
        put([whole], STORE_HEALTH, Format.TABLE)
        if not found.watches:
            say("no watch is set up: trialsync init 'https://clinicaltrials.gov/search?cond=…' makes one")
    say(*(advice(found)))
    return found.word.exit_code
