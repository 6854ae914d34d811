"""Deciding that a study is unchanged: with its parsing, against parsing and digesting; by itself, against parsing."""

from __future__ import annotations

from hashlib import blake2b
from time import process_time
from typing import TYPE_CHECKING

import orjson

from trialsync.study.fingerprint import bytes_digest

from .corpus import dated, first_load, stamped
from .measuring import Result, alternate, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

BUDGET = 1.2
DECISION_BUDGET = 1.0
ROUNDS = 9


def run() -> Iterator[Result]:
    """Decide for each study of the first load, as the next load sends it, that it is what it was."""
    known = [bytes_digest(raw) for raw in first_load()]
    day = dated()[0]["load"]
    texts = [stamped(line["study"], "2026-12-31") for line in dated() if line["load"] == day]

    def ours() -> None:
        for raw, digest in zip(texts, known, strict=True):
            orjson.loads(raw)
            assert bytes_digest(raw) == digest is not None

    def decide() -> None:
        for raw, digest in zip(texts, known, strict=True):
            assert bytes_digest(raw) == digest is not None

    def parse() -> None:
        for raw in texts:
            orjson.loads(raw)

    def reference() -> None:
        for raw in texts:
            orjson.loads(raw)
            blake2b(raw, digest_size=16).digest()

    mine, bare = alternate(ours, reference, rounds=ROUNDS, clock=process_time)
    yield Result("unchanged: parse and decide", seconds(mine), seconds(bare), mine / bare, BUDGET)
    mine, bare = alternate(decide, parse, rounds=ROUNDS, clock=process_time)
    yield Result("unchanged: decide, against parsing", seconds(mine), seconds(bare), mine / bare, DECISION_BUDGET)
