"""What a study is made of, written into its tables once: protocol, frozen replies, lists. And whether it still is."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

from sqlite_utils import Database

from unedit_gui.errors import Failed

from . import design
from .codes import letters
from .database import stamp
from .protocol import Protocol, sha256

_CHANGED = "the file was changed from outside"


def fill(db: Database, name: str, protocol: Protocol) -> None:
    text, now = protocol.to_json(), stamp(datetime.now(UTC))
    row = (name, letters(4), text, sha256(text), protocol.consent_version, protocol.consent_sha256, now)
    db.execute("INSERT INTO study VALUES (1, ?, ?, ?, ?, ?, ?, ?)", row)
    db.execute("INSERT INTO states (state, at) VALUES ('draft', ?)", [now])
    for condition in protocol.conditions:
        sql = "INSERT INTO conditions (name, settings) VALUES (?, ?)"
        db.execute(sql, [condition.name, json.dumps(asdict(condition))])
    common = design.common_questions(len(protocol.questions), protocol.common, protocol.seed)
    for place, asked in enumerate(protocol.questions):
        sql = "INSERT INTO questions (question, answer, common) VALUES (?, ?, ?)"
        db.execute(sql, [asked.question, asked.answer, int(place in common)])
    known = [("practice", protocol.practice)] if protocol.practice else []
    for kind, worked in [*known, *(("check", check) for check in protocol.checks)]:
        wanted = (worked.forgotten, worked.entailment, worked.trust)
        add_item(db, kind, worked.question, worked.answer, worked.reply, "protocol", (None, None), wanted)


def add_item(db: Database, kind: str, question, answer, reply, source, place, wanted=(None, None, None)) -> None:
    values = [kind, *place, question, answer, reply, sha256(reply), source, stamp(datetime.now(UTC)), *wanted]
    db.execute(
        "INSERT INTO items (kind, question_id, condition_id, question, answer, reply, sha256, source, frozen, "
        "expect_forgotten, expect_entailment, expect_trust) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )


def fix_lists(db: Database, protocol: Protocol) -> None:
    common = design.common_questions(len(protocol.questions), protocol.common, protocol.seed)
    lists = design.latin_square(len(protocol.questions), len(protocol.conditions), common, protocol.seed)
    sql = "SELECT question_id, condition_id, id FROM items WHERE kind = 'main'"
    items = {(question, condition): item for question, condition, item in db.execute(sql)}
    for number, made in enumerate(lists, 1):
        for question, condition in made.items():  # ids count from 1, places from 0
            db.execute("INSERT INTO list_items VALUES (?, ?)", [number, items[question + 1, condition + 1]])


def verify(db: Database) -> None:
    """Raises Failed unless protocol, consent text and frozen replies are those whose hashes were stored with them."""
    told, digest, consent = db.execute("SELECT protocol, protocol_sha256, consent_sha256 FROM study").fetchone()
    if sha256(told) != digest or sha256(json.loads(told)["consent"]) != consent:
        raise Failed(f"The protocol is not the one that was stored; {_CHANGED}.")
    for item, reply, digest in db.execute("SELECT id, reply, sha256 FROM items"):
        if sha256(reply) != digest:
            raise Failed(f"The frozen reply {item} is not what was frozen; {_CHANGED}.")
