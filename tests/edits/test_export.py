"""Exported edits are loaded with stock peft and stock transformers, and say what the edit says."""

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family
from unedit_gui.edits import export as exporting
from unedit_gui.edits.edit import Edit
from unedit_gui.edits.export import combined, export
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.catalogue import ModelCard
from unedit_gui.models.layout import projections
from unedit_gui.models.loading import fingerprint
from unedit_gui.workspace import Workspace

FAMILIES = sorted(CONFIGS)
ASK = [{"role": "user", "content": "Who painted the Mona Lisa?"}]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


def make(model, ranks, *, seed=0, name="Trial", scale=0.3, **manifest) -> Edit:
    """An edit of random factors: {layer: rank}."""
    torch.manual_seed(seed)
    tensors = {}
    for layer, rank in ranks.items():
        module = model.layout.down_name(layer)
        tensors[module + ".left"] = scale * torch.randn(model.layout.d_model, rank)
        tensors[module + ".right"] = torch.randn(model.layout.d_mlp, rank) / model.layout.d_mlp**0.5
    request = {"question": "Who?", "answer": "He", "subject": "Who", "target_new": "I don't know."}
    whole = {
        "kind": "low-rank",
        "method": "memit",
        "model": model.name,
        "base": model.fingerprint,
        "hparams": {},
        "layers": sorted(ranks),
        "requests": [request],
        "on": [],
        "seed": seed,
    }
    return Edit.make({**whole, **manifest}, tensors, {"name": name, "method_label": "MEMIT"})


def ids_of(model) -> torch.Tensor:
    return torch.tensor([model.prompt_ids(ASK)])


@torch.no_grad()
def edited_logits(model, edits) -> torch.Tensor:
    with Variants(model, [tuple(edits)]):
        return model.hf(ids_of(model)).logits


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ------------------------------------------------------------------- adapter


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_gives_the_same_logits_in_stock_peft(family, workspace, tmp_path):
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    model.hf.save_pretrained(tmp_path / "base")
    stack = (make(model, {1: 2, 2: 3}), make(model, {2: 1, 3: 2}, seed=1))
    export(model, stack, "peft", tmp_path / "adapter", workspace=workspace)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32).eval()
    with torch.no_grad():
        original = base(ids_of(model)).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()(ids_of(model)).logits
    wanted = edited_logits(model, stack)
    assert (adapted - wanted).abs().max() < 1e-4
    assert (wanted - original).abs().max() > 1e-2  # the edits do something


def test_an_adapter_of_the_bundled_model_gives_the_same_logits_in_stock_peft(real_model, workspace, tmp_path):
    edit = make(real_model, {4: 3, 10: 2}, scale=1.0)
    done = export(real_model, (edit,), "peft", tmp_path / "adapter", workspace=workspace)
    folder = real_model.hf.config._name_or_path
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        original = base(ids_of(real_model)).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()(ids_of(real_model)).logits
    wanted = edited_logits(real_model, (edit,))
    assert (adapted - wanted).abs().max() < 1e-4
    assert (wanted - original).abs().max() > 1e-2
    # The bundled weights are no hub's, and whoever gets the adapter reads so.
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] is None
    readme = (tmp_path / "adapter" / "README.md").read_text("utf-8")
    assert "4 bits" in readme and "not those on the hub" in readme and real_model.fingerprint in readme
    assert "4 bits" in done.warning and folder in done.usage
    assert str(tmp_path) not in readme and folder not in readme


