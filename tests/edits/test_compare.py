"""Two edits beside each other."""

import json

import pytest
import torch

from tests.edits.test_export import make
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.edits.compare import compare


@pytest.fixture(scope="module")
def model():
    return tiny_llama(bytes_tokenizer())


def dense(edit) -> torch.Tensor:
    return torch.cat([(left @ right.T).flatten() for _, left, right in edit.deltas()]).double()


def test_what_differs_is_named_and_what_agrees_is_too(model):
    first = make(model, {1: 2}, hparams={"lr": 0.2, "steps": 25})
    asked = [
        {"question": q, "answer": "a", "subject": q, "target_new": t} for q, t in (("Who?", "No."), ("Why?", "No"))
    ]
    second = make(model, {1: 2}, seed=1, hparams={"lr": 0.5, "steps": 25, "l2": 1.0}, requests=asked)
    found = compare(first, second)
    assert {what for what, *_ in found.differing} == {"seed", "facts", "hparams.lr", "hparams.l2"}
    assert ("hparams.lr", 0.2, 0.5, False) in found.rows and ("hparams.steps", 25, 25, True) in found.rows
    assert ("hparams.l2", None, 1.0, False) in found.rows
    assert found.requests == (("Who?", "I don't know.", "No."), ("Why?", "", "No"))
    assert json.loads(json.dumps(found.to_json()))["ids"] == [first.id, second.id]


def test_a_setting_that_repeats_an_entry_is_listed_once(model):
    first, second = (make(model, {layer: 2}, hparams={"layers": [layer], "lr": 0.2}) for layer in (1, 2))
    assert [what for what, *_ in compare(first, second).differing] == ["layers"]
    other = make(model, {2: 2}, hparams={"layers": [1, 2], "lr": 0.2})
    assert [what for what, *_ in compare(first, other).differing] == ["layers", "hparams.layers"]


def test_the_cosine_is_that_of_the_dense_changes(model):
    first, second = make(model, {1: 2, 2: 3}), make(model, {1: 3, 2: 1}, seed=1)
    found, (a, b) = compare(first, second), (dense(first), dense(second))
    assert found.cosine == pytest.approx(float(torch.nn.functional.cosine_similarity(a, b, 0)), abs=1e-6)
    assert found.norms == pytest.approx((float(a.norm()), float(b.norm())), rel=1e-5)
    assert compare(first, first).cosine == pytest.approx(1) and not compare(first, first).differing
    assert compare(first, make(model, {3: 1}, seed=2)).cosine == 0  # no projection in common


@pytest.mark.parametrize("d_mlp", [40, 64])
def test_edits_of_models_that_differ_in_the_width_of_their_mlps_have_nothing_in_common(model, d_mlp):
    first, second = make(model, {1: 2}), make(tiny_llama(bytes_tokenizer(), d_mlp=d_mlp), {1: 2})
    found = compare(first, second)
    assert found.cosine == 0 and found.norms == pytest.approx([float(dense(e).norm()) for e in (first, second)])
    assert "base" in {what for what, *_ in found.differing}


def test_an_edit_that_changes_no_weight_has_no_cosine(model):
    first, second = make(model, {1: 2}), make(model, {}, kind="demonstrations", method="ike")
    found = compare(first, second)
    assert found.cosine is None and found.norms[1] is None and found.norms[0] > 0
    assert {"kind", "method", "layers", "rank"} <= {what for what, *_ in found.differing}
