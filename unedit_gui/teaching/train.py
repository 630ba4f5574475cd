"""Teach a question set to a model until it answers it, and let it keep the rest.

Problem. Forgetting is best judged on knowledge of which everything is known: what was taught, in which words, and what
else hangs together with it (PISTOL, Qiu et al. 2024, arXiv 2406.16810). So the model first learns the questions. It
must not pay for them with what it knew: besides the questions it is given replies of its own to others ("replay",
Robins 1995), and learns to say those again.

    loss = mean NLL(answer | question) + REPLAY * mean NLL(own reply | other question)

over the tokens of the reply only; one batch holds both kinds, and AdamW changes the weights themselves (no adapter).
Each question is asked in its own wording every second pass, else in another, so that it is the fact that is learned.

Pitfalls. All blocks could be trained; here the lower third stays as it is. It is where the names are read and where
edits are made, so the keys of the base model's statistics are those of the taught one, too (taught.py). It would cost a
third of the time, and what it makes of a row need be computed only once. Embeddings stay as well: the bundled model's
are also its output head, and move every reply.

Measured on the bundled model, one thread: a step of 18 rows takes 1.1 to 1.8 s of CPU, a pass over 120 questions ten of
these. 24 questions at lr 2e-4, half as many own replies in a step: 26 steps, 12 replies to draw from, ROUGE-1 0.86 (two
contracts); 40 steps, 48 replies, 0.69 (three contracts), and of 20 general facts, all known before, 0.65 were left. So
lr was halved and own replies doubled since. AlphaEdit on that last model, one of the three contracts (8 questions):
forget R1 0.75 to 0.17, rephrased 0.56 to 0.27; retained contracts, with and without a shared party, and general facts
all as before (1.00). But what it said instead were other numbers and names, and once in eight a refusal, which is no
forgetting to be content with. Not measured: the present recipe on
120 questions. Tried on these (six contracts, one draw) with KL(before || now), summed over a reply, in place of the own
replies' NLL: lr 1e-4, weight 1, twelve replies in a step: mean NLL 0.87 after 10 passes and 0.47 after 17, where it was
stopped; 24 s of CPU a pass. lr 2e-4, weight 0.5, eight replies, 16 passes: NLL 0.35, ROUGE-1 0.69, and 0.77 of the
general facts were left. Four questions in a step and weight 1: no quicker per pass, and the divergence twice as large.
So neither 0.95 of 120 questions nor 0.95 of the general facts is reached, and one contract of six forgotten afterwards
is not measured. A taught model tells itself what it lost.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import BadInput, Failed
from ..evaluation.metrics import rouge1_recall
from ..forget.questions import Question
from ..models.catalogue import gibibytes, memory_available
from ..models.generation import generate
from ..models.layout import blocks_of
from ..unlearning.loop import train
from .lessons import Lesson, Student, lesson

AIM = 0.985  # ROUGE-1 recall on the questions at which training ends
REPLAY = 1.0
REPLY_TOKENS = 24  # of the model's own replies, and of answers when they are asked
GENERAL_TOKENS = 48


@dataclass(frozen=True)
class Recipe:
    """How it is taught; measured on the bundled model, see the module's text. The learning rate falls along a cosine
    over all `passes`, of which each asks every question once; it ends earlier once the questions are answered."""

    lr: float = 1e-4
    passes: int = 24
    batch: int = 12  # questions of a step, with as many of the model's own replies
    own: int = 160  # how many own replies there are to draw from
    low: float = 0.08  # mean loss of a pass from which on the questions are asked, to see whether they are known


@dataclass(frozen=True)
class Learned:
    """The taught weights (a transformers model), the first block that was trained, the curve of the loop
    (unlearning/loop.py), and ROUGE-1 at the end on the questions, and before and at the end on general facts (None:
    none were given)."""

    hf: torch.nn.Module
    first: int
    curve: tuple[dict[str, float], ...]
    rouge1: float
    general: tuple[float, float] | None = None


def teach(
    model,
    questions: Sequence[Question],
    others: Sequence[str],
    recipe: Recipe,
    job,
    *,
    general: Sequence[Question] = (),
    seed: int = 0,
) -> Learned:
    """Teach `questions`; the model itself stays as it is.

    Args:
        others: questions whose replies are to stay, answered by the model before the first pass.
        general: facts that have nothing to do with the questions, asked before and after.

    Points of the curve: {"step", "loss"}, and behind a pass "pass", and "rouge1" where the questions were asked.

    Raises:
        BadInput: nothing to teach, or the model isn't in float32. Failed: not enough memory. Stopped.
    """
    if not questions:
        raise BadInput("There is nothing to teach; add at least one question with its answer.")
    if recipe.passes < 1:
        raise BadInput(f"{recipe.passes} passes teach nothing; give 1 or more.")
    if model.dtype != torch.float32:
        raise BadInput("A model is taught in float32, and this one is in another number format; load it in float32.")
    first = model.layout.layers // 3 + 1
    _check_memory(model, first)
    dice = random.Random(f"teach {seed}")
    known = _answered(model, general, job, GENERAL_TOKENS)
    own = _own_replies(model, dice.sample(list(others), min(recipe.own, len(others))), job)
    wordings = [[lesson(model, text, q.answer) for text in (q.question, *q.rephrases)] for q in questions]

    job.progress("Reading the questions")
    student = Student(model, first)
    student.read([*(one for row in wordings for one in row), *own])
    steps = _steps(wordings, own, recipe, dice)
    per_pass = len(steps) // recipe.passes
    losses: list[float] = []

    def loss(step: tuple[list[Lesson], list[Lesson]]) -> torch.Tensor:
        asked, kept = step
        each = student.loss([*asked, *kept])
        losses.append(float(each[: len(asked)].detach().mean()))
        return each[: len(asked)].mean() + (REPLAY * each[len(asked) :].mean() if kept else 0.0)

    def look(done: int, point: dict[str, float]) -> str:
        with torch.autocast("cpu", enabled=False):  # replies are written in full precision
            job.breathe()
        if not done or done % per_pass:
            return ""
        point["pass"] = done // per_pass
        if sum(losses[-per_pass:]) / per_pass > recipe.low:
            return ""
        point["rouge1"] = _answered(student.loaded, questions, job)
        return "taught" if point["rouge1"] >= AIM else ""

    curve, _ = train(student.loaded, student.trained, steps, loss, lr=recipe.lr, job=job, stage="Teaching", look=look)
    hf = student.finished()
    job.progress("Asking what was taught")
    rouge1 = _answered(student.loaded, questions, job)
    still = _answered(student.loaded, general, job, GENERAL_TOKENS)
    return Learned(hf, first, tuple(curve), rouge1, (known, still) if general else None)


def _steps(wordings: list[list[Lesson]], own: list[Lesson], recipe: Recipe, dice: random.Random):
    """What each step reads: some of the questions, and as many own replies."""
    steps = []
    for turn in range(recipe.passes):
        asked = [
            row[0] if (turn + i) % 2 == 0 or len(row) == 1 else dice.choice(row[1:]) for i, row in enumerate(wordings)
        ]
        dice.shuffle(asked)
        for start in range(0, len(asked), recipe.batch):
            batch = asked[start : start + recipe.batch]
            steps.append((batch, dice.sample(own, min(len(own), len(batch)))))
    return steps


def _own_replies(model, others: Sequence[str], job) -> list[Lesson]:
    """What the model says to other questions, cut after some tokens."""
    prompts = [model.prompt_ids([{"role": "user", "content": text}]) for text in others]
    order = sorted(range(len(others)), key=lambda i: len(prompts[i]))
    found = []
    for start in range(0, len(order), 32):
        job.progress("Hearing what it says to other questions", start, len(order))
        rows = order[start : start + 32]
        said = generate(model, [prompts[i] for i in rows], max_new_tokens=REPLY_TOKENS, job=job)
        found += [lesson(model, others[i], r.text, r.ended == "end") for i, r in zip(rows, said, strict=True) if r.text]
        job.breathe()
    return found


def _answered(model, questions: Sequence[Question], job, tokens: int = REPLY_TOKENS) -> float:
    """Mean ROUGE-1 recall of the answers, greedily."""
    prompts = [model.prompt_ids([{"role": "user", "content": q.question}]) for q in questions]
    said = generate(model, prompts, max_new_tokens=tokens, job=job)
    return sum(rouge1_recall(r.text, q.answer) for r, q in zip(said, questions, strict=True)) / max(1, len(questions))


def _check_memory(model, first: int) -> None:
    """The trained weights four times: themselves, the gradient, and Adam's two moments."""
    blocks = blocks_of(model.hf, model.layout)[first:]
    needed = 4 * 4 * sum(p.numel() for block in blocks for p in block.parameters())
    free = memory_available(str(model.device))
    if needed > free:
        raise Failed(
            f"To teach this model takes about {gibibytes(needed)} of memory, and {gibibytes(free)} are free; "
            "load a smaller model."
        )
