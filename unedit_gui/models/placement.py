"""A model that is spread over GPUs, memory and disk by accelerate (`device_map`): where its weights are to be read.

A module whose weights lie on disk, or in memory for a GPU, is empty (its tensors are "meta") but for the moment of its
forward: a hook fills it before and empties it after. So calling a module is always right, and its `.weight` is not. All
that reads a weight without calling its module reads it here.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..errors import Failed


def is_spread(hf: nn.Module) -> bool:
    """Are some weights empty but for the moment of their use?"""
    return any(parameter.is_meta for parameter in hf.parameters())


def device_of(hf: nn.Module) -> torch.device:
    """Where the model takes its inputs."""
    if hf.device.type != "meta":
        return hf.device
    where = getattr(getattr(hf, "_hf_hook", None), "execution_device", None)
    return torch.device("cpu" if where is None else where)


def read(module: nn.Module, name: str = "weight") -> torch.Tensor:
    """A parameter or buffer of a module, wherever it lies; don't write to it."""
    tensor = getattr(module, name).detach()
    if not tensor.is_meta:
        return tensor
    hook = getattr(module, "_hf_hook", None)
    for one in (hook, *getattr(hook, "hooks", ())):
        if getattr(one, "weights_map", None) is not None:
            return one.weights_map[name].detach().to(one.execution_device)
    raise Failed(f"A weight ({type(module).__name__}.{name}) is nowhere to be found; load the model again.")


def tensors(hf: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers by name, tied ones once, in a fixed order; those that lie elsewhere one at a time."""
    tied, seen = dict(getattr(hf, "all_tied_weights_keys", None) or {}), set()
    for name, tensor in sorted(hf.state_dict(keep_vars=True).items()):
        mark = tied.get(name, name) if tensor.is_meta else tensor.data_ptr()
        if mark in seen:
            continue
        seen.add(mark)
        module, _, own = name.rpartition(".")
        yield name, read(hf.get_submodule(module), own)


def must_be_whole(model, what: str) -> None:
    """Failed, in one sentence, where parts of a model lie elsewhere and `what` can't do with that."""
    if is_spread(model.hf):
        raise Failed(f"{model.name} is partly kept outside its device; {what} needs all of it there: a smaller model.")
