"""GRACE: a codebook of new values beside one layer (Hartvigsen et al. 2023, arXiv 2211.11031).

Problem. Change what a model says to some inputs and nothing else, edit after edit. GRACE leaves every weight as it
is and stores, for one layer l, keys with values and radii. With h = the layer's input at the last token of the
prompt and i = argmin over i of ||h - k_i||,

    h^l = v_i  if ||h - k_i|| <= eps_i,   else the layer's own output                          (eq. 1)

For each new edit (algorithm 1), with the nearest key at distance d and its label y_i:

    add      d > eps_i + eps_init, or no key yet:  new key h with radius eps_init
    expand   the same label:                       eps_i := max(eps_i, d)
    split    another label:                        new key h; both radii := d / 2

and v is found by gradient descent on the loss of the target behind the prompt.

Here l is the MLP's down projection W: its input (d_mlp) is the key, its output (d_model) the value; v starts at W k.
All values are searched at once by values.py, of which GRACE is the case that acts at the prompt's last token in one
context: only the layers above l and the positions from there on are run. A value acts once, in the prompt, so
nothing is added where the target names the subject. eps_init is given in typical distances
between unrelated questions (those of statistics_questions.csv), so that one number fits every model. Merged questions
have one label, and each a key of its own: that of the merged prompt would meet nothing that is asked.

Pitfalls. The last token is that of the whole chat prompt: a template token, at which a deep layer carries the
question. EasyEdit miscounts it where padding and end of turn are one token, and its edit never acts. It also
compares labels by the mean of padded token ids, so equal refusals count as different; here the texts are compared.
The target ends with the end of the turn. An expanded key keeps its value, as in the paper: its label is the same.

Measured on the bundled model. The key at layer 25 tells questions apart (at layer 20 the template token knows too
little): among 355 known facts the nearest other question is nearer than 0.2 typical distances for 1 in 100 and than
0.3 for 10 in 100, a rephrasing nearer than 0.26 for none of 120 and than 0.41 for 10 in 100. So no radius catches
rephrasings and leaves other questions alone, and the default of 0.2 leaves them alone. With it and default hparams,
self-improved targets: 10 facts, three draws, and 40 facts, one draw: forget R1 0.00, every reply its very target,
rephrased as before, retain / before 1.00. A first step of 1.0 (the paper's rate, in other units) overshoots: 7 of
10; 0.3 and 0.1 reach 10 of 10."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..edits.codebook import distances
from ..edits.edit import CODEBOOK
from ..edits.variants import Variants
from ..errors import BadInput
from ..models.layout import down_of
from .base import Hparams, Method, Request, check_protected, check_requests, finished, hparam, register, scaled_layers
from .locate import Place
from .preserve import statistics_questions
from .values import Objective, solve
from .walk import keys_and_outputs

_SAMPLE = 48  # shipped questions that the typical distance is taken from


@dataclass(frozen=True)
class GraceHparams(Hparams):
    layers: tuple[int, ...] = hparam((25,), "The layer that the codebook stands at.")
    eps: float = hparam(
        0.2,
        "Radius of a new key, in typical distances between unrelated questions: larger catches more wordings, and more "
        "other questions.",
        low=0.0,
        high=2.0,
    )
    steps: int = hparam(50, "Optimisation steps for each new value.", low=1, high=500, advanced=True)
    lr: float = hparam(
        0.3, "First step of that optimisation, in lengths of the original vector.", low=1e-6, high=10, advanced=True
    )


@dataclass
class Entry:
    """One key of the codebook while it is built; `facts` are the requests that it answers."""

    key: torch.Tensor
    radius: float
    label: str
    facts: list[int]


def defaults(model) -> GraceHparams:
    """EasyEdit's layer 27 of 32 at the same depth fraction."""
    return GraceHparams(layers=scaled_layers(model, (27,), of=32))


