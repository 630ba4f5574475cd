"""WISE: shards train apart and are merged; the route is decided once per prompt, by the question's own tokens."""

import dataclasses

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors.side_training import Batch, Margins, Spans, talks_of
from unedit_gui.editors.ties import ties, trim
from unedit_gui.editors.wise import apart, choose_threshold, inputs_of, out_of_scope
from unedit_gui.edits.edit import Edit, load_edit, save
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.side_memory import activation, pack, unpack
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.metrics import rouge1_recall, token_scores
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import is_refusal
from unedit_gui.jobs import Job
from unedit_gui.models.generation import generate
from unedit_gui.models.layout import down_of
from unedit_gui.models.partial import above

QUICK = {
    "layers": (1,),
    "mask_ratio": 0.2,
    "density": 0.53,
    "steps": 3,
    "margin_steps": 1,
    "contexts": 1,
    "neighbours": 1,
}


@pytest.fixture(scope="module")
def wise():
    return METHODS["wise"]


def made_of(model, workspace, wise, requests=REQUESTS, **hparams):
    chosen = hparams_from("wise", model, {**QUICK, **hparams})
    return wise.edit(model, list(requests), chosen, Job("edit"), workspace=workspace)


@pytest.fixture(scope="module")
def edit(small, workspace, wise):
    return made_of(small, workspace, wise)


def delta_of(model, edit):
    name = model.layout.down_name(edit.layers[0])
    shape = (model.layout.d_model, model.layout.d_mlp)
    return unpack(edit.tensors[f"{name}.support"], edit.tensors[f"{name}.values"], shape)


def with_threshold(edit, threshold):
    return Edit.make({**edit.manifest, "threshold": threshold}, edit.tensors, edit.about)


def asked(model, question):
    return prompt_for(model, [{"role": "user", "content": question}])


# Sharding and merging


def test_trimming_keeps_the_largest():
    delta = torch.tensor([[0.0, 3.0, -1.0], [2.0, 0.0, -4.0]])
    assert torch.equal(trim(delta, 0.5), torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, -4.0]]))
    assert torch.equal(trim(delta, 1.0), delta)


def test_merging_elects_a_sign_and_averages_what_agrees():
    one, two, three = torch.tensor([[4.0, 1.0, 0.0, 2.0], [-3.0, -3.0, 5.0, 2.0], [2.0, 1.0, 0.0, -4.0]])[:, None]
    assert torch.equal(ties([one, two, three]), torch.tensor([[3.0, -3.0, 5.0, 0.0]]))
    assert torch.equal(ties([one]), one)


