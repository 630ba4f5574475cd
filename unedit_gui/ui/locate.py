"""Where a fact lives: the causal trace of a row of step 2, drawn where the row is open, and what is made of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from unedit_gui.errors import BadInput, UneditError
from unedit_gui.jobs import Job
from unedit_gui.reports import heatmap
from unedit_gui.ui import edit
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Row, Session, key
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.editors.tracing import Trace

FALLBACK = "alphaedit"  # whose layers are proposed where the chosen method does not write at the subject


@dataclass(frozen=True)
class Located:
    """A row's trace, or why there is none, for the row and the model as they were then."""

    key: tuple[str, str, str]
    model: str
    trace: Trace | None
    layers: dict[str, tuple[int, ...]]
    error: str = ""


def shown(lab: Lab, session: Session, row: Row) -> dict[str, Any] | None:
    """What the template needs of a row's trace; None where there is none, or none of the row as it stands."""
    found = _found(lab, session, row)
    if found is None or found.trace is None:
        return {"error": found.error} if found else None
    trace, (method, label, layers) = found.trace, _proposal(lab, session, found)
    defaults = session.overrides.get(method, {}).get("layers") or _text(lab.bench.hparams(method).layers)
    return {
        "error": "",
        "trace": trace,
        "map": Markup(heatmap.svg(trace.to_json(), layers)),  # everything in it is escaped there
        "back": trace.mlp[trace.last][trace.peak] if trace.peak is not None else 0,
        "span": _("{low} to {high}", low=layers[0], high=layers[-1])
        if len(layers) > 1
        else f"{layers[0]}"
        if layers
        else "",
        "many": len(layers) > 1,
        "label": label,
        "used": _text(layers) == defaults,
    }


def _found(lab: Lab, session: Session, row: Row) -> Located | None:
    found = session.located.get(row.id)
    model = lab.bench.model
    if found is None or model is None or found.key[:2] != key(row)[:2] or found.model != model.fingerprint:
        return None
    return found


def _proposal(lab: Lab, session: Session, found: Located) -> tuple[str, str, tuple[int, ...]]:
    """(method, its label, layers): for the method chosen in step 4 if it writes at the subject."""
    chosen = edit.method(lab, session)
    method = chosen if chosen in found.layers else FALLBACK
    return method, lab.bench.methods()[method].label, found.layers.get(method, ())


def _text(layers: tuple[int, ...]) -> str:
    return ", ".join(map(str, layers))


# --------------------------------------------------------------- changes


def _row(session: Session, data: dict) -> Row:
    row = session.row(int(data["row"]))
    if row is None:
        raise BadInput(_("This row is gone; open another one."))
    return row


def _locate(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    row = _row(session, data)
    asked, subject = key(row), row.subject.strip() or None
    if not asked[0] or not asked[1]:
        raise BadInput(_("Type the question and its answer first."))

    def work(job: Job) -> None:
        model = lab.bench.model.fingerprint
        try:
            trace = lab.bench.locate(asked[0], asked[1], subject, job=job)
            found = Located(asked, model, trace, lab.bench.layers_for(trace))
        except UneditError as error:  # told in the row that it belongs to
            found = Located(asked, model, None, {}, str(error))
        with session.lock:
            session.located[row.id] = found
            session.touch("forget")

    lab.start(session, "locate", "Locating the fact", "forget", work)


def _use_subject(lab: Lab, session: Session, data: dict) -> None:
    row = _row(session, data)
    found = _found(lab, session, row)
    if found is not None and found.trace is not None:
        row.subject = found.trace.proposed
        session.check()


def _use_layers(lab: Lab, session: Session, data: dict) -> None:
    row = _row(session, data)
    found = _found(lab, session, row)
    if found is None or not found.layers:
        return
    method, label, layers = _proposal(lab, session, found)
    session.overrides.setdefault(method, {})["layers"] = _text(layers)
    session.errors.pop(f"{method}.layers", None)
    if layers == lab.bench.hparams(method).layers:
        session.overrides[method].pop("layers")
    session.touch("forget", "edit")


def _save_map(lab: Lab, session: Session, data: dict) -> dict | None:
    found = _found(lab, session, _row(session, data))
    if found is None or found.trace is None:
        return None
    picture = heatmap.png(found.trace.to_json(), dark=session.dark)
    return {"name": "where-it-lives.png", "type": "image/png", "base64": base64.b64encode(picture).decode("ascii")}


ACTS = {"locate": _locate, "use-subject": _use_subject, "use-layers": _use_layers, "save-map": _save_map}
