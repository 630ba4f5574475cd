"""LoRA's payload: two thin matrices beside each projection, delta W = scaling * B A.

Tensors: "<module>.lora_A" (r, d_in) and "<module>.lora_B" (d_out, r), PEFT's names and shapes. The manifest holds the
`scaling` (alpha / r), and in `held` how the replies to other questions fared while it was trained: their NLL in nats a
token `before` and `after`, the `limit` by which it may rise, and the step at which training was `stopped` (null: it
went to its end). The training's curve stands in `about`, outside the id.
"""

from collections.abc import Iterator

import torch

from ..models.layout import projections
from .fields import is_number


def deltas(edit) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """(module path, left (d_out, r), right (d_in, r)) of each projection, with delta W = left @ right.T."""
    scaling = float(edit.manifest["scaling"])
    for name, A in edit.tensors.items():
        if name.endswith(".lora_A"):
            module = name.removesuffix(".lora_A")
            yield module, scaling * edit.tensors[f"{module}.lora_B"], A.T


def misfit(edit, model) -> str:
    """What of the payload doesn't fit the model, by name; "" where all does."""
    if not is_number(edit.manifest.get("scaling")):
        return "scaling"
    known = set(projections(model.hf, model.layout))
    for name, tensor in edit.tensors.items():
        module, _, side = name.rpartition(".")
        if module not in known or side not in ("lora_A", "lora_B"):
            return name
        weight = model.hf.get_submodule(module).weight
        d_out, d_in = weight.shape[::-1] if model.layout.transposed else weight.shape
        A, B = (edit.tensors.get(f"{module}.{s}", torch.empty(0)) for s in ("lora_A", "lora_B"))
        if A.ndim != 2 or A.shape != (len(A), d_in) or B.shape != (d_out, len(A)) or not torch.isfinite(tensor).all():
            return name
    return "" if edit.tensors else "lora_A and lora_B"


def describe(edit) -> list[str]:
    """The parts of a summary that are this kind's own."""
    found = list(deltas(edit))
    return [f"LoRA r {found[0][2].shape[1]} at {len(found)} projections"]


def caution(edit) -> str:
    """A sentence where training broke the model; "" where it did not."""
    held = edit.manifest.get("held")
    figures = [held.get(name) for name in ("before", "after", "limit")] if isinstance(held, dict) else [None]
    if not all(map(is_number, figures)):
        return ""
    before, after, limit = figures
    if after <= before + limit:
        return ""
    return (
        "The model is breaking: its own replies to other questions have become unlikely to it (from "
        f"{before:.2f} to {after:.2f} nats a token, where {limit:g} more is the limit), so training was stopped. "
        "Expect refusals or nonsense where nothing was to be forgotten; train shorter, at a lower rate, or otherwise."
    )


def curve(edit) -> list[dict[str, float]]:
    """The training's curve, points with `step` and perhaps `loss` and `held`; empty where none that can be drawn was
    kept (what stands outside the id may have been written by anybody)."""
    points = edit.about.get("curve")
    good = isinstance(points, list) and all(
        isinstance(point, dict) and "step" in point and all(isinstance(v, int | float) for v in point.values())
        for point in points
    )
    return points if good else []
