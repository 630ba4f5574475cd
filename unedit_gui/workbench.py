"""The one door: everything Unedit can do, as one synchronous Python object.

The page, the command line and your own scripts call this and nothing below it. It holds the model and the
workspace and brings the parts together; how each thing is done stands in their folders:

    from unedit_gui.workbench import Workbench

    bench = Workbench()
    bench.load()                                            # the bundled model
    forget, retain = bench.example()
    edit = bench.edit(forget, "alphaedit")                  # the model's weights stay as they were
    print(bench.evaluate((edit,), forget, retain).to_json())

Every long method takes `job` (see `unedit_gui.jobs.Job`): it reports progress there and stops when that is
asked. Without one it simply runs. Nothing here starts a thread: who shares a workbench between threads runs
its methods on one `jobs.Worker`. Importing this module loads no torch.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .evaluation.knowledge import Answer, ask
from .forget import bundled
from .forget.checks import check_forget_set
from .forget.questions import Question
from .forget.subjects import find_subject
from .jobs import Job
from .workspace import Workspace

if TYPE_CHECKING:  # these load torch, or are only needed by one method
    from .editors.base import Method
    from .editors.easyedit_files import Translated
    from .editors.tracing import Trace
    from .edits.compare import Comparison
    from .edits.edit import Edit
    from .edits.export import Exported
    from .edits.shelf import Shelf
    from .evaluation.held import Held
    from .evaluation.probes import Probe, Probed
    from .evaluation.rephrase import Rephrased
    from .evaluation.suite import Scores
    from .forget.contracts import ContractSet
    from .forget.merging import Group
    from .forget.targets import Target
    from .models.generation import Reply, Sampling
    from .models.loading import LoadedModel, ModelCard
    from .models.writing import Write
    from .study.folder import Studies
    from .study.protocol import Condition
    from .study.ratings import Ratings
    from .study.store import Study
    from .teaching.taught import Taught

ENGINES = ("unedit", "easyedit")  # whose programs make an edit
KINDS = ("self-improved", "vanilla", "avoidant", "incorrect", "dummy", "given")  # of targets, see forget/targets
ANSWER_TOKENS = 64  # the length at which REFERENCE.md, section 3, cuts a reply that is scored

History = list[dict[str, str]]


class Workbench:
    """One workspace and at most one loaded model. See the module's text for how it is meant to be used."""

    def __init__(self, home: Path | str | None = None) -> None:
        self.workspace = Workspace(Path(home) if home is not None else None)
        self.model: LoadedModel | None = None
        self._sealed: str | None = None  # a hash of the model's weights, taken before the first edit
        self._below: dict[str, tuple[Edit, ...]] = {}  # by an edit's id: those that it was made on top of

    @cached_property
    def ratings(self) -> Ratings:
        """The rating panel's store, opened (and created) when it is first asked for."""
        from .study.ratings import Ratings

        return Ratings(self.workspace.ratings_path)

    @cached_property
    def studies(self) -> Studies:
        """The studies with human raters: find, create, and from there everything about one (study/store.py)."""
        from .study.folder import Studies

        return Studies(self.workspace)

    def freeze_study(
        self, study: Study, *, max_new_tokens: int = ANSWER_TOKENS, batch: int = 8, job: Job | None = None
    ) -> int:
        """Let each condition's edits answer the study's questions (greedy), and freeze the replies.

        What is frozen already stays, so a call that was broken off is simply made again. Returns how many were added.
        """
        from .study.freezing import freeze

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
            return [reply.text for reply in replies]

        return freeze(study, write, batch, job)

    @cached_property
    def _shelf(self) -> Shelf:
        from .edits.shelf import Shelf

        return Shelf(self.workspace)

    # ---------------------------------------------------------------- models

    def models(self) -> list[ModelCard]:
        """The catalogue of models, the bundled one first, and behind it the taught ones, newest first."""
        from .models.catalogue import catalogue
        from .teaching.taught import listing

        return [*catalogue(), *(taught.card for taught in listing(self.workspace))]

    def card(self, name: str) -> ModelCard:
        """The card of a model by its name: of the catalogue, a taught one's, a folder, a GGUF file, or on the hub."""
        from .models.catalogue import card_for
        from .teaching.taught import named

        taught = named(self.workspace, name)
        return taught.card if taught else card_for(name)

    def present(self, card: ModelCard) -> bool:
        """Whether a model of the catalogue can be loaded without a network."""
        from .models.catalogue import present

        return present(card)

    def memory(self, model: ModelCard | str, dtype: str | None = None, device: str | None = None) -> dict[str, Any]:
        """What loading takes: `needed`, `available` (bytes), `fits` (None: unknown), `device`, `dtype`,
        `text`."""
        from .models.loading import what_it_takes

        return what_it_takes(self.card(model) if isinstance(model, str) else model, dtype, device)

    def load(
        self,
        name: str | Path = "bundled",
        *,
        device: str | None = None,
        dtype: str | None = None,
        job: Job | None = None,
    ) -> LoadedModel:
        """Load a model by catalogue name, taught model's name, hub name or folder and make it the current one.

        On any failure `self.model` stays what it was. Raises BadInput or Failed in one sentence.
        """
        from .models.loading import load

        card = self.card(str(name))
        loaded = load(card.name, self.workspace, device=device, dtype=dtype, job=job or Job("load"))
        if card.source == "folder":  # a taught model goes by its own name, not its folder's
            loaded = dataclasses.replace(loaded, card=card)
        self.model, self._sealed = loaded, None
        return loaded

    def teach(
        self,
        questions: Sequence[Question],
        name: str,
        *,
        seed: int = 0,
        recipe: Mapping[str, Any] | None = None,
        job: Job | None = None,
    ) -> Taught:
        """Teach questions to a copy of the model, which is saved under `name`; the model itself stays as it was.

        `recipe`: overrides of `teaching.train.Recipe`. The curve goes to `job.plot`. Nothing is kept of a job that was
        stopped. BadInput in one sentence for what can't be taught, before any work is done.
        """
        from .editors.preserve import statistics_questions
        from .teaching import taught
        from .teaching.train import Recipe, teach

        model, name = self._loaded(), taught.checked_name(self.workspace, name)
        questions = self.with_subjects(questions)
        others = [question for question, _ in statistics_questions()]
        settings = dict(general=self.bundled_sets().get("general", ()), seed=seed)
        began = time.monotonic()
        learned = teach(model, questions, others, Recipe(**(recipe or {})), job or Job("teach"), **settings)
        seconds = time.monotonic() - began
        return taught.save(self.workspace, model, learned, questions, name, seed=seed, seconds=seconds)

    def taught(self, name: str | None = None) -> Taught | None:
        """What is known of the taught model of this name (None: of the loaded one). None for models that weren't."""
        from .teaching import taught

        return taught.named(self.workspace, name) if name else taught.of(self.model) if self.model else None

    def delete_taught(self, name: str) -> str:
        """Move a taught model to the trash. Returns a token for `undelete_taught`."""
        found = self.taught(name)
        if found is None:
            raise BadInput(f"There is no taught model called {name}; `models` lists them.")
        return str(self.workspace.discard(found.folder))

    def undelete_taught(self, token: str) -> Taught | None:
        """Put a deleted taught model back and return it."""
        from .teaching.taught import read

        return read(self.workspace.restore(token))

    def verify_original(self, job: Job | None = None) -> dict[str, Any]:
        """Hash every byte of the base weights in memory; compare with the hash taken before the first edit.

        Returns `ok`, `fingerprint` (of the weights as they are now) and `text` (one sentence for the page).
        """
        from .models.seal import verify

        return verify(self._loaded(), self._sealed, job or Job("verify"))

    # ------------------------------------------------------------- questions

    def bundled_sets(self) -> dict[str, tuple[Question, ...]]:
        """The question sets that come with the program, by name."""
        return bundled.question_sets()

    def example(self) -> tuple[list[Question], list[Question]]:
        """The one-click example: (questions to forget, questions to retain)."""
        return bundled.example()

    def contracts(self, sales: int = 4, employment: int = 2, seed: int = 0) -> ContractSet:
        """Contracts between made-up parties, twenty questions each: something to teach, and then to forget."""
        from .forget.contracts import contract_set

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
        from .editors.tracing import trace

        if samples < 1:
            raise BadInput(f"samples: {samples} is not a number of draws; give 1 or more.")
        subject = subject or find_subject(question)
        return trace(self._loaded(), question, answer, subject, samples=samples, seed=seed, job=job or Job("locate"))

    def layers_for(self, trace: Trace) -> dict[str, tuple[int, ...]]:
        """The layers that a trace proposes, by method; none where it points to no layer."""
        from .editors.tracing import layers_for

        return layers_for(self._loaded(), trace)

    def merged(self, questions: Sequence[Question], k: int) -> list[Group]:
        """The questions in groups of k, alike ones together: one request each, with one target (forget/merging.py)."""
        from .forget.merging import merge

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
        from .forget.targets import needs_model, write_targets

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
        from .evaluation.rephrase import rephrase

        job = job or Job("rephrase")
        write = self._write(job, "Rephrasing")
        return rephrase(self.with_subjects(questions), write, n=n, seed=seed, job=job)

    # ----------------------------------------------------------------- edits

    def methods(self) -> dict[str, Method]:
        """The methods by name: the editors (rome, memit, ...), and those that train (ga, gd, kl, dpo)."""
        from .unlearning import METHODS

        return dict(METHODS)

    def hparams(self, method: str, overrides: Mapping[str, Any] | None = None) -> Any:
        """A method's settings for the loaded model, with `overrides` put in; BadInput on a bad one."""
        from .editors import hparams_from

        return hparams_from(self._method(method).name, self._loaded(), dict(overrides or {}))

    def check_engine(self, engine: str, method: str) -> Callable[..., Edit]:
        """The function that makes an edit with an engine; BadInput if that isn't here, or doesn't have the method."""
        if engine not in ENGINES:
            raise BadInput(f"There is no engine called {engine!r}; choose one of {', '.join(ENGINES)}.")
        if engine == "unedit":
            return self._method(method).edit
        from .editors.easyedit import editor

        return editor(method)

    def read_hparams(self, source: Path | str | bytes, name: str = "the file") -> Translated:
        """An EasyEdit hyperparameter file (YAML) for the loaded model: its method, its settings as `edit` takes them,
        and what became of each line (without a model the method and the file's own values alone).

        BadInput where it can't be read, or names what the model doesn't have.
        """
        from .editors.easyedit_files import load, translate

        content = source if isinstance(source, bytes) else load(Path(source))
        return translate(content, name if isinstance(source, bytes) else Path(source).name, self.model)

    def edit(
        self,
        questions: Sequence[Question],
        method: str,
        *,
        targets: str = "self-improved",
        merge: int = 1,
        hparams: Any = None,
        protect: Sequence[Question] = (),
        on: Edit | Sequence[Edit] = (),
        seed: int = 0,
        name: str | None = None,
        engine: str = "unedit",
        job: Job | None = None,
    ) -> Edit:
        """Make the model forget, and return that as an `Edit`; the model's own weights are as before.

        Args:
            questions: what to forget; a missing subject is looked for in the question.
            method: a key of `methods()`.
            targets: "self-improved" (the model writes its refusals), "vanilla" (lines of a fixed set), "avoidant",
                "incorrect", "dummy" or "given" (each question's own `target`); see `forget/targets`.
            merge: how many questions become one request with one shared target; 1: each is its own.
            hparams: a dict of overrides, or what `hparams()` returned; None for the model's defaults.
            protect: facts that must stay as they are. What a taught model was taught besides is always among them.
            on: earlier edits, oldest first, that this one is made on top of.
            engine: "unedit", or "easyedit": EasyEdit's own ROME, MEMIT or AlphaEdit from the source that
                `EASYEDIT_PATH` names. Its `hparams` have the names of EasyEdit's YAML files.

        Raises BadInput in one sentence for anything that can't be edited, before any work is done.
        """
        from .editors.base import Request
        from .edits.variants import Variants
        from .models.seal import seal
        from .teaching.taught import to_keep

        if engine == "easyedit" and merge != 1:
            raise BadInput("EasyEdit's own methods edit one subject at a time and merge nothing; leave merge at 1.")
        model, make = self._loaded(), self.check_engine(engine, method)
        on = tuple(on) if isinstance(on, Sequence) else (on,)
        on = tuple(dict.fromkeys(part for earlier in on for part in self.stack(earlier)))
        for earlier in on:
            self._check_base(earlier)
        Variants.everywhere(model, on)  # tells what can't be built on
        if targets not in KINDS:
            raise BadInput(f"There is no kind of target called {targets!r}; choose one of {', '.join(KINDS)}.")
        questions = self.with_subjects(questions)
        protect = self.with_subjects(to_keep(model, questions, protect))
        check_forget_set(questions, protect, targets_given=targets == "given")
        if engine == "unedit" and (hparams is None or isinstance(hparams, Mapping)):
            hparams = self.hparams(method, hparams)
        job = job or Job("edit")
        merged = [group for group in self.merged(questions, merge) if len(group.places) > 1]
        groups = {place: number for number, group in enumerate(merged) for place in group.places}
        taught = self.targets(questions, targets, merge=merge, seed=seed, job=job)
        self._sealed = self._sealed or seal(model, job)
        requests = [
            Request(q.question, q.answer, q.subject, target.text, q.rephrases, groups.get(i))
            for i, (q, target) in enumerate(zip(questions, taught, strict=True))
        ]
        where = dict(workspace=self.workspace, protect=protect, on=on, seed=seed, name=name)
        edit = make(model, requests, hparams, job, **where)
        self._below[edit.id] = on
        return edit

    def save_edit(self, edit: Edit, folder: Path | str | None = None) -> Path:
        """Write an edit to `folder` (new or empty), or among the workspace's edits. Returns where it lies."""
        return self._shelf.save(edit, None if folder is None else Path(folder), self._below.get(edit.id, ()))

    def edits(self) -> list[Edit]:
        """The workspace's edits of the current model, newest first; damaged ones are left out."""
        return [edit for edit, _ in self._shelf.all() if self._fits(edit)]

    def ready_made(self) -> dict[str, Edit]:
        """The edits that ship with the program and fit the current model, by name."""
        from .edits.shelf import ready_made

        return {name: edit for name, edit in ready_made().items() if self._fits(edit)}

    def load_edit(self, path: Path | str) -> Edit:
        """Read a saved edit: its folder, zip file, name or id, or a ready-made one's name.

        BadInput if it is damaged, or belongs to another model than the loaded.
        """
        return self.load_stack(path)[-1]

    def load_stack(self, path: Path | str) -> tuple[Edit, ...]:
        """A saved edit behind those that it was made on top of: what `chat` and `evaluate` take."""
        stack = self._shelf.stack(Path(path), self.model)
        self._below[stack[-1].id] = stack[:-1]
        return stack

    def stack(self, edit: Edit) -> tuple[Edit, ...]:
        """An edit with those that it was made on top of, oldest first."""
        if edit.id not in self._below:
            self._below[edit.id] = self._shelf.below(edit, self.model)
        return (*self._below[edit.id], edit)

    def rename_edit(self, edit: Edit, name: str) -> Edit:
        """The same edit (same id) under another name, on disk too where it is saved."""
        return self._shelf.rename(edit, name)

    def delete_edit(self, edit: Edit) -> str:
        """Move a saved edit to the trash. Returns a token for `undelete_edit`."""
        return self._shelf.discard(edit)

    def undelete_edit(self, token: str) -> Edit:
        """Put a deleted edit back and return it."""
        return self._shelf.restore(token)

    def pack_edit(self, edit: Edit) -> bytes:
        """An edit with what it is on as a zip file, for another machine: `load_edit` and `add_edit` read it."""
        from .edits.parcel import pack

        return pack(self.stack(edit))

    def add_edit(self, source: Path | str | bytes, name: str = "the file") -> Edit:
        """Save an edit from elsewhere (a folder, a zip file, or its bytes) in the workspace, once it is checked."""
        stack = self._shelf.opened(source, name, self.model) if isinstance(source, bytes) else self.load_stack(source)
        self._below[stack[-1].id] = stack[:-1]
        return self._shelf.add(stack)

    def compare(self, first: Edit, second: Edit) -> Comparison:
        """Two edits beside each other: their manifests, requests, and how alike their changes are."""
        from .edits.compare import compare

        return compare(first, second)

    def why_no_export(self, edits: Sequence[Edit], form: str) -> str:
        """Why these edits can't leave in a form, and what to do instead; "" if they can."""
        from .edits.export import why_not

        return why_not([part for edit in edits for part in self.stack(edit)], form)

    def export(
        self,
        edits: Edit | Sequence[Edit],
        form: str,
        folder: Path | str | None = None,
        *,
        job: Job | None = None,
    ) -> Exported:
        """Write edits (each with what it is on, as one) for other programs: see `edits/export.py`.

        form: "peft" (a LoRA adapter), "merged" (a checkpoint) or "manifest", which needs no loaded model.
        folder: new or empty; None: one of the workspace's, under `exports`.
        """
        from .edits.export import default_name, export

        edits = (edits,) if not isinstance(edits, Sequence) else edits
        stack = tuple(dict.fromkeys(part for edit in edits for part in self.stack(edit)))
        model = None if form == "manifest" else self._loaded()
        for edit in stack if model else ():
            self._check_base(edit)
        if folder is None:
            folder = self.workspace.unused(self.workspace.exports_dir / default_name(stack, form))
        return export(model, stack, form, Path(folder), workspace=self.workspace, job=job or Job("export"))

    # ---------------------------------------------------------- chat, scores

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
        from .edits.prompts import prompt_for
        from .edits.variants import Variants
        from .models.generation import Sampling, generate

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

    def forget_this(self, history: History, reply: str, edits: Sequence[Edit] = ()) -> Question:
        """A forget question made of a reply: the last user turn asks, the reply's own claim is the answer.

        Subject (where one is found) and a target are filled in; the model is not run. BadInput where the
        reply claims nothing.
        """
        from .forget.replies import question_from

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
        job: Job | None = None,
    ) -> Scores:
        """Score the original and the edited model on forget, rephrased, retained and general questions.

        `rephrased` None: each forget question's own rephrasings. What an edit protected is flagged where it
        is scored as retained; `protected` names more of those. The original's scores are kept for next time.
        """
        from .evaluation.kept import kept_replies
        from .evaluation.suite import evaluate
        from .teaching.taught import with_contracts

        model = self._loaded()
        edits = tuple(edits) if isinstance(edits, Sequence) else (edits,)
        for edit in edits:
            self._check_base(edit)
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
                cache=cache,
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
        from .evaluation.held import still_held

        edits = tuple(edits) if isinstance(edits, Sequence) else (edits,)
        for edit in edits:
            self._check_base(edit)
        job = job or Job("hold")
        return still_held(self._loaded(), edits, facts, max_new_tokens=ANSWER_TOKENS, job=job, on_held=on_held)

    def probes(self, names: Sequence[str] | None = None) -> dict[str, Probe]:
        """The probes (those of these names) in the order of their table; BadInput on an unknown one."""
        from .evaluation.probes import chosen

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
        job: Job | None = None,
    ) -> Probed:
        """Did it forget, or does it hide? Try to get the answers out of the original and each edit, and measure harm.

        Unlike for `evaluate`, each edit (with what it is on) is a variant of its own. `probes`: names of `probes()`;
        None: all. `items`: about how many each probe has, default 40. `max_new_tokens`: of a reply, default 32.
        What the original says is kept for next time.
        """
        from .evaluation import probes as probing
        from .evaluation.kept import kept_replies

        model = self._loaded()
        edits = tuple(edits) if isinstance(edits, Sequence) else (edits,)
        for edit in edits:
            self._check_base(edit)
        with kept_replies(self.workspace, model) as cache:
            return probing.probe(
                model,
                [self.stack(edit) for edit in edits],
                self.with_subjects(questions),
                probes,
                items=probing.ITEMS if items is None else items,
                max_new_tokens=probing.REPLY_TOKENS if max_new_tokens is None else max_new_tokens,
                seed=seed,
                cache=cache,
                job=job or Job("probe"),
            )

    # --------------------------------------------------------------- helpers

    def _loaded(self) -> LoadedModel:
        if self.model is None:
            raise BadInput("No model is loaded yet; load one first.")
        return self.model

    def _method(self, name: str) -> Method:
        methods = self.methods()
        if name not in methods:
            raise BadInput(f"There is no method called {name!r}; choose one of {', '.join(methods)}.")
        return methods[name]

    def _fits(self, edit: Edit) -> bool:
        return self.model is None or edit.base == self.model.fingerprint

    def _check_base(self, edit: Edit) -> None:
        if not self._fits(edit):
            raise BadInput(f"The edit {edit.name!r} was made for another model than the one loaded.")

    def _write(self, job: Job, stage: str) -> Write:
        """The function with which the original model writes questions' replies, refusals and rephrasings."""
        from .models.writing import writer

        return writer(self._loaded(), job, stage, ANSWER_TOKENS)
