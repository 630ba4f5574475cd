"""A model of a large one's shape with random weights, so that a machine without downloads measures real sizes."""

from __future__ import annotations

import torch

from ..errors import BadInput
from ..models.catalogue import ModelCard
from ..models.layout import find_layout
from ..models.loading import LoadedModel, fingerprint

# d_model, d_mlp, layers, heads, heads of keys and values; the vocabulary is the tokenizer's.
SHAPES = {
    "llama2-7b": (4096, 11008, 32, 32, 32),
    "llama3-8b": (4096, 14336, 32, 32, 8),
    "qwen2.5-1.5b": (1536, 8960, 28, 12, 2),
    "smollm2-135m": (576, 1536, 30, 9, 3),
}


def random_model(shape: str, like: LoadedModel, device: str, dtype: torch.dtype) -> LoadedModel:
    """A Llama of this shape with the tokenizer and the chat template of `like`; made on the device, seed 0.

    Raises:
        BadInput: a shape that isn't known, or no such device.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    if shape not in SHAPES:
        raise BadInput(f"There is no shape called {shape!r}; choose one of {', '.join(SHAPES)}.")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput("There is no CUDA device here; leave --device out to use the processor.")
    d_model, d_mlp, layers, heads, shared = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=like.hf.config.vocab_size,
        hidden_size=d_model,
        intermediate_size=d_mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        max_position_embeddings=4096,
    )
    usual = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(0)
        try:
            torch.set_default_dtype(dtype)
            with torch.device(device):
                hf = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(usual)
    hf = hf.eval().requires_grad_(False)
    card = ModelCard(shape, f"{shape} (random weights)", "folder", "llama", hf.num_parameters())
    return LoadedModel(hf, like.tokenizer, find_layout(hf), card, like.format, fingerprint(hf))
