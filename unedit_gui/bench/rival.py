"""Ours beside EasyEdit's own editors: CPU seconds for each fact, and the most memory, with equal steps and contexts.

Each side makes its edit in a fresh process with one model in it, statistics cached, refusals given. EasyEdit's time is
that of its own function alone: neither its projector, nor what easyedit.py does around it. Its contexts are six where
it has more (ROME has 21, WISE 11), because ours are at most eight. Ours edits ten facts at once, as one would, and
EasyEdit's one, because it takes them one after the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..editors import easyedit
from ..editors.base import Request, scaled_layers
from ..editors.locate import FRAMES
from ..errors import Failed, UneditError
from ..forget.questions import Question
from ..jobs import Job
from ..workbench import Workbench
from .elsewhere import Elsewhere
from .rows import Rows

CONTEXTS = 6


@dataclass(frozen=True)
class Match:
    """One method on both sides: the goal, our settings, EasyEdit's; `memory`: is the most memory held to a limit?"""

    method: str
    goal: float
    ours: dict[str, Any]
    theirs: dict[str, Any] = field(default_factory=dict)
    memory: bool = False


MATCHES = (
    Match(
        "rome",
        10.0,
        {"steps": 25, "contexts": CONTEXTS},
        {"v_num_grad_steps": 25, "context_template_length_params": [[10, CONTEXTS - 1]]},
        memory=True,
    ),
    Match("memit", 10.0, {"steps": 25, "contexts": CONTEXTS}, {"v_num_grad_steps": 25}, memory=True),
    Match("alphaedit", 10.0, {"steps": 25, "contexts": CONTEXTS}, {"v_num_grad_steps": 25}, memory=True),
    Match("grace", 5.0, {"steps": 50}, {"n_iter": 50}),
    Match("wise", 5.0, {"steps": 70, "contexts": CONTEXTS}, {"n_iter": 70}),
)
# Of the two that `--engine easyedit` doesn't run: module, function, settings, file.
_ADAPTERS = {
    "grace": ("grace.grace_main", "apply_grace_to_model", "GraceHyperParams", "GRACE/llama-7b.yaml"),
    "wise": ("wise.wise_main", "apply_wise_to_model", "WISEHyperParams", "WISE/llama-7b.yaml"),
}


def has_source(rows: Rows) -> bool:
    """Is EasyEdit's source there? If not, its line says how to get it."""
    if os.environ.get(easyedit.VARIABLE):
        return True
    rows.add("EasyEdit's CPU time for a fact / ours", None, note=easyedit.HOW_TO_GET)
    return False


def beside_easyedit(
    bench: Workbench,
    facts: Sequence[Question],
    elsewhere: Elsewhere,
    rows: Rows,
    job: Job,
    matches: Sequence[Match] = MATCHES,
) -> None:
    """Add a row for each match: EasyEdit's CPU seconds for one fact, over ours for each of `facts`."""
    for match in matches:
        label = bench.methods()[match.method].label
        job.progress(f"Comparing {label} with EasyEdit's")
        name = f"EasyEdit's CPU time for a fact / ours, {label}"
        try:
            theirs, their_peak, alone = elsewhere.run(_theirs, match, list(facts[:1]))
        except UneditError as error:
            rows.add(name, None, note=str(error))
            continue
        ours, our_peak, _ = elsewhere.run(_ours, match, list(facts))
        each = ours / len(facts)
        note = f"{theirs:.0f} s for one, {each:.1f} s for each of {len(facts)}"
        rows.add(name, theirs / each, match.goal, least=True, note=note)
        note = (
            f"{our_peak / 1e6:,.0f} against {their_peak / 1e6:,.0f} MB, {alone / 1e6:,.0f} of them with the model alone"
        )
        rows.add(
            f"our peak memory / EasyEdit's, {label}", our_peak / their_peak, 0.6 if match.memory else None, note=note
        )


def _ours(_bench: Workbench, trial: Workbench, match: Match, facts: Sequence[Question]) -> tuple[float, int, int]:
    """CPU seconds, most bytes in use, and bytes in use before."""
    rows = Rows(trial.model.device.type == "cuda")
    before = rows.timed(lambda: None).peak
    took = rows.timed(lambda: trial.edit(facts, match.method, targets="given", hparams=match.ours))
    return took.cpu, took.peak, before


def _theirs(_bench: Workbench, trial: Workbench, match: Match, facts: Sequence[Question]) -> tuple[float, int, int]:
    """CPU seconds of EasyEdit's own function, most bytes in use, and bytes in use before."""
    source, rows = easyedit.find(), Rows(trial.model.device.type == "cuda")
    module, function, *_ = (easyedit.PARTS | _ADAPTERS)[match.method]
    main, used = source.module(f"models.{module}"), []
    before = rows.timed(lambda: None).peak
    setattr(main, function, _clocked(getattr(main, function), used))
    if match.method in _ADAPTERS:
        took = rows.timed(lambda: _adapter(source, main, match, trial, facts))
    else:
        hparams = match.theirs
        took = rows.timed(lambda: trial.edit(facts, match.method, targets="given", hparams=hparams, engine="easyedit"))
    return sum(used), took.peak, before


def _clocked(function: Callable, used: list[float]) -> Callable:
    def clocked(*given, **named):
        started = time.process_time()
        try:
            return function(*given, **named)
        finally:
            used.append(time.process_time() - started)

    return clocked


def _adapter(source: easyedit.Source, main, match: Match, trial: Workbench, facts: Sequence[Question]) -> None:
    """EasyEdit's GRACE or WISE on one fact, in a copy of the module tree."""
    model, question = trial.model, trial.with_subjects(facts[:1])[0]
    _, function, settings, file = _ADAPTERS[match.method]
    chosen = getattr(main, settings).from_hparams(str(source.folder / "hparams" / file))
    layer = scaled_layers(model, (27,), of=32)[0]
    chosen.inner_params = [f"{model.layout.blocks}[{layer}].{model.layout.down}.weight"]
    chosen.device, chosen.model_name = str(model.device), model.name
    for name, value in match.theirs.items():
        setattr(chosen, name, value)
    request = Request(question.question, question.answer, question.subject, question.target)
    asked = easyedit.asked_of(model, request)
    asked["prompt"] = asked["prompt"].format(asked["subject"])
    if match.method == "wise":  # it puts its contexts, and then the template, around the bare question
        other = trial.example()[1][0]
        asked |= {"prompt": question.question, "loc_prompt": f"{other.question} {other.answer}"}
        chosen.use_chat_template = True
        frames = [frame[0] for frame in FRAMES if len(frame) == 1]
        source.module("models.wise.utils").CONTEXT_TEMPLATES_CACHE = [f.format(q="{}") for f in frames[:CONTEXTS]]
    hf = easyedit.with_own(model.hf, [model.layout.weight_name(layer)])
    with easyedit.quietly(model, Job("bench"), 0) as tokenizer:
        try:
            getattr(main, function)(hf, tokenizer, [asked], chosen)
        except Exception as error:  # whatever it is, the other rows are measured all the same
            raise Failed(f"EasyEdit's {match.method} broke ({type(error).__name__}: {str(error)[:200]}).") from error
