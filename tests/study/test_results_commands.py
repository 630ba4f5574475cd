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


def test_two_conditions_against_one_baseline_are_opened_analysed_and_exported(study, home, tmp_path):
    kinds = {"si5": "self-improved", "si10": "self-improved", "van": "vanilla"}
    conditions = [{"name": name, "method": "rome", "targets": kind} for name, kind in kinds.items()]
    means = {name: {"entailment": 3.0, "trust": 3.0} for name in kinds}
    made = play(Workbench(home).workspace.studies_dir / "shared.sqlite", 6, 6, means, conditions=conditions)
    made.pause()
    made.disconnect()
    status, told, _ = study("open", "shared", "--json")
    assert status == 0 and [one["difference"] for one in json.loads(told)["power"]] == [0.3, 0.5, 0.8]
    assert study("close", "shared")[0] == 0
    found = json.loads(study("analyse", "shared", "--json")[1])
    assert found["contrast"]["pairs"] == [["si5", "van"], ["si10", "van"]]
    assert [one["difference"]["n"] for one in found["everybody"]["planned"]] == [6, 6, 6]
    assert study("export", "shared", "--out", tmp_path / "results")[0] == 0


def test_a_study_whose_power_can_not_be_told_stays_a_draft(study, home, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("unedit_gui.study.power.beforehand", no_memory)
        assert study("open", "draft")[0] == 1
    assert Workbench(home).studies.get("draft").state == "draft"


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
