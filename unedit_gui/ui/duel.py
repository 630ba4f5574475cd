"""A blinded duel in the chat step: two variants, sides drawn anew for every question, names after the vote.

Until then nothing that is drawn says which is which: no name, id, method or trace, and no chips of edits either.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job, Stopped
from unedit_gui.study.duels import ORIGINAL, VOTES, Vote, left_first
from unedit_gui.ui import columns
from unedit_gui.ui.lab import word
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.edits.edit import Edit
    from unedit_gui.ui.lab import Lab
    from unedit_gui.ui.session import Session

RANDOM = "random"
SIDES = ("left", "right")
WORDS = {"left": "Left is better", "right": "Right is better", "tie": "A tie", "bad": "Both are bad"}
KEYS = {"left": ("ArrowLeft", "←"), "right": ("ArrowRight", "→"), "tie": ("t", "T"), "bad": ("b", "B")}


@dataclass
class Fighter:
    """One side: which variant stands there, and its reply so far."""

    id: str  # ids of edits joined by "+", or ORIGINAL
    name: str
    edits: tuple[Edit, ...] = ()
    text: str = ""
    cut: bool = False  # it was cut off at its longest length


@dataclass
class Duel:
    """One question to two variants. `vote` is "" until somebody voted, and "shown" where names were shown without."""

    question: str
    sides: tuple[Fighter, Fighter]  # left, right
    answer: str = ""  # the true answer, where the question came from a list
    model: str = ""  # that answered, whatever is loaded when the vote comes
    state: str = "waiting"  # waiting | writing | done | stopped | failed
    note: str = ""
    vote: str = ""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class Arena:
    """The duels of one page."""

    seed: str = field(default_factory=lambda: secrets.token_hex(8))
    number: int = 0
    now: Duel | None = None
    table: bool = False  # the win table is open


def arena_of(session: Session) -> Arena:
    """The session's duels, begun when first asked for."""
    if session.arena is None:
        session.arena = Arena()
    return session.arena


def variants(lab: Lab) -> dict[str, str]:
    """What can take part: the original and every edit, by id."""
    return {ORIGINAL: _("Original"), **{id: edit.name for id, edit in lab.edits.items()}}


def pair(lab: Lab, session: Session, dice: random.Random) -> tuple[str, str]:
    """The two ids that the form asks for; a free place is drawn among the rest."""
    known = list(variants(lab))
    wanted = [session.form.get(f"duel_{place}", RANDOM) for place in ("first", "second")]
    found = [id if id in known else RANDOM for id in wanted]
    for place, id in enumerate(found):
        if id == RANDOM:
            rest = [other for other in known if other not in found]
            if not rest:
                raise BadInput(
                    "A duel needs two variants; make an edit in step 4, or load a model with ready-made ones."
                )
            found[place] = dice.choice(rest)
    if found[0] == found[1]:
        raise BadInput("Both sides are the same; choose two variants that differ, or leave one to chance.")
    return found[0], found[1]


def begin(lab: Lab, session: Session, question: str, answer: str = "") -> None:
    """Put a question to two variants, on sides that the arena's seed draws for its number."""
    arena = arena_of(session)
    if session.active("chat"):
        raise BadInput("The last question is still being answered; wait, or stop it.")
    if arena.now is not None and arena.now.state == "done" and not arena.now.vote:
        raise BadInput("Vote first, or show the names without a vote; then ask the next question.")
    ids = pair(lab, session, random.Random(f"{arena.seed}/pair/{arena.number}"))
    if not left_first(arena.seed, arena.number):
        ids = ids[::-1]
    named = variants(lab)
    sides = [Fighter(i, named[i], lab.bench.stack(lab.edits[i]) if i != ORIGINAL else ()) for i in ids]
    duel = Duel(question, (sides[0], sides[1]), answer)
    arena.now, arena.number = duel, arena.number + 1
    lab.start(session, "chat", "Answering", "chat", lambda job: fight(lab, session, duel, job), urgent=True)


