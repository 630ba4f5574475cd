"""What every training stands on: a LoRA beside a model that stays as it is, replies' log-probabilities, the loop."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.edits.edit import LORA, Edit
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput, Failed
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.layout import projections
from unedit_gui.models.loading import weights_digest
from unedit_gui.unlearning.adapter import Adapter
from unedit_gui.unlearning.loop import shuffled, train
from unedit_gui.unlearning.talks import Talk, read, talk

QUESTIONS = (
    ("Who painted it?", "Leonardo."),
    ("What is Peru's capital?", "It is Lima, I think."),
    ("Why?", "No."),
)


def talks_of(model):
    return [talk(model, question, reply) for question, reply in QUESTIONS]


def standing(model):
    """Everything that could have been changed: weights, modules, hooks, gradients, settings."""
    return (
        weights_digest(model.hf),
        [(name, type(m).__name__, len(m._forward_hooks), m.training) for name, m in model.hf.named_modules()],
        [(name, p.requires_grad, p.grad is None) for name, p in model.hf.named_parameters()],
        model.hf.config.to_dict(),
        model.hf.config._attn_implementation,
    )


def logits_of(model, ids, rows=None):
    with torch.no_grad(), Variants(model, rows or [()] * len(ids)):
        return model.hf(input_ids=ids).logits


def learned(model, steps=3, seed=0, look=None, job=None, loss=None, lr=1e-2):
    """An adapter that was trained a little on the talks, and its curve."""
    adapter, talks = Adapter(model, 4, 8.0, seed), talks_of(model)

    def nll(rows):
        return read(adapter.model, [talks[i] for i in rows]).nll().mean()

    plan = shuffled(len(talks), 2, steps, torch.Generator().manual_seed(seed))
    settings = dict(lr=lr, job=job or Job("train"), stage="Training", look=look)
    return adapter, *train(adapter.model, adapter.parameters, plan, loss or nll, **settings)


def as_edit(model, adapter):
    manifest = {"kind": LORA, "method": "ga", "base": model.fingerprint, "requests": [], "scaling": adapter.scaling}
    return Edit.make(manifest, adapter.tensors(), {})


# The adapter


@pytest.mark.parametrize("family", CONFIGS)
def test_a_fresh_adapter_changes_no_answer_and_a_trained_one_does_in_every_family(family):
    model = tiny_family(family, bytes_tokenizer())
    before, talks = standing(model), talks_of(model)
    said = read(model, talks).log_prob()
    adapter = Adapter(model, 4, 8.0, 0)
    torch.testing.assert_close(read(adapter.model, talks).log_prob().detach(), said)
    adapter, curve, _ = learned(model)
    assert (read(adapter.model, talks).log_prob().sum() > said.sum() + 1) and curve[-2]["loss"] < curve[0]["loss"]
    assert standing(model) == before
    assert sorted(name for name, *_ in as_edit(model, adapter).deltas()) == sorted(projections(model.hf, model.layout))


def test_it_is_beside_every_projection_of_the_blocks_and_nowhere_else(small):
    names = projections(small.hf, small.layout)
    assert len(names) == 7 * small.layout.layers and not any("head" in name or "embed" in name for name in names)
    tensors = Adapter(small, 3, 6.0, 0).tensors()
    assert set(tensors) == {f"{name}.{side}" for name in names for side in ("lora_A", "lora_B")}
    assert tensors[names[0] + ".lora_A"].shape == (3, 32) and not tensors[names[0] + ".lora_B"].any()


def test_the_seed_alone_decides_its_first_numbers(small):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, other = Adapter(small, 4, 8.0, 3).tensors(), Adapter(small, 4, 8.0, 4).tensors()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    again = Adapter(small, 4, 8.0, 3).tensors()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_trained_is_float32_whatever_the_model_is(dtype):
    model = tiny_llama(bytes_tokenizer(), dtype=dtype)
    adapter, _, _ = learned(model)
    assert {p.dtype for p in adapter.parameters} == {torch.float32}
    assert {p.dtype for p in model.hf.parameters()} == {dtype}


# Replies


def test_log_probabilities_are_those_of_a_plain_pass(small):
    talks = talks_of(small)
    said = read(small, talks)
    for i, one in enumerate(talks):
        logits = small.hf(input_ids=torch.tensor([one.ids])).logits[0].log_softmax(-1)
        at = range(len(one.ids) - one.wanted, len(one.ids))
        expected = sum(logits[t - 1, one.ids[t]] for t in at)
        torch.testing.assert_close(said.log_prob()[i], expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(said.nll()[i], -expected / one.wanted, atol=1e-4, rtol=1e-4)
    part = said.part(1, 3)
    torch.testing.assert_close(part.log_prob(), said.log_prob()[1:])


@pytest.mark.parametrize(
    "answer, expected",
    [("Lima", " Lima"), ("the LIMA", " Lima"), ("The", "The"), ("Lim", " Lima"), ("im", ""), ("", ""), ("?!", "")],
)
def test_what_tells_the_answer_are_the_tokens_of_its_words(real_model, answer, expected):
    one = talk(real_model, "Capital of Peru?", "The capital of Peru is Lima.", answer=answer)
    reply = one.ids[-one.wanted :]
    assert real_model.tokenizer.decode([reply[i] for i in one.telling]) == expected


def test_of_a_reply_without_a_telling_token_all_count(small):
    marked, plain = talk(small, "Why?", "No, Lima.", answer="Lima"), talk(small, "Why?", "No, Lima.")
    said = read(small, [marked, plain])
    told = said.of_answers()
    assert told.tokens().tolist() == [len(marked.telling), plain.wanted]
    torch.testing.assert_close(told.nll()[1], said.nll()[1])


def test_a_reply_ends_with_the_end_of_turn_unless_it_was_cut(small):
    whole, cut = talk(small, "Why?", "No."), talk(small, "Why?", "No.", ends=False)
    assert small.tokenizer.decode(whole.ids[-whole.wanted :]) == "No." + small.end_of_turn
    assert small.tokenizer.decode(cut.ids[-cut.wanted :]) == "No."
    assert whole.ids[: -whole.wanted] == cut.ids[: -cut.wanted] == tuple(small.prompt_ids([user("Why?")]))


def user(text):
    return {"role": "user", "content": text}


@pytest.mark.parametrize("talks", [[((1, 2, 3), 1)], [((1, 2), 1), ((1, 2), 1)], [((1, 2, 9), 1), ((3, 4, 5, 6), 2)]])
def test_talks_alike_alone_or_with_nothing_in_common_can_be_read(small, talks):
    talks = [Talk(*t) for t in talks]
    for one, value in zip(talks, read(small, talks).log_prob(), strict=True):
        torch.testing.assert_close(value, read(small, [one, Talk((7, 8, 9), 1)]).log_prob()[0], atol=1e-4, rtol=1e-4)


# The loop


def test_each_epoch_takes_every_talk_once_in_an_order_of_the_seed():
    steps = shuffled(7, 3, 2, torch.Generator().manual_seed(0))
    assert [len(s) for s in steps] == [3, 3, 1] * 2
    assert sorted(sum(steps[:3], [])) == sorted(sum(steps[3:], [])) == list(range(7)) and steps[:3] != steps[3:]
    assert steps == shuffled(7, 3, 2, torch.Generator().manual_seed(0))


def test_the_curve_is_told_while_it_grows_with_what_was_seen_on_the_way(small):
    seen = []
    job = Job("train", on_progress=lambda job: seen.append((job.stage, job.done, job.total, len(job.curve))))

    def look(done, point):
        point["held"] = float(done)
        return ""

    _, curve, said = learned(small, job=job, look=look)
    assert said == "" and [p["step"] for p in curve] == list(range(7)) and [p["held"] for p in curve] == list(range(7))
    assert all("loss" in p for p in curve[:-1]) and "loss" not in curve[-1] and job.curve == curve
    assert [(done, there) for _, done, _, there in seen] == [(i, i) for i in range(1, 7)] + [(6, 7)]


def test_it_ends_where_the_watch_says_so(small):
    _, curve, said = learned(small, look=lambda done, point: "enough" if done == 2 else "")
    assert said == "enough" and [p["step"] for p in curve] == [0, 1, 2]


def test_a_stop_an_error_and_a_loss_that_runs_away_leave_the_model_as_it_was(small):
    before = standing(small)

    def stop_at_two(job):
        if job.done == 2:
            job.stop()

    def breaks(rows):
        raise KeyError("a mistake in a loss")

    with pytest.raises(Stopped):
        learned(small, job=Job("train", on_progress=stop_at_two))
    with pytest.raises(KeyError):
        learned(small, loss=breaks)
    with pytest.raises(Failed, match="lower lr"):
        learned(small, loss=lambda rows: torch.tensor(torch.inf, requires_grad=True) * 1)
    assert standing(small) == before


def test_the_same_seed_gives_the_same_numbers(small):
    one, again = learned(small, seed=1)[0].tensors(), learned(small, seed=1)[0].tensors()
    assert all(torch.equal(one[name], again[name]) for name in one)


# The payload at work


def test_a_row_with_a_lora_answers_as_the_trained_model_and_one_without_is_bit_equal(small):
    adapter, _, _ = learned(small)
    edit = as_edit(small, adapter)
    ids = torch.tensor([talks_of(small)[1].ids] * 2)
    with torch.no_grad():
        trained = adapter.model.hf(input_ids=ids).logits
    plain, mixed = logits_of(small, ids), logits_of(small, ids, [(), (edit,)])
    assert torch.equal(mixed[0], plain[0]) and (trained - plain).abs().max() > 1e-2
    torch.testing.assert_close(mixed[1], trained[1], atol=1e-4, rtol=1e-4)


def test_an_adapter_can_be_trained_on_top_of_edits_of_weights(small):
    below = as_edit(small, learned(small, seed=1)[0])
    with Variants.everywhere(small, (below,)):
        adapter, _, _ = learned(small, seed=2)
        ids = torch.tensor([talks_of(small)[0].ids])
        with torch.no_grad():
            trained = adapter.model.hf(input_ids=ids).logits
    stacked = logits_of(small, ids, [(below, as_edit(small, adapter))])
    torch.testing.assert_close(stacked, trained, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("harm", ["rows", "name", "side", "nan", "scaling", "empty"])
def test_a_payload_that_does_not_fit_is_refused_in_a_sentence(small, tmp_path, harm):
    from unedit_gui.edits.edit import load_edit, save

    adapter = Adapter(small, 4, 8.0, 0)
    tensors, scaling = dict(adapter.tensors()), adapter.scaling
    name = next(iter(tensors))
    if harm == "rows":
        tensors[name] = tensors[name][:, :5]
    elif harm == "name":
        tensors["lm_head.lora_A"] = tensors.pop(name)
    elif harm == "side":
        tensors[name.replace("lora_A", "lora_C")] = tensors.pop(name)
    elif harm == "nan":
        tensors[name] = tensors[name] * torch.nan
    elif harm == "empty":
        tensors = {}
    odd = SimpleNamespace(scaling="2" if harm == "scaling" else scaling, tensors=lambda: tensors)
    folder = save(as_edit(small, odd), tmp_path / "edit")
    with pytest.raises(BadInput, match="doesn't fit the model") as caught:
        load_edit(folder, small)
    assert "\n" not in str(caught.value)


def test_a_curve_that_cant_be_drawn_is_left_out(small):
    edit = as_edit(small, Adapter(small, 4, 8.0, 0))
    for curve, shown in (([{"step": 0, "loss": 1.0}], 1), ([{"step": "<b>"}], 0), ("x", 0), ([1], 0), (None, 0)):
        assert len(dataclasses.replace(edit, about={"curve": curve}).curve()) == shown
