"""What stands around the steps, without a browser."""

from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job
from unedit_gui.ui import forget, frame
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import speaking


def test_the_strip_counts_in_the_pages_language(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    session.jobs["ask"] = Job("ask", "Asking the model", owner=session.id)
    session.jobs["ask"].progress("Asking the model", 3, 8)
    assert "3 of 8" in frame.strip(lab, session)
    with speaking("de"):
        assert "3 von 8" in frame.strip(lab, session)
    lab.worker.close(timeout=5)


def test_what_is_told_later_leaves_an_undo_where_it_is(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    session.add([Question("Who painted Guernica?", "Pablo Picasso")])
    forget.ACTS["clear"](lab, session, {})
    session.tell("forget", "Something else is done.")
    session.tell("forget", "And this.", "warn")
    drawn = forget.render(lab, session)
    assert "And this." in drawn and "1 question removed." in drawn and "Something else" not in drawn
    lab.start(session, "ask", "Asking", "forget", lambda job: None).wait(60)
    assert 'data-act="undo"' in forget.render(lab, session)
    frame.ACTS["undo"](lab, session, {"view": "forget"})
    assert [row.answer for row in session.rows] == ["Pablo Picasso"] and "forget" not in session.notices
    session.tell("forget", "Nothing to take back.")
    assert 'data-act="undo"' not in forget.render(lab, session)
    lab.worker.close(timeout=5)
