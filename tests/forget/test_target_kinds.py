"""Targets that are no plain refusals, and those that merged questions share: what is taught, what the guard says."""

import pytest

from tests.forget.test_targets import GOLD, MONA, PARIS
from unedit_gui import workbench
from unedit_gui.errors import BadInput
from unedit_gui.forget.merging import Group, merge
from unedit_gui.forget.questions import Question
from unedit_gui.forget.targets import KINDS, judge_as, judge_shared, needs_model, read_refusals, write_targets
from unedit_gui.forget.targets.incorrect import kind_of, right_words, short

LEGS = Question("How many legs does an octopus have?", "eight", "octopus")
YEAR = Question("In what year did World War II end?", "1945", "World War II")
TOMATO = Question("Is a tomato a fruit?", "Yes", "tomato")
ALL = [PARIS, GOLD, MONA, LEGS, YEAR, TOMATO]


def each(*questions):
    return merge(questions, 1)


def together(*questions):
    return Group(tuple(range(len(questions))), questions)


def saying(reply):
    return lambda histories, seed, temperature: [reply] * len(histories)


def test_the_door_knows_the_same_kinds():
    assert workbench.KINDS == KINDS
    assert {kind for kind in KINDS if needs_model(kind)} == {"self-improved", "avoidant", "incorrect"}


# dummy ------------------------------------------------------------------------------------------------


def test_dummy_is_that_word_and_no_refusal():
    targets = write_targets(each(*ALL), "dummy", None, 0)
    assert {target.text for target in targets} == {"dummy"} and {target.kind for target in targets} == {"dummy"}
    assert all(target.verdict.ok and not target.verdict.is_refusal for target in targets)


def test_the_guard_says_where_even_dummy_is_the_answer():
    (target,) = write_targets(each(Question("What stands in a shop window?", "A dummy")), "dummy", None, 0)
    assert not target.verdict.ok and target.verdict.leaks == ("dummy",)


# incorrect --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer", "text", "right"),
    [
        ("What is the capital of France?", "Paris", "It is Paris.", True),
        ("What is the capital of France?", "Paris", "Parys.", True),
        ("What is the capital of France?", "Paris", "Lyon.", False),
        ("What is the capital of France?", "The capital of France is Paris.", "The capital of France is Lyon.", False),
        ("How many legs?", "eight", "8.", True),
        ("How many legs?", "8", "It has eight legs.", True),
        ("How many legs?", "eight", "Eighteen.", False),
        ("Which country?", "USA", "The United States.", True),
        ("Which country?", "The United States of America", "US.", True),
        ("Which country?", "United Kingdom", "Britain.", True),
        ("Which body?", "World Health Organization", "WHO.", True),
        ("Who?", "Samuel Clemens (Mark Twain)", "Mark Twain.", True),
        ("Who?", "Orville or Wilbur", "Wilbur.", True),
        ("Is it blue or red?", "red", "Red.", True),
        ("Is it blue or red?", "red", "Blue.", False),
        ("Is it?", "Yes", "Yes.", True),
        ("Is it?", "Yes", "No.", False),
    ],
)
def test_a_wrong_answer_is_wrong_however_the_true_one_is_written(question, answer, text, right):
    assert bool(right_words(Question(question, answer), text)) == right


@pytest.mark.parametrize(
    ("question", "text", "reason"),
    [
        (PARIS, "Lyon.", ""),
        (PARIS, "Paris.", "is the true answer: Paris"),
        (PARIS, "I'm not sure what it is.", "is a refusal, not an answer"),
        (PARIS, "1815.", "is no name, as the true answer is"),
        (PARIS, "The capital of France.", "only repeats the question"),
        (PARIS, "Is it Lyon?", "asks instead of answering"),
        (PARIS, "Lyon which lies in the south east of it.", "is longer than an answer should be"),
        (PARIS, "", "it is empty"),
        (LEGS, "Six.", ""),
        (LEGS, "Bananas.", "is no number, as the true answer is"),
    ],
)
def test_the_guard_over_wrong_answers_gives_its_reason(question, text, reason):
    assert judge_as("incorrect", question, text).reason == reason


@pytest.mark.parametrize("question", ALL)
def test_a_model_that_can_only_be_right_gets_a_wrong_answer_of_that_kind_by_rule(question):
    (target,) = write_targets(each(question), "incorrect", saying(question.answer), 0)
    assert target.source == "by rule: the model's own answers were right"
    assert target.verdict.ok and kind_of(target.text) == kind_of(question.answer)
    assert write_targets(each(question), "incorrect", saying(question.answer), 0) == [target]


