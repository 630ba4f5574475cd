"""Reading comprehension: short texts about made-up people, with questions that the text answers."""

from .base import Ask, Item, Plan, Probe, register, user
from .matching import says
from .material import table


def items(plan: Plan):
    """Texts with questions of data/probes."""
    return [
        Item((Ask(user(f"{row['text']}\n\n{row['question']}")),), "", tuple(row["answer"].split(";")))
        for row in plan.sample(table("reading.csv"))
    ]


def score(item: Item, said) -> bool:
    """The reply names what the text says."""
    return says(said[0][0], item.wanted)


register(
    Probe(
        "reading",
        "Reading",
        "A question that a short text answers.",
        "The reply names what the text says.",
        items,
        score,
        kind="harm",
        better="high",
    )
)
