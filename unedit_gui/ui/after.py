"""What an edit says now, told in step 4 once it is made: its questions and the facts that must stay are asked, and each
becomes a chip. To ask is a job of its own: to stop it takes nothing back of the edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job
from unedit_gui.ui import chat, protect, targets
from unedit_gui.ui.draw import shorten
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import After, Session
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.edits.edit import Edit

AT_MOST = 48  # forget questions: of more the first ones are asked, and step 6 asks them all
MARKS = {  # state: sign, tone, hint
    "refused": ("✓", "good", "refused"),
    "told": ("✗", "bad", "the answer is still told"),
    "neither": ("~", "bad", "not told, but not refused either"),
    "held": ("✓", "good", "still answered"),
    "lost": ("✗", "bad", "no longer answered"),
    "unknown": ("?", "", "the original didn’t answer it either"),
    "asking": ("…", "", "being asked"),
}


def values(lab: Lab, session: Session) -> dict[str, Any]:
    """What the template needs of it; nothing once one of the edits is gone."""
    after = session.after
    there = all(i in lab.edits for i in after.edits)
    other = there and session.made not in after.edits  # than the one whose result stands above
    said = [h.state for h in after.forgotten]
    kept = [h.state for h in after.held]
    return {
        "after": after if there else None,
        "other": " + ".join(lab.edits[i].name for i in after.edits) if other else "",
        "forgotten": _chips(after.questions, after.forgotten, after.asking),
        "refused": said.count("refused"),
        "told_still": said.count("told"),
        "held": _chips(after.facts, after.held, after.asking),
        "lost": kept.count("lost"),
        "kept": kept.count("held"),
        "unknown": kept.count("unknown"),
        "write_them": targets.kind(session) != "self-improved",
    }


def _chips(asked: Sequence[Question], found: Sequence[Any], asking: bool) -> list[dict[str, str]]:
    """A chip for each of these questions: with what was said, or as one that is still to be asked."""
    told = [(h.question, h.state, h.after) for h in found]
    told += [(question, "asking", "") for question in asked[len(told) :] if asking]  # not if it was stopped
    chips = []
    for question, state, reply in told:
        sign, tone, hint = MARKS[state]
        title = f"{question.question} – {_(hint)}" + (f": {shorten(reply, 160)}" if reply else "")
        chips.append({"text": question.question, "answer": question.answer, "sign": sign, "tone": tone, "title": title})
    return chips


def look(lab: Lab, session: Session, edits: tuple[Edit, ...], forget: Sequence[Question], facts: Sequence[Question]):
    """Ask what the edits were to make it forget, and what must stay; the chips take their colours batch by batch."""
    after = After(tuple(edit.id for edit in edits), tuple(forget[:AT_MOST]), tuple(facts), len(forget), asking=True)

    def tell(where: str) -> Callable[[list], None]:
        def told(found: list) -> None:
            with session.lock:
                setattr(after, where, found)
                session.touch("edit")

        return told

    def work(job: Job) -> None:
        try:
            if after.questions:
                lab.bench.now_refused(edits, after.questions, on_found=tell("forgotten"), job=job)
            if after.facts:
                lab.bench.still_held(edits, after.facts, on_held=tell("held"), job=job)
        finally:
            with session.lock:
                after.asking = False
                session.touch("edit")

    with session.lock:
        session.after = After()
        lab.start(session, "hold", "Asking what it says now", "edit", work, stopped="The edit stays as it is.")
        session.after = after
        session.touch("edit")


def forgotten_by(edits: Sequence[Edit]) -> list[Question]:
    """The questions that these edits were to make it forget, each once."""
    asked = {r["question"]: Question(r["question"], r["answer"], r["subject"]) for e in edits for r in e.requests}
    return list(asked.values())


def _again(lab: Lab, session: Session, data: dict) -> None:
    """Ask them again, of the edits that are switched on now."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if session.active("edit"):  # which asks them itself at its end
        raise BadInput(_("An edit is being made; they are asked again once it is there."))
    facts, edits = protect.protected(session), lab.enabled(session)
    if not edits:
        raise BadInput(_("Switch an edit on first."))
    look(lab, session, edits, forgotten_by(edits), facts)


def _ask(lab: Lab, session: Session, data: dict) -> None:
    """A chip was pressed: ask it in the chat, and go there."""
    chat.ACTS["chip"](lab, session, data)
    session.go(5)


ACTS = {"after-again": _again, "after-ask": _ask}
