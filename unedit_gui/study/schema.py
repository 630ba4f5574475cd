"""The tables of a study: one SQLite file holds one study, from its protocol to the last answer.

What a participant gave is never written over. A changed answer is a further revision, `latest` shows the last of
each, and triggers refuse every UPDATE. Rows go only when a participant withdraws: the rater is named in `erasing`
within that transaction, everything about them is deleted, and `tombstones` keeps counts. Nothing here is a name, an
address or the code that a participant holds (of which there is a hash).

| table | a row is |
|---|---|
| study, states | the protocol with its hash, once; draft, open, paused, closed as they came |
| conditions, questions, items | what is compared; what is asked; a frozen reply with its hash |
| list_items | what a list of the Latin square holds, fixed when the study is opened |
| raters, consents, demographics, milestones | a pseudonym; the consent text agreed to; what was told |
| seats, assignments | the list that a rater got; which item stands at which place for them |
| showings, judgements | when an item was first seen; an answer, revision by revision |
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("study")

STATES = ("draft", "open", "paused", "closed")
_FOLLOWS = {"draft": "", "open": "'draft', 'paused'", "paused": "'open'", "closed": "'open', 'paused'"}
PERSONAL = ("judgements", "showings", "assignments", "seats", "milestones", "demographics", "consents", "raters")
_FIXED = ("study", "states", "conditions", "questions", "items", "list_items", "tombstones", *PERSONAL)

_TABLES = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL CHECK (length(name) > 0),
    key TEXT NOT NULL CHECK (length(key) = 4),
    protocol TEXT NOT NULL CHECK (json_valid(protocol)),
    protocol_sha256 TEXT NOT NULL CHECK (length(protocol_sha256) = 64),
    consent_version TEXT NOT NULL CHECK (length(consent_version) > 0),
    consent_sha256 TEXT NOT NULL CHECK (length(consent_sha256) = 64),
    created TEXT NOT NULL
) STRICT;
CREATE TABLE states (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('draft', 'open', 'paused', 'closed')),
    at TEXT NOT NULL
) STRICT;
CREATE TABLE conditions (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),
    settings TEXT NOT NULL CHECK (json_valid(settings))
) STRICT;
CREATE TABLE questions (
    id INTEGER PRIMARY KEY,
    question TEXT NOT NULL UNIQUE CHECK (length(question) > 0),
    answer TEXT NOT NULL CHECK (length(answer) > 0),
    common INTEGER NOT NULL CHECK (common IN (0, 1))
) STRICT;
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('main', 'check', 'practice')),
    question_id INTEGER REFERENCES questions (id),
    condition_id INTEGER REFERENCES conditions (id),
    question TEXT NOT NULL CHECK (length(question) > 0),
    answer TEXT NOT NULL,
    reply TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    source TEXT NOT NULL,
    frozen TEXT NOT NULL,
    expect_forgotten INTEGER CHECK (expect_forgotten IN (0, 1)),
    expect_entailment INTEGER CHECK (expect_entailment BETWEEN 1 AND 5),
    expect_trust INTEGER CHECK (expect_trust BETWEEN 1 AND 5),
    UNIQUE (question_id, condition_id),
    CHECK ((kind = 'main') = (question_id IS NOT NULL)),
    CHECK ((kind = 'main') = (condition_id IS NOT NULL)),
    CHECK ((kind = 'main') = (expect_forgotten IS NULL))
) STRICT;
CREATE TABLE list_items (
    list INTEGER NOT NULL CHECK (list >= 1),
    item INTEGER NOT NULL REFERENCES items (id),
    PRIMARY KEY (list, item)
) STRICT;
CREATE TABLE raters (
    rater TEXT NOT NULL PRIMARY KEY CHECK (length(rater) > 0),
    code_sha256 TEXT NOT NULL UNIQUE CHECK (length(code_sha256) = 64),
    thanks TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE TABLE consents (
    rater TEXT NOT NULL PRIMARY KEY REFERENCES raters (rater),
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE demographics (
    rater TEXT NOT NULL REFERENCES raters (rater),
    field TEXT NOT NULL CHECK (field IN ('gender', 'age', 'education')),
    revision INTEGER NOT NULL CHECK (revision >= 1),
    value TEXT,
    at TEXT NOT NULL,
    PRIMARY KEY (rater, field, revision)
) STRICT, WITHOUT ROWID;
CREATE TABLE milestones (
    rater TEXT NOT NULL REFERENCES raters (rater),
    name TEXT NOT NULL CHECK (name IN ('demographics', 'instructions', 'finished')),
    at TEXT NOT NULL,
    PRIMARY KEY (rater, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE seats (
    rater TEXT NOT NULL PRIMARY KEY REFERENCES raters (rater),
    list INTEGER NOT NULL CHECK (list >= 1),
    number INTEGER NOT NULL UNIQUE CHECK (number >= 1),
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE assignments (
    rater TEXT NOT NULL REFERENCES seats (rater),
    item INTEGER NOT NULL REFERENCES items (id),
    position INTEGER NOT NULL CHECK (position >= 0),
    PRIMARY KEY (rater, item),
    UNIQUE (rater, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE showings (
    rater TEXT NOT NULL,
    item INTEGER NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (rater, item),
    FOREIGN KEY (rater, item) REFERENCES assignments (rater, item)
) STRICT, WITHOUT ROWID;
CREATE TABLE judgements (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rater TEXT NOT NULL,
    item INTEGER NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    forgotten INTEGER NOT NULL CHECK (forgotten IN (0, 1)),
    entailment INTEGER CHECK (entailment BETWEEN 1 AND 5),
    trust INTEGER CHECK (trust BETWEEN 1 AND 5),
    comment TEXT NOT NULL,
    shown_at TEXT NOT NULL,
    submitted_at TEXT NOT NULL,
    focus_seconds REAL CHECK (focus_seconds >= 0),
    nonce TEXT NOT NULL CHECK (length(nonce) > 0),
    UNIQUE (rater, item, revision),
    UNIQUE (rater, nonce),
    CHECK ((entailment IS NOT NULL) = (forgotten = 1)),
    CHECK ((trust IS NOT NULL) = (forgotten = 1)),
    FOREIGN KEY (rater, item) REFERENCES assignments (rater, item)
) STRICT;
CREATE TABLE erasing (rater TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE tombstones (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    judgements INTEGER NOT NULL CHECK (judgements >= 0),
    finished INTEGER NOT NULL CHECK (finished IN (0, 1))
) STRICT;
CREATE VIEW state AS SELECT state, at FROM states ORDER BY id DESC LIMIT 1;
CREATE VIEW latest AS
    SELECT * FROM judgements AS j
    WHERE revision = (SELECT max(revision) FROM judgements WHERE rater = j.rater AND item = j.item);
CREATE VIEW latest_demographics AS
    SELECT * FROM demographics AS d
    WHERE revision = (SELECT max(revision) FROM demographics WHERE rater = d.rater AND field = d.field);
"""


