"""Where each family keeps the modules that are edited.

An editor needs four places of a decoder: the list of blocks, the MLP's down projection inside a block (the
linear layer that ROME calls W: it maps the key, d_mlp numbers, to the value, d_model numbers), the model
without its output head, and the head. Transformers names them differently per family; this is the only file
that knows the names.
"""

from dataclasses import dataclass

import torch
from torch import nn

from ..errors import Failed
from .placement import read

# (path of the block list; inside a block: path of the down projection, path of the attention's output projection)
_KNOWN = (
    ("model.layers", "mlp.down_proj", "self_attn.o_proj"),  # Llama, Mistral, Qwen2/2.5/3, Gemma, Phi-3, SmolLM
    ("transformer.h", "mlp.c_proj", "attn.c_proj"),  # GPT-2
    ("gpt_neox.layers", "mlp.dense_4h_to_h", "attention.dense"),  # GPT-NeoX, Pythia
)
# A norm between the MLP and the residual stream: W's output is then not what the block adds.
_NORM_AFTER_MLP = ("post_feedforward_layernorm",)


@dataclass(frozen=True)
class Layout:
    """Module paths of one model. Layers are counted from 0."""

    blocks: str
    down: str
    attention: str  # the projection of the attention's output
    layers: int
    d_model: int
    d_mlp: int
    transposed: bool  # GPT-2's Conv1D keeps its weight as (in, out)

    def down_name(self, layer: int) -> str:
        """Full module path of the down projection of a layer, as it stands in the manifest of an edit."""
        return f"{self.blocks}.{layer}.{self.down}"

    def weight_name(self, layer: int) -> str:
        """Name of that projection's weight in the state dict."""
        return self.down_name(layer) + ".weight"


def find_layout(hf: nn.Module) -> Layout:
    """The layout of a transformers causal model.

    Raises:
        Failed: the modules are none of the known ones; the message lists the names that were found.
    """
    for blocks_path, down_path, attention_path in _KNOWN:
        blocks = _get(hf, blocks_path)
        downs = [_get(block, down_path) for block in blocks] if blocks is not None else []
        if not downs or any(getattr(down, "weight", None) is None for down in downs):  # experts, perhaps not in all
            continue
        down = downs[0]
        if any(hasattr(blocks[0], name) for name in _NORM_AFTER_MLP):
            raise Failed(
                f"{type(hf).__name__} normalises the output of its MLP, so a change of the projection is not what "
                "reaches the next layer; this version can't edit it. Choose a Llama, Mistral or Qwen model."
            )
        transposed = not isinstance(down, nn.Linear) and type(down).__name__ == "Conv1D"
        d_in, d_out = down.weight.shape if transposed else reversed(down.weight.shape)
        return Layout(blocks_path, down_path, attention_path, len(blocks), d_out, d_in, transposed)
    names = sorted({name.split(".")[-1] for name, module in hf.named_modules() if isinstance(module, nn.Linear)})
    raise Failed(
        f"{type(hf).__name__} is laid out in a way this program doesn't know (linear modules found: "
        f"{', '.join(names[:12]) or 'none'}); choose a Llama, Mistral or Qwen model."
    )


def blocks_of(hf: nn.Module, layout: Layout) -> nn.ModuleList:
    """The decoder blocks in order."""
    return hf.get_submodule(layout.blocks)


def down_of(hf: nn.Module, layout: Layout, layer: int) -> nn.Module:
    """The down projection of a layer: input (..., d_mlp), output (..., d_model)."""
    return hf.get_submodule(layout.down_name(layer))


def attention_of(hf: nn.Module, layout: Layout, layer: int) -> nn.Module:
    """The output projection of a layer's attention: output (..., d_model), what the attention adds."""
    return hf.get_submodule(f"{layout.blocks}.{layer}.{layout.attention}")


def weight_of(hf: nn.Module, layout: Layout, layer: int) -> torch.Tensor:
    """W as (d_model, d_mlp), whichever way round the module keeps it. A view: don't write to it."""
    weight = read(down_of(hf, layout, layer))
    return weight.T if layout.transposed else weight


def projections(hf: nn.Module, layout: Layout) -> list[str]:
    """Module paths of every linear projection inside the decoder blocks, attention and MLP alike, in order."""
    inside = blocks_of(hf, layout).named_modules(prefix=layout.blocks)
    return [name for name, module in inside if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"]


def _get(root: nn.Module, path: str) -> nn.Module | None:
    for name in path.split("."):
        root = getattr(root, name, None)
        if root is None:
            return None
    return root
