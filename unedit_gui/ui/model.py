"""Step 1: the model, and the one-click example."""

from __future__ import annotations

import sys
from typing import Any

from unedit_gui.errors import BadInput, UneditError
from unedit_gui.ui import shelf
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import translate as _

OWN = "(own)"
PLAN = (
    ("Questions", "three facts that the model knows"),
    ("Refusals", "it writes how it will say “I don’t know”"),
    ("Edit", "a few of its weights are changed"),
    ("Chat", "original and edited answer side by side"),
    ("Scores", "what was forgotten, what was kept"),
)
DTYPES = (
    ("", "automatic"),
    ("float32", "float32 (exact, 4 bytes)"),
    ("bfloat16", "bfloat16 (2 bytes)"),
    ("float16", "float16 (2 bytes)"),
)


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    cards = lab.bench.models()
    chosen = session.form.get("model") or lab.wanted
    chosen = next((card.name for card in cards if chosen in (card.name, card.label)), OWN)
    taught = lab.bench.taught()
    return draw(
        "model",
        running=session.active("example") is not None,
        ready=bool(lab.ready),
        plan=PLAN,
        other=_other(lab),
        told=session.notices.get("model"),
        error=lab.load_error,
        model=lab.bench.model,
        label=_label(lab.bench.model.card) if lab.bench.model else "",
        dtype=lab.bench.model.dtype_name if lab.bench.model else "",
        loading=lab.loading.snapshot() if lab.busy_loading else None,
        choices=[*((card.name, _line(card)) for card in cards), (OWN, _("Another: a hub name or a local folder…"))],
        chosen=chosen,
        own=chosen == OWN,
        own_name=session.form.get("model_name", "" if lab.wanted == "bundled" else lab.wanted),
        about=f"{taught.card.note[0].upper()}{taught.card.note[1:]}: {_asked_about(taught)}." if taught else "",
        can_delete=lab.bench.taught(chosen) is not None,
        note=next((_(card.note) for card in cards if card.name == chosen and card.note), ""),
        dtypes=[(value, _(text)) for value, text in DTYPES],
        chosen_dtype=session.form.get("dtype", ""),
        memory=_memory(lab, session),
    )


def _other(lab: Lab) -> str:
    """The model that the example runs on, where it isn't the bundled one: the one in use, once any loading is over."""
    now = lab.bench.model
    name, label = (lab.wanted, lab.wanted) if lab.busy_loading or now is None else (now.card.name, now.card.label)
    return "" if name == "bundled" else label


def _asked_about(taught) -> str:
    """What a model's lessons were about: their contracts or other categories, else the first questions."""
    names = taught.contracts() or [q.question for q in taught.questions]
    return "; ".join(names[:6]) + ("; …" if len(names) > 6 else "")


def _label(card) -> str:
    return card.label.replace("(bundled)", _("(bundled)"))


def _line(card) -> str:
    if card.parameters is None:
        return _label(card)
    billions = card.parameters / 1e9
    size = f"{billions:.1f} B" if billions >= 1 else f"{card.parameters / 1e6:.0f} M"
    return f"{_label(card)} · " + _("{size} parameters", size=size)


def _memory(lab: Lab, session: Session) -> dict[str, Any] | None:
    """What loading would take. Not before the heavy libraries are there: the page must not wait for them."""
    name = wanted(lab, session)
    if not name or "torch" not in sys.modules or lab.busy_loading:
        return None
    try:
        found = lab.bench.memory(name, session.form.get("dtype") or None)
    except UneditError as error:
        return {"word": "can’t tell", "tone": "warn", "text": str(error)}
    word, tone = {True: ("fits", "good"), False: ("too large", "bad"), None: ("size unknown", "")}[found["fits"]]
    return {"word": word, "tone": tone, "text": found["text"]}


def wanted(lab: Lab, session: Session) -> str:
    """The name that the form asks for."""
    chosen = session.form.get("model") or lab.wanted
    return session.form.get("model_name", "").strip() if chosen == OWN else chosen


def field(lab: Lab, session: Session, data: dict) -> None:
    if data["field"] in ("model", "model_name", "dtype"):
        session.form[data["field"]] = str(data["value"])
        session.touch("model")


def _load(lab: Lab, session: Session, data: dict) -> None:
    name = wanted(lab, session)
    if not name:
        raise BadInput("Type a hub name (owner/name) or the path of a model folder first.")
    session.notices.pop("model", None)
    lab.load(name, dtype=session.form.get("dtype") or None, owner=session.id)


def _delete(lab: Lab, session: Session, data: dict) -> None:
    """Move the chosen taught model to the trash."""
    taught = lab.bench.taught(wanted(lab, session))
    if taught is None:
        raise BadInput("Only models that were taught here can be deleted here.")
    if lab.bench.model is not None and lab.bench.model.card.name == taught.folder:
        raise BadInput(_("{name} is in use; load another model first.", name=taught.name))
    if taught.folder in [found.folder for found in map(lab.bench.taught, lab.awaited()) if found]:
        raise BadInput(_("{name} is being loaded, or waits for it; wait, or stop that first.", name=taught.name))
    token = lab.bench.delete_taught(taught.name)
    session.form["model"] = "bundled"

    def undo() -> None:
        session.form["model"] = lab.bench.undelete_taught(token).folder
        session.touch("model")

    session.undos["model"] = undo
    session.tell("model", _("{name} lies in the trash now.", name=taught.name), undo=True)


ACTS = {"load": _load, "delete-taught": _delete, "try-ready": shelf.try_ready}
