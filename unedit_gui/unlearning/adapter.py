"""PEFT's LoRA on a model whose own modules and weights are left alone.

PEFT puts its layers into the module tree of the model that it is given. Here it is given a copy of that tree which
shares every weight and buffer with the model (so it costs no memory): whatever happens in training, an exception or a
stop included, the model itself is as it was, because nothing of it was ever touched. Hooks that are registered on the
model (edits that are built on) are registered on the copy as well.
"""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..models.layout import projections
from ..models.placement import must_be_whole

if TYPE_CHECKING:
    from ..models.loading import LoadedModel


class Adapter:
    """A trainable LoRA beside all projections of a model's blocks: y = W x + (alpha / rank) B A x, B = 0 at first.

    Attributes: `model`, the LoadedModel to train, which shares its weights with the one given. `parameters`, the A and
    B, in float32; nothing else has a gradient.

    Args:
        seed: of the random A. The global generator plays no part and is left as it was.
    """

    def __init__(self, model: "LoadedModel", rank: int, alpha: float, seed: int):
        from peft import LoraConfig, inject_adapter_in_model  # seconds to import, and only training needs it

        must_be_whole(model, "training")
        shared = {id(tensor): tensor for tensor in (*model.hf.parameters(), *model.hf.buffers())}
        hf = copy.deepcopy(model.hf, shared)
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            target_modules=projections(model.hf, model.layout),
            fan_in_fan_out=model.layout.transposed,
            lora_dropout=0.0,
            bias="none",
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            inject_adapter_in_model(config, hf)
        self.model = replace(model, hf=hf)
        self.scaling = alpha / rank
        self._layers = {name: layer for name, layer in hf.named_modules() if hasattr(layer, "lora_A")}
        self.parameters: list[nn.Parameter] = []
        for layer in self._layers.values():
            for part in (layer.lora_A["default"], layer.lora_B["default"]):
                part.weight.data = part.weight.data.float()
                self.parameters.append(part.weight.requires_grad_(True))

    def tensors(self) -> dict[str, torch.Tensor]:
        """ "<module>.lora_A" (rank, d_in) and "<module>.lora_B" (d_out, rank) of every projection, float32."""
        found = {}
        for name, layer in self._layers.items():
            found[f"{name}.lora_A"] = layer.lora_A["default"].weight.detach()
            found[f"{name}.lora_B"] = layer.lora_B["default"].weight.detach()
        return found
