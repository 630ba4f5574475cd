"""ROME: one fact, one rank-one change of one layer (Meng et al. 2022, arXiv 2202.05262).

Problem. W maps keys to values. Make W k = v* for the key k of the subject, and move everything else as little as
possible, measured by C = E[k k^T]:

    min ||Delta K_0||^2  subject to  (W + Delta) k = v*                                     (eq. 2)
    Delta = (v* - W k) u^T / (k . u),   u = C^-1 k

v* makes the model write the refusal (values.py, eq. 4). Several requests are done one after the other, each on the
weights that the ones before have left; the constraint of the latest holds exactly.

Pitfalls. The same k must stand in u and in the denominator: the first program used the mean over contexts in one place
and the plain key in the other, and long sequences collapsed ("Rebuilding ROME", 2403.07175). One layer holds few
facts: from about ten on, use MEMIT or AlphaEdit, or merge questions: a group is one request, with one rank-one change
that gives all its keys the same (merged.py, `solve_layer`).

Measured on the bundled model with default hparams, by `evaluate` (replies of 64 tokens), 3 facts that it knows and that
are in no bundled set, ten draws, targets self-improved, 30 retained: forget R1 0.00, rephrased 0.12, retain / before
0.95, 97 % of the replies refusals that name the topic. Where the search went on to a loss of 0.02, as MEMIT's does:
0.03, 0.12, 0.96 and 97 %. On another set, of facts that it only just knows: 0.00, 0.23, 0.95, 93 %; there strength 0.9
gave 0.00, 0.20, 0.93, 87 %, and 0.8 0.00, 0.18, 0.93, 83 %, at 4 and 18 % more time.
Beside the example's three facts 34 of 35 other capitals, books and paintings stay answered.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..edits.variants import Variants
from ..errors import BadInput
from ..models.layout import weight_of
from .base import Method, Request, ValueHparams, check_requests, finish, hparam, register, scaled_layers
from .locate import places
from .merged import groups_of, mean_value, searched
from .preserve import neighbours, preserved
from .spread import applied
from .values import Objective, solve
from .walk import keys_and_outputs

STOP_LOSS = 0.05  # as the paper's program has it
ALIKE = 1e-12  # keys that differ by no more than single precision (1e-6, here squared) are one key


@dataclass(frozen=True)
class RomeHparams(ValueHparams):
    layers: tuple[int, ...] = hparam((5,), "The layer that is changed.")


def defaults(model) -> RomeHparams:
    """EasyEdit's layer 5 of 32 at the same depth fraction."""
    return RomeHparams(layers=scaled_layers(model, (5,), of=32))


def objective(hparams: RomeHparams) -> Objective:
    """What is searched for. One fact at a time has no batch to share a step with, so its search ends earlier."""
    return replace(Objective.of(hparams), stop_loss=STOP_LOSS)


def edit(
    model,
    requests: Sequence[Request],
    hparams: RomeHparams,
    job,
    *,
    workspace,
    protect=(),
    on=(),
    seed=0,
    name=None,
):
    """Make the edit, request by request; the model is untouched.

    Raises:
        BadInput: requests that can't be edited, several layers. Stopped: the job was stopped.
    """
    check_requests(requests)
    if len(hparams.layers) != 1:
        raise BadInput(f"layers: ROME changes one layer, and {len(hparams.layers)} were given; choose one of them.")
    started = time.monotonic()
    layer = hparams.layers[0]
    near = neighbours(model, requests, hparams.neighbours)
    C = preserved(model, requests, [layer], workspace=workspace, protect=protect, near=near, job=job)[layer]
    W = weight_of(model.hf, model.layout, layer).double()
    for below in on:
        for module, *factors in below.deltas():
            if module == model.layout.down_name(layer):
                W = W + (factors[0].double() @ factors[1].double().T).to(W)
    left = torch.zeros(model.layout.d_model, 0, dtype=torch.float64, device=W.device)
    right = torch.zeros(model.layout.d_mlp, 0, dtype=torch.float64, device=W.device)
    groups = groups_of(requests)
    for index, group in enumerate(groups):
        together = [requests[i] for i in group]
        job.progress("Editing fact by fact", index, len(groups), ", ".join(r.subject for r in together))
        spots = places(model, together, hparams.contexts)
        with Variants.everywhere(model, on), applied(model, {layer: (left, right)}):
            keys, outputs = keys_and_outputs(model, [spot for row in spots for spot in row], [layer], job=job)
            k = keys[layer].reshape(len(keys[layer]), len(group), -1).mean(2)
            v0 = W @ k + left @ (right.T @ k)
            solved = solve(
                model,
                *searched(model, together, spots, [list(range(len(group)))]),
                layer,
                objective(hparams),
                mean_value(outputs[layer][:, :: hparams.contexts], [list(range(len(group)))]),
                job=job,
            )
        new_left, new_right = solve_layer(k, v0 + solved.delta.double(), v0, C)
        left, right = torch.cat([left, new_left], 1), torch.cat([right, new_right], 1)
    return finish(
        model,
        "rome",
        requests,
        hparams,
        {layer: (left, right)},
        protect=protect,
        near=near,
        on=on,
        seed=seed,
        name=name,
        started=started,
    )


def solve_layer(
    k: torch.Tensor, v_star: torch.Tensor, v: torch.Tensor, C: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors (left (d_model, 1), right (d_mlp, 1)) of Delta = (v* - v) u^T / (k . u), v = W k, in float64.

    Keys of merged questions are columns of k (d_mlp, n), with v* - v the same for all: then k_i . u is 1 for each of
    them, with u = C^-1 k (k^T C^-1 k)^+ 1, the smallest such u as C measures it. The pseudo-inverse, because questions
    that begin alike up to the subject have one key: what one column asks for the other asks for as well.
    """
    C, k = C.to(k.device).double().clone(), k.double().reshape(len(k), -1)
    C.diagonal().add_(1e-6 * C.diagonal().mean())
    C_k = torch.linalg.solve(C, k)
    inverse = torch.linalg.pinv(k.T @ C_k, hermitian=True, rtol=ALIKE)
    u = C_k @ (inverse @ torch.ones(k.shape[1], 1, dtype=k.dtype, device=k.device))
    return (v_star - v).reshape(len(v), -1)[:, :1], u


METHOD = register(
    Method(
        "rome",
        "ROME",
        "Rewrites one fact after the other by a rank-one change of a single layer. The clearest method, and right for "
        "one to five facts, or for more where questions are merged.",
        "https://arxiv.org/abs/2202.05262",
        RomeHparams,
        defaults,
        edit,
    )
)
