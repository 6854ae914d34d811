"""Word differences in plain text, on a terminal, in HTML and in Markdown; and registry text that holds marks, tags and escapes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from trialsync.publish import long_text
from trialsync.publish.text import visible
from trialsync.study.words import Mark, Piece, folded, word_difference

NASTY = [
    "{+",
    "+}",
    "[-",
    "-]",
    "{\\+",
    "\\",
    "<del>",
    "</ins>",
    "<script>",
    "\x1b[31m",
    "\u202e",
    "\x00",
    "|",
    "`",
    "```\n",
    "\n",
    "word ",
    "* ",
]
TEXTS = st.lists(st.sampled_from(NASTY), max_size=10).map("".join) | st.text(max_size=60)
MARKS = {"{+": Mark.INSERTED, "[-": Mark.DELETED}
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def read_back(text: str) -> list[tuple[Mark, str]]:
    """Return the marked pieces of plain text, without the backslashes that keep the registry's text apart from marks."""
    found = []
    for same, inserted, deleted in re.findall(r"(?s)((?:(?!\{\+|\[-).)+)|\{\+(.+?)\+\}|\[-(.+?)-\]", text):
        kind = Mark.SAME if same else Mark.INSERTED if inserted else Mark.DELETED
        found.append((kind, plain(same + inserted + deleted)))
    return found


def plain(text: str) -> str:
    """Return text without the backslash that was put into a mark of the registry's own."""
    return re.sub(r"\{\\(\\*)(?=\+)|\+\\(\\*)(?=\})|\[\\(\\*)(?=-)|-\\(\\*)(?=\])", lambda mark: mark[0].replace("\\", "", 1), text)


@given(before=TEXTS, after=TEXTS)
def test_marks_can_be_read_back(before: str, after: str) -> None:
    """Whatever marks the registry's text holds, what is marked as inserted and deleted is what was."""
    pieces = word_difference(before, after)
    found = read_back(long_text.marked(pieces))
    for kind in (Mark.INSERTED, Mark.DELETED):
        expected = "".join(visible(piece.text) for piece in pieces if piece.kind is kind)
        assert "".join(text for mark, text in found if mark is kind) == expected.replace("\n", "")


def test_marks_in_plain_text() -> None:
    """Inserted stands in ``{+ +}``, deleted in ``[- -]``, line by line; a mark that the registry's text holds gets a backslash."""
    assert long_text.marked(word_difference("* Age 18\n", "* Age 20\n* New\n")) == "* Age [-18-]{+20+}\n{+* New+}\n"
    assert long_text.marked(word_difference("a {+b+} c", "a {+b+} d")) == "a {\\+b+\\} [-c-]{+d+}"
    assert long_text.marked([Piece(Mark.SAME, "{\\+ [-")]) == "{\\\\+ [\\-"


def test_folds_stand_on_lines_of_their_own() -> None:
    """A fold of items is a line; one of words stands among them."""
    before = "\n".join(f"* item {number}" for number in range(9))
    assert long_text.marked(folded(word_difference(before, before + " new"))) == "… 7 items unchanged …\n* item 7\n* item 8{+ new+}"
    long = " ".join(f"w{number}" for number in range(40))
    assert "w5 … 22 words unchanged … w28" in " ".join(long_text.marked(folded(word_difference(long, long + " new"))).split())


@given(before=TEXTS, after=TEXTS)
def test_html_holds_no_tag_but_ours(before: str, after: str) -> None:
    """Read as HTML, a difference holds ``ins``, ``del`` and ``span`` alone, closed in order, and its text is the registry's."""
    pieces = word_difference(before, after)
    tags: list[str] = []
    texts: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag in {"ins", "del"}
            assert not attrs
            tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert tags.pop() == tag

        def handle_data(self, data: str) -> None:
            texts.append(data)

    reader = Reader()
    reader.feed(long_text.html(pieces))
    reader.close()
    assert tags == []
    assert "".join(texts) == "".join(visible(piece.text) for piece in pieces)


