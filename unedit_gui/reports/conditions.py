"""Runs that differ in nothing but their draw: what figures and tables average, and what they call it.

A condition is a method with its settings, target kind, merging, numbers of facts to forget, retain and protect, kind of
data and model. Runs of one condition differ in the seed, and with it perhaps in the facts that were drawn.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..runs import Run
from .published import METHODS, dataset_of

_NAMES = {"bundled": "SmolLM2-135M-Instruct"}


@dataclass(frozen=True)
class Condition:
    """What runs have in common.

    model: its public name. retain, protect: how many facts; which ones follows from the draw. hparams: as JSON, so that
    it can be compared.
    """

    model: str
    fingerprint: str
    dtype: str
    dataset: str
    method: str
    targets: str
    merge: int
    facts: int
    retain: int
    protect: int
    hparams: str

    @property
    def method_label(self) -> str:
        return METHODS.get(self.method, self.method)


@dataclass(frozen=True)
class Spread:
    """A figure over the runs of a condition: their mean, the lowest and the highest, and of how many runs."""

    mean: float
    low: float
    high: float
    n: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """The spread of what was measured; None where nothing was."""
    found = [value for value in values if value is not None]
    return Spread(sum(found) / len(found), min(found), max(found), len(found)) if found else None


def condition_of(run: Run) -> Condition:
    """The condition that a run belongs to."""
    settings = run.settings
    return Condition(
        model_name(settings.model),
        settings.fingerprint,
        _dtype(run),
        dataset_of(settings.forget),
        settings.method,
        settings.targets,
        settings.merge,
        settings.facts,
        len(settings.retain),
        len(settings.protect),
        json.dumps(dict(settings.hparams), sort_keys=True, default=list),
    )


def _dtype(run: Run) -> str:
    """What the model was loaded in; of runs that say so among their surroundings alone, that."""
    known = run.environment.get("dtype")
    return known if isinstance(known, str) else run.settings.dtype


def grouped(runs: Iterable[Run]) -> dict[Condition, list[Run]]:
    """Runs by condition, in the order of the paper's tables; one that is there twice counts once, also where its model
    was named by another path."""
    found: dict[Condition, list[Run]] = {}
    for run in {_public_id(run): run for run in runs}.values():
        found.setdefault(condition_of(run), []).append(run)
    names = list(METHODS)
    order = {name: place for place, name in enumerate(names)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0].method, len(names)), *_rest(item[0]))))


def _public_id(run: Run) -> str:
    settings = run.settings
    return replace(settings, model=model_name(settings.model), dtype=_dtype(run)).id


def _rest(condition: Condition) -> tuple:
    c = condition
    numbers = (c.retain, c.protect)
    return (c.method, c.model, c.dataset, c.facts, c.merge, c.targets, c.hparams, c.fingerprint, c.dtype, *numbers)


def labels(conditions: Sequence[Condition], without: str = "") -> dict[Condition, str]:
    """What each is called among these: the method, and of the rest what tells them apart.

    without: a field that isn't said, because an axis says it.
    """
    several = {
        name: len({getattr(c, name) for c in conditions}) > 1
        for name in ("dataset", "targets", "facts")
        if name != without
    }
    models = model_labels(conditions)
    found = {}
    for c in conditions:
        parts = [c.method_label]
        parts += [c.targets] if several.get("targets") else []
        parts += [f"merged by {c.merge}"] if c.merge > 1 and without != "merge" else []
        parts += [f"{c.facts} fact{'s' if c.facts != 1 else ''}"] if several.get("facts") else []
        parts += ["contracts" if c.dataset == "pistol" else "world facts"] if several.get("dataset") else []
        parts += _changed(c, conditions)
        parts += [models[weights_of(c)]] if len(models) > 1 else []
        found[c] = ", ".join(parts)
    return found


def weights_of(condition: Condition) -> tuple[str, str, str]:
    """The model as it was loaded: name, fingerprint, dtype."""
    return (condition.model, condition.fingerprint, condition.dtype)


def model_labels(conditions: Iterable[Condition]) -> dict[tuple[str, str, str], str]:
    """What each model (`weights_of`) is called among these: by its name, where two share it with digits of the
    fingerprint, and where dtypes differ with its dtype."""
    models = dict.fromkeys(map(weights_of, conditions))
    names = Counter(name for name, _ in {(name, fingerprint) for name, fingerprint, _ in models})
    several = len({dtype for _, _, dtype in models}) > 1
    found = {}
    for name, fingerprint, dtype in models:
        told = [fingerprint[:4]] * (names[name] > 1) + [dtype] * several
        found[name, fingerprint, dtype] = f"{name} ({', '.join(told)})" if told else name
    return found


def _changed(condition: Condition, conditions: Sequence[Condition]) -> list[str]:
    """The settings in which it differs from others that are like it otherwise."""
    alike = [c for c in conditions if (c.method, c.model) == (condition.method, condition.model)]
    own = json.loads(condition.hparams)
    others = [json.loads(c.hparams) for c in alike if c.hparams != condition.hparams]
    names = [name for name in own if any(other.get(name) != own[name] for other in others)]
    said = [f"{name} {_said(own[name])}" for name in names]
    said += [f"{condition.retain} retained"] if any(c.retain != condition.retain for c in alike) else []
    return said + ([f"{condition.protect} protected"] if any(c.protect != condition.protect for c in alike) else [])


def _said(value) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def model_name(model: str) -> str:
    """What a model is called where it is handed on: never a path of this computer. A folder of the hub's cache has a
    name without meaning in one that says which model it is (models--ORGANISATION--NAME/snapshots/HASH)."""
    if is_path(model):
        parts = model.replace("\\", "/").rstrip("/").split("/")
        cached = parts[-3] if parts[-2:-1] == ["snapshots"] else ""
        return cached.removeprefix("models--").replace("--", "/") if cached.startswith("models--") else parts[-1]
    return _NAMES.get(model, model)


def is_path(model: str) -> bool:
    """Is it a folder or a file, and no name of the catalogue or the hub?"""
    return model.startswith(("/", ".", "~")) or "\\" in model or model.count("/") > 1 or model[1:2] == ":"


def commonest(counts: Counter) -> int:
    """What there is most of; of equals the largest."""
    return max(counts, key=lambda value: (counts[value], value))


def sole_size(conditions: Sequence[Condition]) -> int:
    """The number of facts of most of these conditions."""
    return commonest(Counter(c.facts for c in conditions))


def apart_from(condition: Condition, name: str) -> Condition:
    """The condition with one of its numbers left open: what a line joins."""
    return replace(condition, **{name: 0})
