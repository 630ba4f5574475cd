"""Below the table of step 8: two to four runs side by side, and one of them question by question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.reports.conditions import model_name
from unedit_gui.ui import probes, runs
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.scores import GROUPS
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.evaluation.metrics import TokenProbability
    from unedit_gui.runs import Run

# The four of the papers' tables, with which way is better where something is to be forgotten.
METRICS = (
    ("rouge1", "ROUGE-1 recall"),
    ("probability_normalised", "Probability per token"),
    ("mrr", "Mean reciprocal rank"),
    ("hit_ratio", "Top-100 hits"),
)
COMPARED = ("forget", "rephrased", "retain")
# From which probability on a token is shown in each of five depths of colour.
DEPTHS = (0.01, 0.1, 0.5, 0.9)
MOST = 200  # rows shown


def render(lab: Lab, session: Session) -> str:
    """The section: what was ticked side by side, and the open run."""
    comparing = session.comparing
    side = [run for run in (_found(lab, id) for id in comparing.picked) if run]
    opened = _found(lab, comparing.opened) if comparing.opened else None
    fits = opened is not None and lab.bench.model is not None
    fits = fits and opened.settings.fingerprint == lab.bench.model.fingerprint
    probed = probes.as_kept(opened.probes) if opened else None
    return draw(
        "run",
        looks=session.looks,
        side=side,
        settings=_settings(side) if len(side) > 1 else None,
        metrics=METRICS,
        compared=COMPARED,
        groups=GROUPS,
        run=opened,
        rows=[(place, _whole(row)) for place, row in enumerate(opened.rows[:MOST])] if opened else [],
        most=MOST,
        tokens={place: told for (id, place), told in comparing.tokens.items() if id == comparing.opened},
        depth=depth,
        fits=fits,
        model=model_name(opened.settings.model) if opened else "",
        busy=session.active("tokens") is not None,
        probed=probed,
        kinds=probes.kinds(probed),
        tones=probes.TONES,
    )


def _found(lab: Lab, id: str) -> Run | None:
    try:
        return lab.bench.load_run(id)
    except BadInput:  # deleted in another window
        return None


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the template needs it, whoever wrote it and whatever was left out."""
    lacking = {"group": "", "part": None, "question": "", "answer": "", "protected": False}
    said = {when: {"text": "", "rouge1": None, **row.get(when, {})} for when in ("before", "after")}
    return {**lacking, **row, **said}


def _settings(side: list[Run]) -> dict[str, Any]:
    """Settings of runs beside each other: those that differ with a value for each, and those that are the same."""
    rows: dict[str, list[Any]] = {}

    rows["method"] = [run.settings.method for run in side]
    rows["targets"] = [run.settings.targets for run in side]
    rows["facts"] = [run.settings.facts for run in side]
    rows["merged"] = [run.settings.merge for run in side]
    rows["seed"] = [run.settings.seed for run in side]
    rows["model"] = [f"{model_name(run.settings.model)} ({run.settings.fingerprint[:4]})" for run in side]
    for name, title in (("forget", "facts to forget"), ("retain", "facts to keep"), ("protect", "protected facts")):
        lists = [tuple(q["question"] for q in getattr(run.settings, name)) for run in side]
        first = {questions: place for place, questions in reversed(list(enumerate(lists)))}
        rows[title] = [
            _("{n}, set {letter}", n=len(qs), letter=chr(65 + sorted(first.values()).index(first[qs]))) for qs in lists
        ]
    own = [name for run in side for name in run.settings.hparams]
    for name in sorted(set(own)):
        if own.count(name) > 1:  # what only one of the methods has can't differ
            rows[name] = [run.settings.hparams.get(name) for run in side]
    rows["number format"] = [run.environment.get("dtype") or run.settings.dtype for run in side]
    rows["threads"] = [run.environment.get("threads") for run in side]
    rows["versions"] = [", ".join(f"{k} {v}" for k, v in run.environment.get("versions", {}).items()) for run in side]
    same = {name: values[0] for name, values in rows.items() if all(value == values[0] for value in values)}
    return {"differ": {name: values for name, values in rows.items() if name not in same}, "same": same}


def depth(probability: float) -> int:
    """How deep the colour of a token is, 0 to 4."""
    return sum(probability >= least for least in DEPTHS)


def field(lab: Lab, session: Session, data: dict) -> None:
    """The section has no inputs."""


def _tokens(lab: Lab, session: Session, data: dict) -> None:
    """How likely each token of a row's true answer is, before and after; asked of the model now."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    place, id = int(data["place"]), session.comparing.opened
    if (id, place) in session.comparing.tokens:  # a second click puts them away
        del session.comparing.tokens[id, place]
        session.touch("run")
        return
    row = lab.bench.load_run(id).rows[place]

    def work(job: Job) -> None:
        found: tuple[list[TokenProbability], list[TokenProbability]] = lab.bench.token_probabilities(
            lab.bench.run_edit(id), row["question"], row["answer"], job=job
        )
        with session.lock:
            session.comparing.tokens[id, place] = found
            session.touch("run")

    lab.start(session, "tokens", "Token probabilities", "runs", work, urgent=True)


def _chat(lab: Lab, session: Session, data: dict) -> None:
    """Switch the open run's edit on, alone, and go to the chat."""
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    edit = lab.bench.add_edit(lab.bench.run_folder(str(data["run"])) / "edit")
    lab.take(session, edit)
    session.replay = None
    session.go(5)


ACTS = {"run-tokens": _tokens, "run-chat": _chat, "open-run": runs.ACTS["open-run"], "pin-run": runs.ACTS["pin-run"]}
