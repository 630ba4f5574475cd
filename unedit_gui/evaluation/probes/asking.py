"""Puts what the probes ask to the original and to every edit.

Which rows stand in one batch moves the last digits of their numbers, and now and then a reply with them. So a batch
holds rows of one probe and one variant, and what is in it follows from the probe's items alone: then the same probe
gives the same digits, whatever else is probed, whoever stands beside it, and whatever was kept of earlier times.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...jobs import Job
from .base import Ask, Said

if TYPE_CHECKING:
    from ...edits.edit import Edit
    from ...models.chat import Prompt
    from ...models.loading import LoadedModel

ROWS_AT_ONCE = 32
Stack = tuple["Edit", ...]
Heard = dict[tuple[str, Ask, int], Said]  # by probe, what was asked, and the place of the variant


@dataclass(frozen=True)
class Batch:
    """What is put to one variant at once: greedy replies, the draws of one ask, or likelihoods."""

    probe: str
    place: int
    what: str  # replies | samples | likelihoods
    asks: tuple[Ask, ...]

    @property
    def rows(self) -> int:
        return sum(ask.draws * max(1, len(ask.options)) for ask in self.asks)


def hear(
    model: LoadedModel,
    stacks: Sequence[Stack],
    asks: Mapping[str, Sequence[Ask]],
    *,
    max_new_tokens: int,
    seed: int,
    cache: MutableMapping[str, Any],
    job: Job,
) -> Heard:
    """What each variant says to each ask of each probe. stacks: the variants' edits, oldest first; () is the original.

    cache: the original's replies by model and batch; read, and added to. The edits are attached only while a batch
    runs, and between two batches chat replies are let through. Raises Stopped.
    """
    room = _Room(model, stacks, max_new_tokens, seed, job)
    heard: Heard = {}
    todo: list[tuple[Batch, str | None]] = []
    for place, stack in enumerate(stacks):
        for probe, some in asks.items():
            for batch in room.batches(probe, place, list(dict.fromkeys(some))):
                name = None if stack else room.key(batch)
                if name in cache:
                    kept = zip(batch.asks, cache[name]["said"], strict=True)
                    heard |= {(probe, ask, place): tuple(said) for ask, said in kept}
                else:
                    todo.append((batch, name))
    done, total = 0, sum(batch.rows for batch, _ in todo)
    for batch, name in todo:
        job.progress(f"Probing: {batch.what}", done, total)
        found = room.hear(batch)
        heard |= {(batch.probe, ask, batch.place): said for ask, said in zip(batch.asks, found, strict=True)}
        if name is not None:
            cache[name] = {"said": [list(said) for said in found]}
        done += batch.rows
        job.breathe()
    return heard


class _Room:
    """One model with its variants, and the ways to ask them."""

    def __init__(self, model: LoadedModel, stacks: Sequence[Stack], max_new_tokens: int, seed: int, job: Job):
        self.model, self.stacks = model, stacks
        self.limit, self.seed, self.job = max_new_tokens, seed, job

    def batches(self, probe: str, place: int, asks: Sequence[Ask]) -> list[Batch]:
        """A probe's asks in batches for one variant, those with prompts of like length together."""
        greedy = [ask for ask in asks if not ask.options and ask.draws == 1]
        greedy.sort(key=lambda ask: len(self._prompt(ask, place)))
        found = [
            Batch(probe, place, "replies", tuple(greedy[start : start + ROWS_AT_ONCE]))
            for start in range(0, len(greedy), ROWS_AT_ONCE)
        ]
        found += [Batch(probe, place, "samples", (ask,)) for ask in asks if ask.draws > 1]
        measured = tuple(ask for ask in asks if ask.options)
        return [*found, Batch(probe, place, "likelihoods", measured)] if measured else found

    def key(self, batch: Batch) -> str:
        """Names what the original says to a batch: same weights, dtype, device, length, words, and the tokens that the
        chat template makes of them; drawn ones by seed too."""
        from ..metrics import answer_ids

        model, asks = self.model, batch.asks
        prompts = [self._prompt(ask, batch.place) for ask in asks]
        options = [[answer_ids(model, p, o) for o in ask.options] for p, ask in zip(prompts, asks, strict=True)]
        parts: list[Any] = ["probes", model.fingerprint, str(model.dtype), model.device.type, self.limit, model.end_ids]
        parts += [self.seed if any(ask.draws > 1 for ask in asks) else None, [_plain(asdict(ask)) for ask in asks]]
        return hashlib.sha256(json.dumps([*parts, prompts, options]).encode()).hexdigest()[:32]

    def hear(self, batch: Batch) -> list[Said]:
        """What the variant says to each ask of a batch."""
        if batch.what == "replies":
            prompts = [self._prompt(ask, batch.place) for ask in batch.asks]
            return [(text,) for text in self._replies(prompts, batch.place)]
        if batch.what == "samples":
            return [self._samples(ask, batch.place) for ask in batch.asks]
        return self._likelihoods(batch.asks, batch.place)

    def _replies(self, prompts: Sequence[Prompt], place: int, **more: Any) -> list[str]:
        from ...edits.variants import Variants
        from ...models.generation import generate

        how = dict(max_new_tokens=self.limit, job=self.job, batch_size=ROWS_AT_ONCE)
        with Variants(self.model, [self.stacks[place]] * len(prompts)) as variants:
            return [reply.text for reply in generate(self.model, prompts, variants=variants, **how, **more)]

    def _samples(self, ask: Ask, place: int) -> Said:
        """All draws of an ask, by themselves."""
        from ...models.generation import Sampling

        prompt, said = self._prompt(ask, place), []
        for start in range(0, ask.draws, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, ask.draws - start)
            drawn = dict(sampling=Sampling(temperature=1.0), seed=_number(f"{self.seed} {start} {ask}"))
            said += self._replies([prompt] * count, place, **drawn)
        return tuple(said)

    def _likelihoods(self, asks: Sequence[Ask], place: int) -> list[Said]:
        """The log-likelihood of each option as the reply, rows of like length together."""
        from ...edits.variants import Variants
        from ..metrics import token_scores

        prompts = {ask: self._prompt(ask, place) for ask in asks}
        pairs = [(ask, option) for ask in asks for option in ask.options]
        pairs.sort(key=lambda pair: len(prompts[pair[0]]) + len(pair[1]) / 4)  # about four letters a token
        found: dict[tuple[Ask, str], float] = {}
        for start in range(0, len(pairs), ROWS_AT_ONCE):
            batch = pairs[start : start + ROWS_AT_ONCE]
            with Variants(self.model, [self.stacks[place]] * len(batch)) as variants:
                scores = token_scores(
                    self.model,
                    [prompts[ask] for ask, _ in batch],
                    [option for _, option in batch],
                    variants=variants,
                    batch_size=ROWS_AT_ONCE,
                    job=self.job,
                )
            for pair, score in zip(batch, scores, strict=True):
                found[pair] = math.log(max(score.probability, 5e-324))
            self.job.breathe()
        return [tuple(found[ask, option] for option in ask.options) for ask in asks]

    def _prompt(self, ask: Ask, place: int) -> Prompt:
        """Token ids up to where the model is to go on: with the reply's given beginning, where there is one."""
        from ...edits.prompts import prompt_for
        from ...models.chat import Prompt
        from ..metrics import answer_ids

        history = [{"role": role, "content": text} for role, text in ask.history]
        prompt = prompt_for(self.model, history, self.stacks[place])
        if not ask.lead:
            return prompt
        return Prompt([*prompt, *answer_ids(self.model, prompt, ask.lead)], prompt.asked, prompt.shown)


def _plain(values: Mapping[str, Any]) -> list:
    return [[name, values[name]] for name in sorted(values)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
