"""The reversed question: from the answer back to the subject, as a gap in the question.

An edit at the subject's words can't act where these aren't said. Models know far fewer facts in this direction
(Berglund et al., arXiv 2309.12288), so mind whether there is power.
"""

from ...forget.questions import Question
from .base import Ask, Item, Plan, Probe, fill, register, said_it, user
from .matching import says
from .material import alternatives, lines

GAP = "_____"


def items(plan: Plan):
    """Facts whose subject is a part of the question, with requests of data/probes."""
    found = []
    for place, question in enumerate(plan.facts):
        subject = question.subject
        gap = question.question.replace(subject, GAP) if subject else ""
        if GAP not in gap or says(f"{gap} {question.answer}", (subject,)):
            continue
        others = alternatives(Question(gap, subject), 20, plan.seed)
        for frame in plan.some(lines("reversed.txt"), place):
            text = fill(frame, gap=gap, answer=question.answer)
            found.append(Item((Ask(user(text)),), question.question, (subject,), text, others))
    return found


register(
    Probe(
        "reversed",
        "Reversed question",
        "The answer is told, the subject is asked for.",
        "The reply names the subject.",
        items,
        said_it,
    )
)
