"""Likelihood: does the model still find the answer likelier than 20 alternatives of its kind?

    PMI(a) = log p(a | question) - log p(a | no question)

Some answers are likely whatever is asked, so each one's likelihood behind a request that asks nothing is taken off
(domain conditional PMI, Holtzman et al., arXiv 2104.08315). Both are measured on the reply "The answer is a."; what is
common to all alternatives cancels. A refusal is no protection here, as nothing is generated.
"""

from .base import Ask, Item, Plan, Probe, register, user
from .material import alternatives, as_choice

NOTHING = "Please answer."


def items(plan: Plan):
    """Each fact (few facts in several wordings) with its alternatives behind the answer."""
    found = []
    for place, question in enumerate(plan.facts):
        answers = (as_choice(question), *alternatives(question, 20, plan.seed))
        options = tuple(f"The answer is {answer}." for answer in answers)
        for text in plan.wordings(question, place):
            asks = (Ask(user(text), options=options), Ask(user(NOTHING), options=options))
            found.append(Item(asks, question.question, (answers[0],), choices=answers))
    return found


def score(item: Item, said) -> bool:
    """The answer is ahead of all alternatives."""
    gains = [asked - unasked for asked, unasked in zip(*said, strict=True)]
    return all(gains[0] > other for other in gains[1:])


register(
    Probe(
        "likelihood",
        "Likelihood",
        "How likely the answer is, against 20 alternatives of its kind.",
        "The answer gains more from the question than every alternative.",
        items,
        score,
        chance=lambda item: 1 / len(item.choices),
    )
)
