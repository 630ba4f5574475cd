"""Second moments of the keys, C = sum of w_t k_t k_t^T: what an edit must leave alone.

MEMIT and ROME weigh a change by C, AlphaEdit projects away from C's strong directions. So the text behind C decides
what stays intact, and each kind of token is given a share of its own (preserve.py).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..models.layout import down_of
from ..models.openings import in_common
from ..models.partial import below
from .arithmetic import at_once, give_back, quick_arithmetic, side_by_side
from .locate import Opening

FEWEST = 256  # tokens of a batch where several are read side by side


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

    into: moments to which `times` these are added, in place; they are returned. batch_tokens: read at a time, by all
    threads together.

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
    texts, done = sorted((text for text in texts if text.ids), key=lambda p: len(p.ids)), 0
    together = at_once(model)
    batches = _batches(texts, shared, max(batch_tokens // together, min(batch_tokens, FEWEST)))
    for start in range(0, len(batches), together):
        if job is not None:
            job.progress(stage, done, len(texts))
            job.breathe()
        some = batches[start : start + together]
        # Not around the breath: a reply may be written there.
        with quick_arithmetic(model, precise, lean=lean), side_by_side(model) as run:
            _add(_keys(model, part, some, into, opening, run), into, times, run)
        done += sum(map(len, some))
    for total in into.values():  # what stands above the diagonal
        for band in _bands(size):
            total[: band.start, band] = total[band, : band.start].T
    give_back()
    return into


def _batches(texts: Sequence[Passage], shared: int, tokens: int) -> list[list[Passage]]:
    """Texts of ascending length in batches: no more than so many tokens behind the opening, padding and all, or one
    text."""
    batches: list[list[Passage]] = []
    for text in texts:
        if batches and (len(batches[-1]) + 1) * (len(text.ids) - shared) <= tokens:
            batches[-1].append(text)
        else:
            batches.append([text])
    return batches


def _keys(model, part, batches: Sequence[list[Passage]], layers, opening: Opening, run) -> dict[int, torch.Tensor]:
    """{layer: sqrt(weight) k of the batches' tokens that count, (tokens, d_mlp) in float32}; one batch beside the other
    where `run` does that."""
    shared, device = len(opening.ids), model.device
    found: list[dict[int, torch.Tensor]] = [{} for _ in batches]
    now = threading.local()  # the batch that a thread reads

    @torch.no_grad()  # belongs to the thread, too
    def read(number: int) -> None:
        rows = batches[number]
        longest = len(rows[-1].ids) - shared
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        now.weights, now.keys = torch.zeros(len(rows), longest), found[number]
        for i, row in enumerate(rows):  # padding stands behind: causal, so no mask is needed
            ids[i, : len(row.ids) - shared] = torch.tensor(row.ids[shared:])
            now.weights[i, : len(row.ids) - shared] = torch.tensor(row.weights[shared:])
        part(input_ids=ids.to(device), past_key_values=opening.for_rows(len(rows)), use_cache=True)

    handles = []
    for layer in layers:

        def note(_m, args, _o, layer=layer):
            w = now.weights.to(args[0].device)
            now.keys[layer] = args[0][w > 0].float() * w[w > 0].sqrt()[:, None]

        handles.append(down_of(model.hf, model.layout, layer).register_forward_hook(note))
    try:
        run(read, range(len(batches)))
    finally:
        for handle in handles:
            handle.remove()
    return {layer: torch.cat([keys.pop(layer) for keys in found]) for layer in layers}


def _add(keys: dict[int, torch.Tensor], total: dict[int, torch.Tensor], times: float, run) -> None:
    """Add the keys' products to the totals, on and below the diagonal: above it stands the same."""

    @torch.no_grad()
    def add(place: tuple[int, slice]) -> None:
        layer, band = place
        k, sums = keys[layer], total[layer][band, : band.stop]
        with torch.autocast(k.device.type, enabled=False):
            sums.add_((k[:, band].T @ k[:, : band.stop]).to(sums.device), alpha=times)

    run(add, [(layer, band) for layer, k in keys.items() for band in _bands(k.shape[1])])


def _bands(size: int) -> list[slice]:
    """Rows of a symmetric matrix, six bands of them: on and below the diagonal are 7/12 of it, in large products."""
    height = -(-size // 6)
    return [slice(start, min(start + height, size)) for start in range(0, size, height)]


def _shared_opening(texts: Sequence[Passage]) -> int:
    """How many tokens all texts begin with, as long as none of these counts and something is left of each."""
    if len(texts) < 2:
        return 0
    counted = [next((n for n, weight in enumerate(text.weights) if weight), len(text.ids)) for text in texts]
    left = min(len(text.ids) for text in texts) - 1
    return in_common([text.ids for text in texts], min(left, *counted))
