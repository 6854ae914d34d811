"""The log made again from the versions: the same where no rule changed, today's where one did."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from eventful_loads import eventful_loads
from following import ATAXIA, DAYS, World, columns, content, edited, invent, publish, site
from older_store import write_older_schema

from trialsync.errors import StoreDamaged
from trialsync.model import Change, Kind, Tier
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.rebuild import Rebuilt, rebuild, rebuild_study, would_change
from trialsync.store.verify import verify
from trialsync.study.diff import RULE, baseline

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.model import LoggedChange, Study
    from trialsync.store.writer import Writer

BUT_IDS = ("id",)
FIRST = "NCT00000001"
LATE = "2027-03-31"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world whose seven loads are polled: every kind of row stands in its log."""
    made = World(tmp_path, eventful_loads())
    made.poll()
    for _ in DAYS[1:]:
        made.next()
    return made


@pytest.fixture
def switched(tmp_path: Path) -> World:
    """Return a world of one study: its completion slips twice, a site opens, the text of an outcome changes."""
    one = edited(invent(1), statusModule__completionDateStruct={"date": "2026-05", "type": "ESTIMATED"})
    two = edited(one, DAYS[1], statusModule__completionDateStruct={"date": "2026-12", "type": "ESTIMATED"})
    sites = [site("Clinic A", "Lyon", "France"), site("Clinic B", "Oslo", "Norway"), site("Clinic C", "Bergen", "Norway")]
    three = edited(
        two,
        DAYS[2],
        statusModule__completionDateStruct={"date": "2027-01", "type": "ESTIMATED"},
        outcomesModule__primaryOutcomes=[{"measure": "Gait speed on a treadmill", "timeFrame": "1 year"}],
        contactsLocationsModule__locations=sites,
    )
    made = World(tmp_path, publish([one], [two], [three]))
    made.poll()
    made.next()
    made.next()
    return made


def again(world: World, fields: str = "core") -> Rebuilt:
    """Rebuild a world's store."""
    with world.writer() as writer:
        return rebuild(writer, fields)  # type: ignore[arg-type]


def by_other_rules(writer: Writer, study: Study, number: int, rows: list[Change], facts: dict[int, list[dict[str, object]]]) -> None:
    """Have a version's rows be what some other rules had made of it."""
    nct_id = study["protocolSection"]["identificationModule"]["nctId"]
    with writer.page():
        writer.replace_rows(nct_id, number, rows, baseline=number == 1, facts=facts)
        version_id = writer.connection.value("SELECT id FROM versions WHERE nct_id = ? AND number = ?", (nct_id, number))
        writer.seal_rows(version_id, RULE - 1)


def as_changes(rows: list[LoggedChange]) -> list[Change]:
    """Return rows of the log as the changes that they say."""
    return [Change(row.field, row.item, row.attribute, row.kind, row.before, row.after, row.tier, row.by) for row in rows]


def test_nothing_changes_where_no_rule_did(world: World) -> None:
    """A log that today's rules recorded as the versions came is the one that they make of all versions at once, to the byte."""
    before = content(world.store)
    assert len(before["change_facts"]) > 10
    done = again(world)
    assert (done.differs, done.baseline, done.versions) == (0, 0, 0)
    assert done.rows == len(world.log())
    assert content(world.store) == before


def test_a_log_of_other_rules_becomes_todays(switched: World) -> None:
    """Rows, tiers and facts of other rules are replaced; what stands keeps its id, what is new gets an id that nobody had."""
    wanted = switched.log(baseline=True)
    steady = {row.path: row.id for row in wanted if row.version == 3 and row.field.startswith("status.")}
    last = wanted[-1].id
    with switched.reader() as reader:
        study = reader.study(FIRST)
        rows = as_changes([row for row in wanted if row.version == 3])
    others = [replace(row, tier=Tier.DETAIL) for row in rows if row.attribute != "measure"]
    key = "outcomes.primary"
    others += [
        Change(key, "gait speed", None, Kind.REMOVED, {"measure": "Gait speed"}, None, Tier.HEADLINE, None),
        Change(key, "gait speed on a treadmill", None, Kind.ADDED, None, {"measure": "Gait speed"}, Tier.HEADLINE, None),
    ]
    with switched.writer() as writer:
        by_other_rules(writer, study, 3, others, {0: [{"id": "paused", "rule": 7}]})
    assert verify(switched.store) == []
    counted = would_change(switched.store, "core")
    done = again(switched)
    assert done == counted
    assert (done.added, done.removed, done.versions) == (1, 2, 1)
    assert columns(switched.log(baseline=True), but=BUT_IDS) == columns(wanted, but=BUT_IDS)
    now = {row.path: row.id for row in switched.log() if row.version == 3}
    assert steady.items() <= now.items()
    assert now["outcomes.primary.gait speed.measure"] > last + 2
    assert verify(switched.store) == []
    assert again(switched).differs == 0


