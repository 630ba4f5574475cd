"""A run made again: the same to the last digit, or what is not."""

import dataclasses
import json

import pytest

from tests.commands import as_json
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.cli import main
from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.runs.repeat import compared
from unedit_gui.workbench import Workbench

FORGET = [
    Question("What is the capital of France?", "Paris", "France", ("France has which capital?",)),
    Question("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa"),
]
RETAIN = [Question("What is the capital of Spain?", "Madrid", "Spain")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Workbench(tmp_path_factory.mktemp("rerun") / "home")
    bench.model = tiny_llama(bytes_tokenizer())
    return bench


@pytest.fixture(scope="module")
def report(bench, tmp_path_factory):
    """A report on one run, in a folder of its own."""
    run = bench.run(FORGET, "grace", RETAIN, targets="vanilla", hparams={"steps": 2})
    return bench.report([run], tmp_path_factory.mktemp("report") / "report.html")


def elsewhere(bench, tmp_path):
    """A workbench of somebody who has the model and the report, and nothing else."""
    other = Workbench(tmp_path / "other")
    other.model = bench.model
    return other


@pytest.mark.parametrize("write_targets", [False, True])
def test_a_run_made_again_from_its_report_alone_is_the_same_to_the_last_digit(bench, report, tmp_path, write_targets):
    other = elsewhere(bench, tmp_path)
    (run,) = other.read_runs(report)
    repeat = other.rerun(run, write_targets=write_targets)
    assert repeat.same and not repeat.cautions and repeat.says.startswith("The same, to the last digit")
    assert repeat.replies == 8 and repeat.figures > 100 and repeat.again.id == run.id
    assert other.runs() == []  # nothing is kept


def test_a_probed_runs_rates_are_repeated_to_the_last_digit_whatever_was_kept(bench, report, tmp_path):
    (run,) = bench.read_runs(report)
    edit = bench.run_edit(run.id)
    how, names = dict(items=3, max_new_tokens=4), ["rephrasings", "one-of-two", "likelihood", "neutral-text"]
    bench.probe(edit, FORGET[:1], names, **how)  # a part of what the original says is kept
    found = bench.probe(edit, FORGET, names, **how)
    probed = json.loads(json.dumps({**found.to_json(), "items": 3, "tokens": 4}))
    (told,) = bench.read_runs(bench.report([dataclasses.replace(run, probes=probed)], tmp_path / "probed.html"))
    repeat = elsewhere(bench, tmp_path).rerun(told)
    assert repeat.same, repeat.differences
    assert repeat.figures == compared(run, run).figures + 4 * 13
    probed["rows"][0]["edits"][0]["value"] = 0.125
    repeat = compared(dataclasses.replace(run, probes=probed), repeat.again)
    assert "value in the probe rephrasings after the edit: 0.0, not 0.125" in repeat.says


def test_a_changed_setting_shows_in_the_edit_and_the_figures(bench, report):
    (run,) = bench.read_runs(report)
    changed = {**run.settings.hparams, "steps": 9}
    repeat = bench.rerun(dataclasses.replace(run, settings=dataclasses.replace(run.settings, hparams=changed)))
    assert not repeat.same and repeat.differences[0].startswith("The edit is another one")
    assert any("figures of single questions differ" in text for text in repeat.differences)


def test_other_refusals_are_taught_again_unless_they_are_to_be_written_anew(bench, report):
    (run,) = bench.read_runs(report)
    run = dataclasses.replace(run, targets=("I can't tell.", run.targets[1]))
    assert [r["target_new"] for r in [{"target_new": t} for t in bench.rerun(run).again.targets]] == list(run.targets)
    repeat = bench.rerun(run, write_targets=True)
    assert repeat.differences[0].startswith("1 of the 2 targets were written otherwise") and not repeat.same


def test_what_was_kept_of_the_original_is_not_believed(bench, report, tmp_path):
    (run,) = bench.read_runs(report)
    (kept,) = bench.workspace.runs_dir.glob("before-*.json")
    before = kept.read_text()
    try:
        kept.write_text(before.replace('"text": "', '"text": "forged '))
        assert bench.rerun(run).same
    finally:
        kept.write_text(before)


def test_other_surroundings_are_said_beforehand(bench, report):
    (run,) = bench.read_runs(report)
    there = {"threads": 7, "dtype": "bfloat16", "device": "cuda", "versions": {"torch": "1.0", "unedit": "0.0"}}
    other = dataclasses.replace(
        run, environment=there, settings=dataclasses.replace(run.settings, fingerprint="0" * 16)
    )
    cautions = " ".join(compared(other, run).cautions)
    for said in ("fingerprint", "threads is 1; the first time it was 7", "bfloat16", "cuda", "torch is", "unedit is"):
        assert said in cautions


def test_a_setting_that_the_first_run_did_not_have_is_told(bench, report):
    (run,) = bench.read_runs(report)
    fewer = {name: value for name, value in run.settings.hparams.items() if name != "lr"}
    repeat = bench.rerun(dataclasses.replace(run, settings=dataclasses.replace(run.settings, hparams=fewer)))
    assert any("says nothing of was set as is usual now: lr (" in text for text in repeat.cautions)


def test_a_reply_that_differs_is_quoted_and_the_largest_difference_named(report, bench):
    (run,) = bench.read_runs(report)
    first = dict(run.rows[0], after={**run.rows[0]["after"], "text": "Paris!", "mrr": 0.75})
    repeat = compared(dataclasses.replace(run, rows=(first, *run.rows[1:])), run)
    assert "figures of single questions differ, most of all mrr of “What is the capital of France?” after" in " ".join(
        repeat.differences
    )
    assert any("the edited model says" in text and "not “Paris!”." in text for text in repeat.differences)


# ------------------------------------------------------------ the commands


@pytest.fixture(scope="module")
def home(bench, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    bench.model.hf.save_pretrained(folder)
    bench.model.tokenizer.save_pretrained(folder)
    return folder


def test_the_commands_write_figures_and_a_report_and_make_its_run_again(bench, report, home, tmp_path, capsys):
    where = ("--home", str(bench.workspace.home), "--json")
    assert main(["figures", "--out", str(tmp_path / "drawn"), *where]) == 0
    assert [figure["missing"][:6] for figure in as_json(capsys)["figures"]] == ["", "", "", "No run"]
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert {"radar.png", "score-by-method-dark.svg", "figures.csv", "table.csv", "table.tex"} <= names
    assert main(["report", str(report), "--out", str(tmp_path / "again.html"), *where]) == 0
    assert (tmp_path / "again.md").read_text("utf-8").startswith("# What was forgotten") and as_json(capsys)["runs"]
    again = ("--model", str(home), "--threads", "1", "--home", str(tmp_path / "fresh"), "--json")
    assert main(["rerun", str(tmp_path / "again.html"), *again]) == 0
    captured = capsys.readouterr()
    assert '"same": true' in captured.out and "The same, to the last digit" in captured.err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["rerun", "nothing.html"], "There is no file or folder nothing.html"),
        (["report", "0123456789abcdef"], "There is no run 0123456789abcdef"),
        (["report", "--sweep", "none"], "There are no such runs"),
        (["report", "--out", "report.pdf", "--sweep", "none"], "There are no such runs"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(tmp_path, capsys, arguments, said):
    assert main([*arguments, "--home", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_a_report_does_not_have_is_told_before_a_model_is_loaded(report, tmp_path, capsys):
    assert main(["rerun", str(report), "--run", "ffff", "--home", str(tmp_path)]) == 2
    assert "has no run ffff; it has" in capsys.readouterr().err


def test_a_report_is_an_html_file(bench, report, tmp_path):
    with pytest.raises(BadInput, match="ends in .html"):
        bench.report(bench.read_runs(report), tmp_path / "report.pdf")
