"""How close the work comes to what can't be avoided: the search's products alone, and scores one question at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
import torch.nn.functional as F

from ..editors import hparams_from
from ..editors.arithmetic import is_quick, side_by_side
from ..editors.locate import place, places
from ..editors.values import ESSENCE, Objective, solve
from ..editors.walk import keys_and_outputs
from ..evaluation.suite import evaluate
from ..forget.questions import Question
from ..jobs import Job
from ..models.layout import blocks_of
from ..workbench import Workbench

STEPS = 6  # of the search; the first one or two still fill caches, so the median counts
CHUNK = 200  # rows of a plain product, as many as the search has tokens in a group


@dataclass(frozen=True)
class Search:
    """One step of the search for new values: multiply-adds that can't be avoided, seconds, and the multiply-adds a
    second of plain products of the same shapes in the same arithmetic."""

    multiply_adds: float
    seconds: float
    plain: float

    @property
    def share(self) -> float:
        """Of the plain products' speed."""
        return self.multiply_adds / self.seconds / self.plain


def clock_for(model) -> Callable[[], float]:
    """Seconds. Of one thread on a CPU those of its own: on a quiet machine they are the clock's, and on another one
    they don't count what others do."""
    alone = model.device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def search(bench: Workbench, facts: Sequence[Question], contexts: int, job: Job) -> Search:
    """Measure a step of the search for `facts` (with targets) in so many contexts.

    A step runs every token from the edit position on through the layers above once forwards and, for the gradient by
    delta, once backwards; the head only at the target's tokens.
    """
    model = bench.model
    questions = bench.with_subjects(facts)
    hparams = hparams_from("alphaedit", model, {"contexts": contexts, "steps": STEPS})
    layer = hparams.layers[-1]
    spots = places(model, questions, contexts)
    targets, subjects = [q.target for q in questions], [q.subject for q in questions]
    _, h = keys_and_outputs(model, [row[0] for row in spots], [layer], job=job)
    clock = clock_for(model)
    times = [clock()]

    class Watch(Job):
        def progress(self, *given) -> None:
            times.append(clock())
            job.check()

    objective = Objective(STEPS, hparams.lr, hparams.weight_decay, hparams.clamp, hparams.kl_factor, 0.0, torch.inf)
    solve(model, spots, targets, subjects, layer, objective, h[layer], job=Watch("search"))
    steps = [b - a for a, b in zip(times[1:], times[2:], strict=False)]  # the last step measures only: not among them

    tokens = spoken = 0
    for row, target, subject in zip(spots, targets, subjects, strict=True):
        wanted = len(model.tokenizer(target + model.end_of_turn, add_special_tokens=False).input_ids)
        essence = place(model, [{"role": "user", "content": ESSENCE.format(subject=subject)}], subject)
        tokens += sum(len(spot.ids) + wanted - 1 - spot.position for spot in row) + len(essence.ids) - essence.position
        spoken += wanted * len(row) + 1
    weights = _matrices(model, layer)
    head = model.hf.get_output_embeddings().weight
    work = 2 * (tokens * sum(w.numel() for w in weights) + spoken * head.numel())
    return Search(work, median(steps[:-1]), _plain(model, [*weights, head]))


def _matrices(model, layer: int) -> list[torch.Tensor]:
    return [p for block in blocks_of(model.hf, model.layout)[layer + 1 :] for p in block.parameters() if p.ndim == 2]


@torch.no_grad()
def _plain(model, weights: Sequence[torch.Tensor], rounds: int = 3) -> float:
    """Multiply-adds a second of x W^T and g W for these weights, in as many threads as the search uses."""
    dtype = torch.bfloat16 if is_quick(model) else model.dtype
    ready = [w.to(dtype) for w in weights]
    threads = torch.get_num_threads() if model.device.type == "cpu" else 1
    clock = clock_for(model)

    def products(_: int) -> None:
        for w in ready:
            F.linear(torch.ones(CHUNK, w.shape[1], dtype=dtype, device=w.device), w)
            torch.ones(CHUNK, w.shape[0], dtype=dtype, device=w.device) @ w

    times = []
    with side_by_side(model) as run:
        for _ in range(rounds):
            started = clock()
            run(products, range(threads))
            if model.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(clock() - started)
    return 2 * CHUNK * threads * sum(w.numel() for w in weights) / min(times)


def scores(bench: Workbench, edit, counts: tuple[int, int, int], tokens: int, alone: int, job: Job) -> float:
    """How many times as quick the scores of so many forget, rephrased and retained questions are as one at a time.

    `alone`: how many of them are scored one at a time, evenly chosen; both ways from nothing kept.
    """
    questions = [q for q in bench.bundled_sets()["factual"] if q.subject]
    forget, retain = questions[: counts[0]], questions[counts[0] : counts[0] + counts[2]]
    rephrased = [Question(q.rephrases[0], q.answer, q.subject) for q in forget[: counts[1]] if q.rephrases]
    every, clock = [*forget, *rephrased, *retain], clock_for(bench.model)
    started = clock()
    evaluate(bench.model, (edit,), every, rephrased=(), max_new_tokens=tokens, job=job)
    together = (clock() - started) / len(every)
    some = every[:: max(1, len(every) // alone)]
    started = clock()
    for question in some:
        evaluate(bench.model, (edit,), [question], rephrased=(), max_new_tokens=tokens, job=job)
    return (clock() - started) / len(some) / together
