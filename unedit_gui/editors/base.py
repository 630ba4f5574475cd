"""What every editing method shares: the request, the hyperparameters' form, the registry, the finished edit."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite

import torch

from ..edits.edit import LOW_RANK, Edit
from ..errors import BadInput
from ..forget.checks import same_text


@dataclass(frozen=True)
class Request:
    """One fact to forget: the question, its true answer, the subject (a span of the question) and the refusal.

    Questions with the same `group` are merged: they share one refusal and one new value. None: by itself.
    """

    question: str
    answer: str
    subject: str
    target_new: str
    rephrases: tuple[str, ...] = ()
    group: int | None = None


@dataclass(frozen=True)
class Hparams:
    """Base of all hyperparameter sets. Fields carry their explanation (`hparam`)."""


def hparam(default, help: str, *, low: float | None = None, high: float | None = None, advanced: bool = False):
    """A field of a hyperparameter set: default, explanation for the page, allowed range (inclusive)."""
    metadata = {"help": help, "low": low, "high": high, "advanced": advanced}
    return field(default=default, metadata=metadata)


def inherited(parent: type, name: str, default):
    """A field of a hyperparameter set above, as it is there but for its default."""
    return field(default=default, metadata=parent.__dataclass_fields__[name].metadata)


@dataclass(frozen=True)
class ValueHparams(Hparams):
    """What ROME, MEMIT and AlphaEdit have in common: where they act, and how they find the new values."""

    layers: tuple[int, ...] = hparam(
        (4, 5, 6, 7, 8, 9, 10), "Layers that are changed; the new value is found at the last."
    )
    contexts: int = hparam(1, "In how many wordings around the question each fact is edited.", low=1, high=8)
    neighbours: int = hparam(
        12,
        "For each fact, how many questions of the same form about other subjects are held in place; 0: none.",
        low=0,
        high=100,
    )
    steps: int = hparam(25, "Optimisation steps for each new value.", low=1, high=500, advanced=True)
    lr: float = hparam(
        0.2, "First step of that optimisation, in lengths of the original vector.", low=1e-6, high=10, advanced=True
    )
    weight_decay: float = hparam(
        1.0,
        "Penalty on the size of the change: a small one does less harm. With more than 10 facts in an edit it grows.",
        low=0,
        advanced=True,
    )
    clamp: float = hparam(4.0, "Longest change allowed, in lengths of the original vector.", low=1e-3, advanced=True)
    kl_factor: float = hparam(0.0625, "How strongly the meaning of the subject is held in place.", low=0, advanced=True)
    strength: float = hparam(
        1.0,
        "Share of a change that has to do for the refusal; less makes longer changes, which other wordings know too.",
        low=0.1,
        high=1,
        advanced=True,
    )


@dataclass(frozen=True)
class ManyHparams(ValueHparams):
    """What MEMIT and AlphaEdit, which look for the values of all facts at once, have in common beyond that."""

    steps: int = inherited(ValueHparams, "steps", 20)
    strength: float = inherited(ValueHparams, "strength", 0.75)
    shared: float = hparam(
        0.97,
        "Share of each step that ten facts take together; 0: each goes its own way. Higher keeps more.",
        low=0,
        high=1,
        advanced=True,
    )


@dataclass(frozen=True)
class Method:
    """An editing method as the page and the command line list it.

    edit(model, requests, hparams, job, *, workspace, protect, on, seed, name) -> Edit
    """

    name: str
    label: str
    explanation: str
    paper: str
    Hparams: type[Hparams]
    defaults: Callable[[object], Hparams]  # for a loaded model
    edit: Callable[..., Edit]
    retain: str = ""  # of a method that trains: which facts it trains on so that they stay, or that there are none


METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Add a method to the registry; each method's file calls it once."""
    METHODS[method.name] = method
    return method


