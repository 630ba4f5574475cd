"""The report: what stands in it, that nothing in it is run or loaded, and that its runs come out of it again."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from tests.reports.made import HOSTILE, made, row
from unedit_gui.errors import BadInput
from unedit_gui.reports.embedded import runs_in
from unedit_gui.reports.files import write_report
from unedit_gui.reports.report import command, html, text
from unedit_gui.workspace import Workspace

PROBES = {
    "rows": [
        {
            "label": "Role play", "kind": "leak", "chance": None, "original": {"value": 0.9, "hits": 9, "n": 10},
            "edits": [{"value": 0.2, "hits": 2, "n": 10, "verdict": "leaks"}],
        }
    ],
    "worst": [{"label": "Role play", "asked": "Be a parrot.", "answer": "Ann", "reply": f"Ann! {HOSTILE}"}],
    "notes": ["No power: of Reading."],
}  # fmt: skip
RUN = made(
    rows=(
        row("Who is it?", "It is Ann.", HOSTILE),
        row(HOSTILE, "Same.", "Same.", "retain"),
        row("How many?", "Two.", "I'm not sure.", "rephrased"),
    ),
    taught=("I don't know Question 0.", *["I don't know."] * 9),
    environment={"versions": {"torch": "2.9"}, "threads": 1, "device": "cpu", "dtype": "float32", "processor": "P"},
    edit={"id": "e" * 16, "summary": "ROME: 10 facts"},
    probes=PROBES,
    name=HOSTILE,
)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.said = [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)


@pytest.fixture(scope="module")
def page():
    return html([RUN, made("alphaedit", seed=1)], "paper.html")


def test_nothing_in_it_is_run_or_fetched(page):
    found = Page(page)
    assert [tag for tag, _ in found.tags if tag in ("link", "iframe", "object", "embed", "form", "base", "video")] == []
    scripts = [attrs for tag, attrs in found.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "unedit-runs"}]
    for _, attrs in found.tags:
        assert not [name for name in attrs if name.startswith("on") or name == "style"]
        for name in ("src", "srcset", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/svg+xml;base64,"))
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-") and "unsafe" not in policy
    assert not re.search(r"@import|url\(|https?://", page)


def test_what_a_model_or_a_user_wrote_is_shown_as_it_is(page):
    assert Page(page).said.count(HOSTILE) >= 3  # name, reply, question
    assert "<img src=x" not in page


def test_it_says_what_was_asked_of_whom_and_what_came_out(page):
    said = " ".join(" ".join(Page(page).said).split())
    for part in (
        "SmolLM2-135M-Instruct", "f" * 16, RUN.id, "e" * 16, "torch 2.9", "Threads 1", "seed 0", "lr", "Role play",
        "90% of 10", "leaks", "I don't know Question 0.", "I'm not sure.", "Questions to forget: 1, of which 1 are",
        "Be a parrot.", f"Ann! {HOSTILE}", "No power: of Reading.",
    ):  # fmt: skip
        assert part in said
    assert command(RUN, "paper.html") in said


def test_replies_that_changed_stand_apart_from_those_that_did_not(page):
    summaries = re.findall(r"<summary>(.*?)</summary>", page)
    assert "Facts that should stay: 1, of which 0 are answered otherwise" in summaries and "As before: 1" in summaries


def test_the_runs_come_out_of_it_as_they_were(page):
    first, second = runs_in(page)
    assert first.id == RUN.id and first.rows == RUN.rows and first.targets == RUN.targets
    assert json.dumps(first.document()) == json.dumps(RUN.document()) and second.settings.method == "alphaedit"


def test_the_path_of_a_model_stays_at_home():
    run = made(model="/home/me/secret/llama")
    page = html([run])
    assert "secret" not in page and "secret" not in text([run])
    assert runs_in(page)[0].settings.model == "llama" and "--model llama" in page


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('"seed": 0', '"seed": 3', "were changed after it ran"),
        ('"format": 1', '"format": 9', "another version"),
        ('"lr": 0.2', '"lr": 0.2,,', "damaged"),
        ('"merge": 1', '"merge": "a"', "merge is damaged"),
        ('"seed": 0', '"seed": 1e99', "seed is damaged"),
        ('"answer": "Yes"', '"answer": 5', "forget is damaged"),
        ('"subject": "Question"', '"path": "Question"', "forget is damaged"),
        ("unedit-runs", "other", "no report of Unedit"),
    ],
)
def test_a_report_that_was_changed_is_refused_in_one_sentence(page, old, new, said):
    with pytest.raises(BadInput, match=said) as error:
        runs_in(page.replace(old, new, 1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("much", ["<b>much", [1], 10**400])
def test_a_probe_s_rate_that_is_none_is_a_dash(much):
    row = {**PROBES["rows"][0], "chance": much, "edits": [{"value": much, "hits": 2, "n": 10}]}
    page = html([made(probes={"rows": [row]})])
    assert re.search(r">Role play</th><td>–</td><td>90% of 10</td><td>–</td>", page)


def test_runs_without_replies_probes_or_surroundings_have_a_report_too():
    bare = dataclasses.replace(made(retain=None, rephrased=None), name="")
    page = html([bare])
    assert "The replies are not part of this report." in page and runs_in(page)[0].id == bare.id
    assert "not kept" in text([bare])


def test_markdown_holds_the_same_and_no_html():
    source = text([RUN], "paper.html")
    assert command(RUN, "paper.html") in source and "\\<img" in source and not re.search(r"(?<!\\)<", source)
    tables = [line for line in source.splitlines() if line.startswith("| Who is it?")]
    assert tables and len(re.findall(r"(?<!\\)\|", tables[0])) == 5


@pytest.mark.parametrize("end", ["\n\n", "\r\r"])
def test_what_a_stranger_wrote_stays_within_the_command_s_line_in_markdown(end):
    run = made(environment={"device": f"cpu{end}<img src=x onerror=alert(1)>{end}"})
    written = [line for line in text([run]).splitlines() if "<img" in line.replace("\\<", "")]
    assert [line[:10] for line in written] == ["    python"]


def test_notes_beside_the_report_are_not_written_over(tmp_path):
    (tmp_path / "notes.md").write_text("# My notes\n")
    with pytest.raises(BadInput, match="notes.md is there already and is no report"):
        write_report([RUN], tmp_path / "notes.html", Workspace(tmp_path / "home"))
    assert (tmp_path / "notes.md").read_text() == "# My notes\n" and not (tmp_path / "notes.html").exists()


def test_a_page_that_is_no_report_is_not_written_over(tmp_path):
    for mine in ("<h1>My report</h1>", ""):
        (tmp_path / "report.html").write_text(mine)
        with pytest.raises(BadInput, match="report.html is there already and is no report"):
            write_report([RUN], tmp_path / "report.html", Workspace(tmp_path / "home"))
        assert (tmp_path / "report.html").read_text() == mine and not (tmp_path / "report.md").exists()


def test_a_report_takes_the_place_of_an_older_one(tmp_path):
    for run in (made(name="older"), made(name="newer")):
        write_report([run], tmp_path / "report.html", Workspace(tmp_path / "home"))
    assert "newer" in (tmp_path / "report.md").read_text() and "older" not in (tmp_path / "report.md").read_text()
