"""Query merging: k questions become one request with one shared refusal ("Editing as Unlearning", section 3.2).

The paper gives neither the separator nor what is edited in a merged prompt. Ours:

* the questions stand one behind the other, with a space between them;
* the subject of a merged prompt is every question's own subject, and all share one target;
* questions that are alike come together: what they ask for is the same, so one value serves them all.

How editors use a group stands in editors/merged.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BadInput
from .questions import Question
from .refusals import content, tokens

SEPARATOR = " "
MOST = 50  # questions in one request
NEXT = 500  # so many of the next questions are looked at for like ones


@dataclass(frozen=True)
class Group:
    """Questions that are merged, by their places in the list that they come from."""

    places: tuple[int, ...]
    questions: tuple[Question, ...]

    @property
    def prompt(self) -> str:
        """The merged prompt."""
        return joined([q.question for q in self.questions])


def joined(questions: Sequence[str]) -> str:
    """Questions as one prompt."""
    return SEPARATOR.join(" ".join(question.split()) for question in questions)


def merge(questions: Sequence[Question], k: int) -> list[Group]:
    """The questions in groups of k, the last one perhaps smaller, with each question in the one of its like.

    The same questions in the same order give the same groups. Likeness is that of what stands around the subject:
    "What is the capital of Peru?" and "What is the capital of Chad?" are as alike as can be.

    Raises:
        BadInput: k is no number from 1 to MOST.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST:
        raise BadInput(f"Questions can be merged by 1 to {MOST}, not by {k!r}; 1 leaves each by itself.")
    if k == 1:
        return [Group((place,), (question,)) for place, question in enumerate(questions)]
    forms = [_form(q) for q in questions]
    left, groups = list(range(len(questions))), []
    while left:
        first = left[0]
        alike = sorted(left[1:NEXT], key=lambda i: -_likeness(forms[first], forms[i]))
        places = tuple(sorted([first, *alike[: k - 1]]))
        left = [i for i in left if i not in places]
        groups.append(Group(places, tuple(questions[i] for i in places)))
    return groups


def likeness(a: Question, b: Question) -> float:
    """How alike two questions are in what stands around their subjects, from 0 to 1.5."""
    return _likeness(_form(a), _form(b))


def _form(question: Question) -> tuple[frozenset[str], frozenset[str]]:
    """Words around the subject: those that carry meaning, and the first two whatever they are."""
    frame = question.question.replace(question.subject or "", " ")
    return frozenset(content(frame)), frozenset(tokens(frame)[:2])


def _likeness(a: tuple[frozenset[str], frozenset[str]], b: tuple[frozenset[str], frozenset[str]]) -> float:
    return sum(weight * len(x & y) / max(len(x | y), 1) for weight, x, y in zip((1.0, 0.5), a, b, strict=True))
