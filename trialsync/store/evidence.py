"""What the store says of a study, taken out of it: whether all of that agrees needs no store, so that any process can tell.

It is read in one pass over all studies, in the one moment at which the store is looked at, and handed on a piece at a time.
"""

# ruff: noqa: S608 - statements are put together from constants

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar

from trialsync.errors import RecordError, StoreError
from trialsync.store import codec, contents
from trialsync.store.replay import logged, replay_problems
from trialsync.store.rows import headline_columns
from trialsync.store.steps import steps_of
from trialsync.study import record
from trialsync.study.diff import RULE
from trialsync.study.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trialsync.model import Study
    from trialsync.store.connection import Connection
    from trialsync.store.replay import Logged

P = ParamSpec("P")
T = TypeVar("T")

WRONG_VALUES: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What a value raises that nobody wrote: SQLite's types are as good as its file, a broken one has numbers for texts, or nothing."""

_PIECE_VERSIONS: Final = 200
_PIECE_BYTES: Final = 1 << 20
_COLUMNS: Final = ("nct_id", *headline_columns({}))
_SAID: Final = (
    f"SELECT s.id, s.version, {', '.join(f's.{column}' for column in _COLUMNS)}, "
    "v.number, v.fingerprint, c.content, v.id, v.date, v.origin, v.rule "
    f"FROM studies s LEFT JOIN versions v ON v.nct_id = s.nct_id LEFT JOIN {contents.JOINED}"
)
_ORDERED: Final = "ORDER BY s.id, v.number DESC"


class Helpers(Protocol):
    """Processes that call functions of a module for whoever wants their results."""

    @property
    def depth(self) -> int:
        """Return how many pieces of work it pays to have under way."""

    def begin(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Have a function called; return what gives its result, or raises what it raised, waiting for it where it must."""


class Alone:
    """Nobody who helps: the work is done when its result is wanted."""

    depth: Final = 0

    def begin(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Return what does the work."""
        return partial(work, *args, **options)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the store says of a study: the number of its latest version, the columns that this fills, and its versions, newest first.

    A version is its number, fingerprint and content as it is kept, ``None`` where there is none. ``filed`` are the versions' rows as
    ``steps_of`` reads them, ``logged`` the log's rows by the id of the version that they lead to; both are empty where there is nothing
    to replay.
    """

    nct_id: str
    latest: int
    columns: tuple[Any, ...]
    versions: list[tuple[int, str, bytes | None]] = field(default_factory=list)
    filed: list[tuple[Any, ...]] = field(default_factory=list)
    logged: dict[int, list[Logged]] = field(default_factory=dict)


def evident_problems(connection: Connection, helpers: Helpers) -> Iterator[tuple[int, list[str]]]:
    """Yield of some studies after the other, by id, how many they are and what is wrong with them.

    Where the store can't be read on, what is wrong with the studies before that is told, and then raised what reading raises.
    """
    waiting: deque[tuple[int, Callable[[], list[str]]]] = deque()
    try:
        for piece in _pieces(connection):
            waiting.append((len(piece), helpers.begin(problems, piece)))
            if len(waiting) > helpers.depth:
                count, result = waiting.popleft()
                yield count, result()
    except Exception:
        for count, result in waiting:
            yield count, result()
        raise
    for count, result in waiting:
        yield count, result()


def _pieces(connection: Connection) -> Iterator[list[Evidence]]:
    piece: list[Evidence] = []
    versions = size = 0
    try:
        for rows in _studies(connection):
            each = _evidence(connection, rows)
            piece.append(each)
            versions += len(each.versions)
            size += sum(len(blob) for _, _, blob in each.versions if blob is not None)
            if versions >= _PIECE_VERSIONS or size >= _PIECE_BYTES:
                yield piece
                piece, versions, size = [], 0, 0
    except Exception:
        yield piece
        raise
    yield piece


def _studies(connection: Connection) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of one study after the other."""
    rows: list[tuple[Any, ...]] = []
    try:
        for row in connection.rows(f"{_SAID} {_ORDERED}"):
            if rows and row[0] != rows[0][0]:
                yield rows
                rows = []
            rows.append(row)
    except StoreError:
        # What can't be read may be the next study's.
        if rows:
            yield list(connection.rows(f"{_SAID} WHERE s.id = ? {_ORDERED}", (rows[0][0],)))
        raise
    if rows:
        yield rows


def _evidence(connection: Connection, rows: list[tuple[Any, ...]]) -> Evidence:
    _, latest, *columns = rows[0][: 2 + len(_COLUMNS)]
    versions = [row[2 + len(_COLUMNS) :] for row in rows]
    found = Evidence(columns[0], latest, tuple(columns[1:]), [row[:3] for row in versions if row[0] is not None])
    # Where there is one version there is nothing to replay.
    if len(versions) > 1:
        found.filed.extend(row[3:] for row in reversed(versions))
        found.logged.update((row[3], logged(connection, row[3])) for row in versions if row[6] == RULE)
    return found


def problems(piece: list[Evidence]) -> list[str]:
    """Return what is wrong with some studies, one sentence each."""
    return [problem for each in piece for problem in _problems(each)]


def _problems(found: Evidence) -> list[str]:
    wrong: list[str] = []
    try:
        wrong.extend(_content_problems(found))
        if not wrong and found.filed:
            studies = contents.from_first(found.nct_id, [(number, blob) for number, _, blob in reversed(found.versions)])
            wrong.extend(replay_problems(found.nct_id, steps_of(found.filed, studies), found.logged))
    except WRONG_VALUES as error:
        wrong.append(f"{found.nct_id}: a value is not what any trialsync writes: {error}")
    return wrong


def _content_problems(found: Evidence) -> Iterator[str]:
    """Yield what is wrong with a study's versions, newest first, each read through the one before, and with its row."""
    nct_id = found.nct_id
    newer: bytes | None = None
    expected = found.latest
    for number, mark, blob in found.versions:
        if number != expected:
            yield f"{nct_id}: version {number} where {expected} is due"
        expected = number - 1
        if blob is None:
            yield f"{nct_id} version {number} has no content"
            newer = None
            continue
        try:
            newer = codec.unpack(blob, newer)
            study = codec.study(newer)
            if fingerprint(study) != mark:
                yield f"{nct_id} version {number} is not what its fingerprint says"
        except (codec.BadBlob, RecordError) as error:
            yield f"{nct_id} version {number} can't be read: {error}"
            newer = None
            continue
        if number == found.latest:
            yield from _row_problems(found, study)
    if expected != 0:
        yield f"{nct_id}: its first version is missing"


def _row_problems(found: Evidence, study: Study) -> Iterator[str]:
    """Yield which columns of a study's row are not what its latest version says."""
    wanted = {"nct_id": record.nct_id(study), **headline_columns(study)}
    for column, stands in zip(_COLUMNS, (found.nct_id, *found.columns), strict=True):
        if stands != wanted[column]:
            yield f"{found.nct_id}: the study's row has another {column} than its latest version"
