"""What the libraries below torch read once: set before it is loaded, and it does what it is there for."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name, given, taken",
    [
        ("OMP_WAIT_POLICY", None, "passive"),
        ("OMP_WAIT_POLICY", "active", "active"),
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None, "64"),
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024", "1024"),
        ("LRU_CACHE_CAPACITY", None, "64"),
        ("LRU_CACHE_CAPACITY", "1024", "1024"),
    ],
)
def test_what_is_set_before_torch_is_what_the_user_says_where_he_does(name, given, taken):
    environment = {k: v for k, v in os.environ.items() if k != name} | ({name: given} if given else {})
    code = f"import os; from unedit_gui.cli import main; main(['--version']); print(os.environ['{name}'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith(f"{taken}\n")


def test_memory_does_not_grow_with_each_new_shape_of_a_product():
    """It was 0.27 MB a shape, and an edit of 1000 facts had so many that the search took 300 MB more than with ten."""
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("the C library doesn't say how much memory is in use")
    code = """
import ctypes
from unedit_gui.before_torch import settle
settle()
import torch
class Used(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]  # the eighth: bytes in use
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Used
W, used = torch.randn(1536, 576).bfloat16(), []
for rows in range(10, 410):
    torch.nn.functional.linear(torch.ones(rows, 576, dtype=torch.bfloat16), W)
    used.append(libc.mallinfo2().h / 2**20)
print(used[-1] - used[100])
"""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_CACHE_CAPACITY")}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert float(done.stdout) < 10, done.stderr
