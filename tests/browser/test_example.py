"""The one-click example from the first view to a saved rating, and what it leaves for the other tests."""

import csv
import io

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG


@pytest.fixture(scope="module")
def guest(browser, address):
    """A visitor for whom the example has run through."""
    from tests.browser.conftest import Visitor

    guest = Visitor(browser, address)
    guest.open()  # the example can be asked for while the model still loads
    guest.act("model", "example")
    expect(guest.see("strip", ".strip")).to_contain_text("The example")
    expect(guest.page.locator("#steps [aria-selected=true]")).to_contain_text("Rate", timeout=LONG)
    yield guest
    guest.context.close()


def chip(guest):
    """The example's edit among those that the chat lists."""
    return guest.see("chat", '.edit-chip:has-text("three facts")')


def test_the_example_leads_to_a_reply_that_can_be_rated(guest):
    expect(guest.see("study", ".notice")).to_contain_text("The example is done")
    expect(guest.see("study", ".rate .asked")).to_be_visible()
    assert guest.foreign == [] and guest.errors == []


def test_the_example_fills_every_step(guest):
    guest.step(2)
    assert guest.see("forget", "tr.row").count() == 3
    expect(guest.see("forget", "tr.row .pill.good")).to_have_count(3)  # the model knows them
    guest.step(3)
    for text in guest.see("targets", "li textarea").all():
        assert len(text.input_value()) > 10
    expect(guest.see("targets", ".verdict .pill")).to_have_count(3)
    guest.step(4)
    expect(guest.see("edit", ".result .summary")).to_contain_text("3 facts")
    expect(guest.see("edit", ".result")).to_contain_text("The original is untouched")


def test_both_panes_answered_and_only_the_edited_one_forgot(guest):
    guest.step(5)
    first = guest.see("chat", ".turn").first
    expect(first.locator(".asked")).to_contain_text("Who painted the Mona Lisa?")
    assert "Leonardo" in first.locator(".original .said").inner_text()
    assert "Leonardo" not in first.locator(".edited .said").inner_text()
    expect(guest.see("chat", ".pane-head.original")).to_contain_text("original weights verified")


def test_the_scores_show_what_was_forgotten_and_kept(guest):
    guest.step(6)
    values = guest.see("scores", ".headline .value b").all_inner_texts()
    assert len(values) == 4
    assert float(values[0]) > 1.5  # the score, of 2
    assert values[1] == "0%"
    expect(guest.page.locator("#bars .js-plotly-plot")).to_be_visible(timeout=60_000)
    expect(guest.page.locator("#radar .js-plotly-plot")).to_be_visible(timeout=60_000)
    expect(guest.see("detail", ".replies tbody tr")).to_have_count(3 + 6 + 6)


def test_a_rating_is_saved_listed_downloaded_deleted_and_brought_back(guest):
    guest.step(7)
    expect(guest.see("study", '[data-act="save-rating"]')).to_be_disabled()
    assert guest.see("study", "input[type=radio]:checked").count() == 0  # nothing is answered beforehand
    guest.page.get_by_text("Yes, forgotten").click()
    scales = guest.see("study", "fieldset.scale")
    expect(scales).to_have_count(2)
    scales.nth(0).locator("input").nth(4).check()
    scales.nth(1).locator("input").nth(3).check()
    guest.write("study", "comment", "=1+1 <b>fine</b>")
    guest.see("study", '[data-act="save-rating"]').dblclick()
    expect(guest.see("study", ".saved tbody tr")).to_have_count(1)  # and no second one by the second click
    expect(guest.see("study", ".saved")).to_contain_text("<b>fine</b>")  # shown as typed
    with guest.page.expect_download() as download:
        guest.act("study", "csv")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
    assert [(r["forget_quality"], r["entailment"], r["trust"]) for r in rows] == [("1", "5", "4")]
    assert rows[0]["comment"].startswith("'=")  # no formula for a spreadsheet
    guest.act("study", "delete-rating")
    expect(guest.see("study", ".saved tbody tr")).to_have_count(0)
    guest.act("study", "undo")
    expect(guest.see("study", ".saved tbody tr")).to_have_count(1)


