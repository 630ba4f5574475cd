"""The workbench's part on models: the catalogue, loading, teaching, the proof that nothing was changed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.questions import Question
from ..jobs import Job
from .shared import Shared

if TYPE_CHECKING:
    from ..models.loading import LoadedModel, ModelCard
    from ..teaching.taught import Taught


class Models(Shared):
    """The model in use, and those that could be."""

    def models(self) -> list[ModelCard]:
        """The catalogue of models, the bundled one first, and behind it the taught ones, newest first."""
        from ..models.catalogue import catalogue
        from ..teaching.taught import listing

        return [*catalogue(), *(taught.card for taught in listing(self.workspace))]

    def card(self, name: str) -> ModelCard:
        """The card of a model by its name: of the catalogue, a taught one's, a folder, a GGUF file, or on the hub."""
        from ..models.catalogue import card_for
        from ..teaching.taught import named

        taught = named(self.workspace, name)
        return taught.card if taught else card_for(name)

    def present(self, card: ModelCard) -> bool:
        """Whether a model of the catalogue can be loaded without a network."""
        from ..models.catalogue import present

        return present(card)

    def memory(self, model: ModelCard | str, dtype: str | None = None, device: str | None = None) -> dict[str, Any]:
        """What loading takes: `needed`, `available` (bytes), `fits` (None: unknown), `device`, `dtype`,
        `text`."""
        from ..models.loading import what_it_takes

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
        from ..models.loading import load

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
        from ..teaching import taught
        from ..teaching.train import Recipe, teach

        model, name = self._loaded(), taught.checked_name(self.workspace, name)
        questions = self.with_subjects(questions)
        settings = dict(workspace=self.workspace, general=self.bundled_sets().get("general", ()), seed=seed)
        began = time.monotonic()
        learned = teach(model, questions, Recipe(**(recipe or {})), job or Job("teach"), **settings)
        seconds = time.monotonic() - began
        return taught.save(self.workspace, model, learned, questions, name, seed=seed, seconds=seconds)

    def taught(self, name: str | None = None) -> Taught | None:
        """What is known of the taught model of this name (None: of the loaded one). None for models that weren't."""
        from ..teaching import taught

        return taught.named(self.workspace, name) if name else taught.of(self.model) if self.model else None

    def delete_taught(self, name: str) -> str:
        """Move a taught model to the trash. Returns a token for `undelete_taught`."""
        found = self.taught(name)
        if found is None:
            raise BadInput(f"There is no taught model called {name}; `models` lists them.")
        return str(self.workspace.discard(found.folder))

    def undelete_taught(self, token: str) -> Taught | None:
        """Put a deleted taught model back and return it."""
        from ..teaching.taught import read

        return read(self.workspace.restore(token))

    def verify_original(self, job: Job | None = None) -> dict[str, Any]:
        """Hash every byte of the base weights in memory; compare with the hash taken before the first edit.

        Returns `ok`, `fingerprint` (of the weights as they are now) and `text` (one sentence for the page).
        """
        from ..models.seal import verify

        return verify(self._loaded(), self._sealed, job or Job("verify"))
