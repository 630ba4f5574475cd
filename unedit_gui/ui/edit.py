"""Step 4: how it is made to forget. Method, settings, facts to protect, the edit itself and its result."""

from __future__ import annotations

import dataclasses

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui import after, curve, protect, shelf, targets
from unedit_gui.ui.draw import draw
from unedit_gui.ui.files import upload_bytes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import translate as _

FIRST = "alphaedit"
LABELS = {"l2": "L2 penalty", "lr": "Learning rate (lr)", "kl_factor": "KL factor", "lam": "Lambda"}


def method(lab: Lab, session: Session) -> str:
    """The chosen method's name."""
    methods = lab.bench.methods()
    chosen = session.form.get("method", FIRST)
    return chosen if chosen in methods else next(iter(methods))


def render(lab: Lab, session: Session) -> str:
    """The whole step."""
    common = {
        "told": session.notices.get("edit"),
        **shelf.shown(lab, session),
    }
    if lab.bench.model is None:  # the methods need the heavy libraries, which come with the model
        return draw("edit", methods=[], **common)
    chosen = method(lab, session)
    plain, advanced = _settings(lab, session, chosen)
    found = targets.items(session)
    made = lab.edits.get(session.made or "") if not session.active("edit") else None
    return draw(
        "edit",
        **common,
        made=made,
        trained=curve.charts(made.curve()) if made else [],
        verified=session.verified,
        methods=list(lab.bench.methods().values()),
        chosen=chosen,
        label=lab.bench.methods()[chosen].label,
        retain=lab.bench.methods()[chosen].retain,
        changed=bool(session.overrides.get(chosen)),
        plain=plain,
        advanced=advanced,
        unfolded=session.form.get("advanced") == "1" or any(s["error"] for s in advanced),
        total=sum(len(item.rows) for item in found),
        requests=len(found),
        missing=sum(item.target is None for item in found),
        given=targets.kind(session) == "given",
        bad=sum(bool(row.problem) and not row.blank for row in session.rows),
        busy=session.active("edit", "example") is not None,
        asking=session.active("ask") is not None,
        form=session.form,
        **protect.values(lab, session),
        **after.values(lab, session),
    )


def _settings(lab: Lab, session: Session, chosen: str) -> tuple[list[dict], list[dict]]:
    """The method's settings as the form shows them: the plain ones, and the finer ones."""
    defaults = lab.bench.methods()[chosen].defaults(lab.bench.model)
    changed = session.overrides.get(chosen, {})
    groups: tuple[list[dict], list[dict]] = ([], [])
    for spec in dataclasses.fields(defaults):
        default = getattr(defaults, spec.name)
        shown = changed.get(spec.name, _text(default))
        where = f"{chosen}.{spec.name}"
        groups[bool(spec.metadata.get("advanced"))].append(
            {
                "id": where,
                "label": LABELS.get(spec.name) or spec.name.replace("_", " ").capitalize(),
                "help": spec.metadata.get("help", ""),
                "switch": isinstance(default, bool),
                "on": shown.lower() == "true",
                "shown": shown,
                "default": _text(default),
                "error": session.errors.get(where, ""),
            }
        )
    return groups


def _text(value: object) -> str:
    """A setting's value as people type it."""
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --------------------------------------------------------------- changes


def upload(lab: Lab, session: Session, data: dict) -> None:
    """A file for this step; the input says for what: an edit, settings in EasyEdit's form, or facts that must stay."""
    what = data.get("for")
    if what == "edit":
        shelf.upload(lab, session, data)
    elif what == "settings":
        _take_settings(lab, session, data)
    else:
        protect.upload(lab, session, data)


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = data["field"], str(data["value"])
    if shelf.field(lab, session, data):
        return
    if name == "setting":
        _set(lab, session, str(data["name"]), value)
    elif name.startswith("protect"):
        protect.field(session, data)
    elif name in ("method", "on_top", "edit_name"):
        session.form[name] = value
        if name == "method":
            session.touch("edit")


