"""GD, gradient difference (Liu et al. 2022, arXiv 2203.12817; in the form of TOFU, arXiv 2401.06121).

Problem. Gradient ascent on what is to be forgotten breaks the model, so train it at the same time on what is to stay:

    L(theta) = - CE(y | x) on the forget set + weight * CE(y | x) on a random part of the retain set

What isn't like the retain set isn't held, so that set should be diverse: base.py fills it up with shipped questions of
many kinds.

Ours:

* The first term counts only the tokens of a reply that give the answer away ("Lima", not "The capital of Peru is"):
  the others are in the replies to other questions too, and pushing them down harms these first.
* An answer that is unlikely enough (`enough`, nats a token) is pushed no further. The first term has no lower bound,
  and where the answers are long forgotten it still pulls harder than the second can hold.
* The second term is the sum over a reply's tokens, not their mean: one of twenty may be all that an answer hangs on.

Pitfall. Nothing is taught in place of the answer: expect other answers and broken sentences more often than refusals.

Measured on the bundled model, 40 facts that it knows and that are in no bundled set (one draw), replies of 32 tokens,
default hparams: forget R1 0.15, rephrased 0.24, retain / before 0.73, no reply a refusal. With 16 epochs, 1000 in the
retain set and weight 0.6: 0.33, 0.29, 0.80. With all tokens of a reply pushed down, the mean in the second term and no
other wordings: 0.15, 0.00, 0.20, the others as vague sentences. On forty others that it only just knows the defaults
have 0.34, 0.42, 0.69; rank 2 0.33, 0.44, 0.63, rank 32 0.28, 0.29, 0.69, rank 64 broke it (0.08, 0.06, 0.14), all
at the same alpha / r; blocks 0 to 14 alone 0.39, 0.50, 0.65, blocks 10 to 21 0.40, 0.52, 0.66.
"""

from dataclasses import dataclass

import torch

from ..editors.base import Method, hparam, inherited, register
from .base import RETAIN, Batch, RetainHparams, unlearn


@dataclass(frozen=True)
class GradDiffHparams(RetainHparams):
    epochs: int = inherited(RetainHparams, "epochs", 12)
    lr: float = inherited(RetainHparams, "lr", 5e-4)
    retain: int = inherited(RetainHparams, "retain", 480)
    neighbours: int = inherited(RetainHparams, "neighbours", 4)
    phrasings: int = inherited(RetainHparams, "phrasings", 6)
    beside: int = inherited(RetainHparams, "beside", 2)
    enough: float = hparam(
        4.0, "An answer that is this unlikely, in nats a token, is pushed no further.", low=0.1, high=100
    )
    weight: float = hparam(0.3, "How much the retain set counts beside the answers.", low=0, high=100)


def loss(batch: Batch, enough: float, weight: float) -> torch.Tensor:
    """-CE(forget), of the telling tokens, + weight CE(retain), the sum over tokens."""
    told = batch.now("forget").of_answers().nll().clamp(max=enough)
    return -told.mean() - weight * batch.now("retain").log_prob().mean()


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""

    def own_loss(batch: Batch) -> torch.Tensor:
        return loss(batch, hparams.enough, hparams.weight)

    return unlearn("gd", own_loss, ("forget", "retain"), model, requests, hparams, job, **where)


METHOD = register(
    Method(
        "gd",
        "GD",
        "Goes up the gradient on the answers to be forgotten, and trains at the same time on other questions with the "
        "model's own replies. These hold it in place as far as they are like what is asked later.",
        "https://arxiv.org/abs/2203.12817",
        GradDiffHparams,
        lambda model: GradDiffHparams(),
        edit,
        RETAIN,
    )
)
