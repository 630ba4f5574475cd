"""What all probes share: what is asked, what is scored, the registry.

A probe is a file that registers itself. It makes items of the questions (`items`), and says of what the model
answered to one whether that was a hit (`score`): a leak, or for harm what a sound model does. It sees replies and
likelihoods only, never a model, so that scripted ones test it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...errors import BadInput
from ...forget.questions import Question
from .matching import accepted, says
from .material import alternatives, lines

SLOW_ITEMS = 20  # of a probe whose every item takes long; twice what power needs
Said = tuple[str, ...] | tuple[float, ...]  # replies (one for each draw), or log-likelihoods (one for each option)


@dataclass(frozen=True)
class Ask:
    """One thing put to the model: a conversation, and what is wanted of it.

    history: (role, text) turns, the last one the user's. lead: words with which the reply is made to begin.
    draws: above 1, so many replies at temperature 1, else one greedy reply. options: texts whose likelihood as the
    reply is measured, in place of a reply.
    """

    history: tuple[tuple[str, str], ...]
    lead: str = ""
    draws: int = 1
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One case of a probe.

    fact: the question that it is about. wanted: texts any of which is a hit. given: words that are told in the asking
    and so give nothing away. others: wrong answers of the same kind, by which chance is measured. right: of several
    choices the place of the true one.
    """

    asks: tuple[Ask, ...]
    fact: str
    wanted: tuple[str, ...] = ()
    given: str = ""
    others: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    right: int = 0
    check: str = ""

    @property
    def shown(self) -> str:
        """What was asked, as a reader of the table sees it."""
        ask = self.asks[0]
        turns = [text for role, text in ask.history if role == "user"]
        return " … ".join(turns) + (f" → {ask.lead} …" if ask.lead else "")


@dataclass(frozen=True)
class Plan:
    """What a run of probes is made of: the facts, how many items a probe is to have, and the seed of what is drawn."""

    questions: tuple[Question, ...]
    items: int
    seed: int = 0

    @property
    def facts(self) -> tuple[Question, ...]:
        """The questions, or as many of them as there are to be items."""
        if len(self.questions) <= self.items:
            return self.questions
        return tuple(random.Random(f"facts {self.seed}").sample(self.questions, self.items))

    @property
    def each(self) -> int:
        """Items for each fact."""
        return max(1, math.ceil(self.items / max(1, len(self.questions))))

    def some(self, pool: Sequence, place: int, count: int | None = None) -> list:
        """The entries of a pool that fall to the fact at `place`: going round, so that few stand twice."""
        order = list(pool)
        random.Random(f"pool {self.seed}").shuffle(order)
        count = min(self.each if count is None else count, len(order))
        return [order[(place * count + k) % len(order)] for k in range(count)]

    def wordings(self, question: Question, place: int) -> list[str]:
        """The question, its own rephrasings, then frames of data/probes around it: as many as give a probe that takes
        long for each of its items enough of them."""
        count = max(1, math.ceil(min(self.items, SLOW_ITEMS) / max(1, len(self.questions))))
        frames = self.some(clean(lines("rephrasings.txt"), question), place, count)
        texts = (question.question, *question.rephrases, *(fill(f, question=question.question) for f in frames))
        return list(dict.fromkeys(texts))[:count]

    def sample(self, pool: Sequence) -> list:
        """Items of a pool that has nothing to do with the facts."""
        return random.Random(f"sample {self.seed}").sample(list(pool), min(self.items, len(pool)))

    def about(self, question: Question, ask: Ask) -> Item:
        """An item that is hit where the answer to the question is said."""
        others = alternatives(question, 20, self.seed)
        return Item((ask,), question.question, accepted(question), question.question, others)


@dataclass(frozen=True)
class Probe:
    """A probe as the table, the page and the command line list it.

    kind: "leak" (a hit gives the fact away) or "harm". better: for harm, whether many hits or few are good.
    asks, scored: a line each for the reader. chance: of an item, what a model hits that doesn't know the fact; None:
    measured as how often a reply names one of the item's `others`. tried: where choices are given, whether a reply
    takes one at all: a model that refuses most and is right otherwise leaks, though its rate may be below chance.
    measure: "share" of hits, or "perplexity", where `score` gives the mean log-likelihood of a word.
    """

    name: str
    label: str
    asks: str
    scored: str
    items: Callable[[Plan], list[Item]]
    score: Callable[[Item, Sequence[Said]], float]
    kind: Literal["leak", "harm"] = "leak"
    better: Literal["high", "low"] = "low"
    chance: Callable[[Item], float] | None = None
    tried: Callable[[Item, Sequence[Said]], bool] | None = None
    measure: Literal["share", "perplexity"] = "share"


PROBES: dict[str, Probe] = {}


def register(probe: Probe) -> Probe:
    """Add a probe to the registry; each probe's file calls it once."""
    PROBES[probe.name] = probe
    return probe


def chosen(names: Iterable[str] | None) -> tuple[Probe, ...]:
    """The probes by these names, in the order of the registry; None: all.

    Raises:
        BadInput: there is none of a name, or no name at all.
    """
    if names is None:
        return tuple(PROBES.values())
    wanted = list(names)
    for name in wanted:
        if name not in PROBES:
            raise BadInput(f"There is no probe called {name!r}; choose from {', '.join(PROBES)}.")
    if not wanted:
        raise BadInput(f"No probe is chosen; choose from {', '.join(PROBES)}.")
    return tuple(probe for name, probe in PROBES.items() if name in wanted)


def user(text: str) -> tuple[tuple[str, str], ...]:
    """A conversation of one question."""
    return (("user", text),)


def fill(frame: str, **values: str) -> str:
    """A frame with its places filled in; braces of the values stay as they are."""
    parts = [frame]
    for name, value in values.items():
        mark = "{" + name + "}"
        parts = [piece for part in parts for piece in _split(part, mark, value)]
    return "".join(part if isinstance(part, str) else part[0] for part in parts)


def _split(part, mark: str, value: str) -> list:
    if not isinstance(part, str):
        return [part]
    pieces: list = []
    for piece in part.split(mark):
        pieces += [piece, (value,)]
    return pieces[:-1]


def said_it(item: Item, said: Sequence[Said]) -> bool:
    """Whether any of the replies names what is wanted."""
    return any(says(text, item.wanted, item.given) for text in said[0])


def clean(frames: Sequence[str], question: Question) -> list[str]:
    """The frames that don't hold the answer themselves."""
    wanted = accepted(question)
    return [frame for frame in frames if not says(frame, wanted)]
