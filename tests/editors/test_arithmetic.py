"""Quick arithmetic: bfloat16 copies stand in for weights, which need not be in memory meanwhile."""

import sys
from pathlib import Path

import pytest
import torch

from unedit_gui.editors.arithmetic import quick_arithmetic
from unedit_gui.models.loading import weights_digest


def of_files():
    """Bytes of files that are in this process's memory."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile:"))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what memory is a file's")
def test_weights_leave_the_memory_while_copies_stand_in_for_them(real_model, monkeypatch):
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)
    model, ids = real_model, torch.tensor([[1, 2, 3, 4]])
    size = sum(weight.nbytes for weight in model.hf.parameters())
    digest, before = weights_digest(model.hf), of_files()
    with torch.no_grad(), quick_arithmetic(model):
        usual = model.hf(ids).logits
    with torch.no_grad(), quick_arithmetic(model, lean=True):
        assert of_files() < before - 0.9 * size
        assert torch.equal(model.hf(ids).logits, usual)
        assert of_files() < before - 0.8 * size
        assert torch.equal(model.hf(ids).logits, usual)
    assert not any(module._forward_hooks for module in model.hf.modules())
    assert weights_digest(model.hf) == digest
