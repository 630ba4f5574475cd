"""Incorrect: a wrong answer of the right kind (Hossain & Kagal, arXiv 2512.20794), made by the model.

The model is shown questions with wrong answers (data/wrong_answers.csv) and asked for one more. It is told the right
answer, to keep off it: so the bundled model wrote 20 of 24 wrong answers itself, and 7 of 16 where it had to guess what
not to say. A small one often gives the true answer all the same, so each is checked to be wrong, against the true
answer and the other ways to write it, and of its kind: a number for a number, a name for a name. What fails is asked
for again, and what still fails is the answer to another shipped question of the same form, or another number. That an
answer is wrong which merely differs from the given one can't be known ("Name a country in Europe."): read them.
"""

import random
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from unedit_gui.forget.bundled import question_sets
from unedit_gui.forget.merging import likeness
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import (
    content,
    falls_apart,
    fold,
    is_refusal,
    leaked_words,
    names_topic,
    plain,
    stem,
    tokens,
)
from unedit_gui.forget.targets.guard import Target, Verdict, Write
from unedit_gui.forget.targets.self_improved import nearest, written
from unedit_gui.forget.targets.shipped import read_wrong_answers
from unedit_gui.forget.targets.writing import TRIES, chat_of, first_good, unwrapped
from unedit_gui.jobs import Job

INSTRUCTION = (
    "This is a game of wrong answers. To each question give one short answer that is wrong but sounds likely: a city "
    "for a city, a person for a person, a number for a number. Never give the right answer."
)
SHOTS = 6
ASKED = "{question} (The right answer, {right}, is not allowed.)"
LONGER = 3  # words that a wrong answer may have more than the true one
ALIKE = 0.8  # of the letters: "Tokio" is no wrong answer beside "Tokyo"
_ALIASES = (
    ("united states of america", "united states", "usa", "us", "america"),
    ("united kingdom", "uk", "great britain", "britain", "england"),
    ("netherlands", "holland"),
    ("czech republic", "czechia"),
    ("myanmar", "burma"),
    ("soviet union", "ussr"),
    ("sea of japan", "east sea"),
    ("mount everest", "everest", "chomolungma"),
    ("television", "tv"),
)


def incorrect(
    questions: Sequence[Question], write: Write, seed: int, tries: int = TRIES, job: Job | None = None
) -> list[Target]:
    """Lets the model write each question's wrong answer, keeps the first that passes the guard, else takes one by rule.

    write(histories, seed, temperature) -> replies, see `first_good`. Raises Stopped (job).
    """
    shown = {
        question: (ASKED.format(question=question, right=right), f"{wrong}.")
        for question, right, wrong in read_wrong_answers()
    }
    exemplars = [(question, wrong) for question, (_, wrong) in shown.items()]

    def ask(i: int, seed: int) -> list[dict]:
        pairs = [shown[question] for question, _ in nearest(exemplars, questions[i], seed, SHOTS)]
        asked = ASKED.format(question=plain(questions[i].question), right=plain(questions[i].answer).strip(" ."))
        return chat_of(INSTRUCTION, pairs, asked)

    def read(i: int, seed: int, reply: str) -> tuple[str, str]:
        text = short(reply)
        return text, judge_incorrect(questions[i], text).reason

    done, failures = first_good(len(questions), ask, read, write, seed, tries, job, "Writing wrong answers")
    return [
        written(done[i], "incorrect", judge_incorrect(question, done[i][0]))
        if i in done
        else _by_rule(question, failures[i], seed)
        for i, question in enumerate(questions)
    ]


def short(reply: str) -> str:
    """The answer in a model's reply: its first sentence, with a full stop."""
    text = re.sub(r"^the (?:wrong )?answer is:?\s+", "", unwrapped(reply), flags=re.I)
    text = unwrapped(re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0].rstrip(".")).rstrip(".")
    return f"{text}." if text and text[-1] not in "!?" else text


# The guard ------------------------------------------------------------------------------------------------


def judge_incorrect(question: Question, text: str) -> Verdict:
    """Is it wrong, in whatever way the true answer is written, and of the true answer's kind?"""
    right = right_words(question, text)
    on_topic = names_topic(question.question, question.subject, text)
    reason = ""
    if not plain(text):
        reason = "it is empty"
    elif right:
        reason = f"is the true answer: {', '.join(right)}"
    elif is_refusal(text):
        reason = "is a refusal, not an answer"
    elif falls_apart(text):
        reason = "repeats itself"
    elif text.endswith("?"):
        reason = "asks instead of answering"
    elif len(text.split()) > len(question.answer.split()) + LONGER:
        reason = "is longer than an answer should be"
    elif not set(content(text)) - set(content(question.question)) and kind_of(question.answer) != "yes or no":
        reason = "only repeats the question"
    elif kind_of(text) != kind_of(question.answer):
        reason = f"is no {kind_of(question.answer)}, as the true answer is"
    return Verdict(not reason, right, is_refusal(text), on_topic, True, reason, "wrong, and of the right kind")


