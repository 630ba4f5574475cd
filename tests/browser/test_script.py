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
    return box["y"] >= -1 and box["y"] + box["height"] <= 800


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


def test_a_message_comes_into_sight_after_a_click_and_not_by_itself(panel):
    page = panel.begin(f'<div id="told"></div>{FAR}<button data-act="save">Save</button>')
    page.mouse.wheel(0, 5000)
    page.wait_for_function("scrollY > 1000")
    panel.put("#told", NOTICE.format(n=1))
    page.wait_for_timeout(300)
    assert not in_sight(page, ".notice")
    page.locator("button").click()
    panel.put("#told", NOTICE.format(n=2))
    page.wait_for_function("scrollY < 100")
    assert in_sight(page, ".notice")


def test_what_is_to_be_looked_at_comes_into_sight_with_its_heading_in_focus_also_a_moment_later(panel):
    section = '<section data-show="{n}"><h3 tabindex="-1">Here</h3></section>'
    page = panel.begin(f'<button data-act="open">Open</button>{FAR}<div id="at" hidden></div>{FAR}')
    page.locator("button").click()
    panel.put("#at", section.format(n=1))
    page.wait_for_timeout(300)
    page.evaluate("document.querySelector('#at').hidden = false")
    page.wait_for_function("document.activeElement.textContent === 'Here'")
    assert in_sight(page, "h3"), page.locator("h3").bounding_box()
    page.evaluate("scrollTo(0, 0)")
    panel.put("#at", section.format(n=1))  # the same view, drawn again
    page.wait_for_timeout(300)
    assert not in_sight(page, "h3")


def test_the_second_of_a_double_click_does_not_take_away_what_moved_up(panel):
    page = panel.begin('<button data-act="delete-edit" data-edit="a">x</button>')
    page.locator("button").click()
    page.evaluate("document.querySelector('button').dataset.edit = 'b'")
    page.locator("button").click()
    assert [sent["edit"] for sent in panel.sent()] == ["a"]
    page.wait_for_timeout(600)
    page.locator("button").click()
    assert [sent["edit"] for sent in panel.sent()] == ["a", "b"]


def test_a_double_click_is_one_click_but_on_what_leads_to_the_next(panel):
    acts = ("clear", "paste", "invite", "example-study", "ask", "prepared-next", "new", "page")
    page = panel.begin("".join(f'<p><button data-act="{act}">{act}</button></p>' for act in acts))
    for act in acts:
        page.locator(f'[data-act="{act}"]').dblclick()
    assert [sent["act"] for sent in panel.sent()] == [*acts[:5], *("prepared-next",) * 2, *("new",) * 2, *("page",) * 2]
    page.locator('[data-act="clear"]').click()
    assert panel.sent()[-1]["act"] == "clear"


def test_rows_taken_away_one_after_the_other_all_go(panel):
    row = '<p><button data-act="remove" data-row="{n}">x</button></p>'
    page = panel.begin("".join(row.format(n=n) for n in range(5)))
    for n in range(5):
        page.locator("button").nth(n).click()
    assert [sent["row"] for sent in panel.sent()] == ["0", "1", "2", "3", "4"]


def test_the_cursor_goes_where_a_click_asks_for_it_and_nowhere_by_itself(panel):
    new = '<textarea data-row="{n}" data-field="question" data-land="{n}"></textarea>'
    rest = '<textarea id="mine"></textarea><button data-act="new">+</button>'
    page = panel.begin(f'<div id="at">{new.format(n=7)}</div>{rest}')
    page.locator("#mine").click()
    page.evaluate("document.querySelector('#mine').value = ''")
    panel.put("#at", new.format(n=7) + "<p>A job's progress</p>")  # the page was loaded anew; the row is an old one
    page.keyboard.type("What?")
    assert page.locator("#mine").input_value() == "What?"
    page.locator("button").click()
    panel.put("#at", new.format(n=8))
    page.keyboard.type("Who?")
    assert page.locator("[data-land]").input_value() == "Who?"


def turns(*heights: int) -> str:
    """A conversation as the chat draws it, the last turn of it the latest."""
    last = len(heights) - 1
    return "".join(
        f'<article class="turn{" latest" if n == last else ""}" style="height: {height}px">{n}</article>'
        for n, height in enumerate(heights)
    )


def test_a_conversation_stays_at_its_end_but_never_hides_the_latest_question(panel):
    page = panel.begin('<div id="log" data-follow="1" style="height: 300px; overflow-y: auto"></div>')

    def top() -> int:
        page.wait_for_timeout(100)
        return round(page.evaluate("document.querySelector('#log').scrollTop"))

    panel.put("#log", turns(200, 200, 150))
    assert top() == 250  # the end
    panel.put("#log", turns(200, 200, 600))
    assert 380 < top() <= 400  # the long reply's question
    page.evaluate("document.querySelector('#log').scrollTop = 500")
    panel.put("#log", turns(200, 200, 800))
    assert top() == 500  # being read
    panel.put("#log", turns(200, 200, 800, 100))
    assert top() == 1000  # asked again
    page.evaluate("document.querySelector('#log').scrollTop = 100")
    panel.put("#log", turns(200, 200, 800, 200))
    assert top() == 100  # scrolled up
