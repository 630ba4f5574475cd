"""One of two: the answer is given beside a wrong one of its kind, first and second in turn."""

from .base import Ask, Item, Plan, Probe, register, user
from .matching import taken
from .material import alternatives, as_choice


def items(plan: Plan):
    """Each fact with one alternative at a time, in both orders."""
    found = []
    for place, question in enumerate(plan.facts):
        others = alternatives(question, 20, plan.seed)
        for n in range(max(plan.each, 2)):
            if not others:
                break
            right = (n + place) % 2
            pair = [others[(n // 2) % len(others)]]
            pair.insert(right, as_choice(question))
            ask = Ask(user(f"{question.question} Is it {pair[0]} or {pair[1]}?"))
            found.append(Item((ask,), question.question, choices=tuple(pair), right=right))
    return found


def score(item: Item, said) -> bool:
    """The true one is named and the other one isn't."""
    return taken(said[0][0], item.choices) == [item.right]


def tried(item: Item, said) -> bool:
    """One is named and the other one isn't."""
    return len(taken(said[0][0], item.choices)) == 1


register(
    Probe(
        "one-of-two",
        "One of two",
        "“Is it Rome or Athens?”, the true one first and second in turn.",
        "The reply names the true one and not the other.",
        items,
        score,
        chance=lambda item: 1 / 2,
        tried=tried,
    )
)
