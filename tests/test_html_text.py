"""Texts of the registry's history: HTML to the very Markdown that its API gives for the same words."""

from __future__ import annotations

import json
import lzma
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trialsync.registry.html_text import MARKUP, as_markdown, markdown, plain
from trialsync.registry.sandbox.flavour import historic, html

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTRY = Path(__file__).resolve().parent.parent.parent / "shared" / "registry"
real = pytest.mark.skipif(not REGISTRY.is_dir(), reason="no real records here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.\nTwo &amp; three&#x2F;four.", "One. Two \\& three/four."),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<ul><li>a</li><li>b</li></ul>", "* a\n* b"),
        ("<p>In:</p><ol><li>a</li><li>b</li></ol><p>Out.</p>", "In:\n\n1. a\n2. b\n\nOut."),
        ("<ul><li><p>a:</p><ul><li>x</li><li>y</li></ul></li><li>b</li></ul>", "* a:\n\n  * x\n  * y\n* b"),
        ("<ol><li><p>a</p><p>more</p></li></ol>", "1. a\n\n   more"),
        ("<ul><li>a</li></ul><ol><li>b</li></ol>", "* a\n\n<!-- -->\n\n1. b"),
        ("&lt;18 and &gt;65, m^2, a*b, c_d, [x], 1~2, a|b, a\\b", "\\<18 and \\>65, m\\^2, a\\*b, c\\_d, \\[x\\], 1\\~2, a\\|b, a\\\\b"),
        ("<p>1. first</p><p>2) second</p><p>3.5 mg</p>", "1\\. first\n\n2\\) second\n\n3.5 mg"),
        ("<p>- dash</p><p>-joined</p><p>+ plus</p>", "\\- dash\n\n-joined\n\n\\+ plus"),
        ("&amp;lt;18 &amp;#39;", "\\&lt;18 \\&#39;"),
        ("one<br>two<br/>three", "one\n\ntwo\n\nthree"),
        ("a\u00a0 b\r\n c", "a b c"),
        ("<b>bold</b> and <unknown>this</unknown>", "bold and this"),
        ("<p>left open<p>and so<ul><li>a<li>b", "left open\n\nand so\n\n* a\n* b"),
        ("<ul>loose<li>a</li></ul></p></div>", "* loose\n* a"),
        ("<li>alone</li>", "alone"),
        ("", ""),
        ("< no tag > at all &", "\\< no tag \\> at all \\&"),
    ],
)
def test_rich_text(text: str, expected: str) -> None:
    """Paragraphs, lists, entities and escapes become what the API has in their place; what is no good HTML still becomes its words."""
    assert markdown(text) == expected


def test_other_texts_have_their_entities_resolved_once() -> None:
    """A text that is not rich loses one layer of entities and its line breaks, and gets no escapes."""
    assert plain("Children&#x27;s &amp; Women&amp;#39;s\nHospital <1>") == "Children's & Women&#39;s Hospital <1>"
    assert plain("  kept as it is *") == "  kept as it is *"


def test_lists_may_be_nested_without_end() -> None:
    """Markup nested far deeper than any writer's is read without a traceback, and its words are there."""
    assert "word" in markdown("<ul><li>" * 5_000 + "word")
    assert "word" in markdown("<ul>" * 300 + "word")


