"""AlphaEdit against its equations: eq. 13, and nothing at all where other keys are strong."""

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors import spread as spreading
from unedit_gui.editors.alphaedit import SHARE, evened, null_space, null_spaces, penalty, solve_layer
from unedit_gui.editors.locate import places
from unedit_gui.editors.preserve import neighbours, preserved
from unedit_gui.editors.values import Objective, solve
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job, Stopped

LAYER, CONTEXTS = 1, 2


def random_problem(n=3, n_p=4, d_in=24, d_out=10, seed=0):
    torch.manual_seed(seed)
    X = torch.randn(d_in, 300, dtype=torch.float64) * torch.linspace(0.05, 3, d_in, dtype=torch.float64)[:, None]
    K, K_p = torch.randn(d_in, n, dtype=torch.float64), torch.randn(d_in, n_p, dtype=torch.float64)
    return K, torch.randn(d_out, n, dtype=torch.float64), K_p, X @ X.T / 300


def factors(K, R, V, l2, K_p=None):
    """Those of Delta, where each column has a change of its own."""
    return R, solve_layer(K, torch.eye(K.shape[1]), V, l2, K_p)


def dense(K, R, P, l2, K_p=None):
    """Eq. 13 as it stands."""
    inner = K @ K.T @ P + l2 * torch.eye(len(P), dtype=P.dtype)
    if K_p is not None:
        inner = inner + K_p @ K_p.T @ P
    return R @ K.T @ P @ torch.linalg.inv(inner)


# The projector


def test_the_free_space_is_that_of_the_small_eigenvalues():
    *_, C = random_problem()
    values = torch.linalg.eigvalsh(C)
    threshold = float(values[8:10].mean())
    V = null_space(C, threshold)
    assert V.shape == (24, 9)
    torch.testing.assert_close(V.T @ V, torch.eye(9, dtype=torch.float64))
    assert (torch.linalg.eigvalsh(V.T @ C @ V) < threshold).all()
    rest = torch.eye(24, dtype=torch.float64) - V @ V.T
    assert torch.linalg.eigvalsh(rest @ C @ rest)[9:].min() >= threshold


@pytest.mark.parametrize(("threshold", "kept"), [(0.0, 0), (1e9, 24)])
def test_a_threshold_below_and_above_all_eigenvalues(threshold, kept):
    *_, C = random_problem()
    assert null_space(C, threshold).shape == (24, kept)


# The formula


