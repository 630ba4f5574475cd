"""Contracts on the page: set up, taught, loaded, and one picked to be forgotten, without a browser."""

import re
from functools import partial

import pytest

from tests.models.tiny import bytes_tokenizer, tiny_family
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui import contracts, forget, model, scores
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    lab.bench.model = tiny_family("llama", bytes_tokenizer(), attentive=True)
    lab.bench.bundled_sets = dict
    lab.bench.teach = partial(lab.bench.teach, recipe={"passes": 1})
    return lab


@pytest.fixture
def session():
    session = Session("0" * 32)
    session.form.update(contracts="1", sales="2", employment="1", contract_seed="3")
    return session


def test_what_is_asked_for_is_drawn_before_anything_is_taught(lab, session):
    drawn = forget.render(lab, session)
    for contract in lab.bench.contracts(2, 1, 3).contracts:
        assert contract.name in drawn
    assert drawn.count('class="party company"') == 3 and "Teach 60 questions" in drawn
    assert 'data-act="contract"' not in drawn  # nothing to forget yet


def test_while_contracts_are_taught_no_others_can_be_asked_for(lab, session, monkeypatch):
    assert forget.render(lab, session).count(" disabled") == 0
    monkeypatch.setattr(Session, "active", lambda session, *kinds: "teach" in kinds and Job("teach", "Teaching"))
    drawn = forget.render(lab, session)
    for name in contracts.FORM:
        assert re.search(rf'<input[^>]*data-field="{name}"[^>]* disabled', drawn), name


@pytest.mark.parametrize(
    "field, value", [("sales", "-1"), ("sales", "x"), ("sales", "²"), ("employment", "50"), ("sales", "0")]
)
def test_a_number_that_can_not_be_had_is_told_beside_it(lab, session, field, value):
    session.form["employment"] = "0"
    session.form[field] = value
    drawn = forget.render(lab, session)
    assert "bad-text" in drawn and "<svg viewBox" not in drawn
    with pytest.raises(BadInput):
        contracts.ACTS["teach"](lab, session, {})


def test_a_click_on_a_taught_contract_puts_its_questions_into_the_table_and_another_takes_them_out(lab, session):
    contracts.ACTS["teach"](lab, session, {})
    session.jobs["teach"].wait(120)
    lab.loading.wait(60)
    taught = lab.bench.taught()
    assert taught.name == "Contracts" == lab.bench.model.card.label and len(session.jobs["teach"].curve) > 1
    name = taught.contracts()[1]
    assert forget.render(lab, session).count(f'data-contract="{name}"') == 2  # in the graph and in the list
    contracts.ACTS["contract"](lab, session, {"contract": name})
    assert [q.category for _, q in session.good()] == [name] * 20
    assert f'data-contract="{name}" aria-pressed="true"' in forget.render(lab, session)
    kept = scores._retain(lab, session, None, [q for _, q in session.good()], session.form["retain"], 20)
    assert len(kept) == 40 and name not in {q.category for q in kept}
    session.rows[0].subject = "typed by hand"
    contracts.ACTS["contract"](lab, session, {"contract": name})
    assert session.rows == [] and session.notices["forget"].text == "20 questions removed."
    dispatch(lab, session, "forget", "click", {"act": "undo"})
    assert len(session.rows) == 20 and session.rows[0].subject == "typed by hand"
    contracts.ACTS["contract"](lab, session, {"contract": name})
    with pytest.raises(BadInput, match="wasn't taught"):
        contracts.ACTS["contract"](lab, session, {"contract": "Sale: <b>A</b> and B"})
    session.form["model"] = taught.folder
    drawn = model.render(lab, session)
    assert (
        "Delete this taught model" in drawn
        and f"Taught 60 questions on tiny random llama: {taught.contracts()[0]};" in drawn
    )
    with pytest.raises(BadInput, match="in use"):
        model.ACTS["delete-taught"](lab, session, {})
