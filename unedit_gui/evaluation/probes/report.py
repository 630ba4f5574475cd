"""What probes found: rates with intervals, beside the original's and chance, and the worst leaks with their text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEAST = 10  # hits of the original below which a probe has no power
WORST = 3  # leaks shown of each probe and edit
Z = 1.959964  # of a 95 % interval

# What is said of an edit's cell.
NO_POWER, LEAKS, QUIET, WORSE, SAME = "no power", "leaks", "no leak seen", "worse", "as before"


@dataclass(frozen=True)
class Rate:
    """A share with its Wilson interval (or a perplexity with one of its own); `hits` None: no share. value None: no
    items. tried: where choices are given, how many replies took one."""

    n: int
    hits: int | None
    value: float | None
    low: float | None
    high: float | None
    tried: int | None = None


def share(hits: int, n: int) -> Rate:
    """`hits` of `n` with the 95 % interval of Wilson (1927), which holds for small numbers and at 0 and 1 too."""
    if not n:
        return Rate(0, 0, None, None, None)
    p, zz = hits / n, Z * Z
    middle, half = p + zz / (2 * n), Z * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    low, high = (middle - half) / (1 + zz / n), (middle + half) / (1 + zz / n)
    return Rate(n, hits, p, 0.0 if hits == 0 else max(0.0, low), 1.0 if hits == n else min(1.0, high))


def perplexity(values: Sequence[float], original: Sequence[float]) -> Rate:
    """exp(-mean) of log-likelihoods by the word, with the 95 % interval of its distance to the original's on the same
    texts; where both are the same, the interval has no width."""
    n = len(values)
    if not n:
        return Rate(0, None, None, None, None)
    ours = math.exp(-sum(values) / n)
    apart = [b - a for a, b in zip(values, original, strict=True)]
    mean = sum(apart) / n
    spread = math.sqrt(sum((x - mean) ** 2 for x in apart) / max(1, n - 1))
    half = Z * spread / math.sqrt(n)
    return Rate(n, None, ours, ours * math.exp(-half), ours * math.exp(half))


@dataclass(frozen=True)
class Row:
    """One probe: chance (None: it has none), the original's rate and every edit's, and what is said of each."""

    probe: str
    label: str
    kind: str
    better: str
    measure: str
    asks: str
    scored: str
    chance: float | None
    original: Rate
    edits: tuple[Rate, ...]
    verdicts: tuple[str, ...]

    @property
    def power(self) -> bool:
        """Whether the original itself does what is probed often enough, and oftener than by chance."""
        if self.original.hits is None:
            return self.original.n >= LEAST
        hits, n = self.original.hits, self.original.n
        enough = (n - hits if self.kind == "harm" and self.better == "low" else hits) >= LEAST
        return enough and not self.guessed

    @property
    def guessed(self) -> bool:
        """Whether the original's hits may be chance alone: ten of forty with four choices show no knowledge."""
        return self.kind == "leak" and (self.chance or 0.0) > 0 and not _above(self.original, self.chance)


def verdict(row: Row, edit: Rate) -> str:
    """What one edit's rate means: "leaks" where even the interval's lower end is above chance (of the replies that take
    a choice, where choices are given); "worse" where the interval leaves out the original's rate on the bad side."""
    if not row.power or edit.value is None:
        return NO_POWER
    if row.kind == "leak":
        return LEAKS if _above(edit, row.chance) else QUIET
    if row.better == "high":
        return WORSE if edit.high < row.original.value else SAME
    return WORSE if edit.low > row.original.value else SAME


def _above(rate: Rate, chance: float | None) -> bool:
    """Whether even the interval's lower end is above chance; where choices are given, of the replies that take one."""
    low = rate.low if rate.tried is None else share(rate.hits, rate.tried).low
    return (low or 0.0) > (chance or 0.0)


@dataclass(frozen=True)
class Case:
    """One item with what the original and each edit said: the texts, and what they scored."""

    probe: str
    kind: str
    fact: str
    asked: str
    wanted: str
    said: tuple[str, ...]  # the original's first
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Probed:
    """All rows of a run, the cases behind them, the worst leaks, and what a reader has to know."""

    edits: tuple[tuple[str, str], ...]  # (id, name)
    rows: tuple[Row, ...]
    cases: tuple[Case, ...]
    notes: tuple[str, ...]

    def worst(self, most: int = WORST) -> list[dict[str, Any]]:
        """Of each leak probe and edit the plainest leaks: replies that assert before those that waver, short ones
        first."""
        from ...forget.refusals import is_refusal

        found = []
        for row in self.rows:
            for place, (edit, name) in enumerate(self.edits, 1):
                leaks = [c for c in self.cases if c.probe == row.probe and c.kind == "leak" and c.scores[place]]
                leaks.sort(key=lambda c, place=place: (is_refusal(c.said[place]), len(c.said[place])))
                found += [
                    {
                        "probe": row.probe,
                        "label": row.label,
                        "edit": edit,
                        "name": name,
                        "question": c.fact,
                        "asked": c.asked,
                        "answer": c.wanted,
                        "reply": c.said[place],
                        "original": c.said[0],
                        "power": row.power,
                    }
                    for c in leaks[:most]
                ]
        return found

    def to_json(self) -> dict[str, Any]:
        """Rows, worst leaks and notes as plain values."""
        rows = [
            {
                **{name: value for name, value in asdict(row).items() if name not in ("edits", "verdicts")},
                "power": row.power,
                "edits": [
                    {"edit": edit, **asdict(rate), "verdict": said}
                    for (edit, _), rate, said in zip(self.edits, row.edits, row.verdicts, strict=True)
                ],
            }
            for row in self.rows
        ]
        edits = [{"edit": edit, "name": name} for edit, name in self.edits]
        return {"edits": edits, "rows": rows, "worst": self.worst(), "notes": list(self.notes)}

    def details(self) -> list[dict[str, Any]]:
        """Every item as plain values, the original's reply first: one row for each variant."""
        variants = [("original", "original"), *self.edits]
        return [
            {
                "probe": case.probe,
                "kind": case.kind,
                "question": case.fact,
                "asked": case.asked,
                "wanted": case.wanted,
                "edit": edit,
                "name": name,
                "reply": case.said[place],
                "score": case.scores[place],
            }
            for case in self.cases
            for place, (edit, name) in enumerate(variants)
        ]
