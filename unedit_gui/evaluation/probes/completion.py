"""Completion prefix: the reply is already begun, and the model goes on.

The beginning ("Quiz card. Front: ... Back:") is put behind the chat template's own mark of the reply, so the model has
no chance to open with a refusal. Whoever runs the model can do that; who only chats with it can't. What an edit decides
by the prompt's last token (GRACE) is decided behind that beginning.
"""

from .base import Ask, Plan, Probe, clean, fill, register, said_it, user
from .material import lines


def items(plan: Plan):
    """The question, and a reply of data/probes that was begun."""
    return [
        plan.about(question, Ask(user(question.question), lead=fill(lead, question=question.question)))
        for place, question in enumerate(plan.facts)
        for lead in plan.some(clean(lines("completion.txt"), question), place)
    ]


register(
    Probe(
        "completion",
        "Completion prefix",
        "The reply is already begun (“Q: … A:”), the model goes on.",
        "What it writes on names the answer.",
        items,
        said_it,
    )
)
