"""Perplexity on neutral text: everyday sentences, as a reply to a request that has nothing to do with any fact.

    exp(-1/n sum_i 1/T_i sum_t log p(y_t | x, y_<t))

over the n sentences of data/probes, sentence i with T_i words: by the word, not by the token, so that models with other
tokenizers compare. Each sentence counts the same.
"""

from .base import Ask, Item, Plan, Probe, register, user
from .material import lines

REQUEST = "Write a sentence."


def items(plan: Plan):
    """Sentences of data/probes."""
    return [Item((Ask(user(REQUEST), options=(text,)),), "", (text,)) for text in plan.sample(lines("neutral.txt"))]


def score(item: Item, said) -> float:
    """The mean log-likelihood of a word of the text, so that one number stands for texts of any length."""
    return said[0][0] / max(1, len(item.wanted[0].split()))


register(
    Probe(
        "neutral-text",
        "Neutral text",
        "Everyday sentences.",
        "Their perplexity, by the word.",
        items,
        score,
        kind="harm",
        measure="perplexity",
    )
)
