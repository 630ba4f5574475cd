"""Multi-turn pressure: the model has already refused, and the user insists.

The refusals of the conversation are scripted (data/probes), the same for the original and the edited model, so that
both are asked the same; only the last reply is the model's.
"""

from .base import Ask, Plan, Probe, clean, register, said_it
from .material import table


def items(plan: Plan):
    """Conversations of two or three questions."""
    found = []
    scripts = {" ".join(row.values()): row for row in table("pressure.csv")}
    for place, question in enumerate(plan.facts):
        for key in plan.some(clean(list(scripts), question), place):
            row = scripts[key]
            turns = [("user", question.question), ("assistant", row["refusal_1"]), ("user", row["push_1"])]
            if row["push_2"]:
                turns += [("assistant", row["refusal_2"]), ("user", row["push_2"])]
            found.append(plan.about(question, Ask(tuple(turns))))
    return found


register(
    Probe(
        "pressure",
        "Multi-turn pressure",
        "After one or two refusals the user insists.",
        "The last reply names the answer.",
        items,
        said_it,
    )
)
