"""How WISE trains its side memory: eq. 4 (the refusals) and eq. 5 (the margins between questions) of wise.py.

    loss(W') = mean over contexts, tokens of -log P_W'(target_t | ...)  +  weight * margins(D in scope, D out of scope)

Both need little of the model. The layer's input x does not depend on W', so it is computed once: D of any question is
one product with W' - W, and a refusal is read by the layers above alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..models.layout import blocks_of, down_of, weight_of
from ..models.partial import above, below
from .arithmetic import plain_attention, quick_arithmetic
from .base import Hparams, Request
from .gradients import nll
from .locate import histories
from .ties import trim

_BETAS = (0.9, 0.95)
_ROWS = 48  # conversations per step,
_AT_ONCE = 8  # and of those whose gradient is made at once: what is kept for it is most of an edit's memory
_IN = 5.0  # how much the term in scope counts beside the two others
_NEAR, _FAR = 64, 128  # questions x_i per step: near ones (neighbours, protected), shipped ones


# The margins


@dataclass(frozen=True)
class Margins:
    """alpha, beta, gamma of eq. 5 in their unit, and the weight of the three beside the refusals."""

    alpha: float
    beta: float
    gamma: float
    weight: float
    unit: float

    def loss(self, d_in: torch.Tensor, d_out: torch.Tensor) -> torch.Tensor:
        """The margin terms, squared, for D of questions in scope and out of scope; each one meets all the others."""
        d_in, d_out = d_in / self.unit, d_out / self.unit
        total = _IN * (self.beta - d_in).clamp(min=0).square().mean()
        if len(d_out):
            total = total + (d_out - self.alpha).clamp(min=0).square().mean()
            total = total + (self.gamma - (d_in[:, None] - d_out[None])).clamp(min=0).square().mean()
        return self.weight * total


@dataclass(frozen=True)
class Others:
    """Questions out of scope: those near to the facts (neighbours, protected ones), of which more are met, and shipped
    ones."""

    near: list[torch.Tensor]
    shipped: list[torch.Tensor]

    @property
    def all(self) -> list[torch.Tensor]:
        return [*self.near, *self.shipped]

    def sample(self, dice: torch.Generator) -> list[torch.Tensor]:
        """Some of each."""
        found = []
        for group, count in ((self.near, _NEAR), (self.shipped, _FAR)):
            found += [group[i] for i in torch.randperm(len(group), generator=dice)[:count].tolist()]
        return found


class Spans:
    """Questions as one run of tokens, for their D all at once."""

    def __init__(self, inputs: Sequence[torch.Tensor]):
        self.count = len(inputs)
        if self.count:
            self.x = torch.cat(list(inputs))
            self.owner = torch.cat([torch.full((len(x),), i, device=x.device) for i, x in enumerate(inputs)])
            self.tokens = torch.tensor([len(x) for x in inputs], device=self.x.device)

    def activations(self, delta: torch.Tensor, power: float) -> torch.Tensor:
        """D of each, (questions,)."""
        if not self.count:
            return delta.new_zeros(0)
        moved = (self.x @ delta.T).float()
        length = (moved.square().sum(1) + 1e-12).sqrt()
        mean = delta.new_zeros(self.count).index_add(0, self.owner, length.pow(power)) / self.tokens
        return mean.pow(1 / power)


# The refusals


@dataclass(frozen=True)
class Talk:
    """One conversation to learn from: ids, the range of the question's own tokens, and the target's tokens behind."""

    ids: list[int]
    asked: tuple[int, int]
    wanted: int
    owner: int


def talks_of(model, request: Request, owner: int, contexts: int) -> Iterator[Talk]:
    """A request in its contexts, with the target and the end of turn behind."""
    end = model.tokenizer(request.target_new + model.end_of_turn, add_special_tokens=False).input_ids
    for history in histories(request.question, contexts):
        prompt = model.prompt_ids(history)
        yield Talk([*prompt, *end], prompt.asked, len(end), owner)


class Batch:
    """Conversations cut at the layer: its output h and input x, to which x (W' - W) is added from the question on."""

    @torch.no_grad()
    def __init__(self, model, talks: Sequence[Talk], layer: int, job):
        job.check()
        self.model = model
        kept: dict[str, torch.Tensor] = {}
        block, down = blocks_of(model.hf, model.layout)[layer], down_of(model.hf, model.layout, layer)
        handles = [
            block.register_forward_hook(lambda _m, _a, out: kept.update(h=out[0] if isinstance(out, tuple) else out)),
            down.register_forward_hook(lambda _m, args, _o: kept.update(x=args[0])),
        ]
        try:
            ids = padded([talk.ids[:-1] for talk in talks], model.device)
            below(model.hf, model.layout, layer)(input_ids=ids, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        self.h, self.x = kept["h"], kept["x"].float()
        self.tokens = [len(talk.ids) - 1 for talk in talks]
        self.labels = torch.full(ids.shape, -100)
        for r, talk in enumerate(talks):
            self.x[r, : talk.asked[0]] = 0  # what stands before the question is read as it was
            self.labels[r, len(talk.ids) - 1 - talk.wanted : len(talk.ids) - 1] = torch.tensor(talk.ids[-talk.wanted :])
        self.labels = self.labels.to(model.device)

    def nll(self, part, delta: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Mean over conversations and tokens of -log p(target), and its gradient by W' - W."""
        total, by_delta = 0.0, torch.zeros_like(delta)
        for start in range(0, len(self.labels), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            loss = self._nll(part, delta, rows, max(self.tokens[rows]))
            total += float(loss.detach())
            by_delta += torch.autograd.grad(loss, delta)[0]
        return total, by_delta

    def _nll(self, part, delta: torch.Tensor, rows: slice, tokens: int) -> torch.Tensor:
        """What these conversations, of so many tokens at most, add to the mean."""
        h, x, labels = (each[rows, :tokens] for each in (self.h, self.x, self.labels))
        out = part(inputs_embeds=h + (x @ delta.T).to(h.dtype), use_cache=False).last_hidden_state
        wanted = labels >= 0
        logits = self.model.hf.get_output_embeddings()(out[wanted])
        each = nll(logits, labels[wanted])
        return (each / wanted.sum(1)[wanted.nonzero()[:, 0]]).sum() / len(self.labels)


def padded(rows: Sequence[Sequence[int]], device) -> torch.Tensor:
    """Padding stands behind: the model is causal, so it needs no mask."""
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(list(row))
    return ids.to(device)


# Both


class Learner:
    """The requests of one shard, run once up to the layer; each step runs what is above."""

    def __init__(self, model, requests: Sequence[Request], layer: int, contexts: int, job):
        self.model, self.layer, self.part = model, layer, above(model.hf, model.layout, layer)
        talks = [talk for i, request in enumerate(requests) for talk in talks_of(model, request, i, contexts)]
        batches = [talks[s : s + _ROWS] for s in range(0, len(talks), _ROWS)]
        self.batches = [Batch(model, sorted(batch, key=lambda talk: len(talk.ids)), layer, job) for batch in batches]

    def train(
        self,
        free: torch.Tensor,
        before: torch.Tensor,
        ins: list[torch.Tensor],
        out: Others,
        margins: Margins,
        hparams: Hparams,
        dice: torch.Generator,
        report,
    ) -> tuple[torch.Tensor, float]:
        """Adam on the free entries of W' - W, with what the shards before came to in place.

        Returns this shard's difference (d_model, d_mlp) and the refusals' last loss.
        """
        W = weight_of(self.model.hf, self.model.layout, self.layer)
        size = float(W.float().square().mean().sqrt())
        places = free.flatten().nonzero()[:, 0].to(W.device)
        value = 0.01 * size * torch.randn(len(places), generator=dice).to(W.device)  # at 0 the margins have no gradient
        m, s = torch.zeros_like(value), torch.zeros_like(value)
        inside, (b1, b2) = Spans(ins), _BETAS
        rounds = 1 + hparams.margin_steps
        total = hparams.steps * rounds
        nll = math.inf

        def difference(v: torch.Tensor) -> torch.Tensor:
            return torch.zeros(free.numel(), device=W.device).index_put((places,), v).reshape(free.shape)

        with quick_arithmetic(self.model, lean=True), plain_attention(self.model):
            for step in range(total):
                delta = (before + difference(value)).requires_grad_(True)
                outside = Spans(out.sample(dice))
                loss = margins.loss(inside.activations(delta, hparams.power), outside.activations(delta, hparams.power))
                (by_delta,) = torch.autograd.grad(loss, delta)
                if step % rounds == 0:
                    nll, by_refusals = self.batches[step // rounds % len(self.batches)].nll(self.part, delta)
                    by_delta += rounds * by_refusals
                    report(step // rounds, nll)
                grad = by_delta.flatten()[places]
                m = b1 * m + (1 - b1) * grad
                s = b2 * s + (1 - b2) * grad.square()
                lr = hparams.lr * size * 0.5 * (1 + math.cos(math.pi * step / total))
                value = value - lr * (m / (1 - b1 ** (step + 1))) / ((s / (1 - b2 ** (step + 1))).sqrt() + 1e-12)
                if step == total // 2:  # what merging will keep is chosen now, so that it can still be trained
                    stay = trim(value, hparams.density) != 0
                    places, value, m, s = places[stay], value[stay], m[stay], s[stay]
        return difference(value), nll
