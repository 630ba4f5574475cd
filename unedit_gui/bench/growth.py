"""How the cost of an edit grows with the number of facts: seconds and memory for 1, 10, 100, 1000."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..forget.questions import Question
from ..jobs import Job
from ..workbench import Workbench
from .rows import Rows

TARGET = "I don't know anything about {subject}."
STEPS = 2  # of the search, whose rows cost the same each time: a thousand facts with all steps take an hour


def grow(bench: Workbench, method: str, sizes: Sequence[int], rows: Rows, job: Job) -> None:
    """Add two rows for each size: seconds per fact (on a CPU those of its threads) and the most memory, with those of
    the first size of ten or more as measure.

    The facts are bundled ones, and beyond their number the same questions about made-up subjects; a fact that doesn't
    exist costs as much as one that does. Targets are given, so that the edit alone is measured.
    """
    base: tuple[float, int] | None = None
    bench.edit(many(bench, 1), method, targets="given", hparams={"steps": 1}, job=job)  # what is computed only once
    for size in sorted(sizes):
        facts, how = many(bench, size), {"targets": "given", "hparams": {"steps": STEPS}, "job": job}
        took = rows.timed(lambda f=facts, h=how: bench.edit(f, method, **h))
        seconds = (took.seconds if rows.on_gpu else took.cpu) / size
        label = f"{bench.methods()[method].label} with {STEPS} steps, {size} fact{'s' if size > 1 else ''}"
        limits = (1.2 * base[0], 1.2 * base[1]) if base and size >= 1000 else (None, None)
        rows.add(f"{label}, {'' if rows.on_gpu else 'CPU '}s for each", seconds, limits[0], took=took)
        if base:
            rows.add(
                f"{label}, most memory / that of the first size from ten on", took.peak / base[1], limits[1] and 1.2
            )
        elif size >= 10:
            base = seconds, took.peak


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
