"""One copy of the weights, one variant per row.

While a `Variants` is entered, every edited projection has a forward hook that changes the output of the base weight
for the rows that have an edit there, by the edit's kind:

* low-rank, lora: y = W x + left (right^T x), at every token;
* codebook, side memory: what codebook.py and side_memory.py say. Both decide once, with the prompt, and stand by it
  until the reply ends;
* demonstrations: nothing happens here, the prompt is another one (prompts.py).

Nothing is written into the model, so the original is there at every moment, and rows without an edit keep the very
bytes that the base weight gave them.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch

from ..errors import BadInput
from . import demonstrations
from .codebook import Codebook
from .edit import CODEBOOK, DEMONSTRATIONS, SIDE_MEMORY, WEIGHTS, Edit
from .side_memory import SideMemory
from .trace import Seat, Trace

_DECIDING = {CODEBOOK: Codebook, SIDE_MEMORY: SideMemory}


class Variants:
    """Context manager: row i of a batch answers with edits rows[i] (oldest first; () is the original).

    Loops that drop or reorder rows call `select` before each forward, with the rows that the batch then holds, and
    with their prompts where that forward reads them. Afterwards `traces` says what was decided for a row.

    Raises (on construction):
        BadInput: an edit was made for another base model, or is of a kind that can't be added to a row.
    """

    def __init__(self, model, rows: Sequence[tuple[Edit, ...]]):
        edits = list(dict.fromkeys(edit for stack in rows for edit in stack))
        for edit in edits:
            if edit.base != model.fingerprint:
                raise BadInput(f"{edit.name} was made for another base model than {model.public_name}.")
            if edit.kind not in (*WEIGHTS, DEMONSTRATIONS, *_DECIDING):
                raise BadInput(f"{edit.name} is of the kind {edit.kind!r}, which this version can't run.")
        self.model, self.rows = model, [tuple(stack) for stack in rows]
        stacks = [stack for stack in dict.fromkeys(self.rows) if stack]
        self._factors = {stack: _factors(stack, model.device) for stack in stacks}
        self._deciding = {edit: _DECIDING[edit.kind](edit, model) for edit in edits if edit.kind in _DECIDING}
        self._shown: dict[int, dict[str, tuple]] = {}
        self._handles: list = []
        self._batch: int | None = 0
        self._places: list[tuple[tuple[Edit, ...], torch.Tensor, list[Seat]]] = []
        self.select(range(len(self.rows)))

    @staticmethod
    def everywhere(model, edits: tuple[Edit, ...]) -> "Variants":
        """The same edits on every row of every batch, whatever its size: the ground that a further edit stands on.

        Raises:
            BadInput: one of them acts reply by reply, so that there is no one model to build on.
        """
        for edit in edits:
            if edit.kind not in WEIGHTS:
                raise BadInput(
                    f"{edit.name} acts reply by reply and changes no weight, so nothing can be built on it; build on "
                    "the original or on edits by ROME, MEMIT, AlphaEdit, GA, GD, KL or DPO."
                )
        variants = Variants(model, [tuple(edits)])
        variants._batch = None
        return variants

    def select(
        self, rows: Sequence[int], prompts: Sequence[Sequence[int]] | None = None, ends: Sequence[int] | None = None
    ) -> None:
        """Say which rows, in order, the next batches hold.

        Args:
            prompts: where the next batch reads their prompts from the first token on, these: then is decided.
            ends: the column behind each prompt's last token.
        """
        places, seats = defaultdict(list), defaultdict(list)
        for place, row in enumerate(rows):
            stack = self.rows[row]
            if not stack:
                continue
            places[stack].append(place)
            if prompts is None:
                seats[stack].append(Seat(row))
                continue
            seats[stack].append(_seat(row, prompts[place], ends[place]))
            self._note_shown(row, prompts[place])
        self._batch = len(rows)
        device = self.model.device
        self._places = [(stack, torch.tensor(p, device=device), seats[stack]) for stack, p in places.items()]

    def alike(self, rows: Sequence[int]) -> bool:
        """Do these rows read the same tokens alike, wherever they stand? So do those of one stack of weights."""
        stacks = {self.rows[row] for row in rows}
        return len(stacks) == 1 and all(edit.kind in WEIGHTS for edit in next(iter(stacks)))

    def traces(self, row: int) -> tuple[Trace, ...]:
        """What each edit of a row decided for its reply, oldest first; edits of weights decide nothing."""
        found = []
        for edit in dict.fromkeys(self.rows[row]):
            if edit in self._deciding:
                found.append(self._deciding[edit].trace(row))
            elif edit.kind == DEMONSTRATIONS and edit.id in self._shown.get(row, {}):
                found.append(demonstrations.traced(edit, self._shown[row][edit.id]))
        return tuple(trace for trace in found if trace is not None)

    def __enter__(self) -> "Variants":
        names = {name for factors in self._factors.values() for name in factors}
        names |= {part.module for part in self._deciding.values()}
        modules = {name: self.model.hf.get_submodule(name) for name in sorted(names)}  # all, before one gets a hook
        self._handles += [module.register_forward_hook(self._hook(name)) for name, module in modules.items()]
        return self

    def __exit__(self, *_) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, name: str):
        def change(_module, args, output: torch.Tensor) -> torch.Tensor:
            x = args[0]
            if self._batch is None:
                (factors,) = self._factors.values()
                left, right = (f.to(x.device) for f in factors[name])
                return output + ((x.to(left.dtype) @ right) @ left.T).to(output.dtype)
            if x.shape[0] != self._batch:
                raise RuntimeError(f"batch of {x.shape[0]} rows, but select() named {self._batch}")
            for stack, places, seats in self._places:
                places = places.to(x.device)  # of a model on several GPUs each layer lies on its own
                if name in self._factors[stack]:
                    left, right = (f.to(x.device) for f in self._factors[stack][name])
                    rows = x.index_select(0, places).to(left.dtype)
                    output = output.index_add(0, places, ((rows @ right) @ left.T).to(output.dtype))
                for edit in dict.fromkeys(stack):
                    part = self._deciding.get(edit)
                    if part is not None and part.module == name:
                        self._check_read(part, seats)
                        own = part(x.index_select(0, places), output.index_select(0, places), seats)
                        output = output.index_copy(0, places, own)
            return output

        return change

    def _check_read(self, part, seats: list[Seat]) -> None:
        for seat in seats:
            if seat.end is None and part.trace(seat.row) is None:
                raise RuntimeError(f"row {seat.row} has an edit that decides with its prompt, and select() named none")

    def _note_shown(self, row: int, prompt: Sequence[int]) -> None:
        wanted = [edit for edit in self.rows[row] if edit.kind == DEMONSTRATIONS]
        shown = dict(getattr(prompt, "shown", None) or ())
        if any(edit.id not in shown for edit in wanted):
            raise RuntimeError(f"the prompt of row {row} lacks its demonstrations; make it with prompt_for()")
        self._shown[row] = shown


def _seat(row: int, prompt: Sequence[int], end: int) -> Seat:
    first, behind = getattr(prompt, "asked", (0, len(prompt)))
    start = end - len(prompt)
    return Seat(row, (start + first, start + behind), end)


def _factors(stack: tuple[Edit, ...], device) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The deltas of stacked edits as one pair of factors per module: sums of products are products of the
    factors put side by side."""
    lefts, rights = defaultdict(list), defaultdict(list)
    for edit in stack:
        for module, left, right in edit.deltas():
            lefts[module].append(left)
            rights[module].append(right)
    return {m: (torch.cat(lefts[m], 1).to(device), torch.cat(rights[m], 1).to(device)) for m in lefts}
