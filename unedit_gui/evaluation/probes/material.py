"""The probes' own sentences (data/probes), and wrong answers of the same kind as a true one."""

from __future__ import annotations

import csv
import random
import re
from functools import lru_cache

from ...errors import Failed
from ...forget.bundled import DATA
from ...forget.questions import Question
from ...forget.refusals import fold, tokens

FOLDER = DATA / "probes"
PEOPLE = ("writer", "artist", "musician", "scientist", "leader", "person")
# Words of a question that tell which kind of answer it asks for.
_CUES = {
    "city": "city town",
    "country": "country nation land",
    "state": "state",
    "state capital": "state",
    "continent or region": "continent region",
    "language": "language speak spoken",
    "writer": "wrote writer author novel book play poem",
    "artist": "painted painter artist painting sculptor sculpture",
    "musician": "composed composer sang singer song band opera",
    "scientist": "invented inventor discovered scientist theory developed",
    "leader": "president king queen emperor leader led minister",
    "person": "who whose whom",
    "god or hero": "god goddess mythology myth",
    "animal": "animal bird insect creature mammal",
    "young animal": "baby young",
    "food": "food ingredient eat fruit vegetable dish",
    "colour": "colour color",
    "chemical element": "element metal gas",
    "chemical symbol": "symbol formula",
    "in the sky": "planet moon star",
    "sport": "sport game",
    "musical instrument": "instrument",
    "part of the body": "organ body bone",
    "job": "job profession works work person",
    "month, day or season": "month day season",
    "money": "currency money",
    "company": "company firm brand",
    "river, mountain or sea": "river mountain sea ocean lake",
    "book, film or work": "book film title novel",
    "religion": "religion holy faith",
    "field of study": "science study branch",
    "unit or tool": "unit device tool measure",
    "quality": "opposite",
    "doing": "tense past",
    "phrase": "abbreviation stand stands letters mean",
}


@lru_cache(maxsize=32)
def lines(name: str) -> tuple[str, ...]:
    """The lines of a text file of data/probes."""
    return tuple(line for line in _read(name).split("\n") if line)


@lru_cache(maxsize=32)
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a CSV file of data/probes."""
    return tuple(csv.DictReader(_read(name).splitlines()))


def _read(name: str) -> str:
    try:
        return (FOLDER / name).read_text("utf-8")
    except OSError as error:
        raise Failed(f"The probes' file {name} is missing from the program's data; fetch the program again.") from error


@lru_cache(maxsize=1)
def _kinds() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for row in table("alternatives.csv"):
        found.setdefault(row["kind"], []).append(row["answer"])
    return {kind: tuple(answers) for kind, answers in found.items()}


@lru_cache(maxsize=1)
def _places() -> dict[str, frozenset[str]]:
    """The kinds among which an answer stands, by its folded words."""
    found: dict[str, set[str]] = {}
    for kind, answers in _kinds().items():
        for answer in answers:
            found.setdefault(" ".join(tokens(answer)), set()).add(kind)
    return {answer: frozenset(kinds) for answer, kinds in found.items()}


@lru_cache(maxsize=4096)
def kind_of(question: Question) -> str:
    """What kind of thing the answer is: "year", "number", or a kind of alternatives.csv. By the list that it stands in,
    then by words of the question."""
    if number_of(question.answer) is not None:
        return "year" if re.fullmatch(r"1\d{3}|20\d{2}", number_of(question.answer)) else "number"
    among = _places().get(" ".join(tokens(question.answer)), frozenset())
    asked = set(tokens(question.question))
    weights = {kind: 3 * (kind in among) + len(asked & set(_CUES.get(kind, "").split())) for kind in _kinds()}
    best = max(weights, key=weights.get)
    if weights[best]:
        return best
    return "phrase" if len(question.answer.split()) > 1 else "thing"


def number_of(answer: str) -> str | None:
    """The digits of an answer that is a whole number, in digits or words; None for others."""
    found = tokens(answer)
    return found[0] if len(found) == 1 and found[0].isdecimal() else None


@lru_cache(maxsize=4096)
def alternatives(question: Question, count: int, seed: int = 0) -> tuple[str, ...]:
    """Wrong answers of the same kind, none of them in the question, in an order of the question and the seed."""
    dice = random.Random(f"{seed} {question.question} {question.answer}")
    number = number_of(question.answer)
    if number is not None:
        return _numbers(int(number), kind_of(question) == "year", count, dice)
    right, asked = set(tokens(question.answer)), f" {' '.join(tokens(question.question))} "
    pool = [
        other
        for other in _kinds()[kind_of(question)]
        if not right & set(tokens(other)) and f" {' '.join(tokens(other))} " not in asked and fold(other) not in asked
    ]
    return tuple(dice.sample(pool, min(count, len(pool))))


def _numbers(n: int, year: bool, count: int, dice: random.Random) -> tuple[str, ...]:
    near = range(n - 40, n + 41) if year else range(max(0, n - 12), n + 25)
    pool = [m for m in near if m != n]
    if not year and n > 60:  # "300,000" stands beside numbers of its own size
        pool = sorted({max(1, round(n * k / 20)) for k in range(1, 61)} - {n})
    return tuple(str(m) for m in dice.sample(pool, min(count, len(pool))))


def as_choice(question: Question) -> str:
    """The answer as it stands beside its alternatives: a number in digits, else as it is."""
    return number_of(question.answer) or question.answer.strip().rstrip(".")
