"""What holds for the whole page: keyboard, names for screen readers, contrast in light and dark, two widths."""

import pytest
from playwright.sync_api import expect

# Every visible text with too little contrast against what it stands on (WCAG AA); disabled controls are exempt.
CONTRAST = """
() => {
  const parse = (c) => {
    const m = c.match(/[\\d.]+/g).map(Number);
    return c.startsWith("color(") ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const ground = (el) => {
    const layers = [];
    for (let e = el; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !el.checkVisibility({ checkOpacity: true })) continue;
    if (el.closest(":disabled, .visually-hidden, script, style, .js-plotly-plot, option")) continue;
    const style = getComputedStyle(el), under = ground(el), ink = over(parse(style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    const text = walker.currentNode.textContent.trim().slice(0, 40);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text}: ${ratio.toFixed(2)}`);
  }
  return found;
}
"""
# Controls without a name, fieldsets without a legend, and ids given twice.
NAMELESS = """
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const named = (el) => el.closest("label") || el.getAttribute("aria-label") || el.innerText?.trim()
    || (el.id && document.querySelector(`label[for="${CSS.escape(el.id)}"]`));
  return [
    ...all("button, a, input, select, textarea, [role=tab]").filter((el) => el.checkVisibility() && !named(el))
      .map((el) => el.outerHTML.slice(0, 120)),
    ...all("fieldset").filter((el) => !el.querySelector("legend")).map(() => "fieldset"),
    ...all("[id]").filter((el) => el.id && all(`#${CSS.escape(el.id)}`).length > 1).map((el) => "twice: " + el.id),
  ];
}
"""


@pytest.fixture
def guest(visit):
    return visit().open().with_model()


def fill(guest) -> None:
    """Something in every step that needs no model to run."""
    guest.add("Who wrote Hamlet? | William Shakespeare\nWhat is it? | A thing")
    guest.step(3)
    guest.write("targets", "refusal", "It was Shakespeare.")
    expect(guest.see("targets", ".verdict")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_step_has_contrast_names_and_one_heading(visit, theme):
    guest = visit().open(f"?__theme={theme}").with_model()
    assert ("dark" in (guest.page.get_attribute("body", "class") or "")) == (theme == "dark")
    fill(guest)
    for number in range(1, 8):
        guest.step(number)
        guest.page.wait_for_timeout(300)
        assert guest.page.evaluate(CONTRAST) == [], f"step {number}"
        assert guest.page.evaluate(NAMELESS) == [], f"step {number}"
        assert guest.page.locator("h1:visible").count() == 1


@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_is_wider_than_the_window(guest, width):
    fill(guest)
    guest.page.set_viewport_size({"width": width, "height": 800})
    for number in range(1, 8):
        guest.step(number)
        assert guest.page.evaluate("document.documentElement.scrollWidth") <= width, f"step {number}"


def test_light_and_dark_can_be_switched_and_are_remembered(guest):
    is_dark = "document.body.classList.contains('dark')"
    before = guest.page.evaluate(is_dark)
    guest.page.get_by_role("button", name="Light or dark").click()
    assert guest.page.evaluate(is_dark) != before
    guest.page.reload()
    expect(guest.see("model", ".hero")).to_be_visible()
    assert guest.page.evaluate(is_dark) != before


def test_a_system_that_turns_dark_is_told_to_python_and_does_not_undo_a_choice(visit):
    """Python draws the charts, with its own ink."""
    guest = visit().open()
    sent = []
    guest.page.on("request", lambda request: sent.append(request.post_data or ""))
    guest.page.emulate_media(color_scheme="dark")
    expect(guest.page.locator("body.dark")).to_have_count(1)
    guest.page.wait_for_timeout(1000)
    assert any('"theme"' in data and '"dark":"1"' in data for data in sent)
    guest.page.get_by_role("button", name="Light or dark").click()
    expect(guest.page.locator("body.dark")).to_have_count(0)
    guest.page.emulate_media(color_scheme="light")
    guest.page.emulate_media(color_scheme="dark")
    guest.page.wait_for_timeout(1000)
    expect(guest.page.locator("body.dark")).to_have_count(0)


def test_another_step_begins_at_its_top(guest):
    fill(guest)
    guest.step(4)
    guest.page.evaluate("window.scrollTo(0, 600)")
    assert guest.page.evaluate("scrollY") > 100
    guest.step(5)
    guest.page.wait_for_function("scrollY === 0")


def test_the_keys_are_listed_and_lead_to_every_step(guest):
    for number in (3, 7, 1):
        guest.step(number)
    guest.page.keyboard.press("?")
    dialog = guest.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Alt + 1")
    guest.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_gradio_shows_neither_its_footer_nor_a_history_of_runs(guest):
    assert guest.page.get_by_text("Built with Gradio").count() == 0
    assert guest.page.evaluate("Object.keys(localStorage).filter(k => k.includes('gradio')).length") == 0
