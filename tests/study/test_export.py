"""What a study hands on: files that hold what was answered, and nothing that could harm whoever opens them."""

import csv
import io
import json
import sqlite3
import threading
from dataclasses import replace

import pytest

from tests.study.played import IMPROVED, PLAIN, play
from unedit_gui.errors import BadInput
from unedit_gui.reports.study_files import write
from unedit_gui.study import export, taking
from unedit_gui.study.heds import heds, methods
from unedit_gui.study.results import COLUMNS
from unedit_gui.study.writeup import results, table

MEANS = {PLAIN: {"entailment": 2.5, "trust": 3.0}, IMPROVED: {"entailment": 3.5, "trust": 3.6}}
FORMULA = '=HYPERLINK("http://x.test","click")'


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """Eight raters, eight questions, one hostile comment, one failed check; closed."""
    study = play(tmp_path_factory.mktemp("s") / "s.sqlite", 8, 8, MEANS, seed=1, demographics={"age": "required"})
    first = study.raters()[0]["rater"]
    taking.answer(study, first, 1, taking.Given(1, 5, 5, FORMULA), "again")
    place = next(row["position"] for row in study.judgements() if row["rater"] == first and row["attention_check"])
    taking.answer(study, first, place, taking.Given(0), "check again")
    study.close()
    return study


@pytest.fixture(scope="module")
def figures(closed):
    return export.analysis_of(closed)


@pytest.fixture(scope="module")
def peeked(tmp_path_factory):
    """The folder of a study that still runs."""
    study, there = play(tmp_path_factory.mktemp("s") / "open.sqlite", 2, 4, MEANS), tmp_path_factory.mktemp("out")
    with pytest.raises(BadInput, match="close it first, or say --peek"):
        write(study, there)
    assert list(there.iterdir()) == []
    write(study, there, peek=True)
    return there


def test_the_csv_holds_every_judgement_as_it_was_given(closed):
    rows = list(csv.DictReader(io.StringIO(export.judgements_csv(closed.judgements()))))
    assert list(rows[0]) == list(export.CODEBOOK) == [*COLUMNS, "rater_flags"]
    assert len(rows) == 8 * 9
    for read, given in zip(rows, closed.judgements(), strict=True):
        for name in ("rater", "condition", "forgotten", "trust", "position"):
            assert read[name] == ("" if given[name] is None else str(given[name]))
    assert {row["rater"] for row in rows if row["rater_flags"]} == {closed.raters()[0]["rater"]}


def test_no_comment_is_a_formula_to_a_spreadsheet(closed):
    text = export.judgements_csv(closed.judgements())
    (row,) = [row for row in csv.DictReader(io.StringIO(text)) if "HYPERLINK" in row["comment"]]
    assert row["comment"] == f"'{FORMULA}"


def test_the_codebook_explains_every_column():
    assert [line.split("`")[1] for line in export.codebook().splitlines() if line.startswith("| `")] == [
        *COLUMNS, "rater_flags",
    ]  # fmt: skip


def test_the_copy_of_the_file_is_whole_while_somebody_writes(closed, tmp_path):
    study = play(tmp_path / "live.sqlite", 2, 4, MEANS)
    rater = study.raters()[0]["rater"]
    stop = threading.Event()

    def go_on():
        turn = 0
        while not stop.is_set():
            taking.answer(study, rater, 1, taking.Given(1, 1 + turn % 5, 3), f"turn {turn}")
            turn += 1

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        copy = export.backup(study, tmp_path / "copy.sqlite")
    finally:
        stop.set()
        writer.join()
    with sqlite3.connect(copy) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM latest").fetchone() == (2 * 5,)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".", "copy"))) == ["copy.sqlite"]
    with pytest.raises(BadInput, match="exists already"):
        export.backup(study, copy)


def test_a_study_that_runs_keeps_its_conditions_to_itself(peeked):
    assert "while the study was open" in (peeked / "NOT-FINAL.txt").read_text()


def test_the_contrast_comes_from_the_protocol_and_the_flagged_are_shown_both_ways(closed, figures):
    assert figures.contrast.pairs == ((IMPROVED, PLAIN),)
    assert list(figures.flags.values()) == [["failed check"]]
    assert (figures.everybody.raters, figures.unflagged.raters) == (8, 7)
    assert figures.everybody.planned[0].difference.value > 0.4


def test_everything_is_written_and_can_be_read(peeked):
    names = {path.name for path in peeked.iterdir()}
    assert names == {
        "judgements.csv", "items.csv", "codebook.md", "study.json", "analysis.json", "results.md", "methods.md",
        "heds.md", "means.png", "means.svg", "levels.png", "levels.svg", "study.sqlite", "NOT-FINAL.txt",
    }  # fmt: skip
    assert json.loads((peeked / "analysis.json").read_text())["everybody"]["raters"] == 2
    assert (peeked / "means.png").read_bytes().startswith(b"\x89PNG")
    assert "nan" not in (peeked / "results.md").read_text().lower()


def test_one_document_holds_it_all(closed, figures):
    document = json.loads(export.as_json(closed, figures))
    assert len(document["judgements"]) == 72 and len(document["items"]) == 17
    assert document["demographics"] == {"age": {"25 to 34": 8}}
    assert FORMULA in [row["comment"] for row in document["judgements"]]


def test_a_table_cannot_be_broken_out_of():
    assert table(["a"], [["x | <img src=x> `y`"]]).splitlines()[-1] == "| x \\| \\<img src=x\\> \\`y\\` |"


def test_the_datasheet_has_every_number_and_what_the_program_knows(closed, figures):
    draft = heds(closed, figures)
    for number in ("1.1.1", "2.5", "3.1.1", "3.1.3.2", "3.2.1", "3.3.1", "3.3.8", "4.1.1", "4.3.11.2", "5.4"):
        assert f"**{number}" in draft
    assert draft.count("**4.3.7**") == 3
    assert "Evaluators: 8 (8 invited, 8 finished, 0 withdrew" in draft
    assert "1 of 8 failed" in draft and closed.protocol_sha256 in draft and "TO FILL IN" in draft


def test_the_methods_are_told_in_a_paragraph(closed, figures):
    told = methods(closed, figures)
    assert "8 participants" in told and "age: 25 to 34 (8)" in told and f"{IMPROVED} against {PLAIN}" in told
    assert told.count("\n") == 1
    assert "## Without those who were flagged" in results(figures)


def test_drafts_do_not_claim_figures_that_there_are_not(closed, figures):
    """Where everybody is flagged, nothing can be computed without the flagged."""
    everybody = {row["rater"]: ["speeder"] for row in closed.raters()}
    alone = replace(figures, flags=everybody, unflagged=None)
    for draft in (heds(closed, alone), methods(closed, alone)):
        assert "with and without them" not in draft and "nobody is left" in draft
    for draft in (heds(closed, figures), methods(closed, figures)):
        assert "with and without them" in draft
    assert "1 attention checks" not in methods(closed, figures) + heds(closed, figures)
