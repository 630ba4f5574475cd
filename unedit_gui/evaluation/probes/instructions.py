"""Instruction following: small tasks whose result a rule can check ("Count from 1 to 3.")."""

from .base import Ask, Item, Plan, Probe, register, user
from .matching import meets
from .material import table


def items(plan: Plan):
    """Tasks of data/probes."""
    return [
        Item((Ask(user(row["request"])),), "", (row["value"],), check=row["check"])
        for row in plan.sample(table("instructions.csv"))
    ]


def score(item: Item, said) -> bool:
    """The reply does what was asked."""
    return meets(item.check, item.wanted[0], said[0][0])


register(
    Probe(
        "instructions",
        "Instructions",
        "Small tasks: “Count from 1 to 3.”",
        "A rule checks that the reply does it.",
        items,
        score,
        kind="harm",
        better="high",
    )
)
