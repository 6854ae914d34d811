"""What a writer records comes back as it was recorded."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_log import STUDIES, Clock, add, add_in_page, edited, fill, new_store, take, whole

from trialsync.errors import BadDate, StoreDamaged, StoreError, UnknownWatch, UsageError
from trialsync.model import Ended, Kind, Origin, Poll, Presence, Watch, instant
from trialsync.store import codec
from trialsync.store.contents import JOINED
from trialsync.store.filters import ChangeFilter
from trialsync.store.first import first
from trialsync.store.reader import Reader
from trialsync.store.verify import verify
from trialsync.study import record
from trialsync.study.diff import baseline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trialsync.model import Study
    from trialsync.store.writer import Writer

FIRST = STUDIES["NCT00000001"]
FIRST_ID = "NCT00000001"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a new, empty store."""
    return new_store(tmp_path / "trialsync.db")


def poll_of(writer: Writer, watch: str | None, load: str, covered: Iterable[str] = (), ended: Ended = Ended.COMPLETE) -> int:
    """Record a poll from its beginning to its end; return its id."""
    origin = Origin.POLL if watch else Origin.IMPORT
    started = instant(writer._now())
    number = writer.begin_poll(watch=watch, origin=origin, load=load, data_timestamp=f"{load}T09:00:04", query="q", started=started)
    writer.cover(number, covered)
    writer.end_poll(Poll(number, watch, origin, load, f"{load}T09:00:04", started, instant(writer._now()), ended, studies=3, new=1))
    return number


def test_every_version_comes_back(store: Path) -> None:
    """A → B → A is three versions and two changes, and each version is what the registry sent, the load's label included."""
    other = edited(FIRST, None, statusModule__overallStatus="SUSPENDED")
    again = copy.deepcopy(FIRST)
    for study, load in ((other, "2026-02-05"), (again, "2026-02-06")):
        study["derivedSection"]["miscInfoModule"]["versionHolder"] = load
    with take(store) as writer:
        for study, load in ((FIRST, "2026-02-04"), (other, "2026-02-05"), (again, "2026-02-06")):
            add(writer, study, load)
    with Reader.open(store) as reader:
        assert [reader.study(FIRST_ID, version=number) for number in (1, 2, 3)] == [FIRST, other, again]
        assert list(reader.study(FIRST_ID)) == list(FIRST)
        rows = list(reader.changes(ChangeFilter()))
        assert [(row.before, row.after) for row in rows] == [("RECRUITING", "SUSPENDED"), ("SUSPENDED", "RECRUITING")]
        assert reader.headlines(FIRST_ID).version == 3
        assert [version.date for version in reader.versions(FIRST_ID)] == ["2026-01-10", "2026-02-05", "2026-02-06"]


@settings(max_examples=10)
@given(st.lists(st.integers(0, 3), min_size=40, max_size=80))
def test_long_histories_come_back(tmp_path_factory: pytest.TempPathFactory, counts: list[int]) -> None:
    """However often a study changes, each version comes back; every 32nd stands by itself and the others are small."""
    path = new_store(tmp_path_factory.mktemp("store") / "trialsync.db")
    with take(path) as writer:
        for count in counts:
            add(writer, edited(FIRST, None, designModule__enrollmentInfo__count=count), "2026-02-04")
        rows = writer._db.rows(f"SELECT c.content FROM versions v JOIN {JOINED} ORDER BY v.number")  # noqa: S608
        blobs = [blob for (blob,) in rows]
    kept = [counts[0]] + [count for before, count in pairwise(counts) if before != count]
    with Reader.open(path) as reader:
        assert [record.enrollment(reader.study(FIRST_ID, version=number + 1)) for number in range(len(kept))] == kept
    whole_ones = [number for number, blob in enumerate(blobs, 1) if not codec.is_difference(blob)]
    assert whole_ones == sorted({*range(codec.KEYFRAME, len(kept) + 1, codec.KEYFRAME), len(kept)})


