"""Rows as a Parquet file: typed columns, written row group by row group, so that memory stays flat. The only importer of pyarrow."""

from __future__ import annotations

import importlib
from datetime import date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from trialsync.errors import ExportError
from trialsync.model import is_day
from trialsync.publish.extracts import Type
from trialsync.publish.render import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from trialsync.model import Json
    from trialsync.publish.extracts import Column

_ROWS: Final = 20_000
_BYTES: Final = 32_000_000
_BATCH_ROWS: Final = 1_000
_BATCH_BYTES: Final = 4_000_000


def write(rows: Iterable[dict[str, Json]], columns: tuple[Column, ...], file: BinaryIO) -> None:
    """Write rows into an open file. Days become date32, instants timestamps in UTC, lists lists; what may be any JSON is JSON text.

    A day that is none (the registry's text can be anything) is null. A row group ends after twenty thousand rows, or after some 32 MB.
    Raises ExportError where pyarrow is not installed.
    """
    arrow = arrow_or_error()
    types = {
        Type.TEXT: arrow.string(),
        Type.INTEGER: arrow.int64(),
        Type.BOOLEAN: arrow.bool_(),
        Type.DAY: arrow.date32(),
        Type.INSTANT: arrow.timestamp("ms", tz="UTC"),
        Type.TEXTS: arrow.list_(arrow.string()),
        Type.JSON: arrow.string(),
    }
    schema = arrow.schema(
        [arrow.field(column.name, types[column.type], metadata={"about": column.about, "type": column.type.value}) for column in columns]
    )
    with importlib.import_module("pyarrow.parquet").ParquetWriter(file, schema, compression="zstd") as writer:
        group: list[Any] = []
        count = size = 0
        # Arrow needs a part of what Python takes for the same values: few are Python's at a time.
        for batch in _batches(rows, columns, lambda values: arrow.record_batch(values, schema=schema)):
            group.append(batch)
            count, size = count + batch.num_rows, size + batch.nbytes
            if count >= _ROWS or size >= _BYTES:
                writer.write_table(arrow.Table.from_batches(group))
                group, count, size = [], 0, 0
        if group:
            writer.write_table(arrow.Table.from_batches(group))


def _batches(rows: Iterable[dict[str, Json]], columns: tuple[Column, ...], made: Callable[[dict[str, list[Any]]], Any]) -> Iterator[Any]:
    """Yield what is ``made`` of the values of some rows, column by column: of a thousand, or of fewer where they are large."""
    rest = iter(rows)
    while (first := next(rest, None)) is not None:
        values: dict[str, list[Any]] = {column.name: [] for column in columns}
        size = 0
        for count, row in enumerate(chain((first,), rest), 1):
            for column in columns:
                value = _value(row.get(column.name), column.type)
                size += len(value) if isinstance(value, str) else 8
                values[column.name].append(value)
            if count >= _BATCH_ROWS or size >= _BATCH_BYTES:
                break
        yield made(values)


def arrow_or_error() -> Any:
    """Return pyarrow, or raise ExportError with the command that installs it."""
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ExportError(
            "Parquet needs pyarrow, which is not installed", hint="pip install '.[parquet]' in a clone, 'trialsync[parquet]' elsewhere"
        ) from error


def _value(value: Json, kind: Type) -> Any:
    if value is None:
        return None
    match kind:
        case Type.DAY:
            return date.fromisoformat(value) if is_day(value) else None
        case Type.INSTANT:
            return datetime.fromisoformat(value)
        case Type.JSON:
            return json_text(value)
        case _:
            return value