def edit(
    model,
    requests: Sequence[Request],
    hparams: GraceHparams,
    job,
    *,
    workspace,
    protect=(),
    on=(),
    seed=0,
    name=None,
):
    """Make the edit; the model is untouched.

    Raises:
        BadInput: requests that can't be edited, several layers. Stopped: the job was stopped.
    """
    check_requests(requests)
    check_protected(requests, protect)
    if len(hparams.layers) != 1:
        raise BadInput(f"layers: GRACE works at one layer, and {len(hparams.layers)} were given; choose one of them.")
    started, layer = time.monotonic(), hparams.layers[0]
    spots = [last_token(model, request.question) for request in requests]
    with Variants.everywhere(model, on):
        job.progress("Reading the keys", 0, 2)
        typical = typical_distance(model, layer, job)
        job.progress("Reading the keys", 1, 2)
        keys, outputs = keys_and_outputs(model, spots, [layer], job=job)
        keys, h = keys[layer].T.float(), outputs[layer]
        book = codebook(keys, [request.target_new for request in requests], hparams.eps * typical)
        first = [entry.facts[0] for entry in book]
        with torch.no_grad():
            said = down_of(model.hf, model.layout, layer)(keys[first].to(model.dtype)).float()
        solved = solve(
            model,
            [[spots[i]] for i in first],
            [requests[i].target_new for i in first],
            [requests[i].subject for i in first],
            layer,
            Objective(
                hparams.steps, hparams.lr, weight_decay=0.0, clamp=CLAMP, kl_factor=0.0, hard=math.inf, echoes=False
            ),
            h[:, first],
            job=job,
        )
    module = model.layout.down_name(layer)
    tensors = {
        f"{module}.keys": torch.stack([entry.key for entry in book]),
        f"{module}.values": said + solved.delta.T.to(said),
        f"{module}.radii": torch.tensor([entry.radius for entry in book]),
    }
    return finished(
        model,
        "grace",
        CODEBOOK,
        requests,
        hparams,
        tensors,
        layers=[layer],
        protect=protect,
        on=on,
        seed=seed,
        name=name,
        started=started,
        extra={
            "entries": [{"label": entry.label, "facts": entry.facts} for entry in book],
            "typical_distance": round(typical, 4),
        },
    )


CLAMP = 20.0  # no limit in the paper; a value that runs away is stopped here


def last_token(model, question: str) -> Place:
    """The edit position: the last token of the chat prompt."""
    ids = list(model.prompt_ids([{"role": "user", "content": question}]))
    return Place(ids, len(ids) - 1)


def typical_distance(model, layer: int, job=None) -> float:
    """The median distance between the keys of unrelated questions, with whatever edits are active."""
    shipped = statistics_questions()
    sample = shipped[:: max(1, len(shipped) // _SAMPLE)][:_SAMPLE]
    keys, _ = keys_and_outputs(model, [last_token(model, q) for q, _ in sample], [layer], job=job)
    apart = distances(keys[layer].T, keys[layer].T)
    apart = apart[~torch.eye(len(apart), dtype=torch.bool, device=apart.device)]
    return float(apart.median()) if len(apart) else float(keys[layer].norm())


def codebook(keys: torch.Tensor, labels: Sequence[str], eps_init: float) -> list[Entry]:
    """Algorithm 1 on keys (n, d_mlp) in their order: add, expand or split."""
    book: list[Entry] = []
    for i, (key, label) in enumerate(zip(keys, labels, strict=True)):
        d, nearest = min(((float((key - entry.key).norm()), j) for j, entry in enumerate(book)), default=(0.0, -1))
        if nearest < 0 or d > book[nearest].radius + eps_init:
            book.append(Entry(key, eps_init, label, [i]))
        elif book[nearest].label == label:
            book[nearest].radius = max(book[nearest].radius, d)
            book[nearest].facts.append(i)
        else:
            book[nearest].radius = min(book[nearest].radius, d / 2)
            book.append(Entry(key, d / 2, label, [i]))
    return book


METHOD = register(
    Method(
        "grace",
        "GRACE",
        "Keeps a codebook beside one layer: where a question is as good as one of its keys, the value is put in, "
        "else the untouched weights answer. The safest for other answers, but it knows the exact wording only.",
        "https://arxiv.org/abs/2211.11031",
        GraceHparams,
        defaults,
        edit,
    )
)
