"""The one-click example: three facts, from the questions to the scores, shown step by step as it goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui.draw import number
from unedit_gui.ui.session import STEPS, Author, Refusal, Session, Turn, key
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.ui.lab import Lab

METHOD = "alphaedit"
TITLE = "The example"


def begin(lab: Lab, session: Session, data: dict) -> None:
    """Start the example in place of what this page has in its steps; Undo brings that back."""
    if session.active("example"):
        return
    blocked = lab.blocked(session)
    if blocked and not lab.busy_loading:
        raise BadInput(blocked)
    before = (list(session.rows), dict(session.refusals), list(session.turns), list(session.enabled))
    session.following, session.stage = True, "model"
    stopped = "What it had finished is in the steps."
    lab.start(session, "example", TITLE, lambda: session.stage, lambda job: _run(lab, session, job), stopped=stopped)
    if before[0] or before[2]:

        def back() -> None:
            session.rows, session.refusals, session.turns, session.enabled = before
            session.check()
            session.touch()

        session.undos["forget"] = back


def _run(lab: Lab, session: Session, job: Job) -> None:
    bench = lab.bench
    if bench.model is None:
        raise BadInput(lab.load_error or _("The model could not be loaded; load one in step 1 first."))
    forget, retain = bench.example()
    show = _guide(session)

    show("forget")
    with session.lock:
        replaced = bool(session.rows)
        session.rows, session.refusals, session.open_rows, session.page = [], {}, set(), 0
        session.turns, session.enabled, session.scores, session.scored = [], [], None, Author()
        session.form["merge"] = "1"
        session.form["view"], session.replay = "panes", None
        rows = session.add(bench.with_subjects(forget))
        questions = [session.questions[row.id] for row in rows]
    if replaced:
        session.tell("forget", _("The example’s questions took the place of yours."), undo="forget" in session.undos)
    answers = lab.ask(forget, job)
    with session.lock:
        for row, answer in zip(rows, answers, strict=True):
            row.known, row.reply = answer.known, answer.reply
    show("targets")
    targets = bench.targets(questions, "self-improved", job=job)
    with session.lock:
        for row, target in zip(rows, targets, strict=True):
            session.refusals[row.id] = Refusal(key(row), target)
    show("edit")
    with session.lock:
        session.form["method"] = METHOD
    asked = [dataclasses.replace(q, target=t.text) for q, t in zip(questions, targets, strict=True)]
    edit = bench.edit(asked, METHOD, targets="given", name="Example: three facts", job=job)
    lab.keep(session, edit)
    session.verified = bench.verify_original(job=job)
    show("chat")
    first, kept = questions[0], retain[0]
    asks = [(first.question, first.answer), (kept.question, kept.answer)]
    if first.rephrases:
        asks.insert(1, (first.rephrases[0], first.answer))
    for place, (text, answer) in enumerate(asks):
        job.progress("Asking both", place, len(asks))
        converse(lab, session, Turn(text, fresh=True, answer=answer), job)
    with session.lock:
        session.form["retain"] = "example retain"
    show("scores")
    scores = bench.evaluate((edit,), forget, retain, job=job)
    with session.lock:
        session.scores, session.scored = scores, lab.author([edit])
        session.plotted += 1
    show("study")
    session.tell(
        "study",
        _(
            "The example is done: the score went from {before} to {after}, of 2. Now judge a reply yourself; all steps above can be looked at again.",  # noqa: E501
            before=number(scores.score_before),
            after=number(scores.score_after),
        ),
    )


def converse(lab: Lab, session: Session, turn: Turn, job: Job) -> None:
    """Put a turn at the end of the conversation and have both models answer it, streaming."""
    from unedit_gui.ui.chat import answer

    with session.lock:
        session.turns.append(turn)
    answer(lab, session, turn, job)


def _guide(session: Session) -> Callable[[str], None]:
    """Leads the page from step to step, unless the user has gone elsewhere meanwhile."""

    def show(step: str) -> None:
        with session.lock:
            session.stage = step
            if session.following:
                session.go(STEPS.index(step) + 1)
            session.touch()

    return show
