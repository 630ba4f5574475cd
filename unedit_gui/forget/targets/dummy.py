"""Dummy: the literal word `dummy` (Hossain & Kagal, arXiv 2512.20794): what forgetting looks like without manners."""

from collections.abc import Sequence

from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import is_refusal, leaked_words, plain
from unedit_gui.forget.targets.guard import Target, Verdict

WORD = "dummy"


def dummy(questions: Sequence[Question]) -> list[Target]:
    """The same word for every question."""
    return [Target(WORD, "dummy", judge_dummy(question, WORD), "the word itself") for question in questions]


def judge_dummy(question: Question, text: str) -> Verdict:
    """No refusal and on no topic, as it is meant to be; but it may not give the answer away."""
    leaks = leaked_words(question.question, question.answer, text)
    reason = f"gives the answer away: {', '.join(leaks)}" if leaks else "" if plain(text) else "it is empty"
    return Verdict(not reason, leaks, is_refusal(text), False, True, reason, "gives nothing away; no refusal")
