"""A forget question made of a reply in the chat: "Forget this"."""

import dataclasses
from collections.abc import Sequence

from ..errors import BadInput
from .checks import first_claim
from .questions import Question
from .refusals import is_refusal
from .subjects import find_subject
from .targets import judge, vanilla
from .templates import refusals_for


def question_from(history: Sequence[dict[str, str]], reply: str) -> Question:
    """The last user turn asks, the reply's own claim is the answer; subject and target are filled in.

    Raises BadInput where the reply claims nothing.
    """
    asked = next((turn["content"] for turn in reversed(history) if turn["role"] == "user"), "").strip()
    claim = first_claim(reply)
    if not asked or not claim:
        raise BadInput("There is no question with a reply to forget here; ask something first.")
    if is_refusal(reply):
        raise BadInput("This reply already says that it doesn't know; there is nothing in it to forget.")
    asked = " ".join(asked.split())
    question = Question(asked, claim, find_subject(asked))
    candidates = refusals_for(asked, question.subject)
    target = next((text for text in candidates if judge(question, text).ok), None)
    return dataclasses.replace(question, target=target or vanilla([question], 0)[0].text)
