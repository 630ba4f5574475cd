"""Run only the part of a decoder that a computation needs.

`below` stops after a layer, `above` starts after it from given hidden states. Both are shallow copies that share
every weight with the model: only the list of blocks differs. Key/value caches keep the original layer numbers.
"""

import copy

import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .layout import Layout, blocks_of


def below(hf: nn.Module, layout: Layout, layer: int) -> nn.Module:
    """The decoder without head, blocks 0 .. layer. Its own output is of no use (the final norm follows at once);
    read what you need with hooks."""
    return _with_blocks(hf, layout, slice(layer + 1))


def above(hf: nn.Module, layout: Layout, layer: int) -> nn.Module:
    """The decoder without head, blocks layer + 1 and on, with the final norm; feed it `inputs_embeds`.

    layer -1: all blocks, from what enters the first one (where positions are added to tokens, their sum).
    """
    return _fed_with_states(_with_blocks(hf, layout, slice(layer + 1, None)), layout)


def between(hf: nn.Module, layout: Layout, first: int, last: int | None = None) -> nn.Module:
    """The decoder without head, blocks first .. last (None: to the end); feed it `inputs_embeds`, the states that enter
    the first of them, or `input_ids` where that is block 0."""
    part = _with_blocks(hf, layout, slice(first, None if last is None else last + 1))
    return _fed_with_states(part, layout) if first else part


def cache_above(prefix: list[tuple[torch.Tensor, torch.Tensor]], layer: int) -> DynamicCache:
    """A fresh cache for `above`: prefix[i] holds keys and values (rows, heads, tokens, d) of block layer + 1 + i.

    The blocks below get entries of the same length without storage, because masks are sized by the first one.
    """
    cache = DynamicCache()
    keys, values = prefix[0]
    hollow = keys.new_zeros(1).expand(keys.shape), values.new_zeros(1).expand(values.shape)
    for index in range(layer + 1 + len(prefix)):
        k, v = hollow if index <= layer else prefix[index - layer - 1]
        entry = DynamicLayer()
        entry.lazy_initialization(k, v)
        entry.keys, entry.values = k, v
        cache.layers.append(entry)
    return cache


def _fed_with_states(part: nn.Module, layout: Layout) -> nn.Module:
    if "wpe" in part._modules:  # GPT-2 adds positions to whatever it is given, and they are in there already
        part._modules["wpe"] = _NoPositions(layout.d_model)
    return part


class _NoPositions(nn.Module):
    """Stands for learned positions, and adds nothing."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, position_ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*position_ids.shape, self.width, device=position_ids.device, dtype=torch.uint8)


def _with_blocks(hf: nn.Module, layout: Layout, kept: slice) -> nn.Module:
    path, name = layout.blocks.rsplit(".", 1)
    part = copy.copy(hf.get_submodule(path))
    part.__dict__.pop("forward", None)  # accelerate's, which would run the whole decoder
    part._modules = dict(part._modules)
    part._modules[name] = nn.ModuleList(list(blocks_of(hf, layout))[kept])
    if getattr(part.config, "layer_types", None):  # a block's kind of attention is looked up by its place
        part.config = copy.copy(part.config)
        part.config.layer_types = list(part.config.layer_types)[kept]
    return part