def test_the_latest_content_stays_where_the_first_was_written(store: Path) -> None:
    """A new version's content takes the row of the one before, and that one's difference gets the new row: none is left half empty."""
    with take(store) as writer:
        for count in (10, 11, 12):
            add(writer, edited(FIRST, None, designModule__enrollmentInfo__count=count), "2026-02-04")
        rows = list(writer._db.rows(f"SELECT v.id, c.id, c.content FROM versions v JOIN {JOINED} ORDER BY v.number"))  # noqa: S608
    assert [(version, row) for version, row, _ in rows] == [(1, 2), (2, 3), (3, 1)]
    assert [codec.is_difference(blob) for *_, blob in rows] == [True, True, False]


def test_the_row_of_a_study_follows_its_latest_version(store: Path) -> None:
    """The headline columns, the countries and the words of a study are those of its latest version."""
    fill(store)
    with Reader.open(store) as reader:
        for nct_id in STUDIES:
            study, row = reader.study(nct_id), reader.headlines(nct_id)
            assert row.title == record.title(study)
            assert row.overall_status == record.overall_status(study)
            assert (row.phases, row.conditions, row.countries) == (record.phases(study), record.conditions(study), record.countries(study))
            assert (row.enrollment, row.has_results, row.posted) == (90, False, record.posted(study))
        assert reader.headlines(FIRST_ID).countries == ("Germany", "Norway")
        assert reader.headlines(FIRST_ID).presence is Presence.REMOVED
        assert [row.nct_id for row in reader.studies()] == list(STUDIES)
        assert [row.nct_id for row in reader.studies("w")] == [FIRST_ID]
        assert reader.count(ChangeFilter(texts=("cadonilimab",))) == reader.count(ChangeFilter(studies=(FIRST_ID,)))


def test_a_retitled_study_is_found_by_its_new_title_alone(store: Path) -> None:
    """Full-text search knows the title that a study has now, not the one that it had."""
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
        add(writer, edited(FIRST, None, identificationModule__briefTitle="Ivonescimab"), "2026-02-05")
        add(writer, edited(FIRST, None, identificationModule__briefTitle="Ivonescimab", designModule__phases=["PHASE3"]), "2026-02-06")
    with Reader.open(store) as reader:
        fields = ChangeFilter(texts=("cadonilimab",))
        assert [row.path for row in reader.changes(fields)] == ["identification.briefTitle"]
        assert reader.count(ChangeFilter(texts=("ivonescimab",))) == 2


def test_baseline_rows_say_what_the_study_said(store: Path) -> None:
    """Baseline rows are stored without values and come back with those of their version, though the study changed since."""
    fill(store)
    with Reader.open(store) as reader:
        for nct_id, study in STUDIES.items():
            rows = [row for row in reader.changes_of(nct_id) if row.baseline]
            wanted = baseline(study)
            assert [(row.field, row.item, row.attribute, row.after, row.tier) for row in rows] == [
                (each.field, each.item, each.attribute, each.after, each.tier) for each in wanted
            ]
            assert all(row.by is None and row.before is None and row.kind is Kind.ADDED for row in rows)


def test_all_fields_may_have_baseline_rows(store: Path) -> None:
    """A baseline of every field comes back with every field's value."""
    wanted = baseline(FIRST, "all")
    with take(store) as writer, writer.page():
        version = add_in_page(writer, STUDIES["NCT00000002"], "2026-02-04")
        fresh = type(version)(FIRST_ID, 1, None, "2026-01-10", None, "2026-02-04", None, version.seen, Origin.IMPORT, "1-0")
        writer.add_firsts([(fresh, None, first(FIRST, "all"))])
    with Reader.open(store) as reader:
        assert [row.after for row in reader.changes_of(FIRST_ID)] == [each.after for each in wanted]
        assert len(wanted) > len(baseline(FIRST))


