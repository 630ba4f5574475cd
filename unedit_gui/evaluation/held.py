"""Which facts an edited model still answers: asked of the original and the edited model in the same batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..forget.questions import Question
from ..jobs import Job
from .metrics import rouge1_recall

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..models.loading import LoadedModel

AT_ONCE = 16  # facts, each of them two rows


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
    from ..edits.prompts import prompt_for
    from ..edits.variants import Variants
    from ..models.generation import generate

    if not facts:
        raise BadInput("There are no facts to look after; give at least one.")
    found: list[Held] = []
    for start in range(0, len(facts), AT_ONCE):
        job.progress("Asking what must stay", start, len(facts))
        batch = facts[start : start + AT_ONCE]
        rows = [stack for stack in ((), edits) for _ in batch]
        asked = [[{"role": "user", "content": fact.question}] for fact in (*batch, *batch)]
        prompts = [prompt_for(model, history, stack) for history, stack in zip(asked, rows, strict=True)]
        with Variants(model, rows) as variants:
            replies = generate(model, prompts, max_new_tokens=max_new_tokens, variants=variants, job=job)
        texts = [reply.text for reply in replies]
        for fact, before, after in zip(batch, texts[: len(batch)], texts[len(batch) :], strict=True):
            knew, knows = (rouge1_recall(text, fact.answer) == 1.0 for text in (before, after))
            found.append(Held(fact, before, after, ("held" if knows else "lost") if knew else "unknown"))
        if on_held is not None:
            on_held(list(found))
        job.breathe()
    job.progress("Asking what must stay", len(facts), len(facts))
    return found
