"""Step 8: many edits, each made, scored and kept, while nobody looks; and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.forget import bundled
from unedit_gui.jobs import Job
from unedit_gui.reports.conditions import model_name
from unedit_gui.spreadsheet import csv_of
from unedit_gui.ui.draw import draw, plural, seconds
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session, whole
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.runs import Run, Settings
    from unedit_gui.runs.config import Config
    from unedit_gui.runs.sweep import Outcome

TARGETS = (
    ("self-improved", "the model’s own refusals"),
    ("vanilla", "lines of a fixed set"),
    ("avoidant", "never heard of it"),
    ("incorrect", "wrong answers"),
    ("dummy", "the word dummy"),
)
SETS = (
    ("factual", "World facts"),
    ("general", "General questions"),
    ("example", "The example’s facts"),
    ("own", "The questions of step 2"),
)
# What stands in the form unless somebody changes it.
FORM = {
    "sweep_methods": "rome,memit,alphaedit",
    "sweep_targets": "self-improved",
    "sweep_questions": "factual",
    "sweep_facts": "10",
    "sweep_merge": "1",
    "sweep_seeds": "0",
    "sweep_retain": "20",
    "sweep_known": "1",
    "sweep_probes": "",
}
# The table's columns: name, title, what a run has there.
COLUMNS = (
    ("method", "Method", lambda run: run.settings.method),
    ("targets", "Targets", lambda run: run.settings.targets),
    ("facts", "Facts", lambda run: run.settings.facts),
    ("merge", "Merged", lambda run: run.settings.merge),
    ("seed", "Seed", lambda run: run.settings.seed),
    ("score", "Score", lambda run: run.score),
    ("forget", "Forget", lambda run: run.average("forget")),
    ("rephrased", "Rephrased", lambda run: run.average("rephrased")),
    ("retain", "Keep", lambda run: run.average("retain")),
    ("seconds", "Time in all", lambda run: sum(run.seconds.values())),
    ("created", "When", lambda run: run.created),
)
# What the table is filtered by: the filter's title, and what it says while it leaves nothing out.
FACETS = {
    "method": ("Methods", "All methods"),
    "targets": ("Targets", "All targets"),
    "sweep": ("Sweeps", "All sweeps"),
    "model": ("Models", "All models"),
}
FILTERS = tuple(FACETS)
# What the form calls the fields that the library's messages begin with.
CALLED = {
    "facts": "How many",
    "retain_facts": "Facts that should stay",
    "merge": "Merged",
    "seeds": "Seeds",
    "name": "Name",
}
MOST = 200  # rows shown
MOST_PICKED = 4


def form(session: Session, name: str) -> str:
    """What stands in a field of the form."""
    return session.form.get(name, FORM[name])


def chosen(session: Session, name: str) -> list[str]:
    """What is ticked in a list of the form."""
    return [part for part in form(session, name).split(",") if part]


def config(session: Session) -> dict[str, Any]:
    """The form as a sweep's config."""
    if not chosen(session, "sweep_methods"):
        raise BadInput(_("Tick at least one method."))
    if not chosen(session, "sweep_targets"):
        raise BadInput(_("Tick at least one kind of targets."))
    own, example = (form(session, "sweep_questions") == name for name in ("own", "example"))
    questions: Any = tuple(question for _, question in session.good()) if own else form(session, "sweep_questions")
    if own and not questions:
        raise BadInput(_("There are no questions in step 2; add some there, or choose another set."))
    facts = [] if own else _numbers(form(session, "sweep_facts"), _("How many"))
    if example:  # it has no more, and none that could stay
        facts = list(dict.fromkeys(min(number, len(bundled.example()[0])) for number in facts))
    retained = _numbers(form(session, "sweep_retain"), _("Facts that should stay"))
    if len(retained) > 1:
        text = form(session, "sweep_retain")[:40]
        raise BadInput(_("{what}: “{text}” is not one number.", what=_("Facts that should stay"), text=text))
    return {
        "methods": chosen(session, "sweep_methods"),
        "targets": chosen(session, "sweep_targets"),
        "merge": _numbers(form(session, "sweep_merge"), _("Merged")),
        "facts": "all" if own else facts,
        "seeds": _numbers(form(session, "sweep_seeds"), _("Seeds")),
        "questions": questions,
        "known": form(session, "sweep_known") == "1",
        "retain": "factual" if own or example else None,
        "retain_facts": retained[0],
        "probes": form(session, "sweep_probes") == "1",
        "name": session.form.get("sweep_name", "").strip() or "from the page",
    }


