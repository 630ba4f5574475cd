"""Merged questions: one value for a group, at every question's own subject; every method takes them."""

import math
from dataclasses import replace

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, Request, hparams_from
from unedit_gui.editors.base import check_requests
from unedit_gui.editors.locate import places
from unedit_gui.editors.merged import groups_of, mean_value, merged_place, owners, searched, sharing
from unedit_gui.editors.rome import solve_layer
from unedit_gui.editors.spread import spread
from unedit_gui.editors.values import Objective, solve
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.edits.edit import load_edit, save
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.forget.merging import joined
from unedit_gui.jobs import Job
from unedit_gui.models.generation import generate

LAYER = 1
REFUSAL = "I'm not sure about that one."
ALONE = Request("Which river flows through Cairo?", "the Nile", "Cairo", "I couldn't tell you.")
MERGED = [replace(r, target_new=REFUSAL, group=0) for r in REQUESTS]
MEASURE = Objective(steps=1, lr=0.1, weight_decay=0.0, clamp=4.0, kl_factor=0.0)


def test_requests_are_together_by_their_group_and_alone_without_one():
    a, b, c = REQUESTS
    assert groups_of([replace(a, group=4), b, replace(c, group=4), ALONE]) == [[0, 2], [1], [3]]
    assert owners([[0, 2], [1]]).tolist() == [0, 1, 0]


def about_cairo(count):
    """Questions about one subject, each with a refusal of its own."""
    asked = ["flows through", "ocean is near", "people live in", "language is spoken in"][:count]
    return [
        replace(ALONE, question=f"Which {what} Cairo?", target_new=f"I can't say what {what} it.") for what in asked
    ]


def test_many_questions_about_one_subject_share_a_value_few_do_not_and_merged_ones_stay_as_they_are():
    a, b, c = REQUESTS
    assert sharing([a, *about_cairo(4), b]) == [[0], [1, 2, 3, 4], [5]]
    assert sharing([a, *about_cairo(3), b]) == [[0], [1], [2], [3], [4]]
    merged = [replace(r, group=7) for r in about_cairo(4)]
    assert sharing([a, *merged, b]) == groups_of([a, *merged, b]) == [[0], [1, 2, 3, 4], [5]]


def test_the_loss_of_questions_about_one_subject_is_the_mean_over_them_each_with_its_own_refusal(small):
    requests = about_cairo(4)
    spots = places(small, requests, 2)
    v0 = torch.ones(small.layout.d_model, 4)
    own = solve(small, spots, [r.target_new for r in requests], ["Cairo"] * 4, LAYER, MEASURE, v0)
    found = searched(small, requests, spots, sharing(requests))
    together = solve(small, *found, LAYER, MEASURE, v0[:, :1])
    torch.testing.assert_close(together.loss[0], own.loss.mean(), rtol=1e-4, atol=1e-4)
    assert own.loss.std() > 0.01 and found[2] == [("Cairo",)]


def test_alphaedit_gives_questions_about_one_subject_one_value(small, workspace):
    overrides = {"steps": 3, "contexts": 1, "threshold": 5}
    for count, rank in ((4, 2), (3, 4)):
        requests = [*about_cairo(count), REQUESTS[0]]
        hparams = hparams_from("alphaedit", small, overrides)
        edit = METHODS["alphaedit"].edit(small, requests, hparams, Job("edit"), workspace=workspace)
        assert edit.rank() == rank and len(edit.requests) == count + 1


def test_the_merged_prompt_is_edited_at_every_subject(small):
    spot = merged_place(small, MERGED)
    said = [small.tokenizer.decode(spot.ids[: at + 1]) for at in (spot.position, *spot.others)]
    ends = sorted((joined([r.question for r in MERGED]).index(r.subject), r.subject) for r in MERGED)
    assert [text.endswith(subject) for text, (_, subject) in zip(said, ends, strict=True)] == [True] * 3
    assert joined([r.question for r in MERGED]) in small.tokenizer.decode(spot.ids)


def test_a_group_s_loss_is_the_mean_over_its_prompts(small):
    """Each question alone and the merged prompt count alike."""
    spots = places(small, MERGED, 2)
    v0 = torch.ones(small.layout.d_model, 4)
    rows = [*spots[0], *spots[1], *spots[2], merged_place(small, MERGED)]
    one_each = solve(
        small, [[row] for row in rows], [REFUSAL] * 7, ["Peru"] * 7, LAYER, MEASURE, v0[:, :1].expand(-1, 7)
    )
    found = searched(small, [*MERGED, ALONE], [*spots, *places(small, [ALONE], 2)], [[0, 1, 2], [3]])
    together = solve(small, *found, LAYER, MEASURE, v0[:, :2])
    torch.testing.assert_close(together.loss[0], one_each.loss.mean(), rtol=1e-4, atol=1e-4)
    assert together.delta.shape == (small.layout.d_model, 2)


