"""What stands around the steps: the header, the stepper's labels, the strip of the running job, the keys."""

from __future__ import annotations

from unedit_gui.ui import tour
from unedit_gui.ui.draw import draw, seconds
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import STEPS, Session
from unedit_gui.ui.words import LANGUAGES
from unedit_gui.ui.words import translate as _

NAMES = {
    "model": "Model",
    "forget": "Forget",
    "targets": "Refusals",
    "edit": "Edit",
    "chat": "Chat",
    "scores": "Scores",
    "study": "Rate",
    "runs": "Runs",
}
# In the order of their importance.
LONG = ("example", "teach", "sweep", "edit", "evaluate", "probe", "targets", "rephrase", "locate", "hold", "ask")
KEYS = (
    ("Enter", "send the question (Shift + Enter: new line)"),
    ("Esc", "stop what is running"),
    ("Alt + 1 … 8", "go to a step"),
    ("?", "show all keys"),
    ("N, P", "in the chat: next and previous prepared question (a presenter’s remote does the same in the projector)"),
    ("A", "ask the prepared question, or play a recorded one again"),
    ("1 … 6", "one column alone, and back"),
    ("R", "show or hide the true answer"),
    ("S", "stop the reply"),
    ("F", "projector: large type and no controls; Esc leaves"),
    ("←, →, T, B", "in a duel: left, right, tie, both bad; V shows the names without a vote"),
)


def top(lab: Lab, session: Session) -> str:
    """The header: name, what is loaded, light or dark, keys."""
    model = lab.bench.model
    return draw(
        "top",
        loading=lab.busy_loading,
        failed=bool(lab.load_error),
        model=model,
        dtype=model.dtype_name if model else "",
        languages=[(code, name) for code, name in LANGUAGES.items() if code != session.language],
    )


def label(lab: Lab, session: Session | None, name: str) -> str:
    """A step's label: its name, and on a second line where it stands."""
    return f"{_(NAMES[name])}\n{_standing(lab, session, name)}"


def _standing(lab: Lab, session: Session | None, name: str) -> str:
    if name == "model":
        if lab.busy_loading:
            return _("loading…")
        return _("✓ ready") if lab.bench.model is not None else _("choose one")
    if session is None:
        return "–"
    if session.active("example") and session.stage == name:
        return _("… running")
    if name == "forget":
        good, bad = sum(not r.problem for r in session.rows), sum(bool(r.problem) and not r.blank for r in session.rows)
        if bad:
            return _("{n} to mend", n=bad)
        return _count(good) if good else _("add questions")
    if name == "targets":
        there = sum(session.refusal(row) is not None for row in session.rows)
        total = len(session.rows)
        if not there:
            return _("what to say")
        return _("✓ {n} written", n=there) if there == total else _("{n} of {all}", n=there, all=total)
    if name == "edit":
        edit = lab.edits.get(session.made or "")
        return f"✓ {edit.method_label}" if edit else _("choose how")
    if name == "chat":
        return _count(len(session.turns)) if session.turns else _("compare")
    if name == "scores":
        scores, on = session.scores, {edit.id for edit in lab.enabled(session)}
        if scores and on and on != set(session.scored.edits):
            return _("measure anew")
        return (
            _("✓ {score} of 2", score=f"{scores.score_after:.2f}")
            if scores and scores.score_after is not None
            else _("measure")
        )
    if name == "runs":
        planned, ended = session.comparing.planned, session.comparing.outcomes
        if session.active("sweep"):
            return _("… {n} of {all}", n=len(ended), all=len(planned)) if planned else _("… planning")
        return _("✓ {n} kept", n=session.comparing.count) if session.comparing.count else _("compare many")
    return _("✓ {n} rated", n=len(session.rated)) if session.rated else _("judge replies")


def _count(questions: int) -> str:
    if questions >= 100:  # "questions" would not fit beside it
        return f"✓ {questions:,}"
    return _("✓ 1 question") if questions == 1 else _("✓ {n} questions", n=questions)


def strip(lab: Lab, session: Session) -> str:
    """The long job that this page has running or waiting, or the model being loaded; else nothing."""
    job = next(filter(None, map(session.active, LONG)), None)
    if job is None and lab.busy_loading:
        job = lab.loading
    if job is None:
        return draw("strip", job=None)
    state = job.snapshot()
    left = _("about {time} left", time=seconds(state["seconds_left"])) if state["seconds_left"] else ""
    if state["stopping"]:
        stage, left = _("Stopping…"), ""
    elif state["state"] == "queued":
        ahead = lab.in_the_way(job)
        stage = _("Waiting: “{title}” holds the model.", title=_(ahead.title)) if ahead else _("Waiting for its turn.")
    else:
        count = " " + _("{n} of {all}", n=state["done"], all=state["total"]) if state["total"] else ""
        stage = _(state["stage"] or "Starting") + count + (f" · {state['note']}" if state["note"] else "")
    own = job.owner in (None, session.id)
    return draw("strip", job=state, stage=stage, left=left or seconds(state["seconds"]), own=own)


def foot(lab: Lab, session: Session) -> str:
    """The short cuts, where anybody finds them, and the same in a dialog."""
    return draw("foot", keys=KEYS)


# What any view may send


def _stop(lab: Lab, session: Session, data: dict) -> None:
    lab.stop(session, str(data["stops"]))


def _theme(lab: Lab, session: Session, data: dict) -> None:
    session.dark = data.get("dark") == "1"
    session.touch("figures")  # their ink


def _speak(lab: Lab, session: Session, data: dict) -> None:
    """Change the language of the page's own words."""
    if data.get("language") in LANGUAGES:
        session.language = data["language"]
        session.touch()


def _go(lab: Lab, session: Session, data: dict) -> None:
    session.following = False
    step = max(1, min(len(STEPS), int(data["step"])))
    if data.get("look"):  # a place of that step, far from its top
        session.look(str(data["look"]))
        session.touch(STEPS[step - 1])
    session.go(step)


def _dismiss(lab: Lab, session: Session, data: dict) -> None:
    place = data.get("notice", data["view"])
    session.notices.pop(place, None)
    session.undos.pop(place, None)
    session.touch(data["view"])


def _undo(lab: Lab, session: Session, data: dict) -> None:
    undo = session.undos.get(data.get("notice", data["view"]))
    # The same thing may be offered in two views; it is taken back once.
    for view in [view for view, other in session.undos.items() if other is undo]:
        del session.undos[view]
        session.notices.pop(view, None)
        session.touch(view)
    if undo is not None:
        undo()


def field(lab: Lab, session: Session, data: dict) -> None:
    """The frame has no inputs."""


ACTS = {
    "stop": _stop,
    "theme": _theme,
    "speak": _speak,
    "go": _go,
    "dismiss": _dismiss,
    "undo": _undo,
    "example": tour.begin,
}
