"""GD, gradient difference (Liu et al. 2022, arXiv 2203.12817; in the form of TOFU, arXiv 2401.06121).

Problem. Gradient ascent on what is to be forgotten breaks the model, so train it at the same time on what is to stay:

    L(theta) = - CE(y | x) on the forget set + CE(y | x) on a random part of the retain set

Each fact meets one question of the retain set in its step. What isn't like the retain set isn't held, so that set
should be diverse: base.py fills it up with shipped questions of many kinds.

Ours: an answer that is unlikely enough (`enough`, nats a token) is pushed no further. The first term has no lower
bound, and where the answers are long forgotten it still pulls harder than the second can hold.

Pitfall. Nothing is taught in place of the answer: expect other answers and broken sentences more often than refusals.

Measured on the bundled model with 40 facts (one draw, 20 questions of each kind asked), lr 1e-3, `enough` 4 and a
retain set without neighbours: forget R1 0.15, rephrased 0.00, but of the other facts only 0.20 are left, as vague
sentences (held replies: 0.82 nats a token before, 1.40 at most). So the defaults push less far, at half the rate, and
with neighbours: 10 facts (one draw, 10 questions of each kind), forget 0.20, rephrased 0.30, others 0.70.
"""

from dataclasses import dataclass

import torch

from ..editors.base import Method, hparam, register
from .base import RETAIN, Batch, RetainHparams, unlearn


@dataclass(frozen=True)
class GradDiffHparams(RetainHparams):
    epochs: int = hparam(6, "How often each fact is met in training.", low=1, high=200)
    lr: float = hparam(
        5e-4, "Highest learning rate (AdamW; rises at first, then falls along a cosine).", low=1e-7, high=1
    )
    enough: float = hparam(
        2.0, "An answer that is this unlikely, in nats a token, is pushed no further.", low=0.1, high=100
    )


def loss(batch: Batch, enough: float) -> torch.Tensor:
    """-CE(forget) + CE(retain)."""
    return -batch.now("forget").nll().clamp(max=enough).mean() + batch.now("retain").nll().mean()


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""
    return unlearn(
        "gd", lambda batch: loss(batch, hparams.enough), ("forget", "retain"), model, requests, hparams, job, **where
    )


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
