"""The fast value search gives the numbers of the formula written plainly, and where an edit takes place."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tests.editors.conftest import REQUESTS, terms
from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.editors import METHODS, Request, hparams_from
from unedit_gui.editors.arithmetic import side_by_side
from unedit_gui.editors.locate import FRAMES, histories, keys_and_outputs, place, places
from unedit_gui.editors.values import ECHO, ESSENCE, Objective, _Batch, mentions, solve
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import UneditError
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.layout import blocks_of, down_of
from unedit_gui.models.loading import weights_digest

LAYER, CONTEXTS = 1, 3
TARGETS, SUBJECTS = [r.target_new for r in REQUESTS], [r.subject for r in REQUESTS]
FAMILIES = [family for family in CONFIGS if family != "gpt2"]
OBJECTIVE = Objective(steps=6, lr=0.1, weight_decay=0.5, clamp=4.0, kl_factor=0.5, hard=math.inf)


@pytest.fixture(scope="module")
def spots(small):
    return places(small, REQUESTS, CONTEXTS)


@pytest.fixture(scope="module")
def v0(small, spots):
    return keys_and_outputs(small, [row[0] for row in spots], [LAYER])[1][LAYER]


# The formula, plainly: the whole model over the whole chat, all logits, one sequence at a time.


def whole_chat(model, history, subject, target=""):
    """Token ids of the rendered conversation with the target behind it, edit position, number of target tokens."""
    text, said = model.prompt(history), history[-1]["content"]
    end_of_subject = text.rindex(said) + said.rindex(subject) + len(subject)
    position = len(model.tokenizer(text[:end_of_subject]).input_ids) - 1
    prompt = model.tokenizer(text).input_ids
    ids = model.tokenizer(text + target + model.end_of_turn).input_ids if target else prompt
    assert ids[: len(prompt)] == prompt
    return torch.tensor([ids]), position, len(ids) - len(prompt)


def logits_with(model, ids, position, delta, layer=LAYER, echoes=()):
    """Logits (tokens, vocabulary) of the whole model when delta is added to the block's output at one position.

    At those of `echoes` the greater part of it is added too.
    """

    def add(_m, _a, output):
        h = output[0] if isinstance(output, tuple) else output
        at = torch.zeros(h.shape[1], 1)
        at[position], at[list(echoes)] = 1.0, ECHO
        moved = h + at * delta
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    handle = blocks_of(model.hf, model.layout)[layer].register_forward_hook(add)
    try:
        return model.hf(ids).logits[0]
    finally:
        handle.remove()


def echoes_of(model, ids, count, request):
    """Where the target names the subject: the token at which the text decoded so far first ends with it."""
    said = [model.tokenizer.decode(ids[0, -count : len(ids[0]) - count + n + 1]) for n in range(count)]
    named = [n for n, text in enumerate(said) if text.endswith(request.subject)]
    return [len(ids[0]) - count + n for n in named]


def plain_terms(model, request, delta, contexts=CONTEXTS, layer=LAYER):
    """(NLL, KL) of one request, differentiable in delta (d_model,)."""
    nll = []
    for history in histories(request.question, contexts):
        ids, position, count = whole_chat(model, history, request.subject, request.target_new)
        echoes = echoes_of(model, ids, count, request)
        log_p = logits_with(model, ids, position, delta, layer, echoes).log_softmax(-1)
        wanted = ids[0, -count:]
        nll.append(-log_p[-count - 1 : -1].gather(1, wanted[:, None]).mean())
    essence = [{"role": "user", "content": ESSENCE.format(subject=request.subject)}]
    ids, position, _ = whole_chat(model, essence, request.subject)
    with torch.no_grad():
        log_p = logits_with(model, ids, position, torch.zeros_like(delta), layer)[-1].log_softmax(-1)
    log_q = logits_with(model, ids, position, delta, layer)[-1].log_softmax(-1)
    return torch.stack(nll).mean(), (log_p.exp() * (log_p - log_q)).sum()


def plain_objective(model, request, delta, v0, objective, contexts=CONTEXTS):
    nll, kl = plain_terms(model, request, delta, contexts)
    return nll + objective.kl_factor * kl + objective.weight_decay * (delta.norm() / v0.norm()) ** 2, nll


def plain_search(model, request, v0, objective, contexts=CONTEXTS):
    """The search for one request on the plain objective; (delta, last NLL, steps).

    Adam with one second moment per vector (betas 0.8 and 0.95), steps in lengths of v0, lr along a half cosine.
    """
    delta, mean, square = torch.zeros(len(v0)), torch.zeros(len(v0)), 0.0
    for step in range(objective.steps):
        at = delta.clone().requires_grad_(True)
        loss, nll = plain_objective(model, request, at, v0, objective, contexts)
        if nll < objective.stop_loss or step == objective.steps - 1:
            return delta, nll.item(), step
        (grad,) = torch.autograd.grad(loss, at)
        mean, square = 0.8 * mean + 0.2 * grad, 0.95 * square + 0.05 * grad.norm() ** 2
        direction = mean / (1 - 0.8 ** (step + 1)) / (square / (1 - 0.95 ** (step + 1))) ** 0.5
        lr = objective.lr * (1 + math.cos(math.pi * step / objective.steps)) / 2
        delta = delta - lr * v0.norm() * direction
        if delta.norm() > objective.clamp * v0.norm():
            delta *= objective.clamp * v0.norm() / delta.norm()


def random_deltas(model, count, size=1.0):
    torch.manual_seed(4)
    return size * torch.randn(count, model.layout.d_model)


# terms


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [0, 2])
def test_terms_and_their_gradients_are_the_plain_ones(family, layer):
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    spots = places(model, REQUESTS, CONTEXTS)
    batch = _Batch(model, spots, TARGETS, SUBJECTS, layer)
    delta = random_deltas(model, 3).requires_grad_(True)
    nll, kl = terms(batch, delta)
    for i, request in enumerate(REQUESTS):
        own = delta[i].detach().clone().requires_grad_(True)
        plain_nll, plain_kl = plain_terms(model, request, own, layer=layer)
        torch.testing.assert_close(nll[i], plain_nll, rtol=1e-4, atol=0)
        torch.testing.assert_close(kl[i], plain_kl, rtol=1e-4, atol=1e-6)
        (expected,) = torch.autograd.grad(plain_nll + 3 * plain_kl, own)
        (found,) = torch.autograd.grad(nll[i] + 3 * kl[i], delta, retain_graph=True)
        assert expected.norm() > 1e-4  # it does reach the target
        assert (found[i] - expected).norm() < 1e-4 * expected.norm() + 1e-7
        assert found.norm() == found[i].norm()  # a request's loss doesn't depend on the others' deltas


def test_terms_on_the_bundled_tokenizer_too(tiny_model):
    """Its template opens with a system prompt, and its tokens are words and not bytes."""
    spots = places(tiny_model, REQUESTS, len(FRAMES))
    nll, kl = terms(_Batch(tiny_model, spots, TARGETS, SUBJECTS, LAYER), random_deltas(tiny_model, 3))
    for i, request in enumerate(REQUESTS):
        own = random_deltas(tiny_model, 3)[i]
        plain_nll, plain_kl = plain_terms(tiny_model, request, own, contexts=len(FRAMES))
        torch.testing.assert_close(nll[i], plain_nll, rtol=1e-4, atol=0)
        torch.testing.assert_close(kl[i], plain_kl, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_step_measures_are_those_terms_and_their_gradient(small, spots, threads):
    usual = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with side_by_side(small) as run:
            batch = _Batch(small, spots, TARGETS, SUBJECTS, LAYER, run)
            assert len(batch.groups) > 1
            delta = random_deltas(small, 3).requires_grad_(True)
            nll, kl = terms(batch, delta)
            (expected,) = torch.autograd.grad((nll + 3 * kl).sum(), delta)
            found, grad = batch.measure(delta.detach(), 3, with_gradient=True)
            only, nothing = batch.measure(delta.detach(), 3, with_gradient=False)
    finally:
        torch.set_num_threads(usual)
    torch.testing.assert_close(found, nll.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(only, found) and nothing is None


def test_without_a_delta_there_is_no_divergence(small, spots):
    nll, kl = terms(_Batch(small, spots, TARGETS, SUBJECTS, LAYER), torch.zeros(3, small.layout.d_model))
    assert kl.abs().max() < 1e-5 and (nll > 1).all()


@pytest.mark.parametrize("going", [[True, False, True], [False, True, True], [False, True, False]])
def test_terms_of_those_that_stay_are_unchanged_when_others_stop(small, spots, going):
    batch = _Batch(small, spots, TARGETS, SUBJECTS, LAYER)
    delta = random_deltas(small, 3)
    nll, kl = terms(batch, delta)
    mask = torch.tensor(going)
    batch.keep(mask)
    kept_nll, kept_kl = terms(batch, delta[mask])
    torch.testing.assert_close(kept_nll, nll[mask], rtol=1e-5, atol=0)
    torch.testing.assert_close(kept_kl, kl[mask], rtol=1e-4, atol=1e-6)


def test_stopping_one_after_the_other(small, spots):
    batch = _Batch(small, spots, TARGETS, SUBJECTS, LAYER)
    delta = random_deltas(small, 3)
    nll, _ = terms(batch, delta)
    batch.keep(torch.tensor([True, False, True]))
    batch.keep(torch.tensor([False, True]))
    torch.testing.assert_close(terms(batch, delta[2:])[0], nll[2:], rtol=1e-5, atol=0)


def test_the_edit_that_a_further_one_stands_on_is_seen(small, spots):
    """What hooks add to the layers counts as the model."""
    torch.manual_seed(1)
    change = 0.3 * torch.randn(small.layout.d_model, small.layout.d_mlp)
    handles = [
        down_of(small.hf, small.layout, layer).register_forward_hook(lambda _m, args, out: out + args[0] @ change.T)
        for layer in (0, 2)
    ]
    try:
        nll, kl = terms(_Batch(small, spots, TARGETS, SUBJECTS, LAYER), random_deltas(small, 3))
        plain_nll, plain_kl = plain_terms(small, REQUESTS[0], random_deltas(small, 3)[0])
    finally:
        for handle in handles:
            handle.remove()
    torch.testing.assert_close(nll[0], plain_nll, rtol=1e-4, atol=0)
    torch.testing.assert_close(kl[0], plain_kl, rtol=1e-4, atol=1e-6)
    without, _ = plain_terms(small, REQUESTS[0], random_deltas(small, 3)[0])
    assert (without - plain_nll).abs() > 1e-2


# solve


def solve_all(model, spots, v0, objective=OBJECTIVE, **options):
    return solve(model, spots, TARGETS, SUBJECTS, LAYER, objective, v0, **options)


def test_the_search_is_that_of_the_plain_objective(small, spots, v0):
    solved = solve_all(small, spots, v0)
    for i, request in enumerate(REQUESTS):
        delta, loss, steps = plain_search(small, request, v0[:, i].float(), OBJECTIVE)
        assert (solved.delta[:, i] - delta).norm() < 1e-3 * delta.norm()
        assert solved.loss[i].item() == pytest.approx(loss, rel=1e-3)
        assert solved.steps[i] == steps


def test_requests_that_are_not_reached_are_searched_for_once_more_with_less_decay(small, spots, v0):
    first = solve_all(small, spots, v0)
    bound = sorted(first.loss.tolist())[1] - 1e-4  # one is reached, two are not
    again = solve_all(small, spots, v0, replace(OBJECTIVE, hard=bound))
    for i in range(len(REQUESTS)):
        if first.loss[i] < bound:
            assert torch.equal(again.delta[:, i], first.delta[:, i]) and again.steps[i] == first.steps[i]
        else:
            assert again.loss[i] < first.loss[i] and again.steps[i] > first.steps[i]
            nll, _ = plain_terms(small, REQUESTS[i], again.delta[:, i])
            assert again.loss[i].item() == pytest.approx(nll.item(), rel=1e-4)


@pytest.mark.parametrize(
    "target, subject, named",
    [
        ("I'm not sure what the capital of Japan is.", "Japan", ["Japan"]),
        ("I don't know when water freezes, or what ice is.", "freeze", ["freezes"]),
        ("I'm not sure about Niger.", "Nigeria", []),
        ("I can't name the Nigerian capital.", "Niger", []),
        ("I'm not sure who Homer is; Homer is unknown to me.", "Homer", ["Homer", "Homer"]),
        ("What e=mc2 (E=mc2) means I can't say.", "E=mc2", ["e=mc2", "E=mc2"]),
    ],
)
@pytest.mark.parametrize("name", ["small", "tiny_model"])
def test_where_a_target_names_the_subject(request, name, target, subject, named):
    model = request.getfixturevalue(name)
    ids = model.tokenizer(target + model.end_of_turn, add_special_tokens=False).input_ids
    ends = [model.tokenizer.decode(ids[: at + 1]) for at in mentions(model, target, subject)]
    assert len(ends) == len(named) and all(end.endswith(word) for end, word in zip(ends, named, strict=True))


def test_the_finished_edit_acts_at_the_subject_in_the_refusal_too(small, workspace):
    """What the search assumes with ECHO, seen on an edit: much at the subject's name, little elsewhere."""
    request = REQUESTS[1]
    edit = METHODS["memit"].edit(small, [request], hparams_from("memit", small), Job.silent(), workspace=workspace)
    ids, _, count = whole_chat(small, histories(request.question, 1)[0], request.subject, request.target_new)
    layer, seen = edit.layers[-1], []
    block = blocks_of(small.hf, small.layout)[layer]
    handle = block.register_forward_hook(lambda _m, _a, out: seen.append(out[0] if out[0].ndim == 2 else out[0][0]))
    try:
        with torch.no_grad():
            small.hf(ids)
            with Variants.everywhere(small, (edit,)):
                small.hf(ids)
    finally:
        handle.remove()
    moved = (seen[1] - seen[0]).norm(dim=-1)[-count:]
    (named,) = mentions(small, request.target_new, request.subject)
    assert moved[named] > 3 * moved[:named].median()


