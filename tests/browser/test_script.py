"""The page's own script by itself, on a panel that stands in for Python's: no program, no model."""

import pytest

from tests.browser.conftest import ROOT

NOTICE = '<div class="notice" data-told="{n}" style="scroll-margin: 16px 0 100px">Told.</div>'
FAR = '<div style="height: 3000px"></div>'


@pytest.fixture
def panel(browser):
    """Draws a panel anew, as Gradio does, and tells what was sent from it."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")

    class Panel:
        def begin(self, html: str):
            page.set_content(f'<div id="panel">{html}</div>')
            page.add_script_tag(path=ROOT / "assets" / "unedit.js")
            page.evaluate(
                "window.sent = []; const to = (name, data) => sent.push({name, ...data});"
                "unedit.bridge(document.querySelector('#panel'), to)"
            )
            return page

        def put(self, selector: str, html: str) -> None:
            """Python draws something else in a place of the panel."""
            page.evaluate("([at, html]) => (document.querySelector(at).innerHTML = html)", [selector, html])

        def sent(self) -> list[dict]:
            return page.evaluate("sent")

    yield Panel()
    page.close()


def in_sight(page, selector: str) -> bool:
    box = page.locator(selector).bounding_box()
    return box["y"] >= 0 and box["y"] + box["height"] <= 800


def test_a_refused_tick_shows_again_how_things_are_and_is_not_sent_along_with_the_next_click(panel):
    page = panel.begin(
        '<div id="told"></div><input type="checkbox" data-field="column"><button data-act="send">Send</button>'
    )
    for n in (1, 2):  # the same message told again is a refusal, too
        page.locator("input").check()
        panel.put("#told", NOTICE.format(n=n))
        page.wait_for_function("!document.querySelector('input').checked")
    page.locator("button").click()
    assert panel.sent()[-1] == {"name": "click", "act": "send", "changed": []}
