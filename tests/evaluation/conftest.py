"""A model small enough for every test here, with a tokenizer in which a wrong boundary shows."""

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from unedit_gui.models.catalogue import ModelCard
from unedit_gui.models.chat import chat_format
from unedit_gui.models.layout import find_layout
from unedit_gui.models.loading import LoadedModel

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }} <|im_end|>{% endif %}{% endfor %}"
)


def byte_tokenizer(template: str = CHATML) -> PreTrainedTokenizerFast:
    """One token per byte, except " P" and "is", so that a boundary in the wrong place shows."""
    vocabulary = {byte: i for i, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for pair in ("ĠP", "is"):
        vocabulary[pair] = len(vocabulary)
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "P"), ("i", "s")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(t, special=True) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>")
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="session")
def tiny() -> LoadedModel:
    """A random Llama of three layers over bytes: its text is noise, its numbers are what is tested."""
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
    )
    hf = LlamaForCausalLM(config).eval().requires_grad_(False)
    card = ModelCard("tiny", "tiny", "folder", "llama", 1)
    return LoadedModel(hf, tokenizer, find_layout(hf), card, chat_format(tokenizer), "0" * 16)


@pytest.fixture(scope="session")
def llama2_tokenizer() -> PreTrainedTokenizerFast:
    """The same bytes in a template that puts a space before the reply."""
    return byte_tokenizer(LLAMA2)
