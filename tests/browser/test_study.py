"""A participant of a study in a real Chromium, by keyboard alone, on a phone and on a desk."""

import re
import threading

import pytest
import uvicorn
from playwright.sync_api import expect

from tests.study.conftest import CONDITIONS, protocol, replies
from unedit_gui.study import taking
from unedit_gui.study.serving import standalone
from unedit_gui.study.store import Study
from unedit_gui.study.taking import Given

SIZES = {
    "phone": {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True},
    "desk": {"viewport": {"width": 1280, "height": 800}},
}


PASSWORD = "watch with me"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(study, address of its pages)."""
    study = Study.create(tmp_path_factory.mktemp("study") / "trial.sqlite", "trial", protocol())
    study.add_replies(replies(study.protocol), "test")
    study.open()
    server = uvicorn.Server(
        uvicorn.Config(standalone(lambda: [study], PASSWORD), port=0, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not (server.started and server.servers):
        thread.join(0.05)
    yield study, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/study/"
    server.should_exit = True
    thread.join(10)
    study.disconnect()


@pytest.mark.parametrize("size", SIZES)
def test_a_participant_comes_through_by_keyboard_alone(browser, served, size):
    study, address = served
    context = browser.new_context(**SIZES[size])
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    press = page.keyboard.press

    def to(selector):
        for _ in range(30):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            press("Tab")
        raise AssertionError(f"{selector} can't be reached with Tab")

    def at(step):
        expect(page).to_have_url(re.compile(f"/study/{step}$"))

    def fits():
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    page.goto(address)
    to("#code")
    page.keyboard.type(study.invite(1)[0].lower())
    press("Enter")
    at("consent")
    to("#agree")
    press("Space")
    press("Enter")
    at("about-you")
    to("[name=age]")
    press("ArrowDown")
    press("Enter")
    at("instructions")
    fits()
    to("main button")
    press("Enter")
    at("practice")
    expect(page.locator(".scales")).to_be_hidden()
    for key in ("1", "2", "4"):
        press(key)
    expect(page.locator(".scales")).to_be_visible()
    fits()
    press("Enter")
    at("practice/notes")
    to("a.button")
    press("Enter")
    for position in range(1, 6):
        expect(page.locator("h1")).to_have_text(f"Item {position} of 5")
        if position == 1:
            press("Enter")  # nothing chosen yet: nothing is sent
            press("1")
            press("5")
            page.reload()  # what was chosen is still there
            expect(page.locator("#entailment-5")).to_be_checked()
            press("3")
        elif position == 2:
            to("#comment")
            page.keyboard.type("One line\nand 1 more")
            press("Shift+Tab")
            press("0")
        elif position == 4:
            to("a.back")  # to an answered item, which is changed as it was given
            press("Enter")
            at("item/3")
            for key in ("1", "4", "5", "Enter"):
                press(key)
            at("item/4")
            to("a.back")
            press("Enter")
            at("item/3")
            for key in ("1", "2", "5", "Enter"):
                press(key)
            at("item/4")
            press("0")
        else:
            press("0")
        press("Enter")
    expect(page.locator("h1")).to_have_text("Thank you!")
    assert errors == []
    context.close()
    rater = study.raters()[-1]["rater"]
    found = {row["position"]: row for row in study.judgements() if row["rater"] == rater}
    assert (found[1]["forgotten"], found[1]["entailment"], found[1]["trust"]) == (1, 5, 3)
    assert (found[3]["forgotten"], found[3]["entailment"], found[3]["trust"]) == (1, 2, 5)
    assert found[2]["forgotten"] == 0 and found[2]["comment"] == "One line\nand 1 more"
    assert all(row["focus_seconds"] is not None for row in found.values())


def invited(study):
    """(code, rater) of somebody who has come through the practice."""
    code = study.invite(1)[0]
    rater = taking.rater_of(study, code)
    taking.consent(study, rater, study.protocol.consent_sha256)
    taking.tell(study, rater, {"age": "25 to 34"})
    taking.begin(study, rater)
    taking.answer(study, rater, 0, Given(1, 1, 4), "practice")
    return code, rater


def typed(page):
    for key in ("1", "4", "2"):
        page.keyboard.press(key)
    page.locator("#comment").fill("Half a thought")


def sees_what_was_typed(page):
    for place in ("forgotten-1", "entailment-4", "trust-2"):
        expect(page.locator(f"#{place}")).to_be_checked()
    expect(page.locator("#comment")).to_have_value("Half a thought")


@pytest.mark.parametrize("mishap", ["paused", "another code", "no cookie"])
def test_what_was_typed_outlives_a_page_that_says_it_was_not_stored(browser, served, mishap):
    study, address = served
    code, rater = invited(study)
    context = browser.new_context(**SIZES["desk"])
    page = context.new_page()
    page.goto(f"{address}j/{code}")
    typed(page)
    if mishap == "paused":
        study.pause()
    elif mishap == "another code":
        context.new_page().goto(f"{address}j/{invited(study)[0]}")
    else:
        context.clear_cookies()
    page.get_by_role("button", name="Next").click()
    says = {"paused": "Not now", "another code": "Please load again", "no cookie": "Welcome"}[mishap]
    expect(page.locator("h1")).to_have_text(says)
    assert taking.where(study, rater).answered == 0
    if mishap == "paused":
        study.open()
        page.goto(f"{address}next")
    elif mishap == "another code":
        page.get_by_role("link", name="Go on").click()
        expect(page.locator("#forgotten-1")).not_to_be_checked()  # what somebody else typed is not theirs
        page.goto(f"{address}j/{code}")
    else:
        page.locator("#code").fill(code)
        page.keyboard.press("Enter")
    sees_what_was_typed(page)
    page.reload()
    page.reload()
    sees_what_was_typed(page)
    page.get_by_role("button", name="Next").click()
    expect(page.locator("h1")).to_have_text("Item 2 of 5")
    assert taking.show(study, rater, 1).given.comment == "Half a thought"
    context.close()


@pytest.mark.parametrize("left", ["by a link", "by sending it"])
def test_an_item_that_was_only_looked_at_shows_what_was_changed_elsewhere_since(browser, served, left):
    study, address = served
    code, rater = invited(study)
    for position in (1, 2):
        taking.answer(study, rater, position, Given(1, 3, 3), f"first {position}")
    context = browser.new_context(**SIZES["desk"])
    page = context.new_page()
    page.goto(f"{address}j/{code}")
    expect(page.locator("h1")).to_have_text("Item 3 of 5")
    page.goto(f"{address}item/1")
    expect(page.locator("#entailment-3")).to_be_checked()
    if left == "by a link":
        page.get_by_role("link", name="Go on later").click()
    else:
        page.get_by_role("button", name="Next").click()
        expect(page.locator("h1")).to_have_text("Item 2 of 5")
    taking.answer(study, rater, 1, Given(1, 5, 3, "On the phone"), "elsewhere")
    page.goto(f"{address}item/1")
    expect(page.locator("#entailment-5")).to_be_checked()
    expect(page.locator("#comment")).to_have_value("On the phone")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("h1")).to_have_text("Item 2 of 5")
    assert taking.show(study, rater, 1).given == Given(1, 5, 3, "On the phone")
    context.close()


def test_the_lab_shows_the_same_pages_and_they_lead_nowhere_else(browser, bare):
    page = browser.new_context().new_page()
    page.goto(f"{bare}study/")
    expect(page.locator("h1")).to_have_text("Welcome")
    page.keyboard.press("Tab")
    page.locator("#code").fill("NOTA-CODE-ATAL")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    links = page.eval_on_selector_all("[href], [src], form", "all => all.map(one => one.href || one.src || one.action)")
    assert all(link.startswith((f"{bare}study/", "data:,")) for link in links)
    page.context.close()


def test_the_researcher_looks_on_and_sees_conditions_only_at_the_end(browser, served):
    study, address = served
    study.invite(1)
    credentials = {"username": "anybody", "password": PASSWORD}
    context = browser.new_context(**SIZES["desk"], http_credentials=credentials, color_scheme="dark")
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.clock.install()
    page.goto(address.replace("/study/", "/watch/"))
    invited = page.locator("dl div").filter(has_text="Invited").locator("dd")
    before = int(invited.inner_text())
    page.locator("#again").focus()
    study.invite(3)
    page.clock.run_for(21_000)
    expect(invited).to_have_text(str(before + 3))
    assert page.evaluate("document.activeElement.id") == "again"  # nobody was thrown back to the top
    assert not any(name in page.content() for name in CONDITIONS)
    study.close()
    page.clock.run_for(21_000)
    expect(page.get_by_role("heading", name="Conditions")).to_be_visible()
    assert errors == []
    context.close()
