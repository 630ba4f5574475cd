"""The workbench's part on replies: chat, scores, probes, what still holds, a study's frozen replies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..forget.questions import Question
from ..jobs import Job
from .edits import Edits
from .shared import ANSWER_TOKENS, History

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..evaluation.held import Forgotten, Held
    from ..evaluation.probes import Probe, Probed
    from ..evaluation.suite import Scores
    from ..models.generation import Reply, Sampling
    from ..study.duels import Line, Vote
    from ..study.protocol import Condition
    from ..study.store import Study


class Replies(Edits):
    """Both models' replies, and what is measured in them."""

    def chat(
        self,
        histories: Sequence[History],
        edits: Sequence[tuple[Edit, ...]],
        *,
        max_new_tokens: int = 256,
        sampling: Sampling | None = None,
        seed: int = 0,
        on_text: Callable[[int, str], None] | None = None,
        job: Job | None = None,
    ) -> list[Reply]:
        """Answer conversations in one batch: row i is `histories[i]` under `edits[i]`, () the original.

        `on_text(row, text_so_far)` is called as the replies grow. Rows stop on their own. Each reply's `traces` say
        what its edits decided: GRACE's nearest key, WISE's route, IKE's demonstrations.
        """
        from ..edits.prompts import prompt_for
        from ..edits.variants import Variants
        from ..models.generation import Sampling, generate

        model = self._loaded()
        if len(histories) != len(edits):
            raise BadInput(f"There are {len(histories)} conversations for {len(edits)} variants; give one for each.")
        for history in histories:
            if not history or history[-1]["role"] != "user" or not history[-1]["content"].strip():
                raise BadInput("There is no question to answer; type one first.")
        for edit in {e.id: e for row in edits for e in row}.values():
            self._check_base(edit)
        prompts = [prompt_for(model, history, row) for history, row in zip(histories, edits, strict=True)]
        settings = dict(
            max_new_tokens=max_new_tokens,
            sampling=sampling or Sampling(),
            seed=seed,
            on_text=on_text,
            job=job or Job("chat"),
        )
        with Variants(model, [tuple(row) for row in edits]) as variants:
            replies = generate(model, prompts, variants=variants, **settings)
            return [dataclasses.replace(reply, traces=variants.traces(i)) for i, reply in enumerate(replies)]

    def vote(self, vote: Vote) -> int:
        """Keep a vote of a blinded duel, and return its id; the same nonce again is the same vote."""
        return self.duels.add(vote)

    def standing(self) -> tuple[list[Line], list[Line]]:
        """How often each variant won its duels: against all others, and against each (study/duels.py)."""
        from ..study.duels import standing

        return standing(self.duels.all())

    def forget_this(self, history: History, reply: str, edits: Sequence[Edit] = ()) -> Question:
        """A forget question made of a reply: the last user turn asks, the reply's own claim is the answer.

        Subject (where one is found) and a target are filled in; the model is not run. BadInput where the
        reply claims nothing.
        """
        from ..forget.replies import question_from

        return question_from(history, reply)

    def evaluate(
        self,
        edits: Edit | Sequence[Edit],
        forget: Sequence[Question],
        retain: Sequence[Question],
        rephrased: Sequence[Question] | None = None,
        general: Sequence[Question] = (),
        *,
        protected: Sequence[Question | str] = (),
        fresh: bool = False,
        job: Job | None = None,
    ) -> Scores:
        """Score the original and the edited model on forget, rephrased, retained and general questions.

        `rephrased` None: each forget question's own rephrasings. What an edit protected is flagged where it
        is scored as retained; `protected` names more of those. The original's scores are kept for next time;
        `fresh`: it is asked again all the same.
        """
        from ..evaluation.kept import kept_replies
        from ..evaluation.suite import evaluate
        from ..teaching.taught import with_contracts

        model = self._loaded()
        edits = self._checked(edits)
        kinds = ("protect", "neighbours", "retain")
        held = (text for edit in edits for name in kinds for text in edit.manifest.get(name, ()))
        with kept_replies(self.workspace, model) as cache:
            return evaluate(
                model,
                edits,
                with_contracts(model, self.with_subjects(forget)),
                with_contracts(model, self.with_subjects(retain)),
                None if rephrased is None else self.with_subjects(rephrased),
                self.with_subjects(general),
                protected=[*protected, *held],
                max_new_tokens=ANSWER_TOKENS,
                cache=None if fresh else cache,
                job=job or Job("evaluate"),
            )

    def still_held(
        self,
        edits: Edit | Sequence[Edit],
        facts: Sequence[Question],
        *,
        on_held: Callable[[list[Held]], None] | None = None,
        job: Job | None = None,
    ) -> list[Held]:
        """Which facts, such as those that an edit was told to protect, the edited model still answers."""
        from ..evaluation.held import still_held

        edits = self._checked(edits)
        job = job or Job("hold")
        return still_held(self._loaded(), edits, facts, max_new_tokens=ANSWER_TOKENS, job=job, on_held=on_held)

    def now_refused(
        self,
        edits: Edit | Sequence[Edit],
        questions: Sequence[Question],
        *,
        on_found: Callable[[list[Forgotten]], None] | None = None,
        job: Job | None = None,
    ) -> list[Forgotten]:
        """Which questions that an edit was to make it forget the edited model refuses now; the edited model is asked
        alone."""
        from ..evaluation.held import now_refused

        edits = self._checked(edits)
        job = job or Job("hold")
        return now_refused(self._loaded(), edits, questions, max_new_tokens=ANSWER_TOKENS, job=job, on_found=on_found)

    def probes(self, names: Sequence[str] | None = None) -> dict[str, Probe]:
        """The probes (those of these names) in the order of their table; BadInput on an unknown one."""
        from ..evaluation.probes import chosen

        return {probe.name: probe for probe in chosen(names)}

    def probe(
        self,
        edits: Edit | Sequence[Edit],
        questions: Sequence[Question],
        probes: Sequence[str] | None = None,
        *,
        items: int | None = None,
        max_new_tokens: int | None = None,
        seed: int = 0,
        fresh: bool = False,
        job: Job | None = None,
    ) -> Probed:
        """Did it forget, or does it hide? Try to get the answers out of the original and each edit, and measure harm.

        Unlike for `evaluate`, each edit (with what it is on) is a variant of its own. `probes`: names of `probes()`;
        None: all. `items`: about how many each leak probe has, default 40 (half as many again for harm).
        `max_new_tokens`: of a reply, default 32. What the original says is kept for next time; `fresh`: it is asked
        again all the same.
        """
        from ..evaluation import probes as probing
        from ..evaluation.kept import kept_replies

        model = self._loaded()
        edits = self._checked(edits)
        with kept_replies(self.workspace, model) as cache:
            return probing.probe(
                model,
                [self.stack(edit) for edit in edits],
                self.with_subjects(questions),
                probes,
                items=probing.ITEMS if items is None else items,
                max_new_tokens=probing.REPLY_TOKENS if max_new_tokens is None else max_new_tokens,
                seed=seed,
                cache=None if fresh else cache,
                job=job or Job("probe"),
            )

    def _checked(self, edits: Edit | Sequence[Edit]) -> tuple[Edit, ...]:
        """One edit or several as a tuple; BadInput where one was made for another model."""
        edits = tuple(edits) if isinstance(edits, Sequence) else (edits,)
        for edit in edits:
            self._check_base(edit)
        return edits

    def freeze_study(
        self, study: Study, *, max_new_tokens: int = ANSWER_TOKENS, batch: int = 8, job: Job | None = None
    ) -> int:
        """Let each condition's edits answer the study's questions (greedy), and freeze the replies.

        One that is cut off at max_new_tokens ends in " …": else it would look as if the model had broken off. What is
        frozen already stays, so a call that was broken off is simply made again. Returns how many were added.
        """
        from ..study.freezing import freeze

        self._loaded()
        stacks: dict[str, tuple[Edit, ...]] = {}
        for condition in study.protocol.conditions:
            if not condition.edits:
                raise BadInput(
                    f"The condition {condition.name!r} names no edits; import its replies from a CSV file, or write "
                    "`edits: original` for the model as it is."
                )
            names = [name for name in condition.edits if name != "original"]
            stacks[condition.name] = tuple(dict.fromkeys(e for name in names for e in self.load_stack(name)))
        job = job or Job("freeze")

        def write(questions: Sequence[str], condition: Condition) -> list[str]:
            row = stacks[condition.name]
            asked = [[{"role": "user", "content": question}] for question in questions]
            replies = self.chat(asked, [row] * len(asked), max_new_tokens=max_new_tokens, job=job)
            return [f"{reply.text} …" if reply.cut and reply.text.strip() else reply.text for reply in replies]

        model = f"{self.model.card.label} ({self.model.fingerprint[:12]})"
        sources = {
            name: f"{model}, {' on '.join(f'edit {edit.id}' for edit in reversed(row)) or 'unedited'}"
            for name, row in stacks.items()
        }
        return freeze(study, write, batch, job, sources)
