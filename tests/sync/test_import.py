"""Importing: files load by load, the same log as by polling, and which load a record stands for."""

from __future__ import annotations

import gzip
import json
import lzma
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from following import DAYS, World, as_lines, columns, edited, invent, number_of, publish, status, withheld

from trialsync.errors import FileError
from trialsync.model import By, Ended, Origin, Presence, Watch
from trialsync.registry.files import read
from trialsync.registry.sandbox import packaged_loads, read_loads
from trialsync.sync.bulk import Whole, load_bulk
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trialsync.model import LoggedChange, Study
    from trialsync.registry.sandbox import LoadLine
    from trialsync.sync.poll import Outcome

ONE, TWO, THREE = invent(1), invent(2), invent(3)
N1, N2, N3 = map(number_of, (ONE, TWO, THREE))
EVERYTHING = Watch("everything", everything=True)

APART = ("id", "seen", "origin")
"""What differs between two machines that saw the same: the place in the log, when it was seen, and how."""


def bring(world: World, path: Path, **options: Any) -> list[Outcome]:
    """Import a file."""
    return world.bring(read([path]), **options)


def one(world: World, path: Path, **options: Any) -> Outcome:
    """Import a file that makes one poll row."""
    (outcome,) = bring(world, path, **options)
    return outcome


def put(path: Path, value: Any) -> Path:
    """Write a value as a JSON file."""
    path.write_text(json.dumps(value))
    return path


def labelled(study: Study, load: str) -> Study:
    """Return a study as the registry serves it on a load."""
    return study | {"derivedSection": {"miscInfoModule": {"versionHolder": load}}}


def poll_all(world: World) -> None:
    """Poll everything through all loads."""
    world.poll(EVERYTHING)
    while world.sandbox.loads_left:
        world.next(EVERYTHING)


def without_watch(rows: Iterable[LoggedChange]) -> list[LoggedChange]:
    """Return rows without those that only a watch can make: its members, and studies that are new to it."""
    return [row for row in rows if not row.field.startswith("watch.") and not (row.field == "registry.presence" and row.before is None)]


def assert_same_log(tmp_path: Path, lines: list[LoadLine]) -> None:
    """Poll the loads from a sandbox, import them from a file, and compare every row of both logs."""
    polled, imported = World(tmp_path, lines, "polled.db"), World(tmp_path, lines, "imported.db")
    poll_all(polled)
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    outcomes = bring(imported, file)
    assert [outcome.poll.load for outcome in outcomes] == list(polled.sandbox.loads)
    assert {outcome.poll.ended for outcome in outcomes} == {Ended.COMPLETE}
    ours, theirs = (columns(without_watch(world.log(baseline=True)), but=APART) for world in (polled, imported))
    assert len(theirs) > len(lines)
    assert ours == theirs
    assert {row.origin for row in imported.log(baseline=True)} == {Origin.IMPORT}
    with polled.reader() as left, imported.reader() as right:
        for known in left.studies():
            assert right.headlines(known.nct_id) == known
            assert [version.fingerprint for version in right.versions(known.nct_id)] == [
                version.fingerprint for version in left.versions(known.nct_id)
            ]


def test_dated_lines_give_the_log_that_polling_gives(tmp_path: Path) -> None:
    """The packaged loads, imported load by load, give the same change log as polling them: every column but id, seen and origin."""
    assert_same_log(tmp_path, list(packaged_loads()))


def test_real_dated_lines_give_the_log_that_polling_gives(tmp_path: Path, registry_folder: Path) -> None:
    """So do real loads, the first four of them."""
    lines = list(read_loads(registry_folder / "loads.jsonl.xz"))
    days = sorted({line.load for line in lines})[:4]
    assert_same_log(tmp_path, [line for line in lines if line.load in days])


def test_each_load_of_dated_lines_is_a_row_among_the_polls(tmp_path: Path) -> None:
    """Dated lines leave one row a load, with what it brought; an import has no watch and asks nobody."""
    lines = publish([ONE, TWO], [status(ONE, "COMPLETED", DAYS[1])], [THREE])
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    world = World(tmp_path, lines)
    found = [
        (row.load, row.new, row.updated, row.watch, row.origin, row.requests, row.ended)
        for row in (outcome.poll for outcome in bring(world, file))
    ]
    apart = (None, Origin.IMPORT, 0, Ended.COMPLETE)
    assert found == [(DAYS[0], 3, 0, *apart), (DAYS[1], 0, 2, *apart), (DAYS[2], 1, 1, *apart)]


