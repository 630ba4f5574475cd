"""Products of a few rows on a CPU, the other way round.

A step of decoding multiplies every weight W (out, in) with one state per row, x (rows, in). With one row that takes as
long as reading W does. With two to five rows PyTorch's x W^T takes twice as long, because the library behind it first
copies W into another order; (W x^T)^T gives the same numbers without that. Seen with the bundled model's shapes, one
thread, milliseconds for all weights: one row 35; two rows 57 and 27, three 73 and 36, six 63 and 57.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

MOST = 5  # rows; beyond these the plain product is as quick


def few_rows(rows: int) -> AbstractContextManager:
    """What a step of so many rows runs in; nothing where it would not help, because looking at each call takes time."""
    return FewRows() if 1 < rows <= MOST else nullcontext()


class FewRows(TorchFunctionMode):
    """Within the block, in this thread, `F.linear` of two to five float32 rows on a CPU is done that way."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.linear and not kwargs and _few(args[0], args[1]):
            x, W = args[:2]
            out = torch.mm(W, x.reshape(-1, x.shape[-1]).T).T.contiguous()
            if len(args) > 2 and args[2] is not None:
                out += args[2]
            return out.reshape(*x.shape[:-1], W.shape[0])
        return func(*args, **(kwargs or {}))


def _few(x: torch.Tensor, W: torch.Tensor) -> bool:
    return 1 < x.numel() // x.shape[-1] <= MOST and x.dtype == W.dtype == torch.float32 and x.device.type == "cpu"
