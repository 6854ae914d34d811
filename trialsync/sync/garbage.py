"""Python's search for cyclic garbage, of which records have none."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def few_collections() -> Iterator[None]:
    """Let Python look for cyclic garbage seldom: walking over all records held again and again takes longer than parsing them."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
