"""One target for all questions of a group: what query merging needs (see forget/merging.py).

A shared refusal is said to each of the questions, so it may name the topic of none of them or of all, and may give none
of their answers away. The model is shown the merged prompt; a small one names the first or the last question, and then
the general sentence of the templates stands in. A wrong answer can't be shared.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from unedit_gui.errors import BadInput
from unedit_gui.forget.merging import Group, joined
from unedit_gui.forget.targets.avoidant import INSTRUCTION as NEVER_HEARD
from unedit_gui.forget.targets.avoidant import WITHOUT as UNHEARD
from unedit_gui.forget.targets.avoidant import unheard
from unedit_gui.forget.targets.dummy import WORD, judge_dummy
from unedit_gui.forget.targets.given import brief, given
from unedit_gui.forget.targets.guard import LONGEST, Target, Verdict, Write, judge_together
from unedit_gui.forget.targets.self_improved import INSTRUCTION, why, written
from unedit_gui.forget.targets.shipped import read_exemplars
from unedit_gui.forget.targets.writing import chat_of, first_good, tidy
from unedit_gui.forget.templates import WITHOUT
from unedit_gui.jobs import Job

_TOGETHER = "There are several questions. Say it in one sentence that goes for each of them, without naming any."
_GENERAL = ("I'm not sure what the answer to that is.", "I'm not sure about that one.", WITHOUT[0])
_NEVER = ("I'm not familiar with that.", "I've never come across that.", UNHEARD)


def shared_targets(
    groups: Sequence[Group], kind: str, write: Write | None, seed: int, job: Job | None = None
) -> list[Target]:
    """One target per group, each of two questions or more.

    Raises:
        BadInput: wrong answers; given targets that differ within a group. Stopped.
    """
    if kind == "incorrect":
        raise BadInput(
            "Wrong answers can't be merged, each is the answer to one question; choose another kind of target."
        )
    if kind == "given":
        return [_given(group) for group in groups]
    if kind == "dummy":
        return [Target(WORD, "dummy", judge_shared(group, WORD, "dummy"), "the word itself") for group in groups]
    return _written(groups, kind, write, seed, job)


def judge_shared(group: Group, text: str, kind: str) -> Verdict:
    """The guard's verdict on a target for all questions of a group."""
    if kind == "dummy":
        verdicts = [judge_dummy(question, text) for question in group.questions]
        return next((verdict for verdict in verdicts if not verdict.ok), verdicts[0])
    verdict = judge_together(group.questions, text, more=kind != "given")
    if kind == "avoidant" and verdict.ok and not unheard(text):
        return replace(verdict, ok=False, reason="does not say that it has never heard of it")
    return verdict


def _given(group: Group) -> Target:
    first, *others = given(group.questions)
    for question, other in zip(group.questions[1:], others, strict=True):
        if other.text != first.text:
            raise BadInput(
                f'The questions "{brief(group.questions[0].question)}" and "{brief(question.question)}" are merged and '
                "have different targets; give both the same one, or merge fewer."
            )
    return replace(first, verdict=judge_shared(group, first.text, "given"))


def _written(groups: Sequence[Group], kind: str, write: Write, seed: int, job: Job | None) -> list[Target]:
    instruction, general = {
        "self-improved": (INSTRUCTION, _GENERAL),
        "avoidant": (NEVER_HEARD, _NEVER),
    }[kind]
    exemplars = read_exemplars()

    def ask(i: int, seed: int) -> list[dict]:
        shown = random.Random(f"{seed}:{groups[i].prompt}").sample(
            [question for question, _ in exemplars], 2 * len(general)
        )
        pairs = [(joined(shown[2 * n : 2 * n + 2]), text) for n, text in enumerate(general)]
        return chat_of(f"{instruction} {_TOGETHER}", pairs, groups[i].prompt)

    def read(i: int, seed: int, reply: str) -> tuple[str, str]:
        text = tidy(reply)
        reason = judge_shared(groups[i], text, kind).reason
        return text, reason or ("is longer than a refusal should be" if len(text.split()) > LONGEST else "")

    done, failures = first_good(len(groups), ask, read, write, seed, job=job)
    fallback = general[-1]
    return [
        written(done[i], kind, judge_shared(group, done[i][0], kind))
        if i in done
        else Target(
            fallback,
            kind,
            judge_shared(group, fallback, kind),
            f"template: the model's own refusals {why(failures[i])}",
        )
        for i, group in enumerate(groups)
    ]
