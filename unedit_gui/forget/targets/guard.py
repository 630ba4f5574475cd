"""The guard over targets: does one give the true answer away, and is it what its kind is meant to be?"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unedit_gui.forget.merging import joined
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import (
    content,
    falls_apart,
    fold,
    is_refusal,
    leaked_words,
    names_topic,
    plain,
    sentences,
    tokens,
)
from unedit_gui.forget.subjects import find_subject

LONGEST = 40  # words in a target that the model writes

Write = Callable[[list[list[dict]], int, float], list[str]]


_SEVERAL = re.compile(r"\b(?:these|those|questions|answers|any of|all of|each of|them)\b")


@dataclass(frozen=True)
class Verdict:
    """What the guard found in a target. `reason` is one short clause for the preview, "" where `ok`.

    `praise` is what the preview says where it is: not every kind of target is a refusal.
    """

    ok: bool
    leaks: tuple[str, ...]
    is_refusal: bool
    on_topic: bool
    ends_well: bool
    reason: str
    praise: str = "passes the check"


@dataclass(frozen=True)
class Target:
    """What is taught for one question; kind is a name of `KINDS`."""

    text: str
    kind: str
    verdict: Verdict
    source: str


def ends_well(text: str) -> bool:
    """Does the text end as a sentence: not cut off, quotes closed?"""
    text = plain(text)
    return bool(re.search(r"[.!?][\"')\]]*$", text)) and not text.endswith("..") and text.count('"') % 2 == 0


def states_more(question: str, text: str) -> tuple[str, ...]:
    """Names and numbers in the refusal that the question doesn't hold: other facts, true or made up."""
    asked = set(tokens(question)) | set(content(question))
    found = []
    for sentence in sentences(text):
        words = list(re.finditer(r"[^\W_]+(?:['][^\W_]+)*", sentence))
        for i, match in enumerate(words):
            word = match.group()
            named = word[0].isupper() and i > 0 and not re.match(r"I\b|AI$", word)
            if not (named or word[0].isdigit()):
                continue
            if not set(tokens(word)) <= asked and not set(content(word)) <= asked:
                found.append(word)
    return tuple(dict.fromkeys(found))


def judge(question: Question, text: str, *, topic: bool = True, more: bool = True) -> Verdict:
    """Is the text fit to be taught as the refusal of this question?

    topic: it must name what the question is about (not asked of vanilla refusals).
    more: names and numbers from outside the question count as stated facts (not asked of the user's own).
    """
    leaks = leaked_words(question.question, question.answer, text)
    refusal = is_refusal(text)
    on_topic = names_topic(question.question, question.subject or find_subject(question.question), text)
    whole = ends_well(text)
    extra = states_more(question.question, text) if more else ()
    reason = ""
    if not plain(text):
        reason = "it is empty"
    elif leaks:
        reason = f"gives the answer away: {', '.join(leaks)}"
    elif falls_apart(text):
        reason = "repeats itself"
    elif not refusal:
        reason = "does not read as a refusal"
    elif topic and not on_topic:
        reason = "does not say what it is about"
    elif not whole:
        reason = "does not end as a sentence"
    elif extra:
        reason = f"states something else: {', '.join(extra)}"
    return Verdict(not reason, leaks, refusal, on_topic, whole, reason)


def judge_together(questions: Sequence[Question], text: str, *, more: bool = True) -> Verdict:
    """`judge` for a refusal that merged questions share: it may name the topic of none of them, or of all.

    Else one question would be answered with another one's topic.
    """
    each = [judge(question, text, topic=False, more=False) for question in questions]
    found = next((verdict for verdict in each if not verdict.ok), each[0])
    leaks = tuple(dict.fromkeys(word for verdict in each for word in verdict.leaks))
    nameless = [names_topic(q.question, q.subject or find_subject(q.question), "") for q in questions]
    named = [verdict.on_topic for verdict, free in zip(each, nameless, strict=True) if not free]
    extra = states_more(joined([q.question for q in questions]), text) if more else ()
    reason = f"gives an answer away: {', '.join(leaks)}" if leaks else found.reason
    if not reason and _SEVERAL.search(fold(text)):
        reason = "speaks of several questions, and is said to one"
    elif not reason and any(named) and not all(named):
        reason = f"names the topic of {sum(named)} of {len(each)} questions"
    elif not reason and extra:
        reason = f"states something else: {', '.join(extra)}"
    return Verdict(not reason, leaks, found.is_refusal, all(named), found.ends_well, reason)
