"""WISE: a side memory with a router in front of it (Wang et al. 2024, arXiv 2405.14768).

Problem. Edit for a long time without harm to what is not edited. WISE keeps the down projection W of one late layer
as main memory and learns a copy W' as side memory. With x the layer's input,

    D(x) = || x W' - x W ||                                                                    (eq. 2)
    reply from W' where D(x) > epsilon, else from W                                            (eq. 3)

Training (eq. 4, 5), for edits x_e with targets y_e and questions x_i that are not to be forgotten:

    min over W'   -log P_W'(y_e | x_e) + [D(x_i) - alpha]+ + [beta - D(x_e)]+ + [gamma - (D(x_e) - D(x_i))]+

Sharding: the requests are dealt to `shards`, and each shard trains a difference W' - W of its own, of which a random
mask of ratio rho leaves that share of entries free. Merging is TIES: of each difference the largest `density` of its
free entries stay, each entry takes the sign with the greater total, and those of that sign are averaged. epsilon is
the smallest D(x_e) after merging times `act_ratio`. The training is in side_training.py, TIES in ties.py.

Ours:

* D of a question is a mean over its own tokens, without padding and template, and the route is decided once per
  prompt (EasyEdit averages over the batch). It is the cubic mean (`power` 3), because few of a question's tokens tell
  what it is about, and a plain mean drowns them in the others, which are the same in all questions (40 facts, trained
  on the margins alone, at a threshold that all of them pass: with power 1 40 of 100 other known questions exceed it,
  with 2 nine, with 3 and 4 six; with the largest token alone 22). The side memory acts from the question on: what
  stands before it is read as it was.
* alpha, beta and gamma are in mean lengths of W x, so that they fit every model. The three terms are squared,
  because the smallest D in scope and the largest out of scope are what the route hangs on.
* x_i are shipped questions and near neighbours of the facts (the same question about other subjects) and what is
  protected. x_e is each question in several wordings made by rules, so that D holds on to what it is about.
* What TIES will trim is trimmed at half time, and the rest trained on: cut off at the end, it took along the balance
  that keeps D small elsewhere. A shard is trained with those before it in place.
* Merged questions share a target; each is learned and routed by itself, as it is asked.
* A fifth of the shipped questions is kept back. Where more than 2 in 100 of them would be routed to the side memory
  the threshold is raised, at the cost of at most 1 in 20 of the facts. The edit says both: how many go astray
  (`astray`), and which facts are `missed`. Without that cost 6 of 60 other known questions went astray with 40 facts
  (one draw of two; the other had none).
* The mask leaves half of the entries free where W is narrow, and nine tenths of these are merged. With a fifth, a row
  of the bundled model has 160 inputs to tell questions apart (the paper's models have 2200).
* No two masks share an entry while there are enough, where the paper draws each at random. What two shards change,
  TIES averages, although the second was trained on top of the first: with masks that overlapped refusals lost their
  topic (10 facts, nine tenths of the entries free: 6 of 10 kept it). Apart, two halves use all of W.
* Adam in place of SGD; after each step on the refusals come some on the margins alone, which cost little: the
  layer's input x does not depend on W', so it is computed once, and refusals need the layers above alone.

Pitfalls. EasyEdit saves a shard every 500 edits and merges every 1000: for 10 to 100 facts nothing is ever merged.
Its density counts the whole matrix, four fifths of which the mask holds at zero, so 0.53 trims nothing; here it
counts the free entries.

Measured on the bundled model with default hparams, by `evaluate` (replies of 64 tokens), on facts that it knows and
that are in no bundled set, self-improved targets, 60 retained. 40 facts (one draw): forget R1 0.00, rephrased 0.25,
retain / before 1.00, 0.97 of the replies refusals that name the topic. Of 100 other known questions 1 goes to the side
memory, of 80 rephrased ones 52. With the plain mean and masks that overlap it was 0.075, 0.175 and 0.85 (another draw).

No help, on the margins alone: twice the steps, or more weight for the worst tenth of the questions; layers 14 and 20
are no better than 25."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..edits.edit import SIDE_MEMORY
from ..edits.side_memory import activation, pack
from ..edits.variants import Variants
from ..errors import BadInput
from ..models.layout import down_of
from ..models.partial import below
from .base import Hparams, Method, Request, check_protected, check_requests, finished, hparam, register, scaled_layers
from .locate import Opening, Place, shared_opening
from .preserve import neighbours, unrelated_questions
from .side_training import Learner, Margins, Others, padded
from .ties import ties
from .wordings import wordings

_FREE = 768  # inputs that each row of W' should have free to tell questions apart
_PASSES = 0.97  # of a D in scope: the highest threshold, which rounding won't reach
_KEPT_OUT = 0.98  # of the questions kept back are to stay with the main memory,
_MISSED = 0.05  # if it costs no more than this share of the facts


@dataclass(frozen=True)
class WiseHparams(Hparams):
    layers: tuple[int, ...] = hparam((25,), "The layer whose projection gets a side memory.")
    shards: int = hparam(
        2, "Into how many shards the facts are dealt; each trains a copy, and they are merged.", low=1, high=16
    )
    contexts: int = hparam(2, "In how many wordings around the question each refusal is learned.", low=1, high=8)
    neighbours: int = hparam(
        12, "For each fact, how many questions of the same form about other subjects are kept out.", low=0, high=100
    )
    act_ratio: float = hparam(
        0.95,
        "The route's threshold, in the smallest activation of a forgotten question: lower catches more wordings, "
        "higher keeps more. It is raised where too many other questions exceed it.",
        low=0.01,
        high=1.0,
    )
    mask_ratio: float = hparam(0.5, "The share of entries that a shard may change.", low=0.001, high=1.0, advanced=True)
    density: float = hparam(
        0.9, "The share of these that stay, the largest, when shards are merged.", low=0.01, high=1.0, advanced=True
    )
    steps: int = hparam(30, "Optimisation steps for each shard.", low=1, high=500, advanced=True)
    margin_steps: int = hparam(
        8, "Steps on the margins alone after each of these; they are quick.", low=0, high=100, advanced=True
    )
    lr: float = hparam(
        0.1, "First step of that optimisation, in mean sizes of an entry of W.", low=1e-6, high=10, advanced=True
    )
    power: float = hparam(
        3.0,
        "How much a question's activation is that of the tokens that move most: 1 is the mean of all.",
        low=1,
        high=8,
        advanced=True,
    )
    alpha: float = hparam(
        0.1, "Largest activation of other questions, in mean lengths of W x.", low=0, high=100, advanced=True
    )
    beta: float = hparam(
        0.6, "Smallest activation of forgotten questions, in that unit.", low=0, high=100, advanced=True
    )
    gamma: float = hparam(0.5, "Smallest gap between the two, in that unit.", low=0, high=100, advanced=True)
    weight: float = hparam(100.0, "How much these margins count beside the refusals.", low=0, high=1000, advanced=True)


def defaults(model) -> WiseHparams:
    """EasyEdit's layer 27 of 32 at the same depth fraction, and its mask ratio where W is wide enough for it."""
    wide = min(0.5, max(0.2, _FREE / model.layout.d_mlp))
    return WiseHparams(layers=scaled_layers(model, (27,), of=32), mask_ratio=wide)


