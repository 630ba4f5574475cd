"""Vanilla: a random line of the refusal set (data/refusals.txt). Quick, and the same for any topic."""

import random
from collections.abc import Sequence

from unedit_gui.forget.questions import Question
from unedit_gui.forget.targets.guard import Target, judge, judge_together
from unedit_gui.forget.targets.shipped import read_refusals


def vanilla(questions: Sequence[Question], seed: int) -> list[Target]:
    """A random line of the refusal set for each question; one with a word of the answer is drawn again."""
    return vanilla_shared([(question,) for question in questions], seed)


def vanilla_shared(groups: Sequence[Sequence[Question]], seed: int) -> list[Target]:
    """The same with one line for each group of merged questions."""
    lines, chance = read_refusals(), random.Random(seed)
    targets = []
    for group in groups:
        drawn = chance.sample(lines, len(lines))
        text = next((line for line in drawn if _verdict(group, line).ok), drawn[0])
        targets.append(Target(text, "vanilla", _verdict(group, text), "line of the refusal set"))
    return targets


def _verdict(group: Sequence[Question], line: str):
    return judge(group[0], line, topic=False) if len(group) == 1 else judge_together(group, line)