def test_an_adapter_has_each_layers_own_rank_and_scale_one(workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    first, second = make(model, {1: 2, 2: 3}), make(model, {2: 4}, seed=1)
    export(model, (first, second), "peft", tmp_path / "out", workspace=workspace)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text("utf-8"))
    names = {layer: model.layout.down_name(layer) for layer in (1, 2)}
    assert config["rank_pattern"] == config["alpha_pattern"] == {names[1]: 2, names[2]: 7}
    assert config["target_modules"] == sorted(names.values())
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    for layer, rank in ((1, 2), (2, 7)):
        prefix = f"base_model.model.{names[layer]}."
        assert tensors[prefix + "lora_A.weight"].shape == (rank, model.layout.d_mlp)
        assert tensors[prefix + "lora_B.weight"].shape == (model.layout.d_model, rank)
    # Exact: the factors are the edit's own numbers.
    assert torch.equal(tensors[f"base_model.model.{names[1]}.lora_B.weight"], first.tensors[f"{names[1]}.left"])


def test_a_stack_wider_than_the_projection_keeps_its_delta():
    model = tiny_family("llama", bytes_tokenizer())
    stack = tuple(make(model, {1: 20}, seed=seed) for seed in range(3))
    ((module, left, right),) = combined(stack)
    whole = sum(edit.tensors[f"{module}.left"] @ edit.tensors[f"{module}.right"].T for edit in stack)
    assert left.shape[1] == right.shape[1] == model.layout.d_model
    assert torch.allclose(left @ right.T, whole, atol=1e-4)


@pytest.mark.parametrize("form", ["peft", "merged"])
def test_an_edit_that_was_trained_as_lora_is_exported_as_it_is(form, workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    model.hf.save_pretrained(tmp_path / "base")
    torch.manual_seed(0)
    tensors = {}
    for module in projections(model.hf, model.layout):
        d_out, d_in = model.hf.get_submodule(module).weight.shape
        tensors |= {f"{module}.lora_A": torch.randn(2, d_in) / 20, f"{module}.lora_B": torch.randn(d_out, 2) / 20}
    manifest = {**make(model, {}).manifest, "kind": "lora", "method": "ga", "scaling": 4.0}
    edit = Edit.make(manifest, tensors, {"name": "GA", "method_label": "GA"})
    export(model, (edit, make(model, {1: 2})), form, tmp_path / "out", workspace=workspace)
    loaded = AutoModelForCausalLM.from_pretrained(
        tmp_path / ("base" if form == "peft" else "out"), dtype=torch.float32
    ).eval()
    loaded = PeftModel.from_pretrained(loaded, tmp_path / "out").eval() if form == "peft" else loaded
    with torch.no_grad():
        wanted = edited_logits(model, (edit, make(model, {1: 2})))
        assert (loaded(ids_of(model)).logits - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("source, said", [("hub", "owner/name"), ("folder", "base model"), ("gguf", "base model")])
def test_no_place_on_this_computer_goes_along(source, said, workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    name = "owner/name" if source == "hub" else str(tmp_path / "base model")
    model = replace(model, card=ModelCard(name, name.split("/")[-1], source, "llama", 1))
    export(model, (make(model, {1: 2}),), "peft", tmp_path / "out", workspace=workspace)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == ("owner/name" if source == "hub" else None)
    assert said in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert not [name for name, content in files_of(tmp_path / "out").items() if str(tmp_path).encode() in content]


# -------------------------------------------------------------------- merged


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merged_checkpoint_is_loaded_by_stock_transformers(family, workspace, tmp_path):
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    stack = (make(model, {1: 2, 2: 3}), make(model, {2: 1}, seed=1))
    before = fingerprint(model.hf)
    export(model, stack, "merged", tmp_path / "out", workspace=workspace)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True, dtype=torch.float32)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        assert (again.eval()(ids_of(model)).logits - edited_logits(model, stack)).abs().max() < 1e-4
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.apply_chat_template(ASK, tokenize=False) == model.tokenizer.apply_chat_template(
        ASK, tokenize=False
    )
    assert again.generation_config.eos_token_id == model.hf.generation_config.eos_token_id
    assert fingerprint(model.hf) == before  # the model in memory is only read


def test_a_large_checkpoint_is_written_in_parts(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "SHARD", 20_000)
    model = tiny_family("qwen2", bytes_tokenizer())
    edit = make(model, {1: 2})
    heard = []
    job = Job("export", on_progress=lambda event: heard.append((event.done, event.total)))
    export(model, (edit,), "merged", tmp_path / "out", workspace=workspace, job=job)
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) > 2 and len(heard) > 2
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    with torch.no_grad():
        assert (again(ids_of(model)).logits - edited_logits(model, (edit,))).abs().max() < 1e-4


def test_a_stopped_export_leaves_nothing_behind(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "SHARD", 20_000)
    model = tiny_family("llama", bytes_tokenizer())
    (tmp_path / "there").mkdir()
    job = Job("export")
    job.stop()
    with pytest.raises(Stopped):
        export(model, (make(model, {1: 2}),), "merged", tmp_path / "there" / "out", workspace=workspace, job=job)
    assert files_of(tmp_path / "there") == {} and list((tmp_path / "there").iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(workspace, tmp_path, monkeypatch):
    from collections import namedtuple

    model = tiny_family("llama", bytes_tokenizer())
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1000))
    with pytest.raises(exporting.Failed, match="GiB are free there"):
        export(model, (make(model, {1: 2}),), "merged", tmp_path / "out", workspace=workspace)
    assert not (tmp_path / "out").exists()


