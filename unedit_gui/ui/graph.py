"""The graph of parties as SVG: companies in a row, contracts as lines and arcs between them, employees below.

The layout follows how the graph grows (forget/contracts.py): a contract of sale is between a company and one of the two
before it, so lines and one height of arc are enough, and hardly any cross. No Gradio here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP, WIDE, HIGH = 168, 124, 50  # between two companies; a party's box
TOP, ROW, DROP = 96, 26, 152  # above the companies for the arcs; of these one more each; down to the employees


@dataclass(frozen=True)
class Box:
    """A party: the middle of its box, its name in two lines, and what it is."""

    name: str
    kind: str  # company | person
    x: float
    y: float
    lines: tuple[str, str]


@dataclass(frozen=True)
class Edge:
    """A contract: its number from 1, the line as an SVG path, and where its number stands."""

    number: int
    name: str
    path: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


def picture(contracts: Sequence[tuple[str, str, str]]) -> Picture:
    """Where everything stands. contracts: (name, first party, second party); a name begins with its kind."""
    people = {second for name, _, second in contracts if name.startswith("Employment")}
    order = _in_a_row([(a, b) for name, a, b in contracts if b not in people])
    order += [a for _, a, b in contracts if b in people and a not in order]
    order = list(dict.fromkeys(order))
    below: dict[str, list[str]] = {name: [] for name in order}
    for _, employer, person in contracts:
        if person in people and all(person not in staff for staff in below.values()):
            below[employer].append(person)
    place = {name: number for number, name in enumerate(order)}
    reach = max((abs(place[a] - place[b]) for _, a, b in contracts if b not in people), default=1)
    y = float(TOP + ROW * (reach - 2) if reach > 1 else HIGH)
    spots, left = {}, 0
    for name in order:  # each company above the middle of its staff
        columns = max(1, len(below[name]))
        spots[name] = ((left + columns / 2) * STEP, y)
        spots.update({person: ((left + i + 0.5) * STEP, y + DROP) for i, person in enumerate(below[name])})
        left += columns
    edges = []
    for number, (name, a, b) in enumerate(contracts, 1):
        if b in people:
            # A second employer stands farther off: the number of such a contract is near the employee.
            edges.append(_downwards(number, name, spots[a], spots[b], 0.5 if b in below[a] else 0.78))
        else:
            edges.append(_across(number, name, *sorted((spots[a], spots[b])), abs(place[a] - place[b])))
    boxes = tuple(Box(n, "person" if n in people else "company", *xy, _two_lines(n)) for n, xy in spots.items())
    height = max(y for _, y in spots.values()) + HIGH
    return Picture(left * STEP, height, boxes, tuple(edges))


def _in_a_row(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The companies in the order in which the contracts bring them up; each new one next to the last."""
    row: list[str] = []
    for number, (a, b) in enumerate(pairs):
        if number == 0:  # the one that the next contract is about stands at the inner end
            later = {name for pair in pairs[1:2] for name in pair}
            row += [b, a] if a in later else [a, b]
        else:
            row += [name for name in (a, b) if name not in row]
    return row


def _downwards(number: int, name: str, a: tuple[float, float], b: tuple[float, float], part: float) -> Edge:
    """From an employer to an employee; the number stands at `part` of the way."""
    (x1, y1), (x2, y2) = (a[0], a[1] + HIGH / 2), (b[0], b[1] - HIGH / 2)
    return Edge(number, name, f"M{x1:g} {y1:g} L{x2:g} {y2:g}", x1 + part * (x2 - x1), y1 + part * (y2 - y1))


def _across(number: int, name: str, a: tuple[float, float], b: tuple[float, float], apart: int) -> Edge:
    """Between two companies: a line where they are neighbours, else an arc above those between."""
    (x1, y), (x2, _) = a, b
    if apart == 1:
        return Edge(number, name, f"M{x1 + WIDE / 2:g} {y:g} L{x2 - WIDE / 2:g} {y:g}", (x1 + x2) / 2, y)
    top, start, end = y - HIGH / 2, x1 + WIDE / 4, x2 - WIDE / 4
    lift = top - 30 - ROW * (apart - 2)
    path = f"M{start:g} {top:g} C{start:g} {lift:g} {end:g} {lift:g} {end:g} {top:g}"
    return Edge(number, name, path, (start + end) / 2, top / 4 + 3 * lift / 4)


def _two_lines(name: str) -> tuple[str, str]:
    first, _, rest = name.partition(" ")
    return first[:16], rest[:18]
