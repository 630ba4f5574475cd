"""A participant of a study in a real Chromium, by keyboard alone, on a phone and on a desk."""

import re
import threading

import pytest
import uvicorn
from playwright.sync_api import expect

from tests.study.conftest import CONDITIONS, protocol, replies
from unedit_gui.study.serving import standalone
from unedit_gui.study.store import Study

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