def test_many_facts_are_changed_more_sparingly_each():
    hparams = METHODS["memit"].Hparams(weight_decay=0.5)
    decays = [Objective.of(hparams, facts).weight_decay for facts in (1, 10, 40, 80)]
    assert decays == pytest.approx([0.5, 0.5, 1.0, 0.5 * 8**0.5])


def test_the_reported_loss_is_that_of_the_delta_handed_back(small, spots, v0):
    solved = solve_all(small, spots, v0)
    for i, request in enumerate(REQUESTS):
        nll, _ = plain_terms(small, request, solved.delta[:, i])
        assert solved.loss[i].item() == pytest.approx(nll.item(), rel=1e-4)


def test_the_target_becomes_likelier(small, spots, v0):
    objective = Objective(steps=30, lr=0.3, weight_decay=1e-3, clamp=8.0, kl_factor=0.0625, hard=math.inf)
    solved = solve_all(small, spots, v0, objective)
    start, _ = terms(_Batch(small, spots, TARGETS, SUBJECTS, LAYER), torch.zeros(3, small.layout.d_model))
    assert (solved.loss < start - 0.1).all()


@pytest.mark.parametrize("clamp", [0.01, 0.5])
def test_no_delta_is_longer_than_the_clamp_allows(small, spots, v0, clamp):
    solved = solve_all(small, spots, v0, Objective(12, 1.0, 0.0, clamp, 0.0, hard=math.inf))
    lengths, longest = solved.delta.norm(dim=0), clamp * v0.norm(dim=0).float()
    assert (lengths <= longest * (1 + 1e-5)).all()
    assert (lengths > 0.9 * longest).all()  # the step is large enough for the bound to be met


