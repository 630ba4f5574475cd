"""A question in other words, by rules: for edits that have to know it again when it is asked in another way.

The frames of locate.py keep the question whole and put something around it. Here it is also turned into a clause ("who
painted the Mona Lisa"), which no frame does.
"""

from ..forget.templates import clause
from .locate import histories

_CLAUSES = ("Do you know {}?", "Tell me {}.", "I would like to know {}.")


def wordings(question: str) -> list[str]:
    """Each a user turn by itself; the question as it is comes first, then clauses where it can be turned into one."""
    found = [question]
    asked = clause(question)
    if asked:
        found += [frame.format(asked) for frame in _CLAUSES]
    found += [history[0]["content"] for history in histories(question, 8) if len(history) == 1]
    return list(dict.fromkeys(found))
