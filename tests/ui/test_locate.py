"""Locating a fact on the page: the open row of step 2, without a browser."""

import base64

import pytest

from tests.models.tiny import bytes_tokenizer, tiny_family
from unedit_gui.forget.questions import Question
from unedit_gui.ui import edit, forget, locate
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session

ASK = {"row": "1"}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setattr("unedit_gui.editors.tracing_clean.LEAST", 0.0)  # a random model finds every answer unlikely
    lab = Lab(tmp_path)
    lab.bench.model = tiny_family("llama", bytes_tokenizer(), attentive=True)
    return lab


@pytest.fixture
def session(lab):
    session = Session("0" * 32)
    session.add([Question("Is Peru <i>far</i>?", "far", "Peru")])
    session.open_rows = {1}
    return session


def located(lab, session):
    locate.ACTS["locate"](lab, session, ASK)
    session.jobs["locate"].wait(60)
    return forget.render(lab, session)


def test_an_open_row_offers_to_locate_its_fact_and_draws_the_map(lab, session):
    assert 'data-act="locate"' in forget.render(lab, session)
    drawn = located(lab, session)
    assert '<svg class="heat"' in drawn and "<i>" not in drawn
    assert "arxiv.org/abs/2202.05262" in drawn and "Noise on one word alone takes" in drawn
    name = locate.ACTS["save-map"](lab, session, ASK)
    assert base64.b64decode(name["base64"]).startswith(b"\x89PNG")


def test_a_map_of_another_question_is_not_shown(lab, session):
    assert '<svg class="heat"' in located(lab, session)
    session.row(1).answer = "near"
    assert '<svg class="heat"' not in forget.render(lab, session)


def test_what_is_proposed_can_be_taken_over(lab, session, monkeypatch):
    located(lab, session)
    found = session.located[1]
    session.located[1] = type(found)(found.key, found.model, found.trace, {"memit": (1, 2), "alphaedit": (2,)})
    session.form["method"] = "memit"
    locate.ACTS["use-layers"](lab, session, ASK)
    assert session.overrides["memit"]["layers"] == "1, 2" and "1, 2" in edit.render(lab, session)
    session.form["method"] = "grace"  # it doesn't write at the subject
    locate.ACTS["use-layers"](lab, session, ASK)
    assert session.overrides["alphaedit"]["layers"] == "2" and "grace" not in session.overrides
    session.row(1).subject = "far"
    locate.ACTS["use-subject"](lab, session, ASK)
    assert session.row(1).subject == found.trace.proposed


def test_why_a_fact_cannot_be_located_stands_in_its_row(lab, session, monkeypatch):
    monkeypatch.setattr("unedit_gui.editors.tracing_clean.LEAST", 1.0)
    drawn = located(lab, session)
    assert '<svg class="heat"' not in drawn and "take a question that it knows" in drawn
    assert session.jobs["locate"].state == "done"
