"""Given: the user's own targets, judged and never changed."""

from collections.abc import Sequence

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import plain
from unedit_gui.forget.targets.guard import Target, judge


def given(questions: Sequence[Question]) -> list[Target]:
    """The user's own refusals, judged, never changed. Raises BadInput for the first question without one."""
    targets = []
    for row, question in enumerate(questions, 1):
        text = (question.target or "").strip()
        if not text:
            raise BadInput(f'Question {row} ("{brief(question.question)}") has no target: write one, or let the model.')
        verdict = judge(question, text, topic=False, more=False)
        targets.append(Target(text, "given", verdict, "given by you"))
    return targets


def brief(text: str) -> str:
    """A text on one line, cut where it is too long for a message."""
    text = plain(text)
    return text if len(text) <= 60 else text[:57] + "..."
