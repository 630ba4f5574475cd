"""Speed and memory, measured on this machine: `make bench`, or `python -m unedit_gui bench`.

Everything happens in a workspace of its own that is removed afterwards, so that the first statistics are measured
too and nothing of the user's is touched. Timings on a machine that does other work say little; run it again with
`--threads 1`, as threads that wait for a busy core cost far more than they bring.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .forget.questions import Question
from .jobs import Job
from .workbench import Workbench

if TYPE_CHECKING:
    from .edits.edit import Edit

FACTS = 10
# Method, facts, contexts (None: the default), seconds that it may take.
TRIALS = (
    ("alphaedit", FACTS, None, None),
    ("alphaedit", FACTS, 6, 60.0),
    ("memit", FACTS, 6, 60.0),
    ("rome", 3, None, None),
    ("dpo", FACTS, None, None),
    ("gd", FACTS, None, None),
    ("kl", FACTS, None, None),
    ("ga", FACTS, None, None),
)
ROUNDS = 3  # of what is compared with itself; the median counts
TOKENS = 96  # a reply's length where two panes are compared with one
STORY = [{"role": "user", "content": "Tell me a long story about a lighthouse keeper and her boat."}]


def measure(bench: Workbench, job: Job | None = None) -> dict[str, Any]:
    """Time loading, the example, edits, and two panes against one reply, with the workbench's loaded model.

    Returns `device`, `threads`, `cores` and `rows`: each with `name`, `value`, `limit` (what this project holds
    itself to; None: nothing) and `ratio`, value / limit.
    """
    import torch

    if bench.model is None:
        raise BadInput("No model is loaded yet; load one first.")
    job, model = job or Job("bench"), bench.model
    how = {"device": str(model.device), "dtype": str(model.dtype).removeprefix("torch.")}
    rows: list[dict[str, Any]] = []

    def row(name: str, value: float, limit: float | None = None) -> None:
        ratio = None if limit is None else round(value / limit, 3)
        rows.append({"name": name, "value": round(value, 3), "limit": limit, "ratio": ratio})

    with tempfile.TemporaryDirectory(prefix="unedit-bench-") as home:
        job.progress("Loading the model again")
        seconds, _ = _timed(lambda: Workbench(bench.workspace.home).load(model.name, **how))
        row("load the converted model again, s", seconds, 3.0)

        trial = Workbench(home)
        trial.model = model
        seconds, edit = _timed(lambda: _example(trial, job))
        row("the example, first statistics included, s", seconds, 90.0)

        facts = _facts(trial)
        seconds, targets = _timed(lambda: trial.targets(facts, "self-improved", job=job))
        row(f"write {FACTS} refusals, s", seconds)
        facts = [replace(fact, target=target.text) for fact, target in zip(facts, targets, strict=True)]
        for name, count, contexts, limit in TRIALS:
            hparams = {} if contexts is None else {"contexts": contexts}
            how_made = {"targets": "given", "hparams": hparams, "job": job}
            seconds, _ = _timed(lambda n=name, f=facts[:count], h=how_made: trial.edit(f, n, **h))
            wordings = "" if contexts is None else f", {contexts} contexts"
            row(f"{trial.methods()[name].label}, {count} facts{wordings}, statistics cached, s", seconds, limit)

        fact = trial.example()[0][0]
        seconds, _ = _timed(lambda: trial.locate(fact.question, fact.answer, job=job))
        row("locate one fact, s", seconds, 60.0)

        job.progress("Comparing two panes with one")
        one, two = [()], [(), (edit,)]
        times = [(_pace(trial, one, job), _pace(trial, two, job)) for _ in range(ROUNDS)]
        limit = 1.7 if model.device.type == "cpu" else None
        row("one reply, tokens/s", 1 / median(a for a, _ in times))
        row("time of two panes / of one reply", median(b / a for a, b in times), limit)

        job.progress("Comparing their memory")
        folder = str(trial.save_edit(edit, Path(home) / "edit"))
        where = (str(bench.workspace.home), model.name, how, torch.get_num_threads())
        alone, both = (_elsewhere(_memory, *where, folders) for folders in ([""], ["", folder]))
        row("memory of two panes / of one reply", both / alone, 1.15)
    return {"model": model.name, **how, "threads": torch.get_num_threads(), "cores": os.cpu_count(), "rows": rows}


def _example(bench: Workbench, job: Job) -> Edit:
    """What the page's one-click example does. Returns its edit."""
    forget, retain = bench.example()
    bench.ask(forget, job=job)
    edit = bench.edit(forget, "alphaedit", job=job)
    bench.verify_original(job=job)
    for text in (forget[0].question, forget[0].rephrases[0], retain[0].question):
        history = [{"role": "user", "content": text}]
        bench.chat([history, history], [(), (edit,)], job=job)
    bench.evaluate(edit, forget, retain, job=job)
    return edit


def _facts(bench: Workbench) -> list[Question]:
    """Questions from all over the bundled set."""
    found = [q for q in bench.bundled_sets()["factual"] if q.subject]
    return found[:: len(found) // FACTS][:FACTS]


def _pace(bench: Workbench, rows: list[tuple[Edit, ...]], job: Job) -> float:
    """Seconds per token of the longest reply."""
    started = time.perf_counter()
    replies = bench.chat([STORY] * len(rows), rows, max_new_tokens=TOKENS, on_text=lambda row, text: None, job=job)
    return (time.perf_counter() - started) / max(reply.tokens for reply in replies)


def _memory(home: str, name: str, how: dict[str, str], threads: int, folders: list[str]) -> float:
    """The most bytes in use while replies are written, one row per folder ("": the original)."""
    import psutil
    import torch

    torch.set_num_threads(threads)
    bench = Workbench(home)
    on_gpu = bench.load(name, **how).device.type == "cuda"
    rows = [bench.load_stack(folder) if folder else () for folder in folders]
    process, most = psutil.Process(), [0]
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()

    def look(row: int, text: str) -> None:
        most[0] = max(most[0], process.memory_info().rss)

    bench.chat([STORY] * len(rows), rows, max_new_tokens=TOKENS, on_text=look)
    return float(torch.cuda.max_memory_allocated() if on_gpu else most[0])


def _elsewhere(function: Callable[..., float], *arguments: Any) -> float:
    """The function's result from a fresh process, in which nothing that ran here has left its memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, what the work returned)."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
