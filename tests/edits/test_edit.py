"""An edit is a value: it comes back from disk as it was, or with the reason why not."""

import json
import os
import pickle
from dataclasses import FrozenInstanceError

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.edits.edit import Edit, load_edit, rename, save
from unedit_gui.errors import BadInput

QUESTION = "Who wrote “Émile”, 東京 🗼?"


@pytest.fixture(scope="module")
def model():
    return tiny_llama(bytes_tokenizer())


def make(model, *, seed=0, rank=2, layers=(1, 2), about=None, **manifest) -> Edit:
    torch.manual_seed(seed)
    tensors = {}
    for layer in layers:
        name = model.layout.down_name(layer)
        tensors[name + ".left"] = torch.randn(model.layout.d_model, rank, dtype=torch.float64)
        tensors[name + ".right"] = torch.randn(rank, model.layout.d_mlp).T  # not contiguous
    whole = {
        "kind": "low-rank",
        "method": "memit",
        "model": model.name,
        "base": model.fingerprint,
        "hparams": {"lam": 1 / 3, "layers": tuple(layers)},
        "layers": list(layers),
        "requests": [{"question": QUESTION, "answer": "a", "subject": "Émile", "target_new": "I don't know."}],
        "on": [],
        "seed": seed,
    }
    return Edit.make({**whole, **manifest}, tensors, {"name": "Trial", "seconds": 1.5} if about is None else about)


@pytest.fixture
def edit(model):
    return make(model)


@pytest.fixture
def saved(edit, tmp_path):
    return save(edit, tmp_path / "edits" / "first")


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def change_manifest(folder, **changes):
    document = json.loads((folder / "manifest.json").read_text("utf-8"))
    for key, value in changes.items():
        document.pop(key) if value is None else document.update({key: value})
    (folder / "manifest.json").write_text(json.dumps(document), "utf-8")


# Round trip


def test_an_edit_comes_back_as_it_was(edit, saved, model):
    again = load_edit(saved, model)
    assert again == edit and again.id == edit.id
    assert again.manifest == edit.manifest and again.about == edit.about
    assert again.tensors.keys() == edit.tensors.keys()
    for name, tensor in edit.tensors.items():
        assert again.tensors[name].dtype == torch.float32
        assert torch.equal(again.tensors[name], tensor)


def test_saving_what_was_loaded_writes_the_same_bytes(saved, tmp_path):
    copy = save(load_edit(saved), tmp_path / "copy")
    assert files_of(copy) == files_of(saved)
    assert set(files_of(saved)) == {"manifest.json", "payload.safetensors"}


def test_a_saved_edit_can_be_moved(edit, saved, tmp_path, model):
    saved.rename(tmp_path / "elsewhere")
    assert load_edit(tmp_path / "elsewhere", model) == edit


def test_nothing_is_pickled(saved):
    for content in files_of(saved).values():
        with pytest.raises(Exception):  # noqa: B017 (whatever pickle says to bytes that are none of its own)
            pickle.loads(content)
    assert set(load_file(saved / "payload.safetensors")) == {
        f"model.layers.{layer}.mlp.down_proj.{side}" for layer in (1, 2) for side in ("left", "right")
    }


def test_numbers_and_text_survive_json(saved):
    again = load_edit(saved)
    assert again.manifest["hparams"]["lam"] == 1 / 3
    assert again.requests[0]["question"] == QUESTION
    assert QUESTION in (saved / "manifest.json").read_text("utf-8")


# Identity


def test_the_id_depends_on_manifest_and_payload_and_on_nothing_else(model, edit):
    assert make(model).id == edit.id
    assert make(model, about={"name": "Other", "seconds": 99, "versions": {"torch": "0"}}).id == edit.id
    others = [
        make(model, seed=1),
        make(model, rank=3),
        make(model, method="rome"),
        make(model, base="0" * 16),
        make(model, on=["0" * 16]),
        make(model, hparams={"lam": 1 / 3 + 1e-16, "layers": (1, 2)}),
        make(model, requests=[]),
    ]
    assert len({e.id for e in [edit, *others]}) == len(others) + 1


def test_edits_with_one_id_are_one_edit(model, edit):
    assert len({edit, make(model), edit.named("Other")}) == 1
    assert edit != make(model, seed=1) and edit != edit.id


def test_an_edit_is_frozen(edit):
    with pytest.raises(FrozenInstanceError):
        edit.id = "0"


