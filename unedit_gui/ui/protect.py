"""Facts that must stay: their table in step 4, and the chips that tell after an edit which are still answered."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question, Reading, read_file, read_lines, read_table, same_question
from unedit_gui.jobs import Job
from unedit_gui.ui import chat
from unedit_gui.ui.beside import told_in
from unedit_gui.ui.draw import plural, shorten
from unedit_gui.ui.files import upload_bytes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Row, Session
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.edits.edit import Edit
    from unedit_gui.evaluation.held import Held

PLACE = "protect"  # where the table's own news are told
FILLED = 10
EXAMPLE = "What is the capital of Italy? | Rome"
CHIPS = {"held": ("✓", "good"), "lost": ("✗", "bad"), "unknown": ("?", ""), "asking": ("…", "")}
HINTS = {
    "held": "still answered",
    "lost": "no longer answered",
    "unknown": "the original didn’t answer it either",
    "asking": "being asked",
}


told_here = told_in(PLACE, "edit")


def values(lab: Lab, session: Session) -> dict[str, Any]:
    """What the template needs of both."""
    problems = _problems(session)
    return {
        "facts": [(row, problems.get(row.id, "")) for row in session.protect],
        "example": EXAMPLE,
        "held": _chips(session),
        "lost": sum(h.state == "lost" for h in session.held),
        "kept": sum(h.state == "held" for h in session.held),
        "unknown": sum(h.state == "unknown" for h in session.held),
        "checking": bool(session.asking),
        "protect_told": session.notices.get(PLACE),
    }


def _chips(session: Session) -> list[dict[str, str]]:
    told = [(h.question, h.state, h.after) for h in session.held]
    told += [(q, "asking", "") for q in session.asking[len(told) :]]
    found = []
    for question, state, reply in told:
        sign, tone = CHIPS[state]
        title = f"{question.question} – {_(HINTS[state])}" + (f": {shorten(reply, 160)}" if reply else "")
        found.append({"text": question.question, "answer": question.answer, "sign": sign, "tone": tone, "title": title})
    return found


def _problems(session: Session) -> dict[int, str]:
    """Why rows can't be used, by row id."""
    reading = read_table([row.cells() for row in session.protect])
    found = {session.protect[problem.row - 1].id: problem.reason for problem in reading.problems}
    forget = {same_question(row.question) for row in session.rows}
    for row in session.protect:
        if same_question(row.question) in forget:
            found.setdefault(row.id, _("this question is to be forgotten; take it out of one of the lists"))
    return found


def protected(session: Session) -> list[Question]:
    """The facts to protect; BadInput with a row that can't be used."""
    problems = _problems(session)
    for number, row in enumerate(session.protect, 1):
        if row.id in problems:
            raise BadInput(_("Facts that must stay, row {n}: {problem}.", n=number, problem=problems[row.id]))
    return list(read_table([row.cells() for row in session.protect]).questions)


# ------------------------------------------------------------------- after an edit


def look_after(lab: Lab, session: Session, edits: tuple[Edit, ...], facts: list[Question]) -> None:
    """Ask what must stay, in a job of its own: to stop it takes nothing back of the edit. The chips take their colours
    batch by batch."""

    def tell(held: list[Held]) -> None:
        with session.lock:
            session.held = held
            session.touch("edit")

    def work(job: Job) -> None:
        try:
            lab.bench.still_held(edits, facts, on_held=tell, job=job)
        finally:
            with session.lock:
                session.asking = []
                session.touch("edit")

    with session.lock:
        session.held, session.asking = [], []
        if facts:
            lab.start(session, "hold", "Asking what must stay", "edit", work, stopped="The edit stays as it is.")
            session.asking = list(facts)
        session.touch("edit")


