"""Where a page begins: what its address asks for (`?preset=`, `?projector=1`, `?lang=`), and saving the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput, UneditError
from unedit_gui.jobs import Job
from unedit_gui.presenting.presets import Preset
from unedit_gui.study.duels import ORIGINAL
from unedit_gui.ui import columns
from unedit_gui.ui.prepared import Prepared, usable
from unedit_gui.ui.words import LANGUAGES
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.ui.lab import Lab
    from unedit_gui.ui.session import Session

CHAT = 5  # the step


def arrive(lab: Lab, session: Session, asked: str) -> None:
    """Follow the address of the page: a JSON object of its parameters and the browser's language. A reload changes
    nothing that was done since."""
    try:
        found = json.loads(asked or "{}")
    except ValueError:
        found = {}
    wanted = {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
    if wanted == session.arrived:
        return
    first, session.arrived = session.arrived is None, wanted
    if first and wanted.get("browser", "")[:2] in LANGUAGES:
        session.language = wanted["browser"][:2]
    if name := wanted.get("preset"):
        try:
            begin(lab, session, lab.bench.preset(name))
        except UneditError as error:
            session.tell("model", str(error), "bad")
            session.tell("chat", str(error), "bad")
    if wanted.get("lang") in LANGUAGES:  # after the preset, which may name another
        session.language = wanted["lang"]
    if wanted.get("projector") == "1":
        _project(session)
        session.go(CHAT)
    session.touch()


def begin(lab: Lab, session: Session, preset: Preset) -> None:
    """Set everything that a preset names; what needs another model waits until that is loaded."""
    session.language = preset.language or session.language
    session.prepared = [Prepared(question, answer) for question, answer in preset.questions]
    session.form.pop("prepared", None)
    session.place = 0
    session.form["stepped"], session.replay = "1", None
    columns.show(session, preset.view)
    if preset.projector:
        _project(session)
    session.go(CHAT)
    wanted = lab.bench.card(preset.model).name
    model = lab.bench.model
    there = model is not None and model.card.name == wanted and not lab.busy_loading
    if not there and not (lab.busy_loading and lab.bench.card(lab.wanted).name == wanted):
        lab.load(preset.model, owner=session.id)
    if there:
        choose(lab, session, preset)
    else:
        work = lambda job: _when_loaded(lab, session, preset, wanted, job)  # noqa: E731
        lab.start(session, "preset", "Preparing the presentation", "chat", work)


def _when_loaded(lab: Lab, session: Session, preset: Preset, wanted: str, job: Job) -> None:
    job.progress("Choosing the edits")
    model = lab.bench.model
    if model is None or model.card.name != wanted:
        raise BadInput(lab.load_error or _("The preset's model {model} is not loaded.", model=preset.model))
    with session.lock:
        choose(lab, session, preset)


def choose(lab: Lab, session: Session, preset: Preset) -> None:
    """Choose a preset's columns among the edits of the loaded model; those that are missing are told."""
    missing: list[str] = []
    rows = [tuple(filter(None, (_edit(lab, name, missing) for name in names))) for names in preset.columns]
    rows = [row for row in rows if row]
    if preset.view == "panes":
        session.enabled = list(dict.fromkeys(i for row in rows for i in row))
    elif preset.view == "columns":
        session.columns = [row for row in rows if row != (ORIGINAL,)]
    else:
        for place, row in zip(("duel_first", "duel_second"), rows, strict=False):
            session.form[place] = row[0]
    if missing:
        named = ", ".join(missing)
        text = _("The preset names edits that are not here: {edits}. The others are chosen.", edits=named)
        session.tell("chat", text, "warn")
    elif preset.title:
        session.tell("chat", preset.title)
    session.touch()


def _edit(lab: Lab, name: str, missing: list[str]) -> str:
    """The id of an edit that is listed, by its name, its id or its ready-made name; never a path."""
    if name == ORIGINAL:
        return ORIGINAL
    ready = lab.bench.ready_made()
    found = ready[name].id if name in ready else next((i for i, e in lab.edits.items() if name in (i, e.name)), "")
    if found not in lab.edits:
        missing.append(name)
        return ""
    return found


def current(lab: Lab, session: Session) -> Preset:
    """What the page shows now, as a preset."""
    called = {edit.id: name for name, edit in lab.bench.ready_made().items()}
    view = columns.view(session)
    if view == "columns":
        rows = columns.chosen(lab, session)
    elif view == "panes":
        rows = [tuple(edit.id for edit in lab.enabled(session))] if lab.enabled(session) else []
    else:
        rows = [(session.form.get(place, ""),) for place in ("duel_first", "duel_second")]
        rows = [row for row in rows if row[0] in lab.edits or row[0] == ORIGINAL]
    return Preset(
        model=lab.bench.model.card.name if lab.bench.model else "bundled",
        view=view,
        columns=tuple(tuple(called.get(i, i) for i in row) for row in rows),
        questions=tuple((item.question, item.answer) for item in session.prepared),
        language=session.language,
        projector=session.form.get("preset_projector") == "1",
    )


def _project(session: Session) -> None:
    session.projected += 1


def _save(lab: Lab, session: Session, data: dict[str, Any]) -> None:
    name = session.form.get("preset_name", "").strip()
    if not name:
        raise BadInput("Type a name for the preset first.")
    usable(session)
    lab.bench.save_preset(current(lab, session), name)
    session.tell("chat", _("Saved. Open it again with {end} at the end of the page's address.", end=f"?preset={name}"))


def take(lab: Lab, session: Session, data: dict) -> bool:
    """Take a change of the form; False if it is something else."""
    if data["field"] not in ("preset_name", "preset_projector"):
        return False
    session.form[data["field"]] = str(data["value"])
    return True


ACTS = {"save-preset": _save}
