"""One study several times in one load of what is imported: one content counts, and importing again records nothing."""

from __future__ import annotations

import json
import zipfile
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from following import DAYS, World, as_lines, edited, invent, number_of, publish, status

from trialsync.registry.files import read
from trialsync.sync.bulk import PAGE_STUDIES, load_bulk

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.model import Study

LOAD = DAYS[3]
STUDY = invent(1)
EARLIER = status(STUDY, "RECRUITING", DAYS[1])
LATER = status(STUDY, "TERMINATED", DAYS[2])
BY_REGISTRY = edited(EARLIER, DAYS[1], conditionsModule__conditions=["Gout"])
OTHERS = [invent(number) for number in range(2, 140)]
KINDS = ["folder", "list", "zip", "download"]


def labelled(study: Study) -> Study:
    """Return a study as the registry serves it on the load."""
    return study | {"derivedSection": {"miscInfoModule": {"versionHolder": LOAD}}}


def put(folder: Path, kind: str, studies: list[Study]) -> Path:
    """Write studies, in this order, as files of a kind."""
    texts = [json.dumps(labelled(study)) for study in studies]
    path = folder / f"studies-{kind}"
    if kind == "folder":
        path.mkdir()
        for place, text in enumerate(texts):
            (path / f"{place:04d}.json").write_text(text, encoding="utf-8")
    elif kind == "list":
        path.write_text("\n".join(texts), encoding="utf-8")
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for place, (study, text) in enumerate(zip(studies, texts, strict=True)):
                number = number_of(study)
                packed.writestr(f"{number[-2:]}/{number}.json" if kind == "download" else f"{place}/{number}.json", text)
    return path


def bring(world: World, path: Path, kind: str) -> tuple[str, ...]:
    """Import files; return what was skipped."""
    if kind != "download":
        (outcome,) = world.bring(read([path]))
        return outcome.skipped
    with world.writer() as writer:
        return load_bulk(path, writer=writer, now=world.clock).skipped


def contents(world: World) -> list[str]:
    """Return the status of each version of the study."""
    with world.reader() as reader:
        number = number_of(STUDY)
        studies = [reader.study(number, version=each.number) for each in reader.versions(number)]
    return [each["protocolSection"]["statusModule"]["overallStatus"] for each in studies]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("kind", "apart"), [("folder", 0), ("list", 130), ("zip", 0), ("download", 130)])
@pytest.mark.parametrize("twice", [[EARLIER, LATER], [LATER, EARLIER], [EARLIER, BY_REGISTRY]], ids=["up", "down", "tie"])
def test_an_import_repeated_records_nothing_new(tmp_path: Path, kind: str, apart: int, twice: list[Study]) -> None:
    """Whichever way two contents of one load lie, importing them again and again adds no version, and the one left out is named."""
    path = put(tmp_path, kind, [twice[0], *OTHERS[:apart], twice[1]])
    world = World(tmp_path, publish([]))
    first = bring(world, path, kind)
    before = contents(world), world.log(baseline=True)
    for _ in range(2):
        (named,) = bring(world, path, kind)
        assert number_of(STUDY) in named
        assert (contents(world), world.log(baseline=True)) == before
    assert before[0][-1] == ("TERMINATED" if LATER in twice else "RECRUITING")
    assert len(first) + len(before[0]) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", KINDS)
def test_the_content_that_was_updated_later_counts(tmp_path: Path, kind: str) -> None:
    """Of three contents of one load the one that was updated last is the only version, in whichever order the files lie."""
    middle = status(STUDY, "SUSPENDED", DAYS[1])
    three = [status(STUDY, "RECRUITING", DAYS[0]), middle, LATER]
    for place, order in enumerate(permutations(three)):
        folder = tmp_path / str(place)
        folder.mkdir()
        world = World(folder, publish([]))
        assert len(bring(world, put(folder, kind, list(order)), kind)) == 2
        assert contents(world) == ["TERMINATED"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_content_twice_is_no_fault(tmp_path: Path, kind: str) -> None:
    """A study that stands twice with one content, written in another order of its names, is recorded once, and nothing is named."""
    again = {name: EARLIER[name] for name in reversed(EARLIER)}
    world = World(tmp_path, publish([]))
    assert bring(world, put(tmp_path, kind, [EARLIER, again, EARLIER]), kind) == ()
    assert contents(world) == ["RECRUITING"]


def test_what_the_store_has_of_a_load_stands_against_an_older_content(tmp_path: Path) -> None:
    """A file with a content that was updated before the one that the store has of this load is named, and adds nothing."""
    world = World(tmp_path, publish([]))
    assert bring(world, put(tmp_path, "list", [LATER]), "list") == ()
    (named,) = bring(world, put(tmp_path, "zip", [EARLIER]), "zip")
    assert "was updated later" in named
    assert contents(world) == ["TERMINATED"]


def test_contents_of_different_loads_are_versions(tmp_path: Path) -> None:
    """Dated lines of different loads stay versions each, and there and back again is two changes."""
    world = World(tmp_path, publish([]))
    path = tmp_path / "loads.jsonl"
    path.write_bytes(as_lines(publish([EARLIER], [BY_REGISTRY], [EARLIER])))
    assert [outcome.skipped for outcome in world.bring(read([path]))] == [(), (), ()]
    assert len(contents(world)) == 3


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_contents_far_apart_are_one_load_all_the_same(tmp_path: Path) -> None:
    """However many entries of one number a download has, and where another study's entry holds its record, an import repeated adds none."""
    ties = [edited(EARLIER, conditionsModule__conditions=[f"Condition {place % 7}"]) for place in range(2 * PAGE_STUDIES + 3)]
    stranger = edited(EARLIER, conditionsModule__conditions=["Elsewhere"])
    for name, entries in (
        ("ties", [("01/NCT00000001.json", study) for study in ties]),
        ("stranger", [(f"01/NCT{place:06d}01.json", study) for place, study in enumerate((EARLIER, *OTHERS * 8, stranger))]),
    ):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for entry, study in entries:
                packed.writestr(entry, json.dumps(labelled(study)))
        world = World(tmp_path, publish([]), f"{name}.db")
        for _ in range(2):
            assert bring(world, path, "download")
            assert (len(contents(world)), world.log()) == (1, [])
