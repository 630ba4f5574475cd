"""A study's data for others: CSV with a codebook, JSON, and the file itself.

A condition's name in a study that still runs would unblind whoever reads it, so all but the copy of the file waits
until the study is closed, unless one says `peek`; then every file says so too.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import BadInput, Failed
from ..spreadsheet import csv_of, csv_of_records
from . import results
from .analysis import Analysis, analyse
from .comparisons import Contrast, self_improvement
from .flags import flagged
from .results import COLUMNS
from .store import Study

CODEBOOK = {
    "study": ("text", "name of the study"),
    "rater": ("text", "pseudonym, drawn at random; no name or address is known"),
    "item": ("number", "the frozen reply that was judged; see items.csv"),
    "question": ("text", "the question that the model was asked"),
    "condition": ("text", "what made the reply; empty for practice and attention checks"),
    "list": ("number from 1", "list of the Latin square that the rater got"),
    "position": ("number", "place of the item for this rater, from 1; 0: practice"),
    "forgotten": ("0, 1", "is the true answer gone from the reply? 1: yes"),
    "entailment": ("1 to 5, or empty", "does the reply show that it understood the question? Only where forgotten"),
    "trust": ("1 to 5, or empty", "is the reply trusted? Only where forgotten"),
    "comment": ("text", "the rater's own words; an apostrophe stands before what a spreadsheet would calculate"),
    "shown_at": ("time", "when the item was first shown; UTC, ISO 8601"),
    "submitted_at": ("time", "when the answer was given (the last one, where it was changed)"),
    "focus_seconds": ("number, or empty", "seconds for which the page was in front; empty without JavaScript"),
    "attention_check": ("0, 1", "1: an attention check, part of no figure"),
    "check_passed": ("0, 1, or empty", "1: answered as the check asks; empty where it is none"),
    "common": ("0, 1", "1: the same item for all raters, to measure agreement"),
    "practice": ("0, 1", "1: the practice item, part of no figure"),
    "flags": ("words", "of this judgement: fast, failed_check, changed"),
    "rater_flags": ("words", "of this rater, by the rules in docs/study.md; flagged raters are in the main figures"),
}  # fmt: skip


def contrast_of(study: Study) -> Contrast | None:
    """What the protocol plans to compare: each method with against without self-improvement; None: nothing."""
    return self_improvement({c.name: (c.method, c.targets) for c in study.protocol.conditions})


def analysis_of(study: Study, peek: bool = False) -> Analysis:
    """A study's figures. BadInput while it isn't closed, unless `peek`, and where there is nothing to analyse."""
    _unblinded(study, peek)
    study.verify()
    rows = study.judgements()
    contrast = contrast_of(study)
    judged = {row["condition"] for row in rows if row["condition"]}
    if contrast and not set(contrast.conditions) <= judged:  # as long as few have taken part
        pairs = tuple(pair for pair in contrast.pairs if set(pair) <= judged)
        contrast = Contrast(contrast.name, pairs) if pairs else None
    names = [condition.name for condition in study.protocol.conditions]
    return analyse(rows, names, contrast, seed=study.protocol.seed)


def judgements_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per judgement, columns as in CODEBOOK. Every text is in quotation marks."""
    reasons = {rater: ",".join(why) for rater, why in flagged(rows).items()}
    lines = [[*(row[name] for name in COLUMNS), reasons.get(row["rater"], "")] for row in rows]
    return csv_of(CODEBOOK, ([int(v) if isinstance(v, bool) else v for v in line] for line in lines))


def codebook() -> str:
    """What the columns of judgements.csv are, as Markdown."""
    lines = [f"| `{name}` | {values} | {meaning} |" for name, (values, meaning) in CODEBOOK.items()]
    intro = "# Codebook of judgements.csv\n\nUTF-8, one line per judgement, the last one given. "
    return (
        intro
        + "Empty: not asked, or not known.\n\n| column | values | meaning |\n|---|---|---|\n"
        + "\n".join(lines)
        + "\n"
    )


def items(study: Study) -> list[dict[str, Any]]:
    """The frozen replies: item, kind (main, check or practice), condition, question, answer, reply, sha256."""
    sql = (
        "SELECT i.id AS item, i.kind, coalesce(c.name, '') AS condition, i.question, i.answer, i.reply, i.sha256 "
        "FROM items AS i LEFT JOIN conditions AS c ON c.id = i.condition_id ORDER BY i.id"
    )
    with study.reading() as db:
        return list(db.query(sql))


def items_csv(study: Study) -> str:
    return csv_of_records(items(study), ["item", "kind", "condition", "question", "answer", "reply", "sha256"])


def demographics(study: Study) -> dict[str, dict[str, int]]:
    """What participants told about themselves, as counts alone: field -> value ("not said") -> how many."""
    with study.reading() as db:
        told = results.demographics(db)
    found: dict[str, Counter[str]] = {}
    for row in told:
        found.setdefault(row["field"], Counter())[row["value"] or "not said"] += 1
    return {field: dict(sorted(counts.items())) for field, counts in found.items()}


def as_json(study: Study, analysis: Analysis, peek: bool = False) -> str:
    """Everything in one document, ASCII: protocol, hashes, items, judgements, demographics (counts), figures."""
    _unblinded(study, peek)
    document = {
        "study": study.name,
        "state": study.state,
        "protocol": asdict(study.protocol),
        "protocol_sha256": study.protocol_sha256,
        "consent_sha256": study.protocol.consent_sha256,
        "columns": {name: {"values": values, "meaning": meaning} for name, (values, meaning) in CODEBOOK.items()},
        "items": items(study),
        "judgements": study.judgements(),
        "demographics": demographics(study),
        "analysis": analysis.to_json(),
    }
    return json.dumps(document, indent=1, allow_nan=False)


def backup(study: Study, path: Path | str) -> Path:
    """Copy the study's file while it is in use: a whole database as of one moment, in one file.

    BadInput where there is something at `path` already. Raises Failed if the disk refuses.
    """
    path = Path(path)
    if path.exists():
        raise BadInput(f"{path} exists already; choose another name for the copy.")
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with study.reading() as db, closing(sqlite3.connect(part)) as copy:
            db.conn.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # else it would need its journal beside it
            (found,) = copy.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            raise Failed(f"The copy of {study.name} is damaged ({found}); look at {study.path}.")
        part.rename(path)
    except (sqlite3.Error, OSError) as error:
        raise Failed(f"The study can't be copied to {path}: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _unblinded(study: Study, peek: bool) -> None:
    if study.state != "closed" and not peek:
        raise BadInput(
            f"The study {study.name!r} is {study.state}: its figures would unblind you, and looking early makes false "
            "alarms likelier; close it first, or say --peek."
        )
