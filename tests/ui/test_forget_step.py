"""The table of forget questions, without a browser."""

from unedit_gui.forget.questions import Question
from unedit_gui.ui import forget, frame
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session, Turn
from unedit_gui.workbench import Answer


def test_a_row_removed_with_a_double_click_can_be_brought_back(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    first, second = session.add([Question("Who?", "Leo"), Question("Where?", "Rome")])
    for _ in range(2):
        dispatch(lab, session, "forget", "click", {"act": "remove", "row": str(first.id)})
    assert session.rows == [second] and session.notices["forget"].undo
    dispatch(lab, session, "forget", "click", {"act": "undo"})
    assert session.rows == [first, second]
    lab.worker.close(timeout=5)


def test_a_table_and_a_conversation_cleared_twice_can_be_brought_back(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    session.add([Question("Who?", "Leo"), Question("Where?", "Rome")])
    session.turns = [Turn("Who?", state="done")]
    for view in ("forget", "chat"):
        for _ in range(2):  # faster than the button goes
            dispatch(lab, session, view, "click", {"act": "clear"})
        assert session.notices[view].undo and not session.notices[view].text.startswith("0")
        dispatch(lab, session, view, "click", {"act": "undo"})
    assert len(session.rows) == 2 and len(session.turns) == 1
    lab.worker.close(timeout=5)


def test_the_steps_label_has_room_for_hundreds_of_questions(tmp_path):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    session.add([Question("Who drew Mona?", "Leo", "Mona"), Question("Who drew Lisa?", "Leo", "Lisa")])
    assert frame.label(lab, session, "forget") == "Forget\n✓ 2 questions"
    session.add([Question(f"Who drew {n}?", "Leo", str(n)) for n in range(1000)])
    assert frame.label(lab, session, "forget") == "Forget\n✓ 1,002"


def test_a_new_row_has_the_cursor_and_is_no_mistake_before_something_is_typed_in_it(tmp_path):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    session.add([Question("Who drew Mona?", "Leo", "Mona")])
    dispatch(lab, session, "forget", "click", {"act": "new"})
    row, drawn = session.rows[-1], forget.render(lab, session)
    assert drawn.count("data-land") == 1 and f'data-land="{row.id}"' in drawn
    assert 'role="alert"' not in drawn and "to mend" not in drawn and len(session.good()) == 1
    assert frame.label(lab, session, "forget") == "Forget\n✓ 1 question"
    forget.field(lab, session, {"field": "question", "row": str(row.id), "value": "Who drew Lisa?"})
    assert "Row 2: the answer is missing" in forget.render(lab, session)
    assert frame.label(lab, session, "forget") == "Forget\n1 to mend"


def test_what_was_cleared_comes_back_before_what_was_added_since(tmp_path):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    first, second = session.add([Question("Who drew Mona?", "Leo", "Mona"), Question("Who drew Lisa?", "Leo", "Lisa")])
    dispatch(lab, session, "forget", "click", {"act": "clear"})
    dispatch(lab, session, "forget", "click", {"act": "new"})
    dispatch(lab, session, "forget", "click", {"act": "undo"})
    assert session.rows[:2] == [first, second] and len(session.rows) == 3 and "forget" not in session.notices


def test_a_row_that_can_not_be_used_yet_is_in_the_saved_file_too(tmp_path):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    session.add([Question("Who drew Mona?", "Leo", "Mona"), Question("Who drew Lisa?", "", "Lisa", ("Lisa is by?",))])
    dispatch(lab, session, "forget", "click", {"act": "new"})
    assert len(session.good()) == 1
    saved = dispatch(lab, session, "forget", "click", {"act": "save"})["text"]
    assert saved == "question,answer,subject,rephrase_1\nWho drew Mona?,Leo,Mona,\nWho drew Lisa?,,Lisa,Lisa is by?\n"


def test_an_answer_that_is_changed_while_the_model_is_asked_is_not_marked_as_known(tmp_path, monkeypatch):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    first, second = session.add([Question("Who drew Mona?", "Leo", "Mona"), Question("Who drew Lisa?", "Leo", "Lisa")])

    def ask(questions, job):
        forget.field(lab, session, {"field": "answer", "row": str(first.id), "value": "Rembrandt"})
        return [Answer(q, "Leo did.", 1.0, True) for q in questions]

    monkeypatch.setattr(lab, "ask", ask)
    monkeypatch.setattr(lab, "blocked", lambda session: "")
    dispatch(lab, session, "forget", "click", {"act": "ask"})
    session.jobs["ask"].wait(10)
    assert (first.known, second.known) == (None, True)


def test_a_table_that_is_cleared_while_the_model_is_asked_can_still_be_brought_back(tmp_path, monkeypatch):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    session.add([Question("Who drew Mona?", "Leo", "Mona")])

    def ask(questions, job):
        dispatch(lab, session, "forget", "click", {"act": "clear"})
        return [Answer(q, "Leo did.", 1.0, True) for q in questions]

    monkeypatch.setattr(lab, "ask", ask)
    monkeypatch.setattr(lab, "blocked", lambda session: "")
    dispatch(lab, session, "forget", "click", {"act": "ask"})
    session.jobs["ask"].wait(10)
    assert session.notices["forget"].undo
    dispatch(lab, session, "forget", "click", {"act": "undo"})
    assert session.rows[0].known is True
