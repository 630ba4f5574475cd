"""Blinded duels: two variants answer a question, somebody votes without knowing which is which, and the votes are kept.

A vote is one row beside the ratings, never overwritten. Who stood left is drawn by `left_first`, so that a habit of
preferring one side favours nobody. `standing` counts: of the decided votes (left or right won) the share that a variant
won, with Wilson's interval, as if all votes were independent; ties and "both bad" are listed beside it and decide
nothing.
"""

from __future__ import annotations

import random
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database, Migrations

from unedit_gui.errors import BadInput

from .database import connect, transaction, worded
from .stat import Stat, wilson

VOTES = ("left", "right", "tie", "bad")
MAX_TEXT = 20_000  # characters
ORIGINAL = "original"  # the id of the model as it came


def left_first(seed: int | str, number: int) -> bool:
    """Whether the first of two variants stands left in a session's duel of this number."""
    return random.Random(f"{seed}/{number}").random() < 0.5


@dataclass(frozen=True)
class Vote:
    """One vote. `left_id` and `right_id`: the ids of the edits, joined by "+", or ORIGINAL. BadInput if it isn't whole.

    `nonce` tells one vote from the next: the same again, as of a double click, is the same vote.
    """

    question: str
    left_id: str
    left_name: str
    left_reply: str
    right_id: str
    right_name: str
    right_reply: str
    vote: str
    model: str
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self):
        for name, value in asdict(self).items():
            if not isinstance(value, str):
                raise BadInput(f"The vote's {name} must be a text, not {type(value).__name__}.")
            if re.search(r"[\0\ud800-\udfff]", value) or len(value) > MAX_TEXT:
                raise BadInput(
                    f"The vote's {name} can't be stored: it is too long or holds a character without a form."
                )
        if self.vote not in VOTES:
            raise BadInput(f"{self.vote!r} is no vote; vote {', '.join(VOTES)}.")
        if not (self.question.strip() and self.left_id and self.right_id and self.nonce):
            raise BadInput("A vote needs a question, two variants and a nonce.")
        if self.left_id == self.right_id:
            raise BadInput("Both sides are the same variant; choose two that differ.")


COLUMNS = ("id", "created", *(f.name for f in fields(Vote)))


@dataclass(frozen=True)
class Line:
    """How often a variant won, against one other or (`other` "") against all."""

    name: str
    other: str
    wins: int
    losses: int
    ties: int
    bad: int
    share: Stat  # of the decided votes

    @property
    def n(self) -> int:
        """All votes."""
        return self.wins + self.losses + self.ties + self.bad

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share.to_json(), "n": self.n}


def standing(votes: Sequence[Mapping[str, Any]]) -> tuple[list[Line], list[Line]]:
    """Per variant against all, the best first; and per pair, each pair once.

    A variant goes by its ids, so that two edits of one name stay two; it is called by its newest name, with the id's
    first digits where names are the same.
    """
    names = {row[f"{side}_id"]: row[f"{side}_name"] for row in votes for side in ("left", "right")}
    same = Counter(names.values())
    called = {id: f"{name} ({id[:8]})" if same[name] > 1 else name for id, name in names.items()}
    alone: dict[str, Counter] = {id: Counter() for id in names}
    pairs: dict[tuple[str, str], Counter] = {}
    for row in votes:
        left, right = row["left_id"], row["right_id"]
        first, second = sorted((left, right))
        won = {"left": left, "right": right}.get(row["vote"], "")
        for me, counts in (
            (left, alone[left]),
            (right, alone[right]),
            (first, pairs.setdefault((first, second), Counter())),
        ):
            counts[row["vote"] if not won else "wins" if won == me else "losses"] += 1

    def line(me: str, other: str, found: Counter) -> Line:
        wins, losses = found["wins"], found["losses"]
        return Line(called[me], other, wins, losses, found["tie"], found["bad"], wilson(wins, wins + losses))

    ranked = [line(id, "", found) for id, found in alone.items()]
    ranked.sort(key=lambda line: (-(line.share.value if line.share.value is not None else -1), -line.n, line.name))
    return ranked, [line(a, called[b], found) for (a, b), found in pairs.items()]


class Duels:
    """The votes of one SQLite file (the ratings' one), which the first vote creates.

    Every method raises Failed, in one sentence, if the file is damaged, busy or not writable; it is left as it was.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def add(self, vote: Vote) -> int:
        """Store a vote, and return its id; one whose nonce is known already is not stored again."""
        with self._writing() as db:
            known = db.execute("SELECT id FROM duels WHERE nonce = ?", [vote.nonce]).fetchone()
            if known:
                return known[0]
            values = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(vote)}
            marks = ", ".join(f":{name}" for name in values)
            return db.execute(f"INSERT INTO duels ({', '.join(values)}) VALUES ({marks})", values).lastrowid

    def all(self) -> list[dict[str, Any]]:
        """The votes, oldest first. Keys: COLUMNS (`created` is UTC, ISO 8601)."""
        with self._reading() as db:
            return list(db.query(f"SELECT {', '.join(COLUMNS)} FROM duels ORDER BY id")) if db else []

    def to_csv(self) -> str:
        """The votes as CSV; what a spreadsheet would take for a formula begins with an apostrophe."""
        from unedit_gui.spreadsheet import csv_of

        return csv_of(COLUMNS, (row.values() for row in self.all()))

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._worded(), closing(connect(self.path)) as db, transaction(db, migrations):
            yield db

    @contextmanager
    def _reading(self) -> Iterator[Database | None]:
        """A connection, or None where nobody has voted."""
        with self._worded():
            if not self.path.exists() or self.path.stat().st_size == 0:
                yield None
                return
            with closing(connect(self.path)) as db:
                yield db if db["duels"].exists() else None

    def _worded(self) -> AbstractContextManager[None]:
        damaged = "The votes can't be read: {path} is damaged or no such file ({error}); move it elsewhere"
        return worded(self.path, "The votes are", "The votes can't take that", damaged)


migrations = Migrations("duels")


@migrations()
def create_duels(db: Database) -> None:
    texts = ",\n".join(f"{f.name} TEXT NOT NULL" for f in fields(Vote) if f.name not in ("vote", "nonce"))
    db.execute(
        f"""
        CREATE TABLE duels (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            created TEXT NOT NULL,
            {texts},
            vote TEXT NOT NULL CHECK (vote IN ('left', 'right', 'tie', 'bad')),
            nonce TEXT NOT NULL UNIQUE CHECK (length(nonce) > 0),
            CHECK (left_id <> right_id)
        ) STRICT
        """
    )
    kept = "BEGIN SELECT RAISE(ABORT, 'votes are kept as they were given'); END"
    db.execute(f"CREATE TRIGGER duels_stay BEFORE DELETE ON duels {kept}")
    db.execute(f"CREATE TRIGGER duels_keep_their_values BEFORE UPDATE ON duels {kept}")
