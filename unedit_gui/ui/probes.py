"""Below the scores of step 6: did it forget, or does it hide? Probes of edits beside the original, and the table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session, whole
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.edits.edit import Edit
    from unedit_gui.evaluation.probes import Probed

MOST_EDITS = 5  # beside the original in one table
WHICH = (("all", "Leaks and harm"), ("leak", "Leaks only"), ("harm", "Harm only"))
KINDS = {"leak": "Does the answer come out?", "harm": "What else has changed?"}
TONES = {"leaks": "bad", "worse": "warn", "no leak seen": "good", "as before": "good", "no power": ""}


@dataclass(frozen=True)
class Shown:
    """A finished run, with the model that it was made with."""

    model: str
    probed: Probed


def render(lab: Lab, session: Session) -> str:
    """The section: what to probe, and the table of the last run."""
    picked = {edit.id for edit in chosen(lab, session)}
    shown = session.probed if lab.bench.model and session.probed else None
    if shown is not None and shown.model != lab.bench.model.fingerprint:
        shown = None
    found = shown.probed.to_json() if shown else None
    return draw(
        "probes",
        told=session.notices.get("probes"),
        edits=list(lab.edits.values()),
        picked=picked,
        questions=questions(chosen(lab, session)),
        form=session.form,
        which=[(value, _(text)) for value, text in WHICH],
        busy=session.active("probe") is not None,
        blocked=bool(lab.blocked(session)),
        found=found,
        worst=shown.probed.worst(1) if shown else [],
        stale=bool(found) and {edit["edit"] for edit in found["edits"]} != picked,
        kinds=kinds(found),
        tones=TONES,
    )


def kinds(found: Mapping[str, Any] | None) -> dict[str, str]:
    """The parts of the table, by kind of probe: those that have rows."""
    return {
        kind: title
        for kind, title in KINDS.items()
        if any(row["kind"] == kind for row in (found or {"rows": ()})["rows"])
    }


def as_kept(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a kept run says of its probes, ready to draw; None where it wasn't probed, or where that part is damaged."""
    if not found:
        return None
    try:
        rows = [
            {name: str(row[name]) for name in ("label", "asks", "scored", "kind")}
            | {"power": bool(row["power"]), "chance": _figure(row["chance"]), "original": _rate(row["original"])}
            | {"edits": [{**_rate(edit), "verdict": str(edit["verdict"])} for edit in row["edits"]]}
            for row in found["rows"]
        ]
        worst = [{name: str(leak[name]) for name in ("label", "asked", "answer", "reply")} for leak in found["worst"]]
        edits = [{"name": str(edit["name"])} for edit in found["edits"]]
        return {"edits": edits, "rows": rows, "worst": worst, "notes": [str(note) for note in found["notes"]]}
    except (KeyError, TypeError, ValueError, OverflowError):  # of a number that no float can hold
        return None


def _rate(rate: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: _figure(rate[name]) for name in ("value", "low", "high", "hits")}


def _figure(value: Any) -> float | None:
    return None if value is None else float(value)


def chosen(lab: Lab, session: Session) -> tuple[Edit, ...]:
    """The edits to probe: those that are ticked, else the newest one that is switched on."""
    if session.to_probe is None:
        return lab.enabled(session)[-1:]
    return tuple(edit for edit in lab.edits.values() if edit.id in session.to_probe)


def questions(edits: Sequence[Edit]) -> list[Question]:
    """What these edits were to forget, each question once."""
    found = {
        r["question"]: Question(r["question"], r["answer"], r.get("subject"), tuple(r.get("rephrases") or ()))
        for edit in edits
        for r in edit.requests
    }
    return list(found.values())


# --------------------------------------------------------------- changes


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = data["field"], str(data["value"])
    if name == "probe-edit" and str(data.get("edit")) in lab.edits:
        picked = {edit.id for edit in chosen(lab, session)}
        session.to_probe = picked | {str(data["edit"])} if value == "1" else picked - {str(data["edit"])}
        session.touch("probes")
    elif name in ("probe_which", "probe_items"):
        session.form[name] = value


def _probe(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    edits, text = chosen(lab, session), session.form.get("probe_items", "40").strip()
    if not edits:
        raise BadInput(_("No edit is chosen; tick the ones to probe."))
    if len(edits) > MOST_EDITS:
        raise BadInput(_("{n} edits are ticked; {most} fit beside each other.", n=len(edits), most=MOST_EDITS))
    items = whole(text)
    if items is None or not 1 <= items <= 1000:
        raise BadInput(_("How many items for each probe? “{text}” is not a number from 1 to 1000.", text=text))
    which = session.form.get("probe_which", "all")
    names = [name for name, probe in lab.bench.probes().items() if which in ("all", probe.kind)]
    asked = questions(edits)

    def work(job: Job) -> None:
        model = lab.bench.model.fingerprint
        found = lab.bench.probe(edits, asked, names, items=items, job=job)
        with session.lock:
            session.probed = Shown(model, found)
            session.touch("probes")

    lab.start(session, "probe", "Probing", "probes", work)


def _save(lab: Lab, session: Session, data: dict) -> dict | None:
    if session.probed is None:
        return None
    found = session.probed.probed
    whole = {**found.to_json(), "details": found.details()}
    return {
        "name": "probes.json",
        "type": "application/json",
        "text": json.dumps(whole, ensure_ascii=False, indent=1),
    }


ACTS = {"probe": _probe, "save-probes": _save}
