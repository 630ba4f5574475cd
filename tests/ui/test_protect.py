"""Facts that must stay, in step 4: their table, without a browser."""

import base64
import threading

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Stopped
from unedit_gui.ui import edit, protect
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.session import Session

LINES = "What is the capital of Italy? | Rome\nWho wrote <i>Emma</i>? | Jane Austen"


@pytest.fixture
def session(lab):
    session = Session("0" * 32)
    session.add([Question("What is the capital of Japan?", "Tokyo", "Japan", target="I don't know.")])
    return session


def add(lab, session, lines):
    edit.field(lab, session, {"field": "protect", "value": lines})
    edit.ACTS["protect-lines"](lab, session, {})


def test_lines_become_rows_of_a_table_and_what_cant_be_used_stays_in_the_box(lab, session):
    add(lab, session, LINES + "\nWho?\nWhat is the capital of Italy? | Milan")
    assert [row.answer for row in session.protect] == ["Rome", "Jane Austen"]
    assert "Who?" in session.form["protect"] and "Rome" not in session.form["protect"]
    drawn = edit.render(lab, session)
    assert "Jane Austen" in drawn and "<i>Emma" not in drawn
    assert [q.question for q in protect.protected(session)] == [row.question for row in session.protect]


def test_a_file_can_be_given_too(lab, session):
    content = base64.b64encode(b"question,answer\nWhich planet is red?,Mars\n").decode()
    edit.upload(lab, session, {"name": "stay.csv", "data": content})
    assert [row.question for row in session.protect] == ["Which planet is red?"]
    edit.upload(lab, session, {"name": "stay.csv", "data": "%"})
    assert "did not arrive whole" in session.notices["protect"].text


def test_a_row_that_cant_be_used_says_why_and_keeps_an_edit_from_starting(lab, session):
    add(lab, session, LINES)
    cell = {"field": "protect-question", "row": str(session.protect[1].id), "value": "What is the capital of Japan?"}
    edit.field(lab, session, cell)
    assert "Row 2: this question is to be forgotten" in edit.render(lab, session)
    edit.field(lab, session, {**cell, "value": "what is  the capital of Japan"})  # the same question
    assert "Row 2: this question is to be forgotten" in edit.render(lab, session)
    with pytest.raises(BadInput, match="row 2: this question is to be forgotten"):
        edit.ACTS["edit"](lab, session, {})


def test_a_name_too_long_for_the_list_keeps_an_edit_from_starting(lab, session):
    edit.field(lab, session, {"field": "edit_name", "value": "x" * 61})
    with pytest.raises(BadInput, match="at most 60 letters; this one has 61"):
        edit.ACTS["edit"](lab, session, {})


def test_rows_are_removed_and_come_back(lab, session):
    add(lab, session, LINES)
    edit.ACTS["protect-remove"](lab, session, {"row": str(session.protect[0].id)})
    assert [row.answer for row in session.protect] == ["Jane Austen"]
    session.undos["protect"]()
    edit.ACTS["protect-clear"](lab, session, {})
    assert session.protect == []
    session.undos["protect"]()
    assert [row.answer for row in session.protect] == ["Rome", "Jane Austen"]


def test_facts_that_are_still_being_looked_for_are_protected_by_an_edit_asked_for_meanwhile(lab, session, monkeypatch):
    found = [Question("Which planet is red?", "Mars"), Question("Who wrote Emma?", "Jane Austen")]
    pressed = threading.Event()

    def known(pool, *_):
        assert pressed.wait(60)
        return found

    monkeypatch.setattr(lab, "known_sample", known)
    edit.ACTS["protect-known"](lab, session, {})
    session.form["method"] = "ike"
    edit.ACTS["edit"](lab, session, {})
    pressed.set()
    session.jobs["edit"].wait(120)
    assert lab.edits[session.made].manifest["protect"] == [q.question for q in found]


def test_a_fact_removed_with_a_double_click_can_be_brought_back(lab, session):
    add(lab, session, LINES)
    before = list(session.protect)
    for _ in range(2):
        edit.ACTS["protect-remove"](lab, session, {"row": str(before[0].id)})
    session.undos["protect"]()
    assert [row.id for row in session.protect] == [row.id for row in before]


def test_stop_while_the_weights_are_checked_leaves_no_edit_behind(lab, session, monkeypatch):
    check = lab.bench.verify_original

    def stopping(job):
        job.stop()
        return check(job=job)

    monkeypatch.setattr(lab.bench, "verify_original", stopping)
    session.form["method"] = "ike"
    edit.ACTS["edit"](lab, session, {})
    with pytest.raises(Stopped):
        session.jobs["edit"].wait(120)
    assert "nothing was saved" in session.notices["edit"].text
    assert not lab.bench.edits() and not lab.edits and not session.enabled


def test_what_the_table_has_to_tell_stands_in_the_table(lab, session):
    dispatch(lab, session, "edit", "click", {"act": "protect-lines"})
    assert "nothing to add yet" in session.notices["protect"].text
    session.form["protect"] = LINES + "\nno answer here"
    dispatch(lab, session, "edit", "click", {"act": "protect-lines"})
    drawn = edit.render(lab, session)
    assert drawn.index("1 row can’t be used") > drawn.index("Facts that must stay") and "edit" not in session.notices
    dispatch(lab, session, "edit", "click", {"act": "protect-clear"})
    dispatch(lab, session, "edit", "click", {"act": "undo", "notice": "protect"})
    assert len(session.protect) == 2 and "protect" not in session.notices
