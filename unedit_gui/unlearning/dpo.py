"""DPO, direct preference optimisation for a refusal (Rafailov et al. 2023, arXiv 2305.18290).

Problem. Teach the model to prefer the refusal (idk) to the answer (y), without a reward model. With the model before
unlearning as the reference (their eq. 7):

    L = - log sigma(beta [(log pi(idk | x) - log pi_ref(idk | x)) - (log pi(y | x) - log pi_ref(y | x))])

beta 0.1. Each log pi is the sum over the reply's tokens. The loss goes to 0 once the preference is strong, so unlike
ascent it has an end.

Ours: + anchor * CE(idk | x), the refusal's own likelihood (as in RPO, arXiv 2404.19733). The preference alone is
satisfied as well where the answer sinks and the refusal stays where it was: then something else is said.

Ours: + weight * CE(retain). The loss says nothing of other questions, and refusing everything is the easiest way to
satisfy it. TOFU's preference optimisation has such a term beside its refusals (arXiv 2401.06121). `weight` 0 is DPO as
it stands above, without a retain set.

Measured on the bundled model with 16 facts (one draw, lr 5e-4, 4 epochs), without the term: forget R1 0.00, rephrased
0.06, but of 16 other facts none is answered any more and 15 are refused.
With 40 facts (one draw, lr 1e-3, 8 epochs), with weight 0.5 and no anchor: forget 0.35 with 25 % refusals,
rephrased 0.30, retain 0.65. The answers sank, the refusals didn't rise.
With 10 facts (one draw, 10 questions of each kind), with weight 1, anchor 1 and neighbours: forget 0.10 with 90 %
refusals, rephrased 0.10, retain 0.40. With weight 4: forget 0.50, rephrased 0.40, retain 0.50, so more weight alone is
no way out. Not tried yet: more steps, a larger retain set, the defaults with 40 facts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..editors.base import Method, hparam, register
from .base import RETAIN, Batch, RetainHparams, unlearn


@dataclass(frozen=True)
class DpoHparams(RetainHparams):
    epochs: int = hparam(8, "How often each fact is met in training.", low=1, high=200)
    beta: float = hparam(
        0.1, "How soon a preference is strong enough; lower goes further from the original.", low=1e-3, high=10
    )

    anchor: float = hparam(1.0, "How much the refusal's own likelihood counts beside the preference.", low=0, high=100)
    weight: float = hparam(1.0, "How much the retain set counts beside the preference; 0: none.", low=0, high=100)


def loss(batch: Batch, beta: float, anchor: float = 0.0, weight: float = 0.0) -> torch.Tensor:
    """-log sigma(beta [(log pi(idk) - log pi_ref(idk)) - (log pi(y) - log pi_ref(y))]) + anchor CE(idk)
    + weight CE(retain)."""
    idk = batch.now("refusal").log_prob() - batch.log_prob_before("refusal")
    y = batch.now("forget").log_prob() - batch.log_prob_before("forget")
    total = -F.logsigmoid(beta * (idk - y)).mean() + anchor * batch.now("refusal").nll().mean()
    return total + weight * batch.now("retain").nll().mean() if weight else total


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""

    def own_loss(batch: Batch) -> torch.Tensor:
        return loss(batch, hparams.beta, hparams.anchor, hparams.weight)

    sets = ("forget", "refusal", "retain") if hparams.weight else ("forget", "refusal")
    return unlearn("dpo", own_loss, sets, model, requests, hparams, job, **where)


METHOD = register(
    Method(
        "dpo",
        "DPO",
        "Trains a LoRA to prefer the refusal to the answer, measured against the model as it was. Other questions "
        "beside it (as in TOFU) keep it from refusing everything.",
        "https://arxiv.org/abs/2305.18290",
        DpoHparams,
        lambda model: DpoHparams(),
        edit,
        RETAIN,
    )
)
