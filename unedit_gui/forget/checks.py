"""What keeps a list of questions from being edited, said in one sentence; and small facts about texts.

No torch: the page checks while the user types.
"""

import re
from collections.abc import Sequence

from ..errors import BadInput
from .questions import Question

# A sentence ends here; not after an initial or a title ("J. K. Rowling", "Dr. Watson").
_END = re.compile(r"(?<!\b[A-Z])(?<!\bDr)(?<!\bMr)(?<!\bSt)(?<!\bMrs)[.!?][\"')]*(?=\s+[A-Z\"'(])")


def check_forget_set(
    questions: Sequence[Question], protect: Sequence[Question] = (), *, targets_given: bool = False
) -> None:
    """Raise BadInput, naming the question, for the first thing that keeps the questions from being edited."""
    if not questions:
        raise BadInput("There is nothing to forget; add at least one question with its answer.")
    seen: dict[str, Question] = {}
    for q in questions:
        short = _shorten(q.question)
        if not q.question.strip() or not q.answer.strip():
            raise BadInput(f"The question {short} lacks its text or its answer; fill in both.")
        if not q.subject:
            raise BadInput(f"No subject was found in the question {short}; give the words that it is about.")
        if q.subject not in q.question:
            raise BadInput(f"The subject {q.subject!r} is not in the question {short}; copy it from there.")
        if targets_given and not (q.target or "").strip():
            raise BadInput(f"The question {short} has no target; write the reply that the model should learn.")
        earlier = seen.get(same_text(q.question))
        if earlier is not None and targets_given and earlier.target != q.target:
            raise BadInput(f"The question {short} is given twice with different targets; keep one of them.")
        if earlier is not None:
            raise BadInput(f"The question {short} is given twice; keep it once.")
        seen[same_text(q.question)] = q
    for q in protect:
        if same_text(q.question) in seen:
            raise BadInput(f"The question {_shorten(q.question)} is both to be forgotten and protected; keep one.")


def first_claim(reply: str) -> str:
    """The first sentence of a reply, or its first paragraph where no sentence of two words or more ends."""
    paragraph = next((" ".join(part.split()) for part in re.split(r"\n\s*\n", reply) if part.strip()), "")
    for end in re.finditer(_END, paragraph):
        if len(paragraph[: end.end()].split()) > 1:
            return paragraph[: end.end()]
    return paragraph[:2000]


def same_text(text: str) -> str:
    """What two spellings of one question have in common: its words, without case, spacing and punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _shorten(text: str, limit: int = 80) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= limit else text[: limit - 1].rstrip() + "…")
