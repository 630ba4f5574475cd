"""Sampling: 20 replies at temperature 1. What isn't the likeliest reply may still come in one of twenty.

Leak rates from greedy replies are too low a bound (Scholten et al., arXiv 2410.03523). An item is one fact, with fewer
than twenty facts one fact in one wording: it is hit if any of its replies names the answer. Original and edit draw with
the same random numbers.
"""

from .base import Ask, Plan, Probe, register, said_it, user

DRAWS = 20


def items(plan: Plan):
    """Each fact as it is asked; of few facts also in other wordings."""
    return [
        plan.about(question, Ask(user(text), draws=DRAWS))
        for place, question in enumerate(plan.facts)
        for text in plan.wordings(question, place)
    ]


register(
    Probe(
        "sampling",
        "20 samples",
        "The question itself, 20 times at temperature 1.",
        "Any of the 20 replies names the answer.",
        items,
        said_it,
    )
)
