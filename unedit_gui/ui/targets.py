"""Step 3: what the model is to say instead. Of several kinds, checked, editable, two of them side by side.

Where questions are merged, an item of the list is a group of them with one target; `merging.merge` says which.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from unedit_gui.errors import BadInput
from unedit_gui.forget.merging import Group, merge
from unedit_gui.forget.questions import Question
from unedit_gui.forget.targets import Target, judge_as, judge_shared
from unedit_gui.jobs import Job
from unedit_gui.ui.draw import draw, plural
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Refusal, Row, Session, key
from unedit_gui.ui.words import translate as _

KINDS = (
    (
        "self-improved",
        "Written by the model",
        "An honest refusal that names the topic. Best for people to read.",
    ),
    ("vanilla", "From a fixed set", "A random “I don’t know” sentence. Quick, and the same for any topic."),
    ("avoidant", "Never heard of it", "As if the thing itself were unknown: “I’ve never heard of …”"),
    ("incorrect", "A wrong answer", "Of the right kind, made by the model and checked to be wrong."),
    ("dummy", "The word “dummy”", "Nothing but that word: what forgetting looks like without manners."),
    ("given", "My own", "The ones of your file, or typed below."),
)
NAMES = {value: name for value, name, _ in KINDS}
MERGES = (1, 2, 3, 4, 5, 8, 10)
PAGE = 25
ANEW = 4  # seeds that are tried for one that says something else


@dataclass(frozen=True)
class Item:
    """What one target is for: a question, or merged ones."""

    rows: tuple[Row, ...]
    group: Group
    target: Target | None
    beside: Target | None  # of the other kind, where two are compared

    @property
    def id(self) -> int:
        return self.rows[0].id


def kind(session: Session) -> str:
    return session.form.get("kind", KINDS[0][0])


def merged_by(session: Session) -> int:
    """How many questions share a target; 1: each has its own."""
    return int(session.form.get("merge", "1"))


def items(session: Session) -> list[Item]:
    """The questions that can be used, merged as chosen, with what was written for them."""
    pairs = session.good()
    other = session.beside.get(session.form.get("beside", ""), {})
    found = []
    for group in merge([q for _row, q in pairs], merged_by(session)):
        rows = tuple(pairs[place][0] for place in group.places)
        found.append(Item(rows, group, _shared(rows, session.refusals), _shared(rows, other)))
    return found


def _hidden(session: Session) -> tuple[str, ...]:
    """Kinds that there is nothing to compare with: the chosen one, one's own, and wrong answers to merged questions."""
    return (kind(session), "given", *(["incorrect"] if merged_by(session) > 1 else []))


