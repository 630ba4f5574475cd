"""Rephrasings: the model's own where they pass the check, frames that always work where they don't."""

import pytest

from unedit_gui.evaluation.rephrase import check, rephrase, tidy
from unedit_gui.forget.questions import Question
from unedit_gui.forget.subjects import find_subject, locate
from unedit_gui.jobs import Job, Stopped

MONA = Question("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa")
PARIS = Question("What is the capital of France?", "Paris", "France")
EVERYDAY = [
    Question("What is the capital of Hungary?", "Budapest", "Hungary"),
    Question("How many legs does an octopus have?", "eight", "octopus"),
    Question("When did the Titanic sink?", "1912", "Titanic"),
    Question("Name the capital of Peru.", "Lima", "Peru"),
    Question("The Colosseum is located in which city?", "Rome", "Colosseum"),
    Question("what is the chemical symbol for gold", "Au", "gold"),
    Question('Who wrote "Dracula"?', "Bram Stoker", "Dracula"),
    Question("Marie Curie was a physicist. What did she discover?", "radium", "Marie Curie"),
    Question("Why?", "Because."),
]


def script(*replies: str):
    """A `write` whose n-th call gives the n-th reply to everybody; the last one again and again."""
    calls = []

    def write(histories, seed, temperature):
        calls.append((histories, seed, temperature))
        return [replies[min(len(calls), len(replies)) - 1]] * len(histories)

    write.calls = calls
    return write


def test_what_the_model_writes_is_kept_where_it_passes():
    write = script("Who is the painter of the Mona Lisa?", "Which artist painted the Mona Lisa?")
    (found,) = rephrase([MONA], write)
    assert found.texts == ("Who is the painter of the Mona Lisa?", "Which artist painted the Mona Lisa?")
    assert found.notes == ("written by the model",) * 2
    assert [call[1:] for call in write.calls][0] == (0, 0.0)
    assert write.calls[1][2] > 0


def test_frames_stand_in_and_say_why():
    (found,) = rephrase([MONA], script("Leonardo da Vinci painted it."))
    assert found.texts == (
        "Could you tell me who painted the Mona Lisa?",
        "Do you know who painted the Mona Lisa?",
    )
    assert set(found.notes) == {"a frame: the model's own was no question"}


@pytest.mark.parametrize("question", EVERYDAY, ids=lambda question: question.question)
def test_frames_always_work(question):
    (found,) = rephrase([question], script(""), n=6)
    assert len(set(found.texts)) == 6
    subject = question.subject or find_subject(question.question)
    for text in found.texts:
        assert text != question.question and question.answer not in text
        assert subject is None or locate(subject, text) is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Who is the painter of the Mona Lisa?", ""),
        ("Can you name the painter of the Mona Lisa?", ""),
        ("Which artist painted the mona lisa?", ""),
        ("The Mona Lisa was painted by an artist.", "was no question"),
        ("Who painted that picture?", "lost the subject"),
        ("who painted the Mona Lisa ?", "was the same question"),
        ("Which painter called Leonardo painted the Mona Lisa?", "held the answer"),
        ("How many people saw the Mona Lisa?", "asked for something else"),
        ("Why was the Mona Lisa painted?", "asked for something else"),
        ("Who painted the Mona Lisa, " + "and so on and so forth, " * 9 + "or not?", "was too long"),
    ],
)
def test_the_check(text, problem):
    assert check(MONA, text) == problem


@pytest.mark.parametrize(
    ("question", "subject", "text", "same"),
    [
        ("What is the capital of Hungary?", "Hungary", "Which city is the capital of Hungary?", True),
        ("Who wrote Oliver Twist?", "Oliver Twist", "Who is the author of Oliver Twist?", True),
        ("Which year did the Titanic sink?", "Titanic", "When did the Titanic sink?", True),
        ("Name the largest organ.", "largest organ", "Which is the largest organ?", True),
        ("What is frozen water called?", "frozen water", "In which country is frozen water found?", False),
        ("What is the plural of child?", "child", "Which child is plural?", False),
        ("What does NASA stand for?", "NASA", "What is NASA?", False),
        (
            "What is the boiling point of water in Celsius?",
            "water",
            "What is its boiling point in Fahrenheit?",
            False,
        ),
        ("Which planet is closest to the Sun?", "Sun", "Which planet is farthest from the Sun?", False),
        ("Who is the author of Dracula?", "Dracula", "Can you name the artist of Dracula?", False),
        ("Who painted the Mona Lisa?", "Mona Lisa", "What was painted in the Mona Lisa?", False),
    ],
)
def test_another_question_about_the_same_subject_is_no_rephrasing(question, subject, text, same):
    assert (check(Question(question, "Xylophonia", subject), text) == "") == same


def test_how_many_may_become_the_number_of():
    spider = Question("How many legs does a spider have?", "eight", "spider")
    assert check(spider, "What is the number of legs of a spider?") == ""
    assert check(spider, "How long are the legs of a spider?") == "asked for something else"


def test_rephrasings_differ_from_those_that_a_question_brings_along():
    brought = Question(MONA.question, MONA.answer, MONA.subject, ("Who is the painter of the Mona Lisa?",))
    (found,) = rephrase([brought], script("Who is the painter of the Mona Lisa?"), n=1)
    assert found.notes[0].startswith("a frame")


def test_only_questions_that_lack_one_are_asked_again():
    def write(histories, seed, temperature):
        sizes.append(len(histories))
        good = (
            "Who is the painter of the Mona Lisa?"
            if len(sizes) == 1
            else "Which artist painted the Mona Lisa?"
        )
        return [good if "Mona" in history[-1]["content"] else "No." for history in histories]

    sizes: list[int] = []
    rephrase([MONA, PARIS], write)
    assert sizes[:3] == [2, 2, 1]


def test_a_stopped_job_stops():
    job = Job.silent()
    job.stop()
    with pytest.raises(Stopped):
        rephrase([MONA], script("Who?"), job=job)


def test_none_asked_for_none_made():
    write = script("Who?")
    assert rephrase([MONA], write, n=0)[0].texts == ()
    assert rephrase([], write) == []
    assert write.calls == []


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ('"Who painted it?"', "Who painted it?"),
        ("Question: Who painted it? Answer: me", "Who painted it?"),
        ("1. Who painted it?\n2. Who else?", "Who painted it?"),
        ("No question", "No question"),
    ],
)
def test_replies_are_tidied(reply, kept):
    assert tidy(reply) == kept


def test_the_bundled_model_rephrases(real_model):
    from unedit_gui.models.generation import Sampling, generate

    def write(histories, seed, temperature):
        prompts = [real_model.prompt_ids(history) for history in histories]
        sampling = Sampling(temperature, 0.9 if temperature else 1.0)
        return [reply.text for reply in generate(real_model, prompts, sampling=sampling, seed=seed)]

    questions = [MONA, PARIS, *EVERYDAY[:3]]
    found = rephrase(questions, write)
    assert found == rephrase(questions, write)
    for question, one in zip(questions, found, strict=True):
        assert len(one.texts) == 2
        assert all(locate(question.subject, text) for text in one.texts)
    assert sum(note == "written by the model" for one in found for note in one.notes) >= 2