def _take_settings(lab: Lab, session: Session, data: dict) -> None:
    """One of EasyEdit's files: its method is chosen and its settings typed in; what became of each line is told."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    name, content = upload_bytes(data, _("a file of settings has a few thousand bytes"))
    found = lab.bench.read_hparams(content, name)
    session.form["method"] = found.method
    session.overrides[found.method] = {}
    for setting, value in found.settings.items():
        _set(lab, session, f"{found.method}.{setting}", _text(value))
    label = lab.bench.methods()[found.method].label
    told = [*(row for row in found.rows if row.setting and row.remark), *found.left_out]
    text = _("These are the settings of {name}, for {method}.", name=name, method=label)
    if told:
        text += " " + _("What was scaled, or has no counterpart:")
    session.tell(
        "edit",
        text,
        details=tuple(f"{row.key}: {_text(row.value)} ({row.remark})" for row in told),
    )


def _set(lab: Lab, session: Session, where: str, value: str) -> None:
    """Keep a setting as typed, and tell at once, beside it, if it can't be used."""
    chosen, _, name = where.partition(".")
    defaults = lab.bench.methods()[chosen].defaults(lab.bench.model)
    default = getattr(defaults, name)
    if isinstance(default, bool):
        value = "true" if value == "1" else "false"
    changed = session.overrides.setdefault(chosen, {})
    if value.strip() == _text(default):
        changed.pop(name, None)
    else:
        changed[name] = value.strip()
    session.errors.pop(where, None)
    if name in changed:
        try:
            lab.bench.hparams(chosen, {name: changed[name]})
        except BadInput as error:
            session.errors[where] = str(error)
    session.touch("edit")


def _edit(lab: Lab, session: Session, data: dict) -> None:
    from unedit_gui.edits.edit import checked_name

    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    chosen = method(lab, session)
    if wrong := [text for where, text in session.errors.items() if where.startswith(chosen + ".")]:
        raise BadInput(wrong[0])
    overrides = dict(session.overrides.get(chosen, {}))
    protect.protected(session)  # a row that can't be used is told now
    hparams = lab.bench.hparams(chosen, overrides)
    pairs = session.good()
    missing, merge = [item for item in targets.items(session) if item.target is None], targets.merged_by(session)
    if missing and targets.kind(session) == "given":
        question = missing[0].rows[0].question
        raise BadInput(_("The question “{question}” has no refusal yet; type one in step 3.", question=question))
    on = lab.enabled(session) if session.form.get("on_top") == "1" else ()
    name = session.form.get("edit_name", "").strip()
    name = checked_name(name) if name else None

    def work(job: Job) -> None:
        if missing:
            targets.write_now(lab, session, missing, job)
        questions = []
        for row, q in pairs:
            target = session.refusal(row)
            if target is None:
                raise BadInput(
                    _("The question “{question}” was changed meanwhile; press the button again.", question=q.question)
                )
            questions.append(dataclasses.replace(q, target=target.text))
        facts = protect.protected(session)  # with those that were still being looked for
        how = dict(hparams=hparams, protect=facts, on=on, name=name, merge=merge)
        edit = lab.bench.edit(questions, chosen, targets="given", **how, job=job)
        session.verified = lab.bench.verify_original(job=job)  # the last place where Stop leaves nothing behind
        lab.keep(session, edit)
        session.form["edit_name"] = ""
        after.look(lab, session, lab.bench.stack(edit), after.forgotten_by([edit]), facts)

    label = lab.bench.methods()[chosen].label
    lab.start(
        session,
        "edit",
        _("Editing with {method}", method=label),
        "edit",
        work,
        stopped="No weights were changed and nothing was saved.",
    )


def _defaults(lab: Lab, session: Session, data: dict) -> None:
    chosen = method(lab, session)
    session.overrides.pop(chosen, None)
    session.errors = {where: text for where, text in session.errors.items() if not where.startswith(chosen + ".")}
    session.touch("edit")


def _advanced(lab: Lab, session: Session, data: dict) -> None:
    session.form["advanced"] = "" if session.form.get("advanced") == "1" else "1"
    session.touch("edit")


ACTS = {
    "edit": _edit,
    "defaults": _defaults,
    "advanced": _advanced,
    **protect.ACTS,
    **after.ACTS,
    **shelf.ACTS,
    "delete-edit": shelf.delete_here,
}