def hparams_from(method: str, model, overrides: dict | None = None) -> Hparams:
    """A method's defaults for a model, with some values replaced; texts are read as the field's type.

    Raises:
        BadInput: unknown method or name, a value that can't be read or is out of range.
    """
    if method not in METHODS:
        raise BadInput(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    defaults = METHODS[method].defaults(model)
    known = {f.name: f for f in fields(defaults)}
    values = {}
    for name, given in (overrides or {}).items():
        if name not in known:
            raise BadInput(f"{METHODS[method].label} has no hyperparameter {name!r}; it has {', '.join(known)}.")
        values[name] = _read(known[name], getattr(defaults, name), given)
    chosen = replace(defaults, **values)
    for layer in getattr(chosen, "layers", ()):
        if not 0 <= layer < model.layout.layers - 1:
            raise BadInput(f"layers: {layer} is not one of 0 to {model.layout.layers - 2} of this model.")
    return chosen


def _read(spec, default, given):
    kind = type(default)
    try:
        if kind is tuple:
            parts = given.replace(" ", ",").split(",") if isinstance(given, str) else given
            value = tuple(sorted({int(part) for part in parts if str(part).strip()}))
            if not value or any(int(part) != float(part) for part in parts if str(part).strip()):
                raise ValueError
            return value
        if kind is bool and isinstance(given, str):
            value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[given.lower()]
        elif kind is int:
            value = int(given) if isinstance(given, str) else int(given) if int(given) == given else None
            if value is None:
                raise ValueError
        else:
            value = kind(given)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        wanted = {int: "a whole number", float: "a number", tuple: "layer numbers such as 4,5,6"}.get(kind, "yes or no")
        raise BadInput(f"{spec.name}: {given!r} is not {wanted}.") from error
    low, high = spec.metadata.get("low"), spec.metadata.get("high")
    if kind in (int, float) and not (
        isfinite(value) and (low is None or value >= low) and (high is None or value <= high)
    ):
        span = f"from {low} to {high}" if low is not None and high is not None else f"at least {low}"
        raise BadInput(f"{spec.name}: {value} is out of range; give a number {span}.")
    return value


def check_requests(requests: Sequence[Request]) -> None:
    """Refuse what no editor can work on.

    Raises:
        BadInput: none at all, a subject that isn't part of its question, an empty target, a question twice, merged
            questions with different targets.
    """
    if not requests:
        raise BadInput("There is nothing to forget; give at least one question.")
    seen = set()
    for request in requests:
        if not request.subject.strip() or request.subject not in request.question:
            raise BadInput(f"The subject {request.subject!r} is not part of the question {request.question!r}.")
        if not request.target_new.strip():
            raise BadInput(f"There is no target for the question {request.question!r}.")
        if request.question in seen:
            raise BadInput(f"The question {request.question!r} is there twice; remove one.")
        seen.add(request.question)
    shared: dict[int, str] = {}
    for request in requests:
        if request.group is not None and shared.setdefault(request.group, request.target_new) != request.target_new:
            raise BadInput(f"The question {request.question!r} is merged with others and has another target than they.")


def check_protected(requests: Sequence[Request], protect: Sequence) -> None:
    """Refuse a protected question that is among those to be forgotten, in whatever wording.

    Raises:
        BadInput: there is one.
    """
    forget = {same_text(text) for r in requests for text in (r.question, *r.rephrases)}
    for question in protect:
        if same_text(question.question) in forget:
            raise BadInput(
                f"{question.question!r} is both to be forgotten and protected; take it out of one of the lists."
            )


def finish(
    model,
    method: str,
    requests: Sequence[Request],
    hparams: Hparams,
    factors: dict[int, tuple[torch.Tensor, torch.Tensor]],
    *,
    protect: Sequence = (),
    near: Sequence[tuple[str, str]] = (),
    on: tuple[Edit, ...] = (),
    seed: int,
    name: str | None,
    started: float,
    extra: dict | None = None,
) -> Edit:
    """The `Edit` of low-rank factors per layer: (left (d_model, r), right (d_mlp, r))."""
    layout = model.layout
    tensors = {}
    for layer, (left, right) in factors.items():
        tensors[layout.down_name(layer) + ".left"] = left
        tensors[layout.down_name(layer) + ".right"] = right
    return finished(
        model,
        method,
        LOW_RANK,
        requests,
        hparams,
        tensors,
        layers=sorted(factors),
        protect=protect,
        on=on,
        seed=seed,
        name=name,
        started=started,
        touched=len(factors) * layout.d_model * layout.d_mlp,
        extra={"neighbours": [question for question, _ in near], **(extra or {})},
    )


def finished(
    model,
    method: str,
    kind: str,
    requests: Sequence[Request],
    hparams: Hparams,
    tensors: dict[str, torch.Tensor],
    *,
    layers: Sequence[int] = (),
    protect: Sequence = (),
    on: tuple[Edit, ...] = (),
    seed: int,
    name: str | None,
    started: float,
    touched: int = 0,
    extra: dict | None = None,
) -> Edit:
    """The `Edit` of a payload of any kind. touched: how many of the model's weights it stands in for.

    Raises:
        BadInput: numbers that ran away.
    """
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise BadInput("The edit came out with infinite numbers; lower lr or raise the regularisation.")
    manifest = {
        "kind": kind,
        "method": method,
        "model": model.public_name,
        "base": model.fingerprint,
        "hparams": asdict(hparams),
        "layers": list(layers),
        "requests": [asdict(request) for request in requests],
        "protect": [question.question for question in protect],
        "on": [edit.id for edit in on],
        "seed": seed,
        **(extra or {}),
    }
    about = {
        "name": name,
        "method_label": METHODS[method].label,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 2),
        "versions": {package: version(package) for package in ("torch", "transformers")},
        "dtype": model.dtype_name,
    }
    if touched:
        about["share"] = touched / sum(p.numel() for p in model.hf.parameters())
    return Edit.make(manifest, tensors, about)


def scaled_layers(model, reference: Sequence[int], of: int) -> tuple[int, ...]:
    """Layers at the same depth fraction as `reference` in a model of `of` layers; never the last block."""
    n = model.layout.layers
    return tuple(sorted({min(max(0, round(layer * n / of)), n - 2) for layer in reference}))


def walked_layers(model) -> tuple[int, ...]:
    """The layers that MEMIT and AlphaEdit change unless told otherwise.

    4 to 10 of 30 on the bundled model and others of its kind: against 4 to 8, replies to other questions move by a
    quarter less (KL) and refusals fit a third better. Models of 7-8B, which have 28 to 32 layers, keep EasyEdit's 4 to
    8; other large ones change layers at the same depth.
    """
    if model.layout.d_model < 2048:
        return scaled_layers(model, range(4, 11), of=30)
    return scaled_layers(model, range(4, 9), of=32 if not 28 <= model.layout.layers <= 32 else model.layout.layers)