def test_what_the_maker_does_to_its_tensors_later_does_not_reach_the_edit(model):
    left, right = torch.ones(model.layout.d_model, 1), torch.ones(model.layout.d_mlp, 1)
    name = model.layout.down_name(1)
    edit = Edit.make({**make(model).manifest}, {name + ".left": left, name + ".right": right}, {})
    left.zero_()
    assert edit.tensors[name + ".left"].sum() == model.layout.d_model


def test_deltas_and_rank_and_summary(edit):
    deltas = {name: (left.shape, right.shape) for name, left, right in edit.deltas()}
    assert deltas == {f"model.layers.{i}.mlp.down_proj": ((32, 2), (48, 2)) for i in (1, 2)}
    assert edit.rank() == 2
    assert "1 fact," in edit.summary() and "layers 1-2" in edit.summary() and "rank 2" in edit.summary()


@pytest.mark.parametrize("kind", ["prefix", "", "code"])
def test_a_kind_that_nobody_knows_is_refused_by_name(model, tmp_path, kind):
    save(make(model, kind=kind), tmp_path / "edit")
    with pytest.raises(BadInput, match=f"of the kind '{kind}', which this version can't run"):
        load_edit(tmp_path / "edit", model)


@pytest.mark.parametrize("kind", ["codebook", "side-memory", "demonstrations"])
def test_deltas_signed_as_another_kind_are_bad_input(model, tmp_path, kind):
    save(make(model, kind=kind, layers=(1,)), tmp_path / "edit")
    with pytest.raises(BadInput, match="doesn't fit the model"):
        load_edit(tmp_path / "edit", model)


def test_bits_stay_bits_in_the_payload(model, tmp_path):
    bits = torch.arange(7, dtype=torch.uint8)
    edit = Edit.make(make(model).manifest, {"bits": bits, "numbers": torch.ones(3, dtype=torch.float64)}, {})
    again = load_edit(save(edit, tmp_path / "edit"))
    assert torch.equal(again.tensors["bits"], bits) and again.tensors["bits"].dtype == torch.uint8
    assert again.tensors["numbers"].dtype == torch.float32


def test_a_name_that_was_not_given_says_what_it_is(model):
    assert make(model, about={}).name == "memit · 1 fact"
    assert make(model, about={}, requests=make(model).requests * 3).name == "memit · 3 facts"


# Renaming


def test_renaming_keeps_the_id_and_the_payload(edit, saved, model):
    before = (saved / "payload.safetensors").read_bytes()
    rename(saved, "Ärger <b>& Co</b>")
    again = load_edit(saved, model)
    assert again.name == "Ärger <b>& Co</b>" and again.id == edit.id
    assert (saved / "payload.safetensors").read_bytes() == before
    assert set(files_of(saved)) == {"manifest.json", "payload.safetensors"}


def test_naming_leaves_the_first_value_alone(edit):
    assert edit.named("Other").name == "Other" and edit.name == "Trial"


# What can't be loaded


def test_missing(tmp_path, saved):
    with pytest.raises(BadInput, match="holds no edit"):
        load_edit(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="holds no edit"):
        load_edit(saved / "payload.safetensors")
    (saved / "payload.safetensors").unlink()
    with pytest.raises(BadInput, match="truncated or damaged"):
        load_edit(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "rome"},
        {"seed": 1},
        {"base": "0" * 16},
        {"requests": []},
        {"hparams": {}},
        {"more": 1},
        {"on": None},
        {"id": "0" * 16},
        {"id": 5},
    ],
    ids=str,
)
def test_a_tampered_manifest_is_noticed(saved, changes):
    change_manifest(saved, **changes)
    with pytest.raises(BadInput, match="changed after it was made"):
        load_edit(saved)


def test_a_tampered_payload_is_noticed(saved):
    path = saved / "payload.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # one bit of one number
    path.write_bytes(content)
    with pytest.raises(BadInput, match="changed after it was made"):
        load_edit(saved)


def test_a_payload_with_a_tensor_more_or_less_is_noticed(saved):
    path = saved / "payload.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "more": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match="changed after it was made"):
        load_edit(saved)
    save_file(dict(list(tensors.items())[1:]), path)
    with pytest.raises(BadInput, match="changed after it was made"):
        load_edit(saved)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_payload_is_noticed(saved, keep):
    path = saved / "payload.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="truncated or damaged"):
        load_edit(saved)


