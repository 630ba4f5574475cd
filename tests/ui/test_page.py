"""The page as a whole: its events, as Gradio is told of them."""

from unedit_gui.ui.app import build
from unedit_gui.ui.lab import Lab
from unedit_gui.workbench import Workbench


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


def test_what_participants_do_is_seen_in_the_open_list_of_studies(tmp_path):
    lab = Lab(tmp_path)
    page, session = build(lab), lab.sessions.get("0" * 32)
    lab.worker.close(timeout=5)
    lab.bench.studies.example("mine").open()
    catch_up = next(event.fn for event in page.fns.values() if event.name == "catch_up")
    session.go(7)
    *_, seen = catch_up(session.id, {})
    *_, same = catch_up(session.id, seen)
    assert same == seen
    Workbench(tmp_path).studies.get("mine").invite(3)  # another program, such as the one that serves the pages
    *updates, now = catch_up(session.id, seen)
    assert now != seen and any("<td>3</td>" in str(update) for update in updates)