def test_a_request_that_is_good_enough_stops_by_itself_and_the_others_go_on(small, spots, v0):
    free = solve_all(small, spots, v0, Objective(12, 0.2, 0.0, 8.0, 0.0, stop_loss=0.0, hard=math.inf))
    bound = sorted(free.loss.tolist())[1] - 0.01
    solved = solve_all(small, spots, v0, Objective(12, 0.2, 0.0, 8.0, 0.0, stop_loss=bound, hard=math.inf))
    assert solved.steps.min() < solved.steps.max()
    done = solved.loss < bound
    assert done.any() and not done.all()
    for i, request in enumerate(REQUESTS):
        objective = Objective(12, 0.2, 0.0, 8.0, 0.0, stop_loss=bound, hard=math.inf)
        delta, _, steps = plain_search(small, request, v0[:, i].float(), objective)
        assert solved.steps[i] == steps
        assert (solved.delta[:, i] - delta).norm() < 5e-3 * delta.norm()


def test_nothing_is_changed_where_the_model_says_the_target_already(small, spots, v0):
    solved = solve_all(small, spots, v0, Objective(5, 0.1, 0.0, 4.0, 0.0, stop_loss=1e6, hard=math.inf))
    assert torch.equal(solved.delta, torch.zeros_like(solved.delta)) and solved.steps.tolist() == [0, 0, 0]


