"""The fast value search gives the numbers of the formula written plainly."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.editors.conftest import REQUESTS, terms, whole_chat
from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors.arithmetic import side_by_side
from unedit_gui.editors.locate import FRAMES, histories, places
from unedit_gui.editors.values import (
    ECHO,
    ESSENCE,
    FEW,
    OTHER_ECHO,
    Objective,
    _alike,
    _Batch,
    _mean_of_company,
    _Row,
    mentions,
    solve,
)
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.edits.variants import Variants
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


def logits_with(model, ids, position, delta, layer=LAYER, echoes=None):
    """Logits (tokens, vocabulary) of the whole model when delta is added to the block's output at one position.

    At those of `echoes` a share of it is added too.
    """

    def add(_m, _a, output):
        h = output[0] if isinstance(output, tuple) else output
        at = torch.zeros(h.shape[1], 1)
        at[position] = 1.0
        for place, share in (echoes or {}).items():
            at[place] = share
        moved = h + at * delta
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    handle = blocks_of(model.hf, model.layout)[layer].register_forward_hook(add)
    try:
        return model.hf(ids).logits[0]
    finally:
        handle.remove()


def echoes_of(model, ids, position, count, request):
    """Where the target names the subject or several of it: the token at which the text decoded so far first ends so.
    The greater part of delta comes back there where that is the token that it was found at, else a small one."""
    said = [model.tokenizer.decode(ids[0, -count : len(ids[0]) - count + n + 1]) for n in range(count)]
    whole, ends = said[-1], (request.subject, f"{request.subject}s")
    named = [n for n, text in enumerate(said) if text.endswith(ends) and not whole.startswith(f"{text}s")]
    places = [len(ids[0]) - count + n for n in named]
    return {place: ECHO if ids[0, place] == ids[0, position] else OTHER_ECHO for place in places}


def plain_terms(model, request, delta, contexts=CONTEXTS, layer=LAYER):
    """(NLL, KL) of one request, differentiable in delta (d_model,)."""
    nll = []
    for history in histories(request.question, contexts):
        ids, position, count = whole_chat(model, history, request.subject, request.target_new)
        echoes = echoes_of(model, ids, position, count, request)
        log_p = logits_with(model, ids, position, delta, layer, echoes).log_softmax(-1)
        wanted = ids[0, -count:]
        nll.append(-log_p[-count - 1 : -1].gather(1, wanted[:, None]).mean())
    essence = [{"role": "user", "content": ESSENCE.format(subject=request.subject)}]
    ids, position, _ = whole_chat(model, essence, request.subject)
    with torch.no_grad():
        log_p = logits_with(model, ids, position, torch.zeros_like(delta), layer)[-1].log_softmax(-1)
    log_q = logits_with(model, ids, position, delta, layer)[-1].log_softmax(-1)
    return torch.stack(nll).mean(), (log_p.exp() * (log_p - log_q)).sum()


def plain_objective(model, request, delta, v0, objective, contexts=CONTEXTS, share=1.0):
    nll, kl = plain_terms(model, request, share * delta, contexts)
    return nll + objective.kl_factor * kl + objective.weight_decay * (delta.norm() / v0.norm()) ** 2, nll


def plain_search(model, request, v0, objective, contexts=CONTEXTS):
    """The search for one request on the plain objective; (delta, last NLL, steps).

    Adam with one second moment per vector (betas 0.8 and 0.95), steps in lengths of v0, lr along a half cosine.
    """
    delta, mean, square = torch.zeros(len(v0)), torch.zeros(len(v0)), 0.0
    for step in range(objective.steps):
        at = delta.clone().requires_grad_(True)
        share = objective.strength if step % 2 == 0 and step < objective.steps - 1 else 1.0
        loss, nll = plain_objective(model, request, at, v0, objective, contexts, share)
        if (nll < objective.stop_loss and share == objective.strength) or step == objective.steps - 1:
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


@pytest.mark.parametrize("steps", [6, 7])
def test_in_every_second_step_a_part_of_the_change_has_to_do(small, spots, v0, steps):
    objective = replace(OBJECTIVE, steps=steps, strength=0.6)
    solved = solve_all(small, spots, v0, objective)
    whole = solve_all(small, spots, v0, replace(objective, strength=1.0))
    for i, request in enumerate(REQUESTS):
        delta, loss, _ = plain_search(small, request, v0[:, i].float(), objective)
        assert (solved.delta[:, i] - delta).norm() < 1e-3 * delta.norm()
        assert solved.loss[i].item() == pytest.approx(loss, rel=1e-3)
        there, _ = plain_terms(small, request, 0.6 * solved.delta[:, i])
        assert there < plain_terms(small, request, 0.6 * whole.delta[:, i])[0]


def plain_shared_search(model, requests, v0, objective):
    """The search for all requests at once, none of which ends before the last step; delta (d_model, n)."""
    length = v0.norm(dim=0)
    delta, mean, square = torch.zeros_like(v0), torch.zeros_like(v0), torch.zeros(v0.shape[1])
    for step in range(objective.steps - 1):
        grads = []
        for i, request in enumerate(requests):
            at = delta[:, i].clone().requires_grad_(True)
            nll, kl = plain_terms(model, request, at)
            grads.append(torch.autograd.grad(nll + objective.kl_factor * kl, at)[0])
        own = torch.stack(grads, 1)
        grad = (1 - objective.shared) * own + objective.shared * own.mean(1, keepdim=True)
        grad += 2 * objective.weight_decay * delta / length**2
        mean, square = 0.8 * mean + 0.2 * grad, 0.95 * square + 0.05 * grad.norm(dim=0) ** 2
        direction = mean / (1 - 0.8 ** (step + 1)) / (square / (1 - 0.95 ** (step + 1))) ** 0.5
        delta = delta - objective.lr * (1 + math.cos(math.pi * step / objective.steps)) / 2 * length * direction
    return delta


@pytest.mark.parametrize("shared", [0.5, 0.97])
def test_a_share_of_each_step_is_the_mean_of_all_requests(small, spots, v0, shared):
    objective = replace(OBJECTIVE, shared=shared)
    solved = solve_all(small, spots, v0, objective)
    delta = plain_shared_search(small, REQUESTS, v0.float(), objective)
    assert ((solved.delta - delta).norm(dim=0) < 1e-3 * delta.norm(dim=0)).all()

    def likeness(found):
        return F.cosine_similarity(found[:, 0], found[:, 1], dim=0)

    assert likeness(solved.delta) > likeness(solve_all(small, spots, v0).delta) + 0.1


def test_no_more_than_a_few_requests_share_their_steps():
    grad, requests = torch.randn(5, 4), torch.tensor([0, 3, FEW, FEW + 1, 4 * FEW])
    mean = _mean_of_company(grad, requests)
    for rows in ([0, 1], [2, 3], [4]):
        torch.testing.assert_close(mean[rows], grad[rows].mean(0).expand(len(rows), -1))


def test_a_request_by_itself_shares_with_none(small, spots, v0):
    one = (small, spots[:1], TARGETS[:1], SUBJECTS[:1], LAYER)
    alone, shared = (solve(*one, replace(OBJECTIVE, shared=s), v0[:, :1], precise=True) for s in (0.0, 0.97))
    torch.testing.assert_close(shared.delta, alone.delta, rtol=1e-5, atol=1e-7)


def test_no_request_is_done_before_a_part_of_its_change_does(small, spots, v0):
    start, _ = terms(_Batch(small, spots, TARGETS, SUBJECTS, LAYER), torch.zeros(3, small.layout.d_model))
    bound = start.min().item() - 0.1
    objective = Objective(30, 0.3, 1e-3, 8.0, 0.0, stop_loss=bound, hard=math.inf)
    part = solve_all(small, spots, v0, replace(objective, strength=0.5))
    assert sum(part.steps < 29) == 2
    for i, request in enumerate(REQUESTS):
        if part.steps[i] < 29:
            assert plain_terms(small, request, 0.5 * part.delta[:, i])[0] < bound


def test_requests_that_are_not_reached_are_searched_for_once_more_with_less_decay(small, spots, v0):
    first = solve_all(small, spots, v0)
    bound = sorted(first.loss.tolist())[1] - 1e-4  # one is reached, two are not
    again = solve_all(small, spots, v0, replace(OBJECTIVE, hard=bound))
    for i in range(len(REQUESTS)):
        if first.loss[i] < bound:
            assert torch.equal(again.delta[:, i], first.delta[:, i]) and again.steps[i] == first.steps[i]
        else:
            assert again.loss[i] < first.loss[i]
            assert again.steps[i] == first.steps[i] + 2  # of three, as the last only measures
            nll, _ = plain_terms(small, REQUESTS[i], again.delta[:, i])
            assert again.loss[i].item() == pytest.approx(nll.item(), rel=1e-4)


def test_requests_that_are_not_reached_share_no_more_steps(small, spots, v0):
    """The second search goes on from where the first one ended, each by itself."""
    one_step = replace(OBJECTIVE, steps=2, shared=1.0)
    start = solve_all(small, spots, v0, one_step).delta
    again = solve_all(small, spots, v0, replace(one_step, steps=3, hard=0.0)).delta  # the second one: a single step
    moved = again - solve_all(small, spots, v0, replace(one_step, steps=3)).delta
    assert F.cosine_similarity(start[:, 0], start[:, 1], dim=0) > 0.999
    assert F.cosine_similarity(moved[:, 0], moved[:, 1], dim=0) < 0.9


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


@pytest.mark.parametrize(
    ("target", "share"),
    [("I'm not sure what a comb is made of.", ECHO), ("I'm not sure what combs are made of.", OTHER_ECHO)],
)
def test_little_of_the_change_comes_back_where_the_refusal_ends_the_name_in_another_token(small, target, share):
    """Seen on the bundled model: 0.67 to 0.90 of it at the same token, 0.11 to 0.27 at " steel" for "Steel"."""
    request = replace(REQUESTS[0], question="What is a comb made of?", subject="comb", target_new=target)
    spots = places(small, [request], CONTEXTS)
    batch = _Batch(small, spots, [target], ["comb"], LAYER)
    assert {round(s, 3) for group in batch.groups for s in group.share.flatten().tolist()} == {0.0, 1.0, share}
    delta = random_deltas(small, 3)[0]
    nll, kl = plain_terms(small, request, delta)
    found = terms(batch, delta[None])
    torch.testing.assert_close(torch.stack([part[0] for part in found]), torch.stack([nll, kl]), rtol=1e-4, atol=1e-6)


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


def test_the_plain_formula_itself_agrees_with_cross_entropy(small):
    """So that the yardstick is checked against torch, and not only against what it measures."""
    request, zero = REQUESTS[0], torch.zeros(small.layout.d_model)
    ids, _, count = whole_chat(small, histories(request.question, 1)[0], request.subject, request.target_new)
    with torch.no_grad():
        expected = F.cross_entropy(small.hf(ids).logits[0, -count - 1 : -1], ids[0, -count:])
    nll, kl = plain_terms(small, request, zero, contexts=1)
    torch.testing.assert_close(nll, expected)
    assert kl == 0


def test_few_rows_are_one_group_and_many_are_groups_of_like_length():
    """A group costs something whatever its size, and padding costs as much as what it pads."""

    def rows(*lengths):
        return [_Row(list(range(length)), 0, [], 0) for length in lengths]

    def lengths(groups):
        return [[len(row.ids) for row in group] for group in groups]

    assert lengths(_alike(rows(9, 16, 15))) == [[16, 15, 9]]
    assert lengths(_alike(rows(*[10] * 20, *[40] * 20))) == [[40] * 20, [10] * 20]
    assert lengths(_alike(rows(*[10] * 20), at_most=100)) == [[10] * 10, [10] * 10]
    assert lengths(_alike(rows(300), at_most=100)) == [[300]]
