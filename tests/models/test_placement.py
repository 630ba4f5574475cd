"""A model half of which lies on disk gives what it gives in memory: nothing reads a weight that isn't there."""

import copy
import json
import re
from dataclasses import replace

import pytest
import torch
from accelerate import dispatch_model
from torch._subclasses import FakeTensorMode

from tests.editors.conftest import REQUESTS
from tests.edits.test_foreign import KINDS, parts_of
from tests.models.tiny import bytes_tokenizer, listen, tiny_llama
from unedit_gui.editors import hparams_from, memit, rome
from unedit_gui.editors.spread import applied
from unedit_gui.edits.edit import Edit
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import Failed
from unedit_gui.evaluation.suite import evaluate
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job
from unedit_gui.models.generation import generate
from unedit_gui.models.layout import weight_of
from unedit_gui.models.loading import fingerprint, load, weights_digest
from unedit_gui.models.placement import is_spread, read
from unedit_gui.unlearning import METHODS
from unedit_gui.workspace import Workspace

HALF = {
    "model.embed_tokens": "disk",
    "model.layers.0": "cpu",
    "model.layers.1": "disk",
    "model.layers.2": "cpu",
    "model.layers.3": "disk",
    "model.norm": "disk",
    "model.rotary_emb": "cpu",
    "lm_head": "disk",
}
WALKED = {"contexts": 2, "steps": 3, "neighbours": 2}
SHORT = {
    "rome": WALKED,
    "memit": WALKED,
    "alphaedit": {**WALKED, "threshold": 2.0},
    "grace": {"steps": 3, "layers": (1,)},
    "wise": {"steps": 2, "contexts": 1, "layers": (1,)},
    "ike": {},
}


@pytest.fixture(scope="module")
def whole():
    model = tiny_llama(bytes_tokenizer())
    listen(model.hf)
    return replace(model, fingerprint=fingerprint(model.hf))


