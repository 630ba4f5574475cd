"""The state that all pages of one running program share: the workbench, its worker, the edits in memory.

No Gradio here. The tabs' files call this; it starts jobs, words their errors, and says which views to redraw.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput, UneditError, is_out_of_memory
from unedit_gui.jobs import Job, Stopped, Worker
from unedit_gui.ui.session import After, Author, Session, Sessions
from unedit_gui.ui.words import speaking
from unedit_gui.ui.words import translate as _
from unedit_gui.workbench import Answer, Workbench

if TYPE_CHECKING:
    from unedit_gui.edits.edit import Edit
    from unedit_gui.forget.questions import Question

log = logging.getLogger(__name__)
ASK_AT_ONCE = 32


class Lab:
    """One workbench behind many browser sessions."""

    def __init__(self, home: Path | None = None) -> None:
        self.bench = Workbench(home)
        self.worker = Worker()
        self.sessions = Sessions()
        self.edits: dict[str, Edit] = {}  # of the current model, newest first, then the ready-made ones
        self.ready: frozenset[str] = frozenset()  # the ids of these
        self.loading: Job | None = None  # the latest
        self._loads: list[tuple[str, Job]] = []  # names of models with their jobs
        self.load_error = ""
        self.wanted = "bundled"
        self._answers: dict[tuple[str, str, str], Answer] = {}

    # ------------------------------------------------------------------ jobs

    def start(
        self,
        session: Session,
        kind: str,
        title: str,
        view: str | Callable[[], str],
        work: Callable[[Job], Any],
        *,
        urgent: bool = False,
        stopped: str = "Nothing was changed.",
    ) -> Job:
        """Queue `work(job)` for a session; how it ends without success is told in `view`."""

        def here() -> str:
            return view if isinstance(view, str) else view()

        def spoken(job: Job) -> Any:
            with speaking(session.language):  # what it tells at its end; a worker's thread has no language
                return work(job)

        def settled(job: Job) -> None:
            with speaking(session.language):
                if job.state == "failed":
                    session.tell(here(), word(job.error), "bad")
                elif job.state == "stopped" and not urgent:
                    session.tell(here(), _("{title}: stopped. {note}", title=_(title), note=_(stopped)), "warn")
            session.touch()

        with session.lock:
            if session.active(kind):
                raise BadInput(_("“{title}” is running already; wait for it, or stop it.", title=_(title)))
            job = self.worker.submit(kind, title, spoken, urgent=urgent, owner=session.id, on_done=settled)
            session.jobs[kind] = job
            if urgent or here() not in session.undos:
                session.notices.pop(here(), None)
            session.touch()
        return job

    def stop(self, session: Session, kind: str) -> None:
        """Stop what this session has running or waiting of a kind; a model's loading, if nobody else asked for it."""
        job = self.loading if kind == "load" else session.active(kind)
        if job is not None and job.owner in (None, session.id):
            job.stop()
        session.touch("strip", "chat")

    def in_the_way(self, job: Job) -> Job | None:
        """The job that holds the model while this one waits."""
        current = self.worker.current
        return current if job.state == "queued" and current is not job else None

    # ----------------------------------------------------------------- model

    def load(self, name: str, device: str | None = None, dtype: str | None = None, owner: str | None = None) -> Job:
        """Load a model for everybody; the one in use stays if that fails."""
        self.wanted, self.load_error = name, ""

        def work(job: Job) -> None:
            self.bench.load(name, device=device, dtype=dtype, job=job)
            job.progress("Looking for saved edits")
            self.ready = frozenset()
            saved, ready = self.bench.edits(), self.bench.ready_made().values()
            self.arrange([*saved, *ready], frozenset(edit.id for edit in ready) - {edit.id for edit in saved})
            for session in self.sessions.all():
                with session.lock:
                    session.enabled = [i for i in session.enabled if i in self.edits]
                    session.verified, session.scores, session.scored = None, None, Author()
                    session.plotted += 1
                    session.after = After()
                    for row in session.rows:
                        row.known, row.reply = None, ""

        def settled(job: Job) -> None:
            self.load_error = word(job.error) if job.state == "failed" else ""
            for session in self.sessions.all():
                session.touch()

        title = "Loading the model"
        self.loading = self.worker.submit("load", title, work, owner=owner, on_done=settled)
        self._loads = [*((name, job) for name, job in self._loads if _open(job)), (name, self.loading)]
        for session in self.sessions.all():
            session.touch()
        return self.loading

    @property
    def busy_loading(self) -> bool:
        return self.loading is not None and _open(self.loading)

    def awaited(self) -> set[str]:
        """The names of the models that are being loaded or wait for it."""
        return {name for name, job in self._loads if _open(job)}

    def blocked(self, session: Session) -> str:
        """Why nothing can be asked of the model now; "" if it can."""
        if self.bench.model is None:
            return _("The model is still loading.") if self.busy_loading else _("Load a model in step 1 first.")
        return ""

    # ----------------------------------------------------------------- edits

    def author(self, edits: Sequence[Edit] = (), joint: str = ", ") -> Author:
        """Who replies now, where these edits are in the model."""
        model = self.bench.model
        return Author(
            tuple(edit.id for edit in edits),
            joint.join(edit.name for edit in edits),
            ", ".join(edit.method_label for edit in edits),
            model.card.label if model else "",
            model.fingerprint if model else "",
        )

    def enabled(self, session: Session) -> tuple[Edit, ...]:
        """The session's switched-on edits, oldest first."""
        with session.lock:
            return tuple(self.edits[i] for i in reversed(list(self.edits)) if i in session.enabled)

    def keep(self, session: Session, edit: Edit) -> None:
        """Save a new edit, list it for everybody, and switch it on, alone with what it builds on, here."""
        self.bench.save_edit(edit)
        self.ready -= {edit.id}  # made here, to the same bytes: it is the user's own now
        self.edits = {edit.id: edit, **{i: e for i, e in self.edits.items() if i != edit.id}}
        below = [i for i in edit.manifest.get("on", ()) if i in self.edits]
        with session.lock:
            session.enabled = [*below, edit.id]
            session.made = edit.id
        self.touch_edits()

    def take(self, session: Session, edit: Edit) -> None:
        """List an edit from elsewhere, with those that it is on, for everybody, and switch it on, alone, here."""
        stack = self.bench.stack(edit)
        self.arrange([*self.edits.values(), *(part for part in stack if part.id not in self.edits)])
        with session.lock:
            session.enabled = [part.id for part in stack]
        self.touch_edits()

    def drop(self, edit: Edit) -> None:
        """Take a deleted edit off the list; one that comes with the program as well is there as that again."""
        shipped = [ready for ready in self.bench.ready_made().values() if ready == edit]
        rest = [other for other in self.edits.values() if other != edit]
        self.arrange([*rest, *shipped], self.ready | {ready.id for ready in shipped})

    def bring_back(self, edit: Edit) -> None:
        """List an edit that was deleted again."""
        self.arrange([edit, *(other for other in self.edits.values() if other != edit)], self.ready - {edit.id})

    def arrange(self, edits: Sequence[Edit], ready: frozenset[str] | None = None) -> None:
        """Put the edits in order: the newest first, and those that come with the program behind them."""
        self.ready = self.ready if ready is None else ready
        own = sorted((e for e in edits if e.id not in self.ready), key=lambda e: e.created, reverse=True)
        self.edits = {edit.id: edit for edit in (*own, *(e for e in edits if e.id in self.ready))}

    def touch_edits(self) -> None:
        """Have every page draw the list of edits again."""
        for session in self.sessions.all():
            session.touch("edit", "chat", "scores", "top")

    # ------------------------------------------------------------- knowledge

    @cached_property
    def sets(self) -> dict[str, tuple[Question, ...]]:
        """The bundled question sets, read once."""
        return self.bench.bundled_sets()

    def ask(self, questions: Sequence[Question], job: Job) -> list[Answer]:
        """What the original model answers; each question is asked once per model."""
        mark = self.bench.model.fingerprint
        new = [q for q in questions if (mark, q.question, q.answer) not in self._answers]
        for start in range(0, len(new), ASK_AT_ONCE):
            for answer in self.bench.ask(new[start : start + ASK_AT_ONCE], job=job):
                self._answers[mark, answer.question.question, answer.question.answer] = answer
            job.progress("Asking the model", min(start + ASK_AT_ONCE, len(new)), len(new))
            job.breathe()
        return [self._answers[mark, q.question, q.answer] for q in questions]

    def answer(self, question: Question) -> Answer | None:
        """What the model answered to a question, if it was asked already."""
        model = self.bench.model
        return self._answers.get((model.fingerprint, question.question, question.answer)) if model else None

    def known_sample(self, pool: Sequence[Question], n: int, seed: int, job: Job) -> list[Question]:
        """Up to n questions of a pool that the original model answers right, in a random order of the seed."""
        order = list(pool)
        random.Random(seed).shuffle(order)
        found: list[Question] = []
        while order and len(found) < n:
            batch, order = order[:ASK_AT_ONCE], order[ASK_AT_ONCE:]
            for answer in self.ask(batch, job):
                if answer.known and len(found) < n:
                    found.append(answer.question)
            job.progress("Looking for facts that the model knows", len(found), n)
        return found


def _open(job: Job) -> bool:
    return job.state in ("queued", "running")


def word(error: BaseException | None) -> str:
    """An error in one sentence for the page."""
    if isinstance(error, UneditError | Stopped):
        return str(error)
    if is_out_of_memory(error):
        return _(
            "The memory was not enough. The model is as it was; forget fewer questions at once, choose fewer layers, or load a smaller model, and try again."  # noqa: E501
        )
    log.error("unexpected error", exc_info=error)
    return _(
        "Something unexpected went wrong ({error}). The model is as it was; the program's log has the details.",
        error=f"{type(error).__name__}: {error}",
    )