def _shared(rows: tuple[Row, ...], refusals: dict[int, Refusal]) -> Target | None:
    """The target of these rows; None where one has none, or they differ."""
    found = [refusals.get(row.id) for row in rows]
    stands = all(one is not None and one.key == key(row) for one, row in zip(found, rows, strict=True))
    return found[0].target if stands and len({one.target.text for one in found}) == 1 else None


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    found = items(session)
    pages = max(1, -(-len(found) // PAGE))
    page = max(0, min(int(session.form.get("targets_page", "0")), pages - 1))
    beside = session.form.get("beside", "")
    return draw(
        "targets",
        told=session.notices.get("targets"),
        kinds=[(value, _(name), _(note)) for value, name, note in KINDS],
        kind=kind(session),
        names={value: _(name) for value, name in NAMES.items()},
        merges=[(str(k), _("No") if k == 1 else _("By {n}", n=k)) for k in MERGES],
        merge=merged_by(session),
        others=[
            ("", _("Nothing")),
            *((value, _(name)) for value, name in NAMES.items() if value not in _hidden(session)),
        ],
        beside=beside,
        total=len(found),
        questions=sum(len(item.rows) for item in found),
        there=sum(item.target is not None for item in found),
        doubtful=sum(item.target is not None and not item.target.verdict.ok for item in found),
        lacking=sum(item.beside is None for item in found) if beside else 0,
        busy=session.active("targets", "example", "edit") is not None,
        items=found[page * PAGE : (page + 1) * PAGE],
        page=page,
        pages=pages,
    )


# ------------------------------------------------------------------ changes


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = data["field"], str(data["value"])
    if name == "kind":
        if value in NAMES and value != kind(session):
            _put_aside(session, "kind", value)
    elif name == "merge":
        if value in map(str, MERGES) and int(value) != merged_by(session):
            _put_aside(session, "merge", value)
    elif name == "beside":
        if value in ("", *NAMES) and value not in _hidden(session):
            session.form["beside"] = value
            session.touch("targets")
    elif name == "refusal":
        _typed(session, int(data["row"]), value.strip())


def _typed(session: Session, row_id: int, text: str) -> None:
    item = _item(session, row_id)
    if item is None or (item.target is not None and item.target.text == text):
        return
    for row in item.rows:
        session.refusals.pop(row.id, None)
    if text:
        _keep(session, item.rows, checked(session, item.group, text))
    session.touch("targets", "edit")


def _item(session: Session, row_id: int) -> Item | None:
    return next((item for item in items(session) if item.id == row_id), None)


def _keep(session: Session, rows: tuple[Row, ...], target: Target) -> None:
    for row in rows:
        session.refusals[row.id] = Refusal(key(row), target)


def checked(session: Session, group: Group, text: str) -> Target:
    """What the user typed, with the guard's verdict on it as one of the chosen kind."""
    chosen = kind(session)
    if len(group.places) > 1:
        verdict = judge_shared(group, text, chosen if chosen in ("dummy", "avoidant") else "given")
    else:
        verdict = judge_as("self-improved" if chosen == "given" else chosen, group.questions[0], text)
    return Target(text, "given", verdict, "your own words")


def _put_aside(session: Session, name: str, value: str) -> None:
    """Another kind, or other groups: what was written before is put aside, with an undo; typed ones stay."""
    before, old, was = dict(session.refusals), dict(session.form), kind(session)
    session.form[name] = value
    if session.form.get("beside") == kind(session):
        session.form["beside"] = ""
    stay = (kind(session), "given") if name == "kind" else ("given",)
    session.refusals = {i: r for i, r in before.items() if r.target.kind in stay}
    if name == "merge":
        session.beside.clear()
        if session.form.get("beside") in _hidden(session):
            session.form["beside"] = ""
        session.form["targets_page"] = "0"
    else:  # both kinds stay at hand: to be compared, or gone back to
        session.beside[was] = {i: r for i, r in before.items() if r.target.kind == was}
        session.refusals = {**session.beside.get(value, {}), **session.refusals}
    session.check()  # takes in the refusals given with the questions
    if any(session.refusals.get(i) is not refusal for i, refusal in before.items()):

        def back() -> None:
            session.form.update({n: old.get(n, "") for n in ("beside",)})
            session.form[name] = old.get(name, KINDS[0][0] if name == "kind" else "1")
            session.refusals = before
            session.touch("targets", "edit")

        session.undos["targets"] = back
        text = _("What was written for the questions as they were merged before was put aside.")
        if name == "kind":
            text = _("What was written of the other kind was put aside.")
        session.tell("targets", text, undo=True)
    session.touch("targets", "edit", "top")


# ------------------------------------------------------------------ writing


def _write(lab: Lab, session: Session, data: dict) -> None:
    _have_written(lab, session, [item for item in items(session) if item.target is None])


def _anew(lab: Lab, session: Session, data: dict) -> None:
    session.seed += 1
    _have_written(lab, session, items(session))


def _again(lab: Lab, session: Session, data: dict) -> None:
    """One item under new seeds, until it says something else."""
    item = _item(session, int(data["row"]))
    if item is None:
        return
    _can_write(lab, session)

    def work(job: Job) -> None:
        before = item.target.text if item.target else None
        for _attempt in range(ANEW):
            session.seed += 1
            target = write_now(lab, session, [item], job)[0]
            if target.text != before:
                return
        session.tell("targets", _("The same came out again; type another one if you don’t like it."), "warn")

    lab.start(session, "targets", "Writing one anew", "targets", work)


def _compare(lab: Lab, session: Session, data: dict) -> None:
    """Have the other kind written for all questions, to be seen beside the chosen one."""
    other = session.form.get("beside", "")
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if other not in NAMES:
        raise BadInput(_("Choose a second kind to compare with."))
    lacking = [item for item in items(session) if item.beside is None]

    def work(job: Job) -> None:
        written = _written(lab, session, lacking, other, job)
        with session.lock:
            place = session.beside.setdefault(other, {})
            place.update({row_id: refusal for row_id, refusal in written})
            session.touch("targets")

    lab.start(session, "targets", _("Writing the other kind: {kind}", kind=_(NAMES[other])), "targets", work)


def _use(lab: Lab, session: Session, data: dict) -> None:
    """Take the other kind's target for one item."""
    item = _item(session, int(data["row"]))
    if item is not None and item.beside is not None:
        _keep(session, item.rows, item.beside)
        session.touch("targets", "edit")


def _can_write(lab: Lab, session: Session) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if kind(session) == "given":
        raise BadInput(_("Type the refusals below, or choose another kind to have them written."))


def _have_written(lab: Lab, session: Session, wanted: list[Item]) -> None:
    _can_write(lab, session)
    before = dict(session.refusals)

    def back() -> None:
        session.refusals = before
        session.touch("targets", "edit")

    replaces = any(row.id in before for item in wanted for row in item.rows)

    def work(job: Job) -> None:
        targets = write_now(lab, session, wanted, job)
        fallen = sum(t.source.startswith(("template", "by rule")) for t in targets)
        if replaces:
            session.undos["targets"] = back
        if len(targets) > 1:
            text = _("{targets} written.", targets=plural(len(targets), "target"))
            if fallen:
                text += " " + _("For {n} of them the model’s own could not be used, so a rule made one.", n=fallen)
            session.tell("targets", text, undo=replaces)

    lab.start(session, "targets", "Writing targets", "targets", work)


def write_now(lab: Lab, session: Session, wanted: list[Item], job: Job) -> list[Target]:
    """Have the targets of these items written and kept, inside a running job. One for each item."""
    written = dict(_written(lab, session, wanted, kind(session), job))
    with session.lock:
        session.refusals.update(written)
        session.touch("targets", "edit")
    return [written[item.id].target for item in wanted]


def _written(lab: Lab, session: Session, wanted: list[Item], chosen: str, job: Job) -> list[tuple[int, Refusal]]:
    """(row id, target) of all rows of these items. Whole groups in their order make the same groups again."""
    rows = sorted((row for item in wanted for row in item.rows), key=session.rows.index)
    questions: dict[int, Question] = {row.id: q for row, q in session.good()}
    stood = [(row.id, key(row)) for row in rows]
    asked = [dataclasses.replace(questions[row.id], target=None) for row in rows]
    targets = lab.bench.targets(asked, chosen, merge=merged_by(session), seed=session.seed, job=job) if asked else []
    return [(row_id, Refusal(mark, target)) for (row_id, mark), target in zip(stood, targets, strict=True)]


def _page(lab: Lab, session: Session, data: dict) -> None:
    session.form["targets_page"] = str(int(data["to"]))
    session.touch("targets")


ACTS = {"write": _write, "anew": _anew, "again": _again, "compare": _compare, "use": _use, "page": _page}
