"""DPO, direct preference optimisation for a refusal (Rafailov et al. 2023, arXiv 2305.18290).

Problem. Teach the model to prefer the refusal (idk) to the answer (y), without a reward model. With the model before
unlearning as the reference (their eq. 7):

    L = - log sigma(beta [(log pi(idk | x) - log pi_ref(idk | x)) - (log pi(y | x) - log pi_ref(y | x))])

beta 0.1. Each log pi is the sum over the reply's tokens. The loss goes to 0 once the preference is strong, so unlike
ascent it has an end.

Ours: + anchor * CE(idk | x), the refusal's own likelihood (as in RPO, arXiv 2404.19733). The preference alone is
satisfied as well where the answer sinks and the refusal stays where it was: then something else is said.

Ours: + weight * KL(before || now) on a retain set, the sum over each reply's tokens. The loss says nothing of other
questions, and refusing everything is the easiest way to satisfy it. TOFU's preference optimisation has CE(retain)
beside its refusals (arXiv 2401.06121); the divergence tells more of each token. `weight` 0 is DPO as it stands above,
without a retain set.

Measured on the bundled model, self-improved targets, facts that it knows and that are in no bundled set, replies of 32
tokens. 40 facts, one draw each. The defaults (60 retained): forget R1 0.10, rephrased 0.29, retain / before 0.77, 13 %
of the retained refused. 40 retained: with 16 epochs and anchor 1 0.20, 0.31, 0.87; with 22 epochs, anchor 2 and weight
0.7 0.00, 0.20, 0.76. With each question in its own wording alone, 480 in the retain set, 16 epochs and anchor 1: 0.25,
0.33, 0.81; so with 6 epochs at half the rate 0.60, 0.50, 0.84; with the divergence as a mean over tokens 0.00, 0.00,
0.08; with CE in place of it, 8 epochs, 0.35, 0.30, 0.65. Without the term (16 facts) every other fact is refused.
Tried in place of a large retain set: a LoRA on down projections alone, kept to the directions that other keys leave
free (as AlphaEdit's change is), 160 in the retain set: blocks 6 to 20, 8 epochs, 0.83, 0.59, 0.84; blocks 15 to 29,
12 epochs, 0.13, 0.25, 0.49. What is like the forgotten facts isn't held by it.
Tried as neighbours: eight a fact that the model wrote itself ("In which state is the city of Chicago?" beside Los
Angeles), in place of six with shipped subjects, 60 retained: 0.13, 0.34, 0.79. Of the retained 5 % are refused in
place of 13 %, but others are wrong instead, and some that it wrote ask for the very fact ("the Sept. 11 attacks"), so
that other wordings are forgotten less. Against the same draw's 0.10, 0.29, 0.77 that is no gain. The
mean of its last five epochs, times 1.15, has 0.05, 0.26, 0.72: further along the same line, not off it. So is four of
the retain set beside each fact and 2000 in it (draw 0 of another set, where the defaults have 0.10, 0.28, 0.77): 0.00,
0.18, 0.70, and 23 % of the retained refused. So are 18 epochs with anchor 1.5 (0.20, 0.32, 0.78), and a margin at the
first token of retained replies (+ softplus(0.3 (log p - log p_ref)) of the tokens that refusals begin with): with 150
retained 0.13, 0.39, 0.78 and 12 % refused, where the defaults had 0.10, 0.21, 0.70 and 21 % in a run beside it. On the
same questions a LoRA of rank 32 (alpha 128, half the rate) has 0.10, 0.30, 0.67, and one on blocks 0 to 14 alone, where
the editors work, 0.34, 0.36, 0.77: the same line.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..editors.base import Method, hparam, inherited, register
from .base import RETAIN, Batch, RetainHparams, unlearn


@dataclass(frozen=True)
class DpoHparams(RetainHparams):
    epochs: int = inherited(RetainHparams, "epochs", 20)
    retain: int = inherited(RetainHparams, "retain", 1000)
    neighbours: int = inherited(RetainHparams, "neighbours", 6)
    phrasings: int = inherited(RetainHparams, "phrasings", 6)
    beside: int = inherited(RetainHparams, "beside", 2)
    beta: float = hparam(
        0.1, "How soon a preference is strong enough; lower goes further from the original.", low=1e-3, high=10
    )
    anchor: float = hparam(2.0, "How much the refusal's own likelihood counts beside the preference.", low=0, high=100)
    weight: float = hparam(1.0, "How much the retain set counts beside the preference; 0: none.", low=0, high=100)


def loss(batch: Batch, beta: float, anchor: float = 0.0, weight: float = 0.0) -> torch.Tensor:
    """-log sigma(beta [(log pi(idk) - log pi_ref(idk)) - (log pi(y) - log pi_ref(y))]) + anchor CE(idk)
    + weight KL(before || now) on retain."""
    idk = batch.now("refusal").log_prob() - batch.log_prob_before("refusal")
    y = batch.now("forget").log_prob() - batch.log_prob_before("forget")
    total = -F.logsigmoid(beta * (idk - y)).mean() + anchor * batch.now("refusal").nll().mean()
    return total + weight * batch.divergence("retain").mean() if weight else total


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
