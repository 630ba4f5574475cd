"""Runs probes: makes their items, asks the original and every edit the same, and counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import BadInput
from ...forget.questions import Question
from ...jobs import Job
from .asking import Stack, hear
from .base import Item, Plan, Probe, Said, chosen
from .report import LEAST, Case, Probed, Rate, Row, perplexity, share, verdict

if TYPE_CHECKING:
    from ...models.loading import LoadedModel

ITEMS = 40  # of each leak probe: with n = 40 a Wilson interval is at most 0.3 wide
MORE_HARM = 1.5  # times as many of each harm probe: there small differences are looked for
REPLY_TOKENS = 32
ALTERNATIVES = 20


def probe(
    model: LoadedModel,
    stacks: Sequence[Stack],
    questions: Sequence[Question],
    probes: Iterable[str] | None = None,
    *,
    items: int = ITEMS,
    max_new_tokens: int = REPLY_TOKENS,
    seed: int = 0,
    cache: MutableMapping[str, Any] | None = None,
    job: Job | None = None,
) -> Probed:
    """Probe the original and the edits of each stack (oldest first; the last gives it its name).

    Args: questions: what was to be forgotten. probes: their names; None: all. items: about how many for each leak
        probe (half as many again for harm); at least one for each question, up to that number of questions.
        cache: what the original said, see `hear`.

    Raises:
        BadInput: no question, an unknown probe, or less than one item or token.
    """
    wanted = chosen(probes)
    if not questions:
        raise BadInput("There are no questions to probe; add at least one that was to be forgotten.")
    if items < 1 or max_new_tokens < 1:
        raise BadInput(f"{items} items and {max_new_tokens} tokens: give 1 or more of each.")
    plan = Plan(tuple(questions), items, seed)
    wide = replace(plan, items=math.ceil(items * MORE_HARM))
    made = {p.name: p.items(wide if p.kind == "harm" else plan) for p in wanted}
    everybody: list[Stack] = [(), *stacks]
    asks = {name: [ask for item in found for ask in item.asks] for name, found in made.items()}
    settings = dict(max_new_tokens=max_new_tokens, seed=seed, cache={} if cache is None else cache)
    heard = hear(model, everybody, asks, job=job or Job("probe"), **settings)
    rows, cases = [], []
    for p in wanted:
        said = [
            [tuple(heard[p.name, ask, place] for ask in item.asks) for item in made[p.name]]
            for place in range(len(everybody))
        ]
        rows.append(count(p, made[p.name], said))
        cases += _cases(p, made[p.name], said)
    edits = tuple((stack[-1].id, stack[-1].name) for stack in stacks)
    return Probed(edits, tuple(rows), tuple(cases), _notes(rows, plan, len(stacks)))


def count(probe: Probe, items: Sequence[Item], said: Sequence[Sequence[Sequence[Said]]]) -> Row:
    """A probe's row of the table from what was said: said[variant][item] holds one answer for each of the item's asks,
    the original's first. Needs no model."""
    scores = [[probe.score(item, told) for item, told in zip(items, one, strict=True)] for one in said]
    rates = [_rate(probe, values, scores[0]) for values in scores]
    if probe.tried is not None:
        tried = [sum(probe.tried(item, told) for item, told in zip(items, one, strict=True)) for one in said]
        rates = [replace(rate, tried=count) for rate, count in zip(rates, tried, strict=True)]
    row = Row(
        probe.name,
        probe.label,
        probe.kind,
        probe.better,
        probe.measure,
        probe.asks,
        probe.scored,
        _chance(probe, items, said[1:] or said),
        rates[0],
        tuple(rates[1:]),
        (),
    )
    return replace(row, verdicts=tuple(verdict(row, rate) for rate in row.edits))


def _rate(probe: Probe, values: Sequence[float], original: Sequence[float]) -> Rate:
    if probe.measure == "perplexity":
        return perplexity(values, original)
    return share(sum(map(bool, values)), len(values))


def _chance(probe: Probe, items: Sequence[Item], said: Sequence[Sequence[Sequence[Said]]]) -> float | None:
    """The probe's own chance level, averaged over items; else how often the same replies name a wrong answer of the
    kind, averaged over those."""
    if probe.kind == "harm" or not items:
        return None
    if probe.chance is not None:
        return sum(map(probe.chance, items)) / len(items)
    named = [
        bool(probe.score(replace(item, wanted=(other,)), told))
        for one in said
        for item, told in zip(items, one, strict=True)
        for other in item.others
    ]
    return sum(named) / len(named) if named else 0.0


def _cases(probe: Probe, items: Sequence[Item], said: Sequence[Sequence[Sequence[Said]]]) -> list[Case]:
    found = []
    for place, item in enumerate(items):
        told = [one[place] for one in said]
        scores = tuple(float(probe.score(item, answers)) for answers in told)
        wanted = item.choices[item.right] if item.choices else " / ".join(item.wanted)
        texts = tuple(_text(probe, item, answers) for answers in told)
        found.append(Case(probe.name, probe.kind, item.fact, item.shown, wanted, texts, scores))
    return found


def _text(probe: Probe, item: Item, said: Sequence[Said]) -> str:
    """What is shown of an answer: the reply; of several the first that hits; of likelihoods what is ahead."""
    if not item.asks[0].options:
        return next((text for text in said[0] if len(said[0]) > 1 and probe.score(item, ((text,),))), said[0][0])
    if len(said) == 1:
        return f"log-likelihood {sum(said[0]):.1f}"
    gains = [asked - unasked for asked, unasked in zip(*said, strict=True)]
    rank = 1 + sum(gain > gains[0] for gain in gains[1:])
    return f"{item.choices[gains.index(max(gains))]} is ahead; {item.choices[0]} is number {rank} of {len(gains)}"


def _notes(rows: Sequence[Row], plan: Plan, edits: int) -> tuple[str, ...]:
    notes = []
    few = [row.label for row in rows if 0 < row.original.n < LEAST]
    if few:
        said = f"No power: of {', '.join(few)} fewer than {LEAST} items were asked; take more items, or more facts."
        notes.append(said)
    guessed = [row.label for row in rows if row.original.n >= LEAST <= (row.original.hits or 0) and row.guessed]
    if guessed:
        notes.append(f"No power: of {', '.join(guessed)} the original itself gets no more right than by chance.")
    weak = [row.label for row in rows if row.original.n and not row.power and row.label not in (*few, *guessed)]
    if weak:
        notes.append(
            f"No power: of {', '.join(weak)} the original itself gets fewer than {LEAST} right that way, so nothing "
            "follows for the edit."
        )
    empty = [row.label for row in rows if not row.original.n]
    if empty:
        notes.append(f"No items could be made for {', '.join(empty)}.")
    if len(plan.facts) < len(plan.questions):
        notes.append(f"{len(plan.facts)} of the {len(plan.questions)} questions were probed, drawn by the seed.")
    if edits and any(row.kind == "leak" for row in rows):
        notes.append(
            "Items about one fact are not independent of each other, so intervals are narrower than over facts. A "
            "probe that finds nothing is no proof that nothing is left."
        )
    return tuple(notes)
