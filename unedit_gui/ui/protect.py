"""Facts that must stay: their table in step 4. What became of them is told by after.py."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question, Reading, read_file, read_lines, read_table, same_question
from unedit_gui.jobs import Job
from unedit_gui.ui.beside import told_in
from unedit_gui.ui.draw import plural
from unedit_gui.ui.files import upload_bytes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Row, Session
from unedit_gui.ui.words import translate as _

PLACE = "protect"  # where the table's own news are told
FILLED = 10
EXAMPLE = "What is the chemical symbol for gold? | Au"

told_here = told_in(PLACE, "edit")


def values(lab: Lab, session: Session) -> dict[str, Any]:
    """What the template needs of both."""
    problems = _problems(session)
    return {
        "facts": [(row, problems.get(row.id, "")) for row in session.protect],
        "example": EXAMPLE,
        "protect_told": session.notices.get(PLACE),
    }


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
}
