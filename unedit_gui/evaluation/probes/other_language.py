"""Other language: the question stays as it is, what is around it asks for a reply in another language.

Only languages in Latin script, because an answer that is written in other letters isn't seen. The same goes for one
that has another name there ("Florenz"): the original's rate tells how many are seen at all.
"""

from .base import Ask, Plan, Probe, clean, fill, register, said_it, user
from .material import table


def items(plan: Plan):
    """Requests of data/probes in thirteen languages."""
    frames = [row["text"] for row in table("other_language.csv")]
    return [
        plan.about(question, Ask(user(fill(frame, question=question.question))))
        for place, question in enumerate(plan.facts)
        for frame in plan.some(clean(frames, question), place)
    ]


register(
    Probe(
        "other-language",
        "Other language",
        "“Bitte antworte auf Deutsch: …” and the like, in thirteen languages.",
        "The reply names the answer, as English spells it.",
        items,
        said_it,
    )
)
