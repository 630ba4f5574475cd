"""Do raters who judged the same reply agree? Per cent, Krippendorff's alpha, Gwet's AC1.

A unit is one reply (an item under a condition), and only units that two or more raters judged can tell. With r_ik
raters who put unit i into category k, r_i = sum_k r_ik, and n' units with r_i >= 2:

    per cent   p_a = 1/n' sum_i sum_k r_ik (r_ik - 1) / (r_i (r_i - 1))
    AC1        (p_a - p_e) / (1 - p_e),  p_e = 1/(q - 1) sum_k pi_k (1 - pi_k),  pi_k = 1/n sum_i r_ik / r_i
    alpha      1 - D_o / D_e, observed over expected disagreement (Krippendorff 2011), nominal or ordinal

Pitfalls: alpha is near 0 where nearly all judgements are the same, however well raters agree (with a forget-quality
rate of 95 % it can't be otherwise), which is why AC1 (Gwet 2008) stands beside it; AC1 in turn takes 4 against 5 for
as much disagreement as 1 against 5, so on a scale read it beside the ordinal alpha. Where all ratings are equal there
is nothing that could agree by chance, and alpha is undefined, not 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .stat import Stat, defined, undefined

_DRAWS = 1000


@dataclass(frozen=True)
class Agreement:
    """How far raters agree on one criterion. The n of each figure is the number of units judged twice or more."""

    criterion: str
    units: int
    judgements: int  # of those units
    percent: Stat  # share of pairs of raters that gave the same
    alpha: Stat
    level: str  # of alpha: nominal or ordinal
    ac1: Stat

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def agreement(
    criterion: str,
    judged: Iterable[tuple[Any, int]],
    categories: Sequence[int],
    level: str,
    seed: int = 0,
) -> Agreement:
    """Agreement from pairs (unit, category); `level` is "nominal" or "ordinal".

    Alpha's interval is a bootstrap over units, 95 %.
    """
    counts = tally(judged, categories)
    several = counts[counts.sum(axis=1) >= 2]
    percent = observed(several)
    return Agreement(
        criterion=criterion,
        units=len(several),
        judgements=int(several.sum()),
        percent=percent,
        alpha=alpha(several, categories, level, seed),
        level=level,
        ac1=gwet_ac1(counts),
    )


def tally(judged: Iterable[tuple[Any, int]], categories: Sequence[int]) -> np.ndarray:
    """r_ik, a row per unit and a column per category."""
    place = {category: column for column, category in enumerate(categories)}
    units: dict[Any, np.ndarray] = {}
    for unit, category in judged:
        units.setdefault(unit, np.zeros(len(categories)))[place[category]] += 1
    return np.array(list(units.values())) if units else np.zeros((0, len(categories)))


def observed(counts: np.ndarray) -> Stat:
    """p_a: the chance that two raters of the same reply, drawn at random, gave the same."""
    raters = counts.sum(axis=1)
    counts, raters = counts[raters >= 2], raters[raters >= 2]
    if not len(counts):
        return undefined("no reply was judged by two raters")
    return defined(float(np.mean((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1)))), len(counts))


def gwet_ac1(counts: np.ndarray) -> Stat:
    """AC1 of r_ik. Chance is taken from all units, also those judged once, as in Gwet (2008)."""
    agree = observed(counts)
    if agree.value is None:
        return agree
    share = (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0)
    chance = float((share * (1 - share)).sum() / (counts.shape[1] - 1))
    return defined((agree.value - chance) / (1 - chance), agree.n)


def alpha(counts: np.ndarray, categories: Sequence[int], level: str, seed: int = 0, draws: int = _DRAWS) -> Stat:
    """Krippendorff's alpha of r_ik over units judged at least twice, with a bootstrap over units."""
    if not len(counts):
        return undefined("no reply was judged by two raters")
    if np.count_nonzero(counts.sum(axis=0)) < 2:
        return undefined("all ratings are equal", len(counts))
    value = _alpha(counts, categories, level)
    weights = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), draws)
    values = weighted_alpha(counts, weights.astype(float), level)
    values = values[~np.isnan(values)]
    if len(counts) < 2 or len(values) < 0.9 * draws:  # without the draws where all were equal, the rest would flatter
        return defined(value, len(counts))
    return defined(value, len(counts), *np.quantile(values, (0.025, 0.975)))


def weighted_alpha(counts: np.ndarray, weights: np.ndarray, level: str) -> np.ndarray:
    """Alpha of r_ik with unit i taken weights[d, i] times, for every d at once; NaN where all ratings are equal.

    With coincidences o_ck = sum_i w_i r_ic (r_ik - [c = k]) / (r_i - 1) and marginals n_c = sum_k o_ck, alpha is
    1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck; d_ck is [c != k], or for an
    ordinal scale (sum_{g=c..k} n_g - (n_c + n_k) / 2)^2.
    """
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    o = np.einsum("di,ick->dck", weights, pairs / (counts.sum(axis=1) - 1)[:, None, None])
    marginal = o.sum(axis=2)
    if level == "nominal":
        distance = np.broadcast_to(1 - np.eye(counts.shape[1]), o.shape)
    else:
        place = marginal.cumsum(axis=1) - marginal / 2  # a category's middle rank
        distance = (place[:, :, None] - place[:, None, :]) ** 2
    n = marginal.sum(axis=1)
    expected = np.einsum("dc,dk,dck->d", marginal, marginal, distance)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = 1 - (n - 1) * (o * distance).sum(axis=(1, 2)) / expected
    return np.where(expected > 0, found, np.nan)


def _alpha(counts: np.ndarray, categories: Sequence[int], level: str) -> float:
    import krippendorff

    # The library keeps only those categories that occur; an empty one changes nothing, but costs a warning.
    used = counts.sum(axis=0) > 0
    domain = [category for category, kept in zip(categories, used, strict=True) if kept]
    return krippendorff.alpha(value_counts=counts[:, used], value_domain=domain, level_of_measurement=level)
