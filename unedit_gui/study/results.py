"""What was answered, as plain rows: the one table that analysis, exports and the live figures start from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlite_utils import Database

COLUMNS = (
    "study",
    "rater",
    "item",
    "question",
    "condition",
    "list",
    "position",
    "forgotten",
    "entailment",
    "trust",
    "comment",
    "shown_at",
    "submitted_at",
    "focus_seconds",
    "attention_check",
    "check_passed",
    "common",
    "practice",
    "flags",
)
MIN_SECONDS = 3.0  # below which nobody has read question, answer and reply; a protocol may say otherwise

_LATEST = """
SELECT j.rater, j.item, i.question, coalesce(c.name, '') AS condition, s.list, a.position, j.forgotten, j.entailment,
       j.trust, j.comment, j.shown_at, j.submitted_at, j.focus_seconds, j.revision, i.kind,
       i.expect_forgotten, i.expect_entailment, i.expect_trust, coalesce(q.common, 0) AS common
FROM latest AS j
JOIN items AS i ON i.id = j.item
JOIN assignments AS a ON a.rater = j.rater AND a.item = j.item
JOIN seats AS s ON s.rater = j.rater
LEFT JOIN conditions AS c ON c.id = i.condition_id
LEFT JOIN questions AS q ON q.id = i.question_id
ORDER BY s.number, a.position
"""


def judgements(db: Database) -> list[dict[str, Any]]:
    """The last revision of every answer, in the order in which raters joined and items stood. Keys: COLUMNS.

    `rater` is a pseudonym, `item` the frozen reply's number, `condition` "" for checks and practice, `position` from
    1 (practice: 0), `forgotten` 0 or 1, `entailment` and `trust` 1 to 5 or None exactly where not forgotten, times
    UTC in ISO 8601, `focus_seconds` None without JavaScript, `check_passed` None but for attention checks. `flags`:
    words with commas between them, "" for none: "fast" (answered within the protocol's `min_seconds`),
    "failed_check", "changed" (not the first revision). Nothing flagged is left out.
    """
    found = db.execute("SELECT name, json_extract(protocol, '$.min_seconds') FROM study").fetchone()
    study, least = found if found else ("", None)
    return [_row(study, MIN_SECONDS if least is None else least, row) for row in db.query(_LATEST)]


def _row(study: str, least: float, row: dict[str, Any]) -> dict[str, Any]:
    check = row["kind"] == "check"
    passed = _passed(row) if check else None
    seconds = _seconds(row["shown_at"], row["submitted_at"])
    if row["focus_seconds"] is not None:
        seconds = min(seconds, row["focus_seconds"])
    flags = [
        name
        for name, there in (
            ("fast", seconds < least and row["revision"] == 1),
            ("failed_check", passed is False),
            ("changed", row["revision"] > 1),
        )
        if there
    ]
    made = {
        **row,
        "study": study,
        "common": bool(row["common"]),
        "attention_check": check,
        "check_passed": passed,
        "practice": row["kind"] == "practice",
        "flags": ",".join(flags),
    }
    return {name: made[name] for name in COLUMNS}


def _passed(row: dict[str, Any]) -> bool:
    """Whether a check was answered as it asks; a scale that it doesn't ask for may be anything."""
    wanted = {name: row[f"expect_{name}"] for name in ("forgotten", "entailment", "trust")}
    return all(value is None or row[name] == value for name, value in wanted.items())


def _seconds(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def demographics(db: Database) -> list[dict[str, Any]]:
    """What participants told about themselves: `rater`, `field`, `value` (None: rather not said)."""
    return list(db.query("SELECT rater, field, value FROM latest_demographics ORDER BY rater, field"))