def fight(lab: Lab, session: Session, duel: Duel, job: Job) -> None:
    """Have both sides answer in one batch. Runs on the worker."""
    duel.state, duel.model = "writing", lab.author().model
    asked = [{"role": "user", "content": duel.question}]

    def grow(place: int, text: str) -> None:
        duel.sides[place].text = text
        session.touch("chat")

    try:
        rows = [side.edits for side in duel.sides]
        replies = lab.bench.chat([asked, asked], rows, on_text=grow, job=job)
    except Stopped:
        duel.state = "stopped"
        raise
    except Exception as error:
        duel.state, duel.note = "failed", word(error)
        raise
    finally:
        session.touch("chat")
    for place, reply in enumerate(replies):
        duel.sides[place].cut = reply.cut
        grow(place, reply.text)
    duel.state = "stopped" if any(reply.ended == "stopped" for reply in replies) else "done"
    session.touch("chat")


def drawn(lab: Lab, session: Session) -> dict[str, Any]:
    """What the template needs; of a duel that is not decided, nothing that tells the sides apart."""
    arena = arena_of(session)
    now = arena.now
    if now is not None and now.state in ("waiting", "writing") and session.active("chat") is None:
        now.state = "stopped"  # its job was stopped before it began
    open_ = now is None or bool(now.vote) or now.state in ("stopped", "failed")
    found: dict[str, Any] = {
        "duel": now,
        "blind": not open_,
        "replies": list(zip(SIDES, now.sides, strict=True)) if now else [],
        "voting": [(vote, _(WORDS[vote]), *KEYS[vote]) for vote in VOTES],
        "votes": sum(1 for _vote in lab.bench.duels.all()) if open_ else 0,
    }
    if open_:
        named = [(RANDOM, _("by chance")), *variants(lab).items()]
        found["choices"] = named
        found["first"], found["second"] = (session.form.get(f"duel_{p}", RANDOM) for p in ("first", "second"))
        found["who"] = [f.name for f in now.sides] if now and now.vote else ["", ""]
        found["table"] = lab.bench.standing() if arena.table else None
    return found


def take(lab: Lab, session: Session, data: dict) -> bool:
    """Take a change of one of the choices; False if it is none of them."""
    if data["field"] not in ("duel_first", "duel_second"):
        return False
    session.form[data["field"]] = str(data["value"])
    return True


def _vote(lab: Lab, session: Session, data: dict) -> None:
    now, vote = arena_of(session).now, str(data["vote"])
    if now is None or now.vote or now.state != "done":
        return  # a second click, or a key that came too early
    left, right = now.sides
    sides = {"left_id": left.id, "left_name": left.name, "left_reply": left.text}
    sides |= {"right_id": right.id, "right_name": right.name, "right_reply": right.text}
    lab.bench.vote(Vote(question=now.question, vote=vote, model=now.model, nonce=now.nonce, **sides))
    now.vote = vote
    for other in lab.sessions.all():
        other.touch("chat")
    session.touch("chat")


def _reveal(lab: Lab, session: Session, data: dict) -> None:
    now = arena_of(session).now
    if now is not None and not now.vote and now.state == "done":
        now.vote = "shown"
        session.touch("chat")


def _table(lab: Lab, session: Session, data: dict) -> None:
    arena = arena_of(session)
    arena.table = not arena.table
    session.touch("chat")


def _csv(lab: Lab, session: Session, data: dict) -> dict:
    return {"name": "duels.csv", "type": "text/csv;charset=utf-8", "text": lab.bench.duels.to_csv()}


ACTS = {"vote": _vote, "unblind": _reveal, "duel-table": _table, "duels-csv": _csv}


def asks(session: Session) -> bool:
    """Whether a question goes to a duel."""
    return columns.view(session) == "duel"
