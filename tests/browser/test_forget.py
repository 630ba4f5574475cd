"""Putting questions in: good rows are kept, bad ones are told with row and reason, nothing typed is lost."""

import json

import pytest
from playwright.sync_api import expect

UPLOAD = "input[type=file]"


@pytest.fixture
def guest(visit, bare):
    """A visitor of the page without a model: all of this works while none is there."""
    guest = visit(bare).open()
    guest.step(2)
    return guest


def upload(guest, name: str, content: bytes) -> None:
    guest.see("forget", UPLOAD).set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def test_bad_lines_stay_in_the_box_and_are_named(guest):
    guest.add("Who wrote Hamlet? | William Shakespeare\nno bar here\n| only an answer")
    expect(guest.see("forget", "tr.row")).to_have_count(1)
    told = guest.see("forget", ".notice")
    expect(told).to_contain_text("row 2")
    expect(told).to_contain_text("row 3")
    assert guest.see("forget", "[data-field=paste]").input_value() == "no bar here\n| only an answer"
    assert guest.see("forget", "tr.row [data-field=subject]").input_value() == "Hamlet"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"\x00\x01\x02\xff\xfe\x00PK\x03\x04" * 50, "a.csv"),
        ("b.csv", b"name,colour\nx,y\n", "question"),
        ("c.csv", b"", "empty"),
        ("d.json", b'[{"question": "Who?"', "d.json"),
        ("e.csv", b"question,answer\n" + b"x" * (10 * 1024 * 1024), "10 MB"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_place(guest, name, content, reason):
    guest.add("Who wrote Hamlet? | William Shakespeare")
    guest.act("forget", "adding")
    upload(guest, name, content)
    expect(guest.see("forget", ".notice.bad")).to_contain_text(reason)
    expect(guest.see("forget", "tr.row")).to_have_count(1)


def test_the_good_rows_of_a_file_are_kept(guest):
    text = "question,answer,subject\nWho wrote Hamlet?,Shakespeare,Hamlet\nWho?,,\nWhat is Lima?,A city,Peru\n"
    upload(guest, "some.csv", text.encode())
    expect(guest.see("forget", "tr.row")).to_have_count(1)
    told = guest.see("forget", ".notice")
    expect(told).to_contain_text("row 3")
    expect(told).to_contain_text("row 4")


def test_json_lines_with_rephrasings_load(guest):
    row = {"question": "Who wrote Hamlet?", "answer": "Shakespeare", "paraphrased_question": "Hamlet is by whom?"}
    upload(guest, "tofu.json", (json.dumps(row) + "\n").encode())
    expect(guest.see("forget", "tr.row")).to_contain_text("1 rephrasing")


def test_a_cell_can_be_edited_and_its_problem_stands_in_the_row(guest):
    guest.add("Who wrote Hamlet? | William Shakespeare")
    guest.write("forget", "subject", "Macbeth")
    expect(guest.see("forget", "tr.problem")).to_contain_text("Macbeth")
    guest.write("forget", "subject", "Hamlet")
    expect(guest.see("forget", "tr.problem")).to_have_count(0)
    guest.page.reload()
    expect(guest.see("forget", "tr.row")).to_have_count(1)
    assert guest.see("forget", "tr.row [data-field=subject]").input_value() == "Hamlet"


def test_clearing_and_removing_can_be_undone(guest):
    guest.add("Who wrote Hamlet? | William Shakespeare\nWhat is the capital of Peru? | Lima")
    expect(guest.see("forget", "tr.row")).to_have_count(2)
    guest.act("forget", "remove")
    expect(guest.see("forget", "tr.row")).to_have_count(1)
    guest.act("forget", "undo")
    expect(guest.see("forget", "tr.row")).to_have_count(2)
    guest.act("forget", "clear")
    expect(guest.see("forget", "tr.row")).to_have_count(0)
    guest.act("forget", "undo")
    expect(guest.see("forget", "tr.row")).to_have_count(2)


def test_questions_are_picked_from_a_set_by_category_number_and_draw(guest):
    guest.see("forget", "[data-field=category]").select_option("capitals")
    guest.write("forget", "count", "4")
    guest.act("forget", "pick")
    expect(guest.see("forget", "tr.row")).to_have_count(4)
    first = [box.input_value() for box in guest.see("forget", "tr.row [data-field=question]").all()]
    guest.act("forget", "clear")
    expect(guest.see("forget", "tr.row")).to_have_count(0)
    guest.act("forget", "pick")
    expect(guest.see("forget", "tr.row")).to_have_count(4)
    assert [box.input_value() for box in guest.see("forget", "tr.row [data-field=question]").all()] == first


def test_own_refusals_are_checked_while_they_are_typed(guest):
    guest.add("Who wrote Hamlet? | William Shakespeare")
    expect(guest.see("forget", "tr.row")).to_have_count(1)
    guest.step(3)
    guest.write("targets", "refusal", "It was Shakespeare.")
    expect(guest.see("targets", ".verdict .pill.bad")).to_contain_text("Shakespeare")
    guest.write("targets", "refusal", "I'm sorry, I don't know who wrote Hamlet.")
    expect(guest.see("targets", ".verdict .pill.good")).to_be_visible()


def test_without_a_model_every_step_says_what_to_do(guest):
    guest.step(1)
    expect(guest.see("top")).to_contain_text("No model loaded")
    guest.act("model", "example")
    expect(guest.see("model", ".notice.bad")).to_contain_text("Load a model")
    for number, view in ((4, "edit"), (5, "chat"), (6, "scores"), (7, "study")):
        guest.step(number)
        expect(guest.see(view, ".empty").first).to_be_visible()


def test_a_model_that_is_not_there_is_told_and_nothing_breaks(guest):
    guest.step(1)
    guest.see("model", "[data-field=model]").select_option("(own)")
    guest.write("model", "model_name", "/no/such/model")
    guest.act("model", "load")
    expect(guest.see("model", ".notice.bad")).to_contain_text("/no/such/model", timeout=90_000)