def asked(lab: Lab, session: Session) -> Config:
    """The form, checked. BadInput names the field as the form does."""
    try:
        return lab.bench.config(config(session))
    except BadInput as error:
        field, colon, reason = str(error).partition(": ")
        raise BadInput(f"{_(CALLED[field])}: {reason}" if field in CALLED and colon else str(error)) from error


def _numbers(text: str, what: str) -> list[int]:
    numbers = [whole(part) for part in text.replace(",", " ").split()]
    if not numbers or None in numbers:
        raise BadInput(
            _("{what}: “{text}” is not a number, or several with commas between them.", what=what, text=text[:40])
        )
    return numbers


def render(lab: Lab, session: Session) -> str:
    """The step's upper part: what to run, the sweep that runs, the table."""
    comparing = session.comparing
    kept = lab.bench.runs()
    comparing.count = len(kept)
    there = {run.id for run in kept}
    comparing.picked = [id for id in comparing.picked if id in there]
    comparing.opened = comparing.opened if comparing.opened in there else None
    methods = list(lab.bench.methods().values()) if lab.bench.model else []
    pinned = lab.bench.pinned_runs()
    found = table(session, kept, pinned)
    plan, wrong = _told_plan(lab, session, kept) if methods else ("", "")
    return draw(
        "runs",
        told=session.notices.get("runs"),
        ready=lab.bench.model is not None,
        methods=methods,
        labels={method.name: method.label for method in methods},
        targets=[(value, _(text)) for value, text in TARGETS],
        sets=[(value, _(text)) for value, text in SETS],
        form={name: form(session, name) for name in FORM},
        name=session.form.get("sweep_name", ""),
        ticked={name: chosen(session, name) for name in ("sweep_methods", "sweep_targets")},
        plan=plan,
        wrong=wrong,
        unfinished=lab.bench.unfinished_sweeps() if methods and not session.active("sweep") else {},
        busy=session.active("sweep") is not None,
        progress=_progress(session),
        rows=[(run, [(name, value(run)) for name, _, value in COLUMNS]) for run in found[:MOST]],
        more=max(0, len(found) - MOST),
        kept=len(kept),
        columns=[(name, title) for name, title, _ in COLUMNS],
        order=comparing.order,
        filters=_filters(session, kept),
        pinned=pinned,
        picked=comparing.picked,
        opened=comparing.opened,
        full=len(comparing.picked) >= MOST_PICKED,
    )


def _told_plan(lab: Lab, session: Session, kept: Sequence[Run]) -> tuple[str, str]:
    """How many runs the form makes, and how long they take; or "" and what is wrong with it."""
    try:
        wanted = asked(lab, session)
        count, expected = lab.bench.estimate(wanted)
    except BadInput as error:
        return "", str(error)
    told, comparing = plural(count, "run"), session.comparing
    planned = comparing.planned if wanted == comparing.asked else []
    model = lab.bench.model
    if planned and (planned[0].fingerprint, planned[0].dtype) == (model.fingerprint, model.dtype_name):
        # the sweep that was just run, or broken off
        there = {run.id for run in kept if run.probes is not None or not wanted.probes}
        new = sum(settings.id not in there for settings in planned)
        if not new:
            return _("{runs}, all kept already.", runs=told), ""
        told = _("{runs} ({n} new)", runs=told, n=new)
        expected = lab.bench.seconds_for(planned, wanted.probes)
    if expected is None:
        return _("{runs}: how long they take is known when the first are finished.", runs=told), ""
    return _("{runs}: about {time}, going by earlier runs.", runs=told, time=seconds(expected)), ""


