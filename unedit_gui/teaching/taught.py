"""Taught models on disk: a folder of safetensors that loads like any other, and beside them what was taught.

`taught.json` names the base model, its fingerprint and the model's own, the questions and how the lessons went. An
edit of a taught model keeps what was taught and is not to be forgotten; that is read here.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.checks import same_text
from ..forget.questions import Question
from ..models.catalogue import PRESETS, ModelCard, card_for
from ..workspace import Workspace, safe_name

if TYPE_CHECKING:
    from ..models.loading import LoadedModel
    from .train import Learned

_FILE = "taught.json"
ENOUGH = 0.95  # ROUGE-1 on the questions at which they count as taught
KEPT = 0.95  # of the general facts known before, the share that has to stay
_LONGEST = 60  # characters of a name


@dataclass(frozen=True)
class Taught:
    """A taught model: where it lies, on which model it builds, what it was taught, and how well it took it.

    `rouge1`: mean ROUGE-1 recall on the questions; `general`: the same on general facts, before and after (None: not
    asked). `curve`: the points of the training loop (train.py). `seconds`: how long it took.
    """

    name: str
    folder: str
    base: str
    base_fingerprint: str
    fingerprint: str
    questions: tuple[Question, ...]
    rouge1: float
    general: tuple[float, float] | None
    curve: tuple[dict[str, float], ...]
    seconds: float
    seed: int
    created: str

    @property
    def card(self) -> ModelCard:
        """Its line in the list of models; the folder is its name there."""
        card = card_for(self.folder)
        note = f"taught {len(self.questions)} questions on {self.base}"
        return ModelCard(card.name, self.name, "folder", card.family, card.parameters, note)

    @property
    def caution(self) -> str:
        """What didn't turn out as it should; "" if all did."""
        found = []
        if self.rouge1 < ENOUGH:
            found.append(f"It answers only {self.rouge1:.0%} of what it was taught; teach it fewer questions at once.")
        if self.general and self.general[1] < KEPT * self.general[0]:
            before, after = (f"{value:.0%}" for value in self.general)
            found.append(f"It lost general facts ({before} before, {after} after); teach it fewer questions.")
        return " ".join(found)

    def contracts(self) -> list[str]:
        """The categories of its questions, in order."""
        return list(dict.fromkeys(q.category for q in self.questions if q.category))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def checked_name(workspace: Workspace, name: str) -> str:
    """The name for a new taught model. BadInput if it can't be had, before any work is done."""
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST or not re.fullmatch(r"[A-Za-z0-9][\w .-]*", name):
        raise BadInput(
            f"{name[:80]!r} can't be a model's name; take letters, digits, spaces, dots and hyphens, "
            f"at most {_LONGEST}, a letter or a digit first."
        )
    if any(name.casefold() in (card.name.casefold(), card.label.casefold()) for card in PRESETS):
        raise BadInput(f"{name} is a model of the catalogue; choose another name.")
    taken = any(name.casefold() == found.name.casefold() for found in listing(workspace))
    if taken or _place(workspace, name).exists():
        raise BadInput(f"There is a taught model called {name} already; choose another name, or delete that one.")
    return name


def save(
    workspace: Workspace,
    model: LoadedModel,
    learned: Learned,
    questions: Sequence[Question],
    name: str,
    *,
    seed: int,
    seconds: float,
) -> Taught:
    """Write the taught weights and what was taught. All of it is there at the end, or nothing."""
    from ..models.loading import fingerprint

    folder = _place(workspace, name)
    made = Taught(
        name,
        str(folder),
        model.card.label,
        model.fingerprint,
        fingerprint(learned.hf),
        tuple(questions),
        learned.rouge1,
        learned.general,
        learned.curve,
        round(seconds, 1),
        seed,
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with workspace.atomic_folder(folder) as part:
        learned.hf.save_pretrained(part)
        model.tokenizer.save_pretrained(part)
        about = {key: value for key, value in made.to_json().items() if key != "folder"}
        (part / _FILE).write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")
    _lend_statistics(workspace.statistics_dir, model.fingerprint, made.fingerprint, learned.first)
    return made


def _lend_statistics(folder: Path, base: str, taught: str, first: int) -> None:
    """The base model's second moments of the layers below the first one trained are the taught model's, too.

    They are files named "...-LAYER.safetensors" in a folder for each model (editors/preserve.py). Where that fails they
    are computed again.
    """
    for file in (folder / base).glob("*-*.safetensors"):
        layer = file.stem.rsplit("-", 1)[1]
        if layer.isdigit() and int(layer) < first:
            try:
                (folder / taught).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / taught / file.name)
            except OSError:
                return


def listing(workspace: Workspace) -> list[Taught]:
    """The taught models, newest first; what is damaged is left out."""
    found = (read(file.parent) for file in (workspace.models_dir / "taught").glob("*/" + _FILE))
    return sorted((one for one in found if one is not None), key=lambda one: one.created, reverse=True)


def named(workspace: Workspace, name: str) -> Taught | None:
    """The taught model of this name or in this folder."""
    return next((one for one in listing(workspace) if name in (one.name, one.folder)), None)


def read(folder: Path | str) -> Taught | None:
    """What was taught to the model in a folder; None where that can't be told."""
    try:
        values = json.loads((Path(folder) / _FILE).read_text("utf-8"))
        questions = tuple(Question(**{**q, "rephrases": tuple(q["rephrases"])}) for q in values["questions"])
        general = tuple(values["general"]) if values["general"] else None
        known = {field.name: values[field.name] for field in fields(Taught) if field.name != "folder"}
        made = {**known, "questions": questions, "general": general, "curve": tuple(values["curve"])}
        return Taught(folder=str(folder), **made)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def of(model: LoadedModel) -> Taught | None:
    """What a loaded model was taught; None for others, and where the folder holds other weights than it says."""
    found = read(model.card.name) if model.card.source == "folder" else None
    return found if found is not None and found.fingerprint == model.fingerprint else None


def to_keep(model: LoadedModel, forget: Sequence[Question], protect: Sequence[Question] = ()) -> list[Question]:
    """`protect`, and what else the model was taught and is not to be forgotten."""
    taught = of(model)
    gone = {same_text(text) for q in (*forget, *protect) for text in (q.question, *q.rephrases)}
    return [*protect, *(q for q in (taught.questions if taught else ()) if same_text(q.question) not in gone)]


def with_contracts(model: LoadedModel, questions: Sequence[Question]) -> list[Question]:
    """The questions, each without a category with the one under which the model was taught it."""
    taught = of(model)
    known = {same_text(q.question): q.category for q in (taught.questions if taught else ())}
    return [q if q.category else replace(q, category=known.get(same_text(q.question))) for q in questions]


def _place(workspace: Workspace, name: str) -> Path:
    return workspace.models_dir / "taught" / safe_name(name)
