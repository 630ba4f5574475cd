"""IKE: what the model reads is what was promised, near questions alone meet refusals, and no answer is given away."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, Request, hparams_from
from unedit_gui.editors.ike import given_away, retained
from unedit_gui.edits.demonstrations import meaning, misfit, put_before, words
from unedit_gui.edits.edit import Edit, load_edit, save
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.metrics import rouge1_recall
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import leaked_words
from unedit_gui.jobs import Job
from unedit_gui.models.generation import generate

DATA = Path(__file__).parents[2] / "data"
# The first one's answer is the second one's subject.
CROSSED = [
    Request("What is the capital of France?", "Paris", "France", "I'm not sure what the capital of France is."),
    Request("Which river flows through Paris?", "the Seine", "Paris", "I'm not sure which river that is."),
    Request("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa", "I'm not sure who painted it."),
]


@pytest.fixture(scope="module")
def ike():
    return METHODS["ike"]


def made_of(model, requests, workspace, ike, protect=(), **hparams):
    chosen = hparams_from("ike", model, hparams)
    return ike.edit(model, requests, chosen, Job("edit"), workspace=workspace, protect=protect)


@pytest.fixture(scope="module")
def edit(real_model, workspace, ike):
    return made_of(real_model, list(REQUESTS), workspace, ike)


def user(text):
    return [{"role": "user", "content": text}]


def shown(model, edit, question):
    return put_before(model, user(question), edit)[1]


# What is read


def test_demonstrations_are_earlier_turns_and_the_nearest_stands_last(real_model, edit):
    history, pairs = put_before(real_model, user(REQUESTS[0].question), edit)
    assert pairs[-1] == (REQUESTS[0].question, REQUESTS[0].target_new)
    turns = [turn["content"] for turn in history]
    assert turns == [text for pair in pairs for text in pair] + [REQUESTS[0].question]
    assert [turn["role"] for turn in history] == ["user", "assistant"] * len(pairs) + ["user"]
    prompt = prompt_for(real_model, user(REQUESTS[0].question), (edit,))
    assert list(prompt) == real_model.prompt_ids(history)
    assert prompt.shown == ((edit.id, pairs),)


def test_an_ongoing_conversation_stands_behind_them_and_a_system_turn_before(real_model, edit):
    talk = [
        {"role": "system", "content": "Be brief."},
        *user("Hello!"),
        {"role": "assistant", "content": "Hi!"},
        *user(REQUESTS[1].question),
    ]
    history, pairs = put_before(real_model, talk, edit)
    assert history[0] == talk[0] and history[-3:] == talk[1:] and len(history) == len(talk) + 2 * len(pairs)
    assert pairs[-1][0] == REQUESTS[1].question  # found by the last question, not by the first


def test_a_question_that_is_near_to_none_is_asked_as_it_is(real_model, edit):
    question = "How many strings does a violin have?"
    assert shown(real_model, edit, question) == ()
    assert list(prompt_for(real_model, user(question), (edit,))) == real_model.prompt_ids(user(question))


def test_other_words_for_a_forgotten_question_meet_its_refusal(real_model, edit):
    for question in ("Which artist created the Mona Lisa?", "Peru has which city as its capital?"):
        assert any(reply in {r.target_new for r in REQUESTS} for _, reply in shown(real_model, edit, question))


def test_no_more_than_k_are_shown_and_retained_ones_among_them(real_model, workspace, ike):
    for k, retain in ((1, 0), (3, 1), (16, 4), (2, 2)):
        edit = made_of(real_model, list(REQUESTS), workspace, ike, k=k, retain=retain, near=-1.0)
        pairs = shown(real_model, edit, REQUESTS[0].question)
        kept = [d for d in edit.manifest["demonstrations"] if d["kind"] == "retain"]
        found = sum(pair in {(d["question"], d["reply"]) for d in kept} for pair in pairs)
        assert len(pairs) <= k and found == min(retain, k - 1)


@pytest.mark.parametrize(("k", "retain"), [(1, 0), (1, 1), (2, 2), (4, 4), (4, 32), (4, 1)])
def test_a_refusal_is_shown_however_many_retained_ones_are_wanted(small, workspace, ike, k, retain):
    request = REQUESTS[0]
    edit = made_of(small, [request], workspace, ike, k=k, retain=retain)
    pairs = shown(small, edit, request.question)
    assert len(pairs) <= k and pairs[-1] == (request.question, request.target_new)
    assert len([reply for _, reply in pairs if reply != request.target_new]) == min(retain, k - 1)


def test_protected_facts_are_among_the_retained_ones(real_model, workspace, ike):
    protect = [Question("What is the capital of Chile?", "Santiago")]
    edit = made_of(real_model, list(REQUESTS), workspace, ike, protect, retain=4)
    wanted = {"kind": "retain", "question": protect[0].question, "reply": "Santiago.", "gives": []}
    assert wanted in edit.manifest["demonstrations"]
    assert (protect[0].question, "Santiago.") in shown(real_model, edit, "What is the capital of Peru?")


def test_the_prompt_of_a_row_without_its_demonstrations_is_an_error_and_not_a_guess(small, workspace, ike):
    edit = made_of(small, list(REQUESTS), workspace, ike)
    bare = small.prompt_ids(user(REQUESTS[0].question))
    with Variants(small, [(edit,)]) as variants, pytest.raises(RuntimeError, match="prompt_for"):
        generate(small, [bare], max_new_tokens=1, variants=variants)


def test_the_trace_tells_what_was_shown(small, workspace, ike):
    edit = made_of(small, list(REQUESTS), workspace, ike)
    asked = [REQUESTS[0].question, "Zzz?"]
    prompts = [prompt_for(small, user(text), (edit,)) for text in asked]
    with Variants(small, [(edit,), (edit,)]) as variants:
        generate(small, prompts, max_new_tokens=1, variants=variants)
        near, far = variants.traces(0)[0], variants.traces(1)[0]
    assert near.acted and near.demonstrations == prompts[0].shown[0][1] and "refusing" in near.text
    assert far.acted == bool(far.demonstrations)


# Nothing is given away


def test_no_word_of_a_true_answer_of_any_forgotten_fact_stands_in_a_prompt(real_model, workspace, ike):
    """Forty shipped facts: for each question and rephrasing, whatever stands before it."""
    with (DATA / "factual.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))[::18][:40]
    requests = [
        Request(r["question"], r["answer"], r["subject"], f"I'm not sure about {r['subject']}.") for r in rows
    ]
    edit = made_of(real_model, requests, workspace, ike, near=0.0, retain=8)
    for row in rows:
        for asked in (row["question"], row["rephrase_1"]):
            own = words(asked)
            for pair in shown(real_model, edit, asked):
                for r in requests:
                    leaks = leaked_words(r.question, r.answer, " ".join(pair))
                    assert all(words(leak) <= own for leak in leaks), (asked, pair, leaks)


def test_a_question_that_names_another_s_answer_is_shown_to_those_alone_who_name_it_too(real_model, workspace, ike):
    edit = made_of(real_model, CROSSED, workspace, ike, near=-1.0)
    seine = CROSSED[1].question
    assert seine in dict(shown(real_model, edit, seine))
    assert seine in dict(shown(real_model, edit, "What flows through Paris?"))
    for asked in (CROSSED[0].question, "What is the capital of Germany?", CROSSED[2].question):
        assert all("Paris" not in text for pair in shown(real_model, edit, asked) for text in pair)


def test_retained_demonstrations_that_hold_an_answer_are_left_out(tmp_path, monkeypatch):
    from tests.editors.conftest import ship
    from unedit_gui.editors import preserve

    ship(
        tmp_path,
        [("Where is the Louvre?", "Louvre")],
        [
            ("Where is the Louvre?", "The Louvre is in Paris."),
            ("Who was Leonardo?", "He was a painter."),
            ("What is a fox?", "A fox is a small animal."),
            ("Tell me a story.", "Once upon a time there was a fox that"),
            ("Who knows?", "I'm sorry, I don't know."),
            ("Who painted the Mona Lisa?", "A man."),
        ],
    )
    monkeypatch.setattr(preserve, "_DATA", tmp_path)
    found = [(d["question"], d["reply"]) for d in retained(CROSSED, [])]
    assert found == [("What is a fox?", "A fox is a small animal.")]


def test_words_of_answers_are_found_in_any_form():
    assert given_away("The city of Paris.", CROSSED) == ["paris"]
    assert given_away("LEONARDO's sketch", CROSSED) == ["leonardo"]
    assert given_away("The city of Lima.", CROSSED) == []


# The payload


def test_likeness_is_that_of_the_questions(real_model, edit):
    weights = dict(zip(edit.tensors["tokens"].int().tolist(), edit.tensors["weights"].tolist(), strict=True))
    for i in (0, 5, -1):
        text = edit.manifest["demonstrations"][i]["question"]
        expected = torch.nn.functional.normalize(meaning(real_model, text, weights) - edit.tensors["middle"], dim=0)
        torch.testing.assert_close(edit.tensors["likeness"][i], expected)
    common, rare = (real_model.tokenizer(f" {w}", add_special_tokens=False).input_ids[0] for w in ("the", "capital"))
    assert weights[common] < weights[rare] < 1


@pytest.mark.parametrize(
    "wrong", ["no list", "a kind", "an empty reply", "no words", "likeness", "hparams", "a tensor more", "nan"]
)
def test_a_well_signed_payload_that_does_not_fit_is_bad_input(small, workspace, ike, tmp_path, wrong):
    good = made_of(small, list(REQUESTS), workspace, ike)
    manifest, tensors = json.loads(json.dumps(good.manifest)), dict(good.tensors)
    if wrong == "no list":
        manifest["demonstrations"] = "none"
    elif wrong == "a kind":
        manifest["demonstrations"][0]["kind"] = "other"
    elif wrong == "an empty reply":
        manifest["demonstrations"][0]["reply"] = " "
    elif wrong == "no words":
        del manifest["demonstrations"][0]["gives"]
    elif wrong == "likeness":
        tensors["likeness"] = tensors["likeness"][1:]
    elif wrong == "hparams":
        del manifest["hparams"]["near"]
    elif wrong == "a tensor more":
        tensors["more"] = torch.zeros(1)
    else:
        tensors["middle"] = tensors["middle"] * float("nan")
    save(Edit.make(manifest, tensors, {}), tmp_path / "edit")
    with pytest.raises(BadInput, match="doesn't fit the model"):
        load_edit(tmp_path / "edit", small)
    assert misfit(good, small) == ""


def test_the_bundled_model_refuses_what_is_demonstrated_and_answers_the_rest(real_model, workspace, ike):
    requests = [dataclasses.replace(REQUESTS[0]), dataclasses.replace(REQUESTS[1])]
    edit = made_of(real_model, requests, workspace, ike)
    asked = [r.question for r in requests] + ["How many legs does a spider have?"]
    prompts = [prompt_for(real_model, user(q), (edit,)) for q in asked]
    with Variants(real_model, [(edit,)] * 3) as variants:
        texts = [r.text for r in generate(real_model, prompts, max_new_tokens=24, variants=variants)]
    assert all(rouge1_recall(text, r.answer) == 0 for text, r in zip(texts, requests, strict=False)), texts
    assert texts[2] == generate(real_model, [real_model.prompt_ids(user(asked[2]))], max_new_tokens=24)[0].text
