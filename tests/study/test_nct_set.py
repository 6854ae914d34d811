"""Sets of NCT numbers: what Python's own sets do, for a bit a number."""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = st.sets(st.integers(0, 60).map(lambda number: f"NCT{number:08d}") | st.sampled_from(["NCT00006060", "NCT00009999"]))
OPERATORS = (operator.or_, operator.and_, operator.sub, operator.xor)
METHODS = ("union", "intersection", "difference")


@pytest.mark.parametrize("operate", OPERATORS, ids=lambda each: each.__name__)
@given(one=NUMBERS, other=NUMBERS)
def test_operators_give_what_those_of_sets_give(operate: Callable[..., set[str]], one: set[str], other: set[str]) -> None:
    """An operator between two, or with a set on either side, holds the same numbers as between two sets, and changes neither."""
    mine, its = NctSet(one), NctSet(other)
    for found in (operate(mine, its), operate(mine, other), operate(one, its)):
        assert (set(found), len(found)) == (operate(one, other), len(operate(one, other)))
    assert (set(mine), set(its)) == (one, other)


@pytest.mark.parametrize("name", METHODS)
@given(one=NUMBERS, other=NUMBERS)
def test_methods_give_what_those_of_sets_give(name: str, one: set[str], other: set[str]) -> None:
    """A method takes any iterable and gives what a set's gives; with ``_update`` it changes the set itself."""
    assert set(getattr(NctSet(one), name)(iter(other))) == getattr(one, name)(other)
    changed = NctSet(one)
    getattr(changed, {"union": "update"}.get(name, f"{name}_update"))(iter(other))
    assert (set(changed), len(changed)) == (getattr(one, name)(other), len(getattr(one, name)(other)))


@given(start=NUMBERS, steps=st.lists(st.tuples(st.booleans(), st.integers(0, 60))))
def test_numbers_go_in_and_out_one_by_one(start: set[str], steps: list[tuple[bool, int]]) -> None:
    """After any steps the numbers are those of a set, counted, in ascending order, and equal to a set of them."""
    mine, plain = NctSet(start), set(start)
    for goes_in, number in steps:
        for each in (mine, plain):
            (each.add if goes_in else each.discard)(f"NCT{number:08d}")
    assert (list(mine), len(mine), bool(mine)) == (sorted(plain), len(plain), bool(plain))
    assert mine == NctSet(plain)
    assert mine.isdisjoint(plain) == (not plain)
    mine.clear()
    assert (list(mine), len(mine)) == ([], 0)


@pytest.mark.parametrize(
    "text", ["", "NCT0000001", "NCT000000012", "nct00000001", "NCT0000 001", "NCT0000000\u0661", "NCT-0000001", 7, None]
)
def test_what_is_no_number_is_never_in(text: object) -> None:
    """Nothing but an NCT number in its one spelling is in a set, and adding it is refused."""
    mine = NctSet(["NCT00000001", "NCT00000007"])
    assert text not in mine
    with pytest.raises(ValueError, match="is not an NCT number"):
        mine.update([text])  # type: ignore[list-item]


def test_the_whole_registry_takes_a_megabyte() -> None:
    """A set of every twelfth number up to the registry's newest takes less memory than two bytes a study."""
    mine = NctSet(f"NCT{number:08d}" for number in range(0, 7_300_000, 12))
    assert sys.getsizeof(mine._bits) < 2 * len(mine)
