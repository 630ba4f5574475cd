"""Step 5: original and edited side by side, from one batch of a row per variant on one copy of the weights."""

from __future__ import annotations

import time

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import same_question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.ui import columns, duel, prepared, presets, replay, shelf, study
from unedit_gui.ui.draw import draw, plural
from unedit_gui.ui.lab import Lab, word
from unedit_gui.ui.session import Pane, Session, Turn
from unedit_gui.ui.words import translate

KEPT = 60  # turns
PARTS = (duel, prepared, presets, replay)
TEMPERATURES = (
    ("0", "always the likeliest word"),
    ("0.7", "some chance (0.7)"),
    ("1", "much chance (1.0)"),
)


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    if session.replay is not None:
        return replay.render(session)
    _settle(session)
    names = ", ".join(edit.name for edit in lab.enabled(session))
    return draw(
        "chat",
        told=session.notices.get("chat"),
        model=lab.bench.model,
        edits=[edit for edit in lab.edits.values() if edit.id not in lab.ready or edit.id in session.enabled],
        all_edits=list(lab.edits.values()),
        ready=lab.ready,
        enabled=session.enabled,
        names=names,
        mixed=bool({pane.names for turn in session.turns for pane in turn.panes if pane.edits} - {names}),
        verifying=session.active("verify") is not None,
        verified=session.verified,
        turns=session.turns,
        switched=[columns.switched(session.turns, number) for number in range(len(session.turns))],
        suggestions=[(tone, title, _some(q, session.chips)) for tone, title, q in material(lab, session)],
        busy=next((kind for kind in ("chat", "example") if session.active(kind)), ""),
        form=session.form,
        temperatures=[(value, translate(text)) for value, text in TEMPERATURES],
        **columns.drawn(lab, session),
        **prepared.drawn(session),
        asked_now=_asked_now(session),
        projected=session.projected,
        **replay.drawn(lab, session),
        **(duel.drawn(lab, session) if duel.asks(session) else {}),
    )


def _settle(session: Session) -> None:
    """A turn whose job was stopped before it began is not waiting any more."""
    if session.active("chat", "example") is None:
        for turn in session.turns:
            if turn.state in ("waiting", "writing"):
                turn.state = "stopped"


