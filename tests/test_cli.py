"""The command line as a script sees it: what it prints, where, and the exit status."""

import csv
import json
import shutil
from dataclasses import fields

import pytest

from tests.commands import MEMIT, as_json, run
from unedit_gui.cli import main
from unedit_gui.cli.commands import _held_line
from unedit_gui.cli.terminal import table
from unedit_gui.evaluation.suite import METRICS
from unedit_gui.forget.questions import read_file
from unedit_gui.unlearning import METHODS

# ------------------------------------------------------------------ commands


def test_models_lists_the_catalogue_with_memory(folder, capsys):
    assert run(folder, "models", "--json") == 0
    models = as_json(capsys)["models"]
    assert models[0]["name"] == "bundled" and models[0]["present"] is True
    for model in models:
        assert model["memory_needed"] > 0 and model["memory_available"] > 0
        assert model["fits"] is (model["memory_needed"] <= model["memory_available"])


def test_ask_says_which_are_known(folder, capsys):
    assert run(folder, "ask", "--questions", "forget.csv", "--json") == 0
    found = as_json(capsys)
    assert found["n"] == 2 and found["known"] == 0  # a random model knows nothing
    assert [a["question"] for a in found["answers"]] == [q.question for q in read_file(folder / "forget.csv").questions]
    assert set(found["answers"][0]) == {"question", "answer", "reply", "rouge1", "known"}


def test_ask_prints_a_table(folder, capsys):
    assert run(folder, "ask", "--questions", "forget.csv") == 0
    out = capsys.readouterr().out
    assert "What is the capital of France?" in out and "0 of 2 known." in out


@pytest.mark.parametrize("kind", ["vanilla", "self-improved", "avoidant", "incorrect", "dummy"])
def test_targets_writes_what_edit_takes(folder, capsys, tmp_path, kind):
    out = tmp_path / "targets.csv"
    assert run(folder, "targets", "--questions", "retain.csv", "--kind", kind, "--out", str(out), "--json") == 0
    found = as_json(capsys)
    questions = read_file(out).questions
    assert [q.target for q in questions] == [t["target"] for t in found["targets"]]
    assert all(q.subject for q in questions)
    given = ("--questions", str(out), "--targets", "given")
    assert run(folder, "edit", *given, *MEMIT, str(tmp_path / "edit"), "--json") == 0
    assert [r["target_new"] for r in as_json(capsys)["requests"]] == [q.target for q in questions]


def test_two_kinds_of_targets_stand_beside_each_other(folder, capsys):
    both = ("targets", "--questions", "retain.csv", "--kind", "vanilla", "--beside", "dummy")
    assert run(folder, *both, "--json") == 0
    found = as_json(capsys)
    assert (found["kind"], found["beside"]) == ("vanilla", "dummy")
    assert [t["beside"]["target"] for t in found["targets"]] == ["dummy"] * 2
    assert all(t["target"] != "dummy" for t in found["targets"])
    assert run(folder, *both) == 0
    assert "vanilla" in (out := capsys.readouterr().out) and out.count("dummy") == 3


def test_merged_questions_share_a_target_and_the_edit_tells_its_groups(folder, capsys, tmp_path):
    merged, out = ("--questions", "retain.csv", "--merge", "2"), str(tmp_path / "targets.csv")
    assert run(folder, "targets", *merged, "--kind", "vanilla", "--out", out, "--json") == 0
    found = as_json(capsys)
    assert len({t["target"] for t in found["targets"]}) == 1
    group = {"prompt": "What is the capital of Spain? Which planet is called red?", "questions": [0, 1]}
    assert found["groups"] == [group]
    edit = ("edit", "--questions", out, "--targets", "given", "--merge", "2", *MEMIT, str(tmp_path / "edit"))
    assert run(folder, *edit, "--json") == 0
    found = as_json(capsys)
    assert found["groups"] == [group] and [r["group"] for r in found["requests"]] == [0, 0]
    assert found["rank"] == 1 and "2 facts merged into 1" in found["summary"]


