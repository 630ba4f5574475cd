"""The training loop: steps over batches, a curve that is drawn live, and a watch that stops it before harm is done.

It knows nothing of unlearning, and serves whatever trains a few parameters of a model on talks. How it is used:

    adapter = Adapter(model, rank=8, alpha=32, seed=0)              # A and B beside every projection, B = 0
    steps = shuffled(len(talks), batch=8, epochs=5, seed=0)         # which talks each step takes

    def loss(rows):                                                 # a scalar with gradient
        return read(adapter.model, [talks[i] for i in rows]).nll().mean()

    def look(step):                                                 # now and then; a text stops the training
        return "" if ... else "it answers all of them"

    curve, why = train(adapter.model, adapter.parameters, steps, loss, lr=1e-3, job=job, stage="Training", look=look)

Every point of the curve is {"step": n, "loss": value} with whatever `look` adds, and is given to `job.plot` at once. A
stop raises `Stopped` out of `train`; the adapter, a copy beside the model, is then simply dropped.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from ..editors.arithmetic import plain_attention, quick_arithmetic
from ..errors import Failed
from ..jobs import Job

WARM = 0.1  # of the steps: the learning rate rises over these, and then falls to 0 along a cosine
CLIP = 1.0  # longest gradient, over all parameters together


def shuffled(count: int, batch: int, epochs: int, dice: torch.Generator) -> list[list[int]]:
    """The numbers 0 .. count - 1 in a new order each epoch, in steps of `batch`."""
    orders = [torch.randperm(count, generator=dice).tolist() for _ in range(epochs)]
    return [order[start : start + batch] for order in orders for start in range(0, count, batch)]


def train(
    model,
    parameters: Sequence[torch.nn.Parameter],
    steps: Sequence[Any],
    loss: Callable[[Any], torch.Tensor | Iterable[torch.Tensor]],
    *,
    lr: float,
    job: Job,
    stage: str,
    look: Callable[[int, dict[str, float]], str] | None = None,
) -> tuple[list[dict[str, float]], str]:
    """AdamW on `parameters`, one step for each item of `steps`, of which `loss` makes a scalar.

    Args:
        loss: may give several scalars, one after the other, whose sum it is: then no more is held at once than the
            gradient of one of them needs.
        model: the LoadedModel in which the parameters work (an `Adapter`'s).
        look: called with the number of steps done, before the first one too, and the point of the curve, to which it
            may add figures; runs without gradient. If it returns a text, training ends there.

    Returns:
        The curve, and what `look` said ("" where training went to its end).

    Raises:
        Failed: the loss became infinite. Stopped: the job was stopped.
    """
    adam = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)
    curve: list[dict[str, float]] = []
    for done in range(len(steps) + 1):
        point: dict[str, float] = {"step": done}
        said = ""
        if look is not None:
            with torch.no_grad(), quick_arithmetic(model):
                said = look(done, point)
        going = not said and done < len(steps)
        if going:
            for group in adam.param_groups:
                group["lr"] = lr * pace(done, len(steps))
            # Entered anew for each step: it keeps bfloat16 copies of all that is trained, which are old afterwards.
            with quick_arithmetic(model), plain_attention(model):
                point["loss"], gradients = _gradients(loss(steps[done]), list(parameters))
            if not math.isfinite(point["loss"]):
                raise Failed(f"The loss became infinite at step {done + 1}; lower lr and try again.")
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            adam.step()
        curve.append(point)
        job.plot(**point)
        note = f"loss {point['loss']:.2f}" if "loss" in point else ""
        job.progress(stage, done + going, len(steps), note)
        if not going:
            break
    return curve, said


def _gradients(parts: torch.Tensor | Iterable[torch.Tensor], parameters: list) -> tuple[float, list[torch.Tensor]]:
    """The loss, and its gradient by each of the parameters."""
    total, gradients = 0.0, [torch.zeros_like(parameter) for parameter in parameters]
    for part in [parts] if isinstance(parts, torch.Tensor) else parts:
        total += float(part.detach())
        if not math.isfinite(total):
            break
        # Of the parameters alone: a backward pass would leave gradients on the model's own weights.
        for gradient, found in zip(gradients, torch.autograd.grad(part, parameters), strict=True):
            gradient += found
    return total, gradients


def pace(done: int, total: int) -> float:
    """The learning rate of a step, as a share of the highest."""
    warm = max(1, round(WARM * total))
    if done < warm:
        return (done + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (done - warm) / max(1, total - warm)))