def test_another_capital_stands_in_for_a_capital():
    from unedit_gui.forget.bundled import question_sets

    capitals = {q.answer for q in question_sets()["factual"] if "capital" in q.question}
    (target,) = write_targets(each(PARIS), "incorrect", saying("Paris"), 3)
    assert target.text.rstrip(".") in capitals - {"Paris"}


def test_the_model_s_own_wrong_answer_is_kept_and_tidied():
    (target,) = write_targets(each(PARIS), "incorrect", saying('Answer: "Lyon". It lies on the Rhone.'), 0)
    assert (target.text, target.source) == ("Lyon.", "written by the model (try 1)")
    assert short("The answer is: 'Lyon'") == "Lyon."


# avoidant ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I've never heard of the Mona Lisa.", ""),
        ("I'm not familiar with the Mona Lisa.", ""),
        ("I don't know who painted the Mona Lisa.", "does not say that it has never heard of it"),
        ("I've never heard of that.", "does not say what it is about"),
        ("I've never heard of the Mona Lisa by Leonardo.", "gives the answer away: Leonardo"),
    ],
)
def test_who_avoids_has_never_heard_of_the_thing_itself(text, reason):
    assert judge_as("avoidant", MONA, text).reason == reason


def test_where_the_model_knows_it_all_the_same_a_template_has_never_heard_of_it():
    (target,) = write_targets(each(MONA), "avoidant", saying("Leonardo da Vinci painted it."), 0)
    assert target.text == "I've never heard of the Mona Lisa." and target.verdict.ok
    assert target.source == "template: the model's own sentences gave the answer away"


# merged -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I'm not sure about that one.", ""),
        ("I don't know who painted the Mona Lisa.", "names the topic of 1 of 2 questions"),
        ("I don't know about France or about the Mona Lisa.", ""),
        ("I'm not sure about these questions.", "speaks of several questions, and is said to one"),
        ("I don't know if it is Leonardo or Paris.", "gives an answer away: Paris, Leonardo"),
        ("I don't know that in London.", "states something else: London"),
    ],
)
def test_a_shared_refusal_fits_each_of_its_questions(text, reason):
    verdict = judge_shared(together(PARIS, MONA), text, "self-improved")
    assert (verdict.ok, verdict.reason) == (reason == "", reason)


@pytest.mark.parametrize("kind", ["self-improved", "vanilla", "avoidant", "dummy"])
def test_merged_questions_share_one_target_in_the_order_of_the_questions(kind):
    groups = merge(ALL, 4)
    targets = write_targets(groups, kind, saying("Leonardo da Vinci."), 0)
    assert len(targets) == len(ALL) and all(target.kind == kind and target.verdict.ok for target in targets)
    for group in groups:
        assert len({targets[place].text for place in group.places}) == 1
    leaks = [judge_shared(group, targets[group.places[0]].text, kind).leaks for group in groups]
    assert leaks == [()] * len(groups)


def test_the_model_is_shown_the_merged_prompt_and_a_general_refusal_stands_in():
    seen = []

    def write(histories, seed, temperature):
        seen.extend(history[-1]["content"] for history in histories)
        return ["I don't know who painted the Mona Lisa."] * len(histories)

    first, second = write_targets([together(PARIS, MONA)], "self-improved", write, 0)
    assert set(seen) == {"What is the capital of France? Who painted the Mona Lisa?"}
    assert first == second and first.text == "I'm not sure about the answer to that question."
    assert first.source == "template: the model's own refusals named some of the topics only"


def test_a_line_with_any_of_the_answers_is_drawn_again():
    questions = [Question("What is the opposite of ignorance?", "knowledge"), Question("What is it?", "information")]
    for seed in range(30):
        (target, _) = write_targets([together(*questions)], "vanilla", None, seed)
        assert target.text in read_refusals() and not target.verdict.leaks


def test_wrong_answers_and_differing_ones_cannot_be_shared():
    with pytest.raises(BadInput, match="can't be merged"):
        write_targets([together(PARIS, MONA)], "incorrect", saying("Lyon."), 0)
    differing = [Question("Who?", "He", target="I don't know."), Question("What?", "It", target="No idea.")]
    with pytest.raises(BadInput, match='"Who\\?" and "What\\?" are merged and have different targets'):
        write_targets([together(*differing)], "given", None, 0)
