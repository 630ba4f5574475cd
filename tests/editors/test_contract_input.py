"""What every editing method keeps to: bad input is told in a sentence, settings are read, checked and explained."""

import dataclasses

import pytest
import torch

from tests.editors.conftest import REQUESTS
from tests.editors.contract import LOW_RANK, files_of, hooks_of, hparams_for, make, quick
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.editors import METHODS, Hparams, Request, hparams_from
from unedit_gui.editors.base import ValueHparams
from unedit_gui.errors import BadInput, Failed, UneditError
from unedit_gui.forget.questions import Question
from unedit_gui.workspace import Workspace

# Bad input


def changed(request, **changes):
    return dataclasses.replace(request, **changes)


BAD = {
    "nothing": ([], "nothing to forget"),
    "a subject from elsewhere": ([changed(REQUESTS[0], subject="La Gioconda")], "not part of the question"),
    "a subject in other letters": ([changed(REQUESTS[0], subject="mona lisa")], "not part of the question"),
    "no subject": ([changed(REQUESTS[0], subject="")], "not part of the question"),
    "a blank subject": ([changed(REQUESTS[0], subject=" ")], "not part of the question"),
    "no target": ([changed(REQUESTS[0], target_new="")], "no target"),
    "a blank target": ([changed(REQUESTS[0], target_new=" \n")], "no target"),
    "a question twice": ([REQUESTS[0], changed(REQUESTS[0], answer="x")], "twice"),
    "a bad one among good ones": ([*REQUESTS[:2], changed(REQUESTS[2], subject="Bismarck")], "Bismarck"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_requests_are_told_before_anything_is_computed(small, method, tmp_path, kind):
    requests, reason = BAD[kind]
    own = Workspace(tmp_path / "home")
    with pytest.raises(BadInput, match=reason) as caught:
        make(method, small, own, requests, hparams=quick(method, small))
    assert "\n" not in str(caught.value)
    assert files_of(own) == [] and hooks_of(small) == []


def test_what_is_protected_cant_be_forgotten(small, workspace, method):
    with pytest.raises(BadInput, match="both to be forgotten and protected"):
        make(method, small, workspace, protect=[Question("who painted the mona lisa", "Leonardo")])


@pytest.mark.parametrize("text", ["Lisa 🗼 東京 é\u0301", "<b>Mona Lisa</b>", "<|im_start|>", "Mona\tLisa", "x" * 300])
def test_odd_subjects_are_edited_or_refused_in_a_sentence(small, workspace, method, text):
    asked = Request(f"Who painted {text}, and why?", "answer", text, "I don't know.")
    try:
        edit = make(method, small, workspace, [asked])
    except UneditError as error:
        assert "\n" not in str(error)
    else:
        assert all(torch.isfinite(t).all() for t in edit.tensors.values())
    assert hooks_of(small) == []


def test_numbers_that_run_away_are_told(small, workspace, method):
    hparams = hparams_for(method, small, workspace, lr=10.0, clamp=1e30, weight_decay=0.0)
    try:
        edit = make(method, small, workspace, hparams=hparams)
    except (BadInput, Failed) as error:
        assert "\n" not in str(error)
    else:
        assert all(torch.isfinite(t).all() for t in edit.tensors.values())


# Hyperparameters


def test_every_hyperparameter_says_what_it_is(small, method):
    defaults = method.defaults(small)
    assert isinstance(defaults, Hparams) and isinstance(defaults, method.Hparams)
    for f in dataclasses.fields(defaults):
        assert len(f.metadata["help"]) > 15 and isinstance(f.metadata["advanced"], bool)
        low, high, value = f.metadata["low"], f.metadata["high"], getattr(defaults, f.name)
        if not isinstance(value, tuple):
            assert (low is None or low <= value) and (high is None or value <= high)


@pytest.mark.parametrize("layers", [2, 4, 30, 32, 80])
def test_default_layers_exist_in_models_of_any_depth(method, layers):
    model = tiny_llama(bytes_tokenizer(), layers=layers)
    chosen = getattr(method.defaults(model), "layers", ())
    assert chosen == tuple(sorted(set(chosen))) and all(0 <= layer < layers - 1 for layer in chosen)
    assert hparams_from(method.name, model) == method.defaults(model)


def test_defaults_come_back_from_their_own_texts(small, method):
    defaults = method.defaults(small)
    texts = {
        f.name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for f in dataclasses.fields(defaults)
        for value in [getattr(defaults, f.name)]
    }
    assert hparams_from(method.name, small, texts) == defaults


@pytest.mark.parametrize("method", LOW_RANK, indirect=True)
def test_overrides_are_read_as_the_field_s_type(small, method):
    assert issubclass(method.Hparams, ValueHparams)
    chosen = hparams_from(method.name, small, {"steps": "7", "lr": "1e-1", "layers": " 2", "contexts": 3.0, "clamp": 2})
    assert (chosen.steps, chosen.lr, chosen.layers, chosen.contexts, chosen.clamp) == (7, 0.1, (2,), 3, 2.0)
    assert isinstance(chosen.contexts, int) and isinstance(chosen.clamp, float)
    rest = {f.name for f in dataclasses.fields(chosen)} - {"steps", "lr", "layers", "contexts", "clamp"}
    assert all(getattr(chosen, name) == getattr(method.defaults(small), name) for name in rest)


@pytest.mark.parametrize("text", ["0,2", "2 0", "0, 2", "2,0,2", [2, 0], (0, 2)], ids=str)
def test_layers_are_read_from_lists_and_texts(small, text):
    assert hparams_from("memit", small, {"layers": text}).layers == (0, 2)


WRONG = [
    ("no_such_thing", 1, "no hyperparameter 'no_such_thing'; it has layers"),
    ("steps", "many", "steps: 'many' is not a whole number"),
    ("steps", "2.5", "not a whole number"),
    ("steps", 2.5, "not a whole number"),
    ("steps", None, "not a whole number"),
    ("steps", float("inf"), "steps"),
    ("steps", float("nan"), "steps"),
    ("steps", 0, "steps: 0 is out of range; give a number from 1 to"),
    ("steps", "-1", "out of range"),
    ("steps", 10**9, "out of range"),
    ("contexts", 99, "out of range"),
    ("lr", "fast", "lr: 'fast' is not a number"),
    ("lr", "", "not a number"),
    ("lr", [0.5], "not a number"),
    ("lr", 0, "out of range"),
    ("lr", "nan", "out of range"),
    ("lr", "inf", "out of range"),
    ("weight_decay", "inf", "out of range"),
    ("clamp", float("inf"), "out of range"),
    ("layers", "", "layer numbers"),
    ("layers", "four", "layer numbers"),
    ("layers", "1.5", "layer numbers"),
    ("layers", [1.5], "layer numbers"),
    ("layers", "1;2", "layer numbers"),
    ("layers", 3.7, "layer numbers"),
    ("layers", "3", "layers: 3 is not one of 0 to 2"),  # the last block has nothing above it
    ("layers", "1,99", "layers: 99 is not one of"),
    ("layers", "-1", "layers: -1 is not one of"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_wrong_overrides_are_told_with_name_value_and_range(small, method, name, value, reason):
    if name not in {f.name for f in dataclasses.fields(method.Hparams)}:
        reason = f"has no hyperparameter {name!r}; it has {dataclasses.fields(method.Hparams)[0].name}"
    with pytest.raises(BadInput, match=reason.replace("(", r"\(")) as caught:
        hparams_from(method.name, small, {name: value})
    assert "\n" not in str(caught.value)


def test_an_unknown_method_names_the_known(small):
    with pytest.raises(BadInput, match=f"'lora'; choose one of {', '.join(METHODS)}"):
        hparams_from("lora", small)


def test_every_method_explains_itself(method):
    assert METHODS[method.name] is method
    assert method.label and method.paper.startswith("https://")
    assert 1 <= method.explanation.count(".") <= 3 and len(method.explanation) < 400
