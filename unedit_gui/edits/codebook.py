"""GRACE's payload at work: a codebook that replaces what one layer says at the last token of a prompt.

Tensors: "<module>.keys" (n, d_mlp), "<module>.values" (n, d_model), "<module>.radii" (n,). The query is the module's
input at the prompt's last token. Where the nearest key is within its radius, the module's output there becomes that
key's value; everything else, the reply's own tokens included, stays as the base weight has it. The reply reads the
value through attention, so the decision is made once, with the prompt.
"""

from collections.abc import Sequence

import torch

from .fields import is_whole
from .trace import Seat, Trace

_PARTS = ("keys", "values", "radii")


class Codebook:
    """One codebook edit on some rows of a batch."""

    def __init__(self, edit, model):
        self.edit, self.module = edit, module_of(edit)
        self.keys, self.values, self.radii = (edit.tensors[f"{self.module}.{part}"].to(model.device) for part in _PARTS)
        self._traces: dict[int, Trace] = {}

    def __call__(self, x: torch.Tensor, output: torch.Tensor, seats: Sequence[Seat]) -> torch.Tensor:
        """The output (rows, tokens, d_model) of the module for its input x, row i being seats[i]."""
        if seats[0].end is None:
            return output
        each = torch.arange(len(seats), device=x.device)
        last = torch.tensor([seat.end - 1 for seat in seats], device=x.device)
        distance = distances(x[each, last].float(), self.keys.to(x.device))
        nearest = distance.argmin(1)
        found, radius = distance[each, nearest], self.radii.to(x.device)[nearest]
        inside = found <= radius
        output = output.clone()
        output[each[inside], last[inside]] = self.values.to(output)[nearest[inside]]
        for i, seat in enumerate(seats):
            self._traces[seat.row] = self._trace(int(nearest[i]), float(found[i]), float(radius[i]), bool(inside[i]))
        return output

    def trace(self, row: int) -> Trace | None:
        """What was decided for a row; None before it read its prompt."""
        return self._traces.get(row)

    def _trace(self, key: int, distance: float, radius: float, inside: bool) -> Trace:
        fact = self.edit.manifest["entries"][key]["facts"][0]
        asked = self.edit.requests[fact]["question"]
        return Trace(
            self.edit.method_label,
            self.edit.id,
            inside,
            f"nearest key {distance:.2f} of radius {radius:.2f}" + ("" if inside else ", left alone"),
            f"The nearest key of the codebook is that of “{asked}”. "
            + ("It is within its radius, so its value was put in." if inside else "It is too far away to act."),
        )


def distances(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Euclidean distances (queries, keys), without the shortcut that loses the small ones to rounding."""
    return torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist")


def module_of(edit) -> str:
    """The module that the codebook stands at; "" where the payload names none."""
    return next((name.removesuffix(".keys") for name in edit.tensors if name.endswith(".keys")), "")


def misfit(edit, model) -> str:
    """What of the payload doesn't fit the model, by name; "" where all does."""
    module, layout = module_of(edit), model.layout
    if module not in [layout.down_name(layer) for layer in range(layout.layers)]:
        return module or "keys"
    if set(edit.tensors) != {f"{module}.{part}" for part in _PARTS}:
        return "keys, values and radii"
    keys, values, radii = (edit.tensors[f"{module}.{part}"] for part in _PARTS)
    entries = edit.manifest.get("entries")

    def facts(entry) -> bool:
        named = entry.get("facts") if isinstance(entry, dict) else None
        return isinstance(named, list) and named != [] and all(is_whole(f) and f < len(edit.requests) for f in named)

    if not (isinstance(entries, list) and entries and all(map(facts, entries))):
        return "entries"
    n = len(entries)
    if keys.shape != (n, layout.d_mlp) or values.shape != (n, layout.d_model) or radii.shape != (n,):
        return module
    return "" if all(torch.isfinite(t).all() for t in edit.tensors.values()) else f"{module}, not finite"


def describe(edit) -> list[str]:
    """The parts of a summary that are this kind's own."""
    n = len(edit.manifest["entries"])
    return [f"codebook of {n} key{'s' if n != 1 else ''}", "no weight changed"]
