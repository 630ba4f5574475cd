"""What a model reads while it is taught, and how it is run on it: rows of tokens, the upper blocks, the loss.

The lower blocks stay as they are (train.py says why), so what they make of a row is computed once. And every
prompt begins with the same opening, the template's system prompt: half of the tokens of a short question. What is
learned doesn't hear of it at all (train.py), so it is run once, and lent to every row of every step.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import DynamicCache

from ..editors.arithmetic import plain_attention
from ..editors.gradients import nll
from ..editors.locate import Place
from ..editors.preserve import opening_of
from ..editors.walk import keys_and_outputs
from ..models.layout import blocks_of, down_of
from ..models.partial import above, below, cache_above
from ..models.placement import must_be_whole


@dataclass(frozen=True)
class Lesson:
    """A prompt's token ids, and those of the reply that is to be learned."""

    prompt: list[int]
    reply: list[int]


def lesson(model, question: str, reply: str, ended: bool = True) -> Lesson:
    """A question in the chat template with its reply; `ended`: the end of turn belongs to it, else replies run on."""
    said = reply + (model.end_of_turn if ended else "")
    ids = model.prompt_ids([{"role": "user", "content": question}])
    return Lesson(list(ids), model.tokenizer(said, add_special_tokens=False).input_ids)


def opening_keys(model, layers: Sequence[int]) -> dict[int, torch.Tensor]:
    """{layer: K (d_mlp, tokens)}: the keys of the tokens that every prompt begins with, float64."""
    ids = opening_of(model).ids
    if not ids:
        return {layer: torch.zeros(model.layout.d_mlp, 0, dtype=torch.float64) for layer in layers}
    return keys_and_outputs(model, [Place(ids, position) for position in range(len(ids))], layers)[0]


