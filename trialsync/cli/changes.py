"""``trialsync changes``: the change log, filtered."""

from __future__ import annotations

import itertools
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import click

from trialsync.cli.app import App, chosen, now, put, put_lines, put_text, say
from trialsync.cli.filters import Asked, filtered
from trialsync.cli.remembered import begun, ordered, reading_as
from trialsync.model import Ended
from trialsync.publish.confirmed import confirmed, counted, in_loads
from trialsync.publish.line import line
from trialsync.publish.render import Format, cut_footer
from trialsync.publish.sheets import CHANGES, change_json
from trialsync.store.filters import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator

    from trialsync.model import Json, LoggedChange
    from trialsync.publish.line import Line
    from trialsync.store.ranges import Counted
    from trialsync.store.reader import Reader

TERMINAL_LIMIT = 100
"""How many rows are shown on a terminal where nobody says."""

_LOOKED = 100_000
"""So many candidates are looked at to say how many changes there are beside those that are shown."""

_NOTICES_SHOWN = 3

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
@click.option(
    "--since-last",
    metavar="NAME",
    help="What was recorded since the last time that NAME asked, the oldest first. Its place is one in the log, whatever the filters were, "
    "and moves once the output was written. The first time of a NAME prints nothing, unless --since or --seen-since says from when; "
    "with --after it goes on from there.",
)
@click.option(
    "--rows", "every_row", is_flag=True, help="Every change a row, where a table and md otherwise have a line for each study and day."
)
@format_option
@click.pass_obj
def changes(
    app: App,
    *,
    asked: Asked,
    everything: bool,
    every_row: bool,
    after: int | None,
    limit: int | None,
    order: str | None,
    since_last: str | None,
    form: str | None,
) -> None:
    """Print the change log. Filters together all hold; one that is given twice is either.

    A table and md say in a line what happened to a study on a day, the most important first; --limit counts changes, and no day is shown by
    half. Other formats, and --rows, have every change by itself. A list that appears or vanishes whole is one row at its own name, with all
    its members; facts of such a row count them.

    Rows stand in the order of their ids, in which they were recorded, the newest first on a terminal: what was backfilled later stands
    behind what it precedes by date. To sort by date, take JSON or CSV.

    \b
      trialsync changes --since 7d
      trialsync changes --field 'outcomes.*' --study NCT07263919
      trialsync changes --field status.overallStatus --watch parkinson --format csv
      trialsync changes --after 700 --format jsonl
      trialsync changes --since-last morning --format md     from cron: a digest, or nothing
    """
    present, style, terminal = now(), chosen(form), sys.stdout.isatty()
    wanted = asked.wanted(present, housekeeping=everything or style not in {Format.TABLE, Format.MD})
    most = limit if limit is not None else TERMINAL_LIMIT if terminal else 0
    lines = style in {Format.TABLE, Format.MD} and not every_row
    if since_last is not None:
        newest = ordered(order, limit)
        with reading_as(app, since_last, asked, after, present) as reading:
            _check_studies(reading.reader, wanted)
            if reading.begins:
                begun(since_last, reading.reader)
                reading.done(None)
                return
            heading = reading.heading() if style is Format.MD else None
            how = _How(style, reading.after, 0 if newest else most, newest=newest, lines=lines, program=app.program)
            reading.done(_print(reading.reader, wanted, how, heading=heading, quiet=not terminal))
        return
    newest = order == "newest" if order else terminal and after is None
    with app.reader() as reader:
        _check_studies(reader, wanted)
        if after is not None:
            reader.check_cursor(after)
        _print(reader, wanted, _How(style, after, most, newest=newest, lines=lines, program=app.program))


@dataclass(frozen=True, slots=True)
class _How:
    """How rows are printed: ``most`` is the most of them, 0 for all; ``lines`` is one for each study and day.

    ``program`` is the command as it is typed.
    """

    style: Format
    after: int | None
    most: int
    newest: bool
    lines: bool
    program: str


@dataclass(frozen=True, slots=True)
class _Printed:
    """What was printed: how many rows, the last row's id, what is worth saying of it, and the loads (ISO days) that the rows are of."""

    rows: int
    last: int
    note: str | None
    loads: frozenset[str] = frozenset()


def _check_studies(reader: Reader, wanted: ChangeFilter) -> None:
    for each in wanted.studies:
        reader.headlines(each)


def _print(reader: Reader, wanted: ChangeFilter, how: _How, *, heading: str | None = None, quiet: bool = False) -> int | None:
    """Print the rows, and what there is to say of them; return the last row's id where ``most`` cut them, otherwise ``None``.

    ``heading`` stands above rows; ``quiet`` says nothing where there are none.
    """
    style, after = how.style, how.after
    printed = (_put_lines if how.lines else _put_rows)(reader, wanted, how, heading)
    if not printed.rows:
        if not (quiet and style is Format.MD):
            put([], CHANGES, style if style is not Format.MD or not how.lines else Format.TABLE)
        if not quiet:
            say(*_why_empty(reader, wanted, after, how.program), *_confirmed(reader, wanted))
        return None
    total, whole = printed.rows, True
    told: int | str = total
    if how.most and printed.rows >= how.most:
        found = reader.counted(wanted, after=after, looked=_LOOKED)
        total, whole = max(total, found.rows), found.whole
        # In round numbers it has to be more than what is shown.
        told = total if whole else str(found) if found.rows >= 2 * printed.rows else "more"
    hidden = reader.quiet(wanted, after=after, looked=_LOOKED)
    note = f"{_told(hidden, 'housekeeping change')} left out (--all shows them)" if hidden.rows else None
    footer = cut_footer(printed.rows, told, "changes" if how.lines else None)
    say(*(each for each in (footer, note, printed.note) if each), *_notices(reader, printed.loads), *_confirmed(reader, wanted))
    return printed.last if printed.rows < total or not whole else None