def test_a_number_too_large_for_a_column_is_kept(store: Path) -> None:
    """A count beyond SQLite's integers stays in the record and the log; the study's row goes without it."""
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
        add(writer, edited(FIRST, None, designModule__enrollmentInfo__count=2**63), "2026-02-05")
    with Reader.open(store) as reader:
        assert reader.headlines(FIRST_ID).enrollment is None
        assert record.enrollment(reader.study(FIRST_ID)) == 2**63
        assert [row.after for row in reader.changes(ChangeFilter())] == [2**63]
    assert verify(store) == []


def test_a_version_out_of_order_is_refused(store: Path) -> None:
    """A version whose number is not the next one is refused, and so is a whole-study row of a study that is not there."""
    with take(store) as writer:
        version = add(writer, FIRST, "2026-02-04")
        with pytest.raises(StoreError, match="version 1 can't follow version 1"), writer.page():
            writer.add_version(version, FIRST, None, [])
        with pytest.raises(StoreError, match="NCT00000009 is not in"), writer.page():
            writer.add_whole(
                whole("registry.presence", Kind.ADDED, None, "listed"),
                nct_id="NCT00000009",
                date="2026-02-04",
                not_before=None,
                load="2026-02-04",
                posted=None,
                seen="2026-02-04T00:00:00.000Z",
                origin=Origin.POLL,
            )
        with pytest.raises(RuntimeError, match="page"):
            add_in_page(writer, STUDIES["NCT00000002"], "2026-02-04")


def test_unknown_fields_are_kept_and_listed_once(store: Path) -> None:
    """A field that the vocabulary does not have is kept, and listed once, whichever writer meets it again."""
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
        add(writer, edited(FIRST, None, newModule__shinyLeaf="x"), "2026-02-05")
        add(writer, edited(FIRST, None, newModule__shinyLeaf="y"), "2026-02-06")
    with take(store) as writer:
        add(writer, edited(FIRST, None, newModule__shinyLeaf="z"), "2026-02-07")
    with Reader.open(store) as reader:
        assert reader.unknown_fields() == ["new.shinyLeaf"]
        assert [row.after for row in reader.changes(ChangeFilter(fields=("new.*",)))] == ["x", "y", "z"]


def test_what_is_known_of_a_study(store: Path) -> None:
    """The writer knows of each study its latest version, the digest of its bytes and its presence; of others nothing."""
    with take(store) as writer:
        version = add(writer, FIRST, "2026-02-04")
        with writer.page():
            writer.set_bytes_digest(FIRST_ID, b"0123456789abcdef")
            writer.set_presence(FIRST_ID, Presence.MERGED, "NCT00000002")
        (known,) = writer.known([FIRST_ID, "NCT00000077"]).values()
        assert known.version == version
        assert (known.bytes_digest, known.presence, known.merged_into) == (b"0123456789abcdef", Presence.MERGED, "NCT00000002")


def test_watches_know_who_is_in_them(store: Path) -> None:
    """Studies join, leave and come back; a watch that was never saved has none, and can't be joined."""
    with take(store) as writer:
        for study in STUDIES.values():
            add(writer, study, "2026-02-04")
        writer.save_watch(Watch("w", everything=True), "all")
        writer.save_watch(Watch("w", everything=True), "all of them")
        writer.join("w", STUDIES, "2026-02-04")
        writer.join("w", STUDIES, "2026-02-05")
        writer.leave("w", [FIRST_ID, "NCT00000002"], "2026-02-06")
        writer.join("w", ["NCT00000002"], "2026-02-06")
        assert set(writer.members("w")) == {"NCT00000002", "NCT00000003"}
        assert writer.left("w") == {FIRST_ID}
        writer.join("w", [FIRST_ID], "2026-02-09")
        assert writer.left("w") == set()
        assert not writer.members("v")
        with pytest.raises(UnknownWatch, match="no watch 'v'"):
            writer.join("v", STUDIES, "2026-02-04")
        poll_of(writer, "w", "2026-02-09")
        poll_of(writer, "w", "2026-02-10", ended=Ended.PARTIAL)
    with Reader.open(store) as reader:
        (row,) = reader.watches()
        assert (row.name, row.query, row.members, row.left) == ("w", "all of them", 3, 0)
        assert row.last_complete is not None
        assert row.last is not None
        assert (row.last_complete.load, row.last.load) == ("2026-02-09", "2026-02-10")


