"""GA, gradient ascent (Jang et al. 2023, arXiv 2210.01504).

Problem. Undo what training did: where it descended on the loss of a text, ascend.

    L(theta) = - CE(y | x) = E over the forget set of mean_t log p_theta(y_t | x, y_<t)        (their eq. 2)

minimised, so the answers become ever less likely.

Pitfalls. The loss has no lower bound, and nothing holds other answers in place: once the forgotten answers are
unlikely the cheapest way to make them more so is to make all text unlikely. The early stop of base.py ends it there. It
teaches no refusal, so what the model says instead is whatever is left.

Measured on the bundled model with 40 facts (one draw, 12 questions of each kind asked): after 8 steps forget and
rephrased R1 0.00, but of the other facts 0.03 are left, and no reply is a refusal: each is about "the concept of ..."
(held replies: 0.82 nats a token before, 4.90 after). That is the method's own failure, and it is told with the edit.
"""

from dataclasses import dataclass

import torch

from ..editors.base import Method, register
from .base import Batch, LoraHparams, unlearn


@dataclass(frozen=True)
class GradAscentHparams(LoraHparams):
    pass


def loss(batch: Batch) -> torch.Tensor:
    """-CE(forget)."""
    return -batch.now("forget").nll().mean()


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""
    return unlearn("ga", loss, ("forget",), model, requests, hparams, job, **where)


METHOD = register(
    Method(
        "ga",
        "GA",
        "Trains a LoRA to make the answers unlikely, by going up the gradient that training went down. Nothing holds "
        "the rest of the model in place, so it breaks soon.",
        "https://arxiv.org/abs/2210.01504",
        GradAscentHparams,
        lambda model: GradAscentHparams(),
        edit,
        "Uses no retain set: nothing is trained to stay. Facts that must stay are only flagged in the scores.",
    )
)
