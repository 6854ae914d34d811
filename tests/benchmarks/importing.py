"""Importing a load: its speed against a bare loop, and the size of the store that it leaves."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import orjson

from trialsync.registry import files
from trialsync.store import schema
from trialsync.store.writer import Writer
from trialsync.sync.load import load

from .corpus import first_load
from .measuring import Result, alternate, say, seconds

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEED_BUDGET = 0.5
SIZE_BUDGET = 0.30
ROUNDS = 7


def run() -> Iterator[Result]:
    """Import the first load again and again, in turns with the bare loop; then weigh the store."""
    texts = first_load()
    size = sum(map(len, texts))
    with TemporaryDirectory(prefix="trialsync-benchmark-") as folder:
        source = Path(folder, "studies.jsonl")
        source.write_bytes(b"\n".join(texts) + b"\n")
        mine, bare = alternate(
            lambda: import_with_trialsync(source, fresh(folder, "ours.db")),
            lambda: import_with_a_bare_loop(source, fresh(folder, "bare.db")),
            rounds=ROUNDS,
            clock=perf_counter,
        )
        weight = sum(path.stat().st_size for path in Path(folder).glob("ours.db*"))
    say(f"  {len(texts):,} studies, {size:,} bytes of JSON, {len(texts) / mine:,.0f} studies a second")
    yield Result("import: speed", seconds(mine), seconds(bare), bare / mine, SPEED_BUDGET, at_least=True)
    yield Result("import: size of the store", f"{weight:,} bytes", f"{size:,} bytes", weight / size, SIZE_BUDGET)


def fresh(folder: str, name: str) -> Path:
    """Return a path where nothing is."""
    for path in Path(folder).glob(f"{name}*"):
        path.unlink()
    return Path(folder, name)


def import_with_trialsync(source: Path, store: Path) -> None:
    """Do what ``trialsync import`` does, without the terminal."""
    schema.create(store)
    with Writer.open(store, now=now, command="benchmark") as writer:
        for outcome in load(files.read([source]), writer=writer, now=now):
            assert not outcome.skipped


def import_with_a_bare_loop(source: Path, store: Path) -> None:
    """Parse, dump sorted, digest, compress, insert one row."""
    with closing(sqlite3.connect(store)) as connection, source.open("rb") as lines:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE versions (nct_id TEXT PRIMARY KEY, digest BLOB, content BLOB) STRICT")
        with connection:
            for line in lines:
                study = orjson.loads(line)
                text = orjson.dumps(study, option=orjson.OPT_SORT_KEYS)
                nct_id = study["protocolSection"]["identificationModule"]["nctId"]
                row = (nct_id, blake2b(text, digest_size=16).digest(), zstd.compress(text))
                connection.execute("INSERT INTO versions VALUES (?, ?, ?)", row)


def now() -> datetime:
    """Return the instant."""
    return datetime.now(UTC)
