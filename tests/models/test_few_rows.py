"""Products of a few rows: the numbers of the plain ones, and only where they are meant."""

import pytest
import torch
import torch.nn.functional as F

from unedit_gui.models.few_rows import TURNED, FewRows, few_rows


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(2, 1, 24), (1, 3, 24), (5, 24), (1, 24), (TURNED, 1, 24), (9, 1, 24), (3, 7, 24)])
def test_the_numbers_and_the_layout_are_those_of_the_plain_product(shape, bias):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(24, 40, bias=bias), torch.randn(shape)
    with torch.no_grad():
        plain = layer(x)
        with FewRows():
            found = layer(x)
    torch.testing.assert_close(found, plain, atol=1e-6, rtol=1e-5)
    assert found.shape == plain.shape and found.is_contiguous()


def test_other_kinds_of_numbers_are_multiplied_as_ever():
    x, W = torch.randn(3, 1, 24, dtype=torch.bfloat16), torch.randn(40, 24, dtype=torch.bfloat16)
    with FewRows():
        found = F.linear(x, W)
    assert torch.equal(found, F.linear(x, W))


def test_without_onednn_many_rows_are_multiplied_as_ever(monkeypatch):
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    x, W = torch.randn(9, 24), torch.randn(40, 24)
    with torch.no_grad(), FewRows():
        found = F.linear(x, W)
    assert torch.equal(found, F.linear(x, W))


def test_one_row_is_not_looked_at():
    assert [isinstance(few_rows(n), FewRows) for n in (1, 2, TURNED, TURNED + 1)] == [False, True, True, True]


@pytest.mark.parametrize("rows", [2, 9])
def test_gradients_flow_as_ever(rows):
    x, W = torch.randn(rows, 24, requires_grad=True), torch.randn(40, 24)
    with FewRows():
        (found,) = torch.autograd.grad(F.linear(x, W).square().sum(), x)
    (plain,) = torch.autograd.grad(F.linear(x, W).square().sum(), x)
    torch.testing.assert_close(found, plain, atol=1e-4, rtol=1e-4)


def test_rows_that_are_a_part_of_others_are_read_where_they_lie():
    torch.manual_seed(0)
    x, W = torch.randn(9, 5, 48)[:, -1:, ::2], torch.randn(80, 24)[::2]
    with torch.no_grad(), FewRows():
        found = F.linear(x, W)
    torch.testing.assert_close(found, F.linear(x, W), atol=1e-5, rtol=1e-5)