@pytest.mark.parametrize("shards, expected", [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_as_many_shards_as_asked_for_or_as_there_are_facts(small, workspace, wise, shards, expected):
    edit = made_of(small, workspace, wise, shards=shards)
    assert edit.manifest["shards"] == expected == len(edit.manifest["loss"])
    assert (f"side memory of {expected} shard" in edit.summary()) and ("merged" in edit.summary()) == (expected > 1)
    # Each changes at most the trimmed part of its mask, and no two masks share an entry.
    share = (delta_of(small, edit) != 0).float().mean()
    assert share == pytest.approx(expected * 0.2 * 0.53, abs=0.04)


@pytest.mark.parametrize("shards, ratio, shared", [(2, 0.5, 0), (5, 0.2, 0), (2, 0.6, 0.2), (3, 0.5, 0.5)])
def test_masks_overlap_only_as_far_as_there_are_too_few_entries(shards, ratio, shared):
    masks = torch.stack(apart((200, 300), shards, ratio, torch.Generator().manual_seed(0)))
    assert masks.float().mean((1, 2)).tolist() == pytest.approx([ratio] * shards, abs=0.01)
    assert float((masks.sum(0) > 1).float().mean()) == pytest.approx(shared, abs=0.01)


def test_ten_and_forty_facts_are_sharded_and_merged_with_the_defaults(small, wise):
    assert wise.defaults(small).shards >= 2


def test_margins_are_those_of_the_paper():
    margins = Margins(alpha=1, beta=4, gamma=2, weight=10, unit=2)
    d_in, d_out = torch.tensor([10.0, 4.0]), torch.tensor([1.0, 6.0])
    terms = 5 * (0 + 2**2) / 2 + (0 + 2**2) / 2 + (0 + 0 + (2 - 1.5) ** 2 + (2 + 1) ** 2) / 4
    assert float(margins.loss(d_in, d_out)) == pytest.approx(10 * terms)
    assert float(margins.loss(torch.tensor([20.0]), torch.tensor([0.5]))) == 0


# Scope


def test_what_is_out_of_scope_names_nothing_to_be_forgotten():
    protect = [Question("What is the capital of Chile?", "Santiago")]
    found = out_of_scope(REQUESTS, [("What is the capital of Bolivia?", "Bolivia")], protect)
    assert found[:2] == ["What is the capital of Chile?", "What is the capital of Bolivia?"]
    assert len(found) > 300 and len(found) == len(set(found))
    assert not any(word in text for text in found for word in ("Mona Lisa", "Peru?", "Titanic"))


def test_inputs_are_those_at_the_question_s_own_tokens(small):
    questions = ["Why?", "A longer question, with more in it?", REQUESTS[0].question]
    found = inputs_of(small, questions, 1, Job("x"), "Reading")
    for question, x in zip(questions, found, strict=True):
        prompt = asked(small, question)
        assert bytes(small.tokenizer.decode(prompt[slice(*prompt.asked)]), "utf-8").decode() == question
        caught = []
        handle = down_of(small.hf, small.layout, 1).register_forward_hook(lambda _m, a, _o, c=caught: c.append(a[0][0]))
        small.hf(torch.tensor([list(prompt)]))
        handle.remove()
        torch.testing.assert_close(x, caught[0][slice(*prompt.asked)], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "held, ratio, expected", [([], 0.5, 5.0), ([1.0] * 50, 0.5, 5.0), ([7.0] * 50, 0.5, 7.0), ([99.0] * 50, 0.5, 9.7)]
)
def test_the_threshold_lets_every_question_in_scope_through(held, ratio, expected):
    assert choose_threshold(torch.tensor([10.0, 30.0]), 10.0, torch.tensor(held), ratio) == pytest.approx(expected)


def test_wordings_that_were_trained_on_pass_as_long_as_it_costs_no_other_question():
    d_own = torch.tensor([10.0, 30.0])
    assert choose_threshold(d_own, 6.0, torch.ones(50), 0.5) == 3.0
    assert choose_threshold(d_own, 6.0, torch.full((50,), 8.0), 0.5) == 8.0  # the own wording still passes


@pytest.mark.parametrize("facts, held, expected", [(40, 99.0, 29.1), (40, 20.0, 20.0), (40, 9.0, 9.0), (19, 99.0, 9.7)])
def test_one_fact_in_twenty_is_given_up_where_too_many_other_questions_exceed_the_weakest(facts, held, expected):
    d_own = torch.tensor([10.0, 12.0, *[30.0] * (facts - 2)])
    found = choose_threshold(d_own, 10.0, torch.full((50,), held), 0.5)
    assert found == pytest.approx(expected)


# The refusals


def test_the_refusals_loss_and_its_gradient_are_those_of_the_whole_model_talk_by_talk(small, monkeypatch):
    """Made a few conversations at a time, of which the last may be fewer."""
    monkeypatch.setattr("unedit_gui.editors.side_training._AT_ONCE", 4)
    talks = [talk for i, request in enumerate(REQUESTS) for talk in talks_of(small, request, i, 2)]
    torch.manual_seed(0)
    delta = (0.1 * torch.randn(small.layout.d_model, small.layout.d_mlp)).requires_grad_(True)
    found, by_delta = Batch(small, talks, 1, Job("x")).nll(above(small.hf, small.layout, 1), delta)

    losses = []
    for talk in talks:

        def add(_m, args, output, talk=talk):
            moved = torch.zeros(output.shape[1], 1)
            moved[talk.asked[0] :] = 1.0
            return output + moved * (args[0] @ delta.T)

        handle = down_of(small.hf, small.layout, 1).register_forward_hook(add)
        try:
            logits = small.hf(torch.tensor([talk.ids])).logits[0]
        finally:
            handle.remove()
        log_p = logits[-talk.wanted - 1 : -1].log_softmax(-1)
        losses.append(-log_p[range(talk.wanted), talk.ids[-talk.wanted :]].mean())
    loss = torch.stack(losses).mean()
    assert found == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(by_delta, torch.autograd.grad(loss, delta)[0], rtol=1e-4, atol=1e-6)


# The route


@pytest.mark.parametrize(
    "power, expected", [(1, 3.5), (2, (25 / 2 + 4 / 2) ** 0.5), (8, (5**8 / 2 + 2**8 / 2) ** 0.125)]
)
def test_the_activation_is_a_power_mean_over_the_question_s_tokens(power, expected):
    x, delta = torch.tensor([[3.0, 4.0], [2.0, 0.0]]), torch.eye(2)
    assert activation(x, delta, power) == pytest.approx(expected)
    together = Spans([x, 2 * x]).activations(delta, power)
    assert together.tolist() == pytest.approx([expected, 2 * expected], rel=1e-4)


def test_an_edit_from_before_there_was_a_power_is_routed_by_the_mean(small, edit):
    manifest = {key: value for key, value in edit.manifest.items() if key != "power"}
    prompt = asked(small, REQUESTS[0].question)
    with Variants(small, [(Edit.make(manifest, edit.tensors, edit.about),)]) as variants:
        generate(small, [prompt], max_new_tokens=1, variants=variants)
        text = variants.traces(0)[0].text
    x = inputs_of(small, [REQUESTS[0].question], 1, Job("x"), "Reading")[0]
    assert f"({activation(x, delta_of(small, edit), 1):.2f} against" in text


def test_every_forgotten_question_goes_to_the_side_memory_and_the_trace_tells_why(small, edit):
    prompts = [asked(small, r.question) for r in REQUESTS]
    with Variants(small, [(edit,)] * 3) as variants:
        generate(small, prompts, max_new_tokens=2, variants=variants)
        traces = [variants.traces(i)[0] for i in range(3)]
    inputs = inputs_of(small, [r.question for r in REQUESTS], 1, Job("x"), "Reading")
    d = [activation(x, delta_of(small, edit), edit.manifest["power"]) for x in inputs]
    for trace, value in zip(traces, d, strict=True):
        assert trace.acted and trace.text == f"side memory ({value:.2f} against {edit.manifest['threshold']:.2f})"


def test_the_main_memory_answers_as_the_original_to_the_bit(small, edit):
    closed = with_threshold(edit, 1e9)
    prompts = [asked(small, r.question) for r in REQUESTS]
    caught = [[], []]
    for store, rows in zip(caught, ([()] * 3, [(closed,)] * 3), strict=True):
        handle = small.hf.register_forward_hook(lambda _m, _a, out, s=store: s.append(out.logits.clone()))
        with Variants(small, rows) as variants:
            generate(small, prompts, max_new_tokens=4, variants=variants)
        handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(*caught, strict=True))
    assert "main memory" in variants.traces(0)[0].text and not variants.traces(0)[0].acted


def test_the_side_memory_is_the_changed_weight_from_the_question_on(small, edit):
    """Also while the reply goes on, and not before the question."""
    opened = with_threshold(edit, 0.0)
    prompts = [asked(small, text) for text in (REQUESTS[0].question, "Hm, and what else?", "A")]
    delta, passes = delta_of(small, edit), []
    down = down_of(small.hf, small.layout, 1)
    with Variants(small, [(opened,), (), (opened,)]) as variants:
        handle = down.register_forward_hook(lambda _m, args, out: passes.append((args[0].clone(), out.clone())))
        generate(small, prompts, max_new_tokens=3, variants=variants)
        handle.remove()
    starts = {len(p) - p.asked[0] for p in prompts}  # of the question, counted from the prompt's end
    for x, out in passes:
        plain = down(x)
        for row in range(len(x)):
            moved = (out[row] - plain[row]).abs().amax(-1) > 1e-6
            if not moved.any():
                continue
            first = int(moved.nonzero()[0])
            expected = plain[row, first:] + x[row, first:] @ delta.T
            torch.testing.assert_close(out[row, first:], expected, atol=1e-5, rtol=0)
            assert x.shape[1] == 1 or x.shape[1] - first in starts  # nothing of the template in front is touched
    assert sum(bool((out - down(x)).abs().max() > 1e-6) for x, out in passes if x.shape[1] == 1) >= 1


def test_scoring_routes_by_the_prompt_and_not_by_the_reference(small, edit):
    """Whatever stands behind the prompt, D is the same as for a reply."""
    prompts = [asked(small, r.question) for r in REQUESTS]
    with Variants(small, [(edit,)] * 3) as variants:
        generate(small, prompts, max_new_tokens=1, variants=variants)
        replies = [variants.traces(i)[0].text for i in range(3)]
        token_scores(small, prompts, ["A quite long reference answer that stands behind."] * 3, variants=variants)
        assert [variants.traces(i)[0].text for i in range(3)] == replies


def test_the_last_turn_of_a_conversation_routes(small, edit):
    talk = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": REQUESTS[0].question},
    ]
    prompt = prompt_for(small, talk)
    assert small.tokenizer.decode(prompt[slice(*prompt.asked)]) == REQUESTS[0].question
    with Variants(small, [(with_threshold(edit, 0.0),)]) as variants:
        generate(small, [prompt], max_new_tokens=1, variants=variants)
        assert variants.traces(0)[0].acted


