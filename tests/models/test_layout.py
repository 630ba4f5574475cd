"""Where W stands in each family: the paths lead to the linear layer that an edit changes."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    MixtralConfig,
    Qwen3MoeConfig,
)

from tests.models.tiny import CONFIGS
from unedit_gui.errors import Failed
from unedit_gui.models.layout import attention_of, blocks_of, down_of, find_layout, weight_of

TOKENS = 64
SMALL = {
    "vocab_size": TOKENS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip


def model_of(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).float().eval().requires_grad_(False)


@pytest.fixture(params=CONFIGS)
def hf(request):
    return model_of(CONFIGS[request.param](TOKENS))


def test_sizes_are_read_off_the_model(hf):
    layout = find_layout(hf)
    assert (layout.layers, layout.d_model, layout.d_mlp) == (4, 32, 48)
    assert len(blocks_of(hf, layout)) == 4


def test_the_weight_is_the_map_from_keys_to_values(hf):
    layout = find_layout(hf)
    module, W = down_of(hf, layout, 2), weight_of(hf, layout, 2)
    assert W.shape == (32, 48)
    k = torch.randn(48)
    bias = module.bias if getattr(module, "bias", None) is not None else torch.zeros(32)
    torch.testing.assert_close(W @ k + bias, module(k))


def test_what_the_attention_adds_is_what_its_projection_gives(hf):
    layout = find_layout(hf)
    kept = []
    handle = attention_of(hf, layout, 1).register_forward_hook(lambda _m, _a, out: kept.append(out))
    hf(input_ids=torch.arange(5)[None])
    handle.remove()
    assert kept[0].shape == (1, 5, 32)


def test_names_are_those_of_the_state_dict(hf):
    layout, state = find_layout(hf), hf.state_dict()
    for layer in range(4):
        assert layout.weight_name(layer) in state
        assert hf.get_submodule(layout.down_name(layer)) is down_of(hf, layout, layer)


def test_the_weight_is_a_view_and_not_a_copy(hf):
    layout = find_layout(hf)
    assert weight_of(hf, layout, 1).data_ptr() == down_of(hf, layout, 1).weight.data_ptr()


def test_an_unknown_family_is_refused_with_the_names_that_were_seen():
    hf = model_of(BloomConfig(vocab_size=TOKENS, hidden_size=32, n_layer=2, n_head=4))
    with pytest.raises(Failed, match="dense_4h_to_h.*Llama, Mistral or Qwen"):
        find_layout(hf)


@pytest.mark.parametrize("config", [Gemma2Config, Gemma3TextConfig])
def test_a_norm_behind_the_mlp_is_refused(config):
    hf = model_of(config(**SMALL))
    with pytest.raises(Failed, match="normalises the output of its MLP"):
        find_layout(hf)


EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}


@pytest.mark.parametrize(
    "config",
    [
        MixtralConfig(**SMALL, num_local_experts=2),
        Qwen3MoeConfig(**SMALL, **EXPERTS),
        Qwen3MoeConfig(**SMALL, **EXPERTS, mlp_only_layers=[0]),
    ],
    ids=["in every layer", "in every layer too", "in all but the first layer"],
)
def test_a_mixture_of_experts_is_refused(config):
    with pytest.raises(Failed, match="doesn't know"):
        find_layout(model_of(config))
