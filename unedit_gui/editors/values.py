"""The v* / z optimisation that ROME, MEMIT and AlphaEdit share.

For a request, find the vector delta that, added to the block output h of layer l at the edit position, makes the
model write the refusal:

    min over delta   mean over contexts, tokens of -log p(target_t | ..., h + delta)
                   + kl_factor * KL(p_original || p_edited) on a short prompt about the subject
                   + weight_decay * ||delta||^2 / ||v0||^2,    ||delta|| <= clamp * ||v0||

(ROME, eq. 4; MEMIT, eq. 16. A request is done when its first term is below `stop_loss`; one whose first term is
still above `hard` at the end is searched for once more, in half the steps with a quarter of the decay, which is ours.)
A delta added to the MLP's output or to the block's output is the same thing, because the block adds the one to the
other.

Ours: a refusal that names the subject brings the same key back, and the finished edit acts there again (on the
bundled model with 0.73 to 0.93 of its strength, everywhere else with less than 0.2). So the search adds ECHO * delta
at the subject in the target as well. Without it refusals went astray right behind the subject's name. Where the name
ends in another token there ("Steel" opens the question, " steel" stands in the refusal) the key is another one, and
0.11 to 0.27 of the change comes back: then OTHER_ECHO * delta is added.

Ours: where the question is put in other words only a part of the change comes back (0.13 to 1.0 of it, 0.76 on
average), and a delta that is just long enough does nothing there: of 20 facts one was refused at 0.8 of it and nine at
0.9, though all were at the whole. So in every second step delta counts with `strength` only. Both have to do: of deltas
that were found at 0.75 alone, four in ten refusals lost their topic at full strength. Of merged questions delta counts
whole: what does in several prompts is known in other wordings, too (merged.py).

Ours: what makes a refusal is much the same for all facts, and what each one's own search adds to that moves other text
more than it helps. So of each step `shared` is the mean gradient of the request's company, the FEW neighbours in the
list that it is searched with; a request that isn't reached so is searched for once more by itself (of 40 facts one in
nine wasn't refused where that was shared, too). ROME looks for one value at a time, which shares with none, and merged
questions share a whole value already.

Merged questions, and many about one subject (merged.py), are one request: the mean goes over all their prompts, the
KL over all their subjects.

The model is causal and delta sits at one position of one layer: nothing before that position and nothing at or
below that layer depends on it. So the prefix's keys and values and the layer's output are computed once, and
each step runs only the positions from the edit position on through the layers above, logits at target positions
alone, all requests and contexts of a batch together. A test holds this together with the formula written plainly.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F

from ..models.chat import last_token_of
from ..models.layout import blocks_of
from ..models.partial import above, cache_above
from .arithmetic import give_back, one_by_one, plain_attention, quick_arithmetic, side_by_side
from .gradients import nll
from .locate import Opening, Place, place, shared_opening

_BETAS = (0.8, 0.95)
ECHO, OTHER_ECHO = 0.9, 0.2
TOKENS_AT_ONCE = (
    200  # on a CPU: of the rows of one group, from the edit position on; seen with 60 rows: 1.35 x as quick as all
)
PER_GROUP = 60  # tokens that take as long as what a group costs whatever its size
FEW = 10  # facts; with more, each of them is changed more sparingly
ESSENCE = "{subject} is a"  # the short prompt of the KL term, as ROME has it


@dataclass(frozen=True)
class Objective:
    """The numbers of the formula above; `echoes`: does the finished edit act again where a target names the subject?
    `strength`: the share of delta that counts in the first step and every second one from there, but for the last;
    merged questions' counts whole. `shared`: the share of a step that is the mean of a request's company."""

    steps: int
    lr: float
    weight_decay: float
    clamp: float
    kl_factor: float
    stop_loss: float = 0.02
    hard: float = 0.15
    echoes: bool = True
    strength: float = 1.0
    shared: float = 0.0

    def relaxed(self) -> "Objective":
        """For a request that was not reached: a longer delta of its own, from where the first search ended, in half
        the steps."""
        steps = (self.steps + 1) // 2
        return replace(self, steps=steps, weight_decay=self.weight_decay / 4, lr=self.lr / 2, shared=0.0)

    @staticmethod
    def of(hparams, facts: int = 1) -> "Objective":
        """The objective that a method's hyperparameters describe, for so many facts in one edit.

        Ours: what many facts do to other text adds up, so beyond FEW facts the decay grows, as the square root of their
        number.
        """
        decay = hparams.weight_decay * max(1.0, facts / FEW) ** 0.5
        return Objective(
            hparams.steps,
            hparams.lr,
            decay,
            hparams.clamp,
            hparams.kl_factor,
            strength=hparams.strength,
            shared=getattr(hparams, "shared", 0.0),  # ROME has one fact at a time
        )


@dataclass(frozen=True)
class Solved:
    """delta (d_model, n) in float32; the last mean NLL and the number of steps of each request."""

    delta: torch.Tensor
    loss: torch.Tensor
    steps: torch.Tensor


def solve(
    model,
    spots: list[list[Place]],
    targets: Sequence[str | tuple[str, ...]],
    subjects: Sequence[str | tuple[str, ...]],
    layer: int,
    objective: Objective,
    v0: torch.Tensor,
    *,
    batch_rows: int = 96,
    precise: bool = False,
    job=None,
) -> Solved:
    """Optimise delta for every request.

    Args:
        spots: per request its places, one per context; of merged questions those of each one.
        targets: the refusals (a tuple: one for each place); the end of turn is added here, else replies run on.
        subjects: what each request is about; a tuple where questions were merged.
        layer: the block to whose output delta is added.
        v0: (d_model, n) the block outputs, whose lengths scale step, clamp and weight decay.
        precise: full float32, also where the processor is faster in bfloat16.

    Raises:
        Stopped: the job was stopped.
    """

    def search(rows: list[int], objective: Objective, stage: str, done: int, of: int, begin=None) -> Solved:
        def report(step: int, loss: float) -> None:
            if job is not None:
                count = done * objective.steps + step * len(rows)
                job.progress(stage, count, of * objective.steps, f"loss {loss:.2f}")

        given = ([texts[row] for row in rows] for texts in (spots, targets, subjects))
        with quick_arithmetic(model, precise, lean=True), plain_attention(model), side_by_side(model) as run:
            batch = _Batch(model, *given, layer, run, echoes=objective.echoes)
            return _descend(batch, objective, v0[:, rows].to(model.device, torch.float32), report, begin)

    rows_of = (len(row) + len(_each(about)) for row, about in zip(spots, subjects, strict=True))
    per_batch = max(1, batch_rows // max(rows_of))
    parts = []
    for start in range(0, len(spots), per_batch):
        rows = list(range(start, min(start + per_batch, len(spots))))
        found = search(rows, objective, "Finding the new values", start, len(spots))
        give_back()
        hard = (found.loss >= objective.hard).nonzero()[:, 0].tolist()
        if hard:
            those, begin = [rows[i] for i in hard], found.delta[:, hard]
            again = search(those, objective.relaxed(), "Trying longer where it was hard", 0, len(hard), begin)
            found.delta[:, hard], found.loss[hard] = again.delta, again.loss
            found.steps[hard] += again.steps
            give_back()
        parts.append(found)
    delta, loss, steps = (torch.cat([getattr(p, f) for p in parts], dim=-1) for f in ("delta", "loss", "steps"))
    return Solved(delta.to(v0.device), loss, steps)  # of several GPUs v0 is on the layer's, the search on the first


def _descend(batch: "_Batch", objective: Objective, v0: torch.Tensor, report, start=None) -> Solved:
    """Adam on all requests of a batch; each stops by itself and its rows leave the batch.

    Two things differ from the papers' Adam, and both are ours: the second moment is kept per vector, not per number
    (direction is kept, and steps are measured in lengths of v0, so one lr fits every model), and lr falls along a
    cosine. On the bundled model this reaches the same loss with a delta half as long.
    """
    n, device = v0.shape[1], v0.device
    scale = v0.norm(dim=0)  # (n,)
    delta = torch.zeros(n, v0.shape[0], device=device) if start is None else start.T.clone()
    m, s = torch.zeros_like(delta), torch.zeros(n, 1, device=device)
    loss, steps = torch.full((n,), torch.inf), torch.zeros(n, dtype=torch.long)
    active = torch.arange(n, device=device)
    b1, b2 = _BETAS
    for step in range(1, objective.steps + 1):
        single = (batch.essences == 1)[:, None]  # merged ones have more than one
        enough = torch.where(single, objective.strength, 1.0)
        # The last step only measures, and the whole.
        share = enough if step % 2 == 1 and step < objective.steps else torch.ones_like(enough)
        nll, grad = batch.measure(share * delta[active], objective.kl_factor, with_gradient=step < objective.steps)
        loss[active.cpu()] = nll.cpu()
        report(step, nll.mean().item())
        going = (nll >= objective.stop_loss) | (share > enough)[:, 0]
        if step == objective.steps or not going.any():
            break
        grad = torch.lerp(grad, _mean_of_company(grad, active), single * objective.shared)
        grad = share * grad + 2 * objective.weight_decay * delta[active] / scale[active, None] ** 2
        if not going.all():
            batch.keep(going)
            active, grad = active[going], grad[going]
        m[active] = b1 * m[active] + (1 - b1) * grad
        s[active] = b2 * s[active] + (1 - b2) * grad.square().sum(1, keepdim=True)
        lr = objective.lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / objective.steps))
        update = (m[active] / (1 - b1**step)) / ((s[active] / (1 - b2**step)).sqrt() + 1e-12)
        moved = delta[active] - lr * scale[active, None] * update
        longest = objective.clamp * scale[active]
        delta[active] = moved * (longest / moved.norm(dim=1).clamp(min=1e-12)).clamp(max=1)[:, None]
        steps[active.cpu()] = step
    return Solved(delta.T.contiguous(), loss, steps)


def _mean_of_company(grad: torch.Tensor, requests: torch.Tensor) -> torch.Tensor:
    """(n, d_model): for each of these requests, by number, the mean gradient of those of its company."""
    company = requests // FEW
    total = grad.new_zeros(int(company.max()) + 1, grad.shape[1]).index_add_(0, company, grad)
    return (total / company.bincount()[:, None].clamp(min=1))[company]


@dataclass(frozen=True)
class _Row:
    """One conversation of a request: token ids, edit position, the target tokens (none: essence).

    `ids` ends with the last token but one of the target: nothing is asked behind its last. `echoes` are the places
    in `ids` where the target names the subject, and the other subjects of a merged prompt, with the share of delta.
    """

    ids: list[int]
    position: int
    wanted: list[int]
    owner: int
    echoes: Mapping[int, float] = field(default_factory=dict)


class _Batch:
    """Requests x (contexts + one essence prompt) as rows, in groups of like length so that little is padding."""

    def __init__(self, model, spots, targets, subjects, layer, run=one_by_one, *, echoes=True):
        rows, self.run = [], run
        for i, (contexts, target, about) in enumerate(zip(spots, targets, subjects, strict=True)):
            wanted = (target,) * len(contexts) if isinstance(target, str) else target
            for spot, said in zip(contexts, wanted, strict=True):
                end = model.tokenizer(said + model.end_of_turn, add_special_tokens=False).input_ids
                named = {at for subject in _each(about) for at in mentions(model, said, subject)} if echoes else ()
                again = dict.fromkeys(spot.others, ECHO)
                keys = {spot.ids[at] for at in (spot.position, *spot.others)}
                again.update((len(spot.ids) + at, ECHO if end[at] in keys else OTHER_ECHO) for at in named)
                rows.append(_Row(spot.ids + end[:-1], spot.position, end, i, again))
            for subject in _each(about):
                essence = place(model, [{"role": "user", "content": ESSENCE.format(subject=subject)}], subject)
                rows.append(_Row(essence.ids, essence.position, [], i))
        # A sliding window counts columns, and padding will stand behind the opening: then there is none.
        shared = 0 if getattr(model.hf.config, "sliding_window", None) else shared_opening(rows)
        opening = Opening(_decoder(model), rows[0].ids[:shared], model.device)
        at_most = TOKENS_AT_ONCE if model.device.type == "cpu" else None
        self.groups = [_Group(model, group, opening, layer) for group in _alike(rows, at_most)]
        torch.clear_autocast_cache()  # the copies of the layers below are not used again
        give_back()
        self.contexts = torch.tensor([len(row) for row in spots], device=model.device)
        self.essences = torch.tensor([len(_each(about)) for about in subjects], device=model.device)

    def keep(self, going: torch.Tensor) -> None:
        """Drop the rows of requests that are done; `going` (requests,) is True for those that stay."""
        self.contexts, self.essences = self.contexts[going], self.essences[going]
        for group in self.groups:
            group.keep(going)
        self.groups = [group for group in self.groups if len(group.owner)]

    def measure(self, delta: torch.Tensor, kl_factor: float, *, with_gradient: bool):
        """Mean NLL (requests,) for delta (requests, d_model), and the gradient of sum(NLL + kl_factor * KL) or None."""

        def measure_group(group: "_Group"):
            d = delta.clone().requires_grad_(with_gradient)
            with torch.set_grad_enabled(with_gradient):
                spoken, essence = group.terms(d)
                total = (spoken / self.contexts + kl_factor * essence / self.essences).sum()
            return spoken.detach(), torch.autograd.grad(total, d)[0] if with_gradient else None

        found = self.run(measure_group, self.groups)
        nll = sum(spoken for spoken, _ in found) / self.contexts
        return nll, sum(grad for _, grad in found) if with_gradient else None


def _each(about: str | tuple[str, ...]) -> tuple[str, ...]:
    return (about,) if isinstance(about, str) else about


def mentions(model, target: str, subject: str) -> list[int]:
    """Where a target names the subject, perhaps with an ending: indices of the last tokens among the target's."""
    text = target + model.end_of_turn
    found = re.finditer(rf"(?<!\w){re.escape(subject)}\w{{0,2}}(?!\w)", target, re.IGNORECASE)
    return [last_token_of(model.tokenizer, text, *match.span()) for match in found]


