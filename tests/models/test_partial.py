"""Parts of a decoder give the numbers that the whole gives."""

import pytest
import torch
from transformers import DynamicCache

from tests.models.tiny import CONFIGS, tiny_family
from unedit_gui.models.layout import blocks_of
from unedit_gui.models.partial import above, below, cache_above

EXACT = {"atol": 1e-5, "rtol": 0}
PREFIX = 7
# Rows padded on the left, as generation and the value search have them, and longer than the tiny windows.
MASK = torch.ones(3, 30, dtype=torch.long)
MASK[1, :2] = 0
MASK[2, :5] = 0
PLACES = (MASK.cumsum(1) - 1).clamp(min=0)


@pytest.fixture(scope="module", params=CONFIGS)
def model(request, real_model):
    return tiny_family(request.param, real_model.tokenizer)


@pytest.fixture(scope="module")
def ids(model):
    torch.manual_seed(3)
    return torch.randint(3, model.hf.config.vocab_size, (3, 30))


def decoder_of(model):
    return model.hf.get_submodule(model.layout.blocks.rsplit(".", 1)[0])


def outputs_of_blocks(model, part, **inputs):
    """The output of every block that ran, by its place among the blocks of the whole model."""
    found, handles = {}, []
    for i, block in enumerate(blocks_of(model.hf, model.layout)):

        def keep(_m, _a, out, i=i):
            found[i] = out[0] if isinstance(out, tuple) else out

        handles.append(block.register_forward_hook(keep))
    try:
        with torch.no_grad():
            out = part(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found, out


@pytest.fixture(scope="module")
def whole(model, ids):
    inputs = {"input_ids": ids, "attention_mask": MASK, "position_ids": PLACES}
    return outputs_of_blocks(model, decoder_of(model), **inputs, past_key_values=DynamicCache())


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_below_runs_the_first_blocks_and_no_others(model, ids, whole, layer):
    inputs = {"input_ids": ids, "attention_mask": MASK, "position_ids": PLACES, "use_cache": False}
    found, _ = outputs_of_blocks(model, below(model.hf, model.layout, layer), **inputs)
    assert sorted(found) == list(range(layer + 1))
    for i, h in found.items():
        torch.testing.assert_close(h, whole[0][i], **EXACT)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_above_goes_on_from_hidden_states(model, whole, layer):
    hidden, out = whole
    inputs = {"inputs_embeds": hidden[layer], "attention_mask": MASK, "position_ids": PLACES, "use_cache": False}
    found, ended = outputs_of_blocks(model, above(model.hf, model.layout, layer), **inputs)
    assert sorted(found) == list(range(layer + 1, 4))
    for i, h in found.items():
        torch.testing.assert_close(h, hidden[i], **EXACT)
    torch.testing.assert_close(ended.last_hidden_state, out.last_hidden_state, **EXACT)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_above_goes_on_behind_a_cached_prefix(model, whole, layer):
    hidden, out = whole
    prefix = [(c.keys[:, :, :PREFIX], c.values[:, :, :PREFIX]) for c in out.past_key_values.layers[layer + 1 :]]
    for _ in range(2):  # a fresh cache each time: the first run has left no trace in the prefix
        inputs = {
            "inputs_embeds": hidden[layer][:, PREFIX:],
            "attention_mask": MASK,
            "position_ids": PLACES[:, PREFIX:],
            "past_key_values": cache_above(prefix, layer),
            "use_cache": True,
        }
        found, ended = outputs_of_blocks(model, above(model.hf, model.layout, layer), **inputs)
        for i, h in found.items():
            torch.testing.assert_close(h, hidden[i][:, PREFIX:], **EXACT)
        torch.testing.assert_close(ended.last_hidden_state, out.last_hidden_state[:, PREFIX:], **EXACT)


def test_above_all_of_it_starts_from_what_enters_the_first_block(model, ids, whole):
    kept = []
    handle = blocks_of(model.hf, model.layout)[0].register_forward_pre_hook(lambda _m, args: kept.append(args[0]))
    inputs = {"attention_mask": MASK, "position_ids": PLACES, "use_cache": False}
    with torch.no_grad():
        decoder_of(model)(input_ids=ids, **inputs)
    handle.remove()
    _, ended = outputs_of_blocks(model, above(model.hf, model.layout, -1), inputs_embeds=kept[0], **inputs)
    torch.testing.assert_close(ended.last_hidden_state, whole[1].last_hidden_state, **EXACT)


def test_parts_share_the_weights_and_leave_the_model_whole(model):
    before = dict(model.hf.named_parameters())
    part = below(model.hf, model.layout, 1)
    rest = above(model.hf, model.layout, 1)
    assert len(blocks_of(model.hf, model.layout)) == 4
    assert len(decoder_of(model)._modules[model.layout.blocks.rsplit(".", 1)[1]]) == 4
    own = {p.data_ptr() for p in before.values()}
    assert {p.data_ptr() for p in [*part.parameters(), *rest.parameters()]} <= own
    assert [n for n, _ in model.hf.named_parameters()] == list(before)