def test_a_dry_run_writes_nothing(switched: World) -> None:
    """Counting what would differ leaves every table as it is, and keeps nobody from writing."""
    with switched.writer() as writer:
        with switched.reader() as reader:
            study = reader.study(FIRST)
        by_other_rules(writer, study, 2, [], {})
        before = content(switched.store)
        done = would_change(switched.store, "core")
    assert done.added == done.differs > 0
    assert content(switched.store) == before


def test_what_is_said_of_a_row_is_found_by_its_words(switched: World) -> None:
    """Words of a row that was removed find it no more, words of a row that was added do."""
    with switched.reader() as reader:
        study = reader.study(FIRST)
    odd = Change("outcomes.primary", "x", None, Kind.ADDED, None, {"measure": "Zeppelin"}, Tier.HEADLINE, None)
    with switched.writer() as writer:
        by_other_rules(writer, study, 3, [odd], {})
    assert [row.item for row in switched.log(texts=("zeppelin",))] == ["x"]
    assert switched.log(texts=("treadmill",)) == []
    again(switched)
    assert switched.log(texts=("zeppelin",)) == []
    assert len(switched.log(texts=("treadmill",))) == 1


def test_facts_that_need_the_past_are_those_of_the_arrival(switched: World) -> None:
    """A second slip counts the first one, when it arrives and when the log is made again."""
    (first, second) = [row.facts for row in switched.log(fields=("status.completionDate",))]
    assert [(fact["months"], fact["times"], fact["total_months"]) for fact in (*first, *second)] == [(7, 1, 7), (1, 2, 8)]
    with closing(sqlite3.connect(switched.store)) as raw, raw:
        raw.execute("DELETE FROM change_facts")
    done = again(switched)
    assert done.differs == done.facts > 0
    assert [row.facts for row in switched.log(fields=("status.completionDate",))] == [first, second]


def test_rows_about_the_whole_stand_and_get_their_facts(world: World) -> None:
    """Presence and membership keep rows, ids and dates; only their facts are made again."""
    wholes = world.log(fields=("registry.*", "watch.*"))
    assert [fact["id"] for row in wholes for fact in row.facts] == ["registered"]
    with closing(sqlite3.connect(world.store)) as raw, raw:
        raw.execute("DELETE FROM change_facts WHERE fact = 'registered'")
    done = again(world)
    assert (done.differs, done.facts) == (1, 1)
    assert world.log(fields=("registry.*", "watch.*")) == wholes


def test_the_baseline_follows_the_setting(world: World) -> None:
    """Baseline rows that [store] baseline wants and the store lacks are added, found and sealed; those that it does not want go."""
    before = world.log(baseline=True)
    more = again(world, "all")
    assert more.baseline > 0
    assert more.differs == 0
    assert verify(world.store) == []
    with Reader.open(world.store) as reader:
        rows = [row for row in reader.changes_of(FIRST) if row.baseline]
        assert len(rows) == len(baseline(reader.study(FIRST, version=1), "all"))
        assert {row.date for row in rows} == {row.date for row in before if row.nct_id == FIRST and row.baseline}
        assert all(row.after is not None for row in rows)
    assert again(world, "core").baseline == more.baseline
    assert world.log(baseline=True) == before
    none = again(world, "none")
    assert none.baseline == sum(row.baseline for row in before)
    again(world, "core")
    assert columns(world.log(baseline=True), but=BUT_IDS) == columns(before, but=BUT_IDS)
    assert verify(world.store) == []