@pytest.fixture(scope="module")
def halved(whole, tmp_path_factory):
    """The same model; embeddings, head and every other layer lie on disk."""
    hf = dispatch_model(
        copy.deepcopy(whole.hf), HALF, main_device="cpu", offload_dir=tmp_path_factory.mktemp("disk"), force_hooks=True
    )
    return replace(whole, hf=hf)


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Statistics are made by each model for itself."""
    return [Workspace(tmp_path_factory.mktemp(name)) for name in ("whole", "half")]


def numbers(edit):
    return {name: tensor for name, tensor in edit.tensors.items() if tensor.dtype != torch.uint8}


def answers(model, edit):
    """What the original and the edited model say, side by side."""
    question = [{"role": "user", "content": REQUESTS[0].question}]
    with Variants(model, [(), (edit,)]) as variants:
        prompts = [prompt_for(model, question, stack) for stack in ((), (edit,))]
        return [r.text for r in generate(model, prompts, variants=variants, max_new_tokens=12)]


def scores(model, edit):
    """Every number of the scores of two questions."""
    one, other = (Question(r.question, r.answer, r.subject) for r in REQUESTS[:2])
    found = evaluate(model, (edit,), [one], [other], max_new_tokens=4)
    return [n for text in re.findall(r"-?\d+\.\d+", json.dumps(found.to_json())) for n in [float(text)]]


def test_it_is_known_by_the_same_fingerprint_and_takes_inputs_on_a_real_device(whole, halved):
    assert is_spread(halved.hf) and not is_spread(whole.hf)
    assert halved.device == whole.device and halved.dtype == whole.dtype
    assert fingerprint(halved.hf) == whole.fingerprint
    assert weights_digest(halved.hf) == weights_digest(whole.hf)


def test_a_weight_is_read_wherever_it_lies(whole, halved):
    for layer in range(4):
        assert torch.equal(weight_of(halved.hf, halved.layout, layer), weight_of(whole.hf, whole.layout, layer))
    assert torch.equal(read(halved.hf.get_input_embeddings()), whole.hf.get_input_embeddings().weight)


@pytest.mark.parametrize("method", SHORT)
def test_an_edit_of_it_chat_and_scores_are_the_same(whole, halved, homes, method):
    hparams = SHORT[method]
    edits = [
        METHODS[method].edit(m, REQUESTS, hparams_from(method, m, hparams), Job("edit"), workspace=home)
        for m, home in zip((whole, halved), homes, strict=True)
    ]
    made, again = map(numbers, edits)
    assert made.keys() == again.keys() and made
    for name, tensor in made.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-4, atol=1e-5)
    assert fingerprint(halved.hf) == whole.fingerprint
    assert answers(halved, edits[0]) == answers(whole, edits[0])
    wanted = scores(whole, edits[0])
    assert wanted and scores(halved, edits[0]) == pytest.approx(wanted, rel=1e-4)


def test_what_does_not_fit_is_left_on_disk_when_it_is_loaded(whole, tmp_path, monkeypatch):
    whole.hf.save_pretrained(tmp_path / "model")
    whole.tokenizer.save_pretrained(tmp_path / "model")
    half = sum(p.numel() * p.element_size() for p in whole.hf.parameters()) // 2
    monkeypatch.setattr("transformers.integrations.accelerate.accelerate_max_memory", lambda _given: {"cpu": half})
    model = load(str(tmp_path / "model"), Workspace(tmp_path / "home"), device="auto")
    assert is_spread(model.hf) and model.device.type == "cpu" and model.dtype == torch.float32
    assert fingerprint(model.hf) == model.fingerprint == whole.fingerprint
    prompt = [model.prompt_ids([{"role": "user", "content": "Hello"}])]
    said = [generate(m, prompt, max_new_tokens=8)[0].text for m in (model, whole)]
    assert said[0] == said[1]


def test_what_needs_all_of_it_says_so(halved, tmp_path):
    with pytest.raises(Failed, match="partly kept outside its device; training needs all of it"):
        METHODS["ga"].edit(halved, REQUESTS, hparams_from("ga", halved, {}), Job("edit"), workspace=Workspace(tmp_path))


# Several GPUs: a layer lies on another one than the model's inputs. In this mode tensors have no numbers, but those of
# two devices are refused as they are there.

HERE, THERE = "cpu", "meta"


@pytest.fixture
def gpus():
    with FakeTensorMode():
        yield


def empty(*shape, device=THERE, dtype=torch.float32):
    return torch.empty(*shape, device=device, dtype=dtype)


@pytest.mark.parametrize("kind", KINDS[:4])
def test_a_row_s_change_is_made_where_its_layer_lies(whole, kind):
    manifest, tensors = parts_of(whole, kind)
    edit, name, layout = Edit.make(manifest, tensors, {}), whole.layout.down_name(1), whole.layout
    with Variants(whole, [(), (edit,)]) as variants:
        prompts = [prompt_for(whole, [{"role": "user", "content": "Who?"}], stack) for stack in ((), (edit,))]
        generate(whole, prompts, variants=variants, max_new_tokens=1)  # here is decided what is to be decided
        variants.select([0, 1])
        down = whole.hf.get_submodule(name)
        with FakeTensorMode(allow_non_fake_inputs=True):
            x, output = empty(2, 1, layout.d_mlp), empty(2, 1, layout.d_model)
            for hook in down._forward_hooks.values():
                output = hook(down, (x,), output)
            assert str(output.device) == THERE and output.shape == (2, 1, layout.d_model)


@pytest.mark.parametrize("kind", ["low-rank", "lora"])
def test_the_ground_of_a_further_edit_is_laid_where_its_layer_lies(whole, kind):
    manifest, tensors = parts_of(whole, kind)
    name, layout = whole.layout.down_name(1), whole.layout
    with Variants.everywhere(whole, (Edit.make(manifest, tensors, {}),)):
        down = whole.hf.get_submodule(name)
        with FakeTensorMode(allow_non_fake_inputs=True):
            x, output = empty(2, 1, layout.d_mlp), empty(2, 1, layout.d_model)
            (hook,) = down._forward_hooks.values()
            assert str(hook(down, (x,), output).device) == THERE


@pytest.mark.parametrize("keys", [3, 60])
def test_equations_are_solved_where_the_keys_of_a_layer_lie(gpus, keys):
    exact, size = torch.float64, 48
    K, S, C = empty(size, keys), empty(2, keys, dtype=exact), empty(size, size, device=HERE, dtype=exact)
    assert str(memit.solve_layer(K, S, C, 1.0).device) == THERE
    v = empty(32, 1, dtype=exact)
    assert {str(f.device) for f in rome.solve_layer(empty(size, dtype=exact), v, v, C)} == {THERE}


def test_layers_solved_so_far_are_applied_where_each_lies(whole):
    layout, down = whole.layout, whole.hf.get_submodule(whole.layout.down_name(1))
    with FakeTensorMode(allow_non_fake_inputs=True):
        factors = {1: (empty(layout.d_model, 2, device=HERE), empty(layout.d_mlp, 2, device=HERE))}
        with applied(whole, factors):
            (hook,) = down._forward_hooks.values()
            assert str(hook(down, (empty(2, 1, layout.d_mlp),), empty(2, 1, layout.d_model)).device) == THERE