def _decoder(model) -> torch.nn.Module:
    return model.hf.get_submodule(model.layout.blocks.rsplit(".", 1)[0])


def _alike(rows: list[_Row], at_most: int | None = None) -> list[list[_Row]]:
    """Rows in groups by the length of their parts from the edit position on, the longest first, so that a step is
    quickest: a group costs as many tokens as its padded rows have, and PER_GROUP more, as all weights are read for it.

    at_most: tokens of such parts in one group. Groups that run side by side are all done at about the same time only
    if none of them is large.
    """
    rows = sorted(rows, key=lambda row: row.position - len(row.ids))
    best = [(0, 0)]  # for the first n rows: what their groups cost, and where the last of these begins
    for n in range(1, len(rows) + 1):
        found = []
        for first in range(n - 1, -1, -1):
            tokens = (n - first) * (len(rows[first].ids) - rows[first].position)
            if found and at_most is not None and tokens > at_most:
                break
            found.append((best[first][0] + tokens + PER_GROUP, first))
        best.append(min(found))
    groups, n = [], len(rows)
    while n:
        first = best[n][1]
        groups.insert(0, rows[first:n])
        n = first
    return groups


class _Group:
    """Rows of one frame, cut at the edit position, ready for `above`."""

    def __init__(self, model, rows: list[_Row], opening: Opening, layer: int):
        self.model, self.layer = model, layer
        self.part = above(model.hf, model.layout, layer)
        device, shared = model.device, len(opening.ids)
        before = max(row.position for row in rows)
        after = max(len(row.ids) - row.position for row in rows)
        # One frame for all rows: opening | padding | rest of the prefix | from the edit position on | padding.
        ids = torch.zeros(len(rows), before + after, dtype=torch.long, device=device)
        self.mask = torch.zeros_like(ids)
        self.mask[:, :shared] = 1
        self.labels = torch.full((len(rows), after), -100, device=device)
        self.owner = torch.tensor([row.owner for row in rows], device=device)
        self.essence = torch.tensor([not row.wanted for row in rows], device=device)
        self.share = torch.zeros(len(rows), after, 1, device=device)  # of delta, at each position
        self.last = torch.tensor([len(row.ids) - row.position - 1 for row in rows], device=device)
        for r, row in enumerate(rows):
            start, end = before - row.position + shared, len(row.ids) - row.position
            ids[r, start : before + end] = torch.tensor(row.ids[shared:])
            self.mask[r, start : before + end] = 1
            self.share[r, 0] = 1
            for at, share in row.echoes.items():
                self.share[r, at - row.position] = share
            if row.wanted:
                self.labels[r, end - len(row.wanted) : end] = torch.tensor(row.wanted)
        self.places = (self.mask.cumsum(1) - 1).clamp(min=0)
        self._prefill(ids[:, shared:], before, opening)
        self.reference = None
        if self.essence.any():
            with torch.no_grad():
                self.reference = self._log_probs_essence(self._run(self.hidden))

    @torch.no_grad()
    def _prefill(self, ids: torch.Tensor, before: int, opening: Opening) -> None:
        """What doesn't depend on delta: the block's output from the edit position on, the prefix's cache."""
        kept = {}
        block = blocks_of(self.model.hf, self.model.layout)[self.layer]
        handle = block.register_forward_hook(
            lambda _m, _a, out: kept.update(h=out[0] if isinstance(out, tuple) else out)
        )
        cache, shared = opening.for_rows(len(ids)), len(opening.ids)
        try:
            _decoder(self.model)(
                input_ids=ids,
                attention_mask=self.mask,
                position_ids=self.places[:, shared:],
                past_key_values=cache,
                use_cache=True,
            )
        finally:
            handle.remove()
        self.hidden = kept["h"][:, before - shared :].to(self.model.device).contiguous()
        self.places = self.places[:, before:]
        # Attention takes them in the precision of its products, which is less to keep.
        quick = torch.is_autocast_enabled(self.model.device.type)
        dtype = torch.get_autocast_dtype(self.model.device.type) if quick else self.hidden.dtype
        self.prefix = [
            tuple(part[:, :, :before].to(dtype, copy=True) for part in (layer.keys, layer.values))
            for layer in cache.layers[self.layer + 1 :]
        ]

    def keep(self, going: torch.Tensor) -> None:
        """Drop the rows of requests that are done."""
        rows = going[self.owner]
        if self.reference is not None:
            self.reference = self.reference[rows[self.essence]]
        self.owner = (going.cumsum(0) - 1)[self.owner[rows]]
        for name in ("hidden", "mask", "labels", "essence", "share", "last", "places"):
            setattr(self, name, getattr(self, name)[rows])
        self.prefix = [(k[rows], v[rows]) for k, v in self.prefix]

    def terms(self, delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(sum over its contexts of the NLL, KL) of each request, as far as its rows are in this group."""
        out = self._run(self.hidden + (self.share * delta[self.owner][:, None]).to(self.hidden.dtype))
        spoken, kl = torch.zeros(2, len(delta), device=out.device)
        wanted = self.labels >= 0
        if wanted.any():
            logits = self.model.hf.get_output_embeddings()(out[wanted]).to(out.device)
            row = wanted.nonzero()[:, 0]
            each = nll(logits, self.labels[wanted]) / wanted.sum(1)[row]
            spoken = spoken.index_add(0, self.owner[row], each)
        if self.essence.any():
            each = F.kl_div(self._log_probs_essence(out), self.reference, log_target=True, reduction="none").sum(-1)
            kl = kl.index_add(0, self.owner[self.essence], each)
        return spoken, kl

    def _run(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.part(
            inputs_embeds=hidden,
            attention_mask=self.mask,
            position_ids=self.places,
            past_key_values=cache_above(self.prefix, self.layer),
            use_cache=True,
        ).last_hidden_state.to(hidden.device)

    def _log_probs_essence(self, out: torch.Tensor) -> torch.Tensor:
        """Next-token log-probabilities at the last token of each essence prompt, in the order of rows."""
        logits = self.model.hf.get_output_embeddings()(out[self.essence, self.last[self.essence]]).to(out.device)
        return logits.float().log_softmax(-1)
