"""What many prompts begin with (the template's opening, a system prompt), run once for all of them.

Causal: keys and values of the first tokens don't depend on what follows. In a batch the rows then stand as opening |
padding | rest, with explicit masks and positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

ROWS, TOKENS = 4, 8  # fewer rows, or fewer tokens in common, are run as they are


def in_common(rows: Sequence[Sequence[int]], most: int) -> int:
    """How many tokens all rows begin with, `most` at most."""
    first, last = min(map(list, rows)), max(map(list, rows))  # in between all begin alike
    return next((i for i in range(min(most, len(first))) if first[i] != last[i]), min(most, len(first)))


def for_rows(opening: DynamicCache, count: int) -> DynamicCache:
    """A new cache for so many rows that each begin with what is in this one, of one row."""
    cache = DynamicCache()
    for index, layer in enumerate(opening.layers):
        cache.update(layer.keys.expand(count, -1, -1, -1), layer.values.expand(count, -1, -1, -1), index)
    return cache


class Opening:
    """The first `length` tokens of all prompts, and their keys and values; length 0 where it isn't worth the while.

    variants: what changes the rows, `rows` their numbers in it; where they don't all read alike nothing is shared.
    """

    def __init__(self, model, prompts: Sequence[Sequence[int]], rows: Sequence[int] = (), variants=None):
        self.length, self._cache = 0, None
        # A sliding window counts columns, and there would be padding among them.
        if len(prompts) < ROWS or getattr(model.hf.config, "sliding_window", None):
            return
        shared = in_common(prompts, min(map(len, prompts)) - 1)
        if shared < TOKENS or (variants is not None and not variants.alike(rows)):
            return
        if variants is not None:
            variants.select(rows[:1])
        self.length, self._cache = shared, DynamicCache()
        self._run(model, torch.tensor([list(prompts[0][:shared])], device=model.device))

    @torch.inference_mode()
    def _run(self, model, ids: torch.Tensor) -> None:
        model.hf(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)

    def for_rows(self, count: int) -> DynamicCache:
        """A cache for so many rows that holds it."""
        return for_rows(self._cache, count) if self._cache else DynamicCache()
