"""``trialsync diff``: what changed between two dates, of a study or of a whole watch."""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING

import click

from trialsync.cli.app import App, chosen, flush, now, put, put_differences, put_text, say
from trialsync.cli.changes import format_option
from trialsync.cli.progress import progress
from trialsync.errors import UsageError
from trialsync.model import nct_id as normal_nct_id
from trialsync.publish.between import NET, heading, net_json, summary, told, untold
from trialsync.publish.render import Format
from trialsync.publish.text import inline_markdown
from trialsync.store.when import day
from trialsync.sync.between import WatchComparison, not_seen_since, study_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json
    from trialsync.study.net import Between


@click.command()
@click.argument("nct_id", metavar="[NCT_ID]", required=False)
@click.option("--watch", metavar="NAME", help="Every study of a watch, those that joined and left it too.")
@click.option("--from", "start", metavar="DATE", required=True, help="The earlier date: a day (2026-02-18), or a time ago (90d, 12h).")
@click.option("--to", "end", metavar="DATE", help="The later date; now where it is not given.")
@click.option("--all", "everything", is_flag=True, help="Housekeeping too, which a table and md otherwise leave out and count.")
@format_option
@click.pass_obj
def diff(app: App, nct_id: str | None, *, watch: str | None, start: str, end: str | None, everything: bool, form: str | None) -> None:
    """Print what changed between two dates, all in all: one difference a path, whatever steps led there.

    Compared are the versions that held at the end of the two days. A table names the steps of the change log where there were several, and
    shows long texts word by word: {+inserted+}, [-deleted-]. What changed and changed back is told at the foot; in JSON and CSV it is a row
    whose kind is null.

    \b
      trialsync diff NCT07263919 --from 2026-05-01
      trialsync diff --watch parkinson --from 90d --format md > since-the-last-search.md
    """
    if (nct_id is None) == (watch is None):
        raise UsageError("trialsync diff compares a study or a watch", hint="give an NCT number, or --watch NAME")
    present, style = now(), chosen(form)
    first, last = day(start, "--from", present), day(end, "--to", present) if end else day("0d", "--to", present)
    number = normal_nct_id(nct_id) if nct_id else None
    # A bar between rows that are printed to the same terminal would break both.
    with app.reader() as reader, progress("comparing", "studies", shown=number is None and not sys.stdout.isatty()) as ticks:
        if number:
            studies: Iterator[Between] = iter((study_between(reader, number, first, last),))
            shown = not_seen_since(reader, number, last)
            foot = [f"{number} was last seen in load {shown}: what became of it after that is not known"] if shown else []
        else:
            comparison = WatchComparison(reader, watch or "", first, last)
            studies, foot = comparison.studies(ticks), []
        if style not in {Format.TABLE, Format.MD}:
            put(chain.from_iterable(net_json(study) for study in studies), NET, style)
        else:
            printed = _Printed(style, everything=everything, alone=number is not None)
            foot_of_rows = list(untold(chain.from_iterable(map(printed.rows, studies)), housekeeping=everything))
        if not number:
            foot = list(summary(comparison.summary()))
    if style in {Format.TABLE, Format.MD}:
        if number and not printed.any:
            foot = [f"nothing differs between {first} and {last}{', as far as is known' if foot else ''}", *foot]
        foot += foot_of_rows
    if style is Format.MD:
        # A report that is put into a file needs its foot too.
        put_text("".join(f"\n{inline_markdown(line)}\n" for line in foot))
    else:
        flush()
        say(*foot)


class _Printed:
    """Prints differences for a person, study by study."""

    def __init__(self, style: Format, *, everything: bool, alone: bool) -> None:
        self._style = style
        self._everything = everything
        self._alone = alone
        self.any = False

    def rows(self, study: Between) -> list[dict[str, Json]]:
        """Print a study's differences, its name above them; return all its rows."""
        rows = net_json(study)
        shown = told(rows, housekeeping=self._everything)
        self.any = self.any or bool(shown)
        if shown or self._alone:
            line = heading(study)
            put_text(f"## {inline_markdown(line)}\n\n" if self._style is Format.MD else f"{line}\n")
        if shown:
            put(shown, NET, self._style)
            put_differences(shown, self._style)
            if not self._alone:
                put_text("\n")
        return rows
