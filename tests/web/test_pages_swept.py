"""Pages over a large watch, of which a load shows what moved and a share: they say in which loads its studies were last seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from following import DAYS, World, invent, publish
from visiting import settings_of, visitor

from trialsync.model import Watch
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from pathlib import Path

STUDIES = [invent(number, first_posted=f"2025-{1 + number % 12:02d}-{1 + number // 12:02d}") for number in range(1, 29)]


def test_only_a_watch_that_one_load_showed_is_confirmed_in_it(tmp_path: Path) -> None:
    """The first page, the watches' pages, the metrics and llms.txt name one load after a whole walk, and two where a part was swept."""
    world = World(tmp_path, publish(STUDIES, [], []))
    watch, policy = Watch("all", everything=True), Policy(incremental_above=3)
    web = visitor(world.store, settings_of(tmp_path, '[[watch]]\nname = "all"\neverything = true\n'))

    def words(path: str) -> str:
        """Return a page's words, without its elements."""
        return " ".join(re.sub(r"<[^>]+>", "", web.get(path, Accept="text/html").text).split())

    world.poll(watch, policy=policy)
    assert f"all 29 studies, confirmed in load {DAYS[0]}" in words("/")
    assert f"as of the registry's load of {DAYS[0]}." in web.get("/llms.txt").text
    for _ in range(2):
        world.next(watch, policy=policy)
    assert f"all 29 studies, last seen in loads {DAYS[0]} to {DAYS[2]}" in words("/")
    swept = f"last seen in loads {DAYS[0]} to {DAYS[2]}, again by 2026-02-09"
    assert f"29 studies; {swept}" in words("/watches")
    assert f"Every study was {swept}. The last complete poll:" in words("/watches/all")
    assert f"as of the registry's loads of {DAYS[0]} to {DAYS[2]}." in web.get("/llms.txt").text
    (row,) = web.get("/api/watches").json()["watches"]
    assert (row["load"], row["seen_since"], row["sweep_due"]) == (DAYS[2], DAYS[0], "2026-02-09")
    assert 'trialsync_seen_since_timestamp_seconds{watch="all"} 1.7699904e+09' in web.get("/metrics").text
