"""Speed and memory, measured on this machine: `make bench`, or `python -m unedit_gui bench`.

Everything happens in a workspace of its own that is removed afterwards, so that the first statistics are measured
too and nothing of the user's is touched. Timings on a machine that does other work say little; run it again with
`--threads 1`, as threads that wait for a busy core cost far more than they bring.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.questions import Question
from ..jobs import Job
from ..workbench import Workbench
from .elsewhere import Elsewhere
from .growth import many
from .rows import Row, Rows

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


def measure(
    bench: Workbench,
    growth: Sequence[int] = (),
    only: Sequence[str] = (),
    job: Job | None = None,
    tell: Callable[[Row], None] | None = None,
) -> dict[str, Any]:
    """Time loading, the example, edits, scores, and two panes against one reply, with the workbench's loaded model.

    growth: numbers of facts for which AlphaEdit's cost is measured as well, such as (1, 10, 100, 1000).
    only: which of PARTS; none named: all of them. tell: hears each figure as soon as it is there.

    Returns `device`, `threads`, `cores` and `rows`, see `rows.Row`. Raises BadInput for a part that isn't there.
    """
    import torch

    from .growth import grow

    if bench.model is None:
        raise BadInput("No model is loaded yet; load one first.")
    only = checked(only)
    with tempfile.TemporaryDirectory(prefix="unedit-bench-") as home:
        trial = _Trial(bench, home, job or Job("bench"), tell)
        for part, work in PARTS.items():
            if part in (only or PARTS):
                work(trial)
        if growth:
            grow(trial.bench, "alphaedit", growth, trial.rows, trial.job)
    return {
        "model": bench.model.name,
        **trial.how,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "rows": trial.rows.to_json(),
    }


class _Trial:
    """What the parts share: a workbench in a home of its own that has the model, and the figures so far."""

    def __init__(self, bench: Workbench, home: str, job: Job, tell: Callable[[Row], None] | None) -> None:
        model = bench.model
        self.user, self.home, self.job = bench, home, job
        self.how = {"device": str(model.device), "dtype": model.dtype_name}
        self.rows = Rows(model.device.type == "cuda", tell)
        self.bench = Workbench(home)
        self.bench.model = model

    @cached_property
    def edit(self) -> Edit:
        """AlphaEdit on the example's facts, as the page's one click makes it; its first statistics stay cached."""
        return self.bench.edit(self.bench.example()[0], "alphaedit", job=self.job)

    @cached_property
    def facts(self) -> list[Question]:
        """Questions from all over the bundled set, with refusals that the model wrote."""
        found = [q for q in self.bench.bundled_sets()["factual"] if q.subject]
        found = found[:: len(found) // FACTS][:FACTS]
        targets = self.bench.targets(found, "self-improved", job=self.job)
        return [replace(fact, target=target.text) for fact, target in zip(found, targets, strict=True)]

    @property
    def elsewhere(self) -> Elsewhere:
        """How a fresh process gets the same model, and the statistics that were made here."""
        import torch

        name = self.user.model.name
        return Elsewhere(str(self.user.workspace.home), name, self.how, torch.get_num_threads(), self.home)


def _load(trial: _Trial) -> None:
    trial.job.progress("Loading the model again")
    name, home = trial.user.model.name, trial.user.workspace.home
    took = trial.rows.timed(lambda: Workbench(home).load(name, **trial.how))
    trial.rows.add("load the converted model again, s", took.seconds, 3.0, took=took)


def _example(trial: _Trial) -> None:
    """What the page's one-click example does."""
    bench, job = trial.bench, trial.job
    forget, retain = bench.example()

    def click() -> None:
        bench.ask(forget, job=job)
        edit = trial.edit
        bench.verify_original(job=job)
        for text in (forget[0].question, forget[0].rephrases[0], retain[0].question):
            history = [{"role": "user", "content": text}]
            bench.chat([history, history], [(), (edit,)], job=job)
        bench.evaluate(edit, forget, retain, job=job)

    took = trial.rows.timed(click)
    trial.rows.add("the example, first statistics included, s", took.seconds, 90.0, took=took)


def _edits(trial: _Trial) -> None:
    bench, rows, _statistics = trial.bench, trial.rows, trial.edit
    took = rows.timed(lambda: trial.facts)
    rows.add(f"write {FACTS} refusals, s", took.seconds, took=took)
    for name, count, contexts, limit in TRIALS:
        hparams = {} if contexts is None else {"contexts": contexts}
        how_made = {"targets": "given", "hparams": hparams, "job": trial.job}
        took = rows.timed(lambda n=name, f=trial.facts[:count], h=how_made: bench.edit(f, n, **h))
        wordings = "" if contexts is None else f", {contexts} contexts"
        label = f"{bench.methods()[name].label}, {count} facts{wordings}, statistics cached, s"
        rows.add(label, took.seconds, limit, took=took)