def test_a_study_that_does_not_stand_again_was_confirmed_by_the_load(tmp_path: Path) -> None:
    """Dated lines name what a load changed: a change is not before the last load, although the study stood in the file long before."""
    lines = publish([ONE], [], [edited(ONE, eligibilityModule={"sex": "ALL"})])
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    world = World(tmp_path, lines)
    bring(world, file)
    (row,) = world.log(studies=(N1,))
    assert (row.date, row.not_before, row.by) == (DAYS[2], DAYS[1], By.REGISTRY)


def test_lines_in_any_order_are_imported_load_by_load(tmp_path: Path) -> None:
    """A file of dated lines may name its loads in any order."""
    lines = publish([ONE], [status(ONE, "SUSPENDED")], [ONE])
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(reversed(lines)))
    world = World(tmp_path, lines)
    bring(world, file)
    assert [(row.after, row.date) for row in world.log(studies=(N1,))] == [("SUSPENDED", DAYS[1]), ("RECRUITING", DAYS[2])]


def test_a_line_without_a_study_says_that_it_is_gone(tmp_path: Path) -> None:
    """``"study": null`` is a removal on that load, a merge where another study has taken the number in; one that stands again is back."""
    survivor = edited(ONE, identificationModule__nctIdAliases=[N2])
    lines = publish([ONE, TWO, THREE], [survivor, N2, N3], [THREE])
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    world = World(tmp_path, lines)
    bring(world, file)
    rows = [row for row in world.log() if row.field == "registry.presence"]
    assert [(row.nct_id, row.date, row.load, row.before, row.after) for row in rows] == [
        (N2, DAYS[1], DAYS[1], "listed", "merged"),
        (N3, DAYS[1], DAYS[1], "listed", "removed"),
        (N3, DAYS[2], DAYS[2], "removed", "listed"),
    ]
    with world.reader() as reader:
        assert (reader.headlines(N2).merged_into, reader.headlines(N3).presence) == (N1, Presence.LISTED)


def test_a_withheld_study_in_dated_lines_is_one_row(tmp_path: Path) -> None:
    """Withholding is one change of presence by import as well."""
    lines = publish([ONE], [withheld(ONE, DAYS[1])])
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    world = World(tmp_path, lines)
    bring(world, file)
    assert world.brief(studies=(N1,)) == [(N1, "registry.presence", "changed", DAYS[1])]


@pytest.mark.parametrize("kind", ["packaged", "there and back"])
def test_importing_twice_changes_nothing(tmp_path: Path, kind: str) -> None:
    """The same file again adds no version, no row and no change of presence; its older records are skipped and named."""
    lines = list(packaged_loads()) if kind == "packaged" else publish([ONE, TWO], [status(ONE, "SUSPENDED"), N2], [ONE, TWO])
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    world = World(tmp_path, lines)
    bring(world, file)
    before = world.content()
    outcomes = bring(world, file)
    assert sum(outcome.poll.changes + outcome.poll.new + outcome.poll.updated for outcome in outcomes) == 0
    assert all("older than what the store has of" in sentence for outcome in outcomes for sentence in outcome.skipped)
    assert world.content() == before


def test_a_bad_line_is_skipped_inside_its_load(tmp_path: Path) -> None:
    """A line that cannot be used is named and counted with the load around it; the lines about it are kept."""
    text = as_lines(publish([ONE, TWO])).splitlines(keepends=True)
    file = tmp_path / "loads.jsonl"
    file.write_bytes(b"".join((*text[:2], b'{"load":"2026-02-02","nctId":"NCT00000009","study":{}}\n', *text[2:])))
    outcome = one(World(tmp_path, publish([ONE])), file)
    assert (outcome.poll.load, outcome.poll.new, outcome.poll.skipped) == (DAYS[0], 3, 1)
    assert outcome.skipped[0].startswith(f"{file}, line 3: ")


# Which load a record stands for


