"""Avoidant: an answer as from a model that has never heard of what the question is about (Hossain & Kagal, 2512.20794).

"I've never heard of the Mona Lisa." It says more than a refusal: not only is the answer unknown, but the thing itself.
The model writes it after exemplars about made-up things; where none of its tries will do, a sentence is built by rules.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import fold
from unedit_gui.forget.targets.guard import LONGEST, Target, Verdict, Write, judge
from unedit_gui.forget.targets.self_improved import nearest, why, written
from unedit_gui.forget.targets.shipped import read_exemplars
from unedit_gui.forget.targets.writing import TRIES, chat_of, first_good, tidy
from unedit_gui.forget.templates import topic
from unedit_gui.jobs import Job

INSTRUCTION = (
    "You have never heard of what the question is about. Say so in one short sentence, and name it in the question's "
    "own words. Do not answer the question and do not state any fact."
)
FRAMES = (
    "I've never heard of {topic}.",
    "I'm not familiar with {topic}.",
)
WITHOUT = "I've never heard of that."
_UNHEARD = re.compile(
    r"\b(?:never|not|n't) (?:\w+ )?(?:heard|come across|encountered|met|seen|read|familiar|acquainted|aware)\b"
    r"|\b(?:unfamiliar|unaware)\b|\b(?:unknown|new|unfamiliar) to me\b"
    r"|n't (?:recogni[sz]e|know (?:of|anything|any))\b"
)


def unheard(text: str) -> bool:
    """Does it say that the thing itself is unknown?"""
    return bool(_UNHEARD.search(fold(text)))


def judge_avoidant(question: Question, text: str) -> Verdict:
    """As a refusal, and it says that the thing itself is unknown."""
    verdict = judge(question, text)
    if verdict.ok and not unheard(text):
        return replace(verdict, ok=False, reason="does not say that it has never heard of it")
    return verdict


def avoidant(
    questions: Sequence[Question], write: Write, seed: int, tries: int = TRIES, job: Job | None = None
) -> list[Target]:
    """Lets the model write each question's sentence, keeps the first that passes the guard, else a template."""
    exemplars = [
        (question, frame.format(topic=topic(question, None)))
        for i, (question, _) in enumerate(read_exemplars())
        for frame in [FRAMES[i % 2]]
        if topic(question, None)
    ]

    def ask(i: int, seed: int) -> list[dict]:
        return chat_of(INSTRUCTION, nearest(exemplars, questions[i], seed), questions[i].question)

    def read(i: int, seed: int, reply: str) -> tuple[str, str]:
        text = tidy(reply)
        reason = judge_avoidant(questions[i], text).reason
        return text, reason or ("is longer than it should be" if len(text.split()) > LONGEST else "")

    done, failures = first_good(len(questions), ask, read, write, seed, tries, job, "Writing as one who never heard")
    return [
        written(done[i], "avoidant", judge_avoidant(question, done[i][0]))
        if i in done
        else _from_template(question, failures[i])
        for i, question in enumerate(questions)
    ]


def _from_template(question: Question, failures: Sequence[str]) -> Target:
    about = topic(question.question, question.subject)
    texts = [*(frame.format(topic=about) for frame in FRAMES if about), WITHOUT]
    text = next((text for text in texts if judge_avoidant(question, text).ok), texts[0])
    source = f"template: the model's own sentences {why(failures)}"
    return Target(text, "avoidant", judge_avoidant(question, text), source)
