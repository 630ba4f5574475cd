"""One copy of the weights, one variant per row.

While a `Variants` is entered, every edited projection has a forward hook that adds each row's own delta to the
output of the base weight: y = W x + left (right^T x). Nothing is written into the model, so the original is
there at every moment, and rows without an edit keep the very bytes that the base weight gave them.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch

from ..errors import BadInput
from .edit import LOW_RANK, Edit


class Variants:
    """Context manager: row i of a batch answers with edits rows[i] (oldest first; () is the original).

    Loops that drop or reorder rows call `select` before each forward, with the rows that the batch then holds.

    Raises (on construction):
        BadInput: an edit was made for another base model, or is of a kind that can't be added to a row.
    """

    def __init__(self, model, rows: Sequence[tuple[Edit, ...]]):
        for edit in {edit for stack in rows for edit in stack}:
            if edit.base != model.fingerprint:
                raise BadInput(f"{edit.name} was made for another base model than {model.name}.")
            if edit.kind != LOW_RANK:
                raise BadInput(f"{edit.name} is of the kind {edit.kind!r}, which this version can't run.")
        self.model, self.rows = model, [tuple(stack) for stack in rows]
        stacks = [stack for stack in dict.fromkeys(self.rows) if stack]
        self._factors = {stack: _factors(stack, model.device) for stack in stacks}
        self._handles: list = []
        self._batch: int | None = 0
        self._places: list[tuple[tuple[Edit, ...], torch.Tensor]] = []
        self.select(range(len(self.rows)))

    @staticmethod
    def everywhere(model, edits: tuple[Edit, ...]) -> "Variants":
        """The same edits on every row of every batch, whatever its size: the ground that a further edit stands on."""
        variants = Variants(model, [tuple(edits)])
        variants._batch = None
        return variants

    def select(self, rows: Sequence[int]) -> None:
        """Say which rows, in order, the next batches hold."""
        places = defaultdict(list)
        for place, row in enumerate(rows):
            if self.rows[row]:
                places[self.rows[row]].append(place)
        self._batch = len(rows)
        self._places = [(stack, torch.tensor(p, device=self.model.device)) for stack, p in places.items()]

    def __enter__(self) -> "Variants":
        names = sorted({name for factors in self._factors.values() for name in factors})
        modules = {name: self.model.hf.get_submodule(name) for name in names}  # all, before the first gets a hook
        self._handles += [module.register_forward_hook(self._hook(name)) for name, module in modules.items()]
        return self

    def __exit__(self, *_) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, name: str):
        def add_deltas(_module, args, output: torch.Tensor) -> torch.Tensor:
            x = args[0]
            if self._batch is None:
                ((left, right),) = (f[name] for f in self._factors.values())
                return output + ((x.to(left.dtype) @ right) @ left.T).to(output.dtype)
            if x.shape[0] != self._batch:
                raise RuntimeError(f"batch of {x.shape[0]} rows, but select() named {self._batch}")
            for stack, places in self._places:
                if name not in self._factors[stack]:
                    continue
                left, right = (f.to(x.device) for f in self._factors[stack][name])
                rows = x.index_select(0, places).to(left.dtype)
                output = output.index_add(0, places, ((rows @ right) @ left.T).to(output.dtype))
            return output

        return add_deltas


def _factors(stack: tuple[Edit, ...], device) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The deltas of stacked edits as one pair of factors per module: sums of products are products of the
    factors put side by side."""
    lefts, rights = defaultdict(list), defaultdict(list)
    for edit in stack:
        for module, left, right in edit.deltas():
            lefts[module].append(left)
            rights[module].append(right)
    return {m: (torch.cat(lefts[m], 1).to(device), torch.cat(rights[m], 1).to(device)) for m in lefts}
