"""GRACE against its paper: add, expand, split; the value acts at the last token of a prompt within its radius."""

import dataclasses

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors.grace import codebook, last_token, typical_distance
from unedit_gui.editors.preserve import statistics_questions
from unedit_gui.editors.values import solve
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.edits.edit import Edit, load_edit, save
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.metrics import rouge1_recall, token_scores
from unedit_gui.forget.refusals import is_refusal
from unedit_gui.jobs import Job
from unedit_gui.models.few_rows import few_rows
from unedit_gui.models.generation import generate


def at(*places):
    return torch.tensor([[float(x), 0.0] for x in places])


def built(places, labels, eps=1.0):
    return [(float(e.key[0]), e.radius, e.label, e.facts) for e in codebook(at(*places), labels, eps)]


# Algorithm 1


def test_a_key_far_from_all_others_is_added_with_the_first_radius():
    assert built([0, 10], "ab") == [(0, 1.0, "a", [0]), (10, 1.0, "b", [1])]
    assert built([0, 2.01], "aa") == [(0, 1.0, "a", [0]), (pytest.approx(2.01), 1.0, "a", [1])]


def test_the_same_label_nearby_widens_the_radius_and_adds_no_key():
    assert built([0, 1.5], "aa") == [(0, 1.5, "a", [0, 1])]
    assert built([0, 0.5], "aa") == [(0, 1.0, "a", [0, 1])]  # within already: never smaller


def test_another_label_nearby_splits_the_radii_at_half_the_distance():
    assert built([0, 1.5], "ab") == [(0, 0.75, "a", [0]), (1.5, 0.75, "b", [1])]
    assert built([0, 0, 5], "abc")[:2] == [(0, 0, "a", [0]), (0, 0, "b", [1])]  # the same prompt twice: no crash


def test_equal_texts_are_equal_labels_whatever_their_tokens():
    assert len(built([0, 1], ["I don't know.", "I don't know."])) == 1
    assert len(built([0, 1], ["I don't know.", "No idea."])) == 2


# At work


@pytest.fixture(scope="module")
def grace():
    return METHODS["grace"]


@pytest.fixture(scope="module")
def made(small, workspace, grace):
    torch.manual_seed(0)
    hparams = hparams_from("grace", small, {"layers": (1,), "steps": 30})
    return grace.edit(small, list(REQUESTS), hparams, Job("edit"), workspace=workspace)


def asked(model, question, edits=()):
    return prompt_for(model, [{"role": "user", "content": question}], edits)


def test_the_search_sees_what_the_finished_edit_does(small, workspace, grace, monkeypatch):
    """Also where a target names the subject: there the value doesn't act again."""
    found = []
    monkeypatch.setattr("unedit_gui.editors.grace.solve", lambda *a, **k: found.append(solve(*a, **k)) or found[-1])
    hparams = hparams_from("grace", small, {"layers": (1,), "steps": 12})
    edit = grace.edit(small, list(REQUESTS), hparams, Job("edit"), workspace=workspace)
    assert REQUESTS[1].subject in REQUESTS[1].target_new and found[0].steps.max() < 12
    prompts = [asked(small, r.question) for r in REQUESTS]
    with Variants(small, [(edit,)] * 3) as variants:
        whole = [r.target_new + small.end_of_turn for r in REQUESTS]
        scores = token_scores(small, prompts, whole, variants=variants)
    losses = -torch.tensor([score.probability_normalised for score in scores]).log()
    torch.testing.assert_close(losses, found[0].loss, rtol=1e-4, atol=0)


def inputs_and_outputs(model, run, layer=1):
    """What goes in and comes out of the projection during `run`, one pair per forward."""
    caught = []
    down = model.hf.get_submodule(model.layout.down_name(layer))
    handle = down.register_forward_hook(lambda _m, args, out: caught.append((args[0].clone(), out.clone())))
    try:
        run()
    finally:
        handle.remove()
    return caught


def test_the_key_is_the_input_at_the_last_token_of_the_chat_prompt(small, made):
    name = small.layout.down_name(1)
    for i, request in enumerate(REQUESTS):
        ids = torch.tensor([list(asked(small, request.question))])
        ((x, _),) = inputs_and_outputs(small, lambda ids=ids: small.hf(ids))
        torch.testing.assert_close(made.tensors[f"{name}.keys"][i], x[0, -1], atol=1e-5, rtol=1e-4)
        assert last_token(small, request.question).position == ids.shape[1] - 1


@pytest.mark.parametrize("beside", [(), ("Hi", "A much longer question that stands in the same batch, why not?")])
def test_the_value_is_put_in_at_that_token_and_nowhere_else(small, made, beside):
    """Also with padding to its left, and never while the reply goes on."""
    prompts = [asked(small, text) for text in (REQUESTS[0].question, *beside)]
    name = small.layout.down_name(1)
    base = inputs_and_outputs(small, lambda: generate(small, prompts, max_new_tokens=1))
    with Variants(small, [(made,)] * len(prompts)) as variants:
        passes = inputs_and_outputs(small, lambda: generate(small, prompts, max_new_tokens=4, variants=variants))
    found = 0
    for number, (x, out) in enumerate(passes):
        with few_rows(x.shape[0] * x.shape[1]):  # the same product as in the step, to the bit
            plain = small.hf.get_submodule(name)(x)
        changed = (out != plain).any(-1)
        if number >= len(base):
            assert not changed.any()
            continue
        for row, where in changed.nonzero().tolist():
            found += 1
            assert where == x.shape[1] - 1
            torch.testing.assert_close(out[row, where], made.tensors[f"{name}.values"][0])
    assert found == 1
    assert variants.traces(0)[0].acted


