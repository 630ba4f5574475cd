"""Step 3: what the model is to say instead. Written by itself or taken from a set, checked, and editable."""

from __future__ import annotations

import dataclasses

from unedit_gui.errors import BadInput
from unedit_gui.forget.targets import Target, judge
from unedit_gui.jobs import Job
from unedit_gui.ui.draw import draw, plural
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Refusal, Row, Session, key

KINDS = (
    (
        "self-improved",
        "Written by the model",
        "It names the topic and admits not knowing. Best for people to read.",
    ),
    ("vanilla", "From a fixed set", "A random “I don’t know” sentence. Quick, and the same for any topic."),
    ("given", "My own", "The refusals of your file, or typed below."),
)
PAGE = 25


def kind(session: Session) -> str:
    return session.form.get("kind", KINDS[0][0])


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    pairs = session.good()
    found = [(row, session.refusal(row)) for row, _ in pairs]
    pages = max(1, -(-len(found) // PAGE))
    page = max(0, min(int(session.form.get("targets_page", "0")), pages - 1))
    return draw(
        "targets",
        told=session.notices.get("targets"),
        kinds=KINDS,
        kind=kind(session),
        total=len(found),
        there=sum(target is not None for _, target in found),
        doubtful=sum(target is not None and not target.verdict.ok for _, target in found),
        busy=session.active("targets", "example", "edit") is not None,
        items=found[page * PAGE : (page + 1) * PAGE],
        page=page,
        pages=pages,
    )


def field(lab: Lab, session: Session, data: dict) -> None:
    if data["field"] == "kind":
        if str(data["value"]) in [value for value, _, _ in KINDS] and data["value"] != kind(session):
            _choose(session, str(data["value"]))
        return
    row = session.row(int(data["row"]))
    if row is None or data["field"] != "refusal":
        return
    text = str(data["value"]).strip()
    before = session.refusal(row)
    if before is not None and before.text == text:
        return
    if not text:
        session.refusals.pop(row.id, None)
    else:
        session.refusals[row.id] = Refusal(key(row), checked(session, row, text))
    session.touch("targets", "edit")


def checked(session: Session, row: Row, text: str) -> Target:
    """A refusal that the user typed, with the guard's verdict."""
    question = session.questions.get(row.id)
    if question is None:
        raise BadInput(f"The question “{row.question}” must be mended in step 2 first.")
    return Target(text, "given", judge(question, text), "your own words")


def _choose(session: Session, chosen: str) -> None:
    """Another kind: what was written by the other kinds is put aside, with an undo; typed ones stay."""
    before, old = dict(session.refusals), kind(session)
    session.form["kind"] = chosen
    session.refusals = {i: r for i, r in before.items() if r.target.kind in (chosen, "given")}
    session.check()  # takes in the refusals given with the questions
    if len(session.refusals) < len(before):

        def back() -> None:
            session.form["kind"], session.refusals = old, before
            session.touch("targets", "edit")

        session.undos["targets"] = back
        session.tell("targets", "The refusals of the other kind were put aside.", undo=True)
    session.touch("targets", "edit", "top")


def _write(lab: Lab, session: Session, data: dict) -> None:
    _have_written(lab, session, [row for row, _ in session.good() if session.refusal(row) is None])


def _anew(lab: Lab, session: Session, data: dict) -> None:
    before = dict(session.refusals)
    session.seed += 1
    _have_written(lab, session, [row for row, _ in session.good()])

    def back() -> None:
        session.refusals = before
        session.touch("targets", "edit")

    session.undos["targets"] = back


def _again(lab: Lab, session: Session, data: dict) -> None:
    session.seed += 1
    _have_written(lab, session, [row for row, _ in session.good() if row.id == int(data["row"])])


def _have_written(lab: Lab, session: Session, rows: list[Row]) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if kind(session) == "given":
        raise BadInput("Type the refusals below, or choose another kind to have them written.")

    def work(job: Job) -> None:
        targets = write_now(lab, session, rows, job)
        fallen = sum(t.source.startswith("template") for t in targets)
        if len(targets) > 1:
            text = f"{plural(len(targets), 'refusal')} written."
            if fallen:
                text += f" For {fallen} of them the model’s own gave something away, so a template took their place."
            session.tell("targets", text, undo="targets" in session.undos)

    lab.start(session, "targets", "Writing refusals", "targets", work)


def write_now(lab: Lab, session: Session, rows: list[Row], job: Job) -> list[Target]:
    """Have the refusals of these rows written, inside a running job."""
    ids = {row.id for row in rows}
    pairs = [(key(row), row.id, q) for row, q in session.good() if row.id in ids]
    questions = [dataclasses.replace(q, target=None) for _, _, q in pairs]
    targets = lab.bench.targets(questions, kind(session), seed=session.seed, job=job)
    with session.lock:
        for (stood, row_id, _), target in zip(pairs, targets, strict=True):
            session.refusals[row_id] = Refusal(stood, target)
        session.touch("targets", "edit")
    return targets


def _page(lab: Lab, session: Session, data: dict) -> None:
    session.form["targets_page"] = str(int(data["to"]))
    session.touch("targets")


ACTS = {"write": _write, "anew": _anew, "again": _again, "page": _page}
