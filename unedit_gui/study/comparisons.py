"""Do the conditions differ? The planned contrast, Friedman with Wilcoxon and Holm, and GEE as a check.

The unit is the rater: each rater's mean under each condition, from that rater's own judgements, so that twenty
answers of one person count as one. A rater who lacks a mean under a condition that is compared (who found nothing
forgotten there, say) is left out of that comparison, and its n says so.

Planned: with against without self-improvement, averaged over the editors that were run both ways (over the conditions
with it, where an editor has several: they share a baseline), on PLANNED criteria, adjusted together by Holm. These
decide. What follows is to look for where a difference sits: Friedman over all
conditions of a criterion, Wilcoxon signed-rank over their pairs, Holm within the criterion.

Pitfalls: testing over raters speaks for other raters judging *these* replies. Whether it would hold for other
questions as well is asked by the same contrast over questions (Clark 1973); where that one fails, say so. Ratings given
only where something was forgotten compare different replies under different conditions; `trusted` doesn't.
Zero differences are dropped, as Wilcoxon did; of what is left p is exact up to 50 without ties and up to 13 with them,
else the normal approximation (scipy).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .cells import CRITERIA, DRAWS, LEVELS, Cells, Row, cells, mean_of, value_of
from .stat import Stat, defined, holm, undefined

PLANNED = ("entailment", "trust", "trusted")
ALPHA = 0.05
_NOISE = 10  # decimals: means that are equal on paper differ by less in floating point


@dataclass(frozen=True)
class Contrast:
    """What was planned to be compared: pairs (with, without) of conditions, averaged over the pairs."""

    name: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Each condition once, although two pairs may share one (two ways to self-improve, one baseline)."""
        return tuple(dict.fromkeys(condition for pair in self.pairs for condition in pair))

    @property
    def weights(self) -> tuple[float, ...]:
        """What each of `conditions` counts in the mean over the pairs of with less without; their sum is 0."""
        found = dict.fromkeys(self.conditions, 0.0)
        for one, other in self.pairs:
            found[one] += 1 / len(self.pairs)
            found[other] -= 1 / len(self.pairs)
        return tuple(found.values())


@dataclass(frozen=True)
class Comparison:
    """One signed-rank test: `difference` (n: raters, or questions) in scale points or as a share, and its p."""

    name: str
    criterion: str
    difference: Stat
    p: Stat
    p_holm: float | None
    effect: Stat  # rank-biserial correlation, -1 to 1
    spread: float | None  # standard deviation of the differences
    left_out: int  # raters (questions) without a mean under each condition
    remark: str = ""

    @property
    def found(self) -> bool:
        return self.p_holm is not None and self.p_holm < ALPHA

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "found": self.found}


@dataclass(frozen=True)
class Omnibus:
    """Friedman's test over all conditions, and every pair of them."""

    criterion: str
    chi2: Stat
    p: Stat
    w: Stat  # Kendall's W, the effect size
    pairs: tuple[Comparison, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "pairs": [pair.to_json() for pair in self.pairs]}


@dataclass(frozen=True)
class Odds:
    """The contrast as an odds ratio of a higher rating (of "forgotten"), by GEE with raters as clusters."""

    name: str
    criterion: str
    ratio: Stat
    p: Stat

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def self_improvement(conditions: Mapping[str, tuple[str, str]]) -> Contrast | None:
    """The contrast that the paper plans, or None where no method has both.

    conditions: name -> (method, kind of targets). Where a method has several kinds without self-improvement, the
    plain refusals (vanilla) are what it is compared with, else the first.
    """
    pairs = []
    for name, (method, kind) in conditions.items():
        if kind == "self-improved":
            others = {k: other for other, (m, k) in conditions.items() if m == method and k != kind}
            if others:
                pairs.append((name, others.get("vanilla", next(iter(others.values())))))
    return Contrast("with against without self-improvement", tuple(pairs)) if pairs else None


def planned(rows: Sequence[Row], contrast: Contrast, draws: int = DRAWS, seed: int = 0) -> list[Comparison]:
    """The contrast on each of PLANNED, over raters; Holm over all of them."""
    return _holm([compared(rows, contrast, criterion, "rater", draws, seed) for criterion in PLANNED])


def over_questions(rows: Sequence[Row], contrast: Contrast, draws: int = DRAWS, seed: int = 0) -> list[Comparison]:
    """The same with questions in the place of raters: does it hold for other questions?"""
    return _holm([compared(rows, contrast, criterion, "question", draws, seed) for criterion in PLANNED])


