"""Keys and block outputs at the edit positions, and the walk that reads them layer by layer as an edit grows.

The model is causal: nothing behind the edit position matters, and what all prompts begin with (the template's opening)
is one row for all of them. Nor is a block run again whose input can't have changed: once layer l is edited, the blocks
below l still give what they gave, so the walk goes on from the states that enter l. Layers 4 to 10 take 38 blocks
instead of 77.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import DynamicCache

from ..models.layout import blocks_of, down_of
from ..models.partial import between, cache_above
from .locate import Place, shared_opening

KEEP = 2**24  # numbers that the states of a walk may be; batches beyond that start from their tokens each time


def keys_and_outputs(model, spots: Sequence[Place], layers: Sequence[int], *, batch_size: int = 16, job=None):
    """Keys and block outputs at the edit positions, with whatever hooks are active (earlier layers' deltas).

    Returns:
        {layer: k (d_mlp, n)}: the inputs of W, and {layer: h (d_model, n)}: the block outputs; float64.
    """
    found = Walk(model, spots, batch_size=batch_size, job=job).read(layers, layers)
    return tuple({layer: states.double() for layer, states in part.items()} for part in found)


class _Rows:
    """Prompts of one batch up to their edit positions, padded behind, and the states from which they go on."""

    def __init__(self, prompts: Sequence[list[int]], device, numbers: Sequence[int] = ()):
        # Causal: nothing after the edit position matters. Padding stands behind it, so needs no mask.
        self.ids = torch.zeros(len(prompts), max(map(len, prompts)), dtype=torch.long, device=device)
        for row, prompt in zip(self.ids, prompts, strict=True):
            row[: len(prompt)] = torch.tensor(prompt)
        self.last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
        self.numbers = torch.tensor(numbers, dtype=torch.long)  # of the prompts, among all
        self.start, self.states = 0, None  # states (rows, tokens, d_model) enter block `start`; None: the tokens do

    def go_on_from(self, start: int, states: torch.Tensor | None) -> None:
        self.start, self.states = (0, None) if states is None else (start, states)


class Walk:
    """Prompts that are read again and again while layer after layer of the model is changed."""

    def __init__(self, model, spots: Sequence[Place], *, batch_size: int = 16, job=None):
        self.model, self.job = model, job
        order = sorted(range(len(spots)), key=lambda i: spots[i].position)
        shared = shared_opening(spots)
        self.opening = _Rows([spots[0].ids[:shared]], model.device) if shared else None
        parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        self.count = len(spots)
        self.batches = [
            _Rows([spots[i].ids[shared : spots[i].position + 1] for i in part], model.device, part) for part in parts
        ]

    @torch.no_grad()
    def read(self, keys_of: Sequence[int], outputs_of: Sequence[int], changes: int = 0):
        """Keys and outputs of these layers, as `keys_and_outputs` gives them but in float32, which holds the numbers of
        any model exactly; the model runs up to the last of these layers.

        changes: the first layer that may be changed before the next reading, which starts there. It never falls.

        A batch's states take the place of its earlier ones at once, so that never two of each are kept. So a walk that
        was stopped within a reading is of no more use.
        """
        keys: dict[int, torch.Tensor] = dict.fromkeys(keys_of)
        outputs: dict[int, torch.Tensor] = dict.fromkeys(outputs_of)
        last, held, entered = max([*keys_of, *outputs_of]), 0, None
        openings: dict[int, DynamicCache] = {}
        for rows in self.batches:
            if self.job is not None:
                self.job.check()
            cache = DynamicCache()
            if self.opening is not None:
                if rows.start not in openings:
                    openings[rows.start] = DynamicCache()
                    entered = self._run(self.opening, rows.start, last, openings[rows.start], changes)
                cache = _for_rows(openings[rows.start], rows.start, len(rows.ids))
            with _noting(self.model, rows, keys, outputs, self.count):
                states = self._run(rows, rows.start, last, cache, changes)
            held += 0 if states is None else states.numel()
            rows.go_on_from(changes, states if held <= KEEP else None)
        if self.opening is not None:  # only now, for batches may start at different blocks
            self.opening.go_on_from(changes, entered)
        return {layer: k.T for layer, k in keys.items()}, {layer: h.T for layer, h in outputs.items()}

    def _run(self, rows: _Rows, start: int, last: int, cache: DynamicCache, changes: int) -> torch.Tensor | None:
        """Run the blocks from `start` to `last`; returns the states that enter block `changes`, None for the first."""
        kept = [rows.states if start else None]

        def keep(_m, _a, out):
            kept[0] = out[0] if isinstance(out, tuple) else out

        handles = []
        if start < changes:
            block = blocks_of(self.model.hf, self.model.layout)[changes - 1]
            handles.append(block.register_forward_hook(keep))
        fed = {"inputs_embeds": rows.states} if start else {"input_ids": rows.ids}
        try:
            between(self.model.hf, self.model.layout, start, last)(**fed, past_key_values=cache, use_cache=True)
        finally:
            for handle in handles:
                handle.remove()
        return kept[0]


def _for_rows(opening: DynamicCache, start: int, count: int) -> DynamicCache:
    """The opening's keys and values from block `start` on, for so many rows."""
    prefix = [
        (layer.keys.expand(count, -1, -1, -1), layer.values.expand(count, -1, -1, -1))
        for layer in opening.layers[start:]
    ]
    return cache_above(prefix, start - 1)


@contextmanager
def _noting(model, rows: _Rows, keys: dict, outputs: dict, count: int) -> Iterator[None]:
    """Within the block, what passes at the rows' edit positions is put at their numbers into (count, d), by layer."""
    each = torch.arange(len(rows.ids), device=rows.ids.device)
    handles = []

    def note(found: dict, layer: int, states: torch.Tensor) -> None:
        if found[layer] is None:
            found[layer] = torch.zeros(count, states.shape[-1], device=states.device)
        at = states[each.to(states.device), rows.last.to(states.device)]
        found[layer][rows.numbers.to(states.device)] = at.float()

    for layer in keys:
        hook = lambda _m, args, _o, layer=layer: note(keys, layer, args[0])  # noqa: E731
        handles.append(down_of(model.hf, model.layout, layer).register_forward_hook(hook))
    for layer in outputs:
        hook = lambda _m, _a, out, layer=layer: note(outputs, layer, out[0] if isinstance(out, tuple) else out)  # noqa: E731
        handles.append(blocks_of(model.hf, model.layout)[layer].register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