def _put_rows(reader: Reader, wanted: ChangeFilter, how: _How, heading: str | None) -> _Printed:
    """Print every change by itself."""
    shown = last = 0
    loads: set[str] = set()
    # Closed before the store is: whoever reads the pipe may have had enough in the middle.
    rows = cast("Generator[LoggedChange]", reader.changes(wanted, after=how.after, limit=how.most or None, newest_first=how.newest))
    with closing(rows) as found:
        first = next(found, None)
        if first is None:
            return _Printed(0, 0, None)

        def rows_shown() -> Iterator[dict[str, Json]]:
            nonlocal shown, last
            for row in itertools.chain([first], found):
                shown, last = shown + 1, row.id
                loads.add(row.load)
                yield change_json(row)

        if heading:
            put_text(f"{heading}\n\n")
        cut = put(rows_shown(), CHANGES, how.style)
    return _Printed(shown, last, "shortened to fit (--format jsonl has everything whole)" if cut else None, frozenset(loads))


def _put_lines(reader: Reader, wanted: ChangeFilter, how: _How, heading: str | None) -> _Printed:
    """Print a line for each study and day."""
    blocks = (
        iter([reader.study_days(wanted, after=how.after, limit=how.most, newest_first=how.newest)])
        if how.most
        else reader.study_days_in_blocks(wanted, after=how.after, newest_first=how.newest)
    )
    days = rows = last = 0
    loads: set[str] = set()

    def lines_shown() -> Iterator[Line]:
        nonlocal days, rows, last
        for found in blocks:
            if heading and found.days and not days:
                put_text(f"{heading}\n\n")
            days, rows, last = days + len(found.days), rows + found.rows, max(last, found.last)
            for ids in found.days.values():
                logged = reader.logged(ids)
                loads.update(row.load for row in logged)
                yield line(logged)

    put_lines(lines_shown(), how.style)
    told = f"{counted(days, 'line', 'lines')} of {counted(rows, 'change', 'changes')} (--rows shows each)"
    return _Printed(rows, last, told if sys.stdout.isatty() else None, frozenset(loads))


def _notices(reader: Reader, loads: Collection[str]) -> Iterator[str]:
    """Yield what the registry itself changed in many studies at once in these loads, the largest first, and how much more there is."""
    found = sorted(reader.notices(loads), key=lambda notice: -notice.studies)
    yield from (notice.text for notice in found[:_NOTICES_SHOWN])
    if len(found) > _NOTICES_SHOWN:
        yield f"and {counted(len(found) - _NOTICES_SHOWN, 'more such change', 'more such changes')} (table notices of the store)"


def _confirmed(reader: Reader, wanted: ChangeFilter) -> Iterator[str]:
    """Yield, for each watch that was asked for, what its last complete poll confirmed and which days nobody looked."""
    for name in wanted.watches:
        complete = [each for each in reader.polls(watch=name) if each.ended is Ended.COMPLETE]
        if not complete:
            yield f"{name}: no poll of it was complete yet"
            continue
        last, *earlier = complete
        loads = [each.load for each in earlier if each.load and each.load >= (wanted.since or "")]
        seen = reader.seen_of(name)
        others = "" if seen is None or seen.at_once else f"; every study was last seen in {in_loads(seen.oldest, seen.newest)}"
        yield f"{name}: {confirmed(last, loads=loads)}{others}"


def _why_empty(reader: Reader, wanted: ChangeFilter, after: int | None, program: str) -> list[str]:
    """Return the sentences that say why nothing was printed, and what to type next."""
    studies, changes = reader.study_count(), reader.change_count(_LOOKED)
    if not studies:
        return ["the store is empty: nothing was polled or imported yet", f"  {program} sync"]
    if after is not None and after == reader.last_id():
        return [f"nothing new: the log ends at {after}"]
    if not changes.rows and not wanted.baseline:
        # Nothing but the baseline was ever written: the last id is how much that is.
        last = reader.last_id()
        rows = f", about {last:,} rows" if last > TERMINAL_LIMIT else ""
        are = "1 study is" if studies == 1 else f"{studies:,} studies are"
        return [
            f"no changes yet: {are} in the store as first seen, and nothing has changed since",
            f"  {program} changes --baseline     what stood there when we first saw them{rows}",
            f"  {program} sync                   ask the registry again",
        ]
    hidden = reader.hidden(wanted, after=after, looked=_LOOKED)
    behind = "" if after is None else f" behind {after}"
    newest = next(reader.changes(ChangeFilter(), limit=1, newest_first=True), None)
    dated = f", the last of them dated {newest.date}" if newest else ""
    lines = [f"no change{behind} matches; the log has {changes}{dated}, and ends at {reader.last_id()}"]
    if hidden.housekeeping.rows:
        lines.append(f"  {_told(hidden.housekeeping, 'housekeeping change', 'matches', 'match')}: --all shows them")
    if hidden.baseline.rows:
        lines.append(f"  {_told(hidden.baseline, 'baseline row', 'matches', 'match')}: --baseline shows them")
    return lines


def _told(number: Counted, noun: str, verb: str = "", verbs: str = "") -> str:
    """Return a count in words, in round numbers where it was not counted to the end."""
    one, many = f"{noun} {verb}".rstrip(), f"{noun}s {verbs}".rstrip()
    return counted(number.rows, one, many) if number.whole else f"{number} {many}"
