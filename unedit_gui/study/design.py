"""Who sees what, in which order: a cyclic Latin square, filled evenly.

Of C conditions there are C lists. In list l, question i is shown with the reply of condition (i + l) mod C: every
rater sees every question once, every condition equally often (where C divides the number of questions), and over the
lists every question comes with every condition. Common questions are one and the same item in all lists, for
agreement; they go through the conditions in turn. All of it follows from the seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence


def common_questions(questions: int, common: int, seed: int) -> set[int]:
    """Which questions (by place) are common to all lists."""
    return set(random.Random(f"common {seed}").sample(range(questions), common))


def latin_square(questions: int, conditions: int, common: set[int], seed: int) -> list[dict[int, int]]:
    """The lists, each as {question: condition}, by place from 0."""
    draw = random.Random(f"lists {seed}")
    own = [q for q in range(questions) if q not in common]
    shared = sorted(common)
    draw.shuffle(own)
    draw.shuffle(shared)
    lists = []
    for shift in range(conditions):
        made = {q: (i + shift) % conditions for i, q in enumerate(own)}
        made.update({q: i % conditions for i, q in enumerate(shared)})
        lists.append(dict(sorted(made.items())))
    return lists


def order(items: Sequence[int], checks: Sequence[int], how: str, seed: int, number: int) -> list[int]:
    """The items of one rater in their order, the attention checks spread among them.

    `number`: how manieth rater it is; the same seed and number give the same order. A check is never the first
    item: by then nobody's attention can have flagged.
    """
    draw = random.Random(f"order {seed} {number}")
    found = list(items)
    if how == "random":
        draw.shuffle(found)
    for place, check in enumerate(checks):
        share = (place + 0.35 + 0.3 * draw.random()) / len(checks)
        found.insert(max(1, round(share * len(items)) + place), check)
    return found


def least_filled(filled: Mapping[int, int], lists: Sequence[int], seed: int, number: int) -> int:
    """The list that the next rater gets: of those with the fewest raters, one by lot."""
    fewest = min(filled.get(name, 0) for name in lists)
    return random.Random(f"seat {seed} {number}").choice([name for name in lists if filled.get(name, 0) == fewest])


def imbalance(lists: Sequence[Mapping[int, int]], conditions: int) -> int:
    """The largest difference, within one list, between how often two conditions come; 0 is perfect balance."""
    worst = 0
    for made in lists:
        counts = Counter(made.values())
        times = [counts.get(c, 0) for c in range(conditions)]
        worst = max(worst, max(times) - min(times))
    return worst