def _search(trial: _Trial) -> None:
    from .limits import search

    trial.job.progress("Comparing the search with plain products")
    found = search(trial.bench, trial.facts, 6, trial.job)
    name = "the search's multiply-adds a second / those of plain products"
    note = f"{found.multiply_adds / found.seconds / 1e9:.0f} against {found.plain / 1e9:.0f} thousand million a second"
    trial.rows.add(name, found.share, 0.5, least=True, note=note)


def _scores(trial: _Trial) -> None:
    from .limits import scores

    trial.job.progress("Comparing scores with one at a time")
    quicker = scores(trial.bench, trial.edit, SCORED, SCORE_TOKENS, ALONE, trial.job)
    counted = " + ".join(map(str, SCORED))
    trial.rows.add(f"scores of {counted} questions one at a time / together", quicker, 3.0, least=True)


def _locate(trial: _Trial) -> None:
    fact = trial.bench.example()[0][0]
    work = lambda: trial.bench.locate(fact.question, fact.answer, job=trial.job)  # noqa: E731
    took = trial.rows.timed(work)
    trial.rows.add("locate one fact, s", took.seconds, 60.0, took=took)


def _panes(trial: _Trial) -> None:
    bench, rows, edit, job = trial.bench, trial.rows, trial.edit, trial.job
    job.progress("Comparing two panes with one")
    one, two = [()], [(), (edit,)]
    times = [(_pace(bench, one, job), _pace(bench, two, job)) for _ in range(ROUNDS)]
    limit = 1.15 if rows.on_gpu else 1.7
    rows.add("one reply, tokens/s", 1 / median(a for a, _ in times))
    rows.add("time of two panes / of one reply", median(b / a for a, b in times), limit)
    job.progress("Comparing their memory")
    folder = str(bench.save_edit(edit, Path(trial.home) / "edit"))
    alone, both = (trial.elsewhere.run(_memory, folders) for folders in ([""], ["", folder]))
    rows.add("memory of two panes / of one reply", both / alone, 1.05)


def _easyedit(trial: _Trial) -> None:
    from .rival import beside_easyedit, has_source

    if has_source(trial.rows):
        facts = many(trial.bench, FACTS)
        quick = {"targets": "given", "hparams": {"steps": 1}, "job": trial.job}
        trial.bench.edit(facts[:1], "alphaedit", **quick)  # its statistics are cached for both sides
        beside_easyedit(trial.bench, facts, trial.elsewhere, trial.rows, trial.job)


PARTS: dict[str, Callable[[_Trial], None]] = {
    "load": _load,
    "example": _example,
    "edits": _edits,
    "search": _search,
    "scores": _scores,
    "locate": _locate,
    "panes": _panes,
    "easyedit": _easyedit,
}


def checked(parts: Iterable[str]) -> list[str]:
    """The parts; BadInput for one that isn't there."""
    parts = list(parts)
    for part in parts:
        if part not in PARTS:
            raise BadInput(f"There is no part called {part!r}; choose among {', '.join(PARTS)}.")
    return parts


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
        took = rows.timed(lambda: trial.edit(facts[:1], "alphaedit", targets="given", job=job))
        rows.add("AlphaEdit, 1 fact, first statistics included, s", took.seconds, took=took)
        took = rows.timed(lambda: trial.edit(facts, "alphaedit", targets="given", job=job))
        limit = 30.0 if rows.on_gpu and shape == "llama2-7b" else None
        rows.add("AlphaEdit, 40 facts, statistics cached, s", took.seconds, limit, took=took)
        found = search(trial, facts[:FACTS], 6, job)
        rows.add("the search's multiply-adds a second / those of plain products", found.share, 0.5, least=True)
        times = [(_pace(trial, [()], job), _pace(trial, [(), (took.result,)], job)) for _ in range(ROUNDS)]
        rows.add("two panes, tokens/s each", 1 / median(b for _, b in times), 60.0 if limit else None, least=True)
        rows.add("time of two panes / of one reply", median(b / a for a, b in times), 1.15 if rows.on_gpu else 1.7)
    how = {"device": str(model.device), "dtype": dtype, "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    return {"model": model.card.label, **how, "rows": rows.to_json()}


def _pace(bench: Workbench, rows: list[tuple[Edit, ...]], job: Job) -> float:
    """Seconds per token of the longest reply."""
    started = time.perf_counter()
    replies = bench.chat([STORY] * len(rows), rows, max_new_tokens=TOKENS, on_text=lambda row, text: None, job=job)
    return (time.perf_counter() - started) / max(reply.tokens for reply in replies)


def _memory(bench: Workbench, _trial: Workbench, folders: list[str]) -> float:
    """The most bytes in use while replies are written, one row per folder ("": the original)."""
    import psutil
    import torch

    on_gpu = bench.model.device.type == "cuda"
    rows = [bench.load_stack(folder) if folder else () for folder in folders]
    process, most = psutil.Process(), [0]
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()

    def look(row: int, text: str) -> None:
        most[0] = max(most[0], process.memory_info().rss)

    bench.chat([STORY] * len(rows), rows, max_new_tokens=TOKENS, on_text=look)
    return float(torch.cuda.max_memory_allocated() if on_gpu else most[0])
