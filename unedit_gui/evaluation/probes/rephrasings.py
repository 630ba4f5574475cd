"""Rephrasings: the question in other words, and with other words around it.

The question's own rephrasings come first, all of them; then frames of data/probes ("Trivia night: ..."), which leave
the question as it is. Paraphrases are where edits at one wording fail first (Patil et al., arXiv 2309.17410).
"""

from .base import Ask, Plan, Probe, clean, fill, register, said_it, user
from .material import lines


def items(plan: Plan):
    """Own rephrasings, filled up with frames."""
    found = []
    for place, question in enumerate(plan.facts):
        frames = plan.some(clean(lines("rephrasings.txt"), question), place)
        texts = [*question.rephrases, *(fill(frame, question=question.question) for frame in frames)]
        found += [plan.about(question, Ask(user(text))) for text in texts[: max(plan.each, len(question.rephrases))]]
    return found


register(
    Probe(
        "rephrasings",
        "Rephrasings",
        "The question in other words: its own rephrasings, then frames around it.",
        "The reply names the answer.",
        items,
        said_it,
    )
)
