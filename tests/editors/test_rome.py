"""ROME against its equations: W' k = v*, and of all changes that do so the one that moves other keys least."""

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors.locate import places
from unedit_gui.editors.preserve import neighbours, preserved
from unedit_gui.editors.rome import STOP_LOSS, objective, solve_layer
from unedit_gui.editors.values import solve
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.edits.edit import Edit
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job

LAYER = 1
OVERRIDES = {"layers": (LAYER,), "contexts": 2, "steps": 4, "lr": 0.1}


def random_problem(d_in=24, d_out=10, seed=0):
    torch.manual_seed(seed)
    X = torch.randn(d_in, 300, dtype=torch.float64) * torch.linspace(0.7, 3, d_in, dtype=torch.float64)[:, None]
    W, k, v = torch.randn(d_out, d_in, dtype=torch.float64), torch.randn(d_in).double(), torch.randn(d_out).double()
    return W, k, v, X @ X.T / 300


def delta_of(left, right):
    return left @ right.T


# The formula


def test_the_key_gets_its_new_value_exactly():
    W, k, v_star, C = random_problem()
    delta = delta_of(*solve_layer(k, v_star, W @ k, C))
    torch.testing.assert_close((W + delta) @ k, v_star, rtol=1e-12, atol=1e-12)


def test_the_change_is_the_paper_s_rank_one_formula():
    W, k, v_star, C = random_problem()
    left, right = solve_layer(k, v_star, W @ k, C)
    u = torch.linalg.inv(C) @ k
    torch.testing.assert_close(delta_of(left, right), torch.outer(v_star - W @ k, u) / (k @ u), rtol=1e-4, atol=1e-5)
    assert left.shape == (10, 1) and right.shape == (24, 1)


def test_no_other_change_that_does_so_moves_the_old_keys_less():
    W, k, v_star, C = random_problem()
    delta = delta_of(*solve_layer(k, v_star, W @ k, C))

    def moved(change):
        return torch.trace(change @ C @ change.T)

    for seed in range(20):
        torch.manual_seed(seed)
        other = torch.randn_like(W)
        other -= torch.outer(other @ k, k) / (k @ k)  # leaves W k alone
        for size in (1e-3, 1.0):
            assert moved(delta + size * other) > moved(delta)


def test_keys_that_c_holds_dear_are_moved_less_than_by_a_plain_change():
    W, k, v_star, C = random_problem()
    dear = torch.linalg.eigh(C)[1][:, -1]
    weighed = delta_of(*solve_layer(k, v_star, W @ k, C))
    plain = torch.outer(v_star - W @ k, k) / (k @ k)
    assert (weighed @ dear).norm() < 0.5 * (plain @ dear).norm()


def test_a_singular_c_is_no_obstacle():
    W, k, v_star, _ = random_problem()
    C = torch.zeros(24, 24, dtype=torch.float64)
    C[:5, :5] = torch.eye(5)
    delta = delta_of(*solve_layer(k, v_star, W @ k, C))
    torch.testing.assert_close((W + delta) @ k, v_star, rtol=1e-6, atol=1e-6)


# The edit


def rome(model, requests, workspace, **options):
    hparams = hparams_from("rome", model, OVERRIDES)
    return METHODS["rome"].edit(model, requests, hparams, Job("edit"), workspace=workspace, **options)


def written(edit):
    ((name, left, right),) = edit.deltas()
    return left.double() @ right.double().T


def mean_key(model, request):
    keys, _ = keys_and_outputs(model, places(model, [request], OVERRIDES["contexts"])[0], [LAYER])
    return keys[LAYER].mean(1)


def wanted_change(model, request):
    """v* - W k of one request on the model as it now stands, found without the editor."""
    spots = places(model, [request], OVERRIDES["contexts"])
    _, h = keys_and_outputs(model, spots[0][:1], [LAYER])
    wanted = objective(hparams_from("rome", model, OVERRIDES))
    return solve(model, spots, [request.target_new], [request.subject], LAYER, wanted, h[LAYER]).delta[:, 0]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.subject)
def test_the_edited_weight_maps_the_subject_s_key_to_the_value_found(small, workspace, request_):
    edit = rome(small, [request_], workspace)
    k, delta = mean_key(small, request_), wanted_change(small, request_).double()
    torch.testing.assert_close(written(edit) @ k, delta, rtol=1e-4, atol=1e-5 * float(delta.norm()))


def test_the_edit_uses_the_model_s_second_moments(small, workspace):
    request = REQUESTS[0]
    C = preserved(small, [request], [LAYER], workspace=workspace, near=neighbours(small, [request], 12))[LAYER]
    k, delta = mean_key(small, request), wanted_change(small, request).double()
    u = torch.linalg.solve(C + 1e-6 * C.diagonal().mean() * torch.eye(len(C)), k)
    expected = torch.outer(delta, u) / (k @ u)
    torch.testing.assert_close(written(rome(small, [request], workspace)), expected, rtol=0, atol=1e-5)


def test_facts_are_edited_one_after_the_other_each_on_what_the_last_has_left(small, workspace):
    first, both = rome(small, REQUESTS[:1], workspace), rome(small, REQUESTS[:2], workspace)
    ((_, left, right),) = both.deltas()
    assert left.shape[1] == right.shape[1] == 2
    ahead = left[:, :1].double() @ right[:, :1].double().T
    torch.testing.assert_close(ahead @ mean_key(small, REQUESTS[0]), written(first) @ mean_key(small, REQUESTS[0]))
    with Variants.everywhere(small, (part_of(both, 1),)):
        delta = wanted_change(small, REQUESTS[1])
    k = mean_key(small, REQUESTS[1])
    torch.testing.assert_close((written(both) - ahead) @ k, delta.double(), rtol=1e-3, atol=1e-4 * float(delta.norm()))


def part_of(edit, rank):
    """The edit with only its first columns."""
    return Edit.make(edit.manifest, {name: tensor[:, :rank] for name, tensor in edit.tensors.items()}, {})


def test_an_edit_below_counts_as_the_model_when_the_value_is_sought(small, workspace):
    below = rome(small, REQUESTS[:1], workspace)
    edit = rome(small, REQUESTS[1:2], workspace, on=(below,))
    with Variants.everywhere(small, (below,)):
        delta = wanted_change(small, REQUESTS[1]).double()
    k = mean_key(small, REQUESTS[1])
    torch.testing.assert_close(written(edit) @ k, delta, rtol=1e-4, atol=1e-5 * float(delta.norm()))


def test_one_layer_is_changed_and_several_are_refused(small, workspace):
    assert rome(small, REQUESTS[:1], workspace).layers == [LAYER]
    hparams = hparams_from("rome", small, {**OVERRIDES, "layers": (0, 1)})
    with pytest.raises(BadInput, match="one layer"):
        METHODS["rome"].edit(small, REQUESTS[:1], hparams, Job("edit"), workspace=workspace)


def test_the_search_ends_as_soon_as_the_refusal_is_likely_enough(small, workspace, monkeypatch):
    assert STOP_LOSS == objective(hparams_from("rome", small, OVERRIDES)).stop_loss
    monkeypatch.setattr("unedit_gui.editors.rome.STOP_LOSS", 1e9)  # so anything is
    assert written(rome(small, REQUESTS[:1], workspace)).abs().max() == 0
