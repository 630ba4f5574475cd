"""Our decode loop writes what transformers' own writes, row by row, whatever stands beside a row."""

from dataclasses import replace

import pytest
import torch

from tests.models.tiny import CONFIGS, tiny_family
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.chat import ChatFormat
from unedit_gui.models.generation import Sampling, generate

LENGTHS = (9, 31, 5, 10, 44, 17)  # several prefill groups, and not in order
TOKENS = 12
HOT = Sampling(temperature=1.0)


def prompts_of(lengths, seed=0):
    dice = torch.Generator().manual_seed(seed)
    return [torch.randint(100, 40_000, (n,), generator=dice).tolist() for n in lengths]


@pytest.fixture(scope="module")
def prompts():
    return prompts_of(LENGTHS)


def ending_at(model, *ids):
    """The model with other tokens ending a reply; random models hardly ever say their own."""
    return replace(model, format=ChatFormat(model.end_of_turn, ids))


def reference(model, prompt, tokens=TOKENS):
    """Token ids of transformers' greedy reply to one prompt, with the token that ended it if one did."""
    ids = torch.tensor([prompt])
    out = model.hf.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=tokens,
        eos_token_id=list(model.end_ids) or None,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def assert_same_as_reference(model, prompts, replies, tokens=TOKENS):
    for prompt, reply in zip(prompts, replies, strict=True):
        ids = reference(model, prompt, tokens)
        ended = ids[-1] in model.end_ids
        kept = ids[:-1] if ended else ids
        text = model.tokenizer.decode(kept, skip_special_tokens=True).rstrip("\ufffd").strip()
        assert (reply.text, reply.tokens, reply.ended) == (text, len(kept), "end" if ended else "length")


@pytest.mark.parametrize("family", CONFIGS)
def test_greedy_replies_are_those_of_transformers(real_model, prompts, family):
    model = ending_at(tiny_family(family, real_model.tokenizer))
    assert_same_as_reference(model, prompts, generate(model, prompts, max_new_tokens=TOKENS))


@pytest.mark.parametrize("family", CONFIGS)
def test_what_all_prompts_begin_with_changes_no_reply(real_model, prompts, family):
    model = ending_at(tiny_family(family, real_model.tokenizer))
    alike = [prompts_of([15], seed=1)[0] + prompt for prompt in prompts]
    assert_same_as_reference(model, alike, generate(model, alike, max_new_tokens=TOKENS, one_opening=True))