def right_words(question: Question, text: str) -> tuple[str, ...]:
    """What of the text is the true answer, in any of its variants; () if it is wrong."""
    found: list[str] = []
    for variant in variants(question.answer):
        found += leaked_words(question.question, variant, text)
        wanted, said = set(content(variant)), set(content(text))
        if (
            wanted and wanted <= said and not wanted <= {"yes", "no"}
        ):  # also where the question holds it: "red or blue?"
            found.append(variant)
        if _spelled_alike(question.question, variant, text) or _initials(variant) == plain(text).strip(" .") != "":
            found.append(variant)
    return tuple(dict.fromkeys(found))


def variants(answer: str) -> list[str]:
    """The true answer and other ways to write it: its alternatives, without brackets, known aliases."""
    answer = plain(answer).strip(" .")
    found = [answer, *re.split(r"\s*(?:/|;|\bor\b)\s*", answer), *re.findall(r"\(([^)]+)\)", answer)]
    found.append(re.sub(r"\s*\([^)]*\)", "", answer))
    for names in _ALIASES:
        if any(fold(re.sub(r"^the ", "", one, flags=re.I)) in names for one in found):
            found += [name.upper() if len(name) <= 4 else name for name in names]
    return [one for one in dict.fromkeys(part.strip() for part in found) if one]


def _spelled_alike(question: str, variant: str, text: str) -> bool:
    """Are the words that the question does not hold nearly the same letters?"""
    asked = set(content(question))
    a, b = ("".join(w for w in tokens(part) if not asked & {w, stem(w)}) for part in (variant, text))
    return min(len(a), len(b)) >= 4 and not (a + b).isdigit() and SequenceMatcher(None, a, b).ratio() >= ALIKE


def _initials(name: str) -> str:
    words = [word for word in re.findall(r"[^\W\d_]+", name) if word[0].isupper()]
    return "".join(word[0] for word in words) if len(words) > 1 else ""


def kind_of(answer: str) -> str:
    """What an answer is, by its form: "yes or no", "number", "name" or "word"."""
    answer = plain(answer).strip(" .")
    if fold(answer) in ("yes", "no"):
        return "yes or no"
    if any(token[0].isdigit() for token in tokens(answer)):
        return "number"
    return "name" if answer[:1].isupper() else "word"


# By rules -------------------------------------------------------------------------------------------------


def _by_rule(question: Question, failures: Sequence[str], seed: int) -> Target:
    """The first candidate that passes; the last resort doesn't, and its verdict says so."""
    texts = list(_candidates(question, seed))
    text = next((text for text in texts if judge_incorrect(question, text).ok), texts[-1])
    source = f"by rule: the model's own answers {_why(failures)}"
    return Target(text, "incorrect", judge_incorrect(question, text), source)


def _candidates(question: Question, seed: int) -> Iterator[str]:
    chance = random.Random(f"{seed}:{question.question}")
    if kind_of(question.answer) == "yes or no":
        yield "No." if fold(question.answer).startswith("yes") else "Yes."
    if kind_of(question.answer) == "number":
        yield from (f"{text}." for text in _other_numbers(question.answer, chance))
    others = list(_shipped())
    chance.shuffle(others)
    others.sort(key=lambda other: -likeness(question, other))
    yield from (f"{other.answer}." for other in others)
    yield "Something else."


def _other_numbers(answer: str, chance: random.Random) -> Iterator[str]:
    """The answer with another number in it, written with digits."""
    value = next(int(float(token)) for token in tokens(answer) if token[0].isdigit())
    digits = re.search(r"\d[\d,]*(?:\.\d+)?", answer)
    near = range(3, 40) if 1000 <= value <= 2100 else range(1, max(4, value // 2))
    for step in chance.sample(list(near), min(len(near), 8)):
        other = str(value + step if chance.random() < 0.5 or step > value else value - step)
        yield answer[: digits.start()] + other + answer[digits.end() :].rstrip(" .") if digits else other


@lru_cache(maxsize=1)
def _shipped() -> tuple[Question, ...]:
    """The shipped world facts."""
    return question_sets()["factual"]


_WHY = {
    "is the true answer": "were right",
    "is a refusal": "were refusals",
    "is longer": "were too long",
    "is no ": "were of another kind",
    "only repeats": "repeated the question",
    "repeats": "repeated themselves",
}


def _why(failures: Sequence[str]) -> str:
    found = [said for failure in failures for start, said in _WHY.items() if failure.startswith(start)]
    return max(found, key=found.count) if found else "could not be used"
