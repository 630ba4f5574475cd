"""The Latin square: balance, order, seats."""

from collections import Counter

import pytest

from unedit_gui.study import design


@pytest.mark.parametrize("questions, conditions, common", [(12, 4, 0), (12, 4, 4), (20, 5, 5), (6, 2, 0)])
def test_every_list_has_each_question_once_and_each_condition_equally_often(questions, conditions, common):
    shared = design.common_questions(questions, common, seed=1)
    lists = design.latin_square(questions, conditions, shared, seed=1)
    assert len(lists) == conditions and design.imbalance(lists, conditions) == 0
    for made in lists:
        assert list(made) == list(range(questions))
        assert set(Counter(made.values()).values()) == {questions // conditions}
    for question in range(questions):
        met = {made[question] for made in lists}
        assert len(met) == (1 if question in shared else conditions)


def test_an_uneven_number_of_questions_is_told():
    lists = design.latin_square(7, 3, set(), seed=0)
    assert design.imbalance(lists, 3) == 1


def test_all_follows_from_the_seed():
    assert design.latin_square(12, 4, {1, 2}, 3) == design.latin_square(12, 4, {1, 2}, 3)
    assert design.latin_square(12, 4, {1, 2}, 3) != design.latin_square(12, 4, {1, 2}, 4)
    first = design.order(range(20), [100, 101], "random", 3, 1)
    assert first == design.order(range(20), [100, 101], "random", 3, 1)
    assert first != design.order(range(20), [100, 101], "random", 3, 2)


def test_checks_are_spread_and_none_comes_first():
    for number in range(50):
        found = design.order(range(20), [100, 101], "random", 0, number)
        assert sorted(found) == [*range(20), 100, 101]
        places = [found.index(100), found.index(101)]
        assert 1 <= places[0] <= 10 < places[1] <= 21
    assert [i for i in design.order(range(20), [100], "fixed", 0, 1) if i < 100] == list(range(20))


def test_the_least_filled_list_is_next():
    assert design.least_filled({1: 2, 2: 1, 3: 2}, [1, 2, 3], 0, 6) == 2
    assert design.least_filled({1: 1, 2: 1}, [1, 2, 3], 0, 3) == 3
    filled = Counter()
    for number in range(1, 41):
        filled[design.least_filled(filled, [1, 2, 3, 4], 7, number)] += 1
    assert set(filled.values()) == {10}
