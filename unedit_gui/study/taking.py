"""Taking part: from a code to the last answer. Everything here may be called twice, or at once, without harm.

A participant is known by a code; the file knows its hash, and a pseudonym. Where they are is not stored but read off
what they have given, so that a reload, a second tab, another device or a killed server can't lead astray.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlite_utils import Database

from unedit_gui.errors import BadInput

from . import design
from .codes import hashed
from .database import stamp
from .protocol import DEMOGRAPHICS, sha256
from .store import Study

MAX_COMMENT = 4000  # characters
CONSENT, ABOUT, INSTRUCTIONS, PRACTICE, ITEM, THANKS = "consent", "about", "instructions", "practice", "item", "thanks"


@dataclass(frozen=True)
class Where:
    """Where a participant is: `step`, and among the items the `position` of the first without an answer."""

    rater: str
    step: str
    position: int
    items: int
    answered: int
    thanks: str


@dataclass(frozen=True)
class Given:
    """An answer as it was given: the scales are there exactly where forgotten."""

    forgotten: int
    entailment: int | None = None
    trust: int | None = None
    comment: str = ""
    focus_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.forgotten not in (0, 1):
            raise BadInput("Please answer the first question.")
        for value in (self.entailment, self.trust):
            if (value in (1, 2, 3, 4, 5)) != (self.forgotten == 1):
                raise BadInput("Please answer both scales, from 1 to 5.")
        if len(self.comment) > MAX_COMMENT:
            raise BadInput(f"Please shorten the comment to {MAX_COMMENT:,} characters.")

    @property
    def values(self) -> tuple:
        return (self.forgotten, self.entailment, self.trust, self.comment)


@dataclass(frozen=True)
class Shown:
    """What one item shows, and the answer that was given to it before (None: none)."""

    position: int
    question: str
    answer: str
    reply: str
    given: Given | None


def rater_of(study: Study, code: str) -> str | None:
    """The pseudonym behind a code; None for a code that isn't known (any more)."""
    with study.reading() as db:
        found = db.execute("SELECT rater FROM raters WHERE code_sha256 = ?", [hashed(code)]).fetchone()
    return found[0] if found else None


def where(study: Study, rater: str) -> Where:
    """Where this participant goes on."""
    with study.reading() as db:
        has = lambda sql: db.execute(sql, [rater]).fetchone() is not None  # noqa: E731
        told = {row[0] for row in db.execute("SELECT name FROM milestones WHERE rater = ?", [rater])}
        places = db.execute(
            "SELECT a.position, l.id IS NOT NULL FROM assignments AS a "
            "LEFT JOIN latest AS l ON l.rater = a.rater AND l.item = a.item WHERE a.rater = ? ORDER BY a.position",
            [rater],
        ).fetchall()
        thanks = db.execute("SELECT thanks FROM raters WHERE rater = ?", [rater]).fetchone()
        consented = has("SELECT 1 FROM consents WHERE rater = ?")
    open_places = [position for position, answered in places if not answered]
    if not consented:
        step = CONSENT
    elif study.protocol.demographics and "demographics" not in told:
        step = ABOUT
    elif "instructions" not in told:
        step = INSTRUCTIONS
    elif not open_places:
        step = THANKS
    else:
        step = PRACTICE if open_places[0] == 0 else ITEM
    items = sum(position > 0 for position, _ in places)
    answered = sum(position > 0 and bool(there) for position, there in places)
    return Where(rater, step, open_places[0] if open_places else 0, items, answered, thanks[0] if thanks else "")


def consent(study: Study, rater: str, agreed_to: str) -> None:
    """Agree to the consent text whose hash is `agreed_to`."""
    protocol = study.protocol
    if agreed_to != protocol.consent_sha256:
        raise BadInput("The consent text is another one by now; please read it again.")
    with study.writing() as db:
        _check(db, rater)
        row = [rater, protocol.consent_version, agreed_to, _now()]
        db.execute("INSERT OR IGNORE INTO consents VALUES (?, ?, ?, ?)", row)


def tell(study: Study, rater: str, told: dict[str, str]) -> None:
    """Store demographics: {field: one of its values, or "" for rather not}."""
    values = {}
    for field, must in study.protocol.demographics:
        value = told.get(field, "")
        if value not in (*DEMOGRAPHICS[field], "") or (must and not value):
            raise BadInput(f"Please choose an answer for {field}.")
        values[field] = value or None
    with study.writing() as db:
        _check(db, rater)
        for field, value in values.items():
            sql = "SELECT value, revision FROM latest_demographics WHERE rater = ? AND field = ?"
            before = db.execute(sql, [rater, field]).fetchone()
            if before is None or before[0] != value:
                revision = before[1] + 1 if before else 1
                row = [rater, field, revision, value, _now()]
                db.execute("INSERT INTO demographics VALUES (?, ?, ?, ?, ?)", row)
        _milestone(db, rater, "demographics")