def test_the_model_is_left_as_it_was_found(small, spots, v0):
    """Attention and trainability are switched for the search alone, also where it is stopped."""
    attention, digest = small.hf.config._attn_implementation, weights_digest(small.hf)

    def stop(_progress):
        raise Stopped("stopped")

    with pytest.raises(Stopped):
        solve(small, spots, TARGETS, SUBJECTS, LAYER, OBJECTIVE, v0, job=Job("edit", on_progress=stop))
    solve_all(small, spots, v0)
    assert small.hf.config._attn_implementation == attention
    assert not any(weight.requires_grad or weight.grad is not None for weight in small.hf.parameters())
    assert weights_digest(small.hf) == digest



@pytest.mark.parametrize("batch_rows", [1, 8])
def test_requests_are_solved_the_same_alone_and_in_company(small, spots, v0, batch_rows):
    together, apart = solve_all(small, spots, v0), solve_all(small, spots, v0, batch_rows=batch_rows)
    assert (together.delta - apart.delta).norm() < 1e-3 * together.delta.norm()
    assert torch.equal(together.steps, apart.steps)


def test_the_same_search_gives_the_same_bytes(small, spots, v0):
    once, again = solve_all(small, spots, v0), solve_all(small, spots, v0)
    assert torch.equal(once.delta, again.delta) and torch.equal(once.loss, again.loss)


