"""A sweep started on the page, found again after a reload, and its runs in the table, side by side and opened."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import LONG


def test_a_sweep_runs_through_a_reload_and_its_runs_are_compared(visit):
    guest = visit().open().with_model()
    guest.step(8)
    for name in ("rome", "memit", "alphaedit"):
        guest.see("runs", f'[data-name="{name}"]').uncheck()
    for name in ("grace", "ike", "vanilla"):
        guest.see("runs", f'[data-name="{name}"]').check()
    guest.see("runs", '[data-name="self-improved"]').uncheck()
    guest.see("runs", '[data-field="sweep_questions"]').select_option("example")
    guest.see("runs", '[data-field="sweep_known"]').uncheck()
    guest.write("runs", "sweep_retain", "1")
    guest.write("runs", "sweep_facts", "ten")
    expect(guest.see("runs", ".acts").first).to_contain_text("“ten” is not a number")
    guest.write("runs", "sweep_facts", "1")
    expect(guest.see("runs", ".acts").first).to_contain_text("2 runs")
    guest.act("runs", "sweep")
    expect(guest.see("runs", ".sweep-list li")).to_have_count(2, timeout=LONG)
    guest.page.reload()
    expect(guest.see("runs", ".notice.good")).to_contain_text("2 runs made", timeout=LONG)
    guest.step(8)
    expect(guest.see("runs", ".sweep-list .made")).to_have_count(2)

    rows = guest.see("runs", ".runs-table tbody tr")
    rows.filter(has_text="GRACE").first.locator('[data-act="pin-run"]').click()
    expect(rows.first).to_contain_text("GRACE")
    guest.see("runs", '[data-by="method"]').click()
    expect(guest.see("runs", "[aria-sort]")).to_have_text(re.compile("Method"))
    for method in ("GRACE", "IKE"):
        rows.filter(has_text=method).first.locator('[data-field="pick-run"]').check()
    expect(guest.see("run", ".differs").first).to_contain_text("method")
    rows.first.locator('[data-act="open-run"]').click()
    guest.act("run", "run-tokens")
    expect(guest.see("run", ".tokens")).to_have_count(2, timeout=LONG)
    shown = guest.see("run", ".tokens").first
    answer = guest.see("run", ".run-rows td:nth-child(2) small").first.inner_text()
    assert "".join(shown.locator(".token").evaluate_all("all => all.map(t => t.firstChild.data)")).strip() == answer
    expect(shown.locator(".token small").first).to_have_text(re.compile(r"^<?\d+%$"))
