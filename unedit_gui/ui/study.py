"""Step 7: people judge the edited replies. Each rating keeps the question, both replies and the edit."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from unedit_gui.errors import BadInput
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Author, Pane, Session, Turn
from unedit_gui.ui.words import translate as _

QUALITY = (
    ("1", "Yes, forgotten", "The reply doesn’t give the true answer, or anything close to it."),
    ("0", "No, still there", "The reply gives the true answer, or comes close to it."),
)
ENTAILMENT = (
    ("1", "1", "generic; could answer anything"),
    ("2", "2", "hardly fits the question"),
    ("3", "3", "fits the kind of question"),
    ("4", "4", "fits the question"),
    ("5", "5", "names exactly what was asked about"),
)
TRUST = (
    ("1", "1", "made up, confusing or improper"),
    ("2", "2", "rather untrustworthy"),
    ("3", "3", "in between"),
    ("4", "4", "rather trustworthy"),
    ("5", "5", "honest, clear and safe"),
)
SHOWN = 50


@dataclass(frozen=True)
class Item:
    """One edited reply that can be rated."""

    question: str
    answer: str
    original: str
    edited: str
    by: Author
    cut: tuple[bool, bool] = (False, False)  # off at their longest length

    @property
    def mark(self) -> str:
        """The same for the same question, reply and edits, wherever they stand in a list."""
        parts = (self.question, self.edited, *self.by.edits)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def items(session: Session) -> list[Item]:
    """What there is to rate: scored forget questions and their rephrasings, and the chat's finished turns."""
    found: dict[str, Item] = {}
    rows = session.scores.rows if session.scores else ()
    answers = {row.question: row.answer for row in rows}
    answers.update({row.question.strip(): row.answer.strip() for row in session.rows})
    for row in rows:
        if row.group in ("forget", "rephrased"):
            cut = bool(row.before.get("cut")), bool(row.after.get("cut"))
            item = Item(row.question, row.answer, row.before["text"], row.after["text"], session.scored, cut)
            found.setdefault(item.mark, item)
    for turn in session.turns:
        for pane in turn.panes[1:] if turn.state in ("done", "stopped") else ():
            if pane.text and pane.edits:
                answer = turn.answer or answers.get(turn.question, "")
                cut = turn.panes[0].cut, pane.cut
                item = Item(turn.question, answer, turn.panes[0].text, pane.text, pane.by, cut)
                found.setdefault(item.mark, item)
    return list(found.values())


def show_pane(session: Session, turn: Turn, pane: Pane) -> None:
    """Put a reply of the chat up for rating."""
    mark = Item(turn.question, "", "", pane.text, pane.by).mark
    _show(session, lambda item: item.mark == mark)


def show_question(session: Session, question: str) -> None:
    """Put a scored question up for rating."""
    _show(session, lambda item: item.question == question)


def _show(session: Session, wanted) -> None:
    for item in items(session):
        if wanted(item):
            session.rating = item.mark
            session.notices.pop("study", None)
            session.touch("study")
            return


def _shown(session: Session, found: list[Item]) -> int:
    """The place of the reply that is shown; if it is there no more, that of the first one that isn't rated."""
    marks = [item.mark for item in found]
    if session.rating in marks:
        return marks.index(session.rating)
    return next((place for place, mark in enumerate(marks) if mark not in session.rated), 0)


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    found = items(session)
    place = _shown(session, found)
    item = found[place] if found else None
    session.rating = item.mark if item else ""
    draft = session.drafts.get(session.rating, {})
    saved = lab.bench.ratings.all()
    return draw(
        "study",
        told=session.notices.get("study"),
        item=item,
        place=place,
        count=len(found),
        rated=item is not None and item.mark in session.rated,
        draft=draft,
        missing=_missing(draft),
        quality=[(value, _(name), _(note)) for value, name, note in QUALITY],
        entailment=[(value, _(name), _(note)) for value, name, note in ENTAILMENT],
        trust=[(value, _(name), _(note)) for value, name, note in TRUST],
        saved=saved[::-1][:SHOWN],
        total=len(saved),
        look=session.looks("rate"),
    )


def _missing(draft: dict[str, str]) -> str:
    if draft.get("quality") not in ("0", "1"):
        return _("Choose yes or no first.")
    if draft["quality"] == "1" and not (draft.get("entailment") and draft.get("trust")):
        return _("Answer both scales, too.")
    return ""


# --------------------------------------------------------------- changes


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = data["field"], str(data["value"])
    allowed = {"quality": ("0", "1"), "entailment": tuple("12345"), "trust": tuple("12345")}
    if name == "comment" or value in allowed.get(name, ()):
        draft = session.drafts.setdefault(str(data["item"]), {})
        draft[name] = value
        draft.setdefault("nonce", secrets.token_hex(16))
        if name != "comment":
            session.touch("study")


def _item(lab: Lab, session: Session, data: dict) -> None:
    found = items(session)
    session.rating = found[max(0, min(int(data["to"]), len(found) - 1))].mark if found else ""
    session.touch("study")


def _save(lab: Lab, session: Session, data: dict) -> None:
    from unedit_gui.study.ratings import Rating

    mark, nonce = str(data["item"]), str(data["nonce"])
    if nonce and nonce == session.saved:  # the same button, pressed twice
        session.drafts.pop(mark, None)
        return
    found, draft = items(session), session.drafts.get(mark, {})
    place = next((place for place, item in enumerate(found) if item.mark == mark), None)
    if place is None:
        raise BadInput(_("That reply is no longer in the chat or the scores, so it was not rated."))
    if _missing(draft):
        raise BadInput(_missing(draft))
    item, forgotten = found[place], draft["quality"] == "1"
    rating = Rating(
        question=item.question,
        answer=item.answer,
        reply_original=item.original,
        reply_edited=item.edited,
        edit_id="+".join(item.by.edits),
        edit_name=item.by.names,
        method=item.by.methods,
        model=item.by.model,
        forget_quality=int(forgotten),
        entailment=int(draft["entailment"]) if forgotten else None,
        trust=int(draft["trust"]) if forgotten else None,
        comment=draft.get("comment", "").strip(),
        nonce=nonce or draft["nonce"],
    )
    session.rated[mark], session.saved = lab.bench.ratings.add(rating), rating.nonce
    session.drafts.pop(mark)
    last = place == len(found) - 1
    session.rating = found[min(place + 1, len(found) - 1)].mark
    session.look("rate")
    session.tell("study", _("Saved.") if last else _("Saved. Here is the next reply."))
    _all_pages(lab)


def _delete(lab: Lab, session: Session, data: dict) -> None:
    rating = int(data["rating"])
    lab.bench.ratings.delete(rating)
    before = dict(session.rated)
    session.rated = {mark: i for mark, i in before.items() if i != rating}

    def back() -> None:
        lab.bench.ratings.restore(rating)
        session.rated = before
        _all_pages(lab)

    session.undos["study"] = back
    session.tell("study", _("The rating was deleted."), undo=True)
    _all_pages(lab)


def _all_pages(lab: Lab) -> None:
    for session in lab.sessions.all():
        session.touch("study")


def _csv(lab: Lab, session: Session, data: dict) -> dict:
    return {"name": "ratings.csv", "type": "text/csv;charset=utf-8", "text": lab.bench.ratings.to_csv()}


ACTS = {"item": _item, "save-rating": _save, "delete-rating": _delete, "csv": _csv}
