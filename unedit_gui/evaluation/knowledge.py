"""Which questions the original model knows, before anything is edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..forget.questions import Question
from .metrics import rouge1_recall

if TYPE_CHECKING:
    from ..models.writing import Write


@dataclass(frozen=True)
class Answer:
    """The model's reply to a question before any edit. `known`: every word of the reference is in it."""

    question: Question
    reply: str
    rouge1: float
    known: bool


def ask(questions: Sequence[Question], write: Write) -> list[Answer]:
    """Ask every question by itself, greedily."""
    replies = write([[{"role": "user", "content": q.question}] for q in questions], 0, 0.0)
    answers = []
    for question, reply in zip(questions, replies, strict=True):
        rouge1 = rouge1_recall(reply, question.answer)
        answers.append(Answer(question, reply, rouge1, known=rouge1 == 1.0))
    return answers