def _progress(session: Session) -> dict[str, Any] | None:
    """Each planned run of the latest sweep with its state."""
    comparing = session.comparing
    if not comparing.planned:
        return None
    busy = session.active("sweep") is not None
    rows, current = [], busy
    for settings in comparing.planned:
        outcome = comparing.outcomes.get(settings.id)
        state = outcome.state if outcome else "running" if current else "waiting" if busy else "not run"
        current = current and outcome is not None
        score = outcome.run.score if outcome and outcome.run else None
        rows.append({"settings": settings, "state": state, "score": score, "reason": outcome.reason if outcome else ""})
    ended = [row["state"] for row in rows]
    counts = {state: ended.count(state) for state in ("made", "kept", "failed")}
    return {"rows": rows, "counts": counts, "total": len(rows), "ended": sum(counts.values()), "busy": busy}


# ------------------------------------------------------------------ the table


def table(session: Session, kept: Sequence[Run], pinned: set[str]) -> list[Run]:
    """The runs that pass the filters, in the chosen order, the pinned ones first."""
    for name in FILTERS:
        wanted = session.form.get(f"runs_{name}", "")
        if wanted:
            kept = [run for run in kept if wanted in _facets(run, name)]
    by, falling = session.comparing.order
    value = next(value for name, _, value in COLUMNS if name == by)
    # What has no figure stands last, whichever way the rest goes.
    known = sorted((run for run in kept if value(run) is not None), key=value, reverse=falling)
    found = [*known, *(run for run in kept if value(run) is None)]
    return sorted(found, key=lambda run: run.id not in pinned)


def _facets(run: Run, name: str) -> tuple[str, ...]:
    """What a run is found by in a filter."""
    if name == "sweep":
        return run.sweeps
    value = str(getattr(run.settings, name))
    return (model_name(value) if name == "model" else value,)


def _filters(session: Session, kept: Sequence[Run]) -> list[dict[str, Any]]:
    """The choices of each filter that would leave something out."""
    found = []
    for name in FILTERS:
        values = sorted({value for run in kept for value in _facets(run, name)} - {""})
        now = session.form.get(f"runs_{name}", "")
        if len(values) > 1 or now:
            title, everything = FACETS[name]
            choices = [("", _(everything)), *((value, value) for value in sorted({*values, *filter(None, [now])}))]
            found.append({"field": f"runs_{name}", "choices": choices, "now": now, "title": _(title)})
    return found


# ------------------------------------------------------------------ changes


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = str(data["field"]), str(data["value"])
    if name in ("sweep_methods", "sweep_targets"):
        ticked = [one for one in chosen(session, name) if one != data.get("name")]
        session.form[name] = ",".join([*ticked, str(data.get("name"))] if value == "1" else ticked)
        known = list(lab.bench.methods()) if name == "sweep_methods" else [kind for kind, _ in TARGETS]
        session.form[name] = ",".join(one for one in known if one in session.form[name].split(","))
    elif name in FORM or name == "sweep_name":
        session.form[name] = value
    elif name in [f"runs_{facet}" for facet in FILTERS]:
        session.form[name] = value
    elif name == "pick-run":
        picked = [id for id in session.comparing.picked if id != data.get("run")]
        if value == "1" and len(picked) < MOST_PICKED:
            picked.append(str(data.get("run")))
            if len(picked) > 1:
                session.look("side")  # it stands far below the table
        session.comparing.picked = picked
        session.touch("run")
    else:
        return
    session.touch("runs")


