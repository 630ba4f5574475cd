"""The page as a whole: its events, as Gradio is told of them."""

from unedit_gui.ui.app import build
from unedit_gui.ui.lab import Lab


def test_no_two_events_draw_at_once_so_that_an_older_picture_never_comes_last(tmp_path):
    lab = Lab(tmp_path)
    page = build(lab)
    lab.worker.close(timeout=5)
    drawing = [
        event
        for event in page.fns.values()
        if event.name != "hello" and any((block.elem_id or "").startswith("view-") for block in event.outputs)
    ]
    assert {event.name for event in drawing} == {"handle", "look", "catch_up"}
    assert {(event.concurrency_id, event.concurrency_limit) for event in drawing} == {("acts", 1)}
