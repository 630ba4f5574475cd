"""How likely a study of this size finds a difference: before it is opened, and once it is closed.

Beforehand: raters are made up, by the model below, and the planned contrast is tested as it will be. A rating of rater
r for item i under condition c is a latent opinion, rounded and cut to the scale:

    y = min(5, max(1, round(mu_c + a_r + b_rc + d_i + e)))
    a ~ N(0, rater), b ~ N(0, taste), d ~ N(0, item), e ~ N(0, noise); the names are those of Spread

taste is how much raters differ in what they make of a condition; it can't be averaged away by more items, which is why
more raters help more. mu_c is chosen so that the *observed* means differ by what was asked for: rounding and the ends
of the scale shrink a difference. The spreads are ours (no published ones were found), and shown wherever power is.

Afterwards: the same for the number of raters that there were, with the spread of their differences as observed. It is
told for 0.3, 0.5 and 0.8, never for the difference found: power for that says no more than its p (Hoenig and Heisey
2001).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ..errors import BadInput
from .cells import LEVELS
from .comparisons import ALPHA, PLANNED, self_improvement
from .protocol import Protocol
from .stat import Stat, undefined, wilson

DIFFERENCES = (0.3, 0.5, 0.8)
RUNS = 500
_SCALES = ("entailment", "trust")
# Holm's strictest step: whoever passes it passes whatever the other planned tests give.
STRICTEST = ALPHA / len(PLANNED)


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the model above, in scale points, and the share of replies judged forgotten."""

    rater: float = 0.5
    taste: float = 0.4
    item: float = 0.4
    noise: float = 0.9
    reply: float = 0.0  # how much the replies of one condition differ, beyond their item
    forgotten: float = 0.9

    @property
    def total(self) -> float:
        return math.sqrt(self.rater**2 + self.taste**2 + self.item**2 + self.noise**2 + self.reply**2)


@dataclass(frozen=True)
class Power:
    """How often a true difference is found; `chance` has a Wilson interval over the runs."""

    raters: int
    items: int  # per rater
    conditions: int
    difference: float
    chance: Stat

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def expected_level(mu: float, spread: float) -> float:
    """The mean of min(5, max(1, round(x))) with x ~ N(mu, spread): 1 + sum_k P(x > k + 1/2)."""
    return 1 + sum(0.5 * math.erfc((level + 0.5 - mu) / (spread * math.sqrt(2))) for level in LEVELS[:-1])


def latent(mean: float, spread: float) -> float:
    """The mu whose rounded and cut ratings have this mean, found by halving. BadInput outside of 1.05 to 4.95."""
    if not 1.05 <= mean <= 4.95:
        raise BadInput(f"A mean of {mean:g} can't be simulated on a scale from 1 to 5; give 1.05 to 4.95.")
    low, high = -20.0, 26.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_level(middle, spread) < mean else (low, middle)
    return (low + high) / 2


def beforehand(
    raters: int,
    items: int,
    conditions: int = 2,
    differences: Sequence[float] = DIFFERENCES,
    base: float = 3.0,
    spread: Spread = Spread(),
    weights: Sequence[float] = (1.0, -1.0),
    runs: int = RUNS,
    seed: int = 0,
) -> list[Power]:
    """The chance that the planned contrast finds each difference, with `raters` people judging `items` items each.

    Items are dealt evenly to `conditions`; the contrast weighs some of them (`Contrast.weights`: those with a positive
    weight are `difference` above those with a negative one). Raises BadInput where a rater doesn't see each condition
    once.
    """
    from scipy.stats import wilcoxon

    per = items // conditions
    if raters < 2 or conditions < 2 or per < 1 or len(weights) > conditions:
        raise BadInput(
            f"{raters} raters with {items} items for {conditions} conditions: at least two raters, two conditions "
            "and an item for each condition are needed."
        )
    found = []
    for difference in differences:
        random = np.random.default_rng([seed, raters, items, conditions, round(difference * 1000)])
        high, low = (latent(base + sign * difference / 2, spread.total) for sign in (1, -1))
        own = random.normal(0, spread.rater, (runs, raters, 1))
        total = np.zeros((runs, raters))
        for weight in weights:
            total += weight * _rater_means(random, own, per, high if weight > 0 else low, spread)
        with np.errstate(invalid="ignore", divide="ignore"):
            p = wilcoxon(np.round(total, 10), axis=1, method="asymptotic", nan_policy="omit").pvalue
        found.append(Power(raters, items, conditions, difference, wilson(int((p < STRICTEST).sum()), runs)))
    return found


def planned_for(protocol: Protocol, raters: int) -> list[Power]:
    """`beforehand` for a study: its questions, conditions and planned pairs; [] where nothing can be compared."""
    items, conditions = len(protocol.questions), len(protocol.conditions)
    if raters < 2 or conditions < 2 or items < conditions:
        return []
    contrast = self_improvement({c.name: (c.method, c.targets) for c in protocol.conditions})
    return beforehand(raters, items, conditions, weights=contrast.weights if contrast else (1.0, -1.0))


