"""``trialsync log`` and ``trialsync show``: one study, through time and at one time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from trialsync.cli.app import App, chosen, now, put, put_differences, put_text, say
from trialsync.cli.changes import format_option
from trialsync.errors import UsageError
from trialsync.model import Origin, Presence, Tier
from trialsync.model import nct_id as normal_nct_id
from trialsync.publish.render import Format, json_text
from trialsync.publish.sheets import CHANGES, DAY_CHANGES, STUDY, STUDY_CHANGES, change_json, study_rows, version_json
from trialsync.publish.text import one_line
from trialsync.store.when import day
from trialsync.sync.pages import look, page_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import LoggedChange, Version
    from trialsync.store.reader import Reader


@click.command(name="log")
@click.argument("nct_id", metavar="NCT_ID")
@click.option("--baseline", is_flag=True, help="The rows of the first version too.")
@click.option("--all", "everything", is_flag=True, help="Housekeeping too, which a table and md otherwise leave out and count.")
@format_option
@click.pass_obj
def history(app: App, nct_id: str, *, baseline: bool, everything: bool, form: str | None) -> None:
    """Print one study's versions and what changed in each; for eyes the newest first, in JSON and CSV the oldest.

    JSON formats print a version a row, with its changes inside; csv prints the changes.
    """
    number, style = normal_nct_id(nct_id), chosen(form)
    with app.reader() as reader:
        known = reader.versions(number)
        if style in {Format.TABLE, Format.MD}:
            print_log(reader, number, style, baseline=baseline, everything=everything)
            return
        rows = reader.changes_of(number, baseline=baseline)
    if style is Format.CSV:
        put((change_json(row) for row in rows), CHANGES, style)
    else:
        whole = [
            version_json(version) | {"changes": [change_json(row) for row in rows if row.version == version.number]} for version in known
        ]
        sys.stdout.write(f"{json_text(whole)}\n" if style is Format.JSON else "".join(f"{json_text(row)}\n" for row in whole))


def print_log(reader: Reader, nct_id: str, style: Format, *, baseline: bool = False, everything: bool = False) -> None:
    """Print a study's versions for a person, the newest first, each with its changes."""
    headlines = reader.headlines(nct_id)
    rows = reader.changes_of(nct_id, baseline=baseline)
    presence = "" if headlines.presence is Presence.LISTED else f"  [{headlines.presence.value}{_into(headlines.merged_into)}]"
    sys.stdout.write(f"{nct_id}  {one_line(headlines.title or '')}{presence}\n")
    for version in reversed(reader.versions(nct_id)):
        _print_version(version, [row for row in rows if row.version == version.number], style, everything=everything)


def _into(number: str | None) -> str:
    return f" into {number}" if number else ""


def _print_version(version: Version, rows: Sequence[LoggedChange], style: Format, *, everything: bool) -> None:
    shown = [row for row in rows if everything or row.tier is not Tier.HOUSEKEEPING or row.baseline]
    seen = version.seen[:16].replace("T", " ")
    if version.origin is Origin.HISTORY:
        known = f"the registry's version {version.registry_version}, fetched {seen}Z"
    else:
        known = f"load {version.load}, seen {seen}Z, {version.origin.value}{', first seen' if version.number == 1 else ''}"
    sys.stdout.write(f"\nversion {version.number}  {version.date}  ({known})\n")
    sys.stdout.flush()
    if shown:
        found = [change_json(row) for row in shown]
        put(found, DAY_CHANGES if all(row.date == version.date for row in shown) else STUDY_CHANGES, style)
        put_differences(found, style)
        sys.stdout.flush()
    left_out = len(rows) - len(shown)
    if left_out:
        say(f"{left_out:,} housekeeping {'change' if left_out == 1 else 'changes'} left out (--all shows them)")


@click.command()
@click.argument("nct_id", metavar="NCT_ID")
@click.option("--as-of", metavar="DATE", help="As it was on a day, or a time ago (30d).")
@click.option(
    "--version", "version_number", type=click.IntRange(min=1), metavar="N", help="As it was at a version (trialsync log has them)."
)
@click.option(
    "--format", "form", type=click.Choice(["page", "json", "table"]), default="page", show_default=True, help="How it is printed."
)
@click.pass_obj
def show(app: App, nct_id: str, *, as_of: str | None, version_number: int | None, form: str) -> None:
    """Print one study as it is, or as it was: as a Markdown page, as the registry's JSON, or field by field."""
    number = normal_nct_id(nct_id)
    if as_of and version_number:
        raise UsageError("--as-of and --version together name two versions", hint="give one of them")
    site = app.settings.site
    with app.reader() as reader:
        sight = look(reader, number, as_of=day(as_of, "--as-of", now()) if as_of else None, version=version_number)
        text = page_of(reader, sight, site) if form == "page" else ""
    if form == "json":
        put_text(f"{json_text(sight.study)}\n")
    elif form == "table":
        put(study_rows(sight.study), STUDY, Format.TABLE)
    else:
        put_text(text)
