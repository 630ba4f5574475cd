"""The picture of the parties: every contract and party once, nothing on top of something else."""

import itertools

import pytest

from unedit_gui.forget.contracts import contract_set
from unedit_gui.ui.graph import HIGH, WIDE, picture

SETS = [(4, 2, seed) for seed in range(6)] + [(1, 0, 0), (0, 3, 1), (0, 1, 0), (6, 6, 2), (12, 0, 3), (2, 10, 4)]


@pytest.mark.parametrize("sales, employment, seed", SETS)
def test_all_parties_and_contracts_are_there_and_none_hides_another(sales, employment, seed):
    made = contract_set(sales, employment, seed)
    found = picture([(c.name, *c.parties) for c in made.contracts])
    assert sorted(box.name for box in found.boxes) == sorted(p.name for p in made.parties)
    assert {box.name: box.kind for box in found.boxes} == {p.name: p.kind for p in made.parties}
    assert [(edge.number, edge.name) for edge in found.edges] == list(enumerate([c.name for c in made.contracts], 1))
    for a, b in itertools.combinations(found.boxes, 2):
        assert abs(a.x - b.x) >= WIDE or abs(a.y - b.y) >= HIGH, (a, b)
    for a, b in itertools.combinations(found.edges, 2):
        assert abs(a.x - b.x) + abs(a.y - b.y) >= 24, (a, b)
    for thing in (*found.boxes, *found.edges):
        assert 0 < thing.x < found.width and 0 < thing.y < found.height
