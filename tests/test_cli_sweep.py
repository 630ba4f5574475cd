"""The commands sweep and runs: made once, listed, pinned, deleted."""

import csv

from tests.commands import as_json, run

CONFIG = """
methods: memit
targets: [vanilla, incorrect]
merge: 2
facts: 2
questions: forget.csv
known: no
retain: retain.csv
retain_facts: 2
hparams: {memit: {steps: 2, contexts: 1}}
name: two kinds
"""


def test_a_sweep_is_planned_made_and_listed(folder, capsys, tmp_path):
    config = folder / "sweep.yaml"
    config.write_text(CONFIG)
    sweep = ("sweep", "--config", str(config))

    def said(*arguments):
        assert run(folder, *arguments) == 0
        return capsys.readouterr()

    assert "2 runs to make (how long they take is not known yet), 0 kept already." in said(*sweep, "--dry-run").out
    made = said(*sweep)
    assert "1 runs made, 0 kept already, 1 failed." in made.out
    assert "2 of 2: memit, incorrect, 2 facts, 2 merged, seed 0: failed. Wrong answers can't be merged" in made.err
    assert run(folder, *sweep, "--json") == 0
    captured = capsys.readouterr()
    assert "kept already" in captured.err and '"state": "kept"' in captured.out

    listed = ("runs", "--sweep", "two kinds", "--csv", str(tmp_path / "runs.csv"))
    assert run(folder, *listed, "--json") == 0
    result = as_json(capsys)
    (row,) = result["runs"]
    assert row["method"] == "memit" and row["pinned"] is False and "Wrong answers" in result["failed"][0]["reason"]
    with (tmp_path / "runs.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["run"] == row["run"] and line["sweep"] == "two kinds"
    assert "is pinned" in said("runs", "--pin", row["run"]).out
    assert run(folder, "evaluate", "--edit", row["edit"], "--forget", "forget.csv") == 2, "not among the saved edits"
    capsys.readouterr()
    edit = str(folder / "home" / "runs" / row["run"] / "edit")
    assert run(folder, "evaluate", "--edit", edit, "--forget", "forget.csv") == 0
    capsys.readouterr()
    assert "in the trash" in said("runs", "--delete", row["run"]).out
    assert run(folder, "runs", "--pin", row["run"]) == 2
    assert "There is no run" in capsys.readouterr().err
    assert run(folder, "sweep", "--config", str(folder / "absent.yaml")) == 2


def test_no_name_in_the_table_of_runs_is_a_formula_to_a_spreadsheet(folder, tmp_path):
    home, path = ("--home", str(tmp_path / "home")), tmp_path / "runs.csv"
    config = folder / "hostile.yaml"
    config.write_text(CONFIG.replace("name: two kinds", "name: '=1+1'"))
    assert run(folder, "sweep", "--config", str(config), *home) == 0
    assert run(folder, "runs", "--csv", str(path), *home) == 0
    (line,) = csv.DictReader(path.open(newline="", encoding="utf-8"))
    assert line["sweep"] == "'=1+1" and float(line["score"]) > 0


def test_a_sweep_that_is_stopped_says_that_its_runs_stay_and_goes_on(folder, capsys, monkeypatch, tmp_path):
    home, config = ("--home", str(tmp_path / "home")), folder / "stopped.yaml"
    config.write_text(CONFIG.replace("[vanilla, incorrect]\nmerge: 2", "[vanilla, dummy]"))

    def stop(self, text):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("unedit_gui.cli.commands.Session.say", stop)  # what the command does as soon as a run is made
        assert run(folder, "sweep", "--config", str(config), *home) == 1
    assert capsys.readouterr().err == "Stopped. Finished runs are kept; the same command goes on with the rest.\n"
    assert run(folder, "sweep", "--config", str(config), *home) == 0
    assert "1 runs made, 1 kept already, 0 failed." in capsys.readouterr().out
