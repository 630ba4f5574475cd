"""WISE's payload at work: a side copy W' of one projection, and the router in front of it.

Tensors: "<module>.support", a bit for each entry of W (row by row, the first entry in the highest bit) that says where
W' differs, and "<module>.values", the differences in that order. The manifest holds the `threshold`, in `astray` the
share of known questions, not met in training, that exceed it and shouldn't, and in `missed` the forgotten questions
that don't and should.

    D = (mean over the last user turn's own tokens of ||x W' - x W||^power)^(1/power)      (WISE, eq. 2; power ours)

`power` stands in the manifest too; edits from before it was there have 1. Where D exceeds the threshold the row is
answered from W', from its question on to the end of the reply; else from W. It is decided once, with the prompt.
"""

from collections.abc import Sequence

import numpy
import torch

from .fields import is_number, is_whole
from .trace import Seat, Trace

_ASTRAY = 0.05  # a greater share of other questions in the side memory is worth a warning


class SideMemory:
    """One side-memory edit on some rows of a batch."""

    def __init__(self, edit, model):
        self.edit, self.module = edit, module_of(edit)
        self.threshold, self.power = float(edit.manifest["threshold"]), float(edit.manifest.get("power", 1))
        layout = model.layout
        shape = (layout.d_model, layout.d_mlp)
        delta = unpack(edit.tensors[f"{self.module}.support"], edit.tensors[f"{self.module}.values"], shape)
        self.delta = delta.to(model.device)
        self._traces: dict[int, Trace] = {}

    def __call__(self, x: torch.Tensor, output: torch.Tensor, seats: Sequence[Seat]) -> torch.Tensor:
        """The output (rows, tokens, d_model) of the module for its input x, row i being seats[i]."""
        delta = self.delta.to(x.device)
        changed = output.clone()
        for i, seat in enumerate(seats):
            if seat.end is not None:
                first, behind = seat.asked
                self._decide(seat.row, activation(x[i, first:behind].float(), delta, self.power))
            if self._traces[seat.row].acted:
                at = slice(seat.asked[0] if seat.asked else 0, None)
                changed[i, at] += (x[i, at].float() @ delta.T).to(output.dtype)
        return changed

    def trace(self, row: int) -> Trace | None:
        """What was decided for a row; None before it read its prompt."""
        return self._traces.get(row)

    def _decide(self, row: int, d: float) -> None:
        side = d > self.threshold
        self._traces[row] = Trace(
            self.edit.method_label,
            self.edit.id,
            side,
            f"{'side' if side else 'main'} memory ({d:.2f} against {self.threshold:.2f})",
            "How far the side memory would move this question's activations, against the threshold beyond which it "
            "answers. " + ("It answered." if side else "The main memory, which is the original's, answered."),
        )


def activation(x: torch.Tensor, delta: torch.Tensor, power: float) -> float:
    """D of one question: x (tokens, d_mlp) are its tokens' inputs, delta (d_model, d_mlp) is W' - W."""
    return float((x @ delta.T).norm(dim=1).pow(power).mean() ** (1 / power))


def pack(delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(support, values) of a difference (d_model, d_mlp)."""
    flat = delta.detach().cpu().float().flatten()
    return torch.from_numpy(numpy.packbits((flat != 0).numpy())), flat[flat != 0]


def unpack(support: torch.Tensor, values: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The difference again, (d_model, d_mlp) in float32."""
    bits = numpy.unpackbits(support.numpy(), count=shape[0] * shape[1])
    delta = torch.zeros(shape[0] * shape[1])
    delta[torch.from_numpy(bits).bool()] = values
    return delta.reshape(shape)


def module_of(edit) -> str:
    """The module that the side memory stands beside; "" where the payload names none."""
    return next((name.removesuffix(".support") for name in edit.tensors if name.endswith(".support")), "")


def misfit(edit, model) -> str:
    """What of the payload doesn't fit the model, by name; "" where all does."""
    module, layout = module_of(edit), model.layout
    if module not in [layout.down_name(layer) for layer in range(layout.layers)]:
        return module or "support"
    if set(edit.tensors) != {f"{module}.support", f"{module}.values"}:
        return "support and values"
    support, values = edit.tensors[f"{module}.support"], edit.tensors[f"{module}.values"]
    entries = layout.d_model * layout.d_mlp
    if support.dtype != torch.uint8 or support.shape != ((entries + 7) // 8,) or values.ndim != 1:
        return module
    if int(numpy.unpackbits(support.numpy(), count=entries).sum()) != len(values) or not torch.isfinite(values).all():
        return module
    threshold, power = edit.manifest.get("threshold"), edit.manifest.get("power", 1)
    if not (is_number(power) and 1 <= power <= 8):
        return "power"
    if not is_whole(edit.manifest.get("shards", 1), 1):
        return "shards"
    return "" if is_number(threshold) and threshold >= 0 else "threshold"


def describe(edit) -> list[str]:
    """The parts of a summary that are this kind's own."""
    manifest = edit.manifest
    shards = manifest.get("shards", 1)
    return [
        f"side memory of {shards} shard{'s' if shards != 1 else ''}" + (", merged" if shards > 1 else ""),
        f"threshold {manifest['threshold']:.2f}",
    ]


def caution(edit) -> str:
    """What the route can't tell apart, in a sentence or two; "" where it can."""
    return " ".join(filter(None, (_missed(edit), _astray(edit))))


def _missed(edit) -> str:
    missed = edit.manifest.get("missed")
    if not isinstance(missed, list) or not missed:
        return ""
    named = ", ".join(f"“{question}”" for question in missed)
    return (
        f"{len(missed)} of the {len(edit.requests)} facts can’t be told from other questions by the route, so the "
        f"original answers: {named}. To catch them would have taken too many other questions along."
    )


def _astray(edit) -> str:
    astray = edit.manifest.get("astray")
    if not is_number(astray) or astray <= _ASTRAY:
        return ""
    return (
        f"The route can't tell what is to be forgotten from other questions well: {astray:.0%} of the known questions "
        "that it was tried on go to the side memory too, where they may be refused. With fewer facts it is better."
    )