@pytest.mark.parametrize("earlier", [False, True], ids=["without K_p", "with K_p"])
@pytest.mark.parametrize("n", [1, 3, 20, 60])
@pytest.mark.parametrize("l2", [0.1, 1.0, 10.0])
def test_delta_is_equation_13(l2, n, earlier):
    K, R, K_p, C = random_problem(n)
    V = null_space(C, 0.5)
    left, right = factors(K, R, V, l2, K_p if earlier else None)
    assert left.shape == (10, n) and right.shape == (24, n)
    expected = dense(K, R, V @ V.T, l2, K_p if earlier else None)
    torch.testing.assert_close(left @ right.T, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("earlier", [False, True], ids=["without K_p", "with K_p"])
@pytest.mark.parametrize("at_once", [1, 7, 60, 100])
def test_columns_that_are_summed_up_in_parts_are_those_that_are_taken_together(monkeypatch, at_once, earlier):
    K, _, K_p, C = random_problem(60)
    monkeypatch.setattr(spreading, "AT_ONCE", at_once)
    V, S = null_space(C, 0.5), torch.rand(10, 60, dtype=torch.float64)
    Q, Q_p = V.T @ K, V.T @ (K_p if earlier else K_p[:, :0])
    expected = V @ torch.linalg.solve(2.0 * torch.eye(len(Q)) + Q_p @ Q_p.T + Q @ Q.T, Q @ S.T)
    for form in (S, S.to_sparse()):
        found = solve_layer(K, form, V, 2.0, K_p if earlier else None)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("earlier", [False, True], ids=["without K_p", "with K_p"])
def test_directions_that_other_keys_use_are_not_touched_at_all(earlier):
    K, R, K_p, C = random_problem()
    left, right = factors(K, R, null_space(C, 0.5), 1.0, K_p if earlier else None)
    values, vectors = torch.linalg.eigh(C)
    strong = vectors[:, values >= 0.5]
    assert 0 < strong.shape[1] < 24
    assert (left @ (right.T @ strong)).norm() < 1e-12 * left.norm()
    assert (left @ (right.T @ vectors[:, values < 0.5])).norm() > 1e-2


@pytest.mark.parametrize("earlier", [False, True], ids=["without K_p", "with K_p"])
def test_no_other_change_in_the_free_space_has_a_smaller_objective(earlier):
    K, R, K_p, C = random_problem()
    V = null_space(C, 0.5)
    P = V @ V.T
    left, right = factors(K, R, V, 2.0, K_p if earlier else None)

    def objective(change):
        moved = (change @ P @ K_p).norm() ** 2 if earlier else 0.0
        return (change @ P @ K - R).norm() ** 2 + 2.0 * (change @ P).norm() ** 2 + moved

    best = objective(left @ right.T)
    for seed in range(20):
        torch.manual_seed(seed)
        for size in (1e-2, 1.0):
            assert objective(left @ right.T + size * torch.randn(10, 24, dtype=torch.float64) @ P) > best


def test_keys_of_earlier_edits_are_moved_less():
    K, R, K_p, C = random_problem()
    V = null_space(C, 0.5)
    moved = [(lambda f: (f[0] @ (f[1].T @ K_p)).norm())(factors(K, R, V, 0.1, kp)) for kp in (None, K_p)]
    assert moved[1] < 0.5 * moved[0]


def test_no_earlier_keys_are_as_none():
    K, R, K_p, C = random_problem()
    V = null_space(C, 0.5)
    with_none, with_empty = (solve_layer(K, R, V, 1.0, kp) for kp in (None, K_p[:, :0]))
    torch.testing.assert_close(with_none[1], with_empty[1])


# The edit


@pytest.fixture
def C(small, workspace):
    return preserved(small, REQUESTS, [LAYER], workspace=workspace, near=neighbours(small, REQUESTS, 12))[LAYER]


@pytest.fixture
def overrides(C):
    """Half of the directions free, whatever the scale of a random model's keys is."""
    threshold = float(torch.linalg.eigvalsh(C)[[23, 24]].mean() / C.diagonal().mean())
    chosen = {"layers": (LAYER,), "contexts": CONTEXTS, "steps": 4, "lr": 0.1, "wordings": 0, "lift": 1}
    return {**chosen, "threshold": threshold, "l2": 0.5}


def limit(C, overrides):
    """The threshold as an eigenvalue: the hyperparameter counts in mean eigenvalues."""
    return overrides["threshold"] * C.diagonal().mean().item()


def alphaedit(model, requests, overrides, workspace, **options):
    hparams = hparams_from("alphaedit", model, overrides)
    return METHODS["alphaedit"].edit(model, requests, hparams, Job("edit"), workspace=workspace, **options)


def test_the_penalty_falls_with_what_is_left_of_the_keys_and_so_the_change_still_comes_through():
    V = torch.eye(24, dtype=torch.float64)[:, :12]
    K = torch.randn(24, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    R = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert penalty(K, V, 2.0) == 2.0  # half of the keys is free
    K[:12] *= 0.02
    left_over = ((V.T @ K).square().sum() / K.square().sum()).item()
    assert penalty(K, V, 2.0) == pytest.approx(2.0 * left_over / SHARE)
    missing = [
        (left @ right.T @ K - R).norm() / R.norm()
        for left, right in (factors(K, R, V, l2) for l2 in (2.0, penalty(K, V, 2.0)))
    ]
    assert missing[1] < 0.7 < 0.9 < missing[0]


def test_a_fact_of_whose_key_little_is_free_gets_as_much_of_its_change_as_the_others():
    V = torch.eye(24, dtype=torch.float64)[:, :12]
    K = 3 * torch.eye(24, 5, dtype=torch.float64)
    R = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    K[:12, 3] *= 0.4  # as of a country's name, which much text holds
    S = torch.eye(5, dtype=torch.float64).to_sparse()

    def come_through(lift):
        right = solve_layer(*evened(K, S, V, range(5), lift), V, 6.0)
        return ((R @ right.T @ K) * R).sum(0) / R.square().sum(0)

    alike, lifted, wholly = (come_through(lift)[[0, 3]].tolist() for lift in (1.0, 4.0, 100.0))
    assert alike == pytest.approx([9 / 15, 1.44 / 7.44])
    assert lifted == pytest.approx([9 / 15, 4 * 1.44 / (4 * 1.44 + 6)])
    assert wholly == pytest.approx([9 / 15, 9 / 15])


def test_columns_of_other_wordings_are_not_lifted_and_none_counts_less():
    V = torch.eye(6, dtype=torch.float64)
    K = torch.diag(torch.tensor([1.0, 2.0, 4.0, 0.1])).repeat(2, 1)[:6]
    S = torch.tensor([[1.0, 0, 0, 0.5], [0, 1.0, 0, 0], [0, 0, 1.0, 0]]).to_sparse()
    heavier, changes = evened(K, S, V, [0, 1, 2], 3.0)
    weight = torch.tensor([3.0**0.5, 1.0, 1.0, 1.0])
    torch.testing.assert_close(heavier, K * weight)
    torch.testing.assert_close(changes.to_dense(), S.to_dense() * weight)


def test_facts_that_share_a_value_are_not_lifted():
    K, S = torch.randn(6, 4), torch.eye(4).to_sparse()
    same = evened(K, S, torch.eye(6, dtype=torch.float64), [], 4.0)
    assert same[0] is K and same[1] is S


def written(edit):
    ((_, left, right),) = edit.deltas()
    return left.double() @ right.double().T


def mean_keys(model, requests):
    flat = [spot for row in places(model, requests, CONTEXTS) for spot in row]
    keys, _ = keys_and_outputs(model, flat, [LAYER])
    return keys[LAYER].reshape(-1, len(requests), CONTEXTS).mean(-1)


def wanted(model, requests, overrides):
    spots = places(model, requests, CONTEXTS)
    _, h = keys_and_outputs(model, [row[0] for row in spots], [LAYER])
    objective = Objective.of(hparams_from("alphaedit", model, overrides))
    targets, subjects = [r.target_new for r in requests], [r.subject for r in requests]
    return solve(model, spots, targets, subjects, LAYER, objective, h[LAYER]).delta.double()


def assert_same_change(found, expected, tolerance=1e-4):
    assert (found - expected).norm() < tolerance * expected.norm()


def test_the_edit_is_equation_13_on_the_model_s_own_keys(small, workspace, C, overrides):
    edit = alphaedit(small, REQUESTS, overrides, workspace)
    V = null_space(C, limit(C, overrides))
    K, R = mean_keys(small, REQUESTS), wanted(small, REQUESTS, overrides)
    assert_same_change(written(edit), dense(K, R, V @ V.T, overrides["l2"]))


def test_the_edit_leaves_every_strong_direction_of_the_second_moments_alone(small, workspace, C, overrides):
    edit = alphaedit(small, REQUESTS, overrides, workspace)
    values, vectors = torch.linalg.eigh(C)
    strong = vectors[:, values >= limit(C, overrides)]
    assert strong.shape[1] == 24
    assert (written(edit) @ strong).norm() < 1e-6 * written(edit).norm()  # float32 in the file


def test_the_share_of_free_directions_is_reported(small, workspace, overrides):
    edit = alphaedit(small, REQUESTS, {**overrides, "layers": (LAYER,)}, workspace)
    assert edit.manifest["free_share"] == {str(LAYER): 0.5}


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_two_threads_find_each_layer_s_free_directions(small, threads):
    C = {layer: random_problem(seed=layer)[-1] for layer in (3, 1, 2)}
    alone = {layer: null_space(c, c.diagonal().mean().item()) for layer, c in C.items()}
    found = null_spaces(small, C, 1.0, Job.silent())
    assert list(found) == [3, 1, 2] and not C
    for layer, V in found.items():
        torch.testing.assert_close(V @ V.T, alone[layer] @ alone[layer].T)


def test_a_stop_is_heard_while_free_directions_are_looked_for(small):
    job = Job("edit")
    job.stop()
    with pytest.raises(Stopped):
        null_spaces(small, {1: random_problem()[-1]}, 1.0, job)


def test_a_threshold_that_leaves_nothing_free_is_bad_input(small, workspace, overrides):
    with pytest.raises(BadInput, match="threshold"):
        alphaedit(small, REQUESTS, {**overrides, "threshold": 1e-30}, workspace)


def test_keys_of_the_edits_below_are_held_in_place(small, workspace, overrides):
    """K_p comes from the edits that this one is stacked on, and from nowhere else."""
    first, later = REQUESTS[:1], REQUESTS[1:]
    below = alphaedit(small, first, overrides, workspace)
    edit = alphaedit(small, later, overrides, workspace, on=(below,))
    C = preserved(small, later, [LAYER], workspace=workspace, near=neighbours(small, later, 12))[LAYER]
    V = null_space(C, limit(C, overrides))
    with Variants.everywhere(small, (below,)):
        K, K_p, R = mean_keys(small, later), mean_keys(small, first), wanted(small, later, overrides)
    assert_same_change(written(edit), dense(K, R, V @ V.T, overrides["l2"], K_p))


def test_editing_a_question_again_is_not_held_back_by_its_own_key(small, workspace, overrides):
    below = alphaedit(small, REQUESTS[:1], overrides, workspace)
    edit = alphaedit(small, REQUESTS[:1], overrides, workspace, on=(below,))
    C = preserved(small, REQUESTS[:1], [LAYER], workspace=workspace, near=neighbours(small, REQUESTS[:1], 12))[LAYER]
    V = null_space(C, limit(C, overrides))
    with Variants.everywhere(small, (below,)):
        K, R = mean_keys(small, REQUESTS[:1]), wanted(small, REQUESTS[:1], overrides)
    assert_same_change(written(edit), dense(K, R, V @ V.T, overrides["l2"]))
