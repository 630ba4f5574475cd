"""Weights as pages of the model's file.

A model that is loaded in its file's own precision is mapped, not read: a weight's pages come from the file when they
are first touched, and stay in memory until somebody wants the room. Where something else stands in for a weight for a
while (a copy in another precision), they may go at once. The next touch fetches them again, as a rule from what the
system keeps of the file.
"""

import ctypes
import mmap
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch

_MAPS = Path("/proc/self/smaps")


def from_files() -> list[tuple[int, int]]:
    """(start, end) of the memory that is a file's and that nobody has written to, in order; none where the system
    doesn't tell."""
    try:
        lines = _MAPS.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found, span = [], None
    for line in lines:
        first, *others = line.split()
        if not first.endswith(":"):  # start-end, rights, offset, device, inode, path
            start, end = (int(part, 16) for part in first.split("-"))
            span = (start, end) if others[3] != "0" else None
        elif first == "Anonymous:" and span and others[0] == "0":  # written to, a page is the file's no more
            found.append(span)
    return found


def pages_of(weights: Iterable[torch.Tensor], files: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(start, bytes) of the whole pages of those weights that lie in `files` (see `from_files`)."""
    found = []
    for weight in weights:
        at, end = weight.data_ptr(), weight.data_ptr() + weight.nbytes
        first, behind = -(-at // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if first < behind and any(start <= at and end <= stop for start, stop in files):
            found.append((first, behind - first))
    return found


def let_go(pages: Sequence[tuple[int, int]]) -> None:
    """Take pages (see `pages_of`) out of memory. No number changes: one that was never written to is the same when it
    is read again."""
    madvise = _system().madvise if pages else None
    for start, size in pages:
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


@cache
def _system() -> ctypes.CDLL:
    """Kept, because to look it up takes longer than what it is asked for."""
    return ctypes.CDLL(None)