def _again(lab: Lab, session: Session, data: dict) -> None:
    """Ask them again, of the edits that are switched on now."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if session.active("edit"):  # which asks them itself at its end
        raise BadInput(_("An edit is being made; they are asked again once it is there."))
    facts, edits = protected(session), lab.enabled(session)
    if not facts or not edits:
        raise BadInput(_("Switch an edit on, and name facts that must stay, first."))
    look_after(lab, session, edits, facts)


def _ask(lab: Lab, session: Session, data: dict) -> None:
    """A chip was pressed: ask it in the chat, and go there."""
    chat.ACTS["chip"](lab, session, data)
    session.go(5)


# ------------------------------------------------------------------------ the table


def add(session: Session, reading: Reading, source: str) -> None:
    """Put the good questions of a reading into the table, and list the rest."""
    there = {same_question(row.question) for row in session.protect}
    for q in reading.questions:
        if same_question(q.question) not in there:
            session.protect.append(Row(session.next_row, q.question, q.answer, q.subject or ""))
            session.next_row += 1
    if reading.problems:
        details = tuple(map(str, reading.problems))
        left = plural(len(details), "row")
        text = _(
            "{facts} of {source} added; {rows} can’t be used:",
            facts=plural(len(reading.questions), "fact"),
            source=source,
            rows=left,
        )
        session.tell(PLACE, text, "warn" if reading.questions else "bad", details=details)
    session.touch("edit")


def field(session: Session, data: dict) -> None:
    """A cell, or the box of lines."""
    name, value = data["field"], str(data["value"])
    if name == "protect":
        session.form[name] = value
        return
    row = next((row for row in session.protect if str(row.id) == str(data.get("row"))), None)
    cell = name.removeprefix("protect-")
    if row is not None and cell in ("question", "answer"):
        setattr(row, cell, value)
        session.touch("edit")


def _lines(lab: Lab, session: Session, data: dict) -> None:
    text = session.form.get("protect", "")
    reading = read_lines(text)
    if not reading.questions and not reading.problems:
        raise BadInput(_("There is nothing to add yet; type at least one line: question | answer."))
    add(session, reading, _("the lines"))
    bad = {problem.row for problem in reading.problems}
    session.form["protect"] = "\n".join(line for n, line in enumerate(text.splitlines(), 1) if n in bad)


@told_here
def upload(lab: Lab, session: Session, data: dict) -> None:
    """A file as the browser sent it."""
    name, content = upload_bytes(data, _("split it into smaller files"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        reading = read_file(path, name)
    if not reading.questions and not reading.problems:
        raise BadInput(_("{name} holds no questions.", name=name))
    add(session, reading, name)


def _known(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    there = {same_question(row.question) for row in (*session.rows, *session.protect)}
    pool = [q for q in lab.sets.get("factual", ()) if same_question(q.question) not in there]

    def work(job: Job) -> None:
        found = lab.known_sample(pool, FILLED, 1, job)
        with session.lock:
            add(
                session,
                Reading(tuple(dataclasses.replace(q, target=None) for q in found), (), ()),
                _("the bundled set"),
            )

    lab.start(session, "ask", "Looking for facts that the model knows", PLACE, work)


def _remove(lab: Lab, session: Session, data: dict) -> None:
    _take_out(session, [row for row in session.protect if row.id == int(data["row"])])


def _clear(lab: Lab, session: Session, data: dict) -> None:
    _take_out(session, list(session.protect))


def _take_out(session: Session, rows: list[Row]) -> None:
    if not rows:  # the same button, pressed twice
        return
    before = list(session.protect)
    session.protect = [row for row in session.protect if row not in rows]

    def back() -> None:
        session.protect = before + [row for row in session.protect if row not in before]
        session.touch("edit")

    session.undos[PLACE] = back
    session.touch("edit")
    session.tell(PLACE, _("{facts} need not stay any more.", facts=plural(len(rows), "fact")), undo=True)


ACTS = {
    "protect-lines": told_here(_lines),
    "protect-known": told_here(_known),
    "protect-remove": _remove,
    "protect-clear": _clear,
    "protect-again": _again,
    "protect-ask": _ask,
}