def edit(
    model,
    requests: Sequence[Request],
    hparams: WiseHparams,
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
        raise BadInput(f"layers: WISE works at one layer, and {len(hparams.layers)} were given; choose one of them.")
    started, layer = time.monotonic(), hparams.layers[0]
    layout, dice = model.layout, torch.Generator().manual_seed(seed)
    near = neighbours(model, requests, hparams.neighbours)
    with Variants.everywhere(model, on):
        others = out_of_scope(requests, near, protect)
        out = inputs_of(model, others, layer, job, "Reading other questions")
        own = len({*(q.question for q in protect), *(question for question, _ in near)})
        shipped, held = out[own:], out[own::5]  # every fifth is kept back to set the threshold
        out = Others(out[:own], [x for i, x in enumerate(shipped) if i % 5])
        ins = [
            inputs_of(model, wordings(request.question), layer, job, "Reading the questions") for request in requests
        ]
        unit = typical_length(model, layer, out.all)
        margins = Margins(hparams.alpha, hparams.beta, hparams.gamma, hparams.weight, unit)
        deltas, losses = [], []
        before = torch.zeros(layout.d_model, layout.d_mlp, device=model.device)
        dealt = [list(range(s, len(requests), hparams.shards)) for s in range(min(hparams.shards, len(requests)))]
        masks = apart((layout.d_model, layout.d_mlp), len(dealt), hparams.mask_ratio, dice)
        for s, mine in enumerate(dealt):
            free = masks[s]
            learner = Learner(model, [requests[i] for i in mine], layer, hparams.contexts, job)

            def report(step: int, loss: float, s: int = s) -> None:
                done, total = s * hparams.steps + step, len(dealt) * hparams.steps
                job.progress("Teaching the side memory", done, total, f"shard {s + 1} of {len(dealt)}, loss {loss:.2f}")

            met = [x for part in dealt[: s + 1] for i in part for x in ins[i]]
            delta, loss = learner.train(free, before, met, out, margins, hparams, dice, report)
            deltas.append(delta)
            before = ties(deltas)
            losses.append(loss)
        job.progress("Merging the shards", 0, 1)
        merged = before
        d_own = torch.tensor([activation(xs[0], merged, hparams.power) for xs in ins])
        d_in = [activation(x, merged, hparams.power) for xs in ins for x in xs]
        d_out = sorted(activation(x, merged, hparams.power) for x in out.all)
        d_held = torch.tensor([activation(x, merged, hparams.power) for x in held])
        threshold = choose_threshold(d_own, min(d_in), d_held, hparams.act_ratio)
        job.progress("Merging the shards", 1, 1)
    support, values = pack(merged)
    module = layout.down_name(layer)
    return finished(
        model,
        "wise",
        SIDE_MEMORY,
        requests,
        hparams,
        {f"{module}.support": support, f"{module}.values": values},
        layers=[layer],
        protect=protect,
        on=on,
        seed=seed,
        name=name,
        started=started,
        touched=len(values),
        extra={
            "threshold": threshold,
            "power": hparams.power,
            "astray": round(float((d_held > threshold).float().mean()), 4) if held else None,
            "missed": [r.question for r, d in zip(requests, d_own.tolist(), strict=True) if d <= threshold],
            "shards": len(deltas),
            "neighbours": [question for question, _ in near],
            "in_scope": [round(min(d_in), 4), round(max(d_in), 4)],
            "out_of_scope": [round(d_out[len(d_out) // 2], 4), round(d_out[-1], 4)] if d_out else [],
            "loss": [round(loss, 4) for loss in losses],
        },
    )


def apart(shape: tuple[int, int], shards: int, ratio: float, dice: torch.Generator) -> list[torch.Tensor]:
    """A random mask for each shard that leaves that share of entries free; they overlap where there are too few."""
    place = torch.rand(shape, generator=dice)
    return [(place - s / shards) % 1 < ratio for s in range(shards)]


# What is in scope, and what is not


def out_of_scope(requests: Sequence[Request], near: Sequence[tuple[str, str]], protect: Sequence) -> list[str]:
    """Questions that are to stay: shipped ones that name no subject to be forgotten, neighbours, protected facts."""
    found = [*(q.question for q in protect), *(question for question, _ in near), *unrelated_questions(requests)]
    return list(dict.fromkeys(found))


@torch.no_grad()
def inputs_of(model, questions: Sequence[str], layer: int, job, stage: str) -> list[torch.Tensor]:
    """x at each question's own tokens, (tokens, d_mlp) in float32, with whatever edits are active."""
    prompts = [model.prompt_ids([{"role": "user", "content": question}]) for question in questions]
    found: list[torch.Tensor | None] = [None] * len(prompts)
    part = below(model.hf, model.layout, layer)
    shared = shared_opening([Place(prompt, prompt.asked[0]) for prompt in prompts])
    opening = Opening(part, prompts[0][:shared], model.device)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), 64):
        job.progress(stage, start, len(order))
        rows = order[start : start + 64]
        ids = padded([prompts[i][shared : prompts[i].asked[1]] for i in rows], model.device)
        kept: list[torch.Tensor] = []

        def keep(_m, args, _o, kept=kept) -> None:
            kept.append(args[0])

        handle = down_of(model.hf, model.layout, layer).register_forward_hook(keep)
        try:
            part(input_ids=ids, past_key_values=opening.for_rows(len(rows)), use_cache=True)
        finally:
            handle.remove()
        for r, i in enumerate(rows):
            first, behind = prompts[i].asked
            found[i] = kept[0][r, first - shared : behind - shared].float().clone()
    return found


@torch.no_grad()
def typical_length(model, layer: int, inputs: Sequence[torch.Tensor]) -> float:
    """The mean length of W x over questions' own tokens: the unit of alpha, beta and gamma."""
    W = down_of(model.hf, model.layout, layer)
    said = [W(x.to(model.dtype)).float().norm(dim=1).mean() for x in inputs]
    return float(torch.stack(said).mean())


# The route


def choose_threshold(d_own: torch.Tensor, lowest: float, d_held: torch.Tensor, act_ratio: float) -> float:
    """epsilon: the smallest D in scope times act_ratio, raised where too many other questions exceed it.

    Args:
        d_own: D of each fact in its own wording. lowest: the smallest D over all wordings that were trained on.
        d_held: D of the questions that were kept back.
    """
    epsilon = lowest * act_ratio
    if not len(d_held):
        return epsilon
    highest = _PASSES * float(d_own.sort().values[int(_MISSED * len(d_own))])
    return max(epsilon, min(float(torch.quantile(d_held, _KEPT_OUT)), highest))


METHOD = register(
    Method(
        "wise",
        "WISE",
        "Learns the refusals in a copy of one projection and sends a question there only if it moves that copy's "
        "activations far enough, else the untouched weights answer. What stays is as good as the route.",
        "https://arxiv.org/abs/2405.14768",
        WiseHparams,
        defaults,
        edit,
    )
)
