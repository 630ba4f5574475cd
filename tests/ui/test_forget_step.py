"""The table of forget questions, without a browser."""

from unedit_gui.forget.questions import Question
from unedit_gui.ui import frame
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


def test_a_row_removed_with_a_double_click_can_be_brought_back(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    first, second = session.add([Question("Who?", "Leo"), Question("Where?", "Rome")])
    for _ in range(2):
        dispatch(lab, session, "forget", "click", {"act": "remove", "row": str(first.id)})
    assert session.rows == [second] and session.notices["forget"].undo
    dispatch(lab, session, "forget", "click", {"act": "undo"})
    assert session.rows == [first, second]
    lab.worker.close(timeout=5)


def test_the_steps_label_has_room_for_hundreds_of_questions(tmp_path):
    lab, session = Lab(tmp_path / "home"), Session("0" * 32)
    session.add([Question("Who drew Mona?", "Leo", "Mona"), Question("Who drew Lisa?", "Leo", "Lisa")])
    assert frame.label(lab, session, "forget") == "Forget\n✓ 2 questions"
    session.add([Question(f"Who drew {n}?", "Leo", str(n)) for n in range(1000)])
    assert frame.label(lab, session, "forget") == "Forget\n✓ 1,002"
