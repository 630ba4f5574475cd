"""Ours beside EasyEdit's own editors on the same facts: CPU seconds for each fact, and the most memory."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from ..editors.easyedit import HOW_TO_GET, VARIABLE
from ..errors import UneditError
from ..forget.questions import Question
from ..jobs import Job
from ..workbench import Workbench
from .rows import Rows

METHODS = ("rome", "memit", "alphaedit")
OURS = {"steps": 25, "contexts": 6}  # as EasyEdit has them


def beside_easyedit(bench: Workbench, facts: Sequence[Question], rows: Rows, job: Job) -> None:
    """Add a row for each method: EasyEdit's CPU seconds for one fact, over ours for each of `facts`."""
    if not os.environ.get(VARIABLE):
        rows.add("EasyEdit's CPU time for a fact / ours", None, note=HOW_TO_GET)
        return
    for method in METHODS:
        label = bench.methods()[method].label
        try:
            theirs, their_peak = _cpu(rows, lambda m=method: _edit(bench, m, facts[:1], {}, "easyedit", job))
        except UneditError as error:
            rows.add(f"EasyEdit's CPU time for a fact / ours, {label}", None, note=str(error))
            continue
        own = facts[:3] if method == "rome" else facts
        seconds, peak = _cpu(rows, lambda m=method, f=own: _edit(bench, m, f, OURS, "unedit", job))
        note = f"{theirs:.0f} s for one, {seconds / len(own):.1f} s for each of {len(own)}"
        quicker = theirs * len(own) / seconds
        rows.add(f"EasyEdit's CPU time for a fact / ours, {label}", quicker, 10, least=True, note=note)
        rows.add(f"our peak memory / EasyEdit's, {label}", peak / their_peak, 0.6)


def _edit(bench: Workbench, method: str, facts, hparams: dict[str, Any], engine: str, job: Job) -> None:
    bench.edit(facts, method, targets="given", hparams=hparams, engine=engine, job=job)


def _cpu(rows: Rows, work) -> tuple[float, int]:
    """(CPU seconds of all threads, most bytes in use)."""
    started = time.process_time()
    _, peak, _ = rows.timed(work)
    return time.process_time() - started, peak
