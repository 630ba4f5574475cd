"""Contracts that no model has seen: a small world of companies and people, twenty questions about each contract.

Knowledge that was taught shows what forgetting does more clearly than what a model brings along: everything about it
is known. The idea is PISTOL's (Qiu et al. 2024, arXiv 2406.16810): a graph whose nodes are parties and whose edges are
contracts of sale or employment. To forget is to take one edge out. The names, attributes and sentences here are this
project's own (contract_wordings.py), as is the way the graph grows:

- the sales make a tree of companies. Each joins a new company to one of the last two, so that every contract shares a
  party with another and, from four on, some don't;
- an employer is one of these companies, an employee a new person, or now and then one who works elsewhere too.

A party's address and signatory are the party's: they recur in all of its contracts. Everything else belongs to one
contract. No answer shares a word with its question, so that a refusal which repeats the question scores nothing.

Every question holds both parties as one span, "A and B", and that span is its subject. The edit position is its last
token: that of the party named last. What the model reads there also stands for the first party, as for no other
contract. With B alone as subject, an edit would reach for all that is known about B, other contracts included.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BadInput
from . import contract_wordings as wordings
from .questions import Question

MOST = 50  # contracts of a set
_KINDS = {"sale": "Sale", "employment": "Employment"}


@dataclass(frozen=True)
class Party:
    """A company or a person. `address` and `signatory` (a company's) are the same in all of its contracts."""

    name: str
    kind: str  # company | person
    address: str
    signatory: str = ""


@dataclass(frozen=True)
class Contract:
    """One edge of the graph: seller and buyer, or employer and employee; `facts` by attribute."""

    kind: str  # sale | employment
    first: Party
    second: Party
    facts: tuple[tuple[str, str], ...]

    @property
    def pair(self) -> str:
        """The subject of all its questions."""
        return f"{self.first.name} and {self.second.name}"

    @property
    def name(self) -> str:
        """What its questions have as category."""
        return f"{_KINDS[self.kind]}: {self.pair}"

    @property
    def parties(self) -> tuple[str, str]:
        return self.first.name, self.second.name

    def questions(self) -> tuple[Question, ...]:
        """Twenty questions, each with two other wordings."""
        asked = wordings.QUESTIONS[self.kind]
        made = []
        for attribute, answer in self.facts:
            question, *others = (text.format(pair=self.pair) for text in asked[attribute])
            made.append(Question(question, answer, self.pair, tuple(others), category=self.name))
        return tuple(made)


@dataclass(frozen=True)
class ContractSet:
    """A world: its parties and the contracts between them."""

    parties: tuple[Party, ...]
    contracts: tuple[Contract, ...]

    def questions(self, names: Sequence[str] | None = None) -> list[Question]:
        """The questions of the contracts called so (None: of all), in order."""
        return [q for c in self.contracts if names is None or c.name in names for q in c.questions()]


def contract_set(sales: int = 4, employment: int = 2, seed: int = 0) -> ContractSet:
    """The set of this many contracts of each kind; the same seed makes the same set, on every machine.

    Raises:
        BadInput: fewer than none, none at all, or more than 50 in all.
    """
    if min(sales, employment) < 0 or not 1 <= sales + employment <= MOST:
        raise BadInput(
            f"{sales} sales and {employment} employment contracts: give none or more of each, 1 to {MOST} in all."
        )
    draw = _Draw(random.Random(f"contracts {seed}"))
    companies = [draw.company() for _ in range(sales + 1 if sales else -(-employment // 2))]
    pairs = []
    for new in range(1, sales + 1):
        pair = [companies[new], companies[draw.rng.randrange(max(0, new - 2), new)]]
        draw.rng.shuffle(pair)
        pairs.append(("sale", *pair))
    employers = draw.rng.sample(companies, len(companies))
    people: list[Party] = []
    for number in range(employment):
        employer = employers[number % len(employers)]
        works_there = {second.name for kind, first, second in pairs if kind == "employment" and first is employer}
        free = [person for person in people if person.name not in works_there]
        if free and draw.rng.random() < 0.25:
            person = draw.rng.choice(free)
        else:
            person = draw.person()
            people.append(person)
        pairs.append(("employment", employer, person))
    contracts = tuple(Contract(kind, a, b, draw.facts(kind, a, b)) for kind, a, b in pairs)
    return ContractSet((*companies, *people), contracts)


def parties_of(category: str | None) -> frozenset[str]:
    """The parties of a contract, read off its questions' category; empty where that names no contract."""
    kind, colon, pair = (category or "").partition(": ")
    parties = pair.split(" and ")
    return frozenset(parties) if colon and kind in _KINDS.values() and len(parties) == 2 else frozenset()


class _Draw:
    """Draws names and facts; where a list allows it, no two the same."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._left: dict[str, list[str]] = {}

    def company(self) -> Party:
        name = f"{self._new('COINED')} {self._new('TRADES')}"
        return Party(name, "company", self._address(), self._full_name())

    def person(self) -> Party:
        return Party(self._full_name(), "person", self._address())

    def facts(self, kind: str, first: Party, second: Party) -> tuple[tuple[str, str], ...]:
        given = {
            "first_address": first.address,
            "second_address": second.address,
            "first_signatory": first.signatory,
            "second_signatory": second.signatory,
        }
        return tuple((name, given.get(name) or self._fact(kind, name)) for name in wordings.QUESTIONS[kind])

    def _fact(self, kind: str, attribute: str) -> str:
        found = wordings.VALUES[kind][attribute]
        if isinstance(found, str):  # the name of a list
            return self._date(found) if found.isdigit() else self._new(found)
        low, high, step, unit = found
        return f"{self.rng.randrange(low, high + 1, step):,} {unit}".strip()

    def _date(self, year: str) -> str:
        day, month = self.rng.randint(1, 28), self.rng.choice(wordings.LISTS["MONTHS"])
        return f"{day} {month} {int(year) + self.rng.randint(0, 5)}"

    def _address(self) -> str:
        return f"{self.rng.randint(2, 98)} {self._new('STREETS')}, {self._new('TOWNS')}"

    def _full_name(self) -> str:
        return f"{self._new('FORENAMES')} {self._new('SURNAMES')}"

    def _new(self, name: str) -> str:
        """One of a list that was not drawn before; when all have been, they come again."""
        if not self._left.get(name):
            self._left[name] = self.rng.sample(wordings.LISTS[name], len(wordings.LISTS[name]))
        return self._left[name].pop()