def test_a_pickle_in_the_payloads_place_is_not_run(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"x": Bomb()}, saved / "payload.safetensors")
    with pytest.raises(BadInput, match="truncated or damaged"):
        load_edit(saved)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '"id"', "5", "null", "{}", '{"id": "0"}', "\ufeff{}"])
def test_a_manifest_that_is_none_is_bad_input(saved, text):
    (saved / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(BadInput, match="manifest|format"):
        load_edit(saved)


def test_a_manifest_of_bytes_is_bad_input(saved):
    (saved / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="manifest"):
        load_edit(saved)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_is_named(saved, version):
    change_manifest(saved, format=version)
    with pytest.raises(BadInput, match="reads format 1"):
        load_edit(saved)


def test_another_base_model_is_named(saved, edit, model):
    other = tiny_llama(model.tokenizer, seed=1)
    with pytest.raises(BadInput, match=f"another base model.*{model.fingerprint}.*{other.fingerprint}"):
        load_edit(saved, other)
    assert load_edit(saved) == edit  # without a model it can be looked at all the same


@pytest.mark.parametrize("lost", ["kind", "method", "requests"])
def test_a_well_signed_manifest_without_what_an_edit_needs_is_bad_input(model, tmp_path, lost):
    """The id is a checksum, not a signature: an edit from elsewhere can be wrong and still carry the right one."""
    good = make(model)
    manifest = {key: value for key, value in good.manifest.items() if key != lost}
    save(Edit.make(manifest, good.tensors, {"name": "x"}), tmp_path / "edit")
    with pytest.raises(BadInput, match=lost):
        load_edit(tmp_path / "edit", model)


@pytest.mark.parametrize("wrong", ["size", "rank", "a side missing", "module"])
def test_a_well_signed_payload_that_does_not_fit_the_model_is_bad_input(model, tmp_path, wrong):
    good = make(model)
    tensors, name = dict(good.tensors), model.layout.down_name(1)
    if wrong == "size":
        tensors[name + ".right"] = torch.zeros(47, 2)
    elif wrong == "rank":
        tensors[name + ".right"] = torch.zeros(48, 3)
    elif wrong == "a side missing":
        del tensors[name + ".right"]
    else:
        tensors["model.layers.9.mlp.down_proj.left"] = tensors.pop(name + ".left")
        tensors["model.layers.9.mlp.down_proj.right"] = tensors.pop(name + ".right")
    save(Edit.make(good.manifest, tensors, {}), tmp_path / "edit")
    with pytest.raises(BadInput, match="doesn't fit"):
        load_edit(tmp_path / "edit", model)


@pytest.mark.parametrize(
    "about",
    [[], "x", {"name": 5}, {"name": ["a"]}, {"seconds": "soon"}, {"share": None}, {"method_label": {}}],
    ids=str,
)
def test_a_spoilt_about_spoils_nothing(saved, edit, model, about):
    """Names and timings stand outside the id, so anybody may have written anything there."""
    change_manifest(saved, about=about)
    again = load_edit(saved, model)
    assert again == edit
    assert isinstance(again.name, str) and isinstance(again.summary(), str) and isinstance(again.created, str)


# Where an edit can be saved


def test_an_existing_folder_with_something_in_it_is_left_alone(edit, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        save(edit, tmp_path)
    assert files_of(tmp_path) == {"notes.txt": b"mine"}
    with pytest.raises(BadInput, match="exists already"):
        save(edit, tmp_path / "notes.txt")


def test_an_empty_folder_is_used(edit, tmp_path):
    (tmp_path / "new").mkdir()
    assert load_edit(save(edit, tmp_path / "new")) == edit


def test_the_empty_folder_that_one_stands_in_is_used(edit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(edit, ".")
    assert load_edit(tmp_path) == edit


def test_a_place_that_cant_be_written_is_bad_input_and_leaves_nothing(edit, tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file" / "edit", tmp_path / ("long" * 100)):
        with pytest.raises(BadInput, match="can't be written"):
            save(edit, place)
    assert list(files_of(tmp_path)) == ["file"]


def test_an_interrupted_save_leaves_nothing(edit, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(BadInput, match="No space left"):
        save(edit, tmp_path / "edit")
    assert list(tmp_path.iterdir()) == []
