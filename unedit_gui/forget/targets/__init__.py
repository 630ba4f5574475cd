"""Targets: what the edited model is to say instead of the answer, and the guard over them.

One file per kind: vanilla, self_improved, dummy, incorrect, avoidant, given (the user's own). `guard` judges, `writing`
has the model write, `shared` makes one target for merged questions. `Target.source` says how a text came about.
"""

from collections.abc import Sequence

from unedit_gui.forget.merging import Group
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import is_refusal, leaked_words, names_topic
from unedit_gui.forget.targets.avoidant import avoidant, judge_avoidant
from unedit_gui.forget.targets.dummy import dummy, judge_dummy
from unedit_gui.forget.targets.given import given
from unedit_gui.forget.targets.guard import LONGEST, Target, Verdict, Write, judge, judge_together
from unedit_gui.forget.targets.incorrect import incorrect, judge_incorrect
from unedit_gui.forget.targets.self_improved import asks_for, keeps_to_question, nearest, self_improved
from unedit_gui.forget.targets.shared import judge_shared, shared_targets
from unedit_gui.forget.targets.shipped import read_exemplars, read_refusals
from unedit_gui.forget.targets.vanilla import vanilla, vanilla_shared
from unedit_gui.forget.targets.writing import tidy
from unedit_gui.jobs import Job

__all__ = [
    "KINDS",
    "LONGEST",
    "Target",
    "Verdict",
    "asks_for",
    "given",
    "is_refusal",
    "judge",
    "judge_as",
    "judge_shared",
    "judge_together",
    "keeps_to_question",
    "leaked_words",
    "names_topic",
    "nearest",
    "needs_model",
    "read_exemplars",
    "read_refusals",
    "self_improved",
    "shared_targets",
    "tidy",
    "vanilla",
    "write_targets",
]

KINDS = ("self-improved", "vanilla", "avoidant", "incorrect", "dummy", "given")
_WRITTEN = {"self-improved": self_improved, "avoidant": avoidant, "incorrect": incorrect}


def needs_model(kind: str) -> bool:
    """Does the model write targets of this kind?"""
    return kind in _WRITTEN


def write_targets(
    groups: Sequence[Group], kind: str, write: Write | None, seed: int, job: Job | None = None
) -> list[Target]:
    """A target for each question, in the order of the questions that the groups were made of; merged ones share theirs.

    kind: one of `KINDS`. write: how the model writes, see `writing.first_good`; None where `needs_model` is false.

    Raises:
        BadInput: a question has no target where they are given; what can't be shared. Stopped.
    """
    if kind == "vanilla":  # drawn one after the other, merged or not
        lines = vanilla_shared([group.questions for group in groups], seed)
        drawn = {place: line for group, line in zip(groups, lines, strict=True) for place in group.places}
        return [drawn[place] for place in sorted(drawn)]
    alone = [(group.places[0], group.questions[0]) for group in groups if len(group.places) == 1]
    merged = [group for group in groups if len(group.places) > 1]
    found: dict[int, Target] = {}
    if alone:
        targets = _write_each([question for _, question in alone], kind, write, seed, job)
        found.update(zip((place for place, _ in alone), targets, strict=True))
    if merged:
        for group, target in zip(merged, shared_targets(merged, kind, write, seed, job), strict=True):
            found.update(dict.fromkeys(group.places, target))
    return [found[place] for place in sorted(found)]


def _write_each(
    questions: Sequence[Question], kind: str, write: Write | None, seed: int, job: Job | None
) -> list[Target]:
    if kind in _WRITTEN:
        return _WRITTEN[kind](questions, write, seed, job=job)
    return dummy(questions) if kind == "dummy" else given(questions)


def judge_as(kind: str, question: Question, text: str) -> Verdict:
    """The guard's verdict on a text that is to be a target of this kind."""
    judges = {"dummy": judge_dummy, "incorrect": judge_incorrect, "avoidant": judge_avoidant}
    if kind in judges:
        return judges[kind](question, text)
    return judge(question, text, topic=kind == "self-improved", more=kind != "given")