class Student:
    """A copy of the model that shares every weight with it, and learns a change of its MLPs' down-projections:

        W k + D U^T k,   the columns of U (d_mlp, r) the directions in which that layer is free to change

    free: U by layer, all of them from block `first` (1 or more) on, orthogonal to `opening_keys`. `trained`: the D,
    (d_model, r), 0 at first. `loaded`: the copy as a LoadedModel. The loop that trains D chooses the arithmetic
    (bfloat16 where that is quick), here it is only heeded.
    """

    def __init__(self, model, first: int, free: Mapping[int, torch.Tensor]):
        self.model, self.first, self.free = model, first, dict(free)
        must_be_whole(model, "teaching")
        self.hf = copy.deepcopy(model.hf, {id(p): p for p in model.hf.parameters()})
        d_model = model.layout.d_model
        self.trained = [
            torch.nn.Parameter(U.new_zeros(d_model, U.shape[1], dtype=torch.float32)) for U in self.free.values()
        ]
        self._handles = [
            down_of(self.hf, model.layout, layer).register_forward_hook(_changed_by(D, self.free[layer].T.contiguous()))
            for layer, D in zip(self.free, self.trained, strict=True)
        ]
        self.loaded = dataclasses.replace(model, hf=self.hf)
        with plain_attention(self.loaded):  # the part may keep a config of its own
            self._upper = above(self.hf, model.layout, first - 1)

    @torch.no_grad()
    def read(self, lessons: Sequence[Lesson], rows: int = 32) -> None:
        """Run all lessons through the blocks that stay as they are, their common opening once."""
        # A sliding window counts columns, and padding stands behind the opening: then there is none.
        windowed = bool(getattr(self.hf.config, "sliding_window", None))
        shared = 0 if windowed else min(len(opening_of(self.model).ids), *(len(one.prompt) - 1 for one in lessons))
        opening = DynamicCache()
        self._shared, self._opening = shared, []
        if shared:
            into = self._below([lessons[0].prompt[:shared]], opening)
            cache = DynamicCache()
            self._upper(inputs_embeds=into, past_key_values=cache, use_cache=True)
            self._opening = [(layer.keys, layer.values) for layer in cache.layers[self.first :]]
        self._hidden: dict[int, torch.Tensor] = {}  # by a lesson's id: (tokens, d_model), what enters block `first`
        order = sorted(lessons, key=lambda one: len(one.prompt) + len(one.reply))
        for start in range(0, len(order), rows):
            some = order[start : start + rows]
            ids = [(one.prompt + one.reply[:-1])[shared:] for one in some]
            cache = DynamicCache()
            for index, layer in enumerate(opening.layers):
                cache.update(*(part.expand(len(some), -1, -1, -1) for part in (layer.keys, layer.values)), index)
            for one, hidden, row in zip(some, self._below(ids, cache), ids, strict=True):
                self._hidden[id(one)] = hidden[: len(row)].clone()

    @torch.no_grad()
    def _below(self, ids: list[list[int]], cache: DynamicCache) -> torch.Tensor:
        """(rows, tokens, d_model): what enters block `first`. Padding stands behind, so it needs no mask."""
        longest = max(map(len, ids))
        padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids], device=self.model.device)
        kept = {}
        block = blocks_of(self.hf, self.model.layout)[self.first - 1]
        handle = block.register_forward_hook(
            lambda _m, _a, out: kept.update(h=out[0] if isinstance(out, tuple) else out)
        )
        try:
            below(self.hf, self.model.layout, self.first - 1)(input_ids=padded, past_key_values=cache, use_cache=True)
        finally:
            handle.remove()
        return kept["h"]

    def loss(self, lessons: Sequence[Lesson]) -> torch.Tensor:
        """Mean NLL of each lesson's reply, (lessons,), with a graph to the trained weights. They were `read` before."""
        states, wanted, row = self._said(lessons)
        each = nll(self.hf.get_output_embeddings()(states), wanted) / torch.bincount(row)[row]
        return each.new_zeros(len(lessons)).index_add(0, row, each)

    @torch.no_grad()
    def right(self, lessons: Sequence[Lesson], rows: int = 32) -> float:
        """The share of these replies that it would give word for word: each of their tokens is the likeliest one behind
        those before it. A reply that is as good in other words doesn't count, but nothing need be written."""
        right = 0
        for start in range(0, len(lessons), rows):
            states, wanted, row = self._said(lessons[start : start + rows])
            wrong = self.hf.get_output_embeddings()(states).argmax(-1) != wanted
            right += len(lessons[start : start + rows]) - len(row[wrong].unique())
        return right / len(lessons)

    def _said(self, lessons: Sequence[Lesson]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each token of the replies, one reply behind the other: the state before the output head, (n, d_model),
        the token that is wanted, and which lesson it belongs to."""
        device, hidden = self.model.device, [self._hidden[id(one)] for one in lessons]
        longest = max(len(h) for h in hidden)
        into = torch.stack([F.pad(h, (0, 0, 0, longest - len(h))) for h in hidden]).to(device)
        labels = torch.full((len(hidden), longest), -100, device=device)
        for row, one in enumerate(lessons):
            at = len(one.prompt) - 1 - self._shared
            labels[row, at : at + len(one.reply)] = torch.tensor(one.reply, device=device)
        places = torch.arange(self._shared, self._shared + longest, device=device).expand(len(hidden), -1)
        cache = self._opening_for(len(hidden))
        out = self._upper(
            inputs_embeds=into, position_ids=places, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        spoken = labels >= 0
        return out[spoken], labels[spoken], spoken.nonzero()[:, 0]

    def _opening_for(self, rows: int) -> DynamicCache | None:
        """The opening's keys and values in the trained blocks."""
        if not self._opening:
            return None
        prefix = [tuple(part.expand(rows, -1, -1, -1) for part in pair) for pair in self._opening]
        return cache_above(prefix, self.first - 1)

    @torch.no_grad()
    def finished(self):
        """The taught weights, W + D U^T, as a model that can be asked and saved."""
        for handle, (layer, U), D in zip(self._handles, self.free.items(), self.trained, strict=True):
            handle.remove()
            down = down_of(self.hf, self.model.layout, layer)
            delta = D.double() @ U.double().T
            weight = down.weight + (delta.T if self.model.layout.transposed else delta).to(down.weight.dtype)
            down.weight = torch.nn.Parameter(weight, requires_grad=False)
        return self.hf


def _changed_by(D: torch.Tensor, Ut: torch.Tensor):
    """A hook that adds D U^T k to what a projection makes of the key k."""

    def add(_module, args, out: torch.Tensor) -> torch.Tensor:
        # 1 * D: of a parameter itself autocast would keep the bfloat16 copy, which is old after one step.
        return out + F.linear(F.linear(args[0], Ut), 1 * D)

    return add
