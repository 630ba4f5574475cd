"""A method that trains: its curve grows while it does, stands with the result, and a model that broke is told."""

from playwright.sync_api import expect

from tests.browser.conftest import LONG


def setting(guest, name: str, value: str) -> None:
    box = guest.see("edit", f'[data-name="ga.{name}"]')
    box.fill(value)
    box.blur()


def test_the_curve_is_drawn_while_it_trains_and_a_breaking_model_is_told(visit):
    guest = visit().open().with_model()
    guest.add("What is the capital of Japan? | Tokyo")
    guest.step(3)
    guest.write("targets", "refusal", "I'm not sure what the capital of Japan is.")
    expect(guest.see("targets", ".verdict")).to_be_visible()
    guest.step(4)
    guest.see("edit", 'input[value="gd"]').check()
    expect(guest.see("edit", ".go-card")).to_contain_text("Trains on a retain set")
    guest.see("edit", 'input[value="ga"]').check()
    expect(guest.see("edit", ".go-card")).to_contain_text("Uses no retain set")
    # Long enough for the page to look at it, and so careful that nothing breaks: the curve stands while it trains.
    setting(guest, "epochs", "200")
    setting(guest, "lr", "0.0000001")
    guest.act("edit", "edit")
    expect(guest.see("curve", ".curve.loss polyline")).to_be_attached(timeout=LONG)
    guest.see("strip", '[data-act="stop"]').click()
    expect(guest.see("edit", ".notice")).to_contain_text("No weights were changed", timeout=LONG)
    expect(guest.see("edit", ".result")).to_have_count(0)
    setting(guest, "epochs", "40")
    setting(guest, "lr", "0.01")
    guest.act("edit", "edit")
    expect(guest.see("edit", ".result .warn-text")).to_contain_text("The model is breaking", timeout=LONG)
    expect(guest.see("curve", ".curve")).to_have_count(0)
    expect(guest.see("edit", ".result .curve")).to_have_count(2)
    assert "over" in guest.see("edit", ".result .curve.held").get_attribute("class")
    label = guest.see("edit", ".result .curve.loss svg").get_attribute("aria-label")
    assert label.startswith("Loss: from ") and label.endswith("steps")
