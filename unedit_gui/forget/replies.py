"""A forget question made of a reply in the chat: "Forget this"."""

import dataclasses
from collections.abc import Sequence

from ..errors import BadInput
from .checks import first_claim
from .grammar import in_list, words_of
from .questions import Question
from .refusals import is_refusal
from .subjects import find_subject
from .targets import judge, vanilla
from .templates import refusals_for


def question_from(history: Sequence[dict[str, str]], reply: str) -> Question:
    """The last user turn asks, the reply's own claim is the answer; subject and target are filled in.

    Of a claim that holds one name or number beside the question's words that alone is the answer: a sentence would
    count what a refusal says of its topic as told. Raises BadInput where the reply claims nothing.
    """
    asked = next((turn["content"] for turn in reversed(history) if turn["role"] == "user"), "").strip()
    claim = first_claim(reply)
    if not asked or not claim:
        raise BadInput("There is no question with a reply to forget here; ask something first.")
    if is_refusal(reply):
        raise BadInput("This reply already says that it doesn't know; there is nothing in it to forget.")
    asked = " ".join(asked.split())
    known = {word.low for word in words_of(asked)}
    told = [[word for word in run if word.low.removesuffix("s") not in known] for run in _new_runs(claim, asked)]
    named = [run for run in told if any(word.number or word.capital for word in run)]
    answer = _text_of(claim, named[0]) if len(named) == 1 else claim
    question = Question(asked, answer, find_subject(asked))
    candidates = refusals_for(asked, question.subject)
    target = next((text for text in candidates if judge(question, text).ok), None)
    return dataclasses.replace(question, target=target or vanilla([question], 0)[0].text)


def new_words(reply: str, question: str) -> str | None:
    """Words in a row of a reply that say what the question doesn't: the first with a name or a number among them, else
    the first; None where there are none."""
    runs = _new_runs(reply, question)
    best = next((run for run in runs if any(w.number or w.capital for w in run)), runs[0] if runs else None)
    return _text_of(reply, best) if best else None


def _new_runs(reply: str, question: str) -> list[list]:
    """The words in a row of a reply that the question doesn't hold."""
    asked = {word.low for word in words_of(question)}
    small = ("determiners", "pronouns", "prepositions", "auxiliaries", "connectives", "participles", "verbs")
    runs, open_run = [], False
    for place, word in enumerate(words_of(reply)):
        if word.low in asked or (in_list(word, *small) and (place == 0 or not word.capital)):
            open_run = False
            continue
        runs = [*runs[:-1], [*runs[-1], word]] if open_run else [*runs, [word]]
        open_run = not word.breaks
    return runs


def _text_of(reply: str, run: list) -> str:
    return reply[run[0].start : run[-1].end]