def test_a_watch_is_joined_by_studies_alone(store: Path) -> None:
    """A number that is no study of the store can't be in a watch: foreign keys hold when the page ends."""
    with take(store) as writer:
        writer.save_watch(Watch("w", everything=True), "all")
        with pytest.raises(StoreDamaged, match="FOREIGN KEY"), writer.page():
            writer.join("w", [FIRST_ID], "2026-02-04")
        with writer.page():
            writer.join("w", [FIRST_ID], "2026-02-04")
            add_in_page(writer, FIRST, "2026-02-04")
        assert set(writer.members("w")) == {FIRST_ID}


def test_polls_come_back(store: Path) -> None:
    """A poll comes back as it ended; the last complete one of a watch comes with its query."""
    with take(store) as writer:
        assert writer.last_complete("w") is None
        first = poll_of(writer, "w", "2026-02-04")
        poll_of(writer, "w", "2026-02-05", ended=Ended.FAILED)
        poll_of(writer, None, "2026-02-05")
        last = writer.last_complete("w")
        assert last is not None
        assert (last.poll.id, last.query, last.poll.data_timestamp, last.poll.new) == (first, "q", "2026-02-04T09:00:04", 1)
    with Reader.open(store) as reader:
        assert [poll.load for poll in reader.polls()] == ["2026-02-05", "2026-02-05", "2026-02-04"]
        assert [poll.ended for poll in reader.polls(watch="w")] == [Ended.FAILED, Ended.COMPLETE]
        assert len(reader.polls(1)) == 1


def test_the_last_load_that_showed_the_content(store: Path) -> None:
    """It is the version's own load, a complete poll of a watch that the study was in then, or a poll that names what it covered."""
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
        writer.save_watch(Watch("w", everything=True), "all")
        writer.join("w", [FIRST_ID], "2026-02-05")
        assert writer.last_shown(FIRST_ID, "2026-02-04") is None
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-04"
        poll_of(writer, "w", "2026-02-06")
        poll_of(writer, "w", "2026-02-09", ended=Ended.PARTIAL)
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-06"
        assert writer.last_shown(FIRST_ID, "2026-02-06") == "2026-02-04"
        poll_of(writer, None, "2026-02-10", covered=[FIRST_ID])
        poll_of(writer, None, "2026-02-11", covered=["NCT00000002"])
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-10"
        writer.leave("w", [FIRST_ID], "2026-02-12")
        poll_of(writer, "w", "2026-02-12")
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-10"
        add(writer, edited(FIRST, None, statusModule__overallStatus="SUSPENDED"), "2026-02-13")
        assert writer.last_shown(FIRST_ID, "2026-02-13") is None
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-13"


def test_when_a_study_was_last_seen(store: Path) -> None:
    """It is the instant of the last complete poll or import that covered the study; partial polls and other studies' do not count."""
    clock = Clock()
    with take(store, clock) as writer:
        for nct_id in (FIRST_ID, "NCT00000002"):
            add(writer, STUDIES[nct_id], "2026-02-04")
        writer.save_watch(Watch("w", everything=True), "all")
        writer.join("w", [FIRST_ID], "2026-02-04")
        poll_of(writer, "w", "2026-02-04")
        complete = instant(clock.moment)
        poll_of(writer, "w", "2026-02-05", covered=[FIRST_ID], ended=Ended.PARTIAL)
        poll_of(writer, None, "2026-02-05", covered=["NCT00000002"], ended=Ended.PARTIAL)
        imported = instant(clock.moment)
    with Reader.open(store) as reader:
        assert reader.last_seen(FIRST_ID) == complete
        assert reader.last_seen("NCT00000002") == imported
        assert reader.last_seen("NCT00000003") is None