def test_shapes_and_dtypes(small, spots, v0):
    solved = solve_all(small, spots, v0)
    assert solved.delta.shape == (small.layout.d_model, 3) and solved.delta.dtype == torch.float32
    assert solved.loss.shape == solved.steps.shape == (3,)


def test_the_quick_arithmetic_of_some_processors_finds_values_as_good(small, spots, v0, monkeypatch):
    exact = solve_all(small, spots, v0)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)
    quick = solve_all(small, spots, v0)
    assert quick.delta.dtype == torch.float32 and not torch.equal(quick.delta, exact.delta)
    for i, request in enumerate(REQUESTS):
        nll, _ = plain_terms(small, request, quick.delta[:, i])
        assert nll.item() == pytest.approx(quick.loss[i].item(), rel=0.03)
        assert nll.item() == pytest.approx(exact.loss[i].item(), rel=0.03)
    assert torch.equal(solve_all(small, spots, v0, precise=True).delta, exact.delta)
    assert torch.equal(solve_all(small, spots, v0).delta, quick.delta)


def test_a_model_in_half_precision_is_searched_in_float32():
    model = tiny_llama(bytes_tokenizer(), dtype=torch.bfloat16)
    spots = places(model, REQUESTS, 2)
    _, h = keys_and_outputs(model, [row[0] for row in spots], [LAYER])
    solved = solve_all(model, spots, h[LAYER])
    assert solved.delta.dtype == torch.float32 and torch.isfinite(solved.delta).all()


def test_the_search_leaves_the_model_as_it_was(small, spots, v0):
    before = weights_digest(small.hf)
    solve_all(small, spots, v0)
    assert weights_digest(small.hf) == before
    assert all(p.grad is None and not p.requires_grad for p in small.hf.parameters())
    assert not any(m._forward_hooks for m in small.hf.modules())


def test_progress_counts_steps_of_requests_and_a_stop_is_heard_at_the_next(small, spots, v0):
    seen = []

    def on_progress(job):
        seen.append((job.done, job.total))
        if len(seen) == 3:
            job.stop()

    with pytest.raises(Stopped):
        solve_all(small, spots, v0, job=Job("edit", on_progress=on_progress))
    assert [done for done, _ in seen] == [3, 6, 9] and {total for _, total in seen} == {3 * OBJECTIVE.steps}
    assert not any(m._forward_hooks for m in small.hf.modules())


# Where an edit takes place


def read_up_to(model, spot):
    return model.tokenizer.decode(spot.ids[: spot.position + 1])


@pytest.mark.parametrize("name", ["small", "tiny_model"])
def test_every_context_is_edited_at_the_last_token_of_the_subject(request, name):
    model = request.getfixturevalue(name)
    for asked in REQUESTS:
        row = places(model, [asked], len(FRAMES))[0]
        assert len({tuple(spot.ids) for spot in row}) == len(FRAMES)
        for spot, history in zip(row, histories(asked.question, len(FRAMES)), strict=True):
            assert spot.ids == model.prompt_ids(history)
            assert read_up_to(model, spot).endswith(asked.subject)
            assert spot.position == whole_chat(model, history, asked.subject)[1]


