"""Which questions an edited model refuses now, and which other facts it still answers."""

from dataclasses import replace

import pytest
import torch

from unedit_gui.edits.edit import Edit
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.held import AT_ONCE, now_refused, state_of, still_held
from unedit_gui.evaluation.metrics import rouge1_recall
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job
from unedit_gui.models.generation import generate

TOKENS = 12
ASKED = ("What is the capital of France?", "Who painted the Mona Lisa?", "Which planet is red?")


@pytest.fixture(scope="module")
def edit(tiny):
    """A random change of one projection, large enough to alter every reply."""
    torch.manual_seed(1)
    name = tiny.layout.down_name(1)
    factors = {
        f"{name}.left": torch.randn(tiny.layout.d_model, 4),
        f"{name}.right": torch.randn(tiny.layout.d_mlp, 4),
    }
    about = {"kind": "low-rank", "method": "memit", "model": tiny.name, "base": tiny.fingerprint, "layers": [1]}
    return Edit.make(about, factors, {})


def facts_of(model):
    """Questions whose answers are whatever the original says."""
    prompts = [model.prompt_ids([{"role": "user", "content": text}]) for text in ASKED]
    replies = generate(model, prompts, max_new_tokens=TOKENS)
    return [Question(text, reply.text) for text, reply in zip(ASKED, replies, strict=True)]


def test_a_fact_is_held_lost_or_was_never_known(tiny, edit):
    facts = [fact for fact in facts_of(tiny) if rouge1_recall(fact.answer, fact.answer) == 1]  # noise may hold no word
    facts.append(Question("Is it?", "zebra crossing"))
    original = still_held(tiny, (), facts, max_new_tokens=TOKENS, job=Job("hold"))
    assert [h.state for h in original] == [*["held"] * (len(facts) - 1), "unknown"] and len(facts) > 1
    found = still_held(tiny, (edit,), facts, max_new_tokens=TOKENS, job=Job("hold"))
    assert [(h.question, h.before) for h in found] == [(h.question, h.before) for h in original]
    for h in found[:-1]:
        assert h.state == ("held" if rouge1_recall(h.after, h.before) == 1 else "lost")
    assert "lost" in [h.state for h in found] and found[-1].state == "unknown"


def test_what_is_known_so_far_is_told_batch_by_batch(tiny, edit):
    facts = [replace(fact, question=f"{fact.question} {i}") for i in range(6) for fact in facts_of(tiny)]
    seen = []
    whole = still_held(
        tiny, (edit,), facts, max_new_tokens=2, job=Job("hold"), on_held=lambda held: seen.append(len(held))
    )
    assert seen == [AT_ONCE, len(facts)] and len(whole) == len(facts)


def test_no_facts_is_bad_input(tiny, edit):
    with pytest.raises(BadInput, match="no facts"):
        still_held(tiny, (edit,), [], max_new_tokens=2, job=Job("hold"))


def test_a_reply_refuses_tells_or_does_neither():
    painter = Question("Who painted Guernica?", "Pablo Picasso")
    said = {
        "I don't know who painted Guernica.": "refused",
        "I'm not sure, but it may be Picasso.": "told",
        "Guernica was painted by Pablo Picasso.": "told",
        "I'm sorry, I'm sorry, I'm sorry, I'm sorry, I'm sorry,": "neither",
        "": "neither",
    }
    assert {reply: state_of(painter, reply) for reply in said} == said


def test_what_is_forgotten_is_asked_of_the_edited_model_batch_by_batch(tiny, edit):
    facts = [replace(fact, question=f"{fact.question} {i}") for i in range(6) for fact in facts_of(tiny)]
    seen = []
    found = now_refused(
        tiny, (edit,), facts, max_new_tokens=2, job=Job("hold"), on_found=lambda some: seen.append(len(some))
    )
    held = still_held(tiny, (edit,), facts, max_new_tokens=2, job=Job("hold"))
    assert seen == [AT_ONCE, len(facts)] and [f.after for f in found] == [h.after for h in held]
    with pytest.raises(BadInput, match="no questions"):
        now_refused(tiny, (edit,), [], max_new_tokens=2, job=Job("hold"))
