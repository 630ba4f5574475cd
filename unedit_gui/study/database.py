"""The SQLite of what people gave: a connection that keeps everything, one writer at a time, errors in a sentence.

Studies and the lab's ratings both stand on this. GRADIO.md's measurements are why: `db.atomic()` begins deferred, so
that of twenty threads that read and then insert most fail; with `BEGIN IMMEDIATE` none does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database, Migrations

from unedit_gui.errors import BadInput, Failed

BUSY = 10.0  # seconds to wait for another program
# recursive_triggers: else INSERT OR REPLACE deletes the row that it replaces without asking a trigger.
# synchronous: what was thanked for is on the disk, also if the power goes.
_PRAGMAS = ("foreign_keys = ON", "recursive_triggers = ON", "secure_delete = ON", "synchronous = FULL")


def connect(path: Path) -> Database:
    """A connection that any thread may use, one at a time; the file is made where there is none."""
    connection = sqlite3.connect(path, timeout=BUSY, check_same_thread=False)
    try:
        db = Database(connection)
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        if db.journal_mode != "wal":
            _enable_wal(db)
    except BaseException:
        connection.close()
        raise
    return db


def _enable_wal(db: Database) -> None:
    """Let readers not wait for writers. Impossible while another connection writes: then the next does it."""
    try:
        db.enable_wal()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise


@contextmanager
def transaction(db: Database, migrations: Migrations) -> Iterator[Database]:
    """A transaction that no other writer can come between, on a file that is brought up to date first."""
    db.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(db)
        yield db
        db.conn.commit()
    except BaseException:
        db.conn.rollback()
        raise


class Refused(BadInput):
    """A constraint or a trigger said no. Its words name tables, so they are not for participants."""


@contextmanager
def worded(path: Path, what: str, refused: str, damaged: str) -> Iterator[None]:
    """Turns what SQLite and the disk say into one sentence.

    Args:
        what: what the file holds, with its verb: "The study is".
        refused: what a constraint's refusal is called; it raises Refused, everything else Failed.
        damaged: what is to be done about a file that is no such database.
    """
    subject = what.rpartition(" ")[0]
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise Refused(f"{refused}: {error}.") from error
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise Failed(f"{what} busy: another program holds {path.name}; try again.") from error
        raise Failed(f"{subject} can't be read or written: {error}; look at {path}.") from error
    except sqlite3.Error as error:
        raise Failed(f"{damaged.format(path=path, error=error)}.") from error
    except OSError as error:
        raise Failed(f"{subject} can't be kept in {path}: {error.strerror}.") from error


def stamp(moment: datetime) -> str:
    """A time as it is stored: UTC, ISO 8601 with milliseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
