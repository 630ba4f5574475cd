"""A long edit: it survives a reload, lets itself be stopped, makes a question wait, and takes only good settings."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG


@pytest.fixture
def guest(visit):
    """A visitor with one question and its refusal, and settings that make the edit long."""
    guest = visit().open().with_model()
    guest.add("What is the capital of Japan? | Tokyo")
    guest.step(3)
    guest.write("targets", "refusal", "I'm sorry, I don't know what the capital of Japan is.")
    expect(guest.see("targets", ".verdict")).to_be_visible()
    guest.step(4)
    guest.see("edit", 'input[value="rome"]').check()
    expect(guest.see("edit", '[data-name="rome.layers"]')).to_be_visible()
    guest.act("edit", "advanced")
    expect(guest.see("edit", '[data-name="rome.steps"]')).to_be_visible()
    return guest


def setting(guest, name: str, value: str) -> None:
    box = guest.see("edit", f'[data-name="rome.{name}"]')
    box.fill(value)
    box.blur()


def test_a_setting_that_cannot_be_used_is_told_beside_it(guest):
    setting(guest, "lr", "fast")
    expect(guest.see("edit", ".setting.bad")).to_contain_text("'fast' is not a number")
    guest.act("edit", "edit")
    expect(guest.see("edit", ".notice.bad")).to_contain_text("lr")
    guest.act("edit", "defaults")
    expect(guest.see("edit", ".setting.bad")).to_have_count(0)


def test_what_is_typed_while_the_method_changes_does_not_land_in_the_other_methods_setting(guest):
    guest.see("edit", '[data-name="rome.layers"]').focus()
    guest.page.keyboard.insert_text("1")
    # Without a click there, so that the box keeps the focus, as where a busy page is drawn again late.
    guest.see("edit", 'input[value="memit"]').evaluate("radio => radio.click()")
    layers = guest.see("edit", '[data-name="memit.layers"]')
    expect(layers).to_be_visible()
    guest.page.keyboard.insert_text("5")
    guest.page.keyboard.press("Tab")
    guest.act("edit", "advanced")
    expect(guest.see("edit", '[data-name="memit.steps"]')).to_have_count(0)
    assert layers.input_value() == layers.get_attribute("value") == "4, 5, 6, 7, 8, 9, 10"
    expect(guest.see("edit", ".setting.bad")).to_have_count(0)


def test_a_reload_amid_an_edit_finds_it_and_stop_changes_nothing(guest):
    setting(guest, "steps", "500")
    setting(guest, "lr", "0.00001")  # so small that it doesn't get there earlier
    setting(guest, "contexts", "8")  # and much to do in each step
    guest.act("edit", "edit")
    expect(guest.see("strip", ".strip")).to_contain_text("Editing with ROME", timeout=LONG)
    guest.page.reload()
    expect(guest.see("strip", ".strip")).to_contain_text("Editing with ROME", timeout=LONG)
    expect(guest.page.locator("#steps [aria-selected=true]")).to_contain_text("Edit")
    assert guest.see("edit", '[data-name="rome.steps"]').input_value() == "500"
    # A question waits meanwhile, and says so.
    guest.step(5)
    guest.write("chat", "message", "What is the capital of Italy?")
    guest.see("chat", "[data-field=message]").press("Enter")
    expect(guest.see("chat", ".turn .original")).to_contain_text("Waiting")
    guest.see("strip", '[data-act="stop"]').click()
    expect(guest.see("strip", ".strip")).to_have_count(0, timeout=LONG)
    guest.step(4)
    expect(guest.see("edit", ".notice")).to_contain_text("No weights were changed")
    expect(guest.see("edit", ".result")).to_have_count(0)
    guest.step(5)
    expect(guest.see("chat", ".turn .reply-acts")).to_have_count(1, timeout=LONG)


def test_an_edit_of_ones_own_answers_in_both_panes_and_is_measured(guest):
    setting(guest, "steps", "6")
    setting(guest, "contexts", "1")
    guest.act("edit", "edit")
    expect(guest.see("edit", ".result .summary")).to_contain_text("ROME: 1 fact", timeout=LONG)
    guest.step(5)
    guest.see("chat", ".chip.forget").first.click()
    guest.answered(1)
    assert "Tokyo" in guest.see("chat", ".turn .original .said").inner_text()
    guest.step(6)
    guest.see("scores", "[data-field=retain]").select_option("own")
    guest.write("scores", "retain_own", "What is the capital of Italy? | Rome")
    guest.act("scores", "evaluate")
    expect(guest.see("scores", ".headline")).to_be_visible(timeout=LONG)
    expect(guest.see("detail", ".replies tbody tr")).to_have_count(2)
