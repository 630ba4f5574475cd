"""The ratings given in the lab: one SQLite file that loses nothing.

Each rating is one row, never overwritten: deleting sets a mark that `restore` takes away, and the file itself
refuses everything else. Every call opens its own connection and writes inside `BEGIN IMMEDIATE`, so that
threads and processes may rate at the same time.

Forget quality asks whether the edited reply gives the fact away no more (1) or still does (0). Entailment
(does the reply show that it understood the question?) and trust (does it sound trustworthy?) are asked only
where it is 1.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database, Migrations

from unedit_gui.errors import BadInput
from unedit_gui.spreadsheet import csv_of

from .database import connect, transaction, worded

SCALE = (1, 2, 3, 4, 5)
MAX_COMMENT = 10_000  # characters


@dataclass(frozen=True)
class Rating:
    """One person's judgement of one reply. Raises BadInput if it is not complete.

    `entailment` and `trust` (1 to 5) are given exactly if `forget_quality` is 1. `nonce` tells one submission
    from the next: the same nonce again, as of a double click or a reloaded page, is the same rating.
    """

    question: str
    answer: str
    reply_original: str
    reply_edited: str
    edit_id: str
    edit_name: str
    method: str
    model: str
    forget_quality: int
    entailment: int | None = None
    trust: int | None = None
    comment: str = ""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self):
        if not _among(self.forget_quality, (0, 1)):
            raise BadInput("Say first whether the answer is forgotten: forget quality is 0 (no) or 1 (yes).")
        for name in ("entailment", "trust"):
            value = getattr(self, name)
            if self.forget_quality == 1 and not _among(value, SCALE):
                raise BadInput(f"Rate the {name} from 1 to 5: it is asked where the answer is forgotten.")
            if self.forget_quality == 0 and value is not None:
                raise BadInput(f"Leave the {name} out: it is asked only where the answer is forgotten.")
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str):
                raise BadInput(f"The rating's {name} must be a text, not {type(value).__name__}.")
            if re.search(r"[\0\ud800-\udfff]", value):
                raise BadInput(f"The rating's {name} contains a character that can't be stored; remove it.")
            if name in ("question", "edit_id", "nonce") and not value.strip():
                raise BadInput(f"The rating's {name} is empty; rate a reply of the chat.")
        if len(self.comment) > MAX_COMMENT:
            raise BadInput(f"The comment has {len(self.comment):,} characters; {MAX_COMMENT:,} are allowed.")


_NAMES = tuple(f.name for f in fields(Rating))
_TEXTS = tuple(name for name in _NAMES if name not in ("forget_quality", "entailment", "trust"))
COLUMNS = ("id", "created", *_NAMES)


class Ratings:
    """The ratings of one SQLite file, which the first rating creates.

    Every method raises Failed, in one sentence, if the file is damaged, no database, busy or not writable; it
    is then left as it was.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def add(self, rating: Rating) -> int:
        """Store a rating, and return its id; a rating whose nonce is known already is not stored again."""
        with self._writing() as db:
            known = db.execute("SELECT id FROM ratings WHERE nonce = ?", [rating.nonce]).fetchone()
            if known:
                return known[0]
            values = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(rating)}
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            return db.execute(f"INSERT INTO ratings ({names}) VALUES ({marks})", values).lastrowid

    def all(self) -> list[dict[str, Any]]:
        """The ratings, oldest first, without the deleted ones. Keys: COLUMNS (`created` is UTC, ISO 8601)."""
        with self._reading() as db:
            sql = f"SELECT {', '.join(COLUMNS)} FROM ratings WHERE deleted IS NULL ORDER BY id"
            return list(db.query(sql)) if db else []

    def count(self) -> int:
        """How many ratings there are, without the deleted ones."""
        with self._reading() as db:
            sql = "SELECT count(*) FROM ratings WHERE deleted IS NULL"
            return db.execute(sql).fetchone()[0] if db else 0

    def to_csv(self) -> str:
        """The ratings as CSV with a header. A text that a spreadsheet would take for a formula begins with an
        apostrophe, and every text is in quotation marks."""
        return csv_of(COLUMNS, (row.values() for row in self.all()))

    def delete(self, id: int) -> None:
        """Take a rating out of the list, the count and the CSV. BadInput if there is none with this id."""
        self._mark(id, datetime.now(UTC).isoformat(timespec="seconds"))

    def restore(self, id: int) -> None:
        """Undo `delete`. BadInput if there never was a rating with this id."""
        self._mark(id, None)

    def _mark(self, id: int, deleted: str | None) -> None:
        with self._writing() as db:
            found = db.execute("UPDATE ratings SET deleted = ? WHERE id = ?", [deleted, id]).rowcount
        if not found:
            raise BadInput(f"There is no rating {id}; load the list again.")

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        with self._worded(), closing(self._open()) as db, transaction(db, migrations):
            yield db

    @contextmanager
    def _reading(self) -> Iterator[Database | None]:
        """A connection, or None where nothing was ever rated."""
        with self._worded():
            if not self.path.exists() or self.path.stat().st_size == 0:
                yield None
                return
            with closing(self._open()) as db:
                if not migrations.pending(db):
                    yield db
                    return
            with self._writing() as db:  # a file of an older version: bring it up to date first
                yield db

    def _open(self) -> Database:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return connect(self.path)

    def _worded(self) -> AbstractContextManager[None]:
        damaged = (
            "The ratings can't be read: {path} is damaged or no ratings file ({error}); move it elsewhere to begin a "
            "new one"
        )
        return worded(self.path, "The ratings are", "The ratings can't take that", damaged)


migrations = Migrations("ratings")


@migrations()
def create_ratings(db: Database) -> None:
    # sqlite-utils makes no CHECK constraints, so the table is spelt out.
    db.execute(
        """
        CREATE TABLE ratings (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            created TEXT NOT NULL,
            question TEXT NOT NULL CHECK (length(question) > 0),
            answer TEXT NOT NULL,
            reply_original TEXT NOT NULL,
            reply_edited TEXT NOT NULL,
            edit_id TEXT NOT NULL CHECK (length(edit_id) > 0),
            edit_name TEXT NOT NULL,
            method TEXT NOT NULL,
            model TEXT NOT NULL,
            forget_quality INTEGER NOT NULL CHECK (forget_quality IN (0, 1)),
            entailment INTEGER CHECK (entailment BETWEEN 1 AND 5),
            trust INTEGER CHECK (trust BETWEEN 1 AND 5),
            comment TEXT NOT NULL,
            nonce TEXT NOT NULL UNIQUE CHECK (length(nonce) > 0),
            deleted TEXT,
            CHECK ((entailment IS NOT NULL) = (forget_quality = 1)),
            CHECK ((trust IS NOT NULL) = (forget_quality = 1))
        ) STRICT
        """
    )
    kept = "BEGIN SELECT RAISE(ABORT, 'ratings are kept as they were given'); END"
    db.execute(f"CREATE TRIGGER ratings_stay BEFORE DELETE ON ratings {kept}")
    given = ", ".join(COLUMNS)
    db.execute(f"CREATE TRIGGER ratings_keep_their_values BEFORE UPDATE OF {given} ON ratings {kept}")


def _among(value: Any, allowed: tuple[int, ...]) -> bool:
    return type(value) is int and value in allowed
