"""A study in its file: create, freeze, open, pause, close, invite, watch. Taking part is in taking.py.

One connection, one lock and `BEGIN IMMEDIATE` for every write: threads of this program wait for each other here,
other programs (a command beside the server) wait in SQLite. Every write is on the disk when its call returns
(WAL with synchronous = FULL), so that a server that is killed has lost nothing it had said thanks for.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from unedit_gui.errors import BadInput

from . import design
from .codes import hashed, letters, shown
from .contents import add_item, fill, fix_lists, verify
from .database import BUSY, connect, stamp, transaction, worded
from .protocol import Protocol, from_json
from .results import judgements
from .schema import PERSONAL, migrations

_MANY = 10_000  # invitations at once


class Study:
    """One study's file. Threads may share it.

    Every method raises BadInput for what can't be done now, and Failed, in one sentence, if the file is damaged,
    busy or not writable; it is then left as it was.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._lock = threading.RLock()
        self._db: Database | None = None
        self._file: tuple[int, int] | None = None  # which file the connection is to
        self._clean = True  # nothing that was deleted can be left in the journal
        if not self.path.is_file():
            raise BadInput(f"There is no study {self.path.stem!r}; `python -m unedit_gui study list` lists them.")

    @classmethod
    def create(cls, path: Path | str, name: str, protocol: Protocol) -> Study:
        """A new study, as a draft. BadInput where there is one already."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.open("xb").close()
        except FileExistsError:
            raise BadInput(f"There is a study {name!r} already; choose another name.") from None
        try:
            study = cls(path)
            with study.writing() as db:
                fill(db, name, protocol)
            return study
        except BaseException:
            path.unlink()
            raise

    def disconnect(self) -> None:
        """Let go of the file; the next call takes it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def replaced(self) -> bool:
        """Whether the file that this study was read from is gone, or is another one by now."""
        try:
            return self._file not in (None, _identity(self.path))
        except OSError:
            return True

    # ------------------------------------------------------------ connection

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """The connection inside a transaction that no other writer can come between."""
        with self._lock, self._worded(), transaction(self._connected(), migrations) as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[Database]:
        with self._lock, self._worded():
            yield self._connected()

    def _connected(self) -> Database:
        if self._db is None:
            self._db = connect(self.path)
            self._file = self._file or _identity(self.path)
            self._clean = False  # a program may have been killed amid erasing
        if not self._clean and not self._db.conn.in_transaction:
            self._scrub()
        return self._db

    def _scrub(self) -> None:
        """Empty the journal, which still holds what was deleted. While another program reads, it can't be emptied, and
        the next call tries again."""
        self._db.execute("PRAGMA busy_timeout = 200")
        try:
            self._clean = not self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY)}")

    def _worded(self) -> AbstractContextManager[None]:
        damaged = "{path} is damaged or no study ({error})"
        return worded(self.path, "The study is", "The study can't take that", damaged)

    # ----------------------------------------------------------------- facts

    @cached_property
    def _told(self) -> dict[str, Any]:
        with self.reading() as db:
            return next(iter(db.query("SELECT * FROM study")))

    @property
    def name(self) -> str:
        return self._told["name"]

    @property
    def key(self) -> str:
        """Four letters with which every code of this study begins."""
        return self._told["key"]

    @property
    def protocol_sha256(self) -> str:
        return self._told["protocol_sha256"]

    @cached_property
    def protocol(self) -> Protocol:
        return from_json(self._told["protocol"])

    @property
    def state(self) -> str:
        """draft, open, paused or closed."""
        with self.reading() as db:
            return db.execute("SELECT state FROM state").fetchone()[0]

    def judgements(self) -> list[dict[str, Any]]:
        """See `results.judgements`."""
        with self.reading() as db:
            return judgements(db)

    def verify(self) -> None:
        """See `contents.verify`."""
        with self.reading() as db:
            verify(db)

    # -------------------------------------------------------------- freezing

    def missing(self) -> list[tuple[str, str]]:
        """The (question, condition) that have no frozen reply yet, condition by condition."""
        with self.reading() as db:
            return [
                tuple(row)
                for row in db.execute(
                    "SELECT q.question, c.name FROM conditions AS c CROSS JOIN questions AS q "
                    "LEFT JOIN items AS i ON i.question_id = q.id AND i.condition_id = c.id "
                    "WHERE i.id IS NULL ORDER BY c.id, q.id"
                )
            ]

    def sources(self, condition: str) -> set[str]:
        """What is noted of where the frozen replies of a condition come from."""
        with self.reading() as db:
            sql = (
                "SELECT DISTINCT source FROM items AS i JOIN conditions AS c ON c.id = i.condition_id WHERE c.name = ?"
            )
            return {row[0] for row in db.execute(sql, [condition])}

    def add_replies(self, replies: Sequence[tuple[str, str, str]], source: str) -> int:
        """Freeze replies, given as (question, condition, reply): text and hash. Returns how many were new.

        One that is frozen already must be the same; BadInput for one that differs, and then none is stored.
        """
        with self.writing() as db:
            _only(db, "draft", "Replies are frozen while a study is a draft")
            questions = {row["question"]: row for row in db.query("SELECT * FROM questions")}
            conditions = {name: id for id, name in db.execute("SELECT id, name FROM conditions")}
            new = 0
            for question, condition, reply in replies:
                if question not in questions or condition not in conditions:
                    what, name = ("question", question) if question not in questions else ("condition", condition)
                    raise BadInput(f"The study has no {what} {name[:80]!r}; replies need the protocol's own words.")
                if not reply.strip():
                    raise BadInput(f"The reply of {condition} to {question[:60]!r} is empty; nobody could judge it.")
                asked, reply = questions[question], reply.strip()
                place = (asked["id"], conditions[condition])
                sql = "SELECT reply FROM items WHERE question_id = ? AND condition_id = ?"
                there = db.execute(sql, place).fetchone()
                if there and there[0] != reply:
                    raise BadInput(f"Another reply of {condition} to {question[:60]!r} is frozen already.")
                if not there:
                    add_item(db, "main", question, asked["answer"], reply, source, place)
                    new += 1
            return new

    # ---------------------------------------------------------------- states

    def open(self) -> None:
        """From draft (everything is fixed from now on) or from paused to open."""
        self.verify()
        if self.state == "draft" and (missing := self.missing()):
            question, condition = missing[0]
            raise BadInput(
                f"{len(missing)} replies are not frozen yet (of {condition} to {question[:60]!r}, for one); "
                "run `study freeze` first."
            )
        with self.writing() as db:
            if db.execute("SELECT state FROM state").fetchone()[0] == "draft":
                fix_lists(db, self.protocol)
            _to(db, "open")

    def pause(self) -> None:
        """Let nobody answer for the time being."""
        with self.writing() as db:
            _to(db, "paused")

    def close(self) -> None:
        """End the study. It can't be opened again; participants may still withdraw."""
        with self.writing() as db:
            _to(db, "closed")

    def balance(self) -> dict[str, Any]:
        """`lists`, `items` and `checks` of each rater, `common`, and `imbalance` (0: each condition equally often)."""
        protocol = self.protocol
        common = design.common_questions(len(protocol.questions), protocol.common, protocol.seed)
        lists = design.latin_square(len(protocol.questions), len(protocol.conditions), common, protocol.seed)
        return {
            "lists": len(lists),
            "items": len(protocol.questions),
            "checks": len(protocol.checks),
            "common": len(common),
            "per_condition": len(protocol.questions) // len(lists),
            "imbalance": design.imbalance(lists, len(protocol.conditions)),
        }

    # ---------------------------------------------------------- participants

    def invite(self, count: int) -> list[str]:
        """New codes, one for each participant. They are told here and nowhere else: the file keeps their hashes."""
        if not 1 <= count <= _MANY:
            raise BadInput(f"{count} invitations: give 1 to {_MANY:,}.")
        codes = []
        with self.writing() as db:
            if db.execute("SELECT state FROM state").fetchone()[0] == "closed":
                raise BadInput("The study is closed; nobody can be invited any more.")
            for _ in range(count):
                code = self.key + letters(8)
                row = {"rater": letters(6), "code_sha256": hashed(code), "thanks": letters(7)}
                db.execute("INSERT INTO raters VALUES (:rater, :code_sha256, :thanks)", row)
                codes.append(shown(code))
        return codes

    def filled(self, db: Database, now: datetime) -> Counter[int]:
        """How many raters each list has: those who finished, and those who were active lately."""
        since = stamp(now - timedelta(hours=self.protocol.dropout_hours))
        return Counter(row["list"] for row in db.query(_ACTIVITY) if row["finished"] or row["last"] >= since)

    def status(self, now: datetime | None = None) -> dict[str, Any]:
        """Where the study stands: counts alone, and no condition."""
        now = now or datetime.now(UTC)
        protocol, since = self.protocol, stamp((now) - timedelta(hours=self.protocol.dropout_hours))
        with self.reading() as db:
            seats = list(db.query(_ACTIVITY))
            lists = [row[0] for row in db.execute("SELECT DISTINCT list FROM list_items ORDER BY list")]
            filled = self.filled(db, now)
            count = lambda sql: db.execute(sql).fetchone()[0]  # noqa: E731
            rows = judgements(db)
            return {
                "name": self.name,
                "title": protocol.title,
                "state": self.state,
                "key": self.key,
                "protocol_sha256": self.protocol_sha256,
                "questions": len(protocol.questions),
                "conditions": len(protocol.conditions),
                "frozen": count("SELECT count(*) FROM items WHERE kind = 'main'"),
                "missing": len(self.missing()),
                "invited": count("SELECT count(*) FROM raters"),
                "consented": count("SELECT count(*) FROM consents"),
                "began": len(seats),
                "finished": sum(row["finished"] for row in seats),
                "dropped_out": sum(not row["finished"] and row["last"] < since for row in seats),
                "withdrawn": count("SELECT count(*) FROM tombstones"),
                "judgements": sum(not row["practice"] and not row["attention_check"] for row in rows),
                "flagged": sum(
                    not row["practice"] and ("fast" in row["flags"] or "failed_check" in row["flags"]) for row in rows
                ),
                "lists": [{"list": name, "raters": filled.get(name, 0)} for name in lists],
            }

    def raters(self) -> list[dict[str, Any]]:
        """Every rater that has begun: `rater`, `list`, `answered`, `finished`, `last` (time of the last sign)."""
        with self.reading() as db:
            return [{**row, "finished": bool(row["finished"])} for row in db.query(_ACTIVITY)]

    def erase(self, rater: str, now: datetime | None = None) -> None:
        """Delete everything about a rater, for good; counts alone stay behind."""
        day = stamp(now or datetime.now(UTC))[:10]
        with self.writing() as db:
            if not db.execute("SELECT 1 FROM raters WHERE rater = ?", [rater]).fetchone():
                return
            given = db.execute("SELECT count(*) FROM latest WHERE rater = ?", [rater]).fetchone()[0]
            sql = "SELECT count(*) FROM milestones WHERE rater = ? AND name = 'finished'"
            finished = db.execute(sql, [rater]).fetchone()[0]
            db.execute("INSERT INTO erasing VALUES (?)", [rater])
            for table in PERSONAL:
                db.execute(f"DELETE FROM {table} WHERE rater = ?", [rater])
            db.execute("DELETE FROM erasing")
            sql = "INSERT INTO tombstones (day, judgements, finished) VALUES (?, ?, ?)"
            db.execute(sql, [day, given, finished])
            self._clean = False
        with self.reading():  # else the journal would still hold what was deleted until the next call
            pass