def test_where_it_is_not_forgotten_nothing_more_is_asked(guest):
    guest.step(7)
    guest.page.get_by_text("No, still there").click()
    expect(guest.see("study", '[data-act="save-rating"]')).to_be_enabled()
    expect(guest.see("study", "fieldset.scale")).to_have_count(0)


def test_a_reload_finds_everything_again(guest):
    guest.step(5)
    turns = guest.see("chat", ".turn").count()
    guest.page.reload()
    expect(guest.page.locator("#steps [aria-selected=true]")).to_contain_text("Chat")
    expect(guest.see("chat", ".turn")).to_have_count(turns)
    guest.step(6)
    expect(guest.see("scores", ".headline")).to_be_visible()


def test_another_browser_sees_neither_the_conversation_nor_the_edit_switched_on(guest, visit):
    other = visit().open().with_model()
    other.step(5)
    expect(chip(other)).to_have_count(1)  # it is listed ...
    assert not chip(other).locator("input").is_checked()  # ... but off
    expect(other.see("chat", ".turn")).to_have_count(0)
    other.step(2)
    expect(other.see("forget", "tr.row")).to_have_count(0)


def test_an_edit_switched_off_gives_the_same_answer_on_one_side_only(guest):
    guest.step(5)
    guest.act("chat", "clear")
    switch = chip(guest).locator(".switch")
    switch.click()
    expect(guest.see("chat", ".pane-head.edited")).to_contain_text("no edit is switched on")
    guest.write("chat", "message", "What is the capital of Japan?")
    guest.see("chat", "[data-field=message]").press("Enter")
    expect(guest.see("chat", ".turn .original .reply-acts")).to_have_count(1, timeout=LONG)
    assert "Tokyo" in guest.see("chat", ".turn .original .said").inner_text()
    expect(guest.see("chat", ".turn .edited")).to_contain_text("No edit was switched on")
    switch.click()
    expect(guest.see("chat", ".pane-head.edited")).to_contain_text("three facts")


def test_deleting_an_edit_can_be_undone(guest):
    guest.step(5)
    chip(guest).locator('[data-act="delete-edit"]').click()
    expect(chip(guest)).to_have_count(0)
    guest.act("chat", "undo")
    expect(chip(guest)).to_have_count(1)
    assert chip(guest).locator("input").is_checked()


def test_markup_in_questions_and_replies_stays_text(guest):
    guest.step(5)
    guest.write("chat", "message", "<img src=x onerror=alert(1)> {{7*7}} ${8*8}")
    guest.see("chat", "[data-field=message]").press("Enter")
    asked = guest.see("chat", ".turn .asked").last
    expect(asked).to_contain_text("<img src=x onerror=alert(1)> {{7*7}} ${8*8}")
    guest.page.keyboard.press("Escape")  # a running reply ends where it is
    expect(guest.see("chat", '[data-act="send"]')).to_be_visible(timeout=LONG)
    assert guest.see("chat", "img").count() == 0
    assert guest.errors == []


def test_forget_this_makes_a_question_of_a_reply(guest):
    guest.step(5)
    guest.act("chat", "clear")
    guest.see("chat", ".chip.retain").first.click()
    guest.answered(1)
    guest.see("chat", '.original [data-act="forget-this"]').click()
    expect(guest.see("chat", ".notice")).to_contain_text("is now to be forgotten")
    guest.act("chat", "go")
    expect(guest.see("forget", "tr.row")).to_have_count(4)
    last = guest.see("forget", "tr.row").last
    for name in ("question", "answer", "subject"):
        expect(last.locator(f'[data-field="{name}"]')).not_to_have_value("")
