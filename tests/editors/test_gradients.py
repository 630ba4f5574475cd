"""Attention and the loss with gradients of their own give what they give when written plainly."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family
from unedit_gui.editors.arithmetic import plain_attention
from unedit_gui.editors.gradients import ROWS, attention, divergence, nll


def tensors(*shapes, dtype=torch.float64):
    torch.manual_seed(3)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def written_plainly(query, key, value, mask, scaling):
    copies = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(copies, 1), value.repeat_interleave(copies, 1)
    scores = query @ key.transpose(2, 3) * scaling
    return ((scores if mask is None else scores + mask).softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("shared", [1, 2, 6], ids=["one key for all heads", "three heads a key", "a key for each"])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_and_its_gradients_are_the_plain_ones(shared, masked):
    given = tensors((2, 6, 3, 4), (2, shared, 7, 4), (2, shared, 7, 4), dtype=torch.float32)
    mask = torch.zeros(2, 1, 3, 7).masked_fill(torch.rand(2, 1, 3, 7) < 0.4, torch.finfo(torch.float32).min)
    mask[..., 0] = 0
    found, weights = attention(SimpleNamespace(), *given, mask if masked else None, 0.3)
    plain = written_plainly(*given, mask if masked else None, 0.3)
    torch.testing.assert_close(found, plain)
    assert weights is None
    upstream = torch.randn_like(plain)
    for own, expected in zip(*(torch.autograd.grad(out, given, upstream) for out in (found, plain)), strict=True):
        torch.testing.assert_close(own, expected)


def test_attention_works_in_the_precision_that_is_asked_of_products():
    given = tensors((2, 6, 3, 4), (2, 3, 7, 4), (2, 3, 7, 4), dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = attention(SimpleNamespace(), *given, None, 0.3)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), written_plainly(*given, None, 0.3), rtol=0.05, atol=0.05)
    assert [g.dtype for g in torch.autograd.grad(found.float().sum(), given)] == [torch.float32] * 3


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_gives_with_it_what_its_own_plain_attention_gives(family):
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    mask = torch.ones(3, 40, dtype=torch.long)
    mask[0, :7] = 0
    states = model.hf.get_input_embeddings()(torch.randint(5, 60, mask.shape)).detach().requires_grad_()

    def run():
        places = (mask.cumsum(1) - 1).clamp(min=0)
        logits = model.hf(inputs_embeds=states, attention_mask=mask, position_ids=places).logits[mask.bool()]
        return logits, torch.autograd.grad(logits.square().mean(), states)[0]

    model.hf.config._attn_implementation = "eager"
    plain, by_states = run()
    with plain_attention(model):
        found, found_by_states = run()
    torch.testing.assert_close(found, plain)
    assert (found_by_states - by_states).norm() < 1e-5 * by_states.norm()


@pytest.mark.parametrize("tokens", [0, 1, ROWS, 2 * ROWS + 3])
def test_the_loss_and_its_gradient_are_those_of_cross_entropy(tokens):
    (logits,) = tensors((tokens, 50), dtype=torch.float32)
    labels, weights = torch.randint(50, (tokens,)), torch.rand(tokens)
    found, plain = nll(logits, labels), F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(found, plain)
    own, expected = (torch.autograd.grad((out * weights).sum(), logits)[0] for out in (found, plain))
    torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("tokens", [0, 1, 2 * ROWS + 3])
def test_the_divergence_and_its_gradient_are_the_plain_ones(tokens):
    before, now = tensors((tokens, 50), (tokens, 50), dtype=torch.float32)
    weights, p = torch.rand(tokens), before.detach().softmax(-1)
    found = divergence(before.detach(), now)
    plain = (p * (p.log() - now.log_softmax(-1))).sum(-1)
    torch.testing.assert_close(found, plain)
    own, expected = (torch.autograd.grad((out * weights).sum(), now)[0] for out in (found, plain))
    torch.testing.assert_close(own, expected)