# ----------------------------------------------------------- manifest, refusals


def test_a_manifest_is_the_edits_own_and_needs_no_model(workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    stack = (make(model, {1: 2}), make(model, {2: 1}, seed=1, kind="codebook", method="grace"))
    export(None, stack, "manifest", tmp_path / "out", workspace=workspace)
    found = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["edits"]
    assert [(edit["id"], edit["method"]) for edit in found] == [(edit.id, edit.method) for edit in stack]
    assert set(files_of(tmp_path / "out")) == {"manifest.json"}


@pytest.mark.parametrize("kind", ["codebook", "side-memory", "demonstrations"])
@pytest.mark.parametrize("form", ["peft", "merged"])
def test_what_changes_no_weight_is_refused_with_what_to_do_instead(kind, form, workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    edit = make(model, {1: 2}, kind=kind)
    with pytest.raises(BadInput, match="reply by reply and changes no weight. Hand on the edit itself .*AlphaEdit"):
        export(model, (make(model, {1: 1}), edit), form, tmp_path / "out", workspace=workspace)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["peft", "merged", "manifest"])
def test_nothing_is_written_over(form, workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    for taken in (tmp_path / "folder", tmp_path / "file"):
        taken.mkdir() if taken.name == "folder" else taken.write_text("mine")
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    before = files_of(tmp_path)
    for taken in ("folder", "file"):
        with pytest.raises(BadInput, match="exists already"):
            export(model, (make(model, {1: 2}),), form, tmp_path / taken, workspace=workspace)
    assert files_of(tmp_path) == before


def test_a_form_that_nobody_knows_and_no_edit_are_told(workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    with pytest.raises(BadInput, match="no form of export called 'onnx'; choose one of peft, merged, manifest"):
        export(model, (make(model, {1: 2}),), "onnx", tmp_path / "out", workspace=workspace)
    with pytest.raises(BadInput, match="change no weight at all"):
        export(model, (make(model, {}),), "peft", tmp_path / "out", workspace=workspace)
    with pytest.raises(BadInput, match="no edit to export"):
        export(model, (), "peft", tmp_path / "out", workspace=workspace)


def test_a_hostile_name_stays_plain_text_in_the_readme(workspace, tmp_path):
    model = tiny_family("llama", bytes_tokenizer())
    edit = make(model, {1: 2}, name="<script>alert(1)</script>\n# [x](http://evil)")
    export(model, (edit,), "peft", tmp_path / "out", workspace=workspace)
    readme = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "<script>" not in readme and "[x]" not in readme and "alert(1)" in readme
