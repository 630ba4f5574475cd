"""What an edit decided for a reply stands under it: as text, also where a question looks like HTML."""

from playwright.sync_api import expect

from tests.browser.conftest import LONG


def test_an_edit_that_acts_reply_by_reply_says_what_it_did(visit):
    guest = visit().open().with_model()
    guest.add("What is the capital <b>city</b> of Japan? | Tokyo")
    guest.step(3)
    guest.write("targets", "refusal", "I'm not sure what the capital city of Japan is.")
    expect(guest.see("targets", ".verdict")).to_be_visible()
    guest.step(4)
    guest.see("edit", 'input[value="ike"]').check()
    expect(guest.see("edit", '[data-name="ike.near"]')).to_be_visible()
    guest.act("edit", "edit")
    summary = guest.see("edit", ".result .summary")
    expect(summary).to_contain_text("IKE: 1 fact", timeout=LONG)
    expect(summary).to_contain_text("no weight changed")
    guest.step(5)
    guest.see("chat", ".chip.forget").first.click()
    guest.answered(1)
    trace = guest.see("chat", ".turn .edited .trace")
    expect(trace).to_contain_text("IKE: ")
    expect(trace).to_contain_text("of them refusing")
    expect(guest.see("chat", ".turn .original .trace")).to_have_count(0)
    assert "before yours" in trace.locator(".hint").get_attribute("aria-label")
    trace.locator("summary").click()
    shown = trace.locator("li").last
    expect(shown).to_contain_text("What is the capital <b>city</b> of Japan?")
    expect(shown).to_contain_text("I'm not sure what the capital city of Japan is.")
    assert trace.locator("b").count() == 0
    assert "Tokyo" not in trace.inner_text()
    # A question that is near to none is asked as it is, and that is said too.
    guest.write("chat", "message", "How many legs does a spider have?")
    guest.act("chat", "new-talk")
    guest.see("chat", "[data-field=message]").press("Enter")
    guest.answered(2)
    last = guest.see("chat", ".turn").last
    expect(last.locator(".trace")).to_contain_text("no demonstrations")
    assert last.locator(".original .said").inner_text() == last.locator(".edited .said").inner_text()
