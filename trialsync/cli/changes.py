"""``trialsync changes``: the change log, filtered."""

from __future__ import annotations

import itertools
import sys
from contextlib import closing
from typing import TYPE_CHECKING, cast

import click

from trialsync.cli.app import App, chosen, now, put, say
from trialsync.cli.filters import Asked, filtered
from trialsync.model import Ended
from trialsync.publish.confirmed import confirmed, counted
from trialsync.publish.render import Format, cut_footer
from trialsync.publish.sheets import CHANGES, change_json
from trialsync.store.filters import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from trialsync.model import Json, LoggedChange
    from trialsync.store.reader import Reader

TERMINAL_LIMIT = 100
"""How many rows are shown on a terminal where nobody says."""

format_option = click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in Format]),
    help="How rows are printed; without it a table on a terminal, JSON lines in a pipe.",
)


@click.command()
@filtered
@click.option("--all", "everything", is_flag=True, help="Housekeeping too, which a table and md otherwise leave out and count.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="CURSOR",
    help="Changes behind this id, oldest first: where a program reads on.",
)
@click.option("--limit", type=click.IntRange(min=0), help="At most so many rows, 0 for all; without it 100 on a terminal, all in a pipe.")
@click.option(
    "--order", type=click.Choice(["oldest", "newest"]), help="By id; without it newest on a terminal, oldest in a pipe and with --after."
)
@format_option
@click.pass_obj
def changes(
    app: App,
    *,
    asked: Asked,
    everything: bool,
    after: int | None,
    limit: int | None,
    order: str | None,
    form: str | None,
) -> None:
    """Print the change log. Filters together all hold; one that is given twice is either.

    \b
      trialsync changes --since 7d
      trialsync changes --field 'outcomes.*' --study NCT07263919
      trialsync changes --field status.overallStatus --watch parkinson --format csv
      trialsync changes --after 700 --format jsonl
    """
    present, style, terminal = now(), chosen(form), sys.stdout.isatty()
    wanted = asked.wanted(present, housekeeping=everything or style not in {Format.TABLE, Format.MD})
    most = limit if limit is not None else TERMINAL_LIMIT if terminal else 0
    newest = order == "newest" if order else terminal and after is None
    with app.reader() as reader:
        for each in wanted.studies:
            reader.headlines(each)
        if after is not None:
            reader.check_cursor(after)
        shown = 0
        # Closed before the store is: whoever reads the pipe may have had enough in the middle.
        rows = cast("Generator[LoggedChange]", reader.changes(wanted, after=after, limit=most or None, newest_first=newest))
        with closing(rows) as found:
            first = next(found, None)
            if first is None:
                put([], CHANGES, style)
                say(*_why_empty(reader, wanted, after), *_confirmed(reader, wanted))
                return

            def rows_shown() -> Iterator[dict[str, Json]]:
                nonlocal shown
                for row in itertools.chain([first], found):
                    shown += 1
                    yield change_json(row)

            cut = put(rows_shown(), CHANGES, style)
        footer = cut_footer(shown, reader.count(wanted, after=after)) if most and shown >= most else None
        hidden = reader.hidden(wanted, after=after).housekeeping
        note = f"{hidden:,} housekeeping {'change' if hidden == 1 else 'changes'} left out (--all shows them)" if hidden else None
        whole = "shortened to fit (--format jsonl has everything whole)" if cut else None
        say(*(line for line in (footer, note, whole) if line), *_confirmed(reader, wanted))


def _confirmed(reader: Reader, wanted: ChangeFilter) -> Iterator[str]:
    """Yield, for each watch that was asked for, what its last complete poll confirmed and which days nobody looked."""
    for name in wanted.watches:
        complete = [each for each in reader.polls(watch=name) if each.ended is Ended.COMPLETE]
        if not complete:
            yield f"{name}: no poll of it was complete yet"
            continue
        last, *earlier = complete
        loads = [each.load for each in earlier if each.load and each.load >= (wanted.since or "")]
        yield f"{name}: {confirmed(last, loads=loads)}"


def _why_empty(reader: Reader, wanted: ChangeFilter, after: int | None) -> list[str]:
    """Return the sentences that say why nothing was printed, and what to type next."""
    counts = reader.counts()
    if not counts.studies:
        return ["the store is empty: nothing was polled or imported yet", "  trialsync sync"]
    if after is not None and after == reader.last_id():
        return [f"nothing new: the log ends at {after}"]
    if not counts.changes and not wanted.baseline:
        studies = "1 study is" if counts.studies == 1 else f"{counts.studies:,} studies are"
        return [
            f"no changes yet: {studies} in the store as first seen, and nothing has changed since",
            "  trialsync changes --baseline     what stood there when we first saw them",
            "  trialsync sync                   ask the registry again",
        ]
    hidden = reader.hidden(wanted, after=after)
    behind = "" if after is None else f" behind {after}"
    newest = next(reader.changes(ChangeFilter(), limit=1, newest_first=True), None)
    dated = f", the last of them dated {newest.date}" if newest else ""
    lines = [f"no change{behind} matches; the log has {counts.changes:,}{dated}, and ends at {reader.last_id()}"]
    if hidden.housekeeping:
        lines.append(f"  {counted(hidden.housekeeping, 'housekeeping change matches', 'housekeeping changes match')}: --all shows them")
    if hidden.baseline:
        lines.append(f"  {counted(hidden.baseline, 'baseline row matches', 'baseline rows match')}: --baseline shows them")
    return lines
