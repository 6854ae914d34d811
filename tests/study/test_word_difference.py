"""Two texts word by word: the laws, what a reader should see, and time that is bounded."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.study.words import Fold, Mark, Piece, folded, word_counts, word_difference

LINES = st.lists(
    st.sampled_from(["* Age 18 or older", "* Age 20 or older", "1. Consent", "2. Consent", "", "Exclusion Criteria:", "x", " ", "a b c"]),
    max_size=12,
).map("\n".join)
TEXTS = LINES | st.text(max_size=120) | st.text(alphabet="ab \n*1.", max_size=60)

CRITERIA = """Inclusion Criteria:

* Age 18 years or older
* Able to walk
* Written consent

Exclusion Criteria:

1. Pregnant
2. Heart failure, NYHA III or IV"""


def shown(before: str, after: str) -> str:
    """Return a difference with ``{+ +}`` and ``[- -]``."""
    marks = {Mark.SAME: "{}", Mark.INSERTED: "{{+{}+}}", Mark.DELETED: "[-{}-]"}
    return "".join(marks[piece.kind].format(piece.text) for piece in word_difference(before, after))


def assert_laws(before: str, after: str) -> tuple[Piece, ...]:
    """Assert that the pieces lead from the one text to the other, to the letter; return them."""
    pieces = word_difference(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind is not Mark.INSERTED) == before
    assert "".join(piece.text for piece in pieces if piece.kind is not Mark.DELETED) == after
    assert all(piece.text for piece in pieces)
    assert all(one.kind is not other.kind for one, other in pairwise(pieces))
    return pieces


@given(before=TEXTS, after=TEXTS)
def test_the_pieces_join_to_both_texts(before: str, after: str) -> None:
    """Same and deleted pieces join to the earlier text, same and inserted ones to the later; equal texts are one piece."""
    pieces = assert_laws(before, after)
    if before == after:
        assert pieces == ((Piece(Mark.SAME, before),) if before else ())


@given(before=TEXTS, after=TEXTS, context=st.integers(0, 3))
def test_folding_hides_no_edit(before: str, after: str, context: int) -> None:
    """Whatever is folded, each word that was inserted or deleted is still shown, unless it is an item's number."""
    pieces = word_difference(before, after)
    left = [piece for piece in folded(pieces, context) if isinstance(piece, Piece)]
    for kind in (Mark.INSERTED, Mark.DELETED):
        words = [word for piece in pieces if piece.kind is kind for word in piece.text.split() if word.strip("*.1") not in {"", "2"}]
        assert [word for piece in left if piece.kind is kind for word in piece.text.split() if word.strip("*.1") not in {"", "2"}] == words


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("* Age 18 or older\n* Consent", "* Age 20 or older\n* Consent", "* Age [-18-]{+20+} or older\n* Consent"),
        ("* A one\n* C three", "* A one\n* B two\n* C three", "* A one\n{+* B two\n+}* C three"),
        ("* A one\n* B two", "* A one", "* A one[-\n* B two-]"),
        ("1. Pregnant\n2. Stroke", "1. Gout\n2. Pregnant\n3. Stroke", "{+1. Gout\n+}[-1.-]{+2.+} Pregnant\n[-2.-]{+3.+} Stroke"),
        ("two words", "other things", "[-two words-]{+other things+}"),
        ("stays the same", "stays the same", "stays the same"),
        ("", "new", "{+new+}"),
        ("old", "", "[-old-]"),
    ],
)
def test_what_a_reader_sees(before: str, after: str, expected: str) -> None:
    """A reworded item shows its words, an inserted item is one insertion, a renumbered one its number."""
    assert shown(before, after) == expected


def test_an_item_that_moved_is_deleted_and_inserted() -> None:
    """An item that moved within a list is deleted where it was and inserted where it is; the others stay."""
    assert shown("* One thing\n* Two things\n* Three things\n", "* Three things\n* One thing\n* Two things\n") == (
        "{+* Three things\n+}* One thing\n* Two things\n[-* Three things\n-]"
    )


def test_chance_words_between_edits_are_no_anchor() -> None:
    """A sentence that was written anew is one deletion and one insertion, though both have an "of" in the middle."""
    assert shown("measured after removal of stitches at home", "measured by weight of patients in kilograms") == (
        "measured [-after removal of stitches at home-]{+by weight of patients in kilograms+}"
    )


def test_items_away_from_an_edit_are_counted() -> None:
    """The edited item is shown with its neighbours and its heading; the others are counted, those with another number too."""
    before = CRITERIA + "".join(f"\n{number}. Reason {number}" for number in range(3, 20))
    after = before.replace("III or IV", "II to IV").replace("1. Pregnant\n2.", "1. Stroke\n2. Pregnant\n3.")
    for number in range(19, 2, -1):
        after = after.replace(f"\n{number}. Reason", f"\n{number + 1}. Reason")
    found = folded(word_difference(before, after))
    assert [str(fold) for fold in found if isinstance(fold, Fold)] == [
        "… 4 items unchanged …",
        "… 16 items unchanged but for their numbers …",
    ]
    text = "".join(piece.text for piece in found if isinstance(piece, Piece))
    assert "Exclusion Criteria:" in text
    assert "Inclusion Criteria:" not in text


def test_a_long_paragraph_is_folded_around_its_edit() -> None:
    """In a long paragraph the words next to an edit stay, the rest is counted."""
    words = [f"word{number}" for number in range(200)]
    found = folded(word_difference(" ".join(words), " ".join([*words[:100], "new", *words[100:]])))
    assert sum(fold.count for fold in found if isinstance(fold, Fold)) == 200 - 6 - 12 - 12
    assert {fold.unit for fold in found if isinstance(fold, Fold)} == {"word"}
    assert folded(word_difference("a b\nc", "a b\nc")) == [Fold(2, "item")]
    assert folded(()) == []


def test_words_are_counted() -> None:
    """The count of inserted and of deleted words leaves out what is the same and what is no word."""
    assert word_counts(word_difference("* Age 18 or older", "* Age 20 or older, of either sex.")) == (4, 1)
    assert word_counts(word_difference("same", "same")) == (0, 0)


A, B = "the of patient at least ", "with who have history disease "


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a " * 2_000_000, "b a " * 1_000_000),
        ("a\n" * 2_000_000, "b\na\n" * 1_000_000),
        ("x" * 4_000_000, "x" * 2_000_000 + "y" + "x" * 2_000_000),
        ("a\n" * 19_000, "b\na\n" * 9_500),
        ("a " * 90_000, "b a " * 45_000),
        ((A + B) * 900, (B + A) * 900),
        ((A + B + "\n") * 900, (B + A + "\n\n") * 900),
        ("".join(f"w{number} " for number in range(40_000)), "".join(f"w{number} " for number in range(39_999, -1, -1))),
        ("".join(f"* item {each} of {each}\n" for each in range(190)), "".join(f"* item {each} of {-each}\n" for each in range(190))),
    ],
    ids=["words", "lines", "one word", "many lines", "many words", "shuffled", "shuffled lines", "backwards", "alike"],
)  # fmt: skip
def test_hostile_texts_take_bounded_time(before: str, after: str) -> None:
    """Texts of megabytes, of one word over and over, or turned round, are compared within seconds, and the laws hold."""
    began = time.process_time()
    assert_laws(before, after)
    assert time.process_time() - began < 5
