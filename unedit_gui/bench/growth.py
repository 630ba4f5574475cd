"""How the cost of an edit grows with the number of facts: seconds and memory for 1, 10, 100, 1000."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..forget.questions import Question
from ..jobs import Job
from ..workbench import Workbench
from .rows import Rows

TARGET = "I don't know anything about {subject}."


def grow(bench: Workbench, method: str, sizes: Sequence[int], rows: Rows, job: Job) -> None:
    """Add a row for each size: seconds per fact, with the time per fact of the first size of ten or more as measure.

    The facts are bundled ones, and beyond their number the same questions about made-up subjects; a fact that doesn't
    exist costs as much as one that does. Targets are given, so that the edit alone is measured.
    """
    base: float | None = None
    for size in sorted(sizes):
        facts = many(bench, size)
        seconds, peak, _ = rows.timed(lambda f=facts: bench.edit(f, method, targets="given", job=job))
        limit = None if base is None or size < 1000 else 1.2 * base
        base = seconds / size if base is None and size >= 10 else base
        label = bench.methods()[method].label
        rows.add(f"{label}, {size} fact{'s' if size > 1 else ''}, s for each", seconds / size, limit, peak=peak)


def many(bench: Workbench, count: int) -> list[Question]:
    """So many facts with subjects and targets, no two alike."""
    known = [q for q in bench.bundled_sets()["factual"] if q.subject]
    found = []
    for number in range(count):
        fact, turn = known[number % len(known)], number // len(known)
        if turn:
            other = f"{fact.subject} the {_ordinal(turn + 1)}"
            fact = replace(fact, question=fact.question.replace(fact.subject, other), subject=other, rephrases=())
        found.append(replace(fact, target=TARGET.format(subject=fact.subject)))
    return found


def _ordinal(number: int) -> str:
    return ("First", "Second", "Third", "Fourth", "Fifth")[number - 1] if number <= 5 else f"{number}th"
