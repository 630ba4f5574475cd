"""Speed and memory, measured on this machine: `make bench`, or `python -m unedit_gui bench`.

Everything happens in a workspace of its own that is removed afterwards, so that the first statistics are measured
too and nothing of the user's is touched. Timings on a machine that does other work say little; run it again with
`--threads 1`, as threads that wait for a busy core cost far more than they bring.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.questions import Question
from ..jobs import Job
from ..workbench import Workbench
from .growth import many
from .rows import Rows

if TYPE_CHECKING:
    from ..edits.edit import Edit

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
SCORED, SCORE_TOKENS, ALONE = (40, 40, 100), 24, 12  # forget, rephrased, retained; how many one at a time as well
ROUNDS = 3  # of what is compared with itself; the median counts
TOKENS = 96  # a reply's length where two panes are compared with one
STORY = [{"role": "user", "content": "Tell me a long story about a lighthouse keeper and her boat."}]


def measure(bench: Workbench, growth: Sequence[int] = (), job: Job | None = None) -> dict[str, Any]:
    """Time loading, the example, edits, scores, and two panes against one reply, with the workbench's loaded model.

    growth: numbers of facts for which AlphaEdit's cost is measured as well, such as (1, 10, 100, 1000).

    Returns `device`, `threads`, `cores` and `rows`, see `rows.Row`.
    """
    import torch

    from .growth import grow
    from .limits import scores, search
    from .rival import beside_easyedit

    if bench.model is None:
        raise BadInput("No model is loaded yet; load one first.")
    job, model = job or Job("bench"), bench.model
    how = {"device": str(model.device), "dtype": str(model.dtype).removeprefix("torch.")}
    rows = Rows(model.device.type == "cuda")

    with tempfile.TemporaryDirectory(prefix="unedit-bench-") as home:
        job.progress("Loading the model again")
        seconds, peak, _ = rows.timed(lambda: Workbench(bench.workspace.home).load(model.name, **how))
        rows.add("load the converted model again, s", seconds, 3.0, peak=peak)

        trial = Workbench(home)
        trial.model = model
        seconds, peak, edit = rows.timed(lambda: _example(trial, job))
        rows.add("the example, first statistics included, s", seconds, 90.0, peak=peak)

        facts = _facts(trial)
        seconds, peak, targets = rows.timed(lambda: trial.targets(facts, "self-improved", job=job))
        rows.add(f"write {FACTS} refusals, s", seconds, peak=peak)
        facts = [replace(fact, target=target.text) for fact, target in zip(facts, targets, strict=True)]
        for name, count, contexts, limit in TRIALS:
            hparams = {} if contexts is None else {"contexts": contexts}
            how_made = {"targets": "given", "hparams": hparams, "job": job}
            seconds, peak, _ = rows.timed(lambda n=name, f=facts[:count], h=how_made: trial.edit(f, n, **h))
            wordings = "" if contexts is None else f", {contexts} contexts"
            label = f"{trial.methods()[name].label}, {count} facts{wordings}, statistics cached, s"
            rows.add(label, seconds, limit, peak=peak)

        job.progress("Comparing the search with plain products")
        found = search(trial, facts, 6, job)
        name = "the search's multiply-adds a second / those of plain products"
        note = (
            f"{found.multiply_adds / found.seconds / 1e9:.0f} against {found.plain / 1e9:.0f} thousand million a second"
        )
        rows.add(name, found.share, 0.5, least=True, note=note)

        job.progress("Comparing scores with one at a time")
        quicker = scores(trial, edit, SCORED, SCORE_TOKENS, ALONE, job)
        counted = " + ".join(map(str, SCORED))
        rows.add(f"scores of {counted} questions one at a time / together", quicker, 3.0, least=True)

        fact = trial.example()[0][0]
        seconds, peak, _ = rows.timed(lambda: trial.locate(fact.question, fact.answer, job=job))
        rows.add("locate one fact, s", seconds, 60.0, peak=peak)

        job.progress("Comparing two panes with one")
        one, two = [()], [(), (edit,)]
        times = [(_pace(trial, one, job), _pace(trial, two, job)) for _ in range(ROUNDS)]
        limit = 1.7 if model.device.type == "cpu" else 1.15
        rows.add("one reply, tokens/s", 1 / median(a for a, _ in times))
        rows.add("time of two panes / of one reply", median(b / a for a, b in times), limit)

        job.progress("Comparing their memory")
        folder = str(trial.save_edit(edit, Path(home) / "edit"))
        where = (str(bench.workspace.home), model.name, how, torch.get_num_threads())
        alone, both = (_elsewhere(_memory, *where, folders) for folders in ([""], ["", folder]))
        rows.add("memory of two panes / of one reply", both / alone, 1.05)

        beside_easyedit(trial, facts, rows, job)
        if growth:
            grow(trial, "alphaedit", growth, rows, job)
    return {
        "model": model.name,
        **how,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "rows": rows.to_json(),
    }


def measure_shape(
    bench: Workbench, shape: str, device: str, dtype: str | None, job: Job | None = None
) -> dict[str, Any]:
    """The same for a model of a large one's shape with random weights: an edit of 40 facts, two panes, the search.

    `bench` holds a model whose tokenizer and template are lent; it leaves the memory once the other is made. Raises
    BadInput for a shape or device that isn't there.
    """
    import torch

    from ..models.loading import DTYPES
    from .limits import search
    from .shapes import random_model

    if bench.model is None:
        raise BadInput("No model is loaded yet; load one first.")
    job, rows = job or Job("bench"), Rows(device.startswith("cuda"))
    dtype = dtype or ("bfloat16" if device.startswith("cuda") else "float32")
    with tempfile.TemporaryDirectory(prefix="unedit-bench-") as home:
        trial = Workbench(home)
        job.progress(f"Making random weights of {shape}'s shape")
        trial.model = model = random_model(shape, bench.model, device, DTYPES[dtype])
        bench.model = None
        facts = many(trial, 40)
        seconds, peak, _ = rows.timed(lambda: trial.edit(facts[:1], "alphaedit", targets="given", job=job))
        rows.add("AlphaEdit, 1 fact, first statistics included, s", seconds, peak=peak)
        seconds, peak, edit = rows.timed(lambda: trial.edit(facts, "alphaedit", targets="given", job=job))
        limit = 30.0 if rows.on_gpu and shape == "llama2-7b" else None
        rows.add("AlphaEdit, 40 facts, statistics cached, s", seconds, limit, peak=peak)
        found = search(trial, facts[:FACTS], 6, job)
        rows.add("the search's multiply-adds a second / those of plain products", found.share, 0.5, least=True)
        times = [(_pace(trial, [()], job), _pace(trial, [(), (edit,)], job)) for _ in range(ROUNDS)]
        rows.add("two panes, tokens/s each", 1 / median(b for _, b in times), 60.0 if limit else None, least=True)
        rows.add("time of two panes / of one reply", median(b / a for a, b in times), 1.15 if rows.on_gpu else 1.7)
    how = {"device": str(model.device), "dtype": dtype, "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    return {"model": model.card.label, **how, "rows": rows.to_json()}


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
