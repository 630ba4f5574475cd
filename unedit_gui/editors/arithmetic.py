"""How the arithmetic of an edit is done on a CPU: in bfloat16 where the processor is quicker, in threads of our own."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from ..models.layout import blocks_of
from ..models.pages import from_files, let_go, pages_of
from ..models.placement import is_spread
from .gradients import NAME

T, R = TypeVar("T"), TypeVar("R")


def is_quick(model, precise: bool = False) -> bool:
    """Is this model in float32 on a processor that multiplies bfloat16 at twice the speed?"""
    cpu_has_it = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return cpu_has_it and model.device.type == "cpu" and model.dtype == torch.float32 and not precise


@contextmanager
def quick_arithmetic(model, precise: bool = False, *, lean: bool = False) -> Iterator[None]:
    """Matrix products in bfloat16 where that is quicker; everything else, and what they are added to, in float32.

    Autocast keeps a weight's bfloat16 copy from call to call only where that weight could be trained, so the weights
    say so meanwhile. No gradient is ever asked of them. One that lies elsewhere is another tensor at each call, and
    copies of these would only pile up.

    lean: where the model's file has the weights (pages.py), their pages are in memory only while copies are made.
    """
    quick = is_quick(model, precise)
    weights = [w for w in model.hf.parameters() if quick and w.ndim == 2 and not w.requires_grad and not w.is_meta]
    handles = _without_originals(model, weights) if quick and lean else []
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=quick):
            yield
    finally:
        for handle in handles:
            handle.remove()
        for weight in weights:
            weight.requires_grad_(False)


def _without_originals(model, copied: list[torch.Tensor]) -> list:
    """Let the pages of these weights go, and by the hooks that are returned a module's again whenever it has run."""
    files, known, handles = from_files(), {id(weight) for weight in copied}, []
    let_go(pages_of(copied, files))
    for module in (*blocks_of(model.hf, model.layout), model.hf.get_output_embeddings()):
        pages = pages_of([weight for weight in module.parameters() if id(weight) in known], files)
        if pages:
            handles.append(module.register_forward_hook(lambda _m, _a, _o, pages=pages: let_go(pages)))
    return handles


@contextmanager
def plain_attention(model) -> Iterator[None]:
    """On a CPU, attention as plain matrix products (gradients.py): for rows this short its gradient takes half the time
    of the usual one."""
    config, usual = model.hf.config, model.hf.config._attn_implementation
    if model.device.type == "cpu":
        config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = usual


def give_back() -> None:
    """Hand freed memory back to the system, where the allocator can be asked to (glibc's keeps it otherwise).

    A stage of an edit that begins with what the one before has left counts for both.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # another allocator, another system
        pass


def one_by_one(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`map`, as a list."""
    return [function(item) for item in items]


def at_once(model) -> int:
    """How many calls run at once, side by side."""
    # A module that is filled for one call would be emptied for the other.
    return 1 if model.device.type != "cpu" or is_spread(model.hf) else torch.get_num_threads()


@contextmanager
def side_by_side(model) -> Iterator[Callable[[Callable[[T], R], Sequence[T]], list[R]]]:
    """A `map` whose calls run at once, each with one of PyTorch's threads; results in their order.

    On a CPU many products of an edit are too small to be shared out well among threads: two calls side by side take
    less time than two threads on each in turn. Where there is nothing to win, one call after the other.
    """
    threads = at_once(model)
    if threads == 1:
        yield one_by_one
        return
    quick, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def prepare() -> None:  # both belong to the thread
        torch.set_num_threads(1)
        torch.set_autocast_enabled("cpu", quick)
        torch.set_autocast_dtype("cpu", dtype)

    with ThreadPoolExecutor(threads, "search", prepare) as pool:
        yield lambda function, items: list(pool.map(function, items))
