"""A list that can't be edited is refused in one sentence that names the question."""

from dataclasses import replace

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.forget.checks import check_forget_set, first_claim, same_text
from unedit_gui.forget.questions import Question

FRANCE = Question("What is the capital of France?", "Paris", "France", target="I don't know.")
LISA = Question("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa", target="No idea.")


def test_a_sound_list_passes():
    check_forget_set([FRANCE, LISA], [Question("What is the capital of Spain?", "Madrid")], targets_given=True)


@pytest.mark.parametrize(
    "questions, words",
    [
        ([], "nothing to forget"),
        ([FRANCE, replace(LISA, subject=None)], "No subject.*Mona Lisa.*give the words"),
        ([replace(FRANCE, subject="Spain")], "'Spain' is not in the question"),
        ([replace(FRANCE, answer="  ")], "lacks"),
        ([replace(FRANCE, question=" ", subject=None)], "lacks"),
        ([FRANCE, FRANCE], "given twice; keep it once"),
        ([FRANCE, replace(FRANCE, question="what is the  capital of France")], "given twice"),
        ([FRANCE, replace(FRANCE, target="Something else.")], "twice with different targets"),
        ([replace(FRANCE, target=None)], "no target"),
        ([replace(FRANCE, target="  ")], "no target"),
    ],
)
def test_what_can_not_be_edited_is_named(questions, words):
    with pytest.raises(BadInput, match=words) as caught:
        check_forget_set(questions, targets_given=True)
    assert "\n" not in str(caught.value)


def test_targets_are_not_asked_for_where_they_will_be_written():
    check_forget_set([replace(FRANCE, target=None)])


def test_a_question_can_not_be_forgotten_and_protected():
    with pytest.raises(BadInput, match="capital of FRANCE.*protected"):
        check_forget_set([FRANCE], [Question("What is the capital of FRANCE", "Paris")])


def test_a_long_question_is_shortened_in_the_message():
    long = Question("Why " + "very " * 300 + "long?", "Because", None)
    with pytest.raises(BadInput) as caught:
        check_forget_set([long])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "reply, claim",
    [
        ("The capital is Paris. It lies on the Seine.", "The capital is Paris."),
        ("It was J. K. Rowling. She wrote seven books.", "It was J. K. Rowling."),
        ("Dr. Watson said so! Then he left.", "Dr. Watson said so!"),
        ("Yes. It is Paris. Or so.", "Yes. It is Paris."),
        ("Paris", "Paris"),
        ("\n\n  Paris is\n the capital\n\nMore text.", "Paris is the capital"),
        ("It costs 3.50 dollars. Cheap.", "It costs 3.50 dollars."),
        ("  ", ""),
    ],
)
def test_the_claim_of_a_reply_is_its_first_sentence(reply, claim):
    assert first_claim(reply) == claim


def test_spelling_of_a_question_does_not_count():
    assert same_text("Who's  there?") == same_text("who s there")
    assert same_text("Wer ist Émile?") != same_text("Wer ist Emil?")
