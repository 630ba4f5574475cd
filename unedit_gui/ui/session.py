"""What one browser tab is working on, kept on the server so that a reload, even amid an edit, loses nothing.

The browser keeps an unguessable id (sessionStorage); everything else is here: questions, refusals, switched-on
edits, the conversation, scores, the rating that is being filled in. Another browser has another id, and so sees
neither this one's conversation nor its edits switched on.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unedit_gui.forget.questions import Question, read_table
from unedit_gui.forget.targets import Target, judge
from unedit_gui.ui.draw import Notice

if TYPE_CHECKING:
    from unedit_gui.evaluation.held import Forgotten, Held
    from unedit_gui.evaluation.suite import Scores
    from unedit_gui.jobs import Job
    from unedit_gui.runs import Config, Settings
    from unedit_gui.runs.sweep import Outcome
    from unedit_gui.ui.duel import Arena
    from unedit_gui.ui.figures import Drawn
    from unedit_gui.ui.locate import Located
    from unedit_gui.ui.prepared import Prepared
    from unedit_gui.ui.probes import Shown
    from unedit_gui.ui.replay import Replay

STEPS = ("model", "forget", "targets", "edit", "chat", "scores", "study", "runs")
VIEWS = ("top", "strip", "foot", *STEPS, "detail", "probes", "run", "figures", "studies")
MOST = 200  # sessions kept; the ones not seen for longest go first
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass
class Row:
    """One line of the forget table, as typed: also what can't be used yet is kept."""

    id: int
    question: str = ""
    answer: str = ""
    subject: str = ""
    rephrases: str = ""  # one a line
    target: str = ""
    category: str = ""
    known: bool | None = None  # None: not asked yet
    reply: str = ""
    problem: str = ""  # why it can't be used, "" if it can

    @property
    def blank(self) -> bool:
        """Nothing was typed in it yet."""
        return not any(self.cells().values())

    @property
    def rephrasings(self) -> int:
        """How many rephrasings the row has."""
        return sum(bool(line.strip()) for line in self.rephrases.splitlines())

    def cells(self) -> dict[str, Any]:
        """The row as `read_table` takes it."""
        rephrases = [line for line in self.rephrases.splitlines() if line.strip()]
        return {
            "question": self.question,
            "answer": self.answer,
            "subject": self.subject,
            "rephrases": rephrases,
            "target": self.target,
            "category": self.category,
        }


@dataclass(frozen=True)
class Refusal:
    """A refusal for a question as it stood when it was written; `key` tells whether it still stands so."""

    key: tuple[str, str, str]
    target: Target


@dataclass(frozen=True)
class Author:
    """Who gave a reply: a model with edits, named as they were then, whatever is loaded, renamed or deleted since."""

    edits: tuple[str, ...] = ()  # ids
    names: str = ""
    methods: str = ""
    model: str = ""
    fingerprint: str = ""  # of its weights: two models may be called alike


@dataclass
class Pane:
    """One variant's part of a turn: a pane, or one of up to six columns.

    `slot` says where it stands: "original", "edited" (the right one of two panes, whatever is switched on), or the ids
    of a column's edits.
    """

    slot: str
    by: Author = Author()
    text: str = ""
    cut: bool = False  # it was cut off at its longest length
    traces: tuple = ()  # what its edits decided for the reply (edits/trace.py)
    pace: list[tuple[float, int]] = field(default_factory=list)  # (seconds since the turn began, characters by then)

    @property
    def edits(self) -> tuple[str, ...]:
        return self.by.edits

    @property
    def names(self) -> str:
        return self.by.names


@dataclass
class Turn:
    """One question of the conversation with its replies."""

    question: str
    fresh: bool = False  # begins a new conversation
    panes: list[Pane] = field(default_factory=list)  # the original's first
    state: str = "waiting"  # waiting | writing | done | stopped | failed
    note: str = ""
    seed: int = 0
    answer: str = ""  # the true answer, where the question came from a list
    began: float = 0.0  # seconds since 1970


@dataclass
class After:
    """What edits, by id, were asked in step 4 once they were made, and what became of it (see ui/after.py)."""

    edits: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()  # of those that were to be forgotten, the first ones
    facts: tuple[Question, ...] = ()  # that must stay
    to_forget: int = 0  # all that were to be forgotten
    forgotten: list[Forgotten] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    asking: bool = False


