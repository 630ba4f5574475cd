"""Errors: which mean that the memory was not enough, and that it is said so wherever they end up."""

import errno

import pytest
import torch

from unedit_gui.cli import _unexpected
from unedit_gui.errors import is_out_of_memory
from unedit_gui.runs.sweep import _reason
from unedit_gui.ui.lab import word

ASKED = 10**14  # more than any machine has


@pytest.fixture
def exhausted():
    """What torch raises on the CPU where the memory is not enough."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(ASKED)
    return caught.value


def test_memory_exhausted_on_the_cpu_is_called_that_by_command_sweep_and_page(exhausted, tmp_path):
    assert "not enough memory" in _unexpected(exhausted, str(tmp_path))
    assert "memory was not enough" in _reason(exhausted) and "memory was not enough" in word(exhausted)
    assert list(tmp_path.iterdir()) == []  # no details of what is explained


def test_memory_has_many_ways_to_say_that_it_is_exhausted(exhausted):
    windows = RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.")
    gpu = torch.cuda.OutOfMemoryError("CUDA out of memory")
    mac = RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)")
    for error in (exhausted, windows, mac, gpu, MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")):
        assert is_out_of_memory(error), error
    others = (RuntimeError("shapes differ"), ValueError("out of memory"), OSError(errno.ENOSPC, "full"), None)
    assert not any(map(is_out_of_memory, others))
