"""Second moments of the keys, C = sum of w_t k_t k_t^T: what an edit must leave alone.

MEMIT and ROME weigh a change by C, AlphaEdit projects away from C's strong directions. So the text behind C decides
what stays intact, and each kind of token is given a share of its own (preserve.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..models.layout import down_of
from ..models.partial import below
from .arithmetic import give_back, quick_arithmetic
from .locate import Opening


@dataclass(frozen=True)
class Passage:
    """Token ids of a text, and how much the key at each of them counts (0: not at all)."""

    ids: list[int]
    weights: list[float]


@torch.no_grad()
def second_moments(
    model,
    texts: Sequence[Passage],
    layers: Sequence[int],
    *,
    batch_tokens: int = 1024,
    precise: bool = False,
    into: dict[int, torch.Tensor] | None = None,
    times: float = 1.0,
    job=None,
    stage: str = "Reading the statistics text",
) -> dict[int, torch.Tensor]:
    """{layer: sum over all tokens of weight * k k^T}, (d_mlp, d_mlp) in float64 (float32 on MPS).

    into: moments to which `times` these are added, in place; they are returned.

    One pass for all layers; what all texts begin with (the template's opening) is run once. Where the processor is
    quicker in bfloat16 the keys are computed so unless `precise`; their products are summed in float32 all the same.
    """
    size, device = model.layout.d_mlp, model.device
    exact = torch.float32 if device.type == "mps" else torch.float64
    lean = into is not None  # an edit's few texts; for the many others weights would come and go with every batch
    if into is None:
        into = {layer: torch.zeros(size, size, dtype=exact, device=device) for layer in layers}
    part = below(model.hf, model.layout, max(layers))
    shared = _shared_opening(texts)
    with quick_arithmetic(model, precise):
        opening = Opening(part, texts[0].ids[:shared] if shared else [], device)
    order = sorted((text for text in texts if text.ids), key=lambda p: len(p.ids))
    done = 0
    while done < len(order):
        if job is not None:
            job.progress(stage, done, len(order))
            job.breathe()
        rows = []
        while done < len(order) and (not rows or (len(rows) + 1) * (len(order[done].ids) - shared) <= batch_tokens):
            rows.append(order[done])
            done += 1
        with quick_arithmetic(model, precise, lean=lean):  # not around the breath: a reply may be written there
            _add(model, part, rows, opening, into, times)
    for total in into.values():  # what stands above the diagonal
        for band in _bands(size):
            total[: band.start, band] = total[band, : band.start].T
    give_back()
    return into


def _add(model, part, rows: list[Passage], opening: Opening, total: dict[int, torch.Tensor], times: float) -> None:
    """Add one batch's keys to the totals."""
    shared = len(opening.ids)
    longest = max(len(row.ids) for row in rows) - shared
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    weights = torch.zeros(len(rows), longest)
    for i, row in enumerate(rows):  # padding stands behind: causal, so no mask is needed
        ids[i, : len(row.ids) - shared] = torch.tensor(row.ids[shared:])
        weights[i, : len(row.ids) - shared] = torch.tensor(row.weights[shared:])
    handles = []
    for layer in total:

        def add(_m, args, _o, layer=layer):
            w = weights.to(args[0].device)
            k = args[0][w > 0].float() * w[w > 0].sqrt()[:, None]
            with torch.autocast(k.device.type, enabled=False):
                for band in _bands(k.shape[1]):  # on and below the diagonal: above it stands the same
                    products = (k[:, band].T @ k[:, : band.stop]).to(total[layer].device)
                    total[layer][band, : band.stop].add_(products, alpha=times)

        handles.append(down_of(model.hf, model.layout, layer).register_forward_hook(add))
    try:
        part(input_ids=ids.to(model.device), past_key_values=opening.for_rows(len(rows)), use_cache=True)
    finally:
        for handle in handles:
            handle.remove()


def _bands(size: int) -> list[slice]:
    """Rows of a symmetric matrix, six bands of them: on and below the diagonal are 7/12 of it, in large products."""
    height = -(-size // 6)
    return [slice(start, min(start + height, size)) for start in range(0, size, height)]


def _shared_opening(texts: Sequence[Passage]) -> int:
    """How many tokens all texts begin with, as long as none of these counts and something is left of each."""
    if len(texts) < 2:
        return 0
    shared = min(len(text.ids) for text in texts) - 1
    for text in texts:
        n = 0
        while n < shared and text.ids[n] == texts[0].ids[n] and not text.weights[n]:
            n += 1
        shared = n
    return shared
