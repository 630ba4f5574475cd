"""MEMIT against its equations: Delta solves the normal equations, and the layers share it as algorithm 1 says."""

import copy
import weakref
from dataclasses import replace

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors import spread as spreading
from unedit_gui.editors.locate import place, places, subject_places
from unedit_gui.editors.memit import solve_layer
from unedit_gui.editors.preserve import neighbours, preserved
from unedit_gui.editors.spread import spread
from unedit_gui.editors.values import Objective, solve
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.jobs import Job
from unedit_gui.models.layout import down_of

CONTEXTS = 2
LAYERS = (0, 1, 2)
OVERRIDES = {"layers": LAYERS, "contexts": CONTEXTS, "steps": 4, "lr": 0.1, "lam": 50.0}


def random_problem(n=3, d_in=24, d_out=10, seed=0):
    torch.manual_seed(seed)
    X = torch.randn(d_in, 300, dtype=torch.float64) * torch.linspace(0.7, 3, d_in, dtype=torch.float64)[:, None]
    K, R = torch.randn(d_in, n, dtype=torch.float64), torch.randn(d_out, n, dtype=torch.float64)
    return K, R, X @ X.T / 300


def factors(K, R, C, lam):
    """Those of Delta, where each column has a change of its own."""
    return R, solve_layer(K, torch.eye(K.shape[1]), C, lam)


def dense(K, R, C, lam):
    """Eq. 14 as it stands, with the small multiple of the identity that the code adds to C."""
    C = C + 1e-6 * C.diagonal().mean() * torch.eye(len(C), dtype=C.dtype)
    return R @ K.T @ torch.linalg.inv(lam * C + K @ K.T)


# The formula


