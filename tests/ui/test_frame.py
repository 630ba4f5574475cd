"""What stands around the steps, without a browser."""

from unedit_gui.jobs import Job
from unedit_gui.ui import frame
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
