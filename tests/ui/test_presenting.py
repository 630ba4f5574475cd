"""Presenting: where the page's address leads, prepared questions, recording and replay, without a browser."""

import json
import re

import pytest

from tests.ui.test_columns import QUESTION, ask, ids, lab, session  # noqa: F401 - fixtures
from unedit_gui.errors import BadInput
from unedit_gui.presenting.presets import Preset
from unedit_gui.ui import chat, columns, prepared, presets, replay, shelf
from unedit_gui.ui.app import dispatch


def arrive(lab, session, **asked):  # noqa: F811
    presets.arrive(lab, session, json.dumps(asked))


@pytest.fixture
def known(lab, monkeypatch):  # noqa: F811
    """The tiny model goes by the name that presets know."""
    monkeypatch.setattr(type(lab.bench), "card", lambda bench, name: lab.bench.model.card)
    return lab


def test_a_preset_sets_columns_questions_language_and_projector_once(known, session):  # noqa: F811
    first, second = ids(known)[:2]
    rows = ((first,), (first, "Edit <1>"), ("gone",))
    known.bench.save_preset(Preset("Talk", "tiny", "columns", rows, ((QUESTION, "Leonardo"),), "de", True), "talk")
    arrive(known, session, preset="talk")
    assert columns.view(session) == "columns" and session.language == "de" and session.projected == 1
    assert columns.chosen(known, session) == [(first,), (first, second)] and session.goto[1] == 5
    assert [item.line for item in session.prepared] == [f"{QUESTION} | Leonardo"]
    assert "not here: gone" in session.notices["chat"].text
    session.prepared = []
    arrive(known, session, preset="talk")  # a reload
    assert session.prepared == [] and session.projected == 1


def test_an_unknown_preset_is_told_and_the_page_is_the_usual_one(lab, session):  # noqa: F811
    arrive(lab, session, preset="../../etc/passwd")
    assert "no preset" in session.notices["model"].text and columns.view(session) == "panes"
    for nonsense in ("", "[]", "{", '{"preset": 5}', '{"lang": "xx"}'):
        presets.arrive(lab, session, nonsense)
    assert session.language == "en"


def test_what_the_page_shows_can_be_saved_and_begins_the_same(known, session):  # noqa: F811
    columns.show(session, "columns")
    for edit in ids(known)[2:5]:
        columns.field(known, session, {"field": "column", "edit": edit, "value": ""})
    prepared.add(session, [(QUESTION, "Leonardo"), ("Why?", "")])
    chat.field(known, session, {"field": "preset_name", "value": "mine"})
    chat.ACTS["save-preset"](known, session, {})
    other = type(session)("1" * 32)
    arrive(known, other, preset="mine")
    assert columns.chosen(known, other) == columns.chosen(known, session) and other.prepared == session.prepared


def test_prepared_questions_are_edited_as_lines_and_stepped_through(lab, session):  # noqa: F811
    chat.field(lab, session, {"field": "prepared", "value": "Who? | Me\n\n  Why?  "})
    assert [item.line for item in session.prepared] == ["Who? | Me", "Why?"]
    chat.ACTS["prepared-back"](lab, session, {})
    chat.ACTS["prepared-next"](lab, session, {})
    chat.ACTS["prepared-next"](lab, session, {})
    assert prepared.current(session).question == "Why?"
    chat.ACTS["prepared-back"](lab, session, {})
    chat.ACTS["prepared-ask"](lab, session, {})
    session.jobs["chat"].wait(120)
    assert (session.turns[-1].question, session.turns[-1].answer) == ("Who?", "Me")
    assert '"truth"' not in chat.render(lab, session)
    chat.ACTS["reveal"](lab, session, {})
    assert '"truth"' in chat.render(lab, session)
    with pytest.raises(BadInput, match="Line 2 of the prepared questions has none before its bar: “| oops”"):
        prepared.read("Who? | Me\n| oops")
    with pytest.raises(BadInput, match="100 are allowed"):
        prepared.read("Who?\n" * 101)
    chat.field(lab, session, {"field": "prepared", "value": ""})
    assert prepared.current(session) is None and "stage-question" not in chat.render(lab, session)


def test_the_answer_that_is_shown_is_of_the_question_whose_turn_it_is(lab, session):  # noqa: F811
    chat.field(lab, session, {"field": "prepared", "value": "Who? | Leo\nWhere? | Rome"})
    for view in ("panes", "duel"):
        columns.show(session, view)
        session.place, session.form["revealed"] = 0, ""
        chat.ACTS["prepared-ask"](lab, session, {})
        session.jobs["chat"].wait(120)
        chat.ACTS["reveal"](lab, session, {})
        assert "<b>Leo</b>" in chat.render(lab, session)
        chat.ACTS["prepared-next"](lab, session, {})
        assert "<b>" not in "".join(re.findall('"truth".*', chat.render(lab, session)))
        chat.ACTS["reveal"](lab, session, {})  # before it is asked, too
        drawn = chat.render(lab, session)
        assert "<b>Rome</b>" in drawn and "<b>Leo</b>" not in drawn