_ACTIVITY = """
SELECT s.rater, s.list, s.number,
       (SELECT count(*) FROM latest AS l JOIN assignments AS a ON a.rater = l.rater AND a.item = l.item
        WHERE l.rater = s.rater AND a.position > 0) AS answered,
       EXISTS (SELECT 1 FROM milestones AS m WHERE m.rater = s.rater AND m.name = 'finished') AS finished,
       max(s.at, coalesce((SELECT max(at) FROM showings WHERE rater = s.rater), ''),
           coalesce((SELECT max(submitted_at) FROM judgements WHERE rater = s.rater), '')) AS last
FROM seats AS s ORDER BY s.number
"""


def _only(db: Database, state: str, what: str) -> None:
    found = db.execute("SELECT state FROM state").fetchone()[0]
    if found != state:
        raise BadInput(f"{what}; this one is {found}.")


def _to(db: Database, state: str) -> None:
    now = db.execute("SELECT state FROM state").fetchone()[0]
    before = {"open": ("draft", "paused"), "paused": ("open",), "closed": ("open", "paused")}[state]
    if now not in before:
        raise BadInput(f"The study is {now}, so it can't become {state} now.")
    db.execute("INSERT INTO states (state, at) VALUES (?, ?)", [state, stamp(datetime.now(UTC))])


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def facts(study: Study) -> Mapping[str, Any]:
    """A line of the list of studies."""
    names = ("name", "title", "state", "invited", "began", "finished", "judgements")
    told = study.status()
    return {name: told[name] for name in names}