def test_targets_are_the_same_for_the_same_seed(folder, capsys):
    found = []
    for seed in ("1", "1", "2"):
        assert run(folder, "targets", "--questions", "retain.csv", "--kind", "vanilla", "--seed", seed, "--json") == 0
        found.append([t["target"] for t in as_json(capsys)["targets"]])
    assert found[0] == found[1] != found[2]


def test_edit_tells_what_it_made(folder, capsys, tmp_path):
    out = str(tmp_path / "edit")
    given = ("--questions", "forget.csv", "--targets", "given", "--protect", "retain.csv", "--name", "Two facts")
    assert run(folder, "edit", *given, "--seed", "7", *MEMIT, out, "--json") == 0
    found = as_json(capsys)
    assert found["out"] == out and found["name"] == "Two facts" and found["seed"] == 7
    assert found["hparams"]["steps"] == 2 and found["protected"] == 2 and found["on"] == []
    assert found["rank"] >= 1 and found["layers"] and found["seconds"] >= 0
    assert [h["question"] for h in found["held"]] == [q.question for q in read_file(folder / "retain.csv").questions]
    assert {h["state"] for h in found["held"]} <= {"held", "lost", "unknown"}


def test_edit_tells_what_to_beware_of(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("unedit_gui.edits.edit.Edit.caution", lambda _: "Beware.")
    given = ("--questions", "forget.csv", "--targets", "given")
    assert run(folder, "edit", *given, *MEMIT, str(tmp_path / "edit")) == 0
    assert "Note: Beware.\nSaved as" in capsys.readouterr().out


def test_edit_names_the_protected_facts_that_are_lost():
    held = [{"question": q, "state": s} for q, s in (("A?", "held"), ("B?", "lost"), ("C?", "unknown"))]
    told = "Protected: 1 of 2 are still answered; not known before: 1; lost: B?.\n"
    assert _held_line(held) == told and _held_line([]) == ""


@pytest.mark.parametrize("method", ["rome", "memit", "alphaedit", "grace", "wise", "ike"])
def test_every_method_edits_and_the_same_seed_gives_the_same_edit(folder, capsys, tmp_path, method):
    ids = []
    for name in ("one", "two"):
        known = {f.name for f in fields(METHODS[method].Hparams)}
        chosen = [setting for setting in ("steps=2", "contexts=1") if setting.split("=")[0] in known]
        quick = [part for setting in chosen for part in ("--set", setting)]
        arguments = ("--questions", "forget.csv", "--method", method, *quick, "--out", str(tmp_path / name))
        assert run(folder, "edit", *arguments, "--targets", "vanilla", "--json") == 0
        ids.append(as_json(capsys)["edit"])
    assert ids[0] == ids[1]


def test_evaluate_has_the_agreed_shape(folder, capsys):
    assert run(folder, "evaluate", "--edit", "made", "--forget", "forget.csv", "--retain", "retain.csv", "--json") == 0
    found = as_json(capsys)
    for when in ("before", "after"):
        assert {name: group["n"] for name, group in found[when].items()} == {
            **dict.fromkeys(("forget", "retain", "rephrased"), 2),
            "general": 0,
        }
        assert all(set(group) == {*METRICS, "n"} for group in found[when].values())
        averages = found[when]
        score = 1 - averages["forget"]["rouge1"] + averages["retain"]["rouge1"]
        assert found["score"][when] == pytest.approx(score)
    assert found["model"] and found["edit"] and isinstance(found["notes"], list)


def test_evaluate_without_retain_gives_null(folder, capsys):
    assert run(folder, "evaluate", "--edit", "made", "--forget", "forget.csv", "--json") == 0
    found = as_json(capsys)
    assert found["score"] == {"before": None, "after": None}
    assert found["after"]["retain"]["rouge1"] is None and found["after"]["retain"]["n"] == 0


def test_evaluate_takes_rephrasings_from_a_file_and_writes_details(folder, capsys, tmp_path):
    (tmp_path / "re.json").write_text('[{"question": "Of France, the capital is?", "answer": "Paris"}]')
    more = ("--rephrased", str(tmp_path / "re.json"), "--details", str(tmp_path / "d.json"))
    assert run(folder, "evaluate", "--edit", "made", "--forget", "forget.csv", *more, "--json") == 0
    assert as_json(capsys)["before"]["rephrased"]["n"] == 1
    rows = json.loads((tmp_path / "d.json").read_text())
    assert [row["group"] for row in rows] == ["forget", "forget", "rephrased"]
    assert {"text", "cut", *METRICS} == set(rows[0]["before"]) == set(rows[0]["after"])


def test_locate_maps_a_fact(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("unedit_gui.editors.tracing_clean.LEAST", 0.0)  # a random model finds every answer unlikely
    asked = ["locate", "--question", "Who painted the Mona Lisa?", "--answer", "Leonardo", "--samples", "1"]
    assert run(folder, *asked, "--out", str(tmp_path / "map.png"), "--json") == 0
    found = as_json(capsys)
    assert found["subject"] == found["proposed"] == "Mona Lisa" and found["answer"] == "Leonardo"
    assert [len(found[kind]) for kind in ("hidden", "mlp", "attention")] == [len(found["tokens"])] * 3
    assert (found["peak"] is None) == (found["layers_for"] == {})
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert run(folder, *asked) == 0
    assert "State after a layer" in capsys.readouterr().out


def test_contracts_are_written_as_questions_that_other_commands_read(folder, capsys, tmp_path):
    path = tmp_path / "contracts.csv"
    assert (
        run(folder, "contracts", "--sales", "1", "--employment", "1", "--seed", "5", "--out", str(path), "--json") == 0
    )
    found = as_json(capsys)
    assert [(c["kind"], len(c["questions"])) for c in found["contracts"]] == [("sale", 20), ("employment", 20)]
    assert found["contracts"][0]["shares_a_party_with"] == [found["contracts"][1]["name"]]
    assert [q.category for q in read_file(path).questions] == [c["name"] for c in found["contracts"] for _ in range(20)]
    assert run(folder, "contracts", "--sales", "0", "--employment", "0") == 2
    assert "1 to 50" in capsys.readouterr().err


def test_details_can_be_a_spreadsheet(folder, capsys, tmp_path):
    path = tmp_path / "d.csv"
    assert run(folder, "evaluate", "--edit", "made", "--forget", "forget.csv", "--details", str(path)) == 0
    header, *rows = path.read_text().splitlines()
    assert header.startswith("group,question,answer,subject,protected,part,before_text,before_rouge1")
    assert len(rows) >= 4
    assert "Score (at best 2)" in capsys.readouterr().out


def test_no_question_in_the_details_is_a_formula_to_a_spreadsheet(folder, capsys, tmp_path):
    (tmp_path / "hostile.csv").write_text('question,answer\n"=HYPERLINK(""http://x.test"") is what?",Paris\n')
    path = tmp_path / "d.csv"
    given = ("--forget", str(tmp_path / "hostile.csv"), "--details", str(path))
    assert run(folder, "evaluate", "--edit", "made", *given) == 0
    (row,) = csv.DictReader(path.open(newline="", encoding="utf-8"))
    assert row["question"] == '\'=HYPERLINK("http://x.test") is what?' and 0 <= float(row["before_rouge1"]) <= 1


def test_chat_answers_side_by_side(folder, capsys):
    question = "What is the capital of France?"
    assert run(folder, "chat", "--edit", "made", "--ask", question, "--max-tokens", "8", "--json") == 0
    found = as_json(capsys)
    assert found["question"] == question and set(found) == {"question", "original", "edited", "traces"}
    assert found["traces"] == []  # an edit of weights decides nothing


def test_chat_shows_columns_of_edits_and_stacks(folder, capsys, tmp_path):
    second = str(tmp_path / "second")
    assert run(folder, "edit", "--questions", "forget.csv", "--targets", "given", "--seed", "1", *MEMIT, second) == 0
    capsys.readouterr()
    made = str(folder / "made")
    given = ("--column", made, "--column", f"{made},{second}", "--ask", "Who?", "--max-tokens", "4")
    assert run(folder, "chat", *given, "--json") == 0
    found = as_json(capsys)["columns"]
    assert [len(column["edits"]) for column in found] == [0, 1, 2] and found[0]["name"] == "Original"
    assert run(folder, "chat", "--edit", "made", "--ask", "Who?", "--max-tokens", "4", "--json") == 0
    assert [found[0]["reply"], found[1]["reply"]] == list(as_json(capsys).values())[1:3]


@pytest.mark.parametrize("method, words", [("grace", "nearest key"), ("wise", "memory ("), ("ike", "demonstrations")])
def test_chat_tells_what_the_edit_decided(folder, capsys, tmp_path, method, words):
    out = str(tmp_path / method)
    quick = [] if method == "ike" else ["--set", "steps=1"]
    made = ("--questions", "forget.csv", "--targets", "given", "--method", method, *quick, "--out", out)
    assert run(folder, "edit", *made) == 0
    capsys.readouterr()
    asked = ("chat", "--edit", out, "--ask", "What is the capital of France?", "--max-tokens", "2")
    assert run(folder, *asked, "--json") == 0
    (trace,) = as_json(capsys)["traces"]
    assert set(trace) == {"method", "edit", "acted", "text", "hint", "demonstrations"}
    assert words in trace["text"] and trace["acted"] is True
    assert run(folder, *asked) == 0
    shown = capsys.readouterr().out
    assert f"{trace['method']}: {trace['text']}" in shown
    assert all(f"{question} -> {reply}" in shown for question, reply in trace["demonstrations"])


def test_edits_stack(folder, capsys, tmp_path):
    on = ("--targets", "vanilla", "--on", "made", *MEMIT, str(tmp_path / "upper"))
    assert run(folder, "edit", "--questions", "retain.csv", *on, "--json") == 0
    made = as_json(capsys)
    assert len(made["on"]) == 1
    assert run(folder, "evaluate", "--edit", str(tmp_path / "upper"), "--forget", "retain.csv", "--json") == 0
    assert as_json(capsys)["edits"] == [*made["on"], made["edit"]]


# ------------------------------------------------------- what can't be used


BAD = [
    ("the following arguments are required", "ask"),
    ("invalid choice", "targets", "--questions", "forget.csv", "--kind", "x"),
    ("by 1 to 50, not by 0", "targets", "--questions", "forget.csv", "--kind", "dummy", "--merge", "0"),
    ("can't be merged", "targets", "--questions", "retain.csv", "--kind", "incorrect", "--merge", "2"),
    ("different targets", "edit", "--questions", "forget.csv", "--targets", "given", "--merge", "2", *MEMIT, "new"),
    ("unrecognized arguments", "ask", "--questions", "forget.csv", "--frobnicate"),
    ("can't be read", "ask", "--questions", "/nowhere/at/all.csv"),
    ("can't be read", "ask", "--questions", "model"),
    ("binary", "ask", "--questions", "binary.csv"),
    ("can't be written", "targets", "--questions", "forget.csv", "--out", "/nowhere/at/all.csv"),
    ("can't be written", "targets", "--questions", "forget.csv", "--kind", "dummy", "--out", "/proc/all.csv"),
    ("can't be written", "evaluate", "--edit", "made", "--forget", "forget.csv", "--details", "x" * 300),
    ("--set steps", "edit", "--questions", "forget.csv", "--method", "memit", "--out", "new", "--set", "steps"),
    ("twice", "edit", "--questions", "forget.csv", *MEMIT, "new", "--set", "steps=3"),
    ("no hyperparameter", "edit", "--questions", "forget.csv", *MEMIT, "new", "--set", "x=3"),
    ("whole number", "edit", "--questions", "forget.csv", *MEMIT[:2], "--set", "steps=x", "--out", "new"),
    ("choose one of", "edit", "--questions", "forget.csv", "--method", "scalpel", "--out", "new"),
    ("not an empty folder", "edit", "--questions", "forget.csv", *MEMIT, "made"),
    ("not an empty folder", "edit", "--questions", "forget.csv", *MEMIT, "forget.csv"),
    ("can't be", "edit", "--questions", "forget.csv", *MEMIT, "/proc/nowhere"),
    ("can't be written", "edit", "--questions", "forget.csv", "--targets", "given", *MEMIT, "x" * 300),
    ("no target", "edit", "--questions", "retain.csv", "--targets", "given", *MEMIT, "new"),
    ("No subject was found", "edit", "--questions", "vague.csv", *MEMIT, "new"),
    ("protected", "edit", "--questions", "forget.csv", "--protect", "forget.csv", *MEMIT, "new"),
    ("holds no edit", "edit", "--questions", "forget.csv", "--on", "model", *MEMIT, "new"),
    ("holds no edit", "evaluate", "--edit", "home", "--forget", "forget.csv"),
    ("holds no edit", "chat", "--edit", "/nowhere", "--ask", "Who?"),
    ("no question to answer", "chat", "--edit", "made", "--ask", "  "),
    ("--edit or --column", "chat", "--ask", "Who?"),
    ("not both", "chat", "--edit", "made", "--column", "made", "--ask", "Who?"),
    ("names no edit", "chat", "--column", ",", "--ask", "Who?"),
    ("5 beside the original fit", "chat", *("--column", "made") * 6, "--ask", "Who?"),
    ("--max-tokens 0", "chat", "--edit", "made", "--ask", "Who?", "--max-tokens", "0"),
    ("--threads 0", "ask", "--questions", "forget.csv", "--threads", "0"),
    ("--threads 100000: give 1 to", "ask", "--questions", "forget.csv", "--threads", "100000"),
    ("Unknown device", "ask", "--questions", "forget.csv", "--device", "abacus"),
    ("Unknown dtype", "ask", "--questions", "forget.csv", "--dtype", "int1"),
    ("ends in .png", "locate", "--question", "Who?", "--out", "map.jpg"),
    ("doesn't answer", "locate", "--question", "Who painted the Mona Lisa?", "--answer", "Xylophonists"),
    ("not part of the question", "locate", "--question", "Who painted the Mona Lisa?", "--subject", "Mars"),
    ("samples: 0", "locate", "--question", "Who?", "--samples", "0"),
    ("check the path", "ask", "--questions", "forget.csv", "--model", "/nowhere/at/all"),
]


@pytest.mark.parametrize("words, arguments", [(words, arguments) for words, *arguments in BAD])
def test_bad_input_is_one_line_and_status_2(folder, capsys, words, arguments):
    assert run(folder, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err
    assert words.lower() in captured.err.lower()
    assert not (folder / "new").exists()


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999999", str(2**63), "9" * 5000, "1.5", "x", ""])
@pytest.mark.parametrize(
    "command",
    [
        "contracts", "teach", "study simulate x", "targets --questions f.csv", "locate --question Who?",
        "edit --questions f.csv --out new --method ga", "probe --edit e --questions f.csv", "chat --edit e --ask Who?",
    ],
)  # fmt: skip
def test_a_seed_is_a_whole_number_that_every_generator_takes(capsys, command, seed):
    assert main([*command.split(), f"--seed={seed}"]) == 2
    told = capsys.readouterr().err
    assert "--seed" in told and "give a whole number from 0 to" in told and told.count("\n") == 1 and len(told) < 250


def test_the_largest_seed_is_taken(folder, tmp_path):
    given = ("--questions", "forget.csv", "--targets", "given", "--seed", str(2**63 - 1), "--set")
    assert run(folder, "edit", "--method", "ga", *given, "epochs=1", "--out", str(tmp_path / "ga")) == 0
    assert run(folder, "edit", *given[:-1], *MEMIT, str(tmp_path / "memit")) == 0


EMPTY = [
    ("edits", ("--delete", "--add", "--pack", "--rename")), ("runs", ("--delete", "--pin", "--unpin", "--model")),
    ("presets", ("--delete", "--save", "--show")), ("recordings", ("--show",)), ("teach", ("--delete",)),
    ("models", ("--model",)), ("ask --questions f.csv", ("--model",)),
]  # fmt: skip


@pytest.mark.parametrize("command, option", [(command, option) for command, options in EMPTY for option in options])
@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_name_is_not_taken_for_none(capsys, tmp_path, command, option, nothing):
    assert main([*command.split(), option, nothing, "--home", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert f"{option}: nothing is named" in told.err and told.err.count("\n") == 1 and told.out == ""


def test_an_argument_that_is_no_text_is_bad_input(capsys, tmp_path):
    for question in ("x \ud800", "caf\udce9"):  # as Python hands on bytes that are no UTF-8
        assert main(["chat", "--ask", question, "--column", "e", "--home", str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert "is no text in UTF-8" in told and told.count("\n") == 1


def test_no_command_is_bad_input(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bad_rows_are_told_and_the_good_ones_used(folder, capsys):
    assert run(folder, "ask", "--questions", "mixed.csv", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["n"] == 1
    lines = captured.err.splitlines()
    assert len(lines) == 2 and "row 3: " in lines[0] and "row 4: " in lines[1]


def test_a_file_without_any_good_row_is_bad_input(folder, capsys):
    assert run(folder, "ask", "--questions", "bad.csv") == 2
    assert "No question of bad.csv can be used" in capsys.readouterr().err.splitlines()[-1]


def test_a_damaged_edit_is_bad_input(folder, capsys, tmp_path):
    shutil.copytree(folder / "made", tmp_path / "cut")
    payload = tmp_path / "cut" / "payload.safetensors"
    payload.write_bytes(payload.read_bytes()[:-5])
    assert run(folder, "chat", "--edit", str(tmp_path / "cut"), "--ask", "Who?") == 2
    assert "damaged" in capsys.readouterr().err


# ---------------------------------------------------------- what goes wrong


def test_a_model_that_can_not_be_loaded_is_a_failure(capsys, tmp_path, folder):
    (tmp_path / "hollow").mkdir()
    status = main(["ask", "--model", str(tmp_path / "hollow"), "--questions", str(folder / "forget.csv")])
    captured = capsys.readouterr()
    assert status == 1 and captured.out == "" and captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "error, words",
    [
        (KeyboardInterrupt(), "Stopped."),
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_whatever_happens_is_one_line_and_status_1(folder, capsys, monkeypatch, error, words):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("unedit_gui.workbench.Workbench.ask", fail)
    assert run(folder, "ask", "--questions", "forget.csv") == 1
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and "Traceback" not in captured.err


def test_an_edit_that_is_stopped_after_it_was_saved_says_that_it_stays(folder, capsys, monkeypatch, tmp_path):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("unedit_gui.workbench.Workbench.still_held", stop)
    given, out = ("--questions", "forget.csv", "--targets", "given", "--protect", "retain.csv"), tmp_path / "edit"
    assert run(folder, "edit", *given, *MEMIT, str(out)) == 1
    assert capsys.readouterr().err == "Stopped. An edit that was saved in --out by then is whole, and stays.\n"
    assert run(folder, "evaluate", "--edit", str(out), "--forget", "forget.csv") == 0


def test_an_unexpected_error_is_kept_for_whoever_looks(folder, capsys, monkeypatch):
    monkeypatch.setattr("unedit_gui.workbench.Workbench.ask", lambda *a, **o: 1 / 0)
    assert run(folder, "ask", "--questions", "forget.csv") == 1
    log = folder / "home" / "runs" / "last-error.txt"
    assert str(log) in capsys.readouterr().err and "ZeroDivisionError" in log.read_text()


# -------------------------------------------------------------------- tables


def test_tables_line_up_with_wide_letters_and_cut_what_is_long():
    lines = table(["name", "n"], [["東京", 1], ["x" * 200, None], ["a\nb", 12.5]]).splitlines()
    assert lines[2].startswith("東京 ") and lines[3].split()[0].endswith("…")
    assert lines[3].endswith(" -") and lines[4].startswith("a b") and lines[4].endswith("12.500")