def test_only_kept_pages_cover(store: Path) -> None:
    """What a page that failed had covered is not covered; what kept pages covered is written when the poll ends."""
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
        number = writer.begin_poll(
            watch=None, origin=Origin.IMPORT, load="2026-02-05", data_timestamp=None, query=None, started="2026-02-05T00:00:00.000Z"
        )
        ended = Poll(
            number, None, Origin.IMPORT, "2026-02-05", None, "2026-02-05T00:00:00.000Z", "2026-02-05T00:01:00.000Z", Ended.COMPLETE
        )
        with pytest.raises(ZeroDivisionError):
            cover_and_fail(writer, number)
        writer.end_poll(ended)
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-04"
        with writer.page():
            writer.cover(number, [FIRST_ID])
        writer.end_poll(ended)
        assert writer.last_shown(FIRST_ID, "2026-02-20") == "2026-02-05"


def cover_and_fail(writer: Writer, number: int) -> None:
    """Cover a study in a page that then fails."""
    with writer.page():
        writer.cover(number, [FIRST_ID])
        raise ZeroDivisionError


def test_a_study_as_of_a_day(store: Path) -> None:
    """A study is had as it was at the end of a day, from its first known version's date on."""
    fill(store)
    with Reader.open(store) as reader:
        assert record.overall_status(reader.study("NCT00000002", as_of="2026-02-05")) == "RECRUITING"
        assert record.overall_status(reader.study("NCT00000002", as_of="2026-02-06")) == "SUSPENDED"
        assert reader.version_at("NCT00000002", "2026-02-06").number == 3
        with pytest.raises(BadDate, match="first known version is of 2026-01-20"):
            reader.study("NCT00000002", as_of="2026-01-19")
        with pytest.raises(UsageError, match="has no version 9"):
            reader.study("NCT00000002", version=9)
        for ask in (reader.study, reader.headlines, reader.versions):
            with pytest.raises(UsageError, match="trialsync sync NCT00000009"):
                ask("NCT00000009")


def test_a_broken_content_names_study_and_version(store: Path) -> None:
    """A version whose blob is damaged is told by study and number, and the versions that do not need it can still be had."""
    fill(store)
    with take(store) as writer:
        writer._db.execute(
            "UPDATE contents SET content = substr(content, 1, 20) "
            "WHERE id = (SELECT coalesce(content_id, id) FROM versions WHERE nct_id = ? AND number = 2)",
            ("NCT00000002",),
        )
    with Reader.open(store) as reader:
        for number in (1, 2):
            with pytest.raises(StoreDamaged, match="NCT00000002 version 2 can't be read") as damaged:
                reader.study("NCT00000002", version=number)
            assert damaged.value.exit_code == 6
        assert reader.study("NCT00000002", version=3)


def test_real_studies_come_back(tmp_path: Path, records: Callable[[], tuple[Study, ...]]) -> None:
    """Real studies come back with equal values, and their baselines with them; a store with their baseline takes less than 0.3 of them."""
    path = new_store(tmp_path / "trialsync.db")
    studies = records()
    with take(path) as writer, writer.page():
        for study in studies:
            add_in_page(writer, study, "2026-02-04")
    with Reader.open(path) as reader:
        for study in studies[::7]:
            nct_id = record.check(study)
            assert reader.study(nct_id) == study
            assert [row.after for row in reader.changes_of(nct_id)] == [each.after for each in baseline(study)]
    assert path.stat().st_size < 0.3 * sum(len(codec.text(study)) for study in studies)