@migrations()
def create_study(db: Database) -> None:
    # sqlite-utils makes no CHECK constraints, so the tables are spelt out.
    for statement in filter(str.strip, _TABLES.split(";\n")):
        db.execute(statement)
    for table in _FIXED:
        _refuse(db, f"{table}_keeps", f"UPDATE ON {table}", "", f"{table} is kept as it was given")
    for table in PERSONAL:
        unless = "NOT EXISTS (SELECT 1 FROM erasing WHERE rater = OLD.rater)"
        _refuse(db, f"{table}_stays", f"DELETE ON {table}", unless, f"{table} is deleted by a withdrawal alone")
    for table in ("study", "states", "conditions", "questions", "items", "list_items", "tombstones"):
        _refuse(db, f"{table}_stays", f"DELETE ON {table}", "", f"{table} is kept")
    for table in ("conditions", "questions", "items", "list_items"):
        begun = "(SELECT state FROM state) <> 'draft'"
        _refuse(db, f"{table}_frozen", f"INSERT ON {table}", begun, "the study is no draft any more")
    for state, before in _FOLLOWS.items():
        wrong = f"coalesce((SELECT state FROM state), '') NOT IN ({before or repr('')})"
        _refuse(db, f"to_{state}", "INSERT ON states", f"NEW.state = '{state}' AND {wrong}", f"not now: {state}")
    shut = "(SELECT state FROM state) <> 'open'"
    for table in ("consents", "seats", "assignments", "judgements"):
        _refuse(db, f"{table}_open", f"INSERT ON {table}", shut, "the study is not open")


# What makes a row of a table that row.
_KEYS = {
    "study": ("id",), "states": ("id",), "conditions": ("id", "name"), "questions": ("id", "question"),
    "items": ("id", "question_id condition_id"), "list_items": ("list item",), "tombstones": ("id",),
    "raters": ("rater", "code_sha256", "thanks"), "consents": ("rater",), "demographics": ("rater field revision",),
    "milestones": ("rater name",), "seats": ("rater", "number"), "assignments": ("rater item", "rater position"),
    "showings": ("rater item",), "judgements": ("id", "rater item revision", "rater nonce"),
}  # fmt: skip
# Written with INSERT OR IGNORE, because whichever of two requests comes second has nothing to add.
_ONCE = ("consents", "milestones", "showings")


@migrations()
def refuse_replacing(db: Database) -> None:
    # INSERT OR REPLACE deletes the row in its way, and asks no trigger about that unless recursive_triggers is on.
    for table, keys in _KEYS.items():
        same = " OR ".join(f"({' AND '.join(f'{column} = NEW.{column}' for column in key.split())})" for key in keys)
        there = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"
        if table in _ONCE:
            db.execute(
                f"CREATE TRIGGER {table}_once BEFORE INSERT ON {table} WHEN {there} BEGIN SELECT RAISE(IGNORE); END"
            )
        else:
            _refuse(db, f"{table}_once", f"INSERT ON {table}", there, f"{table} is kept as it was given")


def _refuse(db: Database, name: str, event: str, when: str, text: str) -> None:
    condition = f"WHEN {when} " if when else ""
    db.execute(f"CREATE TRIGGER {name} BEFORE {event} {condition}BEGIN SELECT RAISE(ABORT, '{text}'); END")