def compared(
    rows: Sequence[Row], contrast: Contrast, criterion: str, by: str = "rater", draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """One contrast on one criterion, not adjusted."""
    return _signed_rank(cells(rows, contrast.conditions, criterion, by), contrast, criterion, by, draws, seed)


def omnibus(rows: Sequence[Row], conditions: Sequence[str], criterion: str, draws: int = DRAWS) -> Omnibus:
    """Friedman over the conditions, then Wilcoxon over their pairs with Holm."""
    from scipy.stats import friedmanchisquare

    cell = cells(rows, conditions, criterion)
    pairs = [
        _signed_rank(cell, Contrast(f"{one} against {other}", ((one, other),)), criterion, "rater", draws, 0)
        for one, other in itertools.combinations(conditions, 2)
    ]
    _, means = cell.complete(conditions)
    means = np.round(means, _NOISE)
    n, why = len(means), ""
    if len(conditions) < 3:
        why = "with two conditions the signed-rank test is all there is to test"
    elif n < 2:
        why = "fewer than two raters have a value under every condition"
    elif (means == means[:, :1]).all():
        why = "every rater gave all conditions the same"
    if why:
        nothing = undefined(why, n)
        return Omnibus(criterion, nothing, nothing, nothing, tuple(_holm(pairs)))
    result = friedmanchisquare(*means.T)
    w = result.statistic / (n * (len(conditions) - 1))
    return Omnibus(
        criterion,
        defined(result.statistic, n),
        defined(result.pvalue, n),
        defined(w, n),
        tuple(_holm(pairs)),
    )


def gee(rows: Sequence[Row], contrast: Contrast, criterion: str) -> Odds:
    """The contrast by generalised estimating equations, raters as clusters: cumulative logits on the scales.

    Working independence, with the bias-reduced covariance (Mancl & DeRouen 2001) on shares, where few clusters make
    the sandwich too small. Judgements weigh alike here, raters in the signed-rank test.
    """
    from scipy.stats import norm
    from statsmodels.genmod.cov_struct import Independence
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE, OrdinalGEE

    conditions = contrast.conditions
    used = [row for row in rows if row["condition"] in conditions and value_of(row, criterion) is not None]
    values = np.array([value_of(row, criterion) for row in used], dtype=float)
    raters = np.unique([str(row["rater"]) for row in used], return_inverse=True)[1] if used else np.array([])
    clusters = len(set(raters.tolist()))
    nothing = _why_no_gee(used, values, clusters, conditions, criterion)
    if nothing:
        return Odds(contrast.name, criterion, undefined(nothing, clusters), undefined(nothing, clusters))
    dummies = np.array([[float(row["condition"] == condition) for condition in conditions] for row in used])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            if criterion in ("forgotten", "trusted"):
                fitted = GEE(values, dummies, raters, family=Binomial(), cov_struct=Independence()).fit(
                    cov_type="bias_reduced"
                )
                weights = np.array(contrast.weights)
            else:  # the thresholds take the place of the first condition
                fitted = OrdinalGEE(values, dummies[:, 1:], raters, cov_struct=Independence()).fit()
                thresholds = len(fitted.params) - (len(conditions) - 1)
                weights = np.array([0.0] * thresholds + list(contrast.weights[1:]))
            log_odds = float(weights @ fitted.params)
            error = float(np.sqrt(weights @ np.asarray(fitted.cov_params()) @ weights))
        except (ValueError, FloatingPointError, np.linalg.LinAlgError, ZeroDivisionError):
            log_odds = error = float("nan")
    if not np.isfinite([log_odds, error]).all() or error <= 0 or abs(log_odds) > 12:
        why = "the estimating equations did not converge"
        return Odds(contrast.name, criterion, undefined(why, clusters), undefined(why, clusters))
    low, high = np.exp([log_odds - 1.96 * error, log_odds + 1.96 * error])
    p = 2 * norm.sf(abs(log_odds) / error)
    return Odds(contrast.name, criterion, defined(np.exp(log_odds), clusters, low, high), defined(p, clusters))


def _why_no_gee(used: Sequence[Row], values: np.ndarray, clusters: int, conditions: Sequence[str], criterion: str):
    for condition in conditions:
        mine = {value_of(row, criterion) for row in used if row["condition"] == condition}
        if not mine:
            return f"no judgements under {condition}"
        if len(mine) == 1:
            return f"all judgements under {condition} are equal, so its odds are 0 or infinite"
    if clusters < 5:
        return f"{clusters} raters are too few clusters"
    return ""


def _signed_rank(cell: Cells, contrast: Contrast, criterion: str, by: str, draws: int, seed: int) -> Comparison:
    """Wilcoxon over each row's difference, averaged over the contrast's pairs."""
    from scipy.stats import rankdata, wilcoxon

    kept, means = cell.complete(contrast.conditions)
    differences = np.round(means @ contrast.weights, _NOISE)
    n, left_out = len(kept), len(cell.raters) - len(kept)
    difference = mean_of(differences, draws, seed)
    if difference.value is None:
        difference = undefined(f"no {by} has a value under each condition")
    spread = float(differences.std(ddof=1)) if n > 1 else None
    moved = differences[differences != 0]
    why, remark = "", ""
    if n == 0:
        why = difference.why
    elif len(moved) == 0:
        why = "all differences are zero"
    elif len(moved) < 6:  # 2 / 2^5 > 0.05
        remark = f"with {len(moved)} differences that aren't zero no p below 0.05 is possible"
    if why:
        return Comparison(contrast.name, criterion, difference, undefined(why, n), None, undefined(why, n), spread,
                          left_out)  # fmt: skip
    p = float(wilcoxon(moved).pvalue)  # with the zeros in it, scipy would approximate where it can be exact
    ranks = rankdata(np.abs(moved))
    effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    return Comparison(contrast.name, criterion, difference, defined(p, n), None, defined(effect, len(moved)), spread,
                      left_out, remark)  # fmt: skip


def _holm(found: Sequence[Comparison]) -> list[Comparison]:
    adjusted = holm([one.p.value for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


__all__ = [
    "ALPHA", "CRITERIA", "LEVELS", "PLANNED", "Comparison", "Contrast", "Odds", "Omnibus", "compared", "gee",
    "omnibus", "over_questions", "planned", "self_improvement",
]  # fmt: skip
