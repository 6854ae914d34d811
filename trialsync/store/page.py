"""One transaction a page, and what the writer remembers beside the store: kept with the page, or dropped with it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from trialsync.store.connection import Connection


class Pages:
    """A connection to write through, page by page; the parts of a writer extend ``_keep`` and ``_drop``."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self.path = connection.path
        self._db = connection
        self._now = now
        self._in_page = False

    @property
    def connection(self) -> Connection:
        """Return the connection that pages are written through, for reading what stands in between."""
        return self._db

    @contextmanager
    def page(self) -> Iterator[None]:
        """Hold one transaction: after an error nothing of it is kept. Pages never nest.

        Raises StoreUnwritable where the disk is full or read-only; the store then stands as before the page.
        """
        if self._in_page:
            raise RuntimeError("a page within a page")
        self._in_page = True
        try:
            with self._db.atomic():
                yield
        except BaseException:
            self._drop()
            raise
        else:
            self._keep()
        finally:
            self._in_page = False

    def _check_page(self) -> None:
        if not self._in_page:
            raise RuntimeError("what changes a study belongs inside page()")

    def _keep(self) -> None:
        """Remember what the page added."""

    def _drop(self) -> None:
        """Forget what the page added."""