@pytest.mark.parametrize(
    ("label", "holder", "posted", "load"),
    [
        ("2026-03-03", "2026-02-20", "2026-01-12", "2026-03-03"),
        (None, "2026-02-20", "2026-01-12", "2026-02-20"),
        (None, None, "2026-01-12", "2026-01-12"),
        (None, "soon", "2026-01-12", "2026-01-12"),
    ],
)
def test_the_load_is_the_label_else_the_versions_else_the_posted_day(
    tmp_path: Path, label: str | None, holder: str | None, posted: str, load: str
) -> None:
    """A record in no dated line stands for ``--load``, else for its versionHolder where that is a day, else for its posted date."""
    study = edited(ONE, posted)
    file = put(tmp_path / "one.json", labelled(study, holder) if holder else study)
    world = World(tmp_path, publish([ONE]))
    outcome = one(world, file, label=label)
    assert (outcome.poll.load, outcome.poll.new) == (load, 1)
    assert {row.load for row in world.log(baseline=True)} == {load}


def test_a_dated_line_stands_for_its_own_load_whatever_the_label(tmp_path: Path) -> None:
    """The load that a line names goes before ``--load`` and before what the record says."""
    file = tmp_path / "loads.jsonl"
    file.write_bytes(as_lines(publish([labelled(ONE, "2026-02-20")])))
    world = World(tmp_path, publish([ONE]))
    assert one(world, file, label="2026-03-03").poll.load == DAYS[0]


def test_a_record_that_names_no_load_is_skipped(tmp_path: Path) -> None:
    """Without a label, a versionHolder and a posted date nobody can say when a record held: it is skipped, with the way out."""
    nameless = edited(ONE, statusModule__lastUpdatePostDateStruct=None)
    file = put(tmp_path / "two.json", [nameless, TWO])
    outcome = one(World(tmp_path, publish([ONE])), file)
    assert (outcome.poll.new, outcome.poll.skipped) == (1, 1)
    assert "--load DATE" in outcome.skipped[0]


def test_an_older_record_is_skipped_and_named(tmp_path: Path) -> None:
    """A record of an older load than what the store has is skipped, with its place, its number and both loads; a newer one is taken."""
    world = World(tmp_path, publish([ONE]))
    one(world, put(tmp_path / "new.json", labelled(ONE, "2026-02-20")))
    old = put(tmp_path / "old.json", labelled(status(ONE, "SUSPENDED"), "2026-02-11"))
    outcome = one(world, old)
    assert outcome.skipped == (f"{old}: {N1}: the record is of load 2026-02-11, older than what the store has of 2026-02-20",)
    assert world.log() == []
    assert one(world, put(tmp_path / "newer.json", labelled(status(ONE, "SUSPENDED"), "2026-02-23"))).poll.changes == 1


def test_what_was_confirmed_later_is_not_older(tmp_path: Path) -> None:
    """A poll that found the study unchanged counts: a different record from before that poll is the older one."""
    world = World(tmp_path, publish([ONE], [], []))
    world.poll()
    world.next()
    world.next()
    outcome = one(world, put(tmp_path / "between.json", labelled(status(ONE, "SUSPENDED"), DAYS[1])))
    assert outcome.poll.skipped == 1
    assert f"of load {DAYS[1]}, older than what the store has of {DAYS[2]}" in outcome.skipped[0]


def test_an_older_file_does_not_bring_a_removed_study_back(tmp_path: Path) -> None:
    """A record from before a removal says nothing of it; one from after it does."""
    world = World(tmp_path, publish([ONE, TWO], [N2], []))
    world.poll()
    world.next()
    world.next()
    one(world, put(tmp_path / "before.json", labelled(TWO, DAYS[1])))
    with world.reader() as reader:
        assert reader.headlines(N2).presence is Presence.REMOVED
    one(world, put(tmp_path / "after.json", labelled(TWO, "2026-03-02")))
    with world.reader() as reader:
        assert reader.headlines(N2).presence is Presence.LISTED
    assert [row.date for row in world.log() if row.field == "registry.presence"] == [DAYS[1], "2026-03-02"]


# Beside polls


def test_an_import_and_a_poll_of_one_load_agree(tmp_path: Path) -> None:
    """What was imported is unchanged to a poll of the same load, and the other way round: no version, no row."""
    answer = {"studies": [labelled(study, DAYS[0]) for study in (ONE, TWO)]}
    file = put(tmp_path / "answer.json", answer)
    first = World(tmp_path, publish([ONE, TWO]), "first.db")
    one(first, file)
    before = first.content()
    outcome = first.poll()
    assert (outcome.poll.new, outcome.poll.unchanged) == (0, 2)
    assert [first.content()[table] for table in ("versions", "changes", "contents")] == [
        before[table] for table in ("versions", "changes", "contents")
    ]
    second = World(tmp_path, publish([ONE, TWO]), "second.db")
    second.poll()
    before = second.content()
    assert one(second, file).poll.unchanged == 2
    assert [second.content()[table] for table in ("versions", "changes", "contents")] == [
        before[table] for table in ("versions", "changes", "contents")
    ]


