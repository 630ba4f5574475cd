"""What an edit says now, in step 4: the chips of forgotten questions and of facts that must stay, without a browser."""

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.evaluation.held import Forgotten
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Stopped
from unedit_gui.ui import after, edit
from unedit_gui.ui.session import After, Session

FACTS = "What is the capital of Italy? | Rome\nWho wrote <i>Emma</i>? | Jane Austen"
REFUSAL = "I don't know."


@pytest.fixture
def session(lab):
    session = Session("0" * 32)
    session.add([Question("What is the capital of <b>Japan</b>?", "Tokyo", "Japan", target=REFUSAL)])
    return session


def made(lab, session, facts=""):
    if facts:
        edit.field(lab, session, {"field": "protect", "value": facts})
        edit.ACTS["protect-lines"](lab, session, {})
    session.form["method"] = "ike"
    session.overrides["ike"] = {"contexts": "1"}
    edit.ACTS["edit"](lab, session, {})
    session.jobs["edit"].wait(120)
    session.jobs["hold"].wait(120)
    return lab.edits[session.made]


def said(lab, session, *states):
    """The page after replies of these states to as many forget questions, of the edit made last."""
    questions = tuple(Question(f"Question {i}?", "Tokyo") for i in range(len(states)))
    found = [Forgotten(q, "whatever", state) for q, state in zip(questions, states, strict=True)]
    session.after = After((session.made,), questions, to_forget=len(states), forgotten=found)
    return edit.render(lab, session)


def test_after_an_edit_every_question_has_its_chip_which_asks_it_in_the_chat(lab, session):
    made(lab, session)
    assert [f.state for f in session.after.forgotten] == ["neither"]  # a random model writes noise
    drawn = edit.render(lab, session)
    assert "0 of 1 questions are refused now" in drawn and "not told, but not refused either" in drawn
    assert drawn.count('data-act="after-ask"') == 1 and "<b>Japan" not in drawn
    edit.ACTS["after-ask"](lab, session, {"text": "What is the capital of Japan?", "answer": "Tokyo"})
    session.jobs["chat"].wait(120)
    assert session.turns[-1].question == "What is the capital of Japan?" and session.goto[1] == 5


def test_facts_that_must_stay_have_theirs_behind_them(lab, session):
    edited = made(lab, session, FACTS)
    assert [h.state for h in session.after.held] == ["unknown", "unknown"]  # a random model knows nothing
    assert edited.manifest["protect"] == [row.question for row in session.protect]
    drawn = edit.render(lab, session)
    assert drawn.count('data-act="after-ask"') == 3 and "the original didn’t answer it either" in drawn
    assert "<i>Emma" not in drawn and drawn.count('data-act="after-again"') == 1


def test_how_many_are_refused_is_told_in_a_sentence(lab, session):
    made(lab, session)
    assert "All 3 questions are refused now" in said(lab, session, "refused", "refused", "refused")
    assert "The question is refused now" in said(lab, session, "refused")
    drawn = said(lab, session, "refused", "told", "neither")
    assert "1 of 3 questions are refused now; 1 reply still tells some of the answer" in drawn
    assert "; 2 replies still tell some of the answer" in said(lab, session, "told", "refused", "told")


def test_where_not_all_are_refused_better_refusals_are_proposed(lab, session):
    made(lab, session)
    assert "Refusals that the model writes itself" not in said(lab, session, "refused", "neither")
    session.form["kind"] = "vanilla"
    assert "Refusals that the model writes itself" in said(lab, session, "refused", "neither")
    assert "Refusals that the model writes itself" not in said(lab, session, "refused", "refused")


def test_of_very_many_questions_the_first_ones_are_asked(lab, session, monkeypatch):
    monkeypatch.setattr(after, "AT_MOST", 2)
    more = [Question(f"Who wrote book {i}?", "Ann", f"book {i}", target=REFUSAL) for i in range(3)]
    session.add(more)
    made(lab, session)
    assert len(session.after.forgotten) == 2
    assert "the first ones; step 6 asks all 4" in edit.render(lab, session)


def test_a_stop_while_they_are_asked_keeps_the_edit_and_what_was_said(lab, session, monkeypatch):
    def stopping(edits, facts, *, on_held, job):
        job.stop()
        job.check()

    monkeypatch.setattr(lab.bench, "still_held", stopping)
    with pytest.raises(Stopped):
        made(lab, session, FACTS)
    assert session.made in lab.edits and len(session.after.forgotten) == 1
    drawn = edit.render(lab, session)
    assert "being asked" not in drawn and "questions are refused now" in drawn


def test_chips_go_with_the_edit_that_they_are_of(lab, session):
    edited = made(lab, session)
    session.made = None
    assert f'<p class="chip-title">{edited.name}</p>' in edit.render(lab, session)  # else of which edit?
    lab.drop(edited)
    assert "after-ask" not in edit.render(lab, session)


def test_they_are_asked_again_of_the_edits_that_are_switched_on(lab, session):
    edited = made(lab, session)
    session.after = After()
    edit.ACTS["after-again"](lab, session, {})
    session.jobs["hold"].wait(120)
    assert session.after.edits == (edited.id,) and len(session.after.forgotten) == 1
    session.enabled = []
    with pytest.raises(BadInput, match="Switch an edit on first"):
        edit.ACTS["after-again"](lab, session, {})


def test_they_are_not_asked_while_an_edit_is_made_which_asks_them_itself(lab, session):
    edit.ACTS["edit"](lab, session, {})
    with pytest.raises(BadInput, match="An edit is being made"):
        edit.ACTS["after-again"](lab, session, {})
    session.jobs["edit"].wait(120)
    assert session.jobs["edit"].state == "done"