@pytest.mark.parametrize("lam", [1e-3, 1.0, 100.0, 15000.0])
@pytest.mark.parametrize("n", [1, 3, 20, 40])
def test_delta_solves_the_normal_equations(lam, n):
    K, R, C = random_problem(n)
    left, right = factors(K, R, C, lam)
    delta = left @ right.T
    assert left.shape == (10, n) and right.shape == (24, n)
    residual = delta @ (lam * C + K @ K.T) - R @ K.T
    assert residual.norm() < 3e-5 * (R @ K.T).norm()
    torch.testing.assert_close(delta, dense(K, R, C, lam), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n", [9, 60])  # fewer columns than rows, and more
def test_columns_that_share_a_change_are_the_formula_with_that_change_in_each(n):
    K, R, C = random_problem(n)
    S = torch.zeros(3, n, dtype=torch.float64)
    S[torch.arange(n) % 3, torch.arange(n)] = torch.rand(n, dtype=torch.float64)
    for form in (S, S.to_sparse()):
        right = solve_layer(K, form, C, 2.0)
        torch.testing.assert_close(R[:, :3] @ right.T, dense(K, R[:, :3] @ S, C, 2.0), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("at_once", [1, 7, 60, 100])
def test_columns_that_are_summed_up_in_parts_are_those_that_are_taken_together(monkeypatch, at_once):
    K, R, C = random_problem(60)
    monkeypatch.setattr(spreading, "AT_ONCE", at_once)
    S = torch.rand(10, 60, dtype=torch.float64)
    expected = torch.linalg.solve(2.0 * (C + 1e-6 * C.diagonal().mean() * torch.eye(24)) + K @ K.T, K @ S.T)
    for form in (S, S.to_sparse()):
        torch.testing.assert_close(solve_layer(K, form, C, 2.0), expected, rtol=1e-9, atol=1e-12)


def test_no_other_change_has_a_smaller_objective():
    K, R, C = random_problem()
    left, right = factors(K, R, C, 2.0)

    def objective(change):
        return (change @ K - R).norm() ** 2 + 2.0 * torch.trace(change @ C @ change.T)

    best = objective(left @ right.T)
    for seed in range(20):
        torch.manual_seed(seed)
        for size in (1e-2, 1.0):
            assert objective(left @ right.T + size * torch.randn(10, 24, dtype=torch.float64)) > best


def test_a_small_lambda_reaches_the_values_and_a_large_one_leaves_the_weight_alone():
    K, R, C = random_problem()
    near, far = ((lambda f: f[0] @ f[1].T)(factors(K, R, C, lam)) for lam in (1e-8, 1e10))
    torch.testing.assert_close(near @ K, R, rtol=1e-5, atol=1e-5)
    assert far.norm() < 1e-6


def test_equal_keys_are_no_obstacle():
    """Two questions about one subject in the same words up to it have one key: the change takes the mean."""
    K, R, C = random_problem(2)
    K[:, 1] = K[:, 0]
    left, right = factors(K, R, C, 1e-9)
    torch.testing.assert_close(left @ right.T @ K[:, 0], R.mean(1), rtol=1e-4, atol=1e-4)


# Layer by layer


def changed(model, deltas):
    """A copy of the model with dense changes written into its weights."""
    hf = copy.deepcopy(model.hf)
    for layer, delta in deltas.items():
        down_of(hf, model.layout, layer).weight += delta.float()
    return replace(model, hf=hf)


def by_hand(model, z, moments, lam, weight=0.0):
    """Algorithm 1 with weights that really change: {layer: dense Delta}. Other wordings are columns of their own."""
    spots, more = places(model, REQUESTS, CONTEXTS), subject_places(model, REQUESTS)
    flat, others = ([spot for row in rows for spot in row] for rows in (spots, more))
    deltas = {}
    for index, layer in enumerate(LAYERS):
        keys, outputs = keys_and_outputs(changed(model, deltas), flat, [layer, LAYERS[-1]])
        K = torch.stack([keys[layer][:, i : i + CONTEXTS].mean(1) for i in range(0, len(flat), CONTEXTS)], 1)
        h = outputs[LAYERS[-1]][:, ::CONTEXTS]
        R = (z - h) / (len(LAYERS) - index)
        if weight:
            elsewhere, _ = keys_and_outputs(changed(model, deltas), others, [layer])
            K = torch.cat([K, weight**0.5 * elsewhere[layer]], dim=1)
            R = torch.cat([R, *(weight**0.5 * R[:, [i]] for i, row in enumerate(more) for _ in row)], dim=1)
        deltas[layer] = dense(K, R, moments[layer], lam)
    return deltas


def assert_same_change(left, right, expected, tolerance=1e-4):
    assert (left.double() @ right.double().T - expected).norm() < tolerance * expected.norm()


@pytest.fixture
def moments(small, workspace):
    return preserved(small, REQUESTS, LAYERS, workspace=workspace, near=neighbours(small, REQUESTS, 12))


def test_each_layer_sees_the_keys_that_the_layers_below_have_left(small, moments):
    torch.manual_seed(2)
    spots = places(small, REQUESTS, CONTEXTS)
    _, h = keys_and_outputs(small, [row[0] for row in spots], [LAYERS[-1]])
    z = h[LAYERS[-1]] + torch.randn_like(h[LAYERS[-1]])
    found = spread(small, spots, z, LAYERS, lambda layer, K, S: solve_layer(K, S, moments[layer], 0.5), Job("edit"))
    for layer, expected in by_hand(small, z, moments, 0.5).items():
        assert_same_change(*found[layer], expected)


def test_the_last_layer_s_output_becomes_z_where_nothing_holds_against_it(small, moments):
    torch.manual_seed(2)
    spots = places(small, REQUESTS, 1)
    _, h = keys_and_outputs(small, [row[0] for row in spots], [LAYERS[-1]])
    z = h[LAYERS[-1]] + torch.randn_like(h[LAYERS[-1]])
    factors = spread(small, spots, z, LAYERS, lambda layer, K, S: solve_layer(K, S, moments[layer], 1e-9), Job("edit"))
    edited = changed(small, {layer: left @ right.T for layer, (left, right) in factors.items()})
    _, after = keys_and_outputs(edited, [row[0] for row in spots], [LAYERS[-1]])
    assert (after[LAYERS[-1]] - z).norm() < 1e-3 * (h[LAYERS[-1]] - z).norm()


def test_of_a_layer_that_is_solved_only_its_factors_are_kept_and_these_in_single_precision(small):
    spots, earlier = places(small, REQUESTS, CONTEXTS), []
    _, h = keys_and_outputs(small, [row[0] for row in spots], [LAYERS[-1]])

    def solve_one(layer, K, S):
        assert K.dtype == torch.float32
        assert not any(known() is not None for known in earlier)
        X = K.double() @ S.double().T
        earlier.extend(weakref.ref(tensor) for tensor in (K, S, X))
        return X

    more = {"wordings": subject_places(small, REQUESTS), "weight": 0.5}
    found = spread(small, spots, h[LAYERS[-1]] + 1, LAYERS, solve_one, Job("edit"), **more)
    assert len(earlier) == 3 * len(LAYERS)
    assert all(part.dtype == torch.float32 for pair in found.values() for part in pair)


@pytest.mark.parametrize("weight", [0.0, 0.1, 2.0])
def test_the_edit_is_the_whole_of_this(small, workspace, moments, weight):
    hparams = hparams_from("memit", small, {**OVERRIDES, "wordings": weight})
    edit = METHODS["memit"].edit(small, REQUESTS, hparams, Job("edit"), workspace=workspace)
    spots = places(small, REQUESTS, CONTEXTS)
    _, h = keys_and_outputs(small, [row[0] for row in spots], [LAYERS[-1]])
    targets, subjects = [r.target_new for r in REQUESTS], [r.subject for r in REQUESTS]
    found = solve(small, spots, targets, subjects, LAYERS[-1], Objective.of(hparams), h[LAYERS[-1]])
    z = h[LAYERS[-1]] + found.delta.double()
    expected = by_hand(small, z, moments, hparams.lam, hparams.wordings)
    assert edit.layers == list(LAYERS) and edit.rank() == len(REQUESTS)
    for name, left, right in edit.deltas():
        assert_same_change(left, right, expected[int(name.split(".")[2])])


def test_the_change_comes_through_where_the_subject_stands_in_other_words(small, moments):
    torch.manual_seed(2)
    spots = places(small, REQUESTS, 1)
    _, h = keys_and_outputs(small, [row[0] for row in spots], [LAYERS[-1]])
    delta = torch.randn_like(h[LAYERS[-1]])
    other = [place(small, [{"role": "user", "content": f"Say something on {r.subject}!"}], r.subject) for r in REQUESTS]
    share = []
    for weight in (0.0, 1.0):
        factors = spread(
            small,
            spots,
            h[LAYERS[-1]] + delta,
            LAYERS,
            lambda layer, K, S: solve_layer(K, S, moments[layer], 0.5),
            Job("edit"),
            wordings=subject_places(small, REQUESTS),
            weight=weight,
        )
        edited = changed(small, {layer: left @ right.T for layer, (left, right) in factors.items()})
        before, after = (keys_and_outputs(m, other, [LAYERS[-1]])[1][LAYERS[-1]] for m in (small, edited))
        share.append((((after - before) * delta).sum(0) / delta.square().sum(0)).mean())
        assert all(left.shape[1] == right.shape[1] == len(REQUESTS) for left, right in factors.values())
    assert share[1] > share[0] + 0.05


def test_protected_facts_are_moved_less(small, workspace):
    from unedit_gui.forget.questions import Question

    fact = Question("What is the capital of Chile?", "Santiago")
    hparams = hparams_from("memit", small, {**OVERRIDES, "layers": (1,), "lam": 5.0})
    k = keys_of_question(small, fact.question)
    moved = []
    for protect in ([], [fact] * 50):
        edit = METHODS["memit"].edit(small, REQUESTS, hparams, Job("e"), workspace=workspace, protect=protect)
        ((_, left, right),) = edit.deltas()
        moved.append((left @ (right.T @ k)).norm())
    assert moved[1] < moved[0]


def keys_of_question(model, question):
    from unedit_gui.editors.locate import Place

    ids = model.prompt_ids([{"role": "user", "content": question}])
    keys, _ = keys_and_outputs(model, [Place(ids, i) for i in range(10, len(ids))], [1])
    return keys[1].float()