def material(lab: Lab, session: Session) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Questions at hand, with their answers: to be forgotten, the same in other words, and to be kept."""
    on = lab.enabled(session)
    if columns.view(session) != "panes":
        on = tuple(lab.edits[i] for ids in columns.chosen(lab, session) for i in ids)
    requests = {r["question"]: r for edit in on for r in edit.requests}.values()
    facts = [(r["question"], r["answer"], tuple(r.get("rephrases") or ())) for r in requests]
    if not facts:
        facts = [(q.question, q.answer, q.rephrases) for _, q in session.good()]
    gone = {same_question(question) for question, _, _ in facts}
    kept = [
        (q.question, q.answer)
        for name in ("example retain", "factual")
        for q in lab.sets.get(name, ())
        if same_question(q.question) not in gone and (name != "factual" or getattr(lab.answer(q), "known", False))
    ]
    groups = (
        ("forget", "Forget", [(q, a) for q, a, _ in facts]),
        ("rephrased", "Rephrased", [(text, a) for _, a, texts in facts for text in texts]),
        ("retain", "Keep", kept),
    )
    return [(tone, title, found) for tone, title, found in groups if found]


def _some(found: list, turn: int, n: int = 2) -> list:
    """The next n of a list, round and round."""
    return [found[(turn * n + i) % len(found)] for i in range(min(n, len(found)))]


# --------------------------------------------------------------- answering


def answer(lab: Lab, session: Session, turn: Turn, job: Job) -> None:
    """Have every pane answer a turn of the session in one batch, streaming into it. Runs on the worker."""
    from unedit_gui.models.generation import Sampling

    with session.lock:
        planned = columns.plan(lab, session)
        until = session.turns.index(turn) + 1 if turn in session.turns else 0
        turn.panes = [pane for pane, _ in planned]
        rows = [columns.history(session.turns[:until], pane) for pane in turn.panes] if until else []
        turn.state, turn.note, turn.began = "writing", "", time.time()
        session.touch("chat", "top")
    if not until:  # the conversation was cleared while this waited
        return
    temperature = float(session.form.get("temperature", "0"))
    began = time.monotonic()

    def grow(place: int, text: str) -> None:
        pane = turn.panes[place]
        pane.text = text
        pane.pace.append((time.monotonic() - began, len(text)))
        session.touch("chat")

    edits = [row for _, row in planned]
    try:
        replies = lab.bench.chat(rows, edits, sampling=Sampling(temperature), seed=turn.seed, on_text=grow, job=job)
    except Stopped:
        turn.state = "stopped"
        session.touch("chat")
        raise
    except Exception as error:
        turn.state, turn.note = "failed", word(error)
        session.touch("chat")
        raise
    for place, reply in enumerate(replies):
        turn.panes[place].traces, turn.panes[place].cut = reply.traces, reply.cut
        grow(place, reply.text)
    turn.state = "stopped" if any(reply.ended == "stopped" for reply in replies) else "done"
    session.touch("chat", "top")


def _ask(lab: Lab, session: Session, turn: Turn) -> None:
    """Queue a turn; while an edit holds the model it waits, and says so."""
    if session.active("chat"):
        raise BadInput("The last question is still being answered; wait, or stop it.")
    held = lab.worker.current
    if held is not None:
        turn.note = translate(
            "Waiting: “{title}” holds the model. Your question is answered right after.", title=translate(held.title)
        )
    session.turns.append(turn)
    del session.turns[:-KEPT]
    lab.start(session, "chat", "Answering", "chat", lambda job: answer(lab, session, turn, job), urgent=True)


def put(lab: Lab, session: Session, question: str, *, fresh: bool = False, answer: str = "") -> None:
    """Ask a question of whoever the chosen layout has."""
    session.form.pop("revealed", None)
    session.form.pop("stepped", None)
    session.replay = None
    if duel.asks(session):
        duel.begin(lab, session, question, answer)
    else:
        _ask(lab, session, Turn(question, fresh=fresh, answer=answer))


def field(lab: Lab, session: Session, data: dict) -> None:
    name = data["field"]
    if name == "toggle":
        shelf.toggle(lab, session, data)
    elif columns.field(lab, session, data) or any(part.take(lab, session, data) for part in PARTS):
        return
    elif name == "message":
        session.form[name] = str(data["value"])
    elif name == "temperature" and data["value"] in dict(TEMPERATURES):
        session.form[name] = data["value"]


def _send(lab: Lab, session: Session, data: dict) -> None:
    text = session.form.get("message", "").strip()
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if not text:
        raise BadInput("Type a question first.")
    if len(text) > 4000:
        raise BadInput(translate("The question has {n} characters; 4,000 are allowed.", n=f"{len(text):,}"))
    put(lab, session, text, fresh=session.form.pop("fresh", "") == "1")
    session.form["message"] = ""


def _chip(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    put(lab, session, str(data["text"])[:4000], fresh=True, answer=str(data.get("answer", "")))


def _retry(lab: Lab, session: Session, data: dict) -> None:
    if session.turns and not session.active("chat"):
        old = session.turns.pop()
        seed = old.seed + 1
        _ask(lab, session, Turn(old.question, fresh=old.fresh, seed=seed, answer=old.answer))


def _clear(lab: Lab, session: Session, data: dict) -> None:
    if not session.turns:  # the same button, pressed twice
        return
    before = list(session.turns)
    session.turns = []

    def back() -> None:
        session.turns = before + session.turns
        session.touch("chat", "top")

    session.undos["chat"] = back
    session.tell("chat", translate("{questions} cleared.", questions=plural(len(before), "question")), undo=True)
    session.touch("top")


def _new_talk(lab: Lab, session: Session, data: dict) -> None:
    session.form["fresh"] = "1"
    session.tell("chat", "Your next question begins a new conversation.")


def _others(lab: Lab, session: Session, data: dict) -> None:
    session.chips += 1
    session.touch("chat")


def _prepare(lab: Lab, session: Session, data: dict) -> None:
    prepared.usable(session)
    found = {tone: questions for tone, _, questions in material(lab, session)}.get(str(data["tone"]), [])
    if not found:
        raise BadInput("There are none of these; choose edits first, or type questions of your own.")
    prepared.add(session, found[:10])


def _prepared_ask(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if (item := prepared.current(session)) is not None:
        put(lab, session, item.question, fresh=True, answer=item.answer)


def _asked_now(session: Session) -> bool:
    """Whether what stands below is newer than the last step through the prepared questions."""
    asked = (session.arena and session.arena.now) if duel.asks(session) else session.turns
    return bool(asked) and not session.form.get("stepped")


def _verify(lab: Lab, session: Session, data: dict) -> None:
    def work(job: Job) -> None:
        session.verified = lab.bench.verify_original(job=job)

    lab.start(session, "verify", "Checking the original’s weights", "chat", work)


def _reply(session: Session, data: dict) -> tuple[int, Pane]:
    """The turn's number and the pane of a button that stands under a reply."""
    number, place = int(data["turn"]), int(data["pane"])
    if number >= len(session.turns) or place >= len(session.turns[number].panes):
        raise BadInput(translate("That reply is gone from the conversation meanwhile."))
    return number, session.turns[number].panes[place]


def _forget_this(lab: Lab, session: Session, data: dict) -> None:
    number, pane = _reply(session, data)
    history = columns.history(session.turns[: number + 1], pane)
    on = [lab.edits[i] for i in pane.edits if i in lab.edits]
    found = lab.bench.forget_this(history, pane.text, on)
    same = {same_question(row.question) for row in session.rows}
    if same_question(found.question) in same:
        session.tell("chat", "This question is among the ones to forget already.", "warn", step=2, step_text="See it")
        return
    session.add([found])
    session.page = 10**6
    session.tell(
        "chat",
        translate(
            "“{question}” is now to be forgotten. Its answer is taken from the reply; check it in step 2.",
            question=found.question,
        ),
        step=2,
        step_text="See it in step 2",
    )


def _rate(lab: Lab, session: Session, data: dict) -> None:
    number, pane = _reply(session, data)
    study.show_pane(session, session.turns[number], pane)
    session.go(7)


ACTS = {
    "send": _send,
    "chip": _chip,
    "retry": _retry,
    "clear": _clear,
    "new-talk": _new_talk,
    "others": _others,
    "verify": _verify,
    "prepare": _prepare,
    "prepared-ask": _prepared_ask,
    "forget-this": _forget_this,
    "rate": _rate,
    **columns.ACTS,
    **duel.ACTS,
    **prepared.ACTS,
    **presets.ACTS,
    **replay.ACTS,
    **shelf.ACTS,
}
