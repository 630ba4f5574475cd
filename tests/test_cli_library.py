"""The commands that keep, compare and hand on edits, as a script sees them."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.commands import MEMIT, as_json, run
from unedit_gui.workbench import Workbench


def bench_of(folder) -> Workbench:
    return Workbench(folder / "home")


@pytest.fixture
def saved(folder, tmp_path, capsys):
    """The folder's edit in its workspace."""
    edit = bench_of(folder).add_edit(folder / "made")
    yield edit
    if any(edit == other for other in bench_of(folder).edits()):
        bench_of(folder).delete_edit(edit)


def test_export_writes_an_adapter_that_stock_peft_loads(folder, capsys, tmp_path):
    assert run(folder, "export", "--edit", "made", "--as", "peft", "--out", str(tmp_path / "a"), "--json") == 0
    found = as_json(capsys)
    assert found["as"] == "peft" and found["out"] == str(tmp_path / "a") and found["warning"] == ""
    assert set(found["files"]) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    bench = bench_of(folder)
    bench.load(folder / "model")
    edit = bench.load_edit(folder / "made")
    assert found["edits"] == [edit.id]
    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    ids = torch.tensor([bench.model.prompt_ids([{"role": "user", "content": "What is the capital of France?"}])])
    from unedit_gui.edits.variants import Variants

    with torch.no_grad(), Variants(bench.model, [(edit,)]):
        wanted = bench.model.hf(ids).logits
    with torch.no_grad():
        assert (PeftModel.from_pretrained(base, tmp_path / "a").eval()(ids).logits - wanted).abs().max() < 1e-4


def test_export_writes_a_checkpoint_that_the_program_loads_as_a_model(folder, capsys, tmp_path):
    assert run(folder, "export", "--edit", "made", "--as", "merged", "--out", str(tmp_path / "m")) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out and "AutoModelForCausalLM" in out
    bench = bench_of(folder)
    loaded = bench.load(tmp_path / "m")
    assert loaded.prompt([{"role": "user", "content": "Hi"}])
    with pytest.raises(Exception, match="made for another base model"):
        bench.load_edit(folder / "made")  # which is in its weights already


def test_export_of_a_manifest_needs_no_model(folder, capsys, tmp_path):
    assert run(folder, "export", "--edit", "made", "--as", "manifest", "--out", str(tmp_path / "x"), "--json") == 0
    assert as_json(capsys)["files"].keys() == {"manifest.json"}
    found = json.loads((tmp_path / "x" / "manifest.json").read_text("utf-8"))["edits"]
    assert found[0]["method"] == "memit" and len(found[0]["requests"]) == 2


def test_export_says_why_grace_cannot_be(folder, capsys, tmp_path):
    grace = ("--questions", "forget.csv", "--targets", "given", "--method", "grace", "--set", "steps=1")
    assert run(folder, "edit", *grace, "--out", str(tmp_path / "g")) == 0
    capsys.readouterr()
    assert run(folder, "export", "--edit", str(tmp_path / "g"), "--as", "peft", "--out", str(tmp_path / "x")) == 2
    said = capsys.readouterr().err
    assert "GRACE decides reply by reply" in said and "AlphaEdit" in said and said.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_export_writes_nothing_over(folder, capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert run(folder, "export", "--edit", "made", "--as", "peft", "--out", str(tmp_path)) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_compare_tells_what_differs(folder, capsys, tmp_path):
    other = ("--questions", "forget.csv", "--targets", "given", "--seed", "5", "--set", "lr=0.1")
    assert run(folder, "edit", *other, *MEMIT, str(tmp_path / "other")) == 0
    capsys.readouterr()
    pair = ("--edit", "made", "--edit", str(tmp_path / "other"))
    assert run(folder, "compare", *pair, "--json") == 0
    found = as_json(capsys)
    assert {row["field"] for row in found["fields"] if not row["same"]} == {"seed", "hparams.lr"}
    assert -1 <= found["cosine"] <= 1 and len(found["requests"]) == 2
    assert run(folder, "compare", *pair) == 0
    assert "differs" in capsys.readouterr().out
    assert run(folder, "compare", "--edit", "made") == 2
    assert "takes two edits" in capsys.readouterr().err


def test_an_edit_goes_to_another_workspace_as_a_zip_file(folder, capsys, tmp_path):
    made, parcel = str(folder / "made"), str(tmp_path / "made.zip")
    assert run(folder, "edits", "--pack", made, "--out", parcel) == 0
    assert run(folder, "edits", "--pack", made, "--out", parcel) == 2
    assert "exists already" in capsys.readouterr().err
    bench = Workbench(tmp_path / "elsewhere")
    added = bench.add_edit(parcel)
    assert added == bench.load_edit(made) and bench.edits() == [added]
    assert bench.add_edit(parcel) == added and bench.edits() == [added]  # once is enough
    assert bench.load_edit(parcel) == bench.load_edit(added.id) == bench.load_edit(added.name) == added


def test_edits_are_listed_renamed_used_by_name_and_deleted(folder, capsys, saved):
    assert run(folder, "edits", "--rename", saved.id, "--name", "Two facts", "--json") == 0
    found = as_json(capsys)["edits"]
    assert [(row["edit"], row["name"]) for row in found if not row["ready_made"]] == [(saved.id, "Two facts")]
    assert run(folder, "chat", "--edit", "Two facts", "--ask", "Who?", "--max-tokens", "2") == 0
    assert run(folder, "edits") == 0
    assert "Two facts" in capsys.readouterr().out
    assert run(folder, "edits", "--delete", "Two facts") == 0
    assert "trash" in capsys.readouterr().out and bench_of(folder).edits() == []
    assert run(folder, "edits", "--delete", "Two facts") == 2
    assert "no edit called 'Two facts'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--add", "forget.csv"), "not a zip file"),
        (("--add", "nowhere"), "holds no edit"),
        (("--pack", "made"), "--pack needs --out"),
        (("--rename", "made"), "--rename needs --name"),
        (("--name", "x"), "--name to --rename"),
    ],
)
def test_what_edits_cannot_do_is_one_line(folder, capsys, arguments, said):
    assert run(folder, "edits", *arguments) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


