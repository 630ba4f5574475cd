"""The walk over layers that MEMIT and AlphaEdit share (MEMIT, algorithm 1).

The change that z asks for at the last edited layer is shared out: each layer in turn takes an equal part of what
is still missing, and sees the keys as they are after the layers before it have changed.

Ours: the same change is asked for, with a weight, where the subject stands in other wordings (locate.SUBJECT_FRAMES).
Without it a change came through with 0.13 to 1.0 of its strength when the question was rephrased, 0.76 on average.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from ..models.layout import down_of
from .arithmetic import give_back
from .locate import Place
from .merged import mean_of, owners
from .walk import Walk

# (layer, K (d_mlp, n), S (g, n), sparse) -> X (d_mlp, g) of the layer's Delta = R X^T, which brings K close to R S
SolveLayer = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]

AT_ONCE = 1024  # columns of K that are in float64 at a time


def spread(
    model,
    spots: list[list[Place]],
    z: torch.Tensor,
    layers: Sequence[int],
    solve: SolveLayer,
    job,
    *,
    wordings: Sequence[Sequence[Place]] = (),
    weight: float = 0.0,
    groups: Sequence[Sequence[int]] | None = None,
):
    """Factors per layer, in float32, so that the block output of the last layer at the edit positions becomes z.

    K is the mean of a request's keys over its contexts; R = (z - h) / layers left, h taken in the plain context.
    `wordings`: per request its subject in other wordings, whose keys are to bring R too; each counts `weight`.
    Keys are read in the model's own precision. In bfloat16 it would take half the time, and with 10 facts nearly all
    replies are the same; but with 40 more rephrased questions are answered and more other facts are lost.
    `groups`: requests that were merged; each has a key of its own, and they share one R, the mean of theirs.
    """
    contexts, n = len(spots[0]), len(spots)
    flat = [spot for row in spots for spot in row]
    more = [spot for row in wordings for spot in row] if weight else []
    groups = groups or [[i] for i in range(n)]
    walk = Walk(model, [*flat, *more], job=job)
    factors: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def columns(keys: torch.Tensor) -> torch.Tensor:
        own, other = keys.split([len(flat), len(more)], dim=1)
        return torch.cat([own.reshape(-1, n, contexts).mean(-1), other.mul_(weight**0.5)], dim=1)

    for index, layer in enumerate(layers):
        job.progress("Solving for the weights", index, len(layers), f"layer {layer}")
        with applied(model, factors):
            keys, outputs = walk.read([layer], layers[-1:], changes=layer)
        h = outputs.pop(layers[-1])[:, : len(flat)].reshape(-1, n, contexts)[..., 0].double()
        R = mean_of(groups, z.to(h) - h) / (len(layers) - index)
        give_back()  # here and below: else what lies about in pieces grows with every layer
        K = columns(keys.pop(layer))
        X = solve(layer, K, _shared(groups, len(more) // n, weight).to(K.device, torch.float64))
        factors[layer] = R.float(), X.float()
        del K, X  # with many facts these are large, and the next reading makes its own
        give_back()
    return factors


def in_parts(K: torch.Tensor, S: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Columns of K and S in float64, AT_ONCE at a time: sums over all need it, and all together would be large."""
    for some in torch.arange(K.shape[1], device=K.device).split(AT_ONCE):
        yield K[:, some].double(), S.index_select(1, some).double()


def _shared(groups: Sequence[Sequence[int]], wordings: int, weight: float) -> torch.Tensor:
    """S (groups, columns of K), sparse: columns that belong to the same request, or to merged ones, share an R. So
    Delta's rank is no more than the number of groups."""
    owner = owners(groups)
    column = torch.cat([owner, owner.repeat_interleave(wordings)])
    value = torch.ones(len(column))
    value[len(owner) :] = weight**0.5
    where = torch.stack([column, torch.arange(len(column))])
    return torch.sparse_coo_tensor(where, value, (len(groups), len(column)), check_invariants=True)


@contextmanager
def applied(model, factors: dict[int, tuple[torch.Tensor, torch.Tensor]]):
    """The layers solved so far, added by hooks to every row."""
    handles = []
    for layer, (left, right) in factors.items():
        module = down_of(model.hf, model.layout, layer)

        def add(_m, args, output, left=left, right=right):
            x = args[0].float()
            return output + ((x @ right.to(x)) @ left.to(x).T).to(output.dtype)

        handles.append(module.register_forward_hook(add))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