@pytest.mark.parametrize("order", ["import, poll", "poll, import"])
def test_an_import_and_a_poll_in_turns_make_one_log(tmp_path: Path, order: str) -> None:
    """Which of two loads was imported and which polled makes no difference to the log, but for its origin."""
    changed = status(ONE, "TERMINATED", DAYS[1])
    world = World(tmp_path, publish([ONE], [changed]))
    files = [put(tmp_path / f"{day}.json", labelled(study, day)) for day, study in zip(DAYS, (ONE, changed), strict=False)]
    if order == "import, poll":
        one(world, files[0])
        world.next()
    else:
        world.poll()
        one(world, files[1])
    found = [(row.path, row.date, row.not_before, row.load, row.by, row.version) for row in world.log()]
    apart = (DAYS[1], DAYS[0], DAYS[1], By.SPONSOR, 2)
    assert found == [("status.overallStatus", *apart), ("status.lastUpdatePostDate", *apart)]
    assert {row.origin for row in world.log()} == {Origin.POLL if order == "import, poll" else Origin.IMPORT}


# Kinds of files


def test_every_kind_of_file_gives_the_same_studies(tmp_path: Path) -> None:
    """One study, a list, an answer, JSON lines, a zip as the registry's, a folder, and compressed files: each is read for what it holds."""
    studies = [labelled(study, DAYS[0]) for study in (ONE, TWO)]
    lines = "".join(json.dumps(study) + "\n" for study in studies)
    files = tmp_path / "files"
    (files / "a" / "b").mkdir(parents=True)
    for study in studies:
        put(files / "a" / "b" / f"{number_of(study)}.json", study)
    answer = tmp_path / "answer.json.gz"
    answer.write_bytes(gzip.compress(json.dumps({"totalCount": 2, "studies": studies, "nextPageToken": "x"}).encode()))
    packed = tmp_path / "lines.jsonl.xz"
    packed.write_bytes(lzma.compress(lines.encode()))
    bulk = tmp_path / "ctg-studies.json.zip"
    with zipfile.ZipFile(bulk, "w") as archive:
        for study in studies:
            archive.writestr(f"{number_of(study)[-2:]}/{number_of(study)}.json", json.dumps(study))
    expected = None
    for index, path in enumerate((put(tmp_path / "list.json", studies), answer, packed, bulk, files)):
        world = World(tmp_path, publish([ONE]), f"{index}.db")
        assert one(world, path).poll.new == 2
        found = columns(world.log(baseline=True), but=("id", "seen"))
        expected = expected or found
        assert found == expected


def test_what_could_be_read_before_a_broken_file_is_kept(tmp_path: Path) -> None:
    """Where a later file cannot be read, the error names it, and the studies before it are recorded with their counts."""
    good, broken = put(tmp_path / "good.json", ONE), tmp_path / "broken.json"
    broken.write_text('{"protocolSection": {')
    world = World(tmp_path, publish([ONE]))
    with pytest.raises(FileError, match=r"broken\.json"):
        world.bring(read([good, broken]))
    with world.reader() as reader:
        assert reader.has(N1)
        (row,) = reader.polls()
    assert (row.ended, row.new, "broken.json" in (row.message or "")) == (Ended.PARTIAL, 1, True)


def bulk(path: Path, studies: Iterable[Study]) -> Path:
    """Write studies as the registry's bulk download."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for study in studies:
            archive.writestr(f"{number_of(study)[-2:]}/{number_of(study)}.json", json.dumps(study))
    return path


def download(world: World, path: Path) -> Outcome:
    """Import the registry's bulk download as all of everything."""
    with world.writer() as writer:
        return load_bulk(path, writer=writer, now=world.clock, whole=Whole(EVERYTHING))


