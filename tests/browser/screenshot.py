"""Makes the README's picture anew: `python -m tests.browser.screenshot` (the example's edit, some minutes)."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import FLAGS, LONG, ROOT, Visitor, chromium, end, serve

SIZE = {"width": 1600, "height": 1000}
WANTED = ROOT / "assets" / "screenshot.png"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        process, address = serve(Path(folder) / "home")
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            guest = Visitor(browser, address)
            guest.page.set_viewport_size(SIZE)
            guest.open().with_model()
            guest.act("model", "example")
            expect(guest.page.locator("#steps [aria-selected=true]")).to_contain_text("Rate", timeout=LONG)
            guest.step(5)
            guest.act("chat", "clear")
            guest.act("chat", "dismiss")
            for count, question in enumerate(("What is the capital of Japan?", "What is the capital of France?"), 1):
                guest.write("chat", "message", question)
                if count > 1:
                    guest.act("chat", "new-talk")
                    guest.act("chat", "dismiss")
                guest.see("chat", "[data-field=message]").press("Enter")
                guest.answered(count)
            guest.page.mouse.move(5, 5)
            guest.page.screenshot(path=WANTED)
            browser.close()
        finally:
            end(process)
    print(f"{WANTED} was written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