def test_a_conversation_is_recorded_and_replayed_without_a_model_and_says_so(lab, session):  # noqa: F811
    columns.show(session, "columns")
    turn = ask(lab, session)
    chat.field(lab, session, {"field": "recording_name", "value": "talk"})
    chat.ACTS["record"](lab, session, {})
    lab.bench.model = None
    chat.ACTS["replay"](lab, session, {})
    beginning = chat.render(lab, session)
    assert "Replay" in beginning and "recorded on 20" in beginning and "Edit &lt;1&gt;" in beginning
    session.replay.began -= 1000
    assert not session.replay.playing()
    recorded = lab.bench.recording("talk")
    assert [said.text for said in recorded.questions[0].replies] == [pane.text for pane in turn.panes]
    assert chat.render(lab, session).count('"reply-card') == 6
    chat.ACTS["focus"](lab, session, {"slot": "2"})
    assert chat.render(lab, session).count('"reply-card') == 1
    chat.ACTS["replay-next"](lab, session, {})
    assert session.replay.place == 0 and session.replay.playing()
    chat.ACTS["replay-end"](lab, session, {})
    assert "Waiting for the model" in chat.render(lab, session)


def test_who_goes_to_the_chat_with_something_else_leaves_a_replay(known, session, monkeypatch):  # noqa: F811
    ask(known, session)
    known.bench.save_recording(replay.of(session.turns), "talk")
    known.bench.save_preset(Preset("Talk", "tiny", "panes"), "other")
    monkeypatch.setattr(known, "ready", frozenset(ids(known)[:1]))
    ways = (
        lambda: arrive(known, session, preset="other"),
        lambda: shelf.try_ready(known, session, {}),
        lambda: chat.ACTS["chip"](known, session, {"text": QUESTION}),  # also from a chip of step 4
    )
    for way in ways:
        chat.ACTS["replay"](known, session, {})
        assert "Leave the replay" in chat.render(known, session)
        way()
        assert "Leave the replay" not in chat.render(known, session)
    session.jobs["chat"].wait(120)


def test_only_questions_with_the_same_columns_are_in_one_recording(lab, session):  # noqa: F811
    with pytest.raises(BadInput, match="nothing to record"):
        replay.of(session.turns)
    ask(lab, session)
    columns.show(session, "columns")
    ask(lab, session)
    ask(lab, session, "Why?")
    assert [asked.question for asked in replay.of(session.turns).questions] == [QUESTION, "Why?"]
    session.form["recording_name"] = "talk"
    chat.ACTS["record"](lab, session, {})
    left = "Left out, for other columns or another model: 1."
    assert session.notices["chat"].text == f"Recorded 2 questions as talk. {left}"
    session.turns.pop()
    session.form["recording_name"] = "one"
    chat.ACTS["record"](lab, session, {})
    assert session.notices["chat"].text == f"Recorded 1 question as one. {left}"


def test_a_question_with_a_bar_in_it_is_prepared_as_it_is(session):  # noqa: F811
    prepared.add(session, [("Is it A|B testing?", "yes"), ("Who?", "")])
    assert [(item.question, item.answer) for item in session.prepared] == [("Is it A|B testing?", "yes"), ("Who?", "")]


def test_a_list_with_too_many_lines_keeps_what_was_typed_and_says_why_beside_it(lab, session):  # noqa: F811
    chat.field(lab, session, {"field": "prepared", "value": "Who?"})
    many = "\n".join(f"Question {n}?" for n in range(120))
    dispatch(lab, session, "chat", "click", {"act": "preparing", "changed": [{"field": "prepared", "value": many}]})
    drawn = chat.render(lab, session)
    assert "There are 120 prepared questions; 100 are allowed." in drawn and "Question 119?" in drawn
    assert "chat" not in session.notices and [item.line for item in session.prepared] == ["Who?"]
    for act in ({"act": "prepare", "tone": "retain"}, {"act": "save-preset"}):  # both would leave out what was typed
        session.form["preset_name"] = "mine"
        dispatch(lab, session, "chat", "click", act)
        assert "100 are allowed" in session.notices.pop("chat").text
    dispatch(lab, session, "chat", "input", {"field": "prepared", "value": "Why?"})
    assert [item.line for item in session.prepared] == ["Why?"] and "100 are allowed" not in chat.render(lab, session)


def test_the_box_of_prepared_questions_stays_open_while_it_holds_what_can_not_be_used(lab, session):  # noqa: F811
    dispatch(lab, session, "chat", "click", {"act": "preparing"})
    typed = {"field": "prepared", "value": "New one?\n| answer alone"}
    dispatch(lab, session, "chat", "click", {"act": "preparing", "changed": [typed]})
    assert session.form["preparing"] == "1" and session.notices["chat"].tone == "bad"
    assert "answer alone" in chat.render(lab, session)
    dispatch(lab, session, "chat", "click", {"act": "preparing", "changed": [{"field": "prepared", "value": "Who?"}]})
    assert not session.form["preparing"] and [item.line for item in session.prepared] == ["Who?"]
