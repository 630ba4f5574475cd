"""Judgements as raters by conditions, and the bootstrap over raters.

Judgements of one rater hang together, so what varies by chance is the rater: a draw takes as many raters as there
are, with replacement, and all of each one's judgements. The interval is the expanded percentile one (Hesterberg 2015,
"What teachers should know about the bootstrap", section 3.3): with n raters the plain percentile interval is too
narrow by about sqrt((n - 1) / n) and by normal against t quantiles, which matters at 20.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .stat import Stat, defined, undefined

Row = Mapping[str, Any]
LEVELS = (1, 2, 3, 4, 5)
TRUSTED = 4  # the lowest trust that counts as trusted
DRAWS = 2000

CRITERIA = {
    "forgotten": "Forget quality",
    "entailment": "Entailment, where forgotten",
    "trust": "Trust, where forgotten",
    "trusted": "Forgotten and trust of 4 or 5",
}


def value_of(row: Row, criterion: str) -> int | None:
    """What a judgement says on a criterion; None where it wasn't asked (a scale, where nothing was forgotten)."""
    if criterion == "forgotten":
        return int(row["forgotten"])
    if criterion == "trusted":
        return int(bool(row["forgotten"]) and (row["trust"] or 0) >= TRUSTED)
    return row[criterion] if row["forgotten"] else None


@dataclass(frozen=True, eq=False)
class Cells:
    """One criterion: `sums` and `counts` of its values, raters x conditions (or questions x conditions)."""

    raters: tuple[str, ...]
    conditions: tuple[str, ...]
    sums: np.ndarray
    counts: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Each rater's mean under each condition; NaN where there is no value."""
        with np.errstate(invalid="ignore"):
            return self.sums / np.where(self.counts > 0, self.counts, np.nan)

    def complete(self, conditions: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
        """The raters who have a mean under each of these conditions, and those means."""
        means = self.means[:, [self.conditions.index(condition) for condition in conditions]]
        kept = ~np.isnan(means).any(axis=1)
        return tuple(rater for rater, keep in zip(self.raters, kept, strict=True) if keep), means[kept]


def cells(rows: Sequence[Row], conditions: Sequence[str], criterion: str, by: str = "rater") -> Cells:
    """Sum up a criterion by rater (or `by="question"`) and condition; other conditions are passed over."""
    raters = tuple(sorted({row[by] for row in rows}, key=str))
    line = {rater: place for place, rater in enumerate(raters)}
    column = {condition: place for place, condition in enumerate(conditions)}
    sums, counts = np.zeros((len(raters), len(conditions))), np.zeros((len(raters), len(conditions)))
    for row in rows:
        value = value_of(row, criterion) if row["condition"] in column else None
        if value is not None:
            sums[line[row[by]], column[row["condition"]]] += value
            counts[line[row[by]], column[row["condition"]]] += 1
    return Cells(raters, tuple(conditions), sums, counts)


def clustered(cell: Cells, draws: int = DRAWS, seed: int = 0, nothing: str = "no judgements") -> list[Stat]:
    """Each condition's mean over judgements, with an interval from drawing raters. n: judgements.

    nothing: why there is no mean where there are no values.
    """
    n = cell.counts.sum(axis=0)
    kept = _weights(len(cell.raters), draws, seed) if len(cell.raters) > 1 else np.zeros((0, len(cell.raters)))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (kept @ cell.sums) / (kept @ cell.counts)
    found = []
    for place in range(len(cell.conditions)):
        if n[place] == 0:
            found.append(undefined(nothing))
            continue
        raters = int((cell.counts[:, place] > 0).sum())
        bounds = interval(drawn[:, place], raters) if raters > 1 else (None, None)
        found.append(defined(cell.sums[:, place].sum() / n[place], n[place], *bounds))
    return found


def mean_of(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Stat:
    """The mean of one value per rater, with an interval from drawing raters. n: raters."""
    if len(values) == 0:
        return undefined("no rater has both")
    if len(values) == 1:
        return defined(float(values[0]), 1)
    drawn = _weights(len(values), draws, seed) @ values / len(values)
    return defined(float(values.mean()), len(values), *interval(drawn, len(values)))


def interval(drawn: np.ndarray, n: int) -> tuple[float | None, float | None]:
    """The expanded percentile interval of 95 % of what was drawn from n raters; none if many draws are undefined."""
    kept = drawn[~np.isnan(drawn)]
    if len(kept) < 0.9 * len(drawn) or not len(kept):
        return None, None
    drawn = kept
    tail = _tail(n)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return float(low), float(high)


@lru_cache
def _tail(n: int) -> float:
    from scipy.stats import norm, t

    return float(norm.cdf(-math.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1)))


@lru_cache(maxsize=4)
def _weights(n: int, draws: int, seed: int) -> np.ndarray:
    """How often each of n raters was drawn, draws x n."""
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    weights.setflags(write=False)  # it is shared between calls
    return weights
