"""A large watch, of which a load shows what moved and a share: only what a load showed is called confirmed in it, on every face."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from following import DAYS, World, invent, number_of, publish, status
from terminal import Terminal

from trialsync.model import Watch
from trialsync.store.sightings import Seen
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STUDIES: Final = [invent(number, first_posted=f"2025-{1 + number % 12:02d}-{1 + number // 12:02d}") for number in range(1, 29)]
SWEPT: Final = {"name": "all", "everything": True}
LARGE_POLICY: Final = Policy(incremental_above=3)
LARGE: Final = "[sync]\nincremental_above = 0\n"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal where a bulk download of the first load was imported, and the second and third were synced; one study changed."""
    loads = publish(STUDIES, [status(STUDIES[0], "COMPLETED", DAYS[1])], [], [])
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.settings(SWEPT, text=LARGE)
        terminal.ok("init")
        sandbox = terminal.serve(loads)
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
            for study in sandbox.studies().values():
                labelled = study | {"derivedSection": {"miscInfoModule": {"versionHolder": DAYS[0]}}}
                packed.writestr(f"{number_of(study)[-2:]}/{number_of(study)}.json", json.dumps(labelled))
        terminal.ok("import", "all.zip")
        for _ in range(2):
            sandbox.advance()
            terminal.ok("sync")
        yield terminal


def covered(cli: Terminal) -> list[dict[str, Any]]:
    """Return the rows of an export of the coverage."""
    cli.ok("export", "coverage.jsonl", "--what", "coverage")
    return [json.loads(line) for line in (cli.folder / "coverage.jsonl").read_text().splitlines()]


def test_only_what_a_load_showed_is_confirmed_in_it(cli: Terminal) -> None:
    """The numbers of a comparison are those of the coverage: so many confirmed in the last load, so many last seen in earlier ones."""
    loads = Counter(row["last_load"] for row in covered(cli) if row["nct_id"] not in {"NCT99000001", number_of(STUDIES[0])})
    assert set(loads) == set(DAYS[:3])
    foot = cli.ok("diff", "--watch", "all", "--from", DAYS[0], "--to", DAYS[2]).err
    earlier = f"{loads[DAYS[0]] + loads[DAYS[1]]} last seen in loads {DAYS[0]} to {DAYS[1]}"
    assert f"29 studies: 2 changed, {loads[DAYS[2]]} confirmed unchanged in load {DAYS[2]}, {earlier}, 0 new, 0 left" in foot


def test_a_study_that_was_not_seen_since_says_so(cli: Terminal) -> None:
    """Of a study that the last load did not show a comparison says when it was last seen; of one that it showed, nothing more."""
    rows = covered(cli)
    old = next(row["nct_id"] for row in rows if row["last_load"] == DAYS[0])
    new = next(row["nct_id"] for row in rows if row["last_load"] == DAYS[2] and row["versions"] == 1)
    said = cli.ok("diff", old, "--from", DAYS[0], "--to", DAYS[2], "--format", "table").err
    assert said.splitlines() == [
        f"nothing differs between {DAYS[0]} and {DAYS[2]}, as far as is known",
        f"{old} was last seen in load {DAYS[0]}: what became of it after that is not known",
    ]
    assert cli.ok("diff", new, "--from", DAYS[0], "--to", DAYS[2], "--format", "table").err == (
        f"nothing differs between {DAYS[0]} and {DAYS[2]}\n"
    )


def test_how_far_the_sweep_is(cli: Terminal) -> None:
    """The list of watches, their health and the log's foot say since which load every study was seen, and by when again."""
    (row,) = cli.ok("watches").rows
    assert (row["load"], row["seen_since"], row["sweep_due"]) == (DAYS[2], DAYS[0], "2026-02-09")
    assert f"{DAYS[0]}, again by 2026-02-09" in cli.ok("watches", "--format", "table").out
    assert json.loads(cli("health", "--format", "json").out)["watches"][0]["seen_since"] == DAYS[0]
    assert f"; every study was last seen in loads {DAYS[0]} to {DAYS[2]}\n" in cli.ok("changes", "--watch", "all").err
    manifest = json.loads((cli.folder / "coverage.jsonl.manifest.json").read_text()) if covered(cli) else {}
    assert manifest["seen_since"] == {"all": DAYS[0]}


def test_days_on_which_nobody_looked_reach_to_the_newest_load(cli: Terminal) -> None:
    """Of a study that the newest loads did not show the coverage counts their days, though no later load showed it."""
    of_loads = {tuple(row["load_dates"]): (row["weekdays_not_observed"], row["not_observed"]) for row in covered(cli)}
    assert of_loads[DAYS[:1]] == (2, [f"{DAYS[1]}/{DAYS[2]}"])
    assert of_loads[DAYS[:2]] == (1, [DAYS[2]])
    assert of_loads[DAYS[0], DAYS[2]] == (1, [DAYS[1]])


def test_an_older_download_is_no_fault(cli: Terminal) -> None:
    """A download from before the last sync says what of it was left out and what the next sync does, and ends with 0; so it does."""
    ran = cli.ok("import", "all.zip")
    assert ran.err.splitlines()[-2:] == [
        "  2 are older than what the store has, and were left out",
        f"  it is older than what was polled: the next trialsync sync of all goes on from its last poll, of load {DAYS[2]}",
    ]
    assert "nothing new, still load" in cli.ok("sync").err


def test_a_watch_that_is_walked_whole_is_confirmed_in_one_load(tmp_path: Path) -> None:
    """A small watch is seen in the load of its last complete poll; a large one from its oldest part on, until all was swept."""
    for name, policy, oldest, due in (("small", Policy(), DAYS[2], None), ("large", LARGE_POLICY, DAYS[0], "2026-02-09")):
        world, found = World(tmp_path, publish(STUDIES, [], []), f"{name}.db"), []
        watch = Watch(name, everything=True)
        for place in range(3):
            (world.next if place else world.poll)(watch, policy=policy)
            with world.reader() as reader:
                found.append(reader.seen_of(name))
        assert found[0] == Seen(DAYS[0], DAYS[0])
        assert found[2] == Seen(oldest, DAYS[2])
        assert found[2].due(policy.sweep_days) == due
