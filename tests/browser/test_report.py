"""A report from disk in a real Chromium: it shows itself, loads nothing, and breaks no rule of its own policy."""

from playwright.sync_api import expect

from tests.reports.made import HOSTILE, made, row
from unedit_gui.reports.report import html


def test_a_report_opens_from_disk_without_a_request_and_shows_hostile_replies_as_text(browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(html([made(rows=(row("Who?", "Ann.", HOSTILE),), name=HOSTILE)]), "utf-8")
    page = browser.new_page()
    asked, told = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.goto(file.as_uri())
    page.get_by_text("Questions to forget: 1").click()
    expect(page.get_by_role("cell", name=HOSTILE)).to_be_visible()
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()] and told == []
    assert page.evaluate("getComputedStyle(document.querySelector('section.run')).borderTopStyle") == "solid"
    page.close()
