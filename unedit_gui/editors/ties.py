"""TIES: merging changes that were trained apart (Yadav et al. 2023, arXiv 2306.01708).

Of each change only its largest entries stay (trim); then each entry takes the sign with the greater total, and those
of that sign are averaged (elect, merge).
"""

from collections.abc import Sequence

import torch


def trim(delta: torch.Tensor, density: float) -> torch.Tensor:
    """Only the largest `density` of a difference's entries that are not zero."""
    sizes = delta[delta != 0].abs()
    if density >= 1 or not len(sizes):
        return delta
    smallest = sizes.sort(descending=True).values[max(1, round(density * len(sizes))) - 1]
    return torch.where(delta.abs() >= smallest, delta, torch.zeros_like(delta))


def ties(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """One change from several that are trimmed: elect a sign for each entry, average what agrees."""
    kept = torch.stack(list(deltas))
    agrees = (kept.sign() == kept.sum(0).sign()) & (kept != 0)
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)
