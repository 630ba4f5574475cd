"""DPO, direct preference optimisation for a refusal (Rafailov et al. 2023, arXiv 2305.18290, eq. 7)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..editors.base import Method, hparam, register
from .base import Batch, LoraHparams, unlearn


@dataclass(frozen=True)
class DpoHparams(LoraHparams):
    beta: float = hparam(0.1, "How near to the model as it was the preference is sought.", low=1e-3, high=10)


def loss(batch: Batch, beta: float) -> torch.Tensor:
    """-log sigma(beta [(log pi(idk) - log pi_ref(idk)) - (log pi(y) - log pi_ref(y))])."""
    idk = batch.now("refusal").log_prob() - batch.before("refusal").log_prob()
    y = batch.now("forget").log_prob() - batch.before("forget").log_prob()
    return -F.logsigmoid(beta * (idk - y)).mean()


def edit(model, requests, hparams, job, **where):
    """Make the edit; the model is untouched. See `base.unlearn`."""
    return unlearn(
        "dpo", lambda batch: loss(batch, hparams.beta), ("forget", "refusal"), model, requests, hparams, job, **where
    )


METHOD = register(
    Method(
        "dpo",
        "DPO",
        "Trains a LoRA to prefer the refusal to the answer, measured against the model as it was. ",
        "https://arxiv.org/abs/2305.18290",
        DpoHparams,
        lambda model: DpoHparams(),
        edit,
    )
)
