"""GA, GD, KL and DPO keep to what every method keeps to (tests/editors/test_contract.py, whose tests run here for them
too), and besides: whose loss is which, where the retain set comes from, and when training ends by itself."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from tests.editors import contract, test_contract, test_contract_input
from tests.editors.conftest import REQUESTS
from tests.editors.contract import make
from tests.editors.test_contract import (  # noqa: F401 - collected here too, for the methods below
    logits_of,
    test_a_job_stopped_anywhere_leaves_nothing,
    test_a_model_in_half_precision_can_be_edited,
    test_a_row_without_the_edit_is_bit_equal_to_the_same_batch_without_edits,
    test_an_edit_saves_nothing_by_itself,
    test_an_edit_says_what_it_is,
    test_every_byte_of_the_base_is_as_it_was,
    test_it_comes_back_from_disk_as_it_was,
    test_progress_tells_stages_with_counts,
    test_replies_of_the_original_are_as_they_were,
    test_requests_and_hparams_are_not_changed_by_it,
    test_the_global_generator_plays_no_part_and_is_left_alone,
    test_the_same_edit_has_the_same_bytes,
)
from tests.editors.test_contract_input import (  # noqa: F401 - collected here too, for the methods below
    test_bad_requests_are_told_before_anything_is_computed,
    test_defaults_come_back_from_their_own_texts,
    test_every_hyperparameter_says_what_it_is,
    test_every_method_explains_itself,
    test_odd_subjects_are_edited_or_refused_in_a_sentence,
    test_what_is_protected_cant_be_forgotten,
)
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.editors.preserve import statistics_questions
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job
from unedit_gui.unlearning import METHODS, base, dpo, grad_ascent, grad_diff, kl_min
from unedit_gui.unlearning.base import Batch, gather, unrelated, wording
from unedit_gui.unlearning.talks import read, talk
from unedit_gui.workbench import Workbench

NAMES = ("ga", "gd", "kl", "dpo")
SHIPPED = {question for question, _ in statistics_questions()}
MARS = Question("Which planet is red?", "Mars")

calm = test_contract.calm


@pytest.fixture(params=["ga", "dpo"])  # the one that reads least, and the one that reads most
def method(request):
    return METHODS[request.param]


def short(name, model, **changes):
    return contract.hparams_for(METHODS[name], model, None, **changes)


def test_all_four_are_listed_behind_the_editors_and_explain_themselves(small):
    assert tuple(METHODS)[-4:] == NAMES
    for name in NAMES:
        test_contract_input.test_every_method_explains_itself(METHODS[name])
        test_contract_input.test_every_hyperparameter_says_what_it_is(small, METHODS[name])


# The losses, against their equations


def test_each_loss_is_its_papers(small):
    """The model that learns and the original are two different ones here, so that every term counts."""
    other = tiny_llama(bytes_tokenizer(), seed=1)
    talks = {
        "forget": [talk(small, r.question, r.answer) for r in REQUESTS],
        "refusal": [talk(small, r.question, r.target_new) for r in REQUESTS],
        "retain": [talk(small, "Which planet is red?", "Mars."), talk(small, "Why?", "Because it is so.")],
    }
    now, before = ({name: read(m, rows) for name, rows in talks.items()} for m in (other, small))
    batch = Batch(other, small, talks, {})

    def ce(said):
        each = F.cross_entropy(said.logits, said.labels, reduction="none")
        return torch.stack([each[said.owner == i].mean() for i in range(said.rows)]).mean()

    forget = ce(now["forget"])
    torch.testing.assert_close(grad_ascent.loss(batch), -forget)
    tokens = now["retain"].tokens()
    summed = (now["retain"].nll() * tokens).mean()
    torch.testing.assert_close(grad_diff.loss(batch, enough=1e6, weight=0.5), -forget + 0.5 * summed)
    p, q = before["retain"].logits.softmax(-1), now["retain"].logits.softmax(-1)
    torch.testing.assert_close(kl_min.loss(batch), -forget + (p * (p / q).log()).sum(-1).mean(), atol=1e-4, rtol=1e-4)
    idk = now["refusal"].log_prob() - before["refusal"].log_prob()
    y = now["forget"].log_prob() - before["forget"].log_prob()
    wanted = -torch.sigmoid(0.1 * (idk - y)).log().mean()
    torch.testing.assert_close(dpo.loss(batch, beta=0.1), wanted, atol=1e-4, rtol=1e-4)
    apart = (p * (p / q).log()).sum() / now["retain"].rows  # all tokens of a reply count, the first as much as the rest
    both = wanted + 3 * ce(now["refusal"]) + 2 * apart
    torch.testing.assert_close(dpo.loss(batch, beta=0.1, anchor=3.0, weight=2.0), both, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_a_few_facts_at_a_time_is_the_step_of_all(small, monkeypatch, name):
    """The same dice, the same facts in a step, the same losses."""

    def losses():
        curve = make(METHODS[name], small, None, hparams=short(name, small)).curve()
        return [point["loss"] for point in curve if "loss" in point]

    whole = losses()
    monkeypatch.setattr(base, "AT_ONCE", 1)
    assert losses() == pytest.approx(whole, rel=5e-3) and len(whole) > 1


def test_dpo_begins_where_answer_and_refusal_are_as_the_original_has_them(small):
    edit = make(METHODS["dpo"], small, None, hparams=short("dpo", small, anchor=0.0, weight=0.0))
    assert edit.curve()[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)


def test_an_answer_that_is_unlikely_enough_is_pushed_no_further_by_gd(small):
    rows = {name: [talk(small, "Why?", "No.")] for name in ("forget", "retain")}
    retain = -read(small, rows["retain"]).log_prob()
    assert grad_diff.loss(Batch(small, small, rows, {}), enough=0.5, weight=1.0) == -0.5 + retain


def test_gd_pushes_down_only_what_tells_the_answer(small):
    marked = talk(small, "Capital of Peru?", "The capital of Peru is Lima.", answer="Lima")
    rows = {"forget": [marked], "retain": [talk(small, "Why?", "No.")]}
    said = read(small, [marked])
    each = F.cross_entropy(said.logits, said.labels, reduction="none")
    told = [i for i, label in enumerate(said.labels) if i in marked.telling]
    assert "Lima" in small.tokenizer.decode(said.labels[told]) and len(told) < said.labels.numel()
    batch = Batch(small, small, rows, {})
    torch.testing.assert_close(grad_diff.loss(batch, enough=1e6, weight=0.0), -each[told].mean())


# What they do to the model


@pytest.mark.parametrize("name", NAMES)
def test_answers_become_unlikely_and_with_dpo_refusals_likely(small, name):
    made = make(
        METHODS[name],
        small,
        None,
        hparams=short(name, small, epochs=12, lr=3e-3, limit=100, enough=99, anchor=0.0, weight=0.0),
    )
    answers = [talk(small, r.question, r.answer) for r in REQUESTS]
    refusals = [talk(small, r.question, r.target_new) for r in REQUESTS]
    with torch.no_grad():
        before = read(small, answers).nll().mean(), read(small, refusals).nll().mean()
        with Variants.everywhere(small, (made,)):
            after = read(small, answers).nll().mean(), read(small, refusals).nll().mean()
    # The random model's own reply is nonsense that doesn't hold the answer, so the answer as given was trained on.
    assert after[0] > before[0] and (name != "dpo" or after[1] < before[1])


# The wordings


def test_a_question_is_met_in_its_own_wording_half_of_the_time_and_in_each_other_as_often():
    dice = torch.Generator().manual_seed(0)
    met = torch.bincount(torch.tensor([wording(5, dice) for _ in range(4000)]), minlength=5) / 4000
    assert met.tolist() == pytest.approx([0.5, 0.125, 0.125, 0.125, 0.125], abs=0.03)
    assert {wording(1, dice) for _ in range(9)} == {0}


def test_every_set_has_its_questions_in_several_wordings_with_one_reply(small):
    request, dice = REQUESTS[0], torch.Generator().manual_seed(0)
    talks, held, kept = gather(small, [request], [], [], 3, 4, dice, Job("edit"))
    for part, count in (("forget", 1), ("refusal", 1), ("retain", 3)):
        assert len(talks[part]) == count
        for said in talks[part]:
            assert len(said) == 4 and len({t.ids[-t.wanted :] for t in said}) == 1 and len({t.ids for t in said}) == 4
    texts = [small.tokenizer.decode(list(t.ids)) for t in talks["refusal"][0]]
    assert request.question in texts[0] and all(request.subject in text for text in texts)
    assert all(len(t.ids) > t.wanted for t in held)


# The retain set


@pytest.mark.parametrize("name", NAMES)
def test_a_retain_set_is_used_where_the_method_says_so_and_nowhere_else(small, name):
    made = make(METHODS[name], small, None, protect=[MARS], hparams=short(name, small, neighbours=0))
    asks_for_it = "retain" in {f.name for f in dataclasses.fields(METHODS[name].Hparams)}
    kept = made.manifest["retain"]
    assert bool(kept) == asks_for_it == METHODS[name].retain.startswith("Trains on")
    if asks_for_it:
        assert kept[0] == MARS.question and len(kept) == 4 and set(kept[1:]) <= SHIPPED


def test_more_protected_facts_than_the_retain_set_holds_are_all_in_it(small):
    many = [Question(f"What is number {i}?", str(i)) for i in range(6)]
    made = make(METHODS["gd"], small, None, protect=many, hparams=short("gd", small, neighbours=0))
    assert made.manifest["retain"] == [q.question for q in many]


def test_near_neighbours_of_each_fact_come_behind_the_protected_ones(small):
    made = make(METHODS["gd"], small, None, protect=[MARS], hparams=short("gd", small, neighbours=2))
    kept, near = made.manifest["retain"], made.manifest["neighbours"]
    assert kept[0] == MARS.question and kept[1:7] == near and len(near) == 6
    assert near[0].startswith("Who painted ") and "Mona Lisa" not in near[0]


def test_no_shipped_question_that_names_what_is_to_be_forgotten_is_among_the_others():
    subject = next(s for _, s in statistics_questions() if s)
    asked = [dataclasses.replace(REQUESTS[0], question=f"What about {subject}?", subject=subject)]
    found = unrelated(asked, torch.Generator().manual_seed(0))
    assert 0 < len(found) < len(SHIPPED) and not any(f" {subject} " in f" {q.strip('?')} " for q in found)


def test_what_was_trained_to_stay_is_flagged_where_it_is_scored(small, tmp_path):
    made = make(METHODS["gd"], small, None, hparams=short("gd", small))
    bench = Workbench(tmp_path)
    bench.model = small
    kept = Question(made.manifest["retain"][0], "an answer")
    rows = bench.evaluate(made, [Question(REQUESTS[0].question, "x")], [MARS, kept]).rows
    assert [row.protected for row in rows] == [False, False, True]


# The early stop, and the warning


def test_training_ends_when_the_model_breaks_and_the_edit_says_so(small):
    made = make(METHODS["ga"], small, None, hparams=short("ga", small, epochs=40, lr=0.05, limit=0.5))
    held = made.manifest["held"]
    assert held["stopped"] < 40 and held["after"] > held["before"] + held["limit"]
    assert made.curve()[-1]["step"] == held["stopped"] and made.curve()[-1]["held"] == held["after"]
    assert "The model is breaking" in made.caution() and "\n" not in made.caution()


def test_an_edit_that_broke_nothing_warns_of_nothing(small):
    made = make(METHODS["ga"], small, None, hparams=short("ga", small, epochs=1, lr=1e-6))
    assert made.manifest["held"]["stopped"] is None and made.caution() == ""


@pytest.mark.parametrize("held", [None, {}, "x", {"before": "1", "after": 2, "limit": 1}, {"before": 1}])
def test_a_manifest_without_figures_warns_of_nothing(small, held):
    made = make(METHODS["ga"], small, None, hparams=short("ga", small, epochs=1))
    assert dataclasses.replace(made, manifest={**made.manifest, "held": held}).caution() == ""


# Beside other kinds


def test_it_stacks_with_edits_of_weights_and_refuses_others(small, workspace):
    below = make(METHODS["memit"], small, workspace, [contract.BELOW])
    made = make(METHODS["gd"], small, None, hparams=short("gd", small), on=(below,))
    above = make(METHODS["rome"], small, workspace, [contract.BELOW], on=(below, made))
    assert made.manifest["on"] == [below.id] and above.manifest["on"] == [below.id, made.id]
    grace = make(METHODS["grace"], small, workspace, [contract.BELOW])
    with pytest.raises(BadInput, match="acts reply by reply"):
        make(METHODS["gd"], small, None, hparams=short("gd", small), on=(grace,))


def test_a_lora_a_grace_and_the_original_answer_in_one_batch_as_each_does_alone(calm, workspace):
    lora = make(METHODS["dpo"], calm, None, hparams=short("dpo", calm))
    grace = make(METHODS["grace"], calm, workspace)
    rows = [(), (lora,), (grace,), (grace, lora)]
    prompts = [contract.prompts_of(calm, [REQUESTS[0].question], row)[0] for row in rows]
    together = logits_of(calm, prompts, rows)
    for i, row in enumerate(rows):
        torch.testing.assert_close(together[i], logits_of(calm, [prompts[i]], [row])[0], atol=1e-4, rtol=0)