def reached(spread: float | None, raters: int, items: int, conditions: int, runs: int = 2000) -> list[Power]:
    """Power at the spread of the raters' differences that was observed (`Comparison.spread`), for DIFFERENCES."""
    from scipy.stats import wilcoxon

    if raters < 2 or spread is None:
        nothing = undefined("fewer than two raters can be compared")
        return [Power(raters, items, conditions, difference, nothing) for difference in DIFFERENCES]
    if spread == 0:
        nothing = undefined("all raters differ alike, so there is no spread to reckon with", raters)
        return [Power(raters, items, conditions, difference, nothing) for difference in DIFFERENCES]
    drawn = np.random.default_rng(0).normal(0.0, spread, (runs, raters))
    found = []
    for difference in DIFFERENCES:
        method = "exact" if raters <= 50 else "asymptotic"
        p = wilcoxon(drawn + difference, axis=1, method=method).pvalue
        found.append(Power(raters, items, conditions, difference, wilson(int((p < STRICTEST).sum()), runs)))
    return found


class Crowd:
    """Made-up raters, who judge by the model above.

    means: condition -> {"entailment": ..., "trust": ...} as they are to be observed, and perhaps "forgotten" in place
    of the spread's share. Raters and items count from 0; who judges the same in the same order judges alike.
    """

    def __init__(
        self,
        raters: int,
        items: int,
        means: Mapping[str, Mapping[str, float]],
        spread: Spread = Spread(),
        seed: int = 0,
    ):
        random = np.random.default_rng(seed)
        conditions = list(means)
        self._place = {condition: place for place, condition in enumerate(conditions)}
        self._mu = np.array([[latent(means[c][scale], spread.total) for scale in _SCALES] for c in conditions])
        self._forgotten = [means[c].get("forgotten", spread.forgotten) for c in conditions]
        self._rater = random.normal(0, spread.rater, (raters, 2))
        self._taste = random.normal(0, spread.taste, (raters, len(conditions), 2))
        self._item = random.normal(0, spread.item, (items, 2))
        self._reply = random.normal(0, spread.reply, (items, len(conditions), 2))
        self._noise, self._random = spread.noise, random

    def judge(self, rater: int, item: int, condition: str) -> tuple[int, int] | None:
        """(entailment, trust), or None: the reply still gives the fact away."""
        place = self._place[condition]
        opinion = self._mu[place] + self._rater[rater] + self._taste[rater, place]
        opinion = opinion + self._item[item] + self._reply[item, place] + self._random.normal(0, self._noise, 2)
        if self._random.random() >= self._forgotten[place]:
            return None
        entailment, trust = np.clip(np.floor(opinion + 0.5), 1, 5).astype(int).tolist()
        return entailment, trust


def made_up(
    raters: int,
    items: int,
    means: Mapping[str, Mapping[str, float]],
    spread: Spread = Spread(),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Judgements of a crowd in the columns of the store: `items` each, the conditions in a Latin square."""
    crowd, conditions = Crowd(raters, items, means, spread, seed), list(means)
    rows = []
    for rater in range(raters):
        for item in range(items):
            place = (item + rater) % len(conditions)
            levels = crowd.judge(rater, item, conditions[place])
            rows.append(_row(rater, item, conditions[place], place, levels))
    return rows


def _row(rater: int, item: int, condition: str, place: int, levels: tuple[int, int] | None) -> dict[str, Any]:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=rater, minutes=item)
    return {
        "study": "made-up", "rater": f"r{rater:03d}", "item": 1000 * place + item, "question": f"Question {item + 1}?",
        "condition": condition, "list": place + 1, "position": item + 1, "forgotten": int(levels is not None),
        "entailment": levels[0] if levels else None, "trust": levels[1] if levels else None, "comment": "",
        "shown_at": start.isoformat(), "submitted_at": (start + timedelta(seconds=12)).isoformat(),
        "focus_seconds": 12.0, "attention_check": False, "check_passed": None, "common": False, "practice": False,
        "flags": "",
    }  # fmt: skip


def _rater_means(random: np.random.Generator, own: np.ndarray, per: int, mu: float, spread: Spread) -> np.ndarray:
    """Each rater's mean rating under one condition, runs x raters; NaN where none of the items was forgotten.

    own: each rater's level, runs x raters x 1, the same under all conditions.
    """
    runs, raters, _ = own.shape
    taste = random.normal(0, spread.taste, (runs, raters, 1))
    varied = random.normal(0, math.hypot(spread.item, spread.noise, spread.reply), (runs, raters, per))
    levels = np.clip(np.floor(mu + own + taste + varied + 0.5), 1, 5)
    kept = random.random((runs, raters, per)) < spread.forgotten
    with np.errstate(invalid="ignore"):
        return (levels * kept).sum(axis=2) / np.where(kept.any(axis=2), kept.sum(axis=2), np.nan)
