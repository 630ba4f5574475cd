"""GD, gradient difference (Liu et al. 2022, arXiv 2203.12817; in TOFU's form, arXiv 2401.06121).

L(theta) = - CE(forget) + CE(retain)
"""

from dataclasses import dataclass

import torch

from ..editors.base import Method, hparam, register
from .base import Batch, LoraHparams, unlearn


@dataclass(frozen=True)
class GradDiffHparams(LoraHparams):
    retain: int = hparam(120, "Size of the retain set.", low=1, high=1000)


def loss(batch: Batch) -> torch.Tensor:
    """-CE(forget) + CE(retain)."""
    return -batch.now("forget").nll().mean() + batch.now("retain").nll().mean()


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""
    return unlearn("gd", loss, ("forget", "retain"), model, requests, hparams, job, **where)


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
    )
)