def test_the_bulk_download_begins_the_watch_of_everything(tmp_path: Path) -> None:
    """After the whole registry came as a zip, the next poll of everything asks for what moved, and misses nothing of it."""
    loads = publish([ONE, TWO, THREE], [status(ONE, "COMPLETED", DAYS[1]), invent(4, posted=DAYS[1], first_posted=DAYS[1])])
    world = World(tmp_path, loads)
    archive = bulk(tmp_path / "ctg-studies.json.zip", [labelled(study, DAYS[0]) for study in world.sandbox.studies().values()])
    outcome = download(world, archive)
    assert (outcome.poll.watch, outcome.poll.ended, outcome.poll.load, outcome.poll.new) == ("everything", Ended.COMPLETE, DAYS[0], 4)
    assert world.brief() == []
    after = world.next(EVERYTHING, policy=Policy(incremental_above=0))
    assert not after.poll.whole
    assert after.previous_load == DAYS[0]
    assert (N1, "status.overallStatus", "changed", DAYS[1]) in world.brief()
    assert ("NCT00000004", "watch.everything", "added", DAYS[1]) in world.brief()
    assert ("NCT00000004", "registry.presence", "added", DAYS[1]) in world.brief()


def test_a_newer_bulk_download_is_news(tmp_path: Path) -> None:
    """A second download gives what changed since, and the studies that are new in it, as a poll of its load would."""
    newcomer = invent(4, posted=DAYS[1], first_posted=DAYS[1])
    world = World(tmp_path, publish([ONE, TWO]))
    download(world, bulk(tmp_path / "first.zip", [labelled(ONE, DAYS[0]), labelled(TWO, DAYS[0])]))
    later = [status(ONE, "COMPLETED", DAYS[1]), TWO, newcomer]
    download(world, bulk(tmp_path / "second.zip", [labelled(study, DAYS[1]) for study in later]))
    assert {(row.nct_id, row.path) for row in world.log()} >= {
        (N1, "status.overallStatus"),
        ("NCT00000004", "watch.everything"),
        ("NCT00000004", "registry.presence"),
    }


@pytest.mark.parametrize("fault", ["of two loads", "with a bad record"])
def test_a_download_that_is_not_all_of_one_load_begins_nothing(fault: str, tmp_path: Path) -> None:
    """Where a record was left out, or stands for another load, the next poll of everything walks all of it."""
    world = World(tmp_path, publish([ONE, TWO]))
    second = labelled(TWO, "2026-01-30") if fault == "of two loads" else {"protocolSection": {"identificationModule": {"nctId": N2}}}
    outcome = download(world, bulk(tmp_path / "a.zip", [labelled(ONE, DAYS[0]), second]))
    assert outcome.poll.watch is None
    after = world.poll(EVERYTHING, policy=Policy(incremental_above=0))
    assert (after.poll.whole, after.previous_load) == (True, None)


def test_a_download_leaves_what_its_records_in_lines_leave(tmp_path: Path) -> None:
    """The registry's zip, read by other processes, gives the same studies, versions and log as the same records in a file of lines."""
    days = [line for line in packaged_loads() if line.study is not None]
    first = {line.nct_id: line.study for line in days[:20] if line.study is not None}
    later = {line.nct_id: line.study for line in days if line.study is not None}
    zipped, lines = (World(tmp_path, publish([]), name) for name in ("zipped.db", "lines.db"))
    for number, studies in enumerate((first, later, later)):
        records = [labelled(study, DAYS[min(number, 1)]) for study in studies.values()]
        with zipped.writer() as writer:
            outcome = load_bulk(bulk(tmp_path / f"{number}.zip", records), writer=writer, now=zipped.clock)
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(study) + "\n" for study in records))
        (other,) = bring(lines, path)
        assert [getattr(outcome.poll, name) for name in ("new", "updated", "unchanged", "studies", "changes", "load")] == [
            getattr(other.poll, name) for name in ("new", "updated", "unchanged", "studies", "changes", "load")
        ]
    assert columns(zipped.log(baseline=True), but=["seen", "id"]) == columns(lines.log(baseline=True), but=["seen", "id"])


def test_a_bad_entry_of_a_download_is_named(tmp_path: Path) -> None:
    """An entry that is no study, or that is damaged, is skipped and named; the others are recorded."""
    world = World(tmp_path, publish([]))
    path = bulk(tmp_path / "a.zip", [ONE, TWO, THREE])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("04/NCT00000004.json", b"[1, 2]")
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with world.writer() as writer:
        outcome = load_bulk(path, writer=writer, now=world.clock)
    assert outcome.poll.new == 2
    assert [sentence.partition(": ")[0].rpartition("/")[2] for sentence in outcome.skipped] == ["NCT00000001.json", "NCT00000004.json"]
