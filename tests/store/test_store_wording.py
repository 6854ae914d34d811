"""Tests of the words by which a row of the log is found."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from trialsync.store.wording import whole_wording_of, wording, wording_of

VALUES = st.one_of(st.none(), st.text("ab -\n", max_size=30), st.lists(st.text("abc ", max_size=8)), st.integers(-9, 9), st.booleans())


@given(VALUES, VALUES)
def test_every_word_of_both_values_is_there_once_more_at_most(before: object, after: object) -> None:
    """A row is found by each word of either value and by no other, and what both values say is not said twice."""
    texts = [None if value is None else orjson.dumps(value).decode() for value in (before, after)]
    text = wording_of(*texts)
    assert text == wording(before, after)
    assert set(text.split()) == set(whole_wording_of(*texts).split())
    assert text.startswith(wording(None, after))
    assert len(text.split()) <= len(whole_wording_of(*texts).split())


def test_a_long_text_in_which_a_word_changed_is_given_once() -> None:
    """Of the older text only the words that went are added."""
    assert wording("aged 18 to 65 years", "aged 18 to 70 years") == "aged 18 to 70 years\n65"
    assert wording({"measure": "Survival", "timeFrame": "12 weeks"}, None) == "\nSurvival 12 weeks"
    assert wording(None, True) == ""  # noqa: FBT003 - a value of a record
