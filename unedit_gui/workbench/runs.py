"""The workbench's part on runs: an edit made, scored and kept, and many of them one after another."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.bundled import SETS
from ..forget.checks import check_forget_set, same_text
from ..forget.questions import Question, read_file
from ..jobs import Job
from ..runs import Config, Failure, Run, Runs, Settings, read_config
from ..runs.config import from_mapping
from .replies import Replies

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..evaluation.metrics import TokenProbability
    from ..runs.sweep import Hands, Outcome

ASK_AT_ONCE = 32
Source = str | tuple[Question, ...] | None


class Sweeps(Replies):
    """Runs, kept; and sweeps of them."""

    @cached_property
    def _runs(self) -> Runs:
        return Runs(self.workspace)

    def config(self, source: Config | Mapping[str, Any] | Path | str) -> Config:
        """A sweep's config, checked: of a YAML file, or of plain values with the same names (runs/config.py)."""
        if isinstance(source, Config):
            return source
        if isinstance(source, Mapping):
            return from_mapping(source, list(self.methods()))
        return read_config(source, list(self.methods()))

    # ------------------------------------------------------------------ making

    def run(
        self,
        forget: Sequence[Question],
        method: str,
        retain: Sequence[Question] = (),
        *,
        targets: str = "self-improved",
        merge: int = 1,
        hparams: Mapping[str, Any] | None = None,
        protect: Sequence[Question] = (),
        seed: int = 0,
        probes: bool = False,
        name: str = "",
        again: bool = False,
        job: Job | None = None,
    ) -> Run:
        """An edit as `edit` makes it, scored as `evaluate` does and kept, with its rows.

        One that was run with the same settings before is not made once more, unless `again`.
        """
        from ..runs.sweep import make

        given = dict(method=method, targets=targets, merge=merge, seed=seed, hparams=hparams)
        lists = dict(forget=self.as_kept(forget), retain=self.as_kept(retain), protect=self.as_kept(protect))
        settings = self._settings(**given, **lists)
        how = dict(probes=probes, name=name, again=again, job=job or Job("run"))
        made, _ = make(settings, self._hands(), self._runs, **how)
        return self.load_run(made.id)

    def plan(self, config: Config | Mapping[str, Any] | Path | str, *, job: Job | None = None) -> list[Settings]:
        """What a sweep is going to run, in its order. Asks the model where only known facts are to be drawn.

        Raises BadInput for what can't be run: too few facts, a setting that a method doesn't have.
        """
        from ..runs.sweep import plan

        config = self.config(config)
        self._loaded()
        job = job or Job("plan")
        hparams = {method: config.hparams.get(method) for method in config.methods}
        for method, overrides in hparams.items():  # before the model is asked anything
            self.hparams(method, overrides)

        def settings(method: str, **more: Any) -> Settings:
            return self._settings(method=method, hparams=hparams[method], **more)

        return plan(config, lambda seed, facts: self._draw(config, seed, facts, job), settings)

    def sweep(
        self,
        config: Config | Mapping[str, Any] | Path | str,
        *,
        on_plan: Callable[[list[Settings]], None] | None = None,
        on_run: Callable[[Outcome], None] | None = None,
        job: Job | None = None,
    ) -> list[Outcome]:
        """Make every run of a sweep that is not kept yet; each is written down as soon as it is finished.

        `on_plan` hears what is to be run, `on_run` what became of each.
        """
        from ..runs.sweep import sweep

        config, job = self.config(config), job or Job("sweep")
        model = self._loaded()
        if config.fingerprint not in ("", model.fingerprint):
            raise BadInput(
                f"This sweep began with the model {config.model}, whose weights have the fingerprint "
                f"{config.fingerprint}; load that model, then go on."
            )
        if config.dtype not in ("", model.dtype_name):
            raise BadInput(
                f"This sweep began with the model in {config.dtype}, and it is loaded in {model.dtype_name}; load it "
                f"in {config.dtype}, then go on."
            )
        with self._runs.sweeping(config, model.public_name, model.fingerprint, model.dtype_name):
            planned = self.plan(config, job=job)
            if on_plan is not None:
                on_plan(planned)
            how = dict(probes=config.probes, name=config.name, job=job, on_run=on_run)
            return sweep(planned, self._hands(), self._runs, **how)

    def unfinished_sweeps(self) -> dict[str, Config]:
        """Sweeps that ended because their process died, by an id: `sweep` goes on with them."""
        return self._runs.unfinished(list(self.methods()))

    def drop_sweep(self, id: str) -> None:
        """Go no further with an unfinished sweep; what it made stays."""
        self._runs.drop_sweep(id)

    def seconds_for(self, planned: Sequence[Settings], probes: bool = False) -> float | None:
        """How long what is not kept of a plan takes, by the runs that are kept; None where they tell nothing."""
        from ..runs.sweep import seconds_for

        return seconds_for(planned, self._runs.all(), probes)

    def estimate(self, config: Config | Mapping[str, Any] | Path | str) -> tuple[int, float | None]:
        """How many runs a sweep has, and how long they take if none is kept yet (None: not known). Asks no model."""
        from ..runs.sweep import plan

        config = self.config(config)
        if self.model is None:
            return config.count, None
        size = len(self._source(config.questions, config.folder))
        model = dict(model=self.model.name, fingerprint=self.model.fingerprint, dtype=self.model.dtype_name)
        planned = plan(
            config, lambda seed, facts: (({},) * (facts or size), (), ()), lambda **more: Settings(**model, **more)
        )
        return config.count, self.seconds_for(planned, config.probes)

    # ------------------------------------------------------------------ keeping

    def runs(self) -> list[Run]:
        """The kept runs, newest first, without their rows."""
        return self._runs.all()

    def failed_runs(self) -> list[Failure]:
        """What could not be run, and why, newest first."""
        return self._runs.failures()

    def load_run(self, id: str) -> Run:
        """A kept run with its rows."""
        return self._runs.load(id)

    def run_folder(self, id: str) -> Path:
        """The folder of a kept run: run.json, rows.json, edit/."""
        self._runs.load(id, rows=False)
        return self._runs.folder(id)

    def run_edit(self, id: str) -> Edit:
        """The edit of a kept run; BadInput if it belongs to another model than the loaded."""
        return self.load_edit(self.run_folder(id) / self._runs.edit_folder(id).name)

    def pin_run(self, id: str, on: bool = True) -> None:
        """Pinned runs stand first in tables."""
        self._runs.pin(id, on)

    def pinned_runs(self) -> set[str]:
        """The ids of the pinned runs."""
        return self._runs.pinned()

    def delete_run(self, id: str) -> str:
        """Move a run, or what is known of one that failed, to the trash. Returns a token for `restore_run`."""
        return self._runs.delete(id)

    def restore_run(self, token: str) -> Run | Failure:
        """Put a deleted run, or what is known of one that failed, back and return it. BadInput where it was made again;
        both stay as they are."""
        return self._runs.restore(token)

    def token_probabilities(
        self, edits: Edit | Sequence[Edit], question: str, answer: str, *, job: Job | None = None
    ) -> tuple[list[TokenProbability], list[TokenProbability]]:
        """How likely the original and the edited model find each token of an answer, given those before it."""
        from ..edits.prompts import prompt_for
        from ..edits.variants import Variants
        from ..evaluation.metrics import token_probabilities

        model = self._loaded()
        edits = tuple(edits) if isinstance(edits, Sequence) else (edits,)
        for edit in edits:
            self._check_base(edit)
        asked = [{"role": "user", "content": question}]
        prompts = [prompt_for(model, asked, row) for row in ((), edits)]
        with Variants(model, [(), edits]) as variants:
            before, after = token_probabilities(model, prompts, [answer] * 2, variants=variants, job=job)
        return before, after

    # ------------------------------------------------------------------ parts

    def as_kept(self, questions: Sequence[Question]) -> tuple[Mapping[str, Any], ...]:
        """Questions, their subjects found, as `Settings` holds them."""
        return tuple(json.loads(json.dumps(dataclasses.asdict(q))) for q in self.with_subjects(questions))

    def _settings(self, method: str, targets: str, forget: tuple, hparams: Any, **more: Any) -> Settings:
        model = self._loaded()
        whole = dataclasses.asdict(self.hparams(method, hparams))
        if targets != "given":  # what stands in the column then decides nothing
            forget = tuple({**q, "target": None} for q in forget)
        where = dict(model=model.name, fingerprint=model.fingerprint, dtype=model.dtype_name)
        settings = json.loads(json.dumps(whole))
        return Settings(**where, method=method, targets=targets, hparams=settings, forget=forget, **more)

    def _hands(self) -> Hands:
        from ..evaluation import probes as probing
        from ..runs.environment import environment
        from ..runs.sweep import Hands

        def edit(settings: Settings, name: str, job: Job) -> Edit:
            forget, protect = as_questions(settings.forget), as_questions(settings.protect)
            if settings.targets != "given":
                texts = self._runs.targets(settings)
                if texts is None:
                    check_forget_set(forget, protect)
                    how = dict(merge=settings.merge, seed=settings.seed, job=job)
                    texts = [target.text for target in self.targets(forget, settings.targets, **how)]
                    self._runs.keep_targets(settings, texts)
                forget = [dataclasses.replace(q, target=text) for q, text in zip(forget, texts, strict=True)]
            how = dict(merge=settings.merge, hparams=dict(settings.hparams), seed=settings.seed)
            return self.edit(forget, settings.method, targets="given", protect=protect, name=name, job=job, **how)

        def score(edit: Edit, settings: Settings, job: Job):
            forget, retain = as_questions(settings.forget), as_questions(settings.retain)
            scores = self.evaluate((edit,), forget, retain, job=job)
            return scores.to_json(), tuple(scores.details())

        def probe(edit: Edit, settings: Settings, job: Job) -> Mapping[str, Any]:
            how = {"items": probing.ITEMS, "tokens": probing.REPLY_TOKENS}
            found = self.probe(edit, as_questions(settings.forget), seed=settings.seed, job=job)
            return {**found.to_json(), **how}

        return Hands(edit, score, probe, self.run_edit, environment(self._loaded()))

    def _draw(self, config: Config, seed: int, facts: int | None, job: Job):
        """(forget, retain, protect) of a run: what stays is the same for every number of facts."""
        pool = self._source(config.questions, config.folder)
        most = None if None in config.facts else max(config.facts)
        order = list(pool)
        if facts is not None:
            random.Random(f"facts {seed}").shuffle(order)
        known = self._known(order, config.known, job)
        forgettable: list[Question] = []
        for question in known:
            forgettable.append(question)
            if len(forgettable) == most:
                break
        if facts is not None and len(forgettable) < facts:
            what = "that the model knows" if config.known else "in it"
            raise BadInput(f"{_called(config.questions)} has {len(forgettable)} facts {what}, fewer than {facts}.")
        protected = self._source(config.protect, config.folder) if config.protect else ()
        gone = {same_text(text) for q in forgettable for text in (q.question, *q.rephrases)}
        protect = [q for q in protected if same_text(q.question) not in gone]
        gone |= {same_text(q.question) for q in protect}
        if config.retain is not None and config.retain != config.questions:
            order = list(self._source(config.retain, config.folder))
            random.Random(f"retain {seed}").shuffle(order)
            known = self._known(order, config.known, job)
        retain: list[Question] = []
        while len(retain) < config.retain_facts:
            question = next(known, None)
            if question is None:
                raise BadInput(
                    f"{_called(config.retain or config.questions)} has {len(retain)} facts left to retain, fewer than "
                    f"{config.retain_facts}; lower retain_facts, or name another set in `retain`."
                )
            if same_text(question.question) not in gone:
                retain.append(question)
        return tuple(map(self.as_kept, (forgettable[:facts], retain, protect)))

    def _source(self, source: Source, folder: Path) -> Sequence[Question]:
        """The questions of a bundled set or of a file (beside the config, unless its path says otherwise)."""
        if isinstance(source, tuple):
            return source
        if source in SETS:
            return self.bundled_sets().get(source, ())
        path = folder / Path(source).expanduser()
        if not path.is_file():
            raise BadInput(f"{source!r} is neither a file nor a set; the sets are {', '.join(SETS)}.")
        reading = read_file(path)
        if reading.problems:
            raise BadInput(f"{path.name}, {reading.problems[0]}; mend the file, or take the row out.")
        return reading.questions

    def _known(self, order: Sequence[Question], ask: bool, job: Job) -> Iterator[Question]:
        """Those of the questions, in their order, that the original answers right (all, unless `ask`). What it
        said is kept as for scores, so a sweep that is started again doesn't ask again."""
        for start in range(0, len(order), ASK_AT_ONCE):
            batch = order[start : start + ASK_AT_ONCE]
            if not ask:
                yield from batch
                continue
            rows = self.evaluate((), batch, (), (), job=job).rows
            yield from (q for q, row in zip(batch, rows, strict=True) if row.before["rouge1"] == 1.0)


def as_questions(kept: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Questions as `Settings` holds them, as values again."""
    return [Question(**{**q, "rephrases": tuple(q.get("rephrases") or ())}) for q in kept]


def _called(source: Source) -> str:
    return repr(source) if isinstance(source, str) else "The list of questions"