def test_outside_its_radius_a_reply_is_the_original_s_to_the_bit(small, made):
    far = Edit.make(
        made.manifest,
        {k: (torch.zeros_like(v) if k.endswith("radii") else v + 1.0) for k, v in made.tensors.items()},
        made.about,
    )
    prompts = [asked(small, r.question) for r in REQUESTS]
    with Variants(small, [(far,)] * 3) as variants:
        replies = generate(small, prompts, max_new_tokens=8, variants=variants)
        traces = [variants.traces(i)[0] for i in range(3)]
    assert replies == generate(small, prompts, max_new_tokens=8)
    assert not any(trace.acted for trace in traces) and all("left alone" in trace.text for trace in traces)


def test_the_trace_tells_distance_and_radius(small, made):
    with Variants(small, [(made,)]) as variants:
        generate(small, [asked(small, REQUESTS[1].question)], max_new_tokens=1, variants=variants)
        (trace,) = variants.traces(0)
    radius = float(made.tensors[small.layout.down_name(1) + ".radii"][1])
    assert trace.text == f"nearest key 0.00 of radius {radius:.2f}" and trace.method == "GRACE"
    assert REQUESTS[1].question in trace.hint and trace.edit == made.id


def test_scoring_decides_as_a_reply_does(small, made):
    """Teacher-forced scoring reads prompt and reference in one pass: the value belongs behind the prompt, not at the
    end of that pass."""
    texts = [REQUESTS[2].question, REQUESTS[0].question]
    prompts, answers = [asked(small, text) for text in texts], ["Nobody can say.", "No."]
    name = small.layout.down_name(1)
    with Variants(small, [(made,), (made,)]) as variants:
        run = lambda: token_scores(small, prompts, answers, variants=variants)  # noqa: E731
        ((x, out),) = inputs_and_outputs(small, run)
    changed = (out != small.hf.get_submodule(name)(x)).any(-1)
    assert sorted(where for _, where in changed.nonzero().tolist()) == sorted(len(p) - 1 for p in prompts)


def test_a_row_that_has_not_read_its_prompt_is_an_error_and_not_a_guess(small, made):
    ids = torch.tensor([list(asked(small, REQUESTS[0].question))])
    with Variants(small, [(made,)]), pytest.raises(RuntimeError, match="decides with its prompt"):
        small.hf(ids)


def test_equal_refusals_share_a_key_where_the_questions_are_near(small, workspace, grace):
    requests = [dataclasses.replace(r, target_new="I don't know.") for r in REQUESTS]
    hparams = hparams_from("grace", small, {"layers": (1,), "steps": 2, "eps": 2.0})
    edit = grace.edit(small, requests, hparams, Job("edit"), workspace=workspace)
    assert len(edit.manifest["entries"]) < 3 and "codebook of" in edit.summary()


def test_several_layers_are_refused(small, workspace, grace):
    hparams = hparams_from("grace", small, {"layers": (1, 2)})
    with pytest.raises(BadInput, match="GRACE works at one layer"):
        grace.edit(small, list(REQUESTS), hparams, Job("edit"), workspace=workspace)


def test_the_unit_of_the_radius_is_the_distance_between_unrelated_questions(small):
    shipped = [q for q, _ in statistics_questions()]
    sample = shipped[:: len(shipped) // 48][:48]
    keys, _ = keys_and_outputs(small, [last_token(small, q) for q in sample], [1])
    apart = sorted(float((a - b).norm()) for i, a in enumerate(keys[1].T) for b in keys[1].T[:i])
    assert typical_distance(small, 1) == pytest.approx(apart[len(apart) // 2], rel=0.01)


def test_the_bundled_model_forgets_the_wording_and_nothing_else(real_model, workspace, grace):
    requests = [dataclasses.replace(REQUESTS[0]), dataclasses.replace(REQUESTS[1])]
    edit = grace.edit(real_model, requests, hparams_from("grace", real_model), Job("edit"), workspace=workspace)
    others = ["What is the capital of France?", "Who painted the famous painting The Starry Night?"]
    prompts = [asked(real_model, q) for q in [r.question for r in requests] + others]
    with Variants(real_model, [(edit,)] * 4 + [()] * 4) as variants:
        texts = [r.text for r in generate(real_model, prompts * 2, max_new_tokens=24, variants=variants)]
        assert [variants.traces(i)[0].acted for i in range(4)] == [True, True, False, False]
    for text, request in zip(texts[:2], requests, strict=True):
        assert is_refusal(text) and rouge1_recall(text, request.answer) == 0, texts
    assert texts[2:4] == texts[6:8]


@pytest.mark.parametrize(
    "wrong", ["keys", "values", "radii", "entries", "no entries", "module", "a tensor more", "nan"]
)
def test_a_well_signed_payload_that_does_not_fit_is_bad_input(small, made, tmp_path, wrong):
    manifest, tensors = dict(made.manifest), dict(made.tensors)
    name = small.layout.down_name(1)
    if wrong in ("keys", "values", "radii"):
        tensors[f"{name}.{wrong}"] = tensors[f"{name}.{wrong}"][1:]
    elif wrong == "entries":
        manifest["entries"] = [{**manifest["entries"][0], "facts": [9]}, *manifest["entries"][1:]]
    elif wrong == "no entries":
        manifest["entries"] = []
    elif wrong == "module":
        tensors = {key.replace("layers.1", "layers.9"): value for key, value in tensors.items()}
    elif wrong == "a tensor more":
        tensors["more"] = torch.zeros(1)
    else:
        tensors[f"{name}.values"] = tensors[f"{name}.values"] * float("nan")
    save(Edit.make(manifest, tensors, {}), tmp_path / "edit")
    with pytest.raises(BadInput, match="doesn't fit the model"):
        load_edit(tmp_path / "edit", small)
