"""The workbench's part on edits: making, keeping, comparing and exporting them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.checks import check_forget_set
from ..forget.questions import Question
from ..jobs import Job
from .questions import Questions
from .shared import ENGINES, KINDS

if TYPE_CHECKING:
    from ..editors.base import Method
    from ..editors.easyedit_files import Translated
    from ..edits.compare import Comparison
    from ..edits.edit import Edit
    from ..edits.export import Exported


class Edits(Questions):
    """Edits, made and kept."""

    def methods(self) -> dict[str, Method]:
        """The methods by name: the editors (rome, memit, ...), and those that train (ga, gd, kl, dpo)."""
        from ..unlearning import METHODS

        return dict(METHODS)

    def hparams(self, method: str, overrides: Mapping[str, Any] | None = None) -> Any:
        """A method's settings for the loaded model, with `overrides` put in; BadInput on a bad one."""
        from ..editors import hparams_from

        return hparams_from(self._method(method).name, self._loaded(), dict(overrides or {}))

    def check_engine(self, engine: str, method: str) -> Callable[..., Edit]:
        """The function that makes an edit with an engine; BadInput if that isn't here, or doesn't have the method."""
        if engine not in ENGINES:
            raise BadInput(f"There is no engine called {engine!r}; choose one of {', '.join(ENGINES)}.")
        if engine == "unedit":
            return self._method(method).edit
        from ..editors.easyedit import editor

        return editor(method)

    def read_hparams(self, source: Path | str | bytes, name: str = "the file") -> Translated:
        """An EasyEdit hyperparameter file (YAML) for the loaded model: its method, its settings as `edit` takes them,
        and what became of each line (without a model the method and the file's own values alone).

        BadInput where it can't be read, or names what the model doesn't have.
        """
        from ..editors.easyedit_files import load, translate

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
        from ..editors.base import Request
        from ..edits.variants import Variants
        from ..models.seal import seal
        from ..teaching.taught import to_keep

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
        from ..edits.shelf import ready_made

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
        from ..edits.parcel import pack

        return pack(self.stack(edit))

    def add_edit(self, source: Path | str | bytes, name: str = "the file") -> Edit:
        """Save an edit from elsewhere (a folder, a zip file, or its bytes) in the workspace, once it is checked."""
        stack = self._shelf.opened(source, name, self.model) if isinstance(source, bytes) else self.load_stack(source)
        self._below[stack[-1].id] = stack[:-1]
        return self._shelf.add(stack)

    def compare(self, first: Edit, second: Edit) -> Comparison:
        """Two edits beside each other: their manifests, requests, and how alike their changes are."""
        from ..edits.compare import compare

        return compare(first, second)

    def why_no_export(self, edits: Sequence[Edit], form: str) -> str:
        """Why these edits can't leave in a form, and what to do instead; "" if they can."""
        from ..edits.export import why_not

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
        from ..edits.export import default_name, export

        edits = (edits,) if not isinstance(edits, Sequence) else edits
        stack = tuple(dict.fromkeys(part for edit in edits for part in self.stack(edit)))
        model = None if form == "manifest" else self._loaded()
        for edit in stack if model else ():
            self._check_base(edit)
        if folder is None:
            folder = self.workspace.unused(self.workspace.exports_dir / default_name(stack, form))
        return export(model, stack, form, Path(folder), workspace=self.workspace, job=job or Job("export"))