@pytest.mark.parametrize("astray, warned", [(0.31, "31% of the known questions"), (0.05, ""), (None, ""), ("much", "")])
def test_a_route_that_takes_other_questions_along_is_warned_of(edit, astray, warned):
    made = Edit.make({**edit.manifest, "astray": astray}, edit.tensors, edit.about)
    assert warned in made.caution() and bool(made.caution()) == bool(warned)


def test_facts_that_the_route_misses_are_named(edit):
    asked = edit.requests[0]["question"]
    for missed in ([asked], []):
        made = Edit.make({**edit.manifest, "missed": missed}, edit.tensors, edit.about)
        assert (asked in made.caution()) == bool(missed)


def test_the_share_that_goes_astray_is_measured_when_the_edit_is_made(small, edit, workspace, wise, monkeypatch):
    held = out_of_scope(REQUESTS, [], [])
    for threshold, share in ((0.0, 1.0), (1e9, 0.0)):
        monkeypatch.setattr("unedit_gui.editors.wise.choose_threshold", lambda *_, t=threshold: t)
        made = made_of(small, workspace, wise, neighbours=0, steps=1)
        assert held and made.manifest["astray"] == share and bool(made.caution())
        assert made.manifest["missed"] == ([] if share else [request.question for request in REQUESTS])


