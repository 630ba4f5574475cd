"""The page in a real Chromium, served by a real `python app.py` on the bundled model."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LONG = 400_000  # milliseconds for what computes; the machine may be busy with other tests
expect.set_options(timeout=30_000)


def serve(home: Path, *flags: str):
    """Start the program on a free port. Returns (process, address) once it says that the page is open."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--no-browser", "--port", str(port), "--home", str(home), *flags]
    log = (home.parent / f"{home.name}.log").open("w")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    line = process.stdout.readline()
    assert "Unedit is open at" in line, (home.parent / f"{home.name}.log").read_text()
    return process, f"http://127.0.0.1:{port}/"


def chromium() -> str | None:
    """Where Chromium is installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("unedit") / "home"


@pytest.fixture(scope="session")
def address(home):
    """The running program with the bundled model, shared by the tests of this folder."""
    process, address = serve(home)
    yield address
    end(process)


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The running program without a model."""
    process, address = serve(tmp_path_factory.mktemp("bare") / "home", "--no-model")
    yield address
    end(process)


@pytest.fixture(scope="session")
def browser():
    program = chromium()
    if program is None:
        pytest.skip("Chromium is not installed; `make test` installs it")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield found
        found.close()


class Visitor:
    """One browser session looking at the page."""

    def __init__(self, browser, address: str):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        self.page = self.context.new_page()
        self.address = address
        self.foreign: list[str] = []  # requests that leave this computer
        self.errors: list[str] = []
        self.page.on("request", self._request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, query: str = ""):
        self.page.goto(self.address + query)
        expect(self.page.locator("#view-model .hero")).to_be_visible()
        return self

    def with_model(self):
        """Wait until the bundled model is there."""
        expect(self.see("model", "dl.facts")).to_have_count(1, timeout=LONG)
        return self

    def step(self, number: int) -> None:
        self.page.keyboard.press(f"Alt+{number}")
        expect(self.page.locator(f'#steps [role="tab"]:nth-of-type({number})')).to_have_attribute(
            "aria-selected", "true"
        )

    def see(self, view: str, selector: str = ""):
        return self.page.locator(f"#view-{view} {selector}".strip())

    def act(self, view: str, name: str) -> None:
        """Press the first button of a view that sends this act."""
        self.see(view, f'[data-act="{name}"]').first.click()

    def write(self, view: str, field: str, text: str) -> None:
        box = self.see(view, f'[data-field="{field}"]').first
        box.fill(text)
        box.blur()

    def add(self, lines: str) -> None:
        """Put questions into the forget table."""
        self.step(2)
        more = self.see("forget", '[data-act="adding"]:has-text("Add more")')
        if more.count():
            more.click()
        self.write("forget", "paste", lines)
        self.act("forget", "paste")

    def answered(self, count: int) -> None:
        """Wait until so many questions of the conversation are answered."""
        expect(self.see("chat", ".turn .reply-card.edited .reply-acts")).to_have_count(count, timeout=LONG)
        expect(self.see("chat", '[data-act="send"]')).to_be_visible(timeout=LONG)


@pytest.fixture
def visit(browser, address):
    """Makes visitors of the page with the model; at the end none of them may have met an error."""
    made: list[Visitor] = []

    def make(address=address) -> Visitor:
        made.append(Visitor(browser, address))
        return made[-1]

    yield make
    for visitor in made:
        visitor.context.close()
    assert [error for visitor in made for error in visitor.errors] == []
    assert [url for visitor in made for url in visitor.foreign] == []
