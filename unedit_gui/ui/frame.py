"""What stands around the steps: the header, the stepper's labels, the strip of the running job, the keys."""

from __future__ import annotations

from unedit_gui.ui import tour
from unedit_gui.ui.draw import draw, plural, seconds
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import STEPS, Session

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
    ("?", "show this list"),
)


def top(lab: Lab, session: Session) -> str:
    """The header: name, what is loaded, light or dark, keys."""
    model = lab.bench.model
    return draw("top", loading=lab.busy_loading, failed=bool(lab.load_error), model=model, dtype=dtype_of(model))


def dtype_of(model) -> str:
    """The number format of a loaded model's weights, as users know it."""
    return "" if model is None else str(model.dtype).removeprefix("torch.")


def label(lab: Lab, session: Session | None, name: str) -> str:
    """A step's label: its name, and on a second line where it stands."""
    return f"{NAMES[name]}\n{_standing(lab, session, name)}"


def _standing(lab: Lab, session: Session | None, name: str) -> str:
    if name == "model":
        if lab.busy_loading:
            return "loading…"
        return "✓ ready" if lab.bench.model is not None else "choose one"
    if session is None:
        return "–"
    if session.active("example") and session.stage == name:
        return "… running"
    if name == "forget":
        good, bad = sum(not r.problem for r in session.rows), sum(bool(r.problem) for r in session.rows)
        if bad:
            return f"{bad} to mend"
        return f"✓ {plural(good, 'question')}" if good else "add questions"
    if name == "targets":
        there = sum(session.refusal(row) is not None for row in session.rows)
        total = len(session.rows)
        if not there:
            return "what to say"
        return f"✓ {there} written" if there == total else f"{there} of {total}"
    if name == "edit":
        edit = lab.edits.get(session.made or "")
        return f"✓ {edit.method_label}" if edit else "choose how"
    if name == "chat":
        return f"✓ {plural(len(session.turns), 'question')}" if session.turns else "compare"
    if name == "scores":
        scores = session.scores
        return f"✓ {scores.score_after:.2f} of 2" if scores and scores.score_after is not None else "measure"
    if name == "runs":
        planned, ended = session.comparing.planned, session.comparing.outcomes
        if session.active("sweep"):
            return f"… {len(ended)} of {len(planned)}" if planned else "… planning"
        return f"✓ {session.comparing.count} kept" if session.comparing.count else "compare many"
    return f"✓ {len(session.rated)} rated" if session.rated else "judge replies"


def strip(lab: Lab, session: Session) -> str:
    """The long job that this page has running or waiting, or the model being loaded; else nothing."""
    job = next(filter(None, map(session.active, LONG)), None)
    if job is None and lab.busy_loading:
        job = lab.loading
    if job is None:
        return draw("strip", job=None)
    state = job.snapshot()
    left = f"about {seconds(state['seconds_left'])} left" if state["seconds_left"] else ""
    if state["stopping"]:
        stage, left = "Stopping…", ""
    elif state["state"] == "queued":
        ahead = lab.in_the_way(job)
        stage = f"Waiting: “{ahead.title}” holds the model." if ahead else "Waiting for its turn."
    else:
        count = f" {state['done']} of {state['total']}" if state["total"] else ""
        stage = (state["stage"] or "Starting") + count + (f" · {state['note']}" if state["note"] else "")
    own = job.owner in (None, session.id)
    return draw("strip", job=state, stage=stage, left=left or seconds(state["seconds"]), own=own)


def foot() -> str:
    """The short cuts, where anybody finds them, and the same in a dialog."""
    return draw("foot", keys=KEYS)


# What any view may send


def _stop(lab: Lab, session: Session, data: dict) -> None:
    lab.stop(session, str(data["stops"]))


def _theme(lab: Lab, session: Session, data: dict) -> None:
    session.dark = data.get("dark") == "1"
    session.touch("figures")  # their ink


def _go(lab: Lab, session: Session, data: dict) -> None:
    session.following = False
    session.go(max(1, min(len(STEPS), int(data["step"]))))


def _dismiss(lab: Lab, session: Session, data: dict) -> None:
    session.notices.pop(data["view"], None)
    session.undos.pop(data["view"], None)
    session.touch(data["view"])


def _undo(lab: Lab, session: Session, data: dict) -> None:
    undo = session.undos.get(data["view"])
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
    "go": _go,
    "dismiss": _dismiss,
    "undo": _undo,
    "example": tour.begin,
}