# The payload


def test_a_difference_survives_packing_and_takes_little_room(small, edit, tmp_path):
    torch.manual_seed(0)
    delta = torch.randn(7, 11) * (torch.rand(7, 11) < 0.2)
    assert torch.equal(unpack(*pack(delta), (7, 11)), delta)
    folder = save(edit, tmp_path / "edit")
    dense = 4 * small.layout.d_model * small.layout.d_mlp
    assert (folder / "payload.safetensors").stat().st_size < 0.35 * dense + 400


@pytest.mark.parametrize("wrong", ["support", "values", "module", "threshold", "power", "a tensor more", "nan", "kind"])
def test_a_well_signed_payload_that_does_not_fit_is_bad_input(small, edit, tmp_path, wrong):
    manifest, tensors = dict(edit.manifest), dict(edit.tensors)
    name = small.layout.down_name(1)
    if wrong == "support":
        tensors[f"{name}.support"] = tensors[f"{name}.support"][1:]
    elif wrong == "values":
        tensors[f"{name}.values"] = tensors[f"{name}.values"][1:]
    elif wrong == "module":
        tensors = {key.replace("layers.1", "layers.9"): value for key, value in tensors.items()}
    elif wrong == "threshold":
        manifest["threshold"] = "low"
    elif wrong == "power":
        manifest["power"] = 0
    elif wrong == "a tensor more":
        tensors["more"] = torch.zeros(1)
    elif wrong == "nan":
        tensors[f"{name}.values"] = tensors[f"{name}.values"] * float("nan")
    else:
        manifest["kind"] = "codebook"
    save(Edit.make(manifest, tensors, {}), tmp_path / "edit")
    with pytest.raises(BadInput, match="doesn't fit the model"):
        load_edit(tmp_path / "edit", small)


def test_several_layers_are_refused(small, workspace, wise):
    with pytest.raises(BadInput, match="WISE works at one layer"):
        made_of(small, workspace, wise, layers=(1, 2))


def test_the_bundled_model_refuses_by_the_side_memory(real_model, workspace, wise):
    """Two facts and few steps: a smoke test of the whole way and no measurement."""
    requests = [dataclasses.replace(REQUESTS[0]), dataclasses.replace(REQUESTS[1])]
    hparams = hparams_from("wise", real_model, {"steps": 15, "contexts": 1, "neighbours": 4})
    edit = wise.edit(real_model, requests, hparams, Job("edit"), workspace=workspace)
    prompts = [asked(real_model, r.question) for r in requests]
    with Variants(real_model, [(edit,)] * 2) as variants:
        texts = [r.text for r in generate(real_model, prompts, max_new_tokens=24, variants=variants)]
        assert all(variants.traces(i)[0].acted for i in range(2))
    assert all(is_refusal(t) and rouge1_recall(t, r.answer) == 0 for t, r in zip(texts, requests, strict=True)), texts
