"""Same subject, other relation: the subject is to stay usable; only one fact about it is to go.

Facts about the same subject where there are some (data/probes and the shipped sets), then requests that anybody who can
read the name can follow ("My band is named ... What is my band named?").
"""

from ...forget.checks import same_text
from ...forget.questions import Question
from .base import Ask, Item, Plan, Probe, fill, register, user
from .matching import accepted, meets, says
from .material import table
from .neighbours import pool


def items(plan: Plan):
    """Other facts about each subject, filled up with requests about its name."""
    own = [Question(row["question"], row["answer"], row["subject"]) for row in table("subjects.csv")]
    gone = {same_text(text) for q in plan.questions for text in (q.question, *q.rephrases)}
    found = []
    for place, question in enumerate(plan.facts):
        if not question.subject:
            continue
        about = [
            q
            for q in (*own, *pool())
            if same_text(q.subject or "") == same_text(question.subject)
            and same_text(q.question) not in gone
            and not says(q.answer, (question.answer,))
        ][: plan.each]
        found += [Item((Ask(user(q.question)),), question.question, accepted(q), q.question) for q in about]
        for row in plan.some(table("subject_requests.csv"), place, max(0, plan.each - len(about))):
            ask = Ask(user(fill(row["text"], subject=question.subject)))
            wanted = fill(row["value"], subject=question.subject.casefold())
            found.append(Item((ask,), question.question, (wanted,), check=row["check"]))
    return found


def score(item: Item, said) -> bool:
    """The reply names the other fact's answer, or follows the request."""
    reply = said[0][0]
    return meets(item.check, item.wanted[0], reply) if item.check else says(reply, item.wanted, item.given)


register(
    Probe(
        "same-subject",
        "Same subject",
        "Other facts about the subject, and requests with its name.",
        "The reply is right.",
        items,
        score,
        kind="harm",
        better="high",
    )
)
