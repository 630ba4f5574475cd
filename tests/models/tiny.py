"""Tiny random models of real transformers classes, for tests of equations and contracts."""

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from unedit_gui.models.catalogue import ModelCard
from unedit_gui.models.chat import chat_format
from unedit_gui.models.layout import find_layout
from unedit_gui.models.loading import LoadedModel, fingerprint

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
_SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip
_GPT = {"initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}

# The families that the catalogue names, and two older ones. The sliding windows are short, so that they matter.
CONFIGS = {
    "llama": lambda v: LlamaConfig(vocab_size=v, tie_word_embeddings=True, **_SIZES),
    "qwen2": lambda v: Qwen2Config(vocab_size=v, **_SIZES),
    "qwen2, windows in some layers": lambda v: Qwen2Config(
        vocab_size=v, use_sliding_window=True, sliding_window=20, max_window_layers=2, **_SIZES
    ),
    "qwen3": lambda v: Qwen3Config(vocab_size=v, head_dim=8, **_SIZES),
    "mistral": lambda v: MistralConfig(vocab_size=v, sliding_window=None, **_SIZES),
    "mistral, windows": lambda v: MistralConfig(vocab_size=v, sliding_window=20, **_SIZES),
    "gemma": lambda v: GemmaConfig(vocab_size=v, head_dim=8, **_SIZES),
    "phi3": lambda v: Phi3Config(vocab_size=v, **_SIZES),
    "phi3, windows": lambda v: Phi3Config(vocab_size=v, sliding_window=20, **_SIZES),
    "gpt_neox": lambda v: GPTNeoXConfig(
        vocab_size=v, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, **_GPT
    ),
    "gpt2": lambda v: GPT2Config(vocab_size=v, n_embd=32, n_inner=48, n_layer=4, n_head=4, **_GPT),
}


def tiny_llama(
    tokenizer, *, layers: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32, d_mlp: int = 48
) -> LoadedModel:
    """A Llama of d_model 32 with random weights, large enough that its replies differ."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=d_mlp, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2, tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    hf = LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)
    card = ModelCard("tiny", "tiny random Llama", "folder", "llama", hf.num_parameters())
    return LoadedModel(hf, tokenizer, find_layout(hf), card, chat_format(tokenizer), fingerprint(hf))


def tiny_family(family: str, tokenizer, *, seed: int = 0, attentive: bool = False) -> LoadedModel:
    """A random model of 4 layers, d_model 32 and d_mlp 48, of one of `CONFIGS`. attentive: see `listen`."""
    torch.manual_seed(seed)
    config = CONFIGS[family](len(tokenizer))
    hf = AutoModelForCausalLM.from_config(config).float().eval().requires_grad_(False)
    for name, parameter in hf.named_parameters():
        if name.endswith("bias"):  # they start at zero, where a forgotten one would not show
            parameter.copy_(0.1 * torch.randn_like(parameter))
    if attentive:
        listen(hf)
    card = ModelCard("tiny", f"tiny random {family}", "folder", config.model_type, hf.num_parameters())
    return LoadedModel(hf, tokenizer, find_layout(hf), card, chat_format(tokenizer), fingerprint(hf))


_QUERIES_AND_KEYS = ("q_proj.weight", "k_proj.weight", "query_key_value.weight", "qkv_proj.weight", "c_attn.weight")


def listen(hf: torch.nn.Module) -> None:
    """Make tokens attend to one another, and the output sharp. At random weights attention is so even that a change
    of one token hardly shows at the others."""
    for name, parameter in hf.named_parameters():
        if any(part in name for part in _QUERIES_AND_KEYS):
            parameter.mul_(3)
        if name in ("model.norm.weight", "gpt_neox.final_layer_norm.weight", "transformer.ln_f.weight"):
            parameter.mul_(4)
        if "Gemma" in type(hf).__name__ and name == "model.norm.weight":  # it counts from 1, so was 0
            parameter.add_(3)


def bytes_tokenizer(
    template: str = CHATML, specials: tuple[str, ...] = CHATML_TOKENS, *, eos_token: str = "<|im_end|>", **more
) -> PreTrainedTokenizerFast:
    """One token per byte (and one for " t", because a GGUF file must have a merge), so that every place shows."""
    vocabulary = {byte: i for i, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary["\u0120t"] = len(vocabulary)
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[("\u0120", "t")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, special=True) for token in specials])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=eos_token, **more)
    tokenizer.chat_template = template
    return tokenizer
