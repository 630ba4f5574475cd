"""Merging questions: every question in one group, alike ones together, the same groups each time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unedit_gui.errors import BadInput
from unedit_gui.forget.merging import MOST, joined, merge
from unedit_gui.forget.questions import Question

CAPITALS = [Question(f"What is the capital of {c}?", "x", c) for c in ("France", "Peru", "Chad")]
BOOKS = [Question(f"Who wrote {b}?", "x", b) for b in ("Emma", "Dracula", "Ulysses")]
MIXED = [q for pair in zip(CAPITALS, BOOKS, strict=True) for q in pair]


def test_alike_questions_come_together():
    assert [group.questions for group in merge(MIXED, 3)] == [tuple(CAPITALS), tuple(BOOKS)]


def test_the_merged_prompt_is_one_question_behind_the_other():
    assert merge(CAPITALS[:2], 2)[0].prompt == "What is the capital of France? What is the capital of Peru?"
    assert joined(["Who\n wrote it?", "Why?"]) == "Who wrote it? Why?"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=25), st.integers(1, 7))
def test_every_question_is_in_one_group_of_at_most_k(texts, k):
    groups = merge([Question(text, "x") for text in texts], k)
    assert sorted(place for group in groups for place in group.places) == list(range(len(texts)))
    assert len(groups) == -(-len(texts) // k) and all(len(group.places) <= k for group in groups)


def test_some_of_the_groups_alone_are_merged_in_the_same_way():
    """The page has one group written anew: its questions must come together again."""
    groups = merge(MIXED * 2, 2)
    for kept in (groups[1:], groups[::2]):
        again = merge([q for place, q in sorted((p, q) for g in kept for p, q in zip(*_parts(g), strict=True))], 2)
        assert [g.questions for g in again] == [g.questions for g in kept]


def _parts(group):
    return group.places, group.questions


@pytest.mark.parametrize("k", [0, -1, MOST + 1, 2.5, True, "5"])
def test_a_number_that_makes_no_sense_is_told(k):
    with pytest.raises(BadInput, match=f"by 1 to {MOST}"):
        merge(MIXED, k)
