"""Below the ratings of step 7: studies with people, prepared here as by the command `study`.

What is shown of a study that runs is counts alone: the page has no password, so conditions are named in a draft and
never afterwards. Watching who is where, and the figures, are for the researcher's page and the command line.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui.draw import draw, plural
from unedit_gui.ui.files import upload_bytes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session, whole
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.study.power import Power
    from unedit_gui.study.protocol import Protocol
    from unedit_gui.study.store import Study

ADDRESS = "http://127.0.0.1:7870"  # where `study serve` listens
USUAL = 20  # raters, before they are invited
DONE = {
    "open": "The study is open. Invite people, and serve its pages with “python -m unedit_gui study serve”.",
    "pause": "The study takes no answers until it is opened again.",
    "close": "The study is closed. “python -m unedit_gui study analyse” tells its figures.",
}


def render(lab: Lab, session: Session) -> str:
    """The list of studies, and what can be done with the chosen one."""
    lines = lab.bench.studies.lines()
    chosen = next((study for study in lab.bench.studies.all() if study.name == session.form.get("study")), None)
    return draw(
        "studies",
        told=session.notices.get("studies"),
        studies=lines,
        one=_told(chosen) if chosen else None,
        form=session.form,
        address=ADDRESS,
        busy=session.active("freeze") is not None,
        blocked=lab.blocked(session),
    )


def _told(study: Study) -> dict[str, Any]:
    status, protocol = study.status(), study.protocol
    raters = status["invited"] if status["invited"] > 1 else USUAL
    found = {
        **status,
        "balance": study.balance(),
        "raters_asked": raters,
        "power": _power(protocol, raters),
        "compared": (),
    }
    if status["state"] == "draft":
        missing = [name for _, name in study.missing()]
        found["compared"] = [
            (condition, status["questions"] - missing.count(condition.name)) for condition in protocol.conditions
        ]
        found["writable"] = all(condition.edits for condition in protocol.conditions)
    return found


@lru_cache(maxsize=16)
def _power(protocol: Protocol, raters: int) -> list[Power]:
    from unedit_gui.study.power import planned_for

    return planned_for(protocol, raters)


# --------------------------------------------------------------- changes


def field(lab: Lab, session: Session, data: dict) -> None:
    if data["field"] in ("study_name", "study_count", "study_url"):
        session.form[data["field"]] = str(data["value"])[:400]


def upload(lab: Lab, session: Session, data: dict) -> None:
    """A protocol, which makes a draft, or a CSV with the chosen draft's replies."""
    name, content = upload_bytes(data, _("a study of that size is a mistake"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        if data.get("for") == "replies":
            _import(lab, session, path)
        else:
            _create(lab, session, path)
    _changed(lab)


def _create(lab: Lab, session: Session, path: Path) -> None:
    from unedit_gui.study.protocol import load

    protocol, studies = load(path), lab.bench.studies
    name = session.form.get("study_name", "").strip() or path.stem
    before = {study.name: study.state for study in studies.all()}.get(name)
    study = studies.create(name, protocol, replace=before == "draft")
    session.form["study"], session.form["study_name"] = study.name, ""  # the next file would replace this one
    text = _("“{name}” is a draft now; its replies come next.", name=study.name)
    if before == "draft":
        text += " " + _("The draft of that name that was there is in the trash.")
    session.tell("studies", text)


def _import(lab: Lab, session: Session, path: Path) -> None:
    from unedit_gui.study.freezing import from_csv

    new = from_csv(_chosen(lab, session), path)
    session.tell("studies", _("{n} replies were frozen.", n=new))


def _example(lab: Lab, session: Session, data: dict) -> None:
    taken = {study.name for study in lab.bench.studies.all()}
    name = next(name for name in ("example", *(f"example {n}" for n in range(2, 1000))) if name not in taken)
    session.form["study"] = lab.bench.studies.example(name).name
    text = _("“{name}” is a draft with its replies frozen; open it to let people take part.", name=name)
    session.tell("studies", text)
    _changed(lab)


def _show(lab: Lab, session: Session, data: dict) -> None:
    name = str(data["study"])
    session.form["study"] = "" if session.form.get("study") == name else name
    session.form["closing"] = ""
    session.touch("studies")


def _freeze(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    study = _chosen(lab, session)

    def work(job: Job) -> None:
        new = lab.bench.freeze_study(study, job=job)
        session.tell("studies", _("{n} replies were written and frozen.", n=new))
        _changed(lab)

    lab.start(session, "freeze", "Writing the replies", "studies", work, stopped="Those that are written stay frozen.")


def _delete(lab: Lab, session: Session, data: dict) -> None:
    """Put the draft away, to be brought back by Undo."""
    name = str(data["study"])
    if name not in [study.name for study in lab.bench.studies.all()]:  # the same button, pressed twice
        return
    if any(other.active("freeze") for other in lab.sessions.all()):
        raise BadInput(_("A draft’s replies are being written; stop that first."))
    trashed = lab.bench.studies.delete(name)

    def back() -> None:
        try:
            session.form["study"] = lab.bench.studies.restore(trashed).name
        except BadInput as error:  # later there may be room for it
            session.undos["studies"] = back
            session.tell("studies", str(error), "bad", undo=True)
        _changed(lab)

    session.undos["studies"] = back
    session.tell("studies", _("Deleted the draft “{name}”.", name=name), undo=True)
    _changed(lab)


def _become(state: str):
    def act(lab: Lab, session: Session, data: dict) -> None:
        getattr(_chosen(lab, session), state)()
        session.form["closing"] = ""
        session.tell("studies", _(DONE[state]))
        _changed(lab)

    return act


def _ask_close(lab: Lab, session: Session, data: dict) -> None:
    session.form["closing"] = "1" if data.get("ask") else ""
    session.touch("studies")


def _invite(lab: Lab, session: Session, data: dict) -> dict:
    from unedit_gui.study import codes

    study, url = _chosen(lab, session), session.form.get("study_url", "").strip() or ADDRESS
    text = session.form.get("study_count", "1").strip()
    if (count := whole(text)) is None:
        raise BadInput(_("How many people? Give a whole number from 1 to 10,000."))
    codes.invitations([], url)  # before codes are made that nobody would learn
    rows = codes.invitations(study.invite(count), url)
    links = plural(len(rows), "link")
    text = _(
        "{links} saved as invitations.csv, with codes that are kept nowhere else. They lead to {address}, where the pages have to be served.",  # noqa: E501
        links=links,
        address=url,
    )
    session.tell("studies", text)
    _changed(lab)
    return {"name": "invitations.csv", "type": "text/csv;charset=utf-8", "text": codes.invitations_csv(rows)}


def _chosen(lab: Lab, session: Session) -> Study:
    return lab.bench.studies.get(session.form.get("study", ""))


def _changed(lab: Lab) -> None:
    for session in lab.sessions.all():
        session.touch("studies")


ACTS = {
    "example-study": _example,
    "show-study": _show,
    "freeze-study": _freeze,
    "delete-study": _delete,
    "open-study": _become("open"),
    "pause-study": _become("pause"),
    "ask-close-study": _ask_close,
    "close-study": _become("close"),
    "invite": _invite,
}