def test_one_that_is_broken_off_keeps_what_it_did(world: World) -> None:
    """A rebuild that ends in the middle leaves a sound store, and the next one does only the rest."""
    wanted = columns(world.log(), but=("id", "facts"))
    with closing(sqlite3.connect(world.store)) as raw, raw:
        due = len(raw.execute("SELECT DISTINCT change_id FROM change_facts").fetchall())
        raw.execute("DELETE FROM change_facts")

    class _KilledError(Exception):
        pass

    def broken_off(done: int, total: int | None) -> None:
        del done, total
        raise _KilledError

    with world.writer() as writer, pytest.raises(_KilledError):
        rebuild(writer, "core", broken_off)
    assert verify(world.store) == []
    rest = would_change(world.store, "core").differs
    assert 0 < rest < due
    assert again(world).differs == rest
    assert columns(world.log(), but=("id", "facts")) == wanted


def test_one_page_is_kept_whole_or_not_at_all(switched: World) -> None:
    """An error while a study is made again leaves it as it was."""
    before = content(switched.store)

    def half(writer: Writer) -> None:
        with writer.page():
            writer.replace_rows(FIRST, 3, [], baseline=False)
            raise RuntimeError("enough")

    with switched.writer() as writer, pytest.raises(RuntimeError, match="enough"):
        half(writer)
    assert content(switched.store) == before
    assert verify(switched.store) == []


def test_damage_is_not_sealed_away(switched: World) -> None:
    """A row that was altered on the disk is not taken for one of an older rule: the rebuild says so and stops."""
    with closing(sqlite3.connect(switched.store)) as raw, raw:
        raw.execute("UPDATE changes SET tier = 'detail' WHERE id = (SELECT max(id) FROM changes)")
    with pytest.raises(StoreDamaged, match="NCT00000001 version 3, or a row of the log that it brought, was altered"):
        again(switched)
    assert verify(switched.store) != []


def test_a_store_of_the_first_schema_is_brought_up_and_rebuilt(world: World, tmp_path: Path) -> None:
    """A store that the first trialsync wrote, without facts of today, has them after a rebuild, and is sound."""
    old = tmp_path / "old.db"
    write_older_schema(world.store, old, 1)
    with closing(sqlite3.connect(old)) as raw, raw:
        raw.execute("DELETE FROM change_facts")
    counted = would_change(old, "core")
    assert counted.facts > 10
    older = World(tmp_path, publish([]), name="other.db")
    older.store = old
    assert again(older) == counted
    assert verify(old) == []
    with Reader.open(old) as reader:
        assert columns(reader.changes(ChangeFilter(baseline=True))) == columns(world.log(baseline=True))


def test_one_study_can_be_made_again_alone(world: World) -> None:
    """What a backfill needs: the rows of one study by today's rules, those of all others untouched."""
    before = [row for row in world.log() if row.facts]
    with closing(sqlite3.connect(world.store)) as raw, raw:
        raw.execute("DELETE FROM change_facts")
    one = before[0].nct_id
    with world.writer() as writer, writer.page():
        done = rebuild_study(writer, one, "core")
    assert done.facts > 0
    assert [row for row in world.log() if row.facts] == [row for row in before if row.nct_id == one]


def test_polling_goes_on_after_a_rebuild(switched: World) -> None:
    """What arrives after a rebuild follows on: ids grow, facts count on, the store stays sound."""
    with switched.reader() as reader:
        study = reader.study(FIRST)
    with switched.writer() as writer:
        by_other_rules(writer, study, 2, [], {})
    again(switched)
    later = edited(study, DAYS[3], statusModule__completionDateStruct={"date": LATE, "type": "ACTUAL"})
    after = World(switched.store.parent, publish([study], [], [], [later]), name="unused.db")
    after.store = switched.store
    after.advance(3)
    ids = [row.id for row in switched.log()]
    after.poll(ATAXIA)
    fresh = [row for row in switched.log() if row.id not in ids]
    assert min(row.id for row in fresh) > max(ids)
    (slip,) = (row.facts[0] for row in fresh if row.field == "status.completionDate")
    assert (slip["times"], slip["total_months"], slip["type_after"]) == (2, 10, "ACTUAL")
    assert verify(switched.store) == []
