"""Puts what the probes ask to the original and to every edit, as rows of the same batches."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...jobs import Job
from .base import Ask, Said

if TYPE_CHECKING:
    from ...edits.edit import Edit
    from ...models.chat import Prompt
    from ...models.loading import LoadedModel

ROWS_AT_ONCE = 32
Stack = tuple["Edit", ...]
Heard = dict[tuple[Ask, int], Said]  # by what was asked and the place of the variant


def hear(
    model: LoadedModel,
    stacks: Sequence[Stack],
    asks: Sequence[Ask],
    *,
    max_new_tokens: int,
    seed: int,
    cache: MutableMapping[str, Any],
    job: Job,
) -> Heard:
    """What each variant says to each ask. stacks: the variants' edits, oldest first; () is the original.

    cache: the original's replies by model and ask; read, and added to. Rows of like length run together; the edits are
    attached only while a batch runs, and between two batches chat replies are let through. Raises Stopped.
    """
    asks = list(dict.fromkeys(asks))
    heard: Heard = {}
    todo: list[tuple[Ask, int]] = []
    for place, stack in enumerate(stacks):
        for ask in asks:
            kept = None if stack else cache.get(key(model, ask, max_new_tokens, seed))
            if kept is None:
                todo.append((ask, place))
            else:
                heard[ask, place] = tuple(kept["said"])
    room = _Room(model, stacks, max_new_tokens, seed, job)
    for some in (
        room.replies([row for row in todo if not row[0].options and row[0].draws == 1]),
        room.samples([row for row in todo if row[0].draws > 1]),
        room.likelihoods([row for row in todo if row[0].options]),
    ):
        for (ask, place), said in some:
            heard[ask, place] = said
            if not stacks[place]:
                cache[key(model, ask, max_new_tokens, seed)] = {"said": list(said)}
    return heard


class _Room:
    """One model with its variants, and the ways to ask them."""

    def __init__(self, model: LoadedModel, stacks: Sequence[Stack], max_new_tokens: int, seed: int, job: Job):
        self.model, self.stacks = model, stacks
        self.limit, self.seed, self.job = max_new_tokens, seed, job

    def replies(self, rows: list[tuple[Ask, int]]):
        """Greedy replies, yielded as ((ask, place), (text,))."""
        from ...edits.variants import Variants
        from ...models.generation import generate

        prompts = {row: self._prompt(*row) for row in rows}
        rows = sorted(rows, key=lambda row: len(prompts[row]))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            self.job.progress("Probing: replies", start, len(rows))
            batch = rows[start : start + ROWS_AT_ONCE]
            with Variants(self.model, [self.stacks[place] for _, place in batch]) as variants:
                found = generate(
                    self.model,
                    [prompts[row] for row in batch],
                    max_new_tokens=self.limit,
                    variants=variants,
                    job=self.job,
                    batch_size=ROWS_AT_ONCE,
                )
            yield from ((row, (reply.text,)) for row, reply in zip(batch, found, strict=True))
            self.job.breathe()

    def samples(self, rows: list[tuple[Ask, int]]):
        """All draws of an ask in a batch of their own, so that they are the same whatever else is asked."""
        from ...edits.variants import Variants
        from ...models.generation import Sampling, generate

        for done, (ask, place) in enumerate(rows):
            self.job.progress("Probing: samples", done, len(rows))
            prompt, said = self._prompt(ask, place), []
            for start in range(0, ask.draws, ROWS_AT_ONCE):
                count = min(ROWS_AT_ONCE, ask.draws - start)
                with Variants(self.model, [self.stacks[place]] * count) as variants:
                    found = generate(
                        self.model,
                        [prompt] * count,
                        max_new_tokens=self.limit,
                        sampling=Sampling(temperature=1.0),
                        seed=_number(f"{self.seed} {start} {ask}"),
                        variants=variants,
                        job=self.job,
                        batch_size=ROWS_AT_ONCE,
                    )
                said += [reply.text for reply in found]
                self.job.breathe()
            yield (ask, place), tuple(said)

    def likelihoods(self, rows: list[tuple[Ask, int]]):
        """The log-likelihood of each option as the reply."""
        from ...edits.variants import Variants
        from ..metrics import token_scores

        prompts = {row: self._prompt(*row) for row in rows}
        pairs = [(row, option) for row in rows for option in row[0].options]
        pairs.sort(key=lambda pair: len(prompts[pair[0]]) + len(pair[1]) / 4)  # about four letters a token
        found: dict[tuple[tuple[Ask, int], str], float] = {}
        for start in range(0, len(pairs), ROWS_AT_ONCE):
            self.job.progress("Probing: likelihoods", start, len(pairs))
            batch = pairs[start : start + ROWS_AT_ONCE]
            with Variants(self.model, [self.stacks[row[1]] for row, _ in batch]) as variants:
                scores = token_scores(
                    self.model,
                    [prompts[row] for row, _ in batch],
                    [option for _, option in batch],
                    variants=variants,
                    batch_size=ROWS_AT_ONCE,
                    job=self.job,
                )
            for pair, score in zip(batch, scores, strict=True):
                found[pair] = math.log(max(score.probability, 5e-324))
            self.job.breathe()
        for row in rows:
            yield row, tuple(found[row, option] for option in row[0].options)

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


def key(model: LoadedModel, ask: Ask, max_new_tokens: int, seed: int) -> str:
    """Names what the original says to an ask: same weights, dtype, device, words and length; drawn ones by seed too."""
    parts: list[Any] = ["probe", model.fingerprint, str(model.dtype), model.device.type, max_new_tokens]
    parts += [seed if ask.draws > 1 else None, _plain(asdict(ask))]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:32]


def _plain(values: Mapping[str, Any]) -> list:
    return [[name, values[name]] for name in sorted(values)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
