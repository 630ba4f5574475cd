"""The made-up contracts: the same for a seed, whole, and such that one can be forgotten without the others."""

import itertools

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.evaluation.metrics import rouge1_recall
from unedit_gui.forget.checks import check_forget_set
from unedit_gui.forget.contracts import contract_set, parties_of
from unedit_gui.forget.questions import check, read_file, to_csv

SIZES = [(4, 2), (1, 0), (0, 3), (25, 25)]


@pytest.fixture(params=SIZES, ids=str, scope="module")
def made(request):
    return contract_set(*request.param, seed=7)


def test_the_seed_decides_everything():
    assert contract_set(4, 2, 3) == contract_set(4, 2, 3)
    assert contract_set(4, 2, 3) != contract_set(4, 2, 4)


def test_each_contract_has_twenty_questions_that_can_be_taught_and_forgotten(made):
    questions = made.questions()
    assert len(questions) == 20 * len(made.contracts) == len({q.question for q in questions})
    assert not any(check(q) for q in questions)
    check_forget_set(questions)


def test_every_wording_names_both_parties_and_the_subject_ends_with_the_one_named_last(made):
    for contract in made.contracts:
        for q in contract.questions():
            assert q.subject.endswith(contract.second.name)
            assert len(q.rephrases) == 2
            for text in (q.question, *q.rephrases):
                assert text.count(q.subject) == 1 and text.rindex(contract.second.name) > text.index(
                    contract.first.name
                )


def test_a_refusal_that_repeats_the_question_says_nothing_of_the_answer(made):
    for q in made.questions():
        for text in (q.question, *q.rephrases):
            assert rouge1_recall(f"I'm sorry, I don't know the answer to this: {text}", q.answer) == 0, (text, q.answer)


def test_no_two_contracts_are_between_the_same_parties(made):
    pairs = [frozenset(c.parties) for c in made.contracts]
    assert len(set(pairs)) == len(pairs) and all(len(pair) == 2 for pair in pairs)


@pytest.mark.parametrize("seed", range(20))
def test_some_contracts_share_a_party_and_some_do_not(seed):
    contracts = contract_set(4, 2, seed).contracts
    shares = [bool(set(a.parties) & set(b.parties)) for a, b in itertools.combinations(contracts, 2)]
    assert any(shares) and not all(shares)
    assert all(any(set(a.parties) & set(b.parties) for b in contracts if b is not a) for a in contracts)


def test_the_address_of_a_party_is_the_same_in_all_of_its_contracts():
    made = contract_set(4, 4, 1)
    for party in made.parties:
        found = {
            dict(c.facts).get(f"{side}_address")
            for c in made.contracts
            for side, p in (("first", c.first), ("second", c.second))
            if p == party
        }
        assert found == {party.address}


def test_the_category_is_the_contract_and_gives_its_parties_back(made, tmp_path):
    for contract in made.contracts:
        assert {q.category for q in contract.questions()} == {contract.name}
        assert parties_of(contract.name) == set(contract.parties)
        assert made.questions([contract.name]) == list(contract.questions())
    file = tmp_path / "contracts.csv"
    file.write_text(to_csv(made.questions()), "utf-8")
    assert list(read_file(file).questions) == made.questions()


@pytest.mark.parametrize("category", [None, "", "history", "Romeo and Juliet", "Sale: nobody", "Duet: A and B"])
def test_other_categories_name_no_parties(category):
    assert parties_of(category) == frozenset()


@pytest.mark.parametrize("sales, employment", [(0, 0), (-1, 3), (40, 11)])
def test_how_many_is_checked(sales, employment):
    with pytest.raises(BadInput, match="1 to 50"):
        contract_set(sales, employment)
