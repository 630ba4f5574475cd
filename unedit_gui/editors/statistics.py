"""Second moments of the keys, C = E[k k^T]: what an edit must leave alone.

MEMIT and ROME weigh a change by C, AlphaEdit projects away from C's strong directions. So the text behind C
decides what stays intact. Seen on the bundled model: chat text alone protects the retained facts badly; keys of
many *other questions*, in the chat template, protect them well. Both are summed here, each with its own weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..models.layout import down_of
from ..models.partial import below

_DATA = Path(__file__).parents[2] / "data"


@dataclass(frozen=True)
class Moments:
    """Sums over tokens: total[layer] = sum of k k^T (d_mlp, d_mlp) in float64, over `tokens` tokens."""

    total: dict[int, torch.Tensor]
    tokens: int

    def mean(self, layer: int) -> torch.Tensor:
        return self.total[layer] / max(self.tokens, 1)


@dataclass(frozen=True)
class Passage:
    """Token ids, and from which index on they count (the template's fixed opening is counted never)."""

    ids: list[int]
    start: int
    end: int


def passages(model, questions: Sequence[str]) -> list[Passage]:
    """Questions in the chat template; what counts is the user's turn up to where the reply begins."""
    found = []
    opening = len(_common_prefix([model.prompt_ids([{"role": "user", "content": c}]) for c in "Aa1?"]))
    for question in questions:
        ids = model.prompt_ids([{"role": "user", "content": question}])
        found.append(Passage(ids, min(opening, len(ids) - 1), len(ids)))
    return found


@torch.no_grad()
def second_moments(
    model,
    texts: Sequence[Passage],
    layers: Sequence[int],
    *,
    batch_tokens: int = 2048,
    job=None,
    stage: str = "Reading the statistics text",
) -> Moments:
    """One pass over the text for all layers."""
    size = model.layout.d_mlp
    device = model.device
    exact = torch.float32 if device.type == "mps" else torch.float64
    total = {layer: torch.zeros(size, size, dtype=exact, device=device) for layer in layers}
    part = below(model.hf, model.layout, max(layers))
    order = sorted(texts, key=lambda p: len(p.ids))
    counted, done = 0, 0
    while done < len(order):
        if job is not None:
            job.progress(stage, done, len(order))
            job.breathe()
        longest = len(order[done].ids)
        rows = []
        while done < len(order) and (len(rows) + 1) * len(order[done].ids) <= max(batch_tokens, longest):
            rows.append(order[done])
            longest = len(order[done].ids)
            done += 1
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        keep = torch.zeros(len(rows), longest, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)  # padding behind: causal, so no mask is needed
            keep[i, row.start : row.end] = True
        keep = keep.to(device)
        counted += int(keep.sum())
        handles = []
        for layer in layers:

            def add(_m, args, _o, layer=layer, keep=keep):
                k = args[0][keep.to(args[0].device)].float()
                total[layer] += (k.T @ k).to(total[layer])

            handles.append(down_of(model.hf, model.layout, layer).register_forward_hook(add))
        try:
            part(input_ids=ids.to(device), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
    return Moments(total, counted)


def _common_prefix(lists: list[list[int]]) -> list[int]:
    shared = lists[0]
    for other in lists[1:]:
        n = 0
        while n < min(len(shared), len(other)) and shared[n] == other[n]:
            n += 1
        shared = shared[:n]
    return shared
