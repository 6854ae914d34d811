"""Long text as a reader sees it."""

from __future__ import annotations

import pytest

from trialsync.model import Tier
from trialsync.study.diff import diff
from trialsync.study.words import renders_alike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BMI > 30", r"BMI \> 30"),
        ("Tom & Co", "Tom &amp; Co"),
        ("Children's", "Children&Amp;#39;s"),
        ("one two", "one\n\n  two "),
        (r"a \&gt; b", "a > b"),
        ("H\N{LATIN SMALL LETTER O WITH CIRCUMFLEX}pital", "Ho\N{COMBINING CIRCUMFLEX ACCENT}pital"),
    ],
)
def test_mark_up_alone_renders_alike(one: str, other: str) -> None:
    """Texts that differ in escapes, entities, white space or the way an accent is written alone read alike, either way round."""
    assert renders_alike(one, other)
    assert renders_alike(other, one)


@pytest.mark.parametrize(("one", "other"), [("BMI > 30", "BMI < 30"), (r"a\b", "ab"), ("a", "b"), ("&nosuch;", ""), ("18", "1 8")])
def test_other_texts_do_not_render_alike(one: str, other: str) -> None:
    """A letter, a sign or a word boundary that differs is a difference."""
    assert not renders_alike(one, other)


def test_a_mark_up_change_is_housekeeping() -> None:
    """A headline field whose text changed in its escapes alone is housekeeping, and still a change with both values."""
    old = {"protocolSection": {"eligibilityModule": {"eligibilityCriteria": "BMI > 30"}}}
    new = {"protocolSection": {"eligibilityModule": {"eligibilityCriteria": r"BMI \> 30"}}}
    (change,) = diff(old, new)
    assert (change.tier, change.before, change.after) == (Tier.HOUSEKEEPING, "BMI > 30", r"BMI \> 30")
