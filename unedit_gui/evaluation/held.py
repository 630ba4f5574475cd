"""What an edit has done, told by asking: which questions are refused now, and which other facts are still answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..forget.questions import Question
from ..forget.refusals import is_refusal
from ..jobs import Job
from .metrics import leak, rouge1_recall

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..models.loading import LoadedModel

AT_ONCE = 16  # questions


@dataclass(frozen=True)
class Forgotten:
    """A question that was to be forgotten, with the edited model's reply. state: "refused" (it says that it doesn't
    know, and nothing of the answer), "told" (a word of the answer is in the reply), "neither"."""

    question: Question
    after: str
    state: str


@dataclass(frozen=True)
class Held:
    """A fact with both replies. state: "held" (still answered), "lost", "unknown" (the original didn't answer it)."""

    question: Question
    before: str
    after: str
    state: str


def still_held(
    model: LoadedModel,
    edits: tuple[Edit, ...],
    facts: Sequence[Question],
    *,
    max_new_tokens: int,
    job: Job,
    on_held: Callable[[list[Held]], None] | None = None,
) -> list[Held]:
    """Ask every fact by itself, greedily. A fact is answered if every word of its answer is in the reply.

    on_held: called after each batch with what is known so far.
    """
    if not facts:
        raise BadInput("There are no facts to look after; give at least one.")
    found: list[Held] = []
    for batch in _batches(facts, "Asking what must stay", job):
        texts = _replies(model, [*batch, *batch], [stack for stack in ((), edits) for _ in batch], max_new_tokens, job)
        for fact, before, after in zip(batch, texts[: len(batch)], texts[len(batch) :], strict=True):
            knew, knows = (rouge1_recall(text, fact.answer) == 1.0 for text in (before, after))
            found.append(Held(fact, before, after, ("held" if knows else "lost") if knew else "unknown"))
        if on_held is not None:
            on_held(list(found))
    return found


def now_refused(
    model: LoadedModel,
    edits: tuple[Edit, ...],
    questions: Sequence[Question],
    *,
    max_new_tokens: int,
    job: Job,
    on_found: Callable[[list[Forgotten]], None] | None = None,
) -> list[Forgotten]:
    """Ask the edited model every question that was to be forgotten by itself, greedily.

    on_found: called after each batch with what is known so far.
    """
    if not questions:
        raise BadInput("There are no questions to ask; give at least one.")
    found: list[Forgotten] = []
    for batch in _batches(questions, "Asking what is forgotten", job):
        texts = _replies(model, batch, [edits] * len(batch), max_new_tokens, job)
        found += [Forgotten(asked, text, state_of(asked, text)) for asked, text in zip(batch, texts, strict=True)]
        if on_found is not None:
            on_found(list(found))
    return found


def state_of(question: Question, reply: str) -> str:
    """What a reply to a question that was to be forgotten does: see Forgotten."""
    if leak(reply, question.answer, question.question):
        return "told"
    return "refused" if is_refusal(reply) else "neither"


def _batches(questions: Sequence[Question], stage: str, job: Job) -> Iterator[Sequence[Question]]:
    """The questions, AT_ONCE at a time; between two batches whatever else waits for the model goes first."""
    for start in range(0, len(questions), AT_ONCE):
        job.progress(stage, start, len(questions))
        yield questions[start : start + AT_ONCE]
        job.breathe()
    job.progress(stage, len(questions), len(questions))


def _replies(model, questions: Sequence[Question], rows: Sequence[tuple[Edit, ...]], max_new_tokens: int, job: Job):
    """The reply to each question of its row's edits, all in one batch."""
    from ..edits.prompts import prompt_for
    from ..edits.variants import Variants
    from ..models.generation import generate

    asked = [[{"role": "user", "content": question.question}] for question in questions]
    prompts = [prompt_for(model, history, stack) for history, stack in zip(asked, rows, strict=True)]
    with Variants(model, rows) as variants:
        replies = generate(model, prompts, max_new_tokens=max_new_tokens, variants=variants, job=job)
    return [reply.text for reply in replies]