def _sweep(lab: Lab, session: Session, data: dict) -> None:
    """Start the sweep of the form, or go on with an unfinished one."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    if "sweep" in data:
        wanted = lab.bench.unfinished_sweeps().get(str(data["sweep"]))
        if wanted is None:  # taken up in another tab or by another program
            raise BadInput(_("That sweep is running or was put away already."))
    else:
        wanted = asked(lab, session)
    comparing = session.comparing
    comparing.asked, comparing.planned, comparing.outcomes = wanted, [], {}

    def planned(settings: list[Settings]) -> None:
        with session.lock:
            comparing.planned = settings
        session.touch("runs")

    def ended(outcome: Outcome) -> None:
        with session.lock:
            comparing.outcomes[outcome.settings.id] = outcome
        count = len(lab.bench.runs())
        for other in lab.sessions.all():
            other.comparing.count = count
            other.touch("runs")

    def work(job: Job) -> None:
        outcomes = lab.bench.sweep(wanted, on_plan=planned, on_run=ended, job=job)
        states = [outcome.state for outcome in outcomes]
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
        details = tuple(sorted({outcome.reason for outcome in failed}))
        counts = {"runs": plural(states.count("made"), "run"), "kept": states.count("kept")}
        text = _("{runs} made, {kept} were there already.", **counts)
        if failed:
            text = _("{runs} made, {kept} were there already, {n} couldn’t be made:", n=len(failed), **counts)
        session.tell("runs", text, "warn" if failed else "good", details=details)

    stopped = "What was finished is kept; started again, it goes on from there."
    lab.start(session, "sweep", "Sweep", "runs", work, stopped=stopped)


def _drop(lab: Lab, session: Session, data: dict) -> None:
    lab.bench.drop_sweep(str(data["sweep"]))
    _all_pages(lab)


def _sort(lab: Lab, session: Session, data: dict) -> None:
    by, (now, falling) = str(data["by"]), session.comparing.order
    if by in [name for name, _, _ in COLUMNS]:
        # The first click shows the better or the newer end.
        session.comparing.order = (by, not falling if by == now else by in ("score", "retain", "created", "seconds"))
        session.touch("runs")


def _pin(lab: Lab, session: Session, data: dict) -> None:
    id = str(data["run"])
    lab.bench.pin_run(id, id not in lab.bench.pinned_runs())
    _all_pages(lab)


def _open(lab: Lab, session: Session, data: dict) -> None:
    id = str(data["run"])
    session.comparing.opened = None if id == session.comparing.opened else id
    if session.comparing.opened:
        session.look("opened")
    session.touch("runs", "run")


def _delete(lab: Lab, session: Session, data: dict) -> None:
    if str(data["run"]) not in [run.id for run in lab.bench.runs()]:  # the same button, pressed twice
        return
    run = lab.bench.load_run(str(data["run"]))
    token = lab.bench.delete_run(run.id)

    def back() -> None:
        try:
            lab.bench.restore_run(token)
        except BadInput as error:  # it was made again meanwhile; later there may be room for it
            session.undos["runs"] = back
            session.tell("runs", str(error), "bad", undo=True)
        _all_pages(lab)

    session.undos["runs"] = back
    session.tell("runs", _("Deleted the run “{name}”.", name=run.name), undo=True)
    _all_pages(lab)


def _all_pages(lab: Lab) -> None:
    for session in lab.sessions.all():
        session.touch("runs", "run")


def _save(lab: Lab, session: Session, data: dict) -> dict | None:
    """The table as CSV, as it stands: filtered and in its order."""
    header = ["run", "model", "sweep", *(name for name, _, _ in COLUMNS)]
    rows = [
        [run.id, model_name(run.settings.model), ", ".join(run.sweeps), *(value(run) for _, _, value in COLUMNS)]
        for run in table(session, lab.bench.runs(), lab.bench.pinned_runs())
    ]
    return {"name": "runs.csv", "type": "text/csv", "text": csv_of(header, rows)}


ACTS = {
    "sweep": _sweep,
    "drop-sweep": _drop,
    "sort-runs": _sort,
    "pin-run": _pin,
    "open-run": _open,
    "delete-run": _delete,
    "save-runs": _save,
}