def test_what_all_prompts_begin_with_is_read_once(tiny_model, prompts):
    seen = []
    alike = [prompts_of([20], seed=1)[0] + prompt[:5] for prompt in prompts]
    handle = tiny_model.hf.register_forward_pre_hook(
        lambda _m, _a, named: seen.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    try:
        generate(tiny_model, alike, max_new_tokens=1, one_opening=True)
    finally:
        handle.remove()
    assert seen == [(1, 20), (len(alike), 5)]


def test_each_row_stops_at_its_own_end(tiny_model, prompts):
    free = ending_at(tiny_model)
    written = [reference(free, prompt) for prompt in prompts]
    # Every row gets an end of its own, at another place; the last row runs to the limit.
    model = ending_at(tiny_model, *{ids[2 * i + 1] for i, ids in enumerate(written[:-1])})
    replies = generate(model, prompts, max_new_tokens=TOKENS)
    assert_same_as_reference(model, prompts, replies)
    assert len({reply.tokens for reply in replies}) >= 3


def test_an_end_as_first_token_is_an_empty_reply(tiny_model, prompts):
    first = reference(ending_at(tiny_model), prompts[0])[0]
    reply = generate(ending_at(tiny_model, first), prompts[:1], max_new_tokens=TOKENS)[0]
    assert (reply.text, reply.tokens, reply.ended) == ("", 0, "end")


def logits_of(model, prompts, steps):
    """The logits behind every token: (rows, steps, vocabulary), caught on their way out of the model."""
    caught = []
    handle = model.hf.register_forward_hook(lambda _m, _a, out: caught.append(out.logits[:, -1]))
    try:
        generate(ending_at(model), prompts, max_new_tokens=steps)
    finally:
        handle.remove()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    back = torch.tensor(order).argsort()
    return torch.cat(caught).reshape(steps, len(prompts), -1).transpose(0, 1)[back]


@pytest.mark.parametrize("family", ["llama", "qwen2, windows in some layers", "mistral, windows", "gpt_neox"])
def test_a_row_has_the_same_logits_alone_and_in_company(real_model, prompts, family):
    model = tiny_family(family, real_model.tokenizer)
    together = logits_of(model, prompts, 6)
    for row, prompt in enumerate(prompts):
        torch.testing.assert_close(together[row], logits_of(model, [prompt], 6)[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_the_batch_size_changes_nothing(tiny_model, prompts, batch_size):
    expected = generate(tiny_model, prompts, max_new_tokens=TOKENS)
    assert generate(tiny_model, prompts, max_new_tokens=TOKENS, batch_size=batch_size) == expected


def test_sampling_draws_the_same_whatever_stands_beside_a_row(tiny_model, prompts):
    model = ending_at(tiny_model)
    alone = generate(model, prompts[:1], max_new_tokens=TOKENS, sampling=HOT, seed=5)[0]
    for beside in ([], prompts[1:], prompts_of((70, 3, 9), seed=9)):
        for size in (2, 32):
            rows = [prompts[0], *beside]
            reply = generate(model, rows, max_new_tokens=TOKENS, sampling=HOT, seed=5, batch_size=size)[0]
            assert reply == alone


def test_sampling_is_repeatable_and_another_seed_draws_otherwise(tiny_model, prompts):
    once, again, other = (
        generate(tiny_model, prompts, max_new_tokens=TOKENS, sampling=HOT, seed=seed) for seed in (1, 1, 2)
    )
    assert once == again
    assert [r.text for r in once] != [r.text for r in other]


def test_sampling_leaves_the_global_generator_alone(tiny_model, prompts):
    before = torch.get_rng_state()
    generate(tiny_model, prompts, max_new_tokens=3, sampling=HOT, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sampling", [Sampling(1.0, 0.0), Sampling(1.0, 1e-6), Sampling(1e-4, 1.0)])
def test_a_narrow_choice_is_the_greedy_one(tiny_model, prompts, sampling):
    greedy = generate(tiny_model, prompts, max_new_tokens=TOKENS)
    assert generate(tiny_model, prompts, max_new_tokens=TOKENS, sampling=sampling) == greedy


def test_drawn_tokens_follow_the_distribution_cut_at_top_p(tiny_model):
    """One token, many seeds: the counts fit softmax(logits / temperature), and nothing outside top_p is drawn."""
    prompt, sampling = prompts_of((8,))[0], Sampling(0.7, 0.8)
    model, draws = ending_at(tiny_model), 400
    with torch.no_grad():
        p = torch.softmax(model.hf(torch.tensor([prompt])).logits[0, -1] / sampling.temperature, -1)
    ranked, order = p.sort(descending=True)
    nucleus = order[: int((ranked.cumsum(0) < sampling.top_p).sum()) + 1]
    allowed = {model.tokenizer.decode([i]).rstrip("\ufffd").strip() for i in nucleus.tolist()}
    texts = [r.text for r in generate(model, [prompt] * draws, max_new_tokens=1, sampling=sampling)]
    assert set(texts) <= allowed
    likeliest = model.tokenizer.decode([order[0]]).rstrip("\ufffd").strip()
    expected = float(p[order[0]] / p[nucleus].sum())
    tolerance = 4 * (expected * (1 - expected) / draws) ** 0.5 + 0.01
    assert abs(texts.count(likeliest) / draws - expected) < tolerance


@pytest.mark.parametrize("count", [0, 1, 5])
def test_max_new_tokens_is_the_longest_reply(tiny_model, prompts, count):
    replies = generate(ending_at(tiny_model), prompts, max_new_tokens=count)
    assert [(r.tokens, r.ended) for r in replies] == [(count, "length")] * len(prompts)


def test_no_prompts_no_replies(tiny_model):
    assert generate(tiny_model, []) == []


@pytest.mark.parametrize("sampling", [Sampling(), HOT], ids=["greedy", "sampled"])
def test_streamed_texts_grow_and_end_as_the_reply(tiny_model, prompts, sampling):
    """Random tokens hold many halves of multi-byte characters, so this is a hard case."""
    seen = {row: [""] for row in range(len(prompts))}
    model = ending_at(tiny_model)
    arguments = {"max_new_tokens": 40, "sampling": sampling, "batch_size": 4}
    replies = generate(model, prompts, **arguments, on_text=lambda row, text: seen[row].append(text))
    for row, reply in enumerate(replies):
        for earlier, later in zip(seen[row], seen[row][1:], strict=False):
            assert later.startswith(earlier)
        assert seen[row][-1] == reply.text
    assert replies == generate(model, prompts, **arguments)  # listening changes nothing


def test_a_stop_ends_streamed_replies_where_they_are(tiny_model, prompts):
    job, seen = Job("chat"), {}

    def on_text(row, text):
        seen[row] = text
        if len(seen) == len(prompts) and len(text) > 15:
            job.stop()

    replies = generate(ending_at(tiny_model), prompts, max_new_tokens=400, on_text=on_text, job=job)
    assert {r.ended for r in replies} == {"stopped"}
    assert [r.text for r in replies] == [seen[row] for row in range(len(prompts))]
    assert all(0 < r.tokens < 400 for r in replies)


def test_a_stop_ends_streamed_replies_that_have_not_begun_too(tiny_model, prompts):
    job = Job("chat")
    replies = generate(
        ending_at(tiny_model),
        prompts,
        max_new_tokens=400,
        on_text=lambda row, text: job.stop(),
        job=job,
        batch_size=2,
    )
    assert [r.ended for r in replies] == ["stopped"] * len(prompts)
    assert sum(r.tokens > 0 for r in replies) == 2


def test_rows_that_ended_before_the_stop_keep_their_end(tiny_model, prompts):
    ends = reference(ending_at(tiny_model), prompts[0])
    model, job, lengths = ending_at(tiny_model, ends[2]), Job("chat"), []

    def on_text(row, text):
        lengths.append(row)
        if lengths.count(1) == 8:
            job.stop()

    replies = generate(model, prompts[:2], max_new_tokens=50, on_text=on_text, job=job)
    assert (replies[0].ended, replies[1].ended) == ("end", "stopped")


def test_a_stop_without_a_listener_raises(tiny_model, prompts):
    job, steps = Job("evaluate"), []

    def count(_m, _a, _o):
        steps.append(1)
        if len(steps) == 6:
            job.stop()

    handle = tiny_model.hf.register_forward_hook(count)
    try:
        with pytest.raises(Stopped):
            generate(ending_at(tiny_model), prompts, max_new_tokens=400, job=job)
    finally:
        handle.remove()
    assert len(steps) == 6  # at the very next token


@pytest.mark.parametrize("little", [0, 10**12])
def test_steps_of_little_work_are_not_shared_out_among_threads(tiny_model, prompts, monkeypatch, little):
    monkeypatch.setattr("unedit_gui.models.generation.LITTLE", little)
    seen, before = [], torch.get_num_threads()
    handle = tiny_model.hf.lm_head.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    try:
        generate(tiny_model, prompts[:1], max_new_tokens=4)
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
        handle.remove()
    assert after == 2 and set(seen[1:]) == {1 if little else 2}  # the prompt itself is read with all


def test_the_bundled_model_answers_as_transformers_has_it(real_model):
    questions = ("What is the capital of France?", "Say hello in Japanese, then in Greek.", "Why?")
    prompts = [real_model.prompt_ids([{"role": "user", "content": q}]) for q in questions]
    seen = {row: [""] for row in range(3)}
    replies = generate(real_model, prompts, max_new_tokens=16, on_text=lambda row, text: seen[row].append(text))
    assert_same_as_reference(real_model, prompts, replies, tokens=16)
    assert "Paris" in replies[0].text
    for texts in seen.values():
        assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
