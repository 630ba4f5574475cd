"""A presentation: six columns stream, one key steps and asks, the projector hides all else, a duel is voted by key."""

from playwright.sync_api import expect

from tests.browser.conftest import LONG


def test_six_columns_stream_and_a_duel_is_voted_in_the_projector(visit):
    guest = visit()
    page = guest.page
    page.goto(guest.address + "?preset=three-facts")
    expect(guest.see("chat", ".stage-question")).to_have_text("Who painted the Mona Lisa?", timeout=LONG)
    expect(guest.see("chat", "[data-act=focus]")).to_have_count(5, timeout=LONG)
    guest.act("chat", "choosing")
    for number in (0, 1):
        guest.see("chat", "[data-field=stacked]").nth(number).check()
        expect(guest.see("chat", "[data-field=stacked][checked]")).to_have_count(number + 1)
    guest.act("chat", "stack")
    expect(guest.see("chat", "[data-act=focus]")).to_have_count(6)
    guest.act("chat", "choosing")
    # In a text box a key is a letter.
    box = guest.see("chat", "[data-field=message]")
    box.press("f")
    expect(box).to_have_value("f")
    expect(page.locator("body.projector")).to_have_count(0)
    box.fill("")
    box.blur()
    # Each column's text is seen while it is shorter than in the end.
    page.evaluate(
        """() => {
          window.lengths = {};
          const look = () => document.querySelectorAll("#view-chat .reply-card").forEach((card, i) => {
            const said = card.querySelector(".said")?.textContent.trim().length;
            if (said) (window.lengths[i] ??= new Set()).add(said);
          });
          new MutationObserver(look).observe(document.querySelector("#view-chat"),
            { subtree: true, childList: true, characterData: true });
        }"""
    )
    page.keyboard.press("f")
    expect(page.locator("body.projector")).to_have_count(1)
    expect(page.locator("#view-top")).to_be_hidden()
    page.keyboard.press("a")
    expect(guest.see("chat", ".turn .reply-card .reply-acts")).to_have_count(6, timeout=LONG)
    grown = page.evaluate("Object.values(window.lengths).map((seen) => seen.size)")
    assert len(grown) == 6 and min(grown) > 1, grown
    expect(guest.see("chat", ".trace").first).to_contain_text("GRACE")
    page.keyboard.press("2")
    expect(guest.see("chat", ".many.alone .reply-card")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("body.projector")).to_have_count(0)
    # The duel: no name until the vote.
    guest.see("chat", "[data-field=view][value=duel]").check(force=True)
    expect(guest.see("chat", ".duel-setup")).to_be_visible()
    guest.see("chat", ".chip.forget").first.click()
    expect(guest.see("chat", "[data-act=vote]")).to_have_count(4, timeout=LONG)
    blind = guest.see("chat").inner_html()
    assert not [name for name in ("AlphaEdit", "MEMIT", "GRACE", "ROME", "Three facts") if name in blind]
    page.keyboard.press("ArrowLeft")
    expect(guest.see("chat", ".reply-card.left.won h4 b")).to_have_count(1)
    expect(guest.see("chat", ".reply-card.right h4 b")).to_have_count(1)
