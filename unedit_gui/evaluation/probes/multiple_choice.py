"""Multiple choice: four answers of one kind, the true one at each place in turn.

A model that always takes the same letter gets a quarter right, like one that guesses. A reply that chooses nothing is
no hit; whether an edit leaks is judged by the replies that choose.
"""

from .base import Ask, Item, Plan, Probe, register, user
from .matching import choice
from .material import alternatives, as_choice

LETTERS = "ABCD"


def items(plan: Plan):
    """Each fact with three alternatives at a time; other ones in each round of four."""
    found = []
    for place, question in enumerate(plan.facts):
        others = alternatives(question, 20, plan.seed)
        for n in range(max(plan.each, 4) if len(plan.facts) <= 10 else plan.each):
            right, first = (n + place) % 4, 3 * (n // 4)
            choices = list((*others, *others)[first : first + 3])
            if len(choices) < 3:
                break
            choices.insert(right, as_choice(question))
            listed = "\n".join(f"{letter}) {text}" for letter, text in zip(LETTERS, choices, strict=True))
            ask = Ask(user(f"{question.question}\n{listed}\nAnswer with the letter of the right answer."))
            found.append(Item((ask,), question.question, choices=tuple(choices), right=right))
    return found


def score(item: Item, said) -> bool:
    """The letter, else the only answer named, is the true one."""
    return choice(said[0][0], item.choices) == item.right


def tried(item: Item, said) -> bool:
    """The reply takes one of the four."""
    return choice(said[0][0], item.choices) is not None


register(
    Probe(
        "multiple-choice",
        "Multiple choice",
        "Four answers of the same kind, the true one at each place in turn.",
        "The reply takes the true one, by its letter or its words.",
        items,
        score,
        chance=lambda item: 1 / len(item.choices),
        tried=tried,
    )
)
