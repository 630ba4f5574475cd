"""Near neighbours: the same relation with another subject. Here an edit does harm first.

Taken are the questions that are worded most like the forgotten one without its subject, from data/probes and from the
shipped facts; none that is to be forgotten itself.
"""

from functools import lru_cache

from ...forget.bundled import question_sets
from ...forget.checks import same_text
from ...forget.questions import Question
from ...forget.refusals import tokens
from .base import Ask, Item, Plan, Probe, register, said_it, user
from .matching import accepted
from .material import kind_of, table


@lru_cache(maxsize=1)
def pool() -> tuple[Question, ...]:
    """Facts to choose from: the probes' own, then the shipped ones."""
    own = [Question(row["question"], row["answer"], row["subject"]) for row in table("neighbours.csv")]
    sets = question_sets()
    return tuple(own + [q for name in ("factual", "general") for q in sets.get(name, ())])


@lru_cache(maxsize=4096)
def form(question: Question) -> frozenset[str]:
    """The words of a question that are not its subject's."""
    return frozenset(tokens(question.question)) - frozenset(tokens(question.subject or ""))


def items(plan: Plan):
    """For each fact its nearest ones that no other fact took."""
    gone = {same_text(text) for q in plan.questions for text in (q.question, *q.rephrases)}
    subjects = {same_text(q.subject or "") for q in plan.questions}
    left = [q for q in pool() if same_text(q.question) not in gone and same_text(q.subject or "") not in subjects]
    found = []
    for question in plan.facts:
        words, kind = form(question), kind_of(question)

        def likeness(q: Question, words=words, kind=kind) -> float:
            return len(words & form(q)) / max(1, len(words | form(q))) + 0.5 * (kind_of(q) == kind)

        nearest = sorted(left, key=likeness, reverse=True)[: plan.each]
        left = [q for q in left if q not in nearest]
        for q in nearest:
            found.append(Item((Ask(user(q.question)),), question.question, accepted(q), q.question))
    return found


register(
    Probe(
        "neighbours",
        "Near neighbours",
        "The same relation, another subject.",
        "The reply names that one's answer.",
        items,
        said_it,
        kind="harm",
        better="high",
    )
)
