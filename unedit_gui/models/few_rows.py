"""Products of a few rows on a CPU, in other ways than PyTorch's usual one.

A step of decoding multiplies every weight W (out, in) with one state per row, x (rows, in). With one row that takes as
long as reading W does. With two to four rows PyTorch's x W^T takes twice as long, because the library behind it first
copies W into another order; (W x^T)^T gives the same numbers without that. With more rows oneDNN is quicker. Seen with
the bundled model's shapes on a processor without AMX, one thread, milliseconds for all weights (plain, turned round,
oneDNN): one row 45, 45, 38; two 71, 29, 50; four 62, 47, 56; six 71, 75, 62; nine 84, 106, 69; fifteen 103, 217, 86;
thirty 138, 228, 118. With two threads: nine rows 86, 128, 59; thirty 119, 171, 97.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

TURNED = 4  # rows up to which the product is turned round


def few_rows(rows: int) -> AbstractContextManager:
    """What a step of so many rows runs in; nothing for one row, because looking at each call takes time."""
    return FewRows() if rows > 1 else nullcontext()


class FewRows(TorchFunctionMode):
    """Within the block, in this thread, `F.linear` of two or more float32 rows on a CPU is done that way."""

    def __init__(self):
        super().__init__()
        there = torch.backends.mkldnn.is_available()  # not in every build; PyTorch keeps this product for its compiler
        self.onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if there else None

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.linear and not kwargs and _plain(args[0], args[1]):
            x, W, b = *args[:2], args[2] if len(args) > 2 else None
            rows = x.numel() // x.shape[-1]
            if 1 < rows <= TURNED:
                out = torch.mm(W, x.reshape(-1, x.shape[-1]).T).T.contiguous()
                if b is not None:
                    out += b
                return out.reshape(*x.shape[:-1], W.shape[0])
            if rows > TURNED and self.onednn is not None and not torch.is_grad_enabled():
                return self.onednn(x, W, b, "none", [], "")
        return func(*args, **(kwargs or {}))


def _plain(x: torch.Tensor, W: torch.Tensor) -> bool:
    return x.dtype == W.dtype == torch.float32 and x.device.type == W.device.type == "cpu"