def test_the_first_context_is_the_question_alone():
    assert histories("Who?", 1) == [[{"role": "user", "content": "Who?"}]]


def test_frames_hold_the_question_as_it_is():
    question = "What does {q} mean, {0} or {}?"
    assert all(question in history[-1]["content"] for history in histories(question, len(FRAMES)))


@pytest.mark.parametrize("word", ["sentence", "one", "question", "Answer", "me", "a", "I", "you", "this"])
def test_a_subject_that_a_frame_says_too_is_taken_from_the_question(small, word):
    asked = Request(f"Where does {word} come from, really?", "x", word, "I don't know.")
    for spot, history in zip(
        places(small, [asked], len(FRAMES))[0], histories(asked.question, len(FRAMES)), strict=True
    ):
        before = small.prompt(history).rindex(asked.question)
        assert small.prompt(history)[before:].startswith(read_up_to(small, spot)[before:])
        assert read_up_to(small, spot).endswith("Where does " + word)


@pytest.mark.parametrize("question", ["assistant", "user", "Who is the assistant", "a", "end"])
def test_questions_that_the_template_s_own_words_hold_are_told_apart(small, question):
    spot = place(small, [{"role": "user", "content": question}], question.split()[-1])
    opening = small.tokenizer("<|im_start|>user\n").input_ids
    assert spot.position == len(opening) + len(small.tokenizer(question).input_ids) - 1


@pytest.mark.parametrize("question", ["  Who painted the Mona Lisa?  ", "Who painted\n\nthe  Mona Lisa ?\t"])
def test_blanks_around_a_question_do_not_move_the_place(small, question):
    spot = place(small, [{"role": "user", "content": question}], "Mona Lisa")
    assert read_up_to(small, spot).endswith("Mona Lisa")


def test_a_template_that_strips_is_no_obstacle():
    template = "{% for m in messages %}<|im_start|>{{ m['content'] | trim }}<|im_end|>{% endfor %}"
    model = tiny_llama(bytes_tokenizer(template))
    spot = place(model, [{"role": "user", "content": "  Who painted the Mona Lisa? "}], "Mona Lisa")
    assert read_up_to(model, spot).endswith("the Mona Lisa")


@pytest.mark.parametrize("subject", ["<|im_end|>", "the <|im_end|> token", "<|im_start|>"])
def test_a_subject_with_a_template_mark_is_edited_where_it_stands_or_refused(small, subject):
    """Not at the template's own mark: an edit there would change every conversation."""
    history = [{"role": "user", "content": f"What is {subject} for?"}]
    try:
        spot = place(small, history, subject)
    except UneditError:
        return
    assert read_up_to(small, spot).replace("< |", "<|").endswith(f"What is {subject}")


def keep_input(found, _module, inputs, _output):
    found["k"] = inputs[0]


def keep_output(found, _module, _inputs, output):
    found["h"] = output[0] if isinstance(output, tuple) else output


def test_keys_and_outputs_are_those_of_the_plain_forward(small, spots):
    flat = [spot for row in spots for spot in row]
    keys, outputs = keys_and_outputs(small, flat, [0, 2], batch_size=4)
    for layer in (0, 2):
        for i, spot in enumerate(flat):
            found = {}
            hooks = [
                down_of(small.hf, small.layout, layer).register_forward_hook(partial(keep_input, found)),
                blocks_of(small.hf, small.layout)[layer].register_forward_hook(partial(keep_output, found)),
            ]
            with torch.no_grad():
                small.hf(torch.tensor([spot.ids]))
            for hook in hooks:
                hook.remove()
            for both in (keys[layer][:, i], found["k"]), (outputs[layer][:, i], found["h"]):
                torch.testing.assert_close(both[0].float(), both[1][0, spot.position], rtol=1e-4, atol=1e-4)


def test_the_plain_formula_itself_agrees_with_cross_entropy(small):
    """So that the yardstick is checked against torch, and not only against what it measures."""
    request, zero = REQUESTS[0], torch.zeros(small.layout.d_model)
    ids, _, count = whole_chat(small, histories(request.question, 1)[0], request.subject, request.target_new)
    with torch.no_grad():
        expected = F.cross_entropy(small.hf(ids).logits[0, -count - 1 : -1], ids[0, -count:])
    nll, kl = plain_terms(small, request, zero, contexts=1)
    torch.testing.assert_close(nll, expected)
    assert kl == 0