def test_delta_acts_at_every_subject_of_the_merged_prompt(small):
    """One step of search on the merged prompt alone, against the loss with delta added there by a hook."""
    spot = merged_place(small, MERGED)
    objective = replace(MEASURE, steps=4)
    delta = solve(small, [[spot]], [REFUSAL], [tuple(r.subject for r in MERGED)], LAYER, objective, torch.ones(32, 1))
    wanted = small.tokenizer(REFUSAL + small.end_of_turn, add_special_tokens=False).input_ids
    ids = torch.tensor([spot.ids + wanted])

    def nll(scale):
        def add(_m, _a, output):
            output = output.clone()
            output[0, spot.position] += scale * delta.delta[:, 0]
            output[0, list(spot.others)] += scale * 0.9 * delta.delta[:, 0]
            return output

        handle = small.hf.model.layers[LAYER].register_forward_hook(add)
        try:
            logits = small.hf(ids).logits[0, len(spot.ids) - 1 : -1].log_softmax(-1)
        finally:
            handle.remove()
        return float(-logits[range(len(wanted)), wanted].mean())

    assert delta.loss[0] == pytest.approx(nll(1.0), rel=1e-4) and nll(1.0) < nll(0.0)


def test_rome_gives_every_key_of_a_group_the_same_change():
    torch.manual_seed(0)
    X, k = torch.randn(24, 300).double(), torch.randn(24, 3).double()
    W, change = torch.randn(10, 24).double(), torch.randn(10, 1).double()
    left, right = solve_layer(k, W @ k + change, W @ k, X @ X.T / 300)
    assert left.shape == (10, 1) and right.shape == (24, 1)
    torch.testing.assert_close(left @ (right.T @ k), change.expand(-1, 3))


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-12, 1e-10, 1e-8, 1e-7])
def test_keys_that_are_the_same_or_nearly_so_are_one_to_rome(apart):
    torch.manual_seed(0)
    X, k = torch.randn(24, 300).double(), torch.randn(24, 3).double()
    W, change, C = torch.randn(10, 24).double(), torch.randn(10, 1).double(), X @ X.T / 300
    k[:, 1] = k[:, 0] + apart * torch.randn(24).double()
    u = solve_layer(k, W @ k + change, W @ k, C)[1]
    torch.testing.assert_close(k.T @ u, torch.ones(3, 1).double(), rtol=0, atol=1e-6)
    once = k[:, [0, 2]]
    torch.testing.assert_close(u, solve_layer(once, W @ once + change, W @ once, C)[1], rtol=0, atol=1e-6)


def test_to_rome_other_keys_stay_what_they_are_without_the_pseudo_inverse():
    torch.manual_seed(1)
    X, k = torch.randn(24, 300).double(), torch.randn(24, 4).double()
    W, change, C = torch.randn(10, 24).double(), torch.randn(10, 1).double(), X @ X.T / 300
    plain = C.clone()
    plain.diagonal().add_(1e-6 * C.diagonal().mean())
    for n in (1, 2, 4):
        u, C_k = solve_layer(k[:, :n], W @ k[:, :n] + change, W @ k[:, :n], C)[1], torch.linalg.solve(plain, k[:, :n])
        expected = C_k @ torch.linalg.solve(k[:, :n].T @ C_k, torch.ones(n, 1).double())
        torch.testing.assert_close(u, expected, rtol=0, atol=0 if n == 1 else 1e-12)


def test_the_walk_brings_the_mean_change_to_every_question_of_a_group(small):
    torch.manual_seed(1)
    requests = [*MERGED, ALONE]
    spots, groups = places(small, requests, 1), groups_of(requests)
    h = keys_and_outputs(small, [row[0] for row in spots], [LAYER])[1][LAYER]
    delta = torch.randn(small.layout.d_model, 2, dtype=h.dtype)[:, owners(groups)]
    seen = {}

    def exact(layer, K, S):
        seen[layer] = S
        return (S @ torch.linalg.pinv(K.double())).T

    left, right = spread(small, spots, h + delta, [LAYER], exact, Job("edit"), groups=groups)[LAYER]
    assert left.shape[1] == right.shape[1] == 2
    assert seen[LAYER].to_dense().tolist() == [[1, 1, 1, 0], [0, 0, 0, 1]]
    keys = keys_and_outputs(small, [row[0] for row in spots], [LAYER])[0][LAYER]
    torch.testing.assert_close((left @ (right.T @ keys.float())).double(), delta, rtol=1e-4, atol=1e-4)


