"""The edits at hand: switch on and off, rename, compare, hand on, take in, delete with undo.

Shown in the edit step; the chat step has the switches.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui.beside import told_in
from unedit_gui.ui.files import upload_bytes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import translate as _

LARGEST = 60_000_000  # bytes of an edit that goes through the browser
VIEW = "shelf"  # where this list's own news are told: beside its buttons, which may be far from the step's top
TITLES = {"peft": "Writing the LoRA adapter", "merged": "Writing the merged checkpoint"}


def shown(lab: Lab, session: Session) -> dict[str, Any]:
    """What the list's template needs."""
    on = lab.enabled(session)
    pair = [lab.edits[i] for i in session.form.get("compared", "").split() if i in lab.edits]
    return {
        "edits": list(lab.edits.values()),
        "ready": lab.ready,
        "enabled": session.enabled,
        "on": on,
        "renaming": session.form.get("renaming", ""),
        "new_name": session.form.get("new_name", ""),
        "compared": lab.bench.compare(*pair) if len(pair) == 2 else None,
        "exporting": session.active("export") is not None,
        "shelf_told": session.notices.get(VIEW),
        "look": session.looks(VIEW),
    }


def toggle(lab: Lab, session: Session, data: dict) -> None:
    """Switch an edit on or off for this page."""
    edit_id = str(data["edit"])
    if edit_id not in lab.edits:
        return
    session.enabled = [i for i in session.enabled if i != edit_id] + ([edit_id] if data["value"] == "1" else [])
    session.touch("edit", "chat", "scores", "top")


def field(lab: Lab, session: Session, data: dict) -> bool:
    """Take a change of one of the list's inputs; False if it is none of them."""
    if data["field"] == "toggle":
        toggle(lab, session, data)
    elif data["field"] == "new_name":
        session.form["new_name"] = str(data["value"])
    else:
        return False
    return True


def _upload(lab: Lab, session: Session, data: dict) -> None:
    """An edit's zip file from elsewhere: checked, kept, and switched on alone."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    name, content = upload_bytes(data, _("copy the edit’s folder and use the command `edits --add` instead"))
    edit = lab.bench.add_edit(content, name)
    lab.take(session, edit)
    session.tell(
        VIEW, _("“{name}” is here now, and switched on.", name=edit.name), step=5, step_text="Compare in the chat"
    )


def try_ready(lab: Lab, session: Session, data: dict) -> None:
    """Switch a ready-made edit on, alone, and go where it can be talked to."""
    ready = next((i for i in lab.edits if i in lab.ready), None)
    if ready is None:
        raise BadInput(_("There is no ready-made edit for this model; make one in step 4."))
    session.enabled, session.replay = [ready], None
    session.touch("edit", "chat", "scores", "top")
    session.go(5)


def _at(lab: Lab, data: dict):
    edit = lab.edits.get(str(data["edit"]))
    if edit is None:
        raise BadInput(_("This edit is not in the list any more."))
    return edit


def _rename(lab: Lab, session: Session, data: dict) -> None:
    edit = _at(lab, data)
    session.form.update(renaming=edit.id, new_name=edit.name)
    session.touch("edit")


def _keep_name(lab: Lab, session: Session, data: dict) -> None:
    if data.get("keep"):
        edit = lab.edits.get(session.form.get("renaming", ""))
        if edit is not None:
            named = lab.bench.rename_edit(edit, session.form.get("new_name", ""))
            lab.edits = {i: named if i == named.id else e for i, e in lab.edits.items()}
    session.form["renaming"] = ""
    lab.touch_edits()


def _download(lab: Lab, session: Session, data: dict) -> dict:
    edit = _at(lab, data)
    size = sum(tensor.nbytes for part in lab.bench.stack(edit) for tensor in part.tensors.values())
    if size > LARGEST:
        raise BadInput(
            _(
                "This edit has {size} MB, too much for the browser; on the command line `{command}` writes it.",
                size=f"{size / 1e6:.0f}",
                command=f"edits --pack {edit.id} --out FILE.zip",
            )
        )
    packed = base64.b64encode(lab.bench.pack_edit(edit)).decode("ascii")
    return {"name": f"edit-{edit.id}.zip", "type": "application/zip", "base64": packed}


def _export(lab: Lab, session: Session, data: dict) -> dict | None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    form, on = str(data["form"]), lab.enabled(session)
    if not on:
        raise BadInput(_("Switch on what is to be exported first."))
    if form == "manifest":
        text = json.dumps({"edits": [edit.document() for edit in on]}, ensure_ascii=False, indent=1)
        return {"name": "manifest.json", "type": "application/json", "text": text}
    if form not in TITLES:
        return None
    if reason := lab.bench.why_no_export(on, form):
        raise BadInput(reason)

    def work(job: Job) -> None:
        done = lab.bench.export(on, form, job=job)
        details = tuple(text for text in (done.usage, done.warning) if text)
        size = f"{done.size / 1e6:.{1 if done.size >= 1e5 else 3}f}"
        session.tell(
            VIEW,
            _("Written to {folder} ({size} MB).", folder=done.folder, size=size),
            details=details,
        )

    lab.start(session, "export", TITLES[form], VIEW, work, stopped="Nothing was left behind.")
    return None


def _compare(lab: Lab, session: Session, data: dict) -> None:
    on = lab.enabled(session)
    if len(on) != 2:
        raise BadInput(_("Switch on exactly two edits to compare them."))
    session.form["compared"] = " ".join(edit.id for edit in on)
    session.touch("edit")


def _compared(lab: Lab, session: Session, data: dict) -> None:
    session.form["compared"] = ""
    session.touch("edit")


def _delete(lab: Lab, session: Session, data: dict) -> None:
    edit = lab.edits.get(str(data["edit"]))
    if edit is None:
        return
    if edit.id in lab.ready:
        raise BadInput(_("This edit comes with the program and can’t be deleted; switch it off."))
    held = lab.worker.current
    if held is not None and held.kind in ("edit", "example", "evaluate", "export"):
        raise BadInput(_("“{title}” is using the edits; delete it once that is finished.", title=_(held.title)))
    token, was_on = lab.bench.delete_edit(edit), edit.id in session.enabled
    lab.drop(edit)
    with session.lock:
        session.enabled = [i for i in session.enabled if i != edit.id]

    def back() -> None:
        found = lab.bench.undelete_edit(token)
        lab.bring_back(found)
        if was_on:
            session.enabled = [*session.enabled, found.id]
        lab.touch_edits()

    for view in (VIEW, "chat"):
        session.undos[view] = back
        session.tell(view, _("Deleted “{name}”.", name=edit.name), undo=True)
    lab.touch_edits()


told_here = told_in(VIEW, "edit")
upload = told_here(_upload)
delete_here = told_here(_delete)  # in the list itself; the chat tells of its own switches
ACTS = {
    "delete-edit": _delete,
    "try-ready": try_ready,
    **{
        name: told_here(act)
        for name, act in {
            "rename-edit": _rename,
            "keep-name": _keep_name,
            "download-edit": _download,
            "export": _export,
            "compare": _compare,
            "compared": _compared,
        }.items()
    },
}
