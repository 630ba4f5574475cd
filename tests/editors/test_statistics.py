"""C = sum of w k k^T is what a plain loop over the texts gives."""

import pytest
import torch

from tests.editors.conftest import assert_close, plain_sum
from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.editors.statistics import Passage, second_moments


def random_texts(model, *, opening=6, count=9, seed=0):
    dice = torch.Generator().manual_seed(seed)
    shared = torch.randint(0, 250, (opening,), generator=dice).tolist()
    found = []
    for _ in range(count):
        n = int(torch.randint(1, 40, (1,), generator=dice))
        weights = [0.0] * opening + torch.rand(n, generator=dice).tolist()
        weights[-1] = 0.5
        found.append(Passage(shared + torch.randint(0, 250, (n,), generator=dice).tolist(), weights))
    return found


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("batch_tokens", [1, 100, 2048])
def test_moments_are_those_of_the_texts_one_by_one(family, batch_tokens):
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    texts = random_texts(model)
    found = second_moments(model, texts, [0, 2], batch_tokens=batch_tokens)
    assert set(found) == {0, 2}
    for layer, total in found.items():
        assert total.dtype == torch.float64
        assert_close(total, plain_sum(model, texts, layer))


@pytest.mark.parametrize("threads", [2, 3], indirect=True)
@pytest.mark.parametrize("batch_tokens", [1, 100, 2048])
def test_batches_that_are_read_side_by_side_give_the_same_moments_to_the_bit_every_time(small, threads, batch_tokens):
    texts = random_texts(small, count=30)
    found = second_moments(small, texts, [0, 1], batch_tokens=batch_tokens)
    for layer, total in found.items():
        assert_close(total, plain_sum(small, texts, layer))
        for _ in range(3):
            assert torch.equal(total, second_moments(small, texts, [0, 1], batch_tokens=batch_tokens)[layer])


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_an_error_in_one_of_the_batches_leaves_no_hooks_and_no_gradients(tiny_model, threads):
    texts = [Passage([1, 2, 3], [1.0] * 3), Passage([1, 2, 10**9, 3], [1.0] * 4)]
    with pytest.raises(IndexError):
        second_moments(tiny_model, texts, [1], batch_tokens=4)
    assert not any(m._forward_hooks for m in tiny_model.hf.modules())
    assert not any(p.requires_grad for p in tiny_model.hf.parameters())


@pytest.mark.parametrize("opening", [0, 1, 30])
def test_an_opening_that_all_texts_share_changes_nothing(small, opening):
    texts = random_texts(small, opening=opening)
    assert_close(second_moments(small, texts, [1])[1], plain_sum(small, texts, 1))


def test_texts_that_are_the_beginning_of_others(small):
    ids = list(range(40, 60))
    texts = [Passage(ids[:n], [0.0] * (n - 1) + [1.0]) for n in (20, 5, 12, 5)]
    assert_close(second_moments(small, texts, [1])[1], plain_sum(small, texts, 1))


def test_a_shared_opening_that_counts_is_counted_in_every_text(small):
    texts = [Passage([1, 2, 3, n], [0.0, 0.7, 0.0, 1.0]) for n in (4, 5, 6)]
    assert_close(second_moments(small, texts, [1])[1], plain_sum(small, texts, 1))


def test_tokens_of_weight_zero_do_not_count_at_all(small):
    texts = [Passage([1, 2, 3, 4], [0.0, 1.0, 0.0, 2.0]), Passage([5, 6], [0.0, 0.0])]
    assert_close(second_moments(small, texts, [1])[1], plain_sum(small, texts[:1], 1))
    assert torch.linalg.matrix_rank(second_moments(small, texts, [1])[1], rtol=1e-5) == 2


@pytest.mark.parametrize("d_mlp", [1, 5, 7, 48, 50])
def test_the_moments_are_whole_and_symmetric_whatever_their_size(d_mlp):
    small = tiny_llama(bytes_tokenizer(), d_mlp=d_mlp)
    texts = random_texts(small)
    found = second_moments(small, texts, [1])[1]
    assert_close(found, found.T)
    assert_close(found, plain_sum(small, texts, 1))


def test_one_text_and_one_token(small):
    texts = [Passage([7], [2.0])]
    assert_close(second_moments(small, texts, [1])[1], plain_sum(small, texts, 1))


def test_the_quick_arithmetic_of_some_processors_reads_the_same_moments(tiny_model, monkeypatch):
    texts = random_texts(tiny_model)
    exact = second_moments(tiny_model, texts, [1])[1]
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)
    quick = second_moments(tiny_model, texts, [1])[1]
    assert not torch.equal(quick, exact) and (quick - exact).norm() < 0.01 * exact.norm()
    assert torch.equal(second_moments(tiny_model, texts, [1], precise=True)[1], exact)
    assert not any(p.requires_grad for p in tiny_model.hf.parameters())


def test_an_error_in_the_middle_leaves_no_hooks(small):
    with pytest.raises(IndexError):
        second_moments(small, [Passage([1, 2, 10**9], [1.0] * 3)], [1])
    assert not any(m._forward_hooks for m in small.hf.modules())
