"""The command `probe` as a script sees it."""

import csv

import pytest

from tests.commands import as_json, run

GIVEN = ("--edit", "made", "--questions", "forget.csv")
QUICK = ("--items", "2", "--tokens", "3")


def test_probe_has_the_agreed_shape_and_writes_every_reply(folder, capsys, tmp_path):
    out = tmp_path / "details.csv"
    chosen = ("--probes", "reading, completion", "--details", str(out))
    assert run(folder, "probe", *GIVEN, *QUICK, *chosen, "--json") == 0
    found = as_json(capsys)
    assert [row["probe"] for row in found["rows"]] == ["completion", "reading"]
    assert (found["questions"], found["items"], found["tokens"]) == (2, 2, 3)
    (edit,) = found["rows"][0]["edits"]
    assert edit["edit"] == found["edits"][0]["edit"] and edit["verdict"] == "no power" and edit["n"] == 2
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert len(rows) == 2 * (2 + 3) and {row["probe"] for row in rows} == {"completion", "reading"}


def test_no_question_in_the_details_is_a_formula_to_a_spreadsheet(folder, tmp_path):
    (tmp_path / "hostile.csv").write_text("question,answer,subject\n-2+3 of France is what?,Paris,France\n")
    out = tmp_path / "details.csv"
    given = ("--edit", "made", "--questions", str(tmp_path / "hostile.csv"), "--probes", "completion")
    assert run(folder, "probe", *given, *QUICK, "--details", str(out)) == 0
    rows = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
    assert rows and {row["question"] for row in rows} == {"'-2+3 of France is what?"}


def test_probe_prints_a_table(folder, capsys):
    assert run(folder, "probe", *GIVEN, *QUICK, "--probes", "multiple-choice") == 0
    out = capsys.readouterr().out
    assert "Leaks" in out and "25%" in out and "no power" in out and "Note: No power" in out


@pytest.mark.parametrize(
    "more, said", [(("--probes", "rumours"), "no probe called 'rumours'"), (("--items", "0"), "--items 0: give 1")]
)
def test_what_cannot_be_probed_is_told_before_a_model_is_loaded(folder, capsys, more, said):
    assert run(folder, "probe", *GIVEN, *more) == 2
    assert said in capsys.readouterr().err
