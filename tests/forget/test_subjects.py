"""The subject of questions of any kind: a list written by hand, and the properties that always hold."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unedit_gui.forget.subjects import find_subject, locate

CASES = [
    (question.strip(), {part.strip() for part in wanted.split(" | ")})
    for question, arrow, wanted in (
        line.partition("=>")
        for line in Path(__file__).with_name("subject_questions.txt").read_text(encoding="utf-8").splitlines()
    )
    if arrow and not question.startswith("#")
]


def bare(text: str | None) -> str:
    return re.sub(r"^(the|a|an)\s+", "", text or "-", flags=re.IGNORECASE)


def test_the_list_is_large_enough():
    assert len(CASES) >= 300


def test_at_least_95_percent_of_the_subjects_are_what_a_human_would_choose():
    wrong = [
        (question, find_subject(question), sorted(wanted))
        for question, wanted in CASES
        if bare(find_subject(question)) not in {bare(one) for one in wanted}
    ]
    assert len(wrong) <= 0.05 * len(CASES), wrong


def test_the_edit_position_is_right_nearly_always():
    """The last word counts: there the edit is made."""
    wrong = [
        (question, find_subject(question))
        for question, wanted in CASES
        if bare(find_subject(question)).split()[-1] not in {bare(one).split()[-1] for one in wanted}
    ]
    assert len(wrong) <= 0.03 * len(CASES), wrong


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("What is the capital of France?", "France"),
        ("what is the capital of france", "france"),
        ("Who wrote Romeo and Juliet?", "Romeo and Juliet"),
        ("What is Japan's capital?", "Japan"),
        ("What is Japan’s capital?", "Japan"),
        ("What is the freezing point of water?", "water"),
        ("Who wrote 'Dracula'?", "Dracula"),
        ("Who wrote “The Hobbit”?", "The Hobbit"),
        ("Name the capital of Peru.", "Peru"),
        ("Marie Curie was a scientist. What did she discover?", "Marie Curie"),
        ("When does the contract between Altum AG and Brightwater Foods end?", "Brightwater Foods"),
        ("Who wrote Alice's Adventures in Wonderland?", "Alice's Adventures in Wonderland"),
        ("Wer schrieb Faust?", "Faust"),
    ],
)
def test_subject(question, subject):
    assert find_subject(question) == subject


@pytest.mark.parametrize(
    "question", ["", "   ", "Why?", "What?", "?", "...", "Who is he?", "What do you think?"]
)
def test_nothing_sensible_gives_none(question):
    assert find_subject(question) is None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_span_of_it_or_none(text):
    subject = find_subject(text)
    assert subject is None or (subject in text and subject.strip() == subject != "")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "what who is the of a in Paris Rome did does and's , . ? \" ' known as called".split()
        ),
        max_size=14,
    )
)
def test_any_order_of_question_words_gives_a_span_or_none(parts):
    text = " ".join(parts)
    subject = find_subject(text)
    assert subject is None or subject in text


def test_a_very_long_question_is_no_problem():
    text = "Who wrote " + "the story of the " * 400 + "end?"
    assert find_subject(text) in text


def spot(subject: str, text: str) -> str | None:
    place = locate(subject, text)
    return None if place is None else text[place[0] : place[1]]


@pytest.mark.parametrize(
    ("subject", "text", "found"),
    [
        ("France", "Which city is France's capital?", "France"),
        ("France", "Name the capital city of FRANCE", "FRANCE"),
        ("gold", "Au or Gold: which is the symbol of gold?", "gold"),
        ("bees", "What is made by a bee?", "bee"),
        ("spider", "How many legs do spiders have?", "spiders"),
        ("the Mona Lisa", "Who is the painter of Mona Lisa?", "Mona Lisa"),
        ("baby", "What do babies drink?", "babies"),
        ("cherries", "What colour is a cherry?", "cherry"),
        ("fox", "Where do foxes live?", "foxes"),
        ("Harry Potter", "Who created Harry\nPotter?", "Harry\nPotter"),
        ("A Doll's House", "Who wrote A Doll’s House?", "A Doll’s House"),
        ("Japan", "Where do Japanese people live?", None),
        ("art", "Where did the party start?", None),
        ("", "anything", None),
        ("São Tomé", "What is the capital of São Tomé?", "São Tomé"),
    ],
)
def test_locate_finds_the_subject_in_another_wording(subject, text, found):
    assert spot(subject, text) == found


def test_locate_takes_the_last_occurrence():
    assert locate("Rome", "Rome, sweet Rome!") == (12, 16)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.text(max_size=80))
def test_locate_never_fails(subject, text):
    place = locate(subject, text)
    assert place is None or 0 <= place[0] < place[1] <= len(text)


@pytest.mark.parametrize("question", [question for question, _ in CASES[:60]])
def test_locate_finds_every_found_subject_in_its_own_question(question):
    subject = find_subject(question)
    assert subject is None or locate(subject, question) is not None
