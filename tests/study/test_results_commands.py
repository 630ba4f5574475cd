"""`study analyse`, `study export` and `study power`, as they are typed."""

import json

import pytest

from tests.study.played import IMPROVED, PLAIN, play, protocol
from unedit_gui.cli import main
from unedit_gui.workbench import Workbench

MEANS = {PLAIN: {"entailment": 2.2, "trust": 3.0}, IMPROVED: {"entailment": 3.8, "trust": 3.6}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    play(Workbench(home).workspace.studies_dir / "mine.sqlite", 8, 8, MEANS, seed=3).disconnect()
    draft = Workbench(home).studies.create("draft", protocol(8))
    names = [condition.name for condition in draft.protocol.conditions]
    draft.add_replies([(asked.question, name, "No.") for asked in draft.protocol.questions for name in names], "here")
    draft.invite(3)
    draft.disconnect()
    return home


@pytest.fixture
def study(home, capsys):
    def run(*arguments):
        status = main(["study", *map(str, arguments), "--home", str(home)])
        return status, *capsys.readouterr()

    return run


def test_a_study_is_copied_while_open_and_told_about_once_it_is_closed(study, tmp_path):
    status, _, said = study("analyse", "mine")
    assert status == 2 and "is open" in said and "close it first" in said
    assert study("export", "mine", "--out", tmp_path / "copy.sqlite", "--backup")[0] == 0
    assert study("export", "mine", "--out", tmp_path / "copy.sqlite", "--backup")[0] == 2
    assert study("export", "mine", "--out", tmp_path / "results")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["copy.sqlite"]
    assert study("close", "mine")[0] == 0

    status, told, _ = study("analyse", "mine", "--json")
    found = json.loads(told)
    assert status == 0 and found["contrast"]["pairs"] == [[IMPROVED, PLAIN]]
    assert found["everybody"]["planned"][0]["found"] is True
    table = study("analyse", "mine")[1]
    assert "Planned, over raters" in table and PLAIN in table and "nan" not in table

    status, told, _ = study("export", "mine", "--out", tmp_path / "results", "--json")
    files = json.loads(told)["files"]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == files
    assert "heds.md" in files and "means.svg" in files and "NOT-FINAL.txt" not in files
    assert study("export", "mine", "--out", tmp_path / "results")[0] == 2


def test_the_power_of_a_study_is_told_before_it_is_made(study):
    found = json.loads(study("power", "--raters", "20", "--items", "20", "--json")[1])["power"]
    assert [one["difference"] for one in found] == [0.3, 0.5, 0.8]
    assert found[0]["chance"]["value"] < 0.6 < 0.9 < found[2]["chance"]["value"]
    opened = json.loads(study("open", "draft", "--json")[1])
    assert [one["raters"] for one in opened["power"]] == [3, 3, 3] and opened["balance"]["imbalance"] == 0
    study("pause", "draft")
    assert "Chance that 3 raters find a difference" in study("open", "draft")[1]
    status, _, said = study("power", "--items", "1")
    assert status == 2 and "an item for each condition" in said
