"""Answers for many prompts at once: our own decode loop, because Hugging Face's streamers take one row.

What all prompts begin with can be read once, rows of like length are prefilled together (little padding), their
key/value caches are joined on the left, and every row stops on its own. A row's numbers don't depend on which rows
stand beside it beyond float rounding, and sampling draws from a generator of the row's own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import DynamicCache

from .few_rows import few_rows
from .openings import Opening

_LIKE = 8  # prompts whose lengths differ by at most this many tokens are prefilled together
LITTLE = 800_000_000  # multiplications of a step (rows x weights) up to which one thread is as quick as two


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy: the most likely token, always."""

    temperature: float = 0.0
    top_p: float = 1.0


@dataclass(frozen=True)
class Reply:
    """One answer: its text, its length in tokens, why it ended ("end" of turn, "length", "stopped"), and what its
    edits decided (edits/trace.py), where somebody asked."""

    text: str
    tokens: int
    ended: str
    traces: tuple = ()

    @property
    def cut(self) -> bool:
        """Was it still writing when its tokens were used up?"""
        return self.ended == "length"


@torch.inference_mode()
def generate(
    model,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int = 64,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    seed: int = 0,
    variants=None,
    on_text: Callable[[int, str], None] | None = None,
    job=None,
    batch_size: int = 32,
    one_opening: bool = False,
) -> list[Reply]:
    """Continue each prompt (token ids) until its end of turn or max_new_tokens.

    Args:
        variants: an entered `Variants`, whose row i answers prompts[i]; None: the original answers all.
        on_text: called with (row, text so far) as tokens arrive.
        job: its progress counts finished prompts; a stop between two tokens raises `Stopped`, except for
            replies being streamed, which end where they are (state "stopped").
        one_opening: what all prompts of a batch begin with is read once, where all rows have the same edits of weights
            or none. The last digits are others than without, so a chat, whose rows differ, leaves it.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    replies: list[Reply | None] = [None] * len(prompts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        how = (max_new_tokens, sampling, seed, variants, on_text, job, one_opening)
        decoded = _Batch(model, prompts, rows, *how).run()
        for row, reply in zip(rows, decoded, strict=True):
            replies[row] = reply
        if job is not None and on_text is None and len(order) > batch_size:
            job.breathe()
    return replies


class _Batch:
    """One batch on its way from prompts to replies."""

    def __init__(self, model, prompts, rows, max_new_tokens, sampling, seed, variants, on_text, job, one_opening):
        self.model, self.prompts, self.rows = model, prompts, rows
        self.limit, self.sampling, self.variants = max_new_tokens, sampling, variants
        self.on_text, self.job, self.one_opening = on_text, job, one_opening
        self.weights = sum(p.numel() for p in model.hf.parameters())
        self.tokens: list[list[int]] = [[] for _ in rows]
        self.ended = ["length"] * len(rows)
        self.dice = [torch.Generator().manual_seed((seed * 1_000_003 + row) % 2**63) for row in rows]

    def run(self) -> list[Reply]:
        if not self.rows or self.limit < 1:
            return [Reply("", 0, "length") for _ in self.rows]
        device = self.model.device
        logits, cache, mask = self._prefill()
        active = list(range(len(self.rows)))
        lengths = torch.tensor([len(self.prompts[row]) for row in self.rows], device=device)
        while True:
            chosen = self._choose(logits, active)
            keep = self._take(chosen, active)
            if not keep:
                break
            if len(keep) < len(active):
                index = torch.tensor(keep, device=device)
                cache.batch_select_indices(index)
                mask, lengths, chosen = mask[index], lengths[index], chosen[index]
                active = [active[k] for k in keep]
            self._select(active)
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            with self._threads(len(active)), few_rows(len(active)):
                out = self.model.hf(
                    input_ids=chosen[:, None],
                    attention_mask=mask,
                    position_ids=lengths[:, None],
                    past_key_values=cache,
                    use_cache=True,
                )
            logits, lengths = out.logits[:, -1], lengths + 1
        return [Reply(self._text(i), len(self.tokens[i]), self.ended[i]) for i in range(len(self.rows))]

    @contextmanager
    def _threads(self, rows: int) -> Iterator[None]:
        """One of PyTorch's threads for a step that is little work: several would wait for one another longer than it
        takes. Seen on two cores with the bundled model: 2 rows 1.3 times as quick with one, 8 rows with two."""
        threads = torch.get_num_threads()
        if threads == 1 or self.model.device.type != "cpu" or rows * self.weights > LITTLE:
            yield
            return
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def _select(self, active: list[int], *reading) -> None:
        if self.variants is not None:
            self.variants.select([self.rows[i] for i in active], *reading)

    def _prefill(self):
        """Logits after each prompt (rows, vocabulary), one joined cache, and its attention mask."""
        device, caches, logits, masks = self.model.device, [], [], []
        shared = [self.prompts[row] for row in self.rows] if self.one_opening else []
        opening = Opening(self.model, shared, self.rows, self.variants)
        shared = opening.length
        for group in _groups([len(self.prompts[row]) for row in self.rows]):
            prompts = [self.prompts[self.rows[i]] for i in group]
            longest = max(len(p) for p in prompts)
            ids = torch.zeros(len(prompts), longest, dtype=torch.long, device=device)
            mask = torch.zeros_like(ids)
            mask[:, :shared] = 1
            for k, prompt in enumerate(prompts):
                start = longest - len(prompt) + shared
                ids[k, start:] = torch.tensor(prompt[shared:], device=device)
                mask[k, start:] = 1
            self._select(group, prompts, [longest] * len(group))
            out = self.model.hf(
                input_ids=ids[:, shared:],
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, shared:],
                past_key_values=opening.for_rows(len(prompts)),
                use_cache=True,
                logits_to_keep=1,
            )
            caches.append(out.past_key_values)
            logits.append(out.logits[:, -1])
            masks.append(mask)
        cache, width = _join(caches)
        return torch.cat(logits), cache, torch.cat([F.pad(mask, (width - mask.shape[1], 0)) for mask in masks])

    def _choose(self, logits: torch.Tensor, active: list[int]) -> torch.Tensor:
        if self.sampling.temperature <= 0:
            return logits.argmax(-1)
        p = torch.softmax(logits.float().cpu() / self.sampling.temperature, dim=-1)
        if self.sampling.top_p < 1:
            ranked, order = p.sort(dim=-1, descending=True)
            outside = ranked.cumsum(-1) - ranked >= self.sampling.top_p
            outside[..., 0] = False  # the likeliest token stays, also at top_p 0
            ranked[outside] = 0
            p = torch.zeros_like(p).scatter_(-1, order, ranked)
        drawn = [torch.multinomial(p[k], 1, generator=self.dice[i]) for k, i in enumerate(active)]
        return torch.cat(drawn).to(logits.device)

    def _take(self, chosen: torch.Tensor, active: list[int]) -> list[int]:
        """Note the new tokens; places within `active` of the rows that go on."""
        if self.job is not None:
            if self.on_text is None:
                self.job.check()
            elif self.job.stopping:
                for i in active:
                    self.ended[i] = "stopped"
                return []
        keep = []
        for k, (i, token) in enumerate(zip(active, chosen.tolist(), strict=True)):
            if token in self.model.end_ids:
                self.ended[i] = "end"
                continue
            self.tokens[i].append(token)
            if self.on_text is not None:
                self.on_text(self.rows[i], self._text(i))
            if len(self.tokens[i]) < self.limit:
                keep.append(k)
        return keep

    def _text(self, i: int) -> str:
        text = self.model.tokenizer.decode(self.tokens[i], skip_special_tokens=True)
        return text.rstrip("\ufffd").strip()  # half of a multi-byte character, the rest still to come


def _groups(lengths: list[int]) -> list[list[int]]:
    """Runs of rows (ascending lengths) that differ little enough to share one prefill."""
    groups: list[list[int]] = []
    for i, length in enumerate(lengths):
        if groups and length - lengths[groups[-1][0]] <= _LIKE:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _join(caches: list[DynamicCache]) -> tuple[DynamicCache, int]:
    """One cache of all rows, padded on the left to the longest; and that length."""
    width = max(cache.get_seq_length() for cache in caches)
    if len(caches) == 1:
        return caches[0], width
    joined = DynamicCache()
    for layer in range(len(caches[0].layers)):
        parts = [cache.layers[layer] for cache in caches]
        joined.update(
            torch.cat([_pad_left(part.keys, width) for part in parts]),
            torch.cat([_pad_left(part.values, width) for part in parts]),
            layer,
        )
    return joined, width


def _pad_left(states: torch.Tensor, width: int) -> torch.Tensor:
    """(rows, heads, tokens, d) with zeros put before the first token."""
    return F.pad(states, (0, 0, width - states.shape[2], 0))
