"""A newcomer's way: a ready-made edit in one click, compared with another, sent out and taken in again."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG, end, serve


@pytest.fixture
def newcomer(visit, tmp_path):
    """A visitor of a program that was just installed: whose own edits, also the example's, aren't there."""
    process, address = serve(tmp_path / "home")
    guest = visit(address).open().with_model()
    yield guest
    guest.context.close()
    end(process)


def test_a_ready_made_edit_is_chatted_with_compared_exported_and_sent(newcomer, tmp_path):
    guest = newcomer
    guest.act("model", "try-ready")
    expect(guest.see("chat", ".pane-head.edited")).to_contain_text("Three facts, AlphaEdit")
    guest.see("chat", ".chip.forget").first.click()
    guest.answered(1)
    answer = guest.see("chat", ".chip.forget").first.get_attribute("data-answer")
    assert answer not in guest.see("chat", ".turn .edited .said").inner_text()

    guest.step(4)
    shelf = guest.see("edit", ".shelf")
    expect(shelf.locator('[data-act="delete-edit"]')).to_have_count(0)
    shelf.locator('li:has-text("Three facts, MEMIT") [role=switch]').check(force=True)
    expect(shelf.locator('[data-act="compare"]')).to_be_enabled()
    guest.act("edit", "compare")
    expect(shelf.locator(".compared")).to_contain_text("cosine of 0.")
    expect(shelf.locator(".compared tbody tr").first).to_contain_text("alphaedit")
    shelf.locator('[data-form="peft"]').click()
    written = re.compile("Written to.*not those on the hub", re.DOTALL)
    expect(shelf.locator(".notice")).to_contain_text(written, timeout=LONG)

    with guest.page.expect_download() as download:
        guest.act("edit", "download-edit")
    download.value.save_as(tmp_path / "it.zip")
    (tmp_path / "bad.zip").write_bytes((tmp_path / "it.zip").read_bytes()[:-500])
    take = shelf.locator('input[type="file"]')
    take.set_input_files(tmp_path / "bad.zip")
    expect(shelf.locator(".notice.bad")).to_contain_text("bad.zip is not a zip file that can be read")
    take.set_input_files(tmp_path / "it.zip")
    expect(shelf.locator(".notice.good")).to_contain_text("is here now, and switched on")

    (tmp_path / "memit.yaml").write_text("alg_name: MEMIT\nlayers: [4, 5]\nfact_token: subject_last\n")
    guest.see("edit", '[data-for="settings"]').set_input_files(tmp_path / "memit.yaml")
    expect(guest.see("edit", ".step > .notice")).to_contain_text("settings of memit.yaml, for MEMIT")
    assert guest.see("edit", '[data-name="memit.layers"]').input_value() == "4, 5"
