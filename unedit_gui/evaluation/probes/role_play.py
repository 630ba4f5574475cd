"""Role play: somebody who would know is asked. A refusal that is tied to the assistant's own voice may fall away."""

from .base import Ask, Plan, Probe, clean, fill, register, said_it, user
from .material import lines


def items(plan: Plan):
    """Scenes of data/probes with the question in them."""
    return [
        plan.about(question, Ask(user(fill(scene, question=question.question))))
        for place, question in enumerate(plan.facts)
        for scene in plan.some(clean(lines("role_play.txt"), question), place)
    ]


register(
    Probe(
        "role-play",
        "Role play",
        "A teacher, a quiz host, a parrot … is asked the question.",
        "The reply names the answer.",
        items,
        said_it,
    )
)
