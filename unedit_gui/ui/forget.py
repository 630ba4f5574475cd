"""Step 2: the questions to forget. Pasted, uploaded, picked or typed; problems stand in their rows."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from pathlib import Path

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question, Reading, read_file, read_lines, same_question, to_csv
from unedit_gui.forget.subjects import find_subject
from unedit_gui.jobs import Job
from unedit_gui.ui import contracts, locate
from unedit_gui.ui.draw import draw, plural, shorten
from unedit_gui.ui.files import upload_bytes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Row, Session, key, whole
from unedit_gui.ui.words import translate as _

PAGE = 25
PLACEHOLDER = "Who wrote Hamlet? | William Shakespeare\nWhat is the capital of Peru? | Lima"
SETS = {"factual": "World facts", "general": "General questions", "example": "The example’s facts"}
CELLS = ("question", "answer", "subject", "rephrases", "target", "category")
FORM = ("paste", "set", "category", "count", "pick_seed", "pick_known", *contracts.FORM)


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    sets = _sets(lab)
    chosen = _chosen_set(session, sets)
    total = len(session.rows)
    pages = max(1, -(-total // PAGE))
    session.page = max(0, min(session.page, pages - 1))
    start = session.page * PAGE
    return draw(
        "forget",
        contracts=contracts.render(lab, session),
        form=session.form,
        placeholder=PLACEHOLDER,
        sets=[(name, f"{_(SETS.get(name, name))} ({len(questions)})") for name, questions in sets.items()],
        chosen_set=chosen,
        categories=[
            ("", _("all")),
            *((c, c) for c in sorted({q.category for q in sets.get(chosen, ()) if q.category})),
        ],
        blocked=bool(lab.blocked(session)),
        told=session.notices.get("forget"),
        adding=not total or session.form.get("adding") == "1",
        total=total,
        bad=sum(bool(row.problem) and not row.blank for row in session.rows),
        new_row=session.form.get("new_row"),
        known=sum(row.known is True for row in session.rows),
        asked=any(row.known is not None for row in session.rows),
        asking=session.active("ask", "example") is not None,
        rows=session.rows[start : start + PAGE],
        start=start,
        open_rows=session.open_rows,
        located={row.id: locate.shown(lab, session, row) for row in session.rows if row.id in session.open_rows},
        locating=session.active("locate") is not None,
        page=session.page,
        pages=pages,
    )


def _sets(lab: Lab) -> dict[str, tuple[Question, ...]]:
    return {name: questions for name, questions in lab.sets.items() if name != "example retain"}


def _chosen_set(session: Session, sets: dict[str, tuple[Question, ...]]) -> str:
    asked = session.form.get("set", "")
    return asked if asked in sets else next(iter(sets), "")


# --------------------------------------------------------------- changes


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = data["field"], str(data["value"])
    if name in FORM and "row" not in data:
        session.form[name] = value
        if name == "set":
            session.form["category"] = ""
        if name == "set" or name in contracts.FORM:
            session.touch("forget")
        return
    row = session.row(int(data["row"]))
    if row is None or name not in CELLS or getattr(row, name) == value:
        return
    guessed = find_subject(row.question) if row.question.strip() else None
    setattr(row, name, value)
    if name == "question":
        # A subject that was found, or stands no longer in the question, is found anew; a typed one stays.
        if row.subject in ("", guessed or "") or row.subject not in value:
            row.subject = find_subject(value) or ""
    if name == "target" and (found := session.refusals.get(row.id)) and found.target.kind == "given":
        del session.refusals[row.id]
    if name in ("question", "answer"):
        row.known, row.reply = None, ""
    session.check()


def _take(session: Session, reading: Reading, source: str, lines: list[str] | None = None) -> None:
    """Add the good questions of a reading, subjects filled in, and list the rest with row and reason."""
    questions = list(reading.questions)
    session.add([with_subject(q) for q in questions])
    details = tuple(
        f"{problem}{f' — “{shorten(problem.text)}”' if problem.text else ''}" for problem in reading.problems
    )
    if details:
        left = {"rows": plural(len(details), "row"), "source": source}
        text = _("Nothing was added. {rows} of {source} can’t be used:", **left)
        if questions:
            added = plural(len(questions), "question")
            text = _("{questions} added. {rows} of {source} can’t be used:", questions=added, **left)
        session.tell("forget", text, "warn" if questions else "bad", details=details)
    elif questions:
        added = plural(len(questions), "question")
        session.tell("forget", _("{questions} of {source} added.", questions=added, source=source))
    else:
        raise BadInput(_("There is nothing to add yet; type at least one line: question | answer."))
    session.page = 10**6 if session.rows else 0


def with_subject(q: Question) -> Question:
    return q if q.subject else dataclasses.replace(q, subject=find_subject(q.question))


def _paste(lab: Lab, session: Session, data: dict) -> None:
    text = session.form.get("paste", "")
    reading = read_lines(text)
    _take(session, reading, _("the pasted lines"))
    bad = {problem.row for problem in reading.problems}
    if bad:
        session.form["adding"] = "1"
    # What could not be used stays in the box, so that nothing typed is lost.
    session.form["paste"] = "\n".join(line for number, line in enumerate(text.splitlines(), 1) if number in bad)
    session.touch("forget")


def upload(lab: Lab, session: Session, data: dict) -> None:
    """A file as the browser sent it: its name and, unless it is too large, its bytes."""
    name, content = upload_bytes(data, _("split it into smaller files"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        reading = read_file(path, name)
    _take(session, reading, name)


def _pick(lab: Lab, session: Session, data: dict) -> None:
    sets = _sets(lab)
    name = _chosen_set(session, sets)
    category, n, seed = (
        session.form.get("category", ""),
        _whole(session, "count", 10),
        _whole(session, "pick_seed", 0),
    )
    there = {same_question(row.question) for row in session.rows}
    pool = [
        q
        for q in sets.get(name, ())
        if (not category or q.category == category) and same_question(q.question) not in there
    ]
    if not pool:
        raise BadInput(_("All questions of this choice are in the table already; choose another set or category."))
    source = f"“{_(SETS.get(name, name))}”"

    def take(found: list[Question]) -> None:
        _take(session, Reading(tuple(found), (), ()), source)
        if len(found) < n:
            session.tell(
                "forget",
                _(
                    "{questions} of {source} added; there are no more to choose from.",
                    questions=plural(len(found), "question"),
                    source=source,
                ),
                "warn",
            )

    if session.form.get("pick_known", "1") == "1" and not lab.blocked(session):

        def work(job: Job) -> None:
            found = lab.known_sample(pool, n, seed, job)
            if not found:
                raise BadInput(_("The model knows none of these; choose another set or category."))
            known = {q.question: lab.answer(q) for q in found}
            take(found)
            for row in session.rows:
                if known.get(row.question):
                    row.known, row.reply = True, known[row.question].reply

        lab.start(session, "ask", "Looking for facts that the model knows", "forget", work)
        return
    random.Random(seed).shuffle(pool)
    take(pool[:n])


def _whole(session: Session, name: str, default: int) -> int:
    text = session.form.get(name, str(default)).strip() or str(default)
    if (value := whole(text)) is None:
        raise BadInput(_("“{text}” is not a whole number from 0 up.", text=text))
    if name == "count" and not 1 <= value <= 1000:
        raise BadInput(_("Choose between 1 and 1000 questions, not {n}.", n=value))
    return value


def _ask(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    pairs = session.good()
    if not pairs:
        raise BadInput(_("No row can be asked yet; mend the rows marked below."))
    rows = [row for row, _q in pairs]
    stood = [key(row)[:2] for row in rows]

    def work(job: Job) -> None:
        answers = lab.ask([q for _row, q in pairs], job)
        for row, mark, answer in zip(rows, stood, answers, strict=True):
            if key(row)[:2] == mark:  # question and answer are as they were asked
                row.known, row.reply = answer.known, answer.reply
        if not any(row in session.rows for row in rows):  # cleared meanwhile, with an Undo that has to stay
            return
        known = sum(a.known for a in answers)
        text = _("The model knows {n} of {all}.", n=known, all=len(answers))
        if known < len(answers):
            text += " " + _("Under each mark stands what it says. What it doesn’t know it can’t forget.")
        session.tell("forget", text, "good" if known else "warn")

    lab.start(session, "ask", "Asking the model", "forget", work)


def _new(lab: Lab, session: Session, data: dict) -> None:
    (row,) = session.add([Question("", "")])
    session.page, session.form["new_row"] = 10**6, str(row.id)


def _remove(lab: Lab, session: Session, data: dict) -> None:
    row = session.row(int(data["row"]))
    if row is None:  # the same button, pressed twice
        return
    place = session.rows.index(row)
    session.rows.remove(row)

    def back() -> None:
        session.rows.insert(min(place, len(session.rows)), row)
        session.check()

    session.undos["forget"] = back
    session.check()
    session.tell("forget", _("Removed “{question}”.", question=shorten(row.question) or _("an empty row")), undo=True)


def _clear(lab: Lab, session: Session, data: dict) -> None:
    if not session.rows:  # the same button, pressed twice
        return
    before, refusals = list(session.rows), dict(session.refusals)
    session.rows, session.open_rows = [], set()

    def back() -> None:
        session.rows = before + session.rows
        session.refusals = {**refusals, **session.refusals}
        session.check()

    session.undos["forget"] = back
    session.check()
    session.tell("forget", _("{questions} removed.", questions=plural(len(before), "question")), undo=True)


def _open(lab: Lab, session: Session, data: dict) -> None:
    session.open_rows ^= {int(data["row"])}
    session.touch("forget")


def _adding(lab: Lab, session: Session, data: dict) -> None:
    session.form["adding"] = "" if session.form.get("adding") == "1" else "1"
    session.touch("forget")


def _page(lab: Lab, session: Session, data: dict) -> None:
    session.page = int(data["to"])
    session.touch("forget")


def _example_facts(lab: Lab, session: Session, data: dict) -> None:
    session.add(lab.bench.with_subjects(lab.bench.example()[0]))


def _save(lab: Lab, session: Session, data: dict) -> dict:
    return {
        "name": "forget.csv",
        "type": "text/csv;charset=utf-8",
        "text": to_csv([session.questions.get(row.id) or _as_typed(row) for row in session.rows if not row.blank]),
    }


def _as_typed(row: Row) -> Question:
    """A row that can't be used yet, for the file: it is mended there or here."""
    cells = row.cells()
    return Question(**{**cells, "rephrases": tuple(cells["rephrases"])})


ACTS = {
    "paste": _paste,
    "pick": _pick,
    "ask": _ask,
    "new": _new,
    "remove": _remove,
    "clear": _clear,
    "open": _open,
    "adding": _adding,
    "page": _page,
    "example-facts": _example_facts,
    "save": _save,
    **locate.ACTS,
    **contracts.ACTS,
}
