"""A figure as it is reported: with its interval and its n, or with the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Stat:
    """One figure. `value` is None exactly if `why` says what kept it from being computed; it is never NaN.

    `low` and `high` bound the 95 % interval, where there is one; `n` is what the figure is of (judgements, raters or
    replies, as its place says).
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        if self.value is None:
            return f"undefined ({self.why})"
        if self.low is None:
            return f"{self.value:z.2f}"
        return f"{self.value:z.2f} [{self.low:z.2f}, {self.high:z.2f}]"  # z: no minus before 0.00


def defined(value: float, n: int, low: float | None = None, high: float | None = None) -> Stat:
    """A figure that was computed; where a library gave something infinite or NaN after all, it is undefined."""
    if not math.isfinite(value):
        return undefined("the computation gave no number", n)
    whole = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    return Stat(float(value), int(n), float(low) if whole else None, float(high) if whole else None)


def undefined(why: str, n: int = 0) -> Stat:
    """A figure that doesn't exist, and why."""
    return Stat(None, int(n), why=why)


def wilson(successes: int, n: int) -> Stat:
    """A share with Wilson's score interval (1927), as if all judgements were independent."""
    from statsmodels.stats.proportion import proportion_confint

    if n == 0:
        return undefined("no judgements")
    low, high = proportion_confint(successes, n, method="wilson")
    return defined(successes / n, n, low, high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment (1979) over those tests that have a p; the others stay None and don't count.

    The i-th smallest of m becomes the largest of (m - j + 1) p_j over j <= i, at most 1. (statsmodels has it too, but
    collects all garbage at each call, which takes longer than everything else here.)
    """
    given = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, place) in enumerate(given):
        worst = max(worst, min(1.0, (len(given) - rank) * p))
        adjusted[place] = worst
    return adjusted