# ------------------------------------------------------------------ EasyEdit

ROME = "alg_name: ROME\nmodel_name: x\nlayers: [1]\nv_num_grad_steps: 2\nfact_token: subject_last\nv_lr: 5e-1\n"


def test_a_file_of_easyedits_names_method_and_settings(folder, capsys, tmp_path):
    (tmp_path / "rome.yaml").write_text(ROME)
    given = ("--questions", "forget.csv", "--targets", "given", "--hparams", str(tmp_path / "rome.yaml"))
    assert run(folder, "edit", *given, "--set", "neighbours=0", "--out", str(tmp_path / "a"), "--json") == 0
    found = as_json(capsys)
    assert found["method"] == "rome" and found["layers"] == [1] and found["hparams"]["steps"] == 2
    assert found["hparams"]["neighbours"] == 0
    rows = {row["key"]: row for row in found["file"]}
    assert rows["v_num_grad_steps"]["setting"] == "steps" and rows["fact_token"]["setting"] is None
    assert run(folder, "edit", *given, "--out", str(tmp_path / "b")) == 0
    assert "Not used: fact_token (an edit sits at the last token of the subject)." in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--hparams", "rome.yaml", "--method", "memit"), "is for rome; leave one of them out"),
        (("--hparams", "nowhere.yaml"), "no readable file"),
        (("--hparams", "bad.yaml"), "is no YAML"),
        ((), "--method is missing"),
        (("--method", "rome", "--engine", "easyedit"), "clone github.com/zjunlp/EasyEdit"),
        (("--method", "grace", "--engine", "easyedit"), "rome, memit, alphaedit; grace runs on Unedit's own"),
    ],
)
def test_what_edit_cannot_take_of_easyedits_is_one_line(folder, capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.delenv("EASYEDIT_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rome.yaml").write_text(ROME)
    (tmp_path / "bad.yaml").write_bytes(b"\xff\x00")
    assert run(folder, "edit", "--questions", "forget.csv", *arguments, "--out", str(tmp_path / "x")) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_duels_tells_who_won_and_writes_every_vote(folder, capsys, tmp_path):
    from unedit_gui.study.duels import Vote

    assert run(folder, "duels", "--home", str(tmp_path)) == 0
    assert "No votes yet" in capsys.readouterr().out
    bench = Workbench(tmp_path)
    for nonce, vote in (("1", "left"), ("2", "tie")):
        bench.vote(Vote("Who?", "a", "=A", "I don't know.", "original", "Original", "Leonardo.", vote, "tiny", nonce))
    path = tmp_path / "votes.csv"
    assert run(folder, "duels", "--csv", str(path), "--home", str(tmp_path), "--json") == 0
    found = as_json(capsys)
    assert [vote["vote"] for vote in found["votes"]] == ["left", "tie"]
    assert found["variants"][0]["name"] == "=A" and found["variants"][0]["n"] == 2
    assert found["pairs"][0]["share"]["n"] == 1 and "'=A" in path.read_text()
    assert run(folder, "duels", "--home", str(tmp_path)) == 0
    assert "100% [21%, 100%]" in capsys.readouterr().out


def test_presets_and_recordings_from_the_command_line(folder, capsys, tmp_path):
    home = ("--home", str(tmp_path))
    asked = ("--column", "one", "--column", "one,two", "--questions", "forget.csv", "--projector", *home)
    assert run(folder, "presets", "--save", "talk", *asked, "--json") == 0
    found = {preset["name"]: preset for preset in as_json(capsys)["presets"]}
    assert found["talk"]["columns"] == [["one"], ["one", "two"]] and found["talk"]["projector"]
    assert [answer for _, answer in found["talk"]["questions"]] == ["Paris", "Leonardo da Vinci"]
    assert run(folder, "presets", "--show", "three-facts", *home) == 0
    assert "Three methods" in capsys.readouterr().out
    assert run(folder, "presets", "--delete", "../talk", *home) == 2
    assert run(folder, "presets", "--delete", "talk", *home) == 0
    chat = ("chat", "--column", str(folder / "made"), "--ask", "Who?", "--max-tokens", "4", "--record", "short", *home)
    assert run(folder, *chat) == 0 and run(folder, *chat) == 2
    capsys.readouterr()
    assert run(folder, "recordings", "--show", "short", *home, "--json") == 0
    (recording,) = as_json(capsys)["recordings"]
    assert len(recording["columns"]) == 2 and len(recording["questions"][0]["replies"]) == 2
    assert run(folder, "recordings", *home) == 0
    assert "short: recorded on 20" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, said",
    [("My talk", "'My talk' is no recording's name"), ("", "'' is no recording's name"), ("taken", "called 'taken'")],
)
def test_a_recordings_name_is_checked_before_a_model_is_loaded(folder, capsys, tmp_path, name, said):
    (Workbench(tmp_path).workspace.recordings_dir / "taken.json").write_text("damaged")
    chat = ("chat", "--column", str(folder / "made"), "--ask", "Who?", "--home", str(tmp_path))
    assert run(folder, *chat, "--record", name, "--model", "/nowhere/at/all") == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1
