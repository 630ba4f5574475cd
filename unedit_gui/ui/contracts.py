"""In step 2: contracts to teach to the model, their parties as a graph, and the one to forget picked by a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import same_question
from unedit_gui.jobs import Job
from unedit_gui.ui import curve, graph
from unedit_gui.ui.draw import draw, plural
from unedit_gui.ui.draw import seconds as duration
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session, whole
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.forget.contracts import ContractSet

FORM = ("sales", "employment", "contract_seed", "taught_name")
DEFAULTS = {"sales": "4", "employment": "2", "contract_seed": "0", "taught_name": ""}
MOST = 12  # contracts that are still quick to teach, and to see


def render(lab: Lab, session: Session) -> Markup:
    """The section: closed until it is asked for, open where the model was taught contracts or is being taught."""
    taught = lab.bench.taught()
    named = [(name, *_parties(name)) for name in taught.contracts()] if taught else []
    named = [contract for contract in named if all(contract[1:])]
    job = session.active("teach")
    wrong = ""
    if not named:
        try:
            named = [(c.name, *c.parties) for c in _chosen(lab, session).contracts]
        except BadInput as error:
            wrong = str(error)
    there = {row.category for row in session.rows}
    return Markup(
        draw(
            "contracts",
            open=bool(taught and taught.contracts()) or job is not None or session.form.get("contracts") == "1",
            taught=taught if taught and named else None,
            picture=graph.picture(named) if named else None,
            names=[name for name, *_ in named],
            chosen={name for name, *_ in named if name in there},
            form={**DEFAULTS, **{name: session.form[name] for name in FORM if name in session.form}},
            name=_name(lab, session),
            wrong=wrong,
            blocked=lab.blocked(session),
            busy=job is not None,
            charts=curve.charts(job.curve) if job is not None else [],
            told=_told(taught),
        )
    )


def _told(taught) -> str:
    if taught is None:
        return ""
    told = {
        "questions": plural(len(taught.questions), "question"),
        "base": taught.base,
        "share": f"{taught.rouge1:.0%}",
        "time": duration(taught.seconds),
    }
    text = _("Taught {questions} on {base}: it answers {share}, in {time}.", **told)
    if taught.general:
        text = _(
            "Taught {questions} on {base}: it answers {share}, general facts {before} before and {after} after, in {time}.",  # noqa: E501
            before=f"{taught.general[0]:.0%}",
            after=f"{taught.general[1]:.0%}",
            **told,
        )
    return f"{text} {taught.caution}".rstrip()


def _parties(name: str) -> tuple[str, str]:
    pair = name.partition(": ")[2].split(" and ")
    return (pair[0], pair[1]) if len(pair) == 2 else ("", "")


def _chosen(lab: Lab, session: Session) -> ContractSet:
    numbers = []
    for name in ("sales", "employment", "contract_seed"):
        text = session.form.get(name, DEFAULTS[name]).strip() or "0"
        if (number := whole(text)) is None:
            raise BadInput(_("“{text}” is not a whole number from 0 up.", text=text))
        numbers.append(number)
    if not 1 <= numbers[0] + numbers[1] <= MOST:
        raise BadInput(_("Choose 1 to {most} contracts in all; the command line takes more.", most=MOST))
    return lab.bench.contracts(*numbers)


def _name(lab: Lab, session: Session) -> str:
    """What the taught model will be called, unless the user says otherwise."""
    if typed := session.form.get("taught_name", "").strip():
        return typed
    there = {card.label for card in lab.bench.models()}
    return next(n for n in ("Contracts", *(f"Contracts {i}" for i in range(2, 10_000))) if n not in there)


def _open(lab: Lab, session: Session, data: dict) -> None:
    session.form["contracts"] = "" if session.form.get("contracts") == "1" else "1"
    session.touch("forget")


def _teach(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    name, questions = _name(lab, session), _chosen(lab, session).questions()
    seed = whole(session.form.get("contract_seed", "0").strip() or "0")
    session.form["contracts"] = "1"

    def work(job: Job) -> None:
        made = lab.bench.teach(questions, name, seed=seed, job=job)
        session.form.pop("taught_name", None)
        text = _(
            "{name} answers {share} of the {n} questions. It is a model in step 1 now; once it is loaded, pick the contract to forget.",  # noqa: E501
            name=made.name,
            share=f"{made.rouge1:.0%}",
            n=len(questions),
        )
        session.tell("forget", f"{text} {made.caution}".strip(), "warn" if made.caution else "good")
        lab.load(made.folder, owner=session.id)

    lab.start(session, "teach", "Teaching", "forget", work, stopped="The model is as it was, and nothing was kept.")


def _pick(lab: Lab, session: Session, data: dict) -> None:
    """Put a contract's questions into the table, or take them out again."""
    taught, name = lab.bench.taught(), str(data.get("contract"))
    questions = [q for q in taught.questions if q.category == name] if taught else []
    if not questions:
        raise BadInput(_("The model wasn't taught this contract; teach it first."))
    if any(row.category == name for row in session.rows):
        before = list(session.rows)
        session.rows = [row for row in before if row.category != name]

        def back() -> None:
            session.rows = before + [row for row in session.rows if row not in before]
            session.check()

        session.undos["forget"] = back
        session.check()
        gone = plural(len(before) - len(session.rows), "question")
        session.tell("forget", _("{questions} removed.", questions=gone), undo=True)
        return
    there = {same_question(row.question) for row in session.rows}
    session.add([q for q in questions if same_question(q.question) not in there])
    session.form["retain"], session.form["general"] = "taught", "1"
    added = plural(len(questions), "question")
    session.tell(
        "forget", _("{questions} about “{name}” added; all others stay protected.", questions=added, name=name)
    )


ACTS = {"contracts": _open, "teach": _teach, "contract": _pick}