@dataclass
class Comparing:
    """What step 8 shows: the table's order and filters, runs side by side, an open one, and the sweep that runs."""

    order: tuple[str, bool] = ("created", True)  # column, and whether the largest comes first
    picked: list[str] = field(default_factory=list)  # ids of runs side by side
    opened: str | None = None
    tokens: dict[tuple[str, int], tuple] = field(default_factory=dict)  # (run, row) -> probabilities before and after
    asked: Config | None = None  # the latest sweep
    planned: list[Settings] = field(default_factory=list)  # its runs
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by id, what became of them
    count: int = 0  # runs kept, as last seen


@dataclass
class Session:
    """Everything of one browser tab. Whoever changes it holds `lock` and says what to redraw (`touch`)."""

    id: str
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    # `touch` has a lock of its own, so that one session's callback never waits for another session's.
    marking: threading.Lock = field(default_factory=threading.Lock, repr=False)
    revisions: Counter = field(default_factory=Counter)
    seen: float = field(default_factory=time.monotonic)
    dark: bool = False
    language: str = "en"  # of the page's own words, see ui/words.py
    goto: tuple[int, int] = (0, 1)  # (serial, step): the page follows when the serial grows
    notices: dict[str, Notice] = field(default_factory=dict)
    told: int = 0  # notices, and things to look at, so far
    looked: tuple[str, int] = ("", 0)  # what the page brings into sight, and its number
    undos: dict[str, Any] = field(default_factory=dict)  # per view, a function that takes the last thing back
    jobs: dict[str, Job] = field(default_factory=dict)  # the latest job of each kind
    form: dict[str, str] = field(default_factory=dict)  # what stands in the page's other inputs
    # 2 forget
    rows: list[Row] = field(default_factory=list)
    questions: dict[int, Question] = field(default_factory=dict)  # of the rows that can be used, by row id
    next_row: int = 1
    page: int = 0
    open_rows: set[int] = field(default_factory=set)
    located: dict[int, Located] = field(default_factory=dict)  # traces of rows, by row id
    # 3 targets
    refusals: dict[int, Refusal] = field(default_factory=dict)
    beside: dict[str, dict[int, Refusal]] = field(default_factory=dict)  # per other kind, to compare with
    seed: int = 0
    # 4 edit
    overrides: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)  # a setting's name -> what is wrong with its value
    made: str | None = None  # the id of the edit made last
    protect: list[Row] = field(default_factory=list)  # facts that must stay
    after: After = field(default_factory=After)  # what the edit made last says now
    # 5 chat
    enabled: list[str] = field(default_factory=list)
    columns: list[tuple[str, ...]] | None = None  # the edits of each column; None: never chosen
    stacking: set[str] = field(default_factory=set)  # ids that are to become one column together
    turns: list[Turn] = field(default_factory=list)
    verified: dict[str, Any] | None = None
    chips: int = 0
    arrived: dict[str, str] | None = None  # what the page's address asked for
    projected: int = 0  # grows when Python asks for the projector
    replay: Replay | None = None  # a recording that is being played
    prepared: list[Prepared] = field(default_factory=list)  # questions of a presentation, in their order
    place: int = 0  # whose turn it is
    arena: Arena | None = None  # blinded duels
    # 6 scores
    rephrased: dict[str, str] = field(default_factory=dict)  # question -> rephrasings, one a line
    scores: Scores | None = None
    scored: Author = Author()  # whose replies the scores are of
    plotted: int = 0  # grows with each result, so that the charts are drawn once
    probed: Shown | None = None
    to_probe: set[str] | None = None  # ids of edits; None: nobody has ticked any
    # 7 rate
    drafts: dict[str, dict[str, str]] = field(default_factory=dict)  # what was chosen and typed, by the reply's mark
    rating: str = ""  # the mark of the reply that is shown
    rated: dict[str, int] = field(default_factory=dict)  # ratings' ids by the reply's mark
    saved: str = ""  # the nonce of the rating saved last
    # 8 runs
    comparing: Comparing = field(default_factory=Comparing)
    figures: Drawn | None = None
    # the one-click example
    stage: str = ""  # the step that it is at
    following: bool = True  # the page goes along

    def touch(self, *views: str) -> None:
        """Have these views (all, if none is named) drawn again. Needs no lock held."""
        if "scores" in views:  # the probes stand below them, and show the same edits
            views = (*views, "probes")
        if "runs" in views:
            views = (*views, "figures")
        with self.marking:
            self.revisions.update(views or VIEWS)

    def tell(self, view: str, text: str, tone: str = "good", **more: Any) -> None:
        """Show a notice in a view, in place of the one that stands there; an Undo that it offers stays."""
        with self.lock:
            self.told += 1
            before = self.notices.get(view)
            if before is not None and before.undo and view in self.undos and not more.get("undo"):
                more |= {"undo": True, "undone": before.undone or before.text}
            self.notices[view] = Notice(text, tone, serial=self.told, **more)
            self.touch(view)

    def look(self, place: str) -> None:
        """Have the page bring a place into sight, and its heading into focus."""
        with self.lock:
            self.told += 1
            self.looked = (place, self.told)

    def looks(self, place: str) -> str:
        """What the template of a place says of it to the browser: a number, "" if nothing is to be looked at there."""
        return str(self.looked[1]) if self.looked[0] == place else ""

    def go(self, step: int) -> None:
        """Have the page show another step."""
        with self.lock:
            self.goto = (self.goto[0] + 1, step)

    # ------------------------------------------------------------- questions

    def add(self, questions: list[Question] | tuple[Question, ...]) -> list[Row]:
        """Put questions at the end of the table."""
        added = []
        with self.lock:
            for q in questions:
                text = "\n".join(q.rephrases)
                row = Row(
                    self.next_row,
                    q.question,
                    q.answer,
                    q.subject or "",
                    text,
                    q.target or "",
                    q.category or "",
                )
                self.next_row += 1
                self.rows.append(row)
                added.append(row)
            self.check()
        return added

    def check(self) -> None:
        """Look at every row anew: what can be used, and why not. To be called after any change of the rows."""
        with self.lock:
            reading = read_table([row.cells() for row in self.rows])
            reasons = {problem.row: problem.reason for problem in reading.problems}
            self.questions = {
                self.rows[number - 1].id: question
                for number, question in zip(reading.rows, reading.questions, strict=True)
                if question.subject
            }
            for number, row in enumerate(self.rows, 1):
                row.problem = reasons.get(number, "")
                if not row.problem and row.id not in self.questions:
                    row.problem = "no subject found; type the words of the question that it is about"
                question = self.questions.get(row.id)
                if question is not None and question.target and self.refusal(row) is None:
                    # Who gives a refusal along with the question wants that one.
                    target = Target(
                        question.target, "given", judge(question, question.target), "given with the question"
                    )
                    self.refusals[row.id] = Refusal(key(row), target)
            self.touch("forget", "targets", "edit", "chat", "scores", "top")

    def good(self) -> list[tuple[Row, Question]]:
        """The rows that can be used, with their questions."""
        with self.lock:
            return [(row, self.questions[row.id]) for row in self.rows if row.id in self.questions]

    def row(self, row_id: int) -> Row | None:
        return next((row for row in self.rows if row.id == row_id), None)

    def refusal(self, row: Row) -> Target | None:
        """The refusal of a row, unless the question was changed since it was written."""
        found = self.refusals.get(row.id)
        return found.target if found and found.key == key(row) else None

    # ------------------------------------------------------------------ jobs

    def active(self, *kinds: str) -> Job | None:
        """The waiting or running job of these kinds (any, if none is named)."""
        with self.lock:
            jobs = [job for kind, job in self.jobs.items() if not kinds or kind in kinds]
        return next((job for job in jobs if job.state in ("queued", "running")), None)


def whole(text: str) -> int | None:
    """A whole number as typed, of up to nine digits; None if it is something else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def key(row: Row) -> tuple[str, str, str]:
    """What a refusal depends on."""
    return row.question.strip(), row.answer.strip(), row.subject.strip()


class Sessions:
    """The sessions of the running program, by their unguessable id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[str, Session] = {}

    def get(self, session_id: object) -> Session | None:
        """The session with this id, made now if it is new; None for what can't be an id."""
        if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
            return None
        with self._lock:
            found = self._all.setdefault(session_id, Session(session_id))
            found.seen = time.monotonic()
            if len(self._all) > MOST:
                idle = [s for s in self._all.values() if s is not found and s.active() is None]
                for old in sorted(idle, key=lambda s: s.seen)[: len(self._all) - MOST]:
                    del self._all[old.id]
            return found

    def all(self) -> list[Session]:
        with self._lock:
            return list(self._all.values())
