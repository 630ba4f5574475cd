"""Step 7: a rating is of the reply that its author saw, and says whose reply it was."""

import dataclasses
import re

import pytest

from tests.ui.test_columns import QUESTION, ask, ids, lab, session  # noqa: F401 - fixtures
from unedit_gui.evaluation.suite import RowScore, Scores
from unedit_gui.ui import columns, duel, replay, study
from unedit_gui.ui.app import dispatch


@pytest.fixture
def asked(lab, session):  # noqa: F811
    """A page with a reply of the chat to rate."""
    session.enabled = ids(lab)[:1]
    for question in (QUESTION, "Who wrote Emma?"):
        turn = ask(lab, session, question)
        turn.panes[1].text = turn.panes[1].text or "?"
    return session


def item(lab, session) -> str:  # noqa: F811
    return re.search(r'data-act="save-rating" data-item="(\w+)"', study.render(lab, session)).group(1)


def choose(lab, session, **values):  # noqa: F811
    mark = item(lab, session)
    for field, value in values.items():
        dispatch(lab, session, "study", "input", {"field": field, "value": value, "item": mark})


def press(lab, session, changed=()):  # noqa: F811
    """What the page sends for a click on Save as it is drawn now."""
    drawn = study.render(lab, session)
    found = re.search(r'data-act="save-rating" data-item="(\w+)" data-nonce="(\w*)"', drawn)
    data = {"act": "save-rating", "item": found[1], "nonce": found[2], "changed": list(changed)}
    dispatch(lab, session, "study", "click", data)
    return data


def scored(lab, session) -> None:  # noqa: F811
    """What the end of a measurement leaves: its rows are listed before the chat's replies."""
    row = RowScore("forget", "Scored?", "Yes", None, {"text": "Yes."}, {"text": "I can't say."})
    session.scores = Scores({}, {}, None, None, (row,), ())
    session.scored = lab.author([lab.edits[ids(lab)[1]]])


def test_a_rating_is_of_the_reply_that_was_shown_though_others_are_listed_before_it_now(lab, asked):  # noqa: F811
    choose(lab, asked, quality="1", entailment="5", trust="4", comment="about the Mona Lisa")
    scored(lab, asked)
    press(lab, asked)
    (row,) = lab.bench.ratings.all()
    assert (row["question"], row["reply_edited"]) == (QUESTION, asked.turns[0].panes[1].text)
    assert (row["trust"], row["comment"]) == (4, "about the Mona Lisa")


def test_a_second_click_stores_nothing_and_takes_no_comment_to_the_next_reply(lab, asked):  # noqa: F811
    choose(lab, asked, quality="0", comment="for the first")
    late = [{"field": "comment", "value": "for the first", "item": item(lab, asked)}]
    data = press(lab, asked, late)
    dispatch(lab, asked, "study", "click", data)
    assert [row["comment"] for row in lab.bench.ratings.all()] == ["for the first"]
    assert not asked.drafts and "for the first" not in study.render(lab, asked).split("saved rating")[0]
    assert asked.notices["study"].tone == "good"


def test_a_draft_waits_where_its_reply_is_and_a_reply_that_is_gone_is_not_rated(lab, asked):  # noqa: F811
    choose(lab, asked, quality="0", comment="half a thought")
    first = item(lab, asked)
    dispatch(lab, asked, "study", "click", {"act": "item", "to": "1"})
    assert item(lab, asked) != first and "half a thought" not in study.render(lab, asked)
    dispatch(lab, asked, "study", "click", {"act": "item", "to": "0"})
    assert item(lab, asked) == first and "half a thought" in study.render(lab, asked)
    gone = asked.turns.pop(0)
    dispatch(lab, asked, "study", "click", {"act": "save-rating", "item": first, "nonce": "", "changed": []})
    assert "no longer" in asked.notices["study"].text and not list(lab.bench.ratings.all())
    asked.turns.insert(0, gone)
    asked.rating = first
    assert "half a thought" in study.render(lab, asked)


def load_another(lab) -> None:  # noqa: F811
    model = lab.bench.model
    lab.bench.model = dataclasses.replace(model, card=dataclasses.replace(model.card, label="Another"))
    lab.edits.clear()


def test_a_rating_names_the_edit_and_the_model_that_replied_whatever_is_loaded_since(lab, asked):  # noqa: F811
    label, edit = lab.bench.model.card.label, lab.edits[asked.enabled[0]]
    load_another(lab)
    choose(lab, asked, quality="0")
    press(lab, asked)
    (row,) = lab.bench.ratings.all()
    assert (row["model"], row["edit_name"], row["method"]) == (label, edit.name, edit.method_label)


def test_a_vote_and_a_recording_name_the_model_that_replied(lab, asked):  # noqa: F811
    label = lab.bench.model.card.label
    columns.show(asked, "duel")
    ask(lab, asked)
    load_another(lab)
    duel.ACTS["vote"](lab, asked, {"vote": "left"})
    assert [vote["model"] for vote in lab.bench.duels.all()] == [label]
    assert replay.of(asked.turns).model == label
    columns.show(asked, "panes")
    ask(lab, asked, "And now?")
    assert replay.of(asked.turns).model == "Another" and len(replay.of(asked.turns).questions) == 1


def test_a_saved_rating_brings_the_next_reply_into_sight(lab, asked):  # noqa: F811
    assert 'data-show=""' in study.render(lab, asked)
    choose(lab, asked, quality="0")
    press(lab, asked)
    first = re.search(r'data-show="(\d+)"', study.render(lab, asked))[1]
    choose(lab, asked, quality="0")
    press(lab, asked)
    assert int(re.search(r'data-show="(\d+)"', study.render(lab, asked))[1]) > int(first)