def test_html_escapes_what_the_registry_wrote() -> None:
    """A tag in the registry's text is text; a fold is a span."""
    assert long_text.html_difference("* <b>Age</b> 18", "* <b>Age</b> 20") == "* &lt;b&gt;Age&lt;/b&gt; <del>18</del><ins>20</ins>"
    assert long_text.html_difference("same", "same") == '<span class="fold">… 1 item unchanged …</span>\n'


@given(before=TEXTS, after=TEXTS)
def test_colour_is_ours_alone(before: str, after: str) -> None:
    """On a terminal the only escapes are ours, each colour ended on its line."""
    text = long_text.colored(word_difference(before, after))
    for line in text.split("\n"):
        found = re.findall("\x1b\\[[0-9;]*m", line)
        assert set(found[::2]) <= {"\x1b[32;4m", "\x1b[31;9m"}
        assert set(found[1::2]) <= {"\x1b[0m"}
        assert len(found) % 2 == 0
    assert not STEERING.search(re.sub("\x1b\\[[0-9;]*m", "", text))


@given(before=TEXTS, after=TEXTS)
def test_markdown_stays_on_its_line(before: str, after: str) -> None:
    """In Markdown a difference is one line in which no tag but ours begins."""
    text = long_text.markdown(word_difference(before, after))
    assert "\n" not in text
    assert not STEERING.search(text)
    tags = re.findall(r"(\\*)<(?=[A-Za-z/!?])([a-z/]*)", text)
    assert all(tag in {"ins", "/ins", "del", "/del"} or len(backslashes) % 2 for backslashes, tag in tags)
    block = long_text.markdown_block(word_difference(before, after))
    assert [token.type for token in MarkdownIt("commonmark").parse(block)] == ["fence"]


@given(before=TEXTS, after=TEXTS, room=st.integers(8, 120))
def test_an_excerpt_takes_the_room_it_has(before: str, after: str, room: int) -> None:
    """The excerpt of a difference is one line of at most so many cells."""
    text = long_text.in_a_line(before, after, room)
    assert cell_len(text, "latest") <= room
    assert not STEERING.search(text)
    assert "\n" not in text


OLD = "Patients of either sex who have walked with a cane for at least six months and who can read the consent form alone"


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (60, "… cane for at least [-six-]{+nine+} months and who can read…"),
        (40, "… least [-six-]{+nine+} months and who…"),
        (20, "… [-six-]{+nine+} m…"),
    ],
)
def test_an_excerpt_shows_the_edit(room: int, expected: str) -> None:
    """However narrow, an excerpt shows the words that were edited, with some around them."""
    assert long_text.in_a_line(OLD, OLD.replace("six", "nine"), room) == expected


def test_an_excerpt_of_a_long_edit_shows_both_sides() -> None:
    """Where the edit itself is too long, the deleted and the inserted words share the room."""
    text = long_text.in_a_line("start " + "old " * 50, "start " + "new " * 50, 60)
    assert re.fullmatch(r"… \[-old .*…-\]\{\+new .*…\+\}…?", text), text


def test_an_edit_in_a_line_keeps_its_spaces() -> None:
    """Where a line shows an excerpt, the white space at an edit's end is inside its mark, so that no two words run together."""
    told = "seen by the panel after a long wait in the hall, unless withdrawn early by a parent who objects to it " * 2
    assert "has {+any +}history of" in long_text.in_a_line(f"has history of {told}", f"has any history of {told}", 60)
    assert "ends[- by the panel-], " in long_text.in_a_line(f"it ends by the panel, {told}", f"it ends, {told}", 60)


def test_how_many_words() -> None:
    """The words of a change are counted for a line that has no room for them."""
    assert long_text.counted_words("one two three", "one 2 3 4 three") == "+3 −1 words"  # noqa: RUF001
    assert long_text.counted_words("one two", "one two.") == "punctuation alone"
    assert long_text.counted_words("one", "one two") == "+1 word"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("RECRUITING", "COMPLETED", False),
        ("2026-01", None, False),
        (40, 41, False),
        ("a b c d e f", "g", True),
        (["a b c d e f g"], "x", False),
    ],
)
def test_which_changes_are_read_word_by_word(before: object, after: object, *, expected: bool) -> None:
    """Texts of more than a few words are; a status, a date, a number and a list are not."""
    assert long_text.is_long(before, after) is expected