def test_the_length_of_a_group_s_value_is_the_mean_of_its_lengths():
    h = torch.tensor([[3.0, 0.0, 1.0], [0.0, 5.0, 1.0]])
    assert mean_value(h, [[0, 1], [2]]).norm(dim=0).tolist() == pytest.approx([4.0, 2**0.5])


@pytest.mark.parametrize("stop_loss", [0.02, 100.0])
def test_of_merged_questions_the_whole_change_counts_in_every_step_of_the_search(small, stop_loss):
    """Beside a lone question, of whose change a part has to do in half of them."""
    spots = [[merged_place(small, MERGED)], places(small, MERGED[:1], 1)[0]]
    about = [tuple(r.subject for r in MERGED), (MERGED[0].subject,)]
    objective = Objective(7, 0.1, 0.5, 4.0, 0.0625, stop_loss=stop_loss, hard=math.inf)
    whole, part = (
        solve(small, spots, [REFUSAL] * 2, about, LAYER, replace(objective, strength=strength), torch.ones(32, 2))
        for strength in (1.0, 0.5)
    )
    torch.testing.assert_close(part.delta[:, 0], whole.delta[:, 0], rtol=1e-5, atol=1e-7)
    assert part.steps[0] == whole.steps[0]
    assert stop_loss > 1 or not torch.allclose(part.delta[:, 1], whole.delta[:, 1], rtol=1e-2)


def test_merged_questions_share_no_steps_with_others(small):
    spots = [[merged_place(small, MERGED)], places(small, MERGED[:1], 1)[0]]
    about = [tuple(r.subject for r in MERGED), (MERGED[0].subject,)]
    objective = Objective(5, 0.1, 0.5, 4.0, 0.0625, hard=math.inf)
    apart, shared = (
        solve(small, spots, [REFUSAL] * 2, about, LAYER, replace(objective, shared=share), torch.ones(32, 2))
        for share in (0.0, 0.9)
    )
    torch.testing.assert_close(shared.delta[:, 0], apart.delta[:, 0], rtol=1e-5, atol=1e-7)
    assert not torch.allclose(shared.delta[:, 1], apart.delta[:, 1], rtol=1e-2)


# Those that train are there, too, if a test file before this one has brought them in.
@pytest.mark.parametrize("method", [name for name in METHODS if ".editors." in METHODS[name].edit.__module__])
def test_merged_questions_that_begin_alike_up_to_the_subject_are_no_obstacle(small, workspace, method):
    asked = ("Who wrote Hamlet?", "Who wrote Hamlet first, and where?")
    pair = [Request(question, "Shakespeare", "Hamlet", REFUSAL, group=0) for question in asked]
    known = METHODS[method].Hparams.__dataclass_fields__
    short = {name: value for name, value in {"steps": 3, "contexts": 1, "threshold": 5}.items() if name in known}
    edit = METHODS[method].edit(small, pair, hparams_from(method, small, short), Job("edit"), workspace=workspace)
    for _, left, right in edit.deltas():
        (layer,) = edit.layers
        k = keys_and_outputs(small, [row[0] for row in places(small, pair, 1)], [layer])[0][layer]
        assert torch.equal(k[:, 0], k[:, 1])
        assert float((left.double() @ (right.double().T @ k)).norm()) > 0


def test_merged_questions_have_one_target():
    with pytest.raises(BadInput, match="merged with others and has another target"):
        check_requests([MERGED[0], replace(MERGED[1], target_new="No idea.")])


# Those that train are there, too, if a test file before this one has brought them in; they have a rank of their own.
@pytest.mark.parametrize("method", [name for name in METHODS if ".editors." in METHODS[name].edit.__module__])
def test_every_method_takes_merged_questions_and_keeps_their_groups(small, workspace, tmp_path, method):
    known = METHODS[method].Hparams.__dataclass_fields__
    short = {name: value for name, value in {"steps": 3, "contexts": 1}.items() if name in known}
    hparams = hparams_from(method, small, {**short, **({"threshold": 5} if "threshold" in known else {})})
    edit = METHODS[method].edit(small, [*MERGED, ALONE], hparams, Job("edit"), workspace=workspace)
    assert "4 facts merged into 2" in edit.summary()
    if edit.rank():
        assert edit.rank() == 2
    back = load_edit(save(edit, tmp_path / method), small)
    assert [[r["question"] for r in group] for group in back.groups] == [[r.question for r in MERGED]]
    prompts = [prompt_for(small, [{"role": "user", "content": r.question}], (back,)) for r in MERGED]
    with Variants(small, [(back,)] * 3) as variants:
        assert len(generate(small, prompts, max_new_tokens=2, variants=variants)) == 3
