"""Raters whose answers deserve a second look. They are flagged and counted, and nobody is dropped silently:
every analysis is made with them and without them, and both are shown.

The rules are ours. *failed check*: an attention check answered wrongly. *speeder*: every fifth judgement or more was
given faster than the protocol's `min_seconds`, or the median time for an item is below a third of what the middle rater
takes (with three raters or more). *same answer throughout*: ten or more judgements, all alike. To have gone back and
changed an answer is no reason.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Row = Mapping[str, Any]

FAILED = "failed check"
SPEEDER = "speeder"
SAME = "same answer throughout"
_FAST = 1 / 3  # of the middle rater's time for an item
_OFTEN = 1 / 5  # of a rater's judgements
_ALIKE = 10  # judgements


def is_judgement(row: Row) -> bool:
    """Whether a row is an answer about a condition: neither practice nor an attention check."""
    return not row.get("practice") and not row.get("attention_check")


def flagged(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The flagged raters, and why. Rows with practice and attention checks, as the store gives them."""
    found: dict[str, set[str]] = {}
    by_rater: dict[str, list[Row]] = {}
    for row in rows:
        by_rater.setdefault(row["rater"], []).append(row)
        if row.get("attention_check") and not row.get("practice") and row.get("check_passed") is False:
            found.setdefault(row["rater"], set()).add(FAILED)
    for rater in speeders(by_rater):
        found.setdefault(rater, set()).add(SPEEDER)
    for rater, mine in by_rater.items():
        given = [(row["forgotten"], row["entailment"], row["trust"]) for row in mine if is_judgement(row)]
        if len(given) >= _ALIKE and len(set(given)) == 1:
            found.setdefault(rater, set()).add(SAME)
    return {rater: sorted(found[rater]) for rater in sorted(found, key=str)}


def speeders(by_rater: Mapping[str, Sequence[Row]]) -> list[str]:
    """Raters who were faster than the protocol allows for, or than a third of the middle rater's time for an item."""
    judged = {rater: [row for row in rows if is_judgement(row)] for rater, rows in by_rater.items()}
    fast = {
        rater
        for rater, rows in judged.items()
        if rows and sum("fast" in (row.get("flags") or ()) for row in rows) >= _OFTEN * len(rows)
    }
    medians = {rater: statistics.median(map(seconds, rows)) for rater, rows in judged.items() if rows}
    if len(medians) >= 3:
        middle = statistics.median(medians.values())
        fast |= {rater for rater, median in medians.items() if median < _FAST * middle}
    return sorted(fast, key=str)


def seconds(row: Row) -> float:
    """How long the item had the rater's attention; without JavaScript, how long it was on the screen."""
    if row.get("focus_seconds") is not None:
        return row["focus_seconds"]
    shown, submitted = (datetime.fromisoformat(row[name]) for name in ("shown_at", "submitted_at"))
    return (submitted - shown).total_seconds()
