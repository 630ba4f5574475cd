"""The edits at hand: switch on and off, rename, delete with undo. Shown in the edit and the chat step."""

from __future__ import annotations

from unedit_gui.errors import BadInput
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


def toggle(lab: Lab, session: Session, data: dict) -> None:
    """Switch an edit on or off for this page."""
    edit_id = str(data["edit"])
    if edit_id not in lab.edits:
        return
    session.enabled = [i for i in session.enabled if i != edit_id] + ([edit_id] if data["value"] == "1" else [])
    session.touch("edit", "chat", "scores", "top")


def _delete(lab: Lab, session: Session, data: dict) -> None:
    edit = lab.edits.get(str(data["edit"]))
    if edit is None:
        return
    held = lab.worker.current
    if held is not None and held.kind in ("edit", "example", "evaluate"):
        raise BadInput(f"“{held.title}” is using the edits; delete it once that is finished.")
    token, was_on = lab.bench.delete_edit(edit), edit.id in session.enabled
    lab.edits = {i: e for i, e in lab.edits.items() if i != edit.id}

    def back() -> None:
        found = lab.bench.undelete_edit(token)
        everything = [found, *lab.edits.values()]
        lab.edits = {e.id: e for e in sorted(everything, key=lambda e: e.created, reverse=True)}
        if was_on:
            session.enabled = [*session.enabled, found.id]
        lab.touch_edits()

    for view in ("edit", "chat"):
        session.undos[view] = back
        session.tell(view, f"Deleted “{edit.name}”.", undo=True)
    lab.touch_edits()


ACTS = {"delete-edit": _delete}
