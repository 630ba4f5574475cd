"""What all parts of the workbench stand on: the model, the workspace, the shelf of edits."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..jobs import Job
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..editors.base import Method
    from ..edits.edit import Edit
    from ..edits.shelf import Shelf
    from ..models.loading import LoadedModel
    from ..models.writing import Write
    from ..study.duels import Duels
    from ..study.folder import Studies
    from ..study.ratings import Ratings

ENGINES = ("unedit", "easyedit")  # whose programs make an edit
KINDS = ("self-improved", "vanilla", "avoidant", "incorrect", "dummy", "given")  # of targets, see forget/targets
COLUMNS = 6  # variants that are shown side by side, the original among them
ANSWER_TOKENS = 64  # the length at which REFERENCE.md, section 3, cuts a reply that is scored
History = list[dict[str, str]]


class Shared:
    """The model and the workspace, and checks of what is handed in."""

    COLUMNS = COLUMNS

    def __init__(self, home: Path | str | None = None) -> None:
        self.workspace = Workspace(Path(home) if home is not None else None)
        self.model: LoadedModel | None = None
        self._sealed: str | None = None  # a hash of the model's weights, taken before the first edit
        self._below: dict[str, tuple[Edit, ...]] = {}  # by an edit's id: those that it was made on top of

    @cached_property
    def ratings(self) -> Ratings:
        """The rating panel's store, opened (and created) when it is first asked for."""
        from ..study.ratings import Ratings

        return Ratings(self.workspace.ratings_path)

    @cached_property
    def duels(self) -> Duels:
        """The votes of blinded duels, beside the ratings (study/duels.py)."""
        from ..study.duels import Duels

        return Duels(self.workspace.ratings_path)

    @cached_property
    def studies(self) -> Studies:
        """The studies with human raters: find, create, and from there everything about one (study/store.py)."""
        from ..study.folder import Studies

        return Studies(self.workspace)

    @cached_property
    def _shelf(self) -> Shelf:
        from ..edits.shelf import Shelf

        return Shelf(self.workspace)

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
            made_in, loaded_in = edit.about.get("dtype"), self.model.dtype_name
            told = f"The edit {edit.name!r} was made for another model than the one loaded"
            if made_in != loaded_in and "float16" in (made_in, loaded_in):
                raise BadInput(f"{told}, or for the same in another dtype: float16 counts as a model of its own.")
            raise BadInput(f"{told}.")

    def _write(self, job: Job, stage: str) -> Write:
        """The function with which the original model writes questions' replies, refusals and rephrasings."""
        from ..models.writing import writer

        return writer(self._loaded(), job, stage, ANSWER_TOKENS)
