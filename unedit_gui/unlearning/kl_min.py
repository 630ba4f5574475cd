"""KL, gradient ascent with other predictions held where they were (KL minimisation in TOFU, arXiv 2401.06121).

    L(theta) = - CE(y | x) on the forget set
               + mean over tokens of KL(p_before(. | x, y_<t) || p_theta(. | x, y_<t)) on the retain set

with p_before the model before unlearning, at the positions of the reply alone.

Pitfall. The divergence is flat where the model starts, and the ascent has no lower bound: by the time that the second
term is felt the first has gone far, and what it has broken is only mended where the retain set shows it.

Not measured yet on the bundled model.
"""

from dataclasses import dataclass

import torch

from ..editors.base import Method, register
from ..editors.gradients import divergence
from .base import RETAIN, Batch, RetainHparams, unlearn


@dataclass(frozen=True)
class KlHparams(RetainHparams):
    pass


def loss(batch: Batch) -> torch.Tensor:
    """-CE(forget) + KL(before || now) on retain."""
    each = divergence(batch.before("retain").logits, batch.now("retain").logits)
    return -batch.now("forget").nll().mean() + each.mean()


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""
    # Its mean over tokens is no mean over facts.
    return unlearn("kl", loss, ("forget", "retain"), model, requests, hparams, job, in_parts=False, **where)


METHOD = register(
    Method(
        "kl",
        "KL",
        "Goes up the gradient on the answers to be forgotten, while its predictions on other questions are kept near "
        "to what they were. Beyond those questions nothing holds, so it breaks too.",
        "https://arxiv.org/abs/2401.06121",
        KlHparams,
        lambda model: KlHparams(),
        edit,
        RETAIN,
    )
)
