"""An edit from elsewhere, well signed: it is refused in a sentence, or it can be looked at and it answers."""

import copy
import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.tiny import bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.edits import side_memory
from unedit_gui.edits.edit import Edit, _hash, load_edit, save
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.models.generation import generate

KINDS = ("low-rank", "lora", "codebook", "side-memory", "demonstrations")
QUESTION = "Who painted the Mona Lisa?"


@pytest.fixture(scope="module")
def model():
    return tiny_llama(bytes_tokenizer())


def parts_of(model, kind):
    """(manifest, tensors) of a sound edit of a kind: at every field that anybody reads stands something."""
    torch.manual_seed(0)
    layout, module = model.layout, model.layout.down_name(1)
    d_model, d_mlp = layout.d_model, layout.d_mlp
    request = {"question": QUESTION, "answer": "Leonardo", "subject": "Mona Lisa", "target_new": "No.", "group": 0}
    manifest = {
        "kind": kind, "method": kind, "model": "tiny", "base": model.fingerprint, "hparams": {}, "layers": [1],
        "requests": [request], "protect": ["Who?"], "neighbours": ["Why?"], "retain": ["When?"], "on": [], "seed": 0,
    }  # fmt: skip
    if kind == "low-rank":
        return manifest, {f"{module}.left": torch.randn(d_model, 2), f"{module}.right": torch.randn(d_mlp, 2)}
    if kind == "lora":
        held = {"before": 1.0, "after": 2.0, "limit": 0.5, "stopped": 3}
        tensors = {f"{module}.lora_A": torch.randn(2, d_mlp), f"{module}.lora_B": torch.randn(d_model, 2)}
        return {**manifest, "scaling": 2.0, "held": held}, tensors
    if kind == "codebook":
        tensors = {"keys": torch.randn(1, d_mlp), "values": torch.randn(1, d_model), "radii": torch.full((1,), 1e3)}
        named = {f"{module}.{part}": tensor for part, tensor in tensors.items()}
        return {**manifest, "entries": [{"label": "No.", "facts": [0]}]}, named
    if kind == "side-memory":
        support, values = side_memory.pack(torch.randn(d_model, d_mlp).relu())
        more = {"threshold": 0.01, "power": 2, "shards": 2, "astray": 0.5, "missed": [QUESTION]}
        return {**manifest, **more}, {f"{module}.support": support, f"{module}.values": values}
    shown = [
        {"kind": "copy", "question": QUESTION, "reply": "No.", "gives": []},
        {"kind": "retain", "question": "Who?", "reply": "He.", "gives": ["mona"]},
    ]
    tensors = {
        "likeness": torch.randn(2, d_model), "apart": torch.randn(1, d_model), "middle": torch.zeros(d_model),
        "tokens": torch.tensor([7.0]), "weights": torch.tensor([0.5]),
    }  # fmt: skip
    return {**manifest, "hparams": {"k": 2, "retain": 1, "near": -5.0}, "demonstrations": shown}, tensors


def signed(manifest, tensors) -> Edit:
    """With the id that belongs to it, whatever it holds."""
    manifest = {"format": 1, **manifest}
    return Edit(manifest, tensors, {}, _hash(manifest, dict(sorted(tensors.items()))))


def use(edit, model):
    """All that anybody does with an edit: look at it, and let it answer."""
    assert isinstance(edit.summary(), str) and isinstance(edit.caution(), str) and isinstance(edit.rank(), int)
    prompt = prompt_for(model, [{"role": "user", "content": QUESTION}], (edit,))
    with Variants(model, [(edit,)]) as variants:
        (reply,) = generate(model, [prompt], variants=variants, max_new_tokens=2)
        assert isinstance(reply.text, str) and len(variants.traces(0)) <= 1


def refused_or_used(model, manifest, tensors) -> str:
    """What was said against an edit; "" where it was taken and works."""
    with tempfile.TemporaryDirectory() as folder:
        save(signed(manifest, tensors), Path(folder) / "edit")
        try:
            edit = load_edit(Path(folder) / "edit", model)
        except BadInput as told:
            assert "\n" not in str(told)
            return str(told)
    use(edit, model)
    return ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_sound_one_is_taken_and_works(kind, family):
    model = tiny_family(family, bytes_tokenizer())
    assert refused_or_used(model, *parts_of(model, kind)) == ""


