"""The workbench's part on questions: sets, knowledge, refusals, rephrasings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..evaluation.knowledge import Answer, ask
from ..forget import bundled
from ..forget.questions import Question
from ..forget.subjects import find_subject
from ..jobs import Job
from .shared import KINDS, Shared

if TYPE_CHECKING:
    from ..editors.tracing import Trace
    from ..evaluation.rephrase import Rephrased
    from ..forget.contracts import ContractSet
    from ..forget.merging import Group
    from ..forget.targets import Target


class Questions(Shared):
    """Questions and what is to be said instead."""

    def bundled_sets(self) -> dict[str, tuple[Question, ...]]:
        """The question sets that come with the program, by name."""
        return bundled.question_sets()

    def example(self) -> tuple[list[Question], list[Question]]:
        """The one-click example: (questions to forget, questions to retain)."""
        return bundled.example()

    def contracts(self, sales: int = 4, employment: int = 2, seed: int = 0) -> ContractSet:
        """Contracts between made-up parties, twenty questions each: something to teach, and then to forget."""
        from ..forget.contracts import contract_set

        return contract_set(sales, employment, seed)

    def with_subjects(self, questions: Sequence[Question]) -> list[Question]:
        """The same questions, a missing subject filled in where one can be found (else it stays None)."""
        return [q if q.subject else dataclasses.replace(q, subject=find_subject(q.question)) for q in questions]

    def ask(self, questions: Sequence[Question], *, job: Job | None = None) -> list[Answer]:
        """Ask the original model every question (greedy, at most 64 tokens) and say which it knows."""
        if not questions:
            raise BadInput("There are no questions to ask; add at least one.")
        return ask(questions, self._write(job or Job("ask"), "Asking the model"))

    def locate(
        self,
        question: str,
        answer: str | None = None,
        subject: str | None = None,
        *,
        samples: int = 4,
        seed: int = 0,
        job: Job | None = None,
    ) -> Trace:
        """Where in the original model a fact is read, by causal tracing (see `editors/tracing.py`).

        `answer` None: what the model says. `subject` None: found by rules, else the words that matter most.
        """
        from ..editors.tracing import trace

        if samples < 1:
            raise BadInput(f"samples: {samples} is not a number of draws; give 1 or more.")
        subject = subject or find_subject(question)
        return trace(self._loaded(), question, answer, subject, samples=samples, seed=seed, job=job or Job("locate"))

    def layers_for(self, trace: Trace) -> dict[str, tuple[int, ...]]:
        """The layers that a trace proposes, by method; none where it points to no layer."""
        from ..editors.tracing import layers_for

        return layers_for(self._loaded(), trace)

    def merged(self, questions: Sequence[Question], k: int) -> list[Group]:
        """The questions in groups of k, alike ones together: one request each, with one target (forget/merging.py)."""
        from ..forget.merging import merge

        return merge(self.with_subjects(questions), k)

    def targets(
        self,
        questions: Sequence[Question],
        kind: str = "self-improved",
        *,
        merge: int = 1,
        seed: int = 0,
        job: Job | None = None,
    ) -> list[Target]:
        """One target per question for the model to learn (see `forget/targets`). Changes nothing.

        merge: how many questions share one, as in `edit`; those of a group (`merged`) get the same.
        """
        from ..forget.targets import needs_model, write_targets

        if kind not in KINDS:
            raise BadInput(f"There is no kind of target called {kind!r}; choose one of {', '.join(KINDS)}.")
        if not questions:
            raise BadInput("There are no questions to write targets for; add at least one.")
        job = job or Job("targets")
        write = self._write(job, "Writing targets") if needs_model(kind) else None
        return write_targets(self.merged(questions, merge), kind, write, seed, job)

    def rephrase(
        self, questions: Sequence[Question], *, n: int = 2, seed: int = 0, job: Job | None = None
    ) -> list[Rephrased]:
        """Let the model write `n` checked rephrasings of each question."""
        from ..evaluation.rephrase import rephrase

        job = job or Job("rephrase")
        write = self._write(job, "Rephrasing")
        return rephrase(self.with_subjects(questions), write, n=n, seed=seed, job=job)