def begin(study: Study, rater: str, now: datetime | None = None) -> None:
    """The instructions were read: take a seat on the least-filled list."""
    now, protocol = now or datetime.now(UTC), study.protocol
    with study.writing() as db:
        _check(db, rater)
        _milestone(db, rater, "instructions")
        if db.execute("SELECT 1 FROM seats WHERE rater = ?", [rater]).fetchone():
            return
        number = db.execute("SELECT coalesce(max(number), 0) + 1 FROM seats").fetchone()[0]
        lists = [row[0] for row in db.execute("SELECT DISTINCT list FROM list_items ORDER BY list")]
        chosen = design.least_filled(study.filled(db, now), lists, protocol.seed, number)
        db.execute("INSERT INTO seats VALUES (?, ?, ?, ?)", [rater, chosen, number, stamp(now)])
        # By question: items are numbered as they were frozen, condition by condition.
        sql = (
            "SELECT l.item FROM list_items AS l JOIN items AS i ON i.id = l.item WHERE l.list = ? "
            "ORDER BY i.question_id"
        )
        items = [row[0] for row in db.execute(sql, [chosen])]
        checks = [row[0] for row in db.execute("SELECT id FROM items WHERE kind = 'check' ORDER BY id")]
        practice = [row[0] for row in db.execute("SELECT id FROM items WHERE kind = 'practice'")]
        found = design.order(items, checks, protocol.order, protocol.seed, number)
        rows = [*((item, 0) for item in practice), *((item, place) for place, item in enumerate(found, 1))]
        for item, place in rows:
            db.execute("INSERT INTO assignments VALUES (?, ?, ?)", [rater, item, place])


def show(study: Study, rater: str, position: int) -> Shown | None:
    """The item at a position (0: the practice), noting when it was first seen. None where there is none."""
    with study.reading() as db:
        found = db.execute(
            "SELECT i.id, i.question, i.answer, i.reply, s.at IS NOT NULL, l.forgotten, l.entailment, l.trust, "
            "l.comment FROM assignments AS a JOIN items AS i ON i.id = a.item "
            "LEFT JOIN showings AS s ON s.rater = a.rater AND s.item = a.item "
            "LEFT JOIN latest AS l ON l.rater = a.rater AND l.item = a.item WHERE a.rater = ? AND a.position = ?",
            [rater, position],
        ).fetchone()
    if not found:
        return None
    item, question, answer, reply, seen, forgotten, *scales = found
    if not seen:
        with study.writing() as db:
            _check(db, rater)
            db.execute("INSERT OR IGNORE INTO showings VALUES (?, ?, ?)", [rater, item, _now()])
    return Shown(position, question, answer, reply, None if forgotten is None else Given(forgotten, *scales))


def answer(study: Study, rater: str, position: int, given: Given, nonce: str) -> None:
    """Store an answer as a revision. The same submission again, or the same answer again, is stored once.

    `nonce` names the form that was sent: a repetition of it, however late, changes nothing. The same form with
    another answer (its thanks got lost, and the participant thought again) is a revision of its own.
    """
    if not nonce or len(nonce) > 64:
        raise BadInput("The form is damaged; please load the page again.")
    with study.writing() as db:
        sql = "SELECT item FROM assignments WHERE rater = ? AND position = ?"
        found = db.execute(sql, [rater, position]).fetchone()
        if not found:
            raise BadInput("There is no such item; please load the page again.")
        item, nonce = found[0], f"{position} {nonce}"  # a form answers one item
        sql = "SELECT forgotten, entailment, trust, comment FROM judgements WHERE rater = ? AND nonce IN (?, ? || ?)"
        sent = db.execute(sql, [rater, nonce, nonce, _mark(given)]).fetchall()
        if given.values in sent:
            return
        _check(db, rater)
        sql = "SELECT forgotten, entailment, trust, comment, revision FROM latest WHERE rater = ? AND item = ?"
        before = db.execute(sql, [rater, item]).fetchone()
        if before and tuple(before[:4]) == given.values:
            return
        now = _now()
        seen = db.execute("SELECT at FROM showings WHERE rater = ? AND item = ?", [rater, item]).fetchone()
        focus = None if given.focus_seconds is None else max(0.0, min(given.focus_seconds, 86_400.0))
        revision = before[4] + 1 if before else 1
        unused = nonce + _mark(given) if sent else nonce
        row = [rater, item, revision, *given.values, seen[0] if seen else now, now, focus, unused]
        db.execute(
            "INSERT INTO judgements (rater, item, revision, forgotten, entailment, trust, comment, shown_at, "
            "submitted_at, focus_seconds, nonce) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        left = db.execute(
            "SELECT count(*) FROM assignments AS a LEFT JOIN latest AS l ON l.rater = a.rater AND l.item = a.item "
            "WHERE a.rater = ? AND l.id IS NULL",
            [rater],
        ).fetchone()[0]
        if not left:
            _milestone(db, rater, "finished")


def _mark(given: Given) -> str:
    return "." + sha256(repr(given.values))[:16]


def _check(db: Database, rater: str) -> None:
    """Nothing is taken from somebody who is gone, or while the study isn't open."""
    state = db.execute("SELECT state FROM state").fetchone()[0]
    if state != "open":
        raise BadInput("The study takes no answers at the moment.")
    if not db.execute("SELECT 1 FROM raters WHERE rater = ?", [rater]).fetchone():
        raise BadInput("This code is not known any more.")


def _milestone(db: Database, rater: str, name: str) -> None:
    db.execute("INSERT OR IGNORE INTO milestones VALUES (?, ?, ?)", [rater, name, _now()])


def _now() -> str:
    return stamp(datetime.now(UTC))