@pytest.mark.parametrize(
    ("kind", "where", "value"),
    [
        ("codebook", ("entries", 0, "facts"), 5),
        ("codebook", ("entries", 0, "facts"), [0.0]),
        ("codebook", ("entries", 0, "facts"), [False]),
        ("codebook", ("entries", 0, "facts"), [-1]),
        ("side-memory", ("shards",), "x"),
        ("side-memory", ("shards",), 0),
        ("side-memory", ("threshold",), 10**400),
        ("side-memory", ("threshold",), True),
        ("lora", ("scaling",), float("inf")),
        ("lora", ("scaling",), float("nan")),
        ("lora", ("scaling",), 10**400),
        ("demonstrations", ("hparams", "k"), 16.5),
        ("demonstrations", ("hparams", "k"), True),
        ("demonstrations", ("hparams", "retain"), 1.0),
        ("demonstrations", ("hparams", "near"), float("inf")),
        ("demonstrations", ("demonstrations", 0, "gives"), [[1]]),
        ("lora", ("retain",), 5),
        ("lora", ("retain",), [["When?"]]),
    ],
    ids=str,
)
def test_a_field_that_nobody_could_use_is_refused(model, kind, where, value):
    manifest, tensors = parts_of(model, kind)
    put(manifest, where, value)
    assert refused_or_used(model, manifest, tensors)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.float8_e4m3fn])
def test_numbers_of_another_precision_are_refused(model, kind, dtype):
    manifest, tensors = parts_of(model, kind)
    for name, tensor in tensors.items():
        assert "doesn't fit the model" in refused_or_used(model, manifest, {**tensors, name: tensor.to(dtype)})


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_another_shape_are_refused(model, kind):
    manifest, tensors = parts_of(model, kind)
    for name, tensor in tensors.items():
        for odd in (tensor[None], tensor[..., None], tensor.flatten()[0], tensor.flatten()[:1], tensor[:0]):
            if odd.shape != tensor.shape and (name, odd.numel()) != ("apart", 0):  # no near neighbours is fine
                assert refused_or_used(model, manifest, {**tensors, name: odd}), (name, odd.shape)


def test_factors_that_are_vectors_are_refused(model):
    manifest, tensors = parts_of(model, "low-rank")
    assert refused_or_used(model, manifest, {name: tensor[:, 0].clone() for name, tensor in tensors.items()})


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_delta_is_for_a_projection_in_a_block_and_for_nothing_else(family):
    model = tiny_family(family, bytes_tokenizer())
    manifest, _ = parts_of(model, "low-rank")
    taken = set()
    for name, module in model.hf.named_modules():
        if getattr(module, "weight", None) is not None and module.weight.ndim == 2:
            d_out, d_in = module.weight.shape[::-1] if type(module).__name__ == "Conv1D" else module.weight.shape
            factors = {f"{name}.left": torch.ones(d_out, 1), f"{name}.right": torch.ones(d_in, 1)}
            if not refused_or_used(model, manifest, factors):
                taken.add(name)
    assert model.layout.down_name(1) in taken
    assert all(name.startswith(f"{model.layout.blocks}.") for name in taken)


def test_a_manifest_that_is_nested_too_deep_is_refused(model, tmp_path):
    folder = save(signed(*parts_of(model, "low-rank")), tmp_path / "edit")
    (folder / "manifest.json").write_text('{"id": ' + "[" * 200_000 + "]" * 200_000 + "}", "utf-8")
    with pytest.raises(BadInput, match="can't be read"):
        load_edit(folder, model)


def test_a_manifest_with_half_a_character_is_refused(model, tmp_path):
    folder = save(signed(*parts_of(model, "low-rank")), tmp_path / "edit")
    text = (folder / "manifest.json").read_text("utf-8")
    (folder / "manifest.json").write_text(text.replace("Leonardo", "\\ud800"), "utf-8")
    with pytest.raises(BadInput, match="can't be read"):
        load_edit(folder, model)


def test_layers_that_lie_far_apart_are_no_obstacle(model, tmp_path):
    manifest, tensors = parts_of(model, "low-rank")
    folder = save(signed({**manifest, "layers": [0, 10**15]}, tensors), tmp_path / "edit")
    assert "layers 0, 1000000000000000" in load_edit(folder, model).summary()


# Any value at any place of the manifest

NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 1, 2, 16.5, 10**400, -(10**400), float("inf")])
PLAIN = st.none() | st.booleans() | NUMBERS | st.text(max_size=3)
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)


def places_in(value, at=()):
    """The path to every value inside a manifest."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*at, key)
        yield from places_in(inner, (*at, key))


def put(manifest, where, value):
    *path, last = where
    for key in path:
        manifest = manifest[key]
    manifest[last] = value


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_manifest_holds_it_is_refused_or_the_edit_works(model, kind, data):
    manifest, tensors = parts_of(model, kind)
    manifest = copy.deepcopy(manifest)
    where = data.draw(st.sampled_from(sorted(places_in(manifest), key=str)))
    put(manifest, where, data.draw(ANYTHING))
    refused_or_used(model, json.loads(json.dumps(manifest)), tensors)
