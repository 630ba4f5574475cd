"""Questions prepared for a presentation: a list to edit and put in order, and one key to step through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import same_question
from unedit_gui.ui.draw import shorten
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.ui.lab import Lab
    from unedit_gui.ui.session import Session

MOST = 100
LONGEST = 1000  # characters of a question


@dataclass(frozen=True)
class Prepared:
    """A question, and its true answer where there is one."""

    question: str
    answer: str = ""

    @property
    def line(self) -> str:
        return f"{self.question} | {self.answer}" if self.answer else self.question


def read(text: str) -> list[Prepared]:
    """One question a line, with its answer behind a "|" where there is one. BadInput for too many or too long."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        question, bar, answer = (part.strip() for part in line.partition("|"))
        if question:
            found.append(Prepared(question, answer))
        elif bar:
            told = {"n": number, "line": shorten(line)}
            raise BadInput(_("Line {n} of the prepared questions has none before its bar: “{line}”.", **told))
        if max(len(question), len(answer)) > LONGEST:
            long, most = f"{len(line):,}", f"{LONGEST:,}"
            raise BadInput(_("A prepared question has {n} characters; {most} are allowed.", n=long, most=most))
    if len(found) > MOST:
        raise BadInput(_("There are {n} prepared questions; {most} are allowed.", n=len(found), most=MOST))
    return found


def current(session: Session) -> Prepared | None:
    """The question whose turn it is."""
    if not session.prepared:
        return None
    session.place = max(0, min(session.place, len(session.prepared) - 1))
    return session.prepared[session.place]


def drawn(session: Session) -> dict[str, Any]:
    """What the template needs."""
    return {
        "next_up": current(session),
        "place": session.place,
        "prepared": session.prepared,
        "prepared_text": session.form.get("prepared") or "\n".join(item.line for item in session.prepared),
        "prepared_problem": problem(session),
        "preparing": bool(session.form.get("preparing")),
        "revealed": bool(session.form.get("revealed")),
    }


def problem(session: Session) -> str:
    """Why the list as typed can't be used, "" if it can. Until it is mended, the last good one stays in use."""
    try:
        read(session.form.get("prepared", ""))
    except BadInput as error:
        return str(error)
    return ""


def usable(session: Session) -> None:
    """BadInput where the list as typed can't be used: what builds on it would leave out what stands in the box."""
    if told := problem(session):
        raise BadInput(told)


def take(lab: Lab, session: Session, data: dict) -> bool:
    """Take a change of the list; False if it is something else."""
    if data["field"] != "prepared":
        return False
    session.touch("chat")
    session.form["prepared"] = str(data["value"])
    if not problem(session):
        session.prepared = read(session.form.pop("prepared"))
    return True


def add(session: Session, found: list[tuple[str, str]]) -> None:
    """Put questions at the end of the list, those that are on it already left out."""
    there = {same_question(item.question) for item in session.prepared}
    new = [Prepared(question, answer) for question, answer in found if same_question(question) not in there]
    session.prepared = [*session.prepared, *new[: MOST - len(session.prepared)]]
    session.touch("chat")


def _step(session: Session, by: int) -> None:
    session.place = max(0, min(session.place + by, len(session.prepared) - 1))
    session.form.pop("revealed", None)
    session.form["stepped"] = "1"  # the projector shows the question whose turn it is
    session.touch("chat")


def _preparing(lab: Lab, session: Session, data: dict) -> None:
    """Open the box of the list, or close it: not while it holds what can't be used, which nobody would see then."""
    if session.form.get("preparing"):
        usable(session)
    session.form["preparing"] = "" if session.form.get("preparing") else "1"
    session.touch("chat")


def _reveal(lab: Lab, session: Session, data: dict) -> None:
    session.form["revealed"] = "" if session.form.get("revealed") else "1"
    session.touch("chat")


ACTS = {
    "prepared-next": lambda lab, session, data: _step(session, 1),
    "prepared-back": lambda lab, session, data: _step(session, -1),
    "preparing": _preparing,
    "reveal": _reveal,
}
