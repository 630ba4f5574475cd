"""The conversation as a recording, and a recording played again: without a model, at its pace, always labelled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.presenting.recordings import Asked, Recording, Said, paced
from unedit_gui.ui.draw import draw, plural
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.ui.lab import Lab
    from unedit_gui.ui.session import Session, Turn


@dataclass
class Replay:
    """A recording that is being played: which question, since when (monotonic seconds)."""

    recording: Recording
    place: int = 0
    began: float = 0.0

    @property
    def asked(self) -> Asked:
        return self.recording.questions[self.place]

    def seconds(self) -> float:
        """Since the question was put."""
        return time.monotonic() - self.began

    def playing(self) -> bool:
        """Whether replies are still growing."""
        return self.seconds() < self.asked.seconds

    def tick(self) -> tuple:
        """What changes while it plays, so that the page knows when to draw again."""
        return (self.place, self.began, *(len(said.at(self.seconds())) for said in self.asked.replies), self.playing())


def of(turns: list[Turn]) -> Recording:
    """The answered questions as a recording: those with the model and the columns of the last one. BadInput if there is
    none."""
    done = [turn for turn in turns if turn.state in ("done", "stopped") and turn.panes]
    if not done:
        raise BadInput("There is nothing to record yet; ask something first.")
    wanted, model = _columns(done[-1]), done[-1].panes[0].by.model
    same = [turn for turn in done if _columns(turn) == wanted]
    questions = tuple(
        Asked(
            turn.question,
            tuple(
                Said(pane.text, paced(pane.text, pane.pace), tuple(f"{t.method}: {t.text}" for t in pane.traces))
                for pane in turn.panes
            ),
            turn.answer,
        )
        for turn in same
    )
    recorded = datetime.fromtimestamp(same[-1].began or time.time(), UTC).isoformat(timespec="seconds")
    return Recording(recorded, model or "?", tuple(pane.names or "Original" for pane in same[-1].panes), questions)


def _columns(turn: Turn) -> list[tuple[str, str]]:
    return [(pane.slot, pane.by.model) for pane in turn.panes]


def render(session: Session) -> str:
    """The whole step while a recording plays."""
    now = session.replay
    focus = session.form.get("focus", "")
    return draw(
        "replay",
        recording=now.recording,
        asked=now.asked,
        place=now.place,
        said=[said.at(now.seconds()) for said in now.asked.replies],
        playing=now.playing(),
        focus=int(focus) if focus.isdigit() and int(focus) < len(now.recording.columns) else None,
        revealed=bool(session.form.get("revealed")),
        projected=session.projected,
        told=session.notices.get("chat"),
    )


def drawn(lab: Lab, session: Session) -> dict[str, Any]:
    """What the form of recordings needs."""
    return {"recordings": [(name, name) for name in lab.bench.recordings()] if session.form.get("preparing") else []}


def take(lab: Lab, session: Session, data: dict) -> bool:
    """Take a change of the form; False if it is something else."""
    if data["field"] not in ("recording_name", "recording"):
        return False
    session.form[data["field"]] = str(data["value"])
    return True


def _record(lab: Lab, session: Session, data: dict) -> None:
    name = session.form.get("recording_name", "").strip()
    if not name:
        raise BadInput("Type a name for the recording first.")
    recording = of(session.turns)
    lab.bench.save_recording(recording, name)
    left = sum(turn.state in ("done", "stopped") for turn in session.turns) - len(recording.questions)
    text = _("Recorded {questions} as {name}.", questions=plural(len(recording.questions), "question"), name=name)
    if left:
        text += " " + _("Left out, for other columns or another model: {n}.", n=left)
    session.tell("chat", text)


def _start(lab: Lab, session: Session, data: dict) -> None:
    name = session.form.get("recording") or next(iter(lab.bench.recordings()), "")
    if not name:
        raise BadInput("There is no recording yet; ask something and record it.")
    session.notices.pop("chat", None)
    session.form.pop("focus", None)
    session.replay = Replay(lab.bench.recording(name), 0, time.monotonic())
    session.touch("chat")


def _go(session: Session, by: int) -> None:
    now = session.replay
    if now is not None:
        now.place = max(0, min(now.place + by, len(now.recording.questions) - 1))
        now.began = time.monotonic()
        session.form.pop("revealed", None)
        session.touch("chat")


def _end(lab: Lab, session: Session, data: dict) -> None:
    session.replay = None
    session.form.pop("focus", None)
    session.touch("chat")


ACTS = {
    "record": _record,
    "replay": _start,
    "replay-next": lambda lab, session, data: _go(session, 1),
    "replay-back": lambda lab, session, data: _go(session, -1),
    "replay-again": lambda lab, session, data: _go(session, 0),
    "replay-end": _end,
}