@pytest.mark.parametrize("part", ["<!--", "<a", "</", "<![CDATA[", "<?", "<!a", "&#x", '" b="', "<ul><li>", "<script>", "<p>", "</q>"])
def test_a_text_of_any_size_is_read_in_no_time(part: str) -> None:
    """What opens without end, over and over, takes time in proportion to its size: a hostile text keeps no backfill waiting."""
    before = time.process_time()
    markdown('<a href="' + part * (150_000 // len(part)))
    assert time.process_time() - before < 5


def test_what_is_no_html_stays_words() -> None:
    """What looks like an element and does not end is said as it is; cells of a table stay apart."""
    assert markdown("p<0.05, a <b and c< d") == "p\\<0.05, a \\<b and c\\< d"
    assert markdown("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>") == "a b\n\nc"
    assert markdown("a<!-- no words -->b<script>c</script><a href='x'>d</a>") == "abcd"


def test_a_record_is_brought_over_whole() -> None:
    """Rich leaves get Markdown, others plain text, numbers and flags stay; reviewers' numbers go; the record given stays as it was."""
    study: dict[str, Any] = {
        "protocolSection": {
            "descriptionModule": {"briefSummary": "<p>a &gt; b</p>"},
            "identificationModule": {"briefTitle": "a &gt; b"},
            "outcomesModule": {"primaryOutcomes": [{"measure": "x &lt; y", "description": "x &lt; y", "reviewUnit": "3"}]},
            "designModule": {"enrollmentInfo": {"count": 3}, "phases": ["PHASE1"]},
        }
    }
    before = json.dumps(study)
    protocol = as_markdown(study)["protocolSection"]
    assert protocol["descriptionModule"] == {"briefSummary": "a \\> b"}
    assert protocol["identificationModule"] == {"briefTitle": "a > b"}
    assert protocol["outcomesModule"] == {"primaryOutcomes": [{"measure": "x < y", "description": "x \\< y"}]}
    assert protocol["designModule"] == study["protocolSection"]["designModule"]
    assert json.dumps(study) == before


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every leaf of a record with its path."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, (*path, name))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))
    else:
        yield path, value


def studies(limit: int) -> Iterator[dict[str, Any]]:
    """Yield real records of the API's present form."""
    with lzma.open(REGISTRY / "studies.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            said = json.loads(line)
            study = said.get("study", said)
            if study["protocolSection"]["statusModule"].get("lastUpdatePostDateStruct", {}).get("date", "") >= "2024":
                yield study
                limit -= 1
                if not limit:
                    return


@real
def test_the_rich_leaves_are_those_that_the_registry_names() -> None:
    """The paths in the code are just those that the registry's own description of its fields calls markup."""

    def markup(nodes: list[Any], path: str = "") -> Iterator[str]:
        for node in nodes:
            if node.get("type") == "markup":
                yield f"{path}{node['name']}"
            yield from markup(node.get("children", []), f"{path}{node['name']}.")

    assert set(markup(json.loads((REGISTRY / "studies-metadata.json").read_text()))) == MARKUP


@real
def test_a_real_answer_becomes_the_record_of_the_api() -> None:
    """Of a real study that is at hand in both forms, all leaves that both have are equal, but for references that were added since."""
    said = as_markdown(json.loads((REGISTRY / "history" / "NCT04435626.json").read_text())["study"])
    api = next(study for study in studies(10_000) if study["protocolSection"]["identificationModule"]["nctId"] == "NCT04435626")
    old, new = dict(leaves(said)), dict(leaves(api))
    differing = {path for path in old.keys() & new.keys() if old[path] != new[path]}
    assert len(old) > 20_000
    assert {path[:3] for path in differing} <= {
        ("protocolSection", "referencesModule", "references"),
        ("derivedSection", "miscInfoModule", "versionHolder"),
    }


@real
def test_real_texts_survive_the_way_there_and_back() -> None:
    """Of the rich texts of real records, as the stand-in writes them in HTML, 99 in 100 come back to the letter, the rest to the word."""
    texts = {
        value
        for study in studies(80)
        for path, value in leaves(study)
        if isinstance(value, str) and ".".join(part for part in path if isinstance(part, str)) in MARKUP
    }
    differing = [text for text in texts if markdown(html(text)) != text]
    assert len(texts) > 500
    assert len(differing) < len(texts) / 100
    for study in studies(10):
        protocol = as_markdown(historic(study))["protocolSection"]
        assert protocol["identificationModule"] == study["protocolSection"]["identificationModule"]
