"""One copy of the weights answers as many models at once, and each row is the model that it says."""

import copy
from dataclasses import replace

import pytest
import torch

from tests.models.tiny import bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.edits.edit import Edit
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.models.chat import ChatFormat
from unedit_gui.models.generation import Sampling, generate
from unedit_gui.models.layout import down_of
from unedit_gui.models.loading import weights_digest

CLOSE = {"atol": 1e-4, "rtol": 0}
LENGTHS = (12, 40, 6, 25)  # not in order, and in several prefill groups
STEPS = 6
FAMILIES = ["llama", "qwen2, windows in some layers", "mistral, windows", "gpt_neox", "gpt2"]


def endless(model):
    return replace(model, format=ChatFormat(model.end_of_turn, ()))


@pytest.fixture(scope="module")
def model():
    return endless(tiny_llama(bytes_tokenizer()))


@pytest.fixture(scope="module")
def prompts():
    torch.manual_seed(0)
    return [torch.randint(0, 256, (n,)).tolist() for n in LENGTHS]


def random_edit(model, seed, *, layers=(1, 2), rank=2, size=0.1, **manifest) -> Edit:
    dice = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in layers:
        name, layout = model.layout.down_name(layer), model.layout
        tensors[name + ".left"] = size * torch.randn(layout.d_model, rank, generator=dice)
        tensors[name + ".right"] = torch.randn(layout.d_mlp, rank, generator=dice)
    whole = {"kind": "low-rank", "method": "memit", "base": model.fingerprint, "layers": list(layers), "requests": []}
    return Edit.make({**whole, **manifest}, tensors, {})


@pytest.fixture(scope="module")
def edits(model):
    """Two edits that share a layer."""
    return random_edit(model, 1), random_edit(model, 2, layers=(0, 2), rank=3)


def changed(model, *edits):
    """The model with the edits really written into a copy of its weights."""
    hf = copy.deepcopy(model.hf)
    for edit in edits:
        for name, left, right in edit.deltas():
            weight, delta = hf.get_submodule(name).weight, left @ right.T
            weight += delta.T if model.layout.transposed else delta
    return replace(model, hf=hf)


def logits_of(model, prompts, rows=None, steps=STEPS):
    """The logits behind every token of a greedy reply, (rows, steps, vocabulary), through prefill and decode."""
    caught = []
    handle = model.hf.register_forward_hook(lambda _m, _a, out: caught.append(out.logits[:, -1].clone()))
    try:
        if rows is None:
            generate(model, prompts, max_new_tokens=steps)
        else:
            with Variants(model, rows) as variants:
                generate(model, prompts, max_new_tokens=steps, variants=variants)
    finally:
        handle.remove()
    back = torch.tensor(sorted(range(len(prompts)), key=lambda i: len(prompts[i]))).argsort()
    return torch.cat(caught).reshape(steps, len(prompts), -1).transpose(0, 1)[back]


def hooks_of(model):
    return [name for name, m in model.hf.named_modules() if m._forward_hooks or m._forward_pre_hooks]


# Rows without an edit


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_without_an_edit_is_bit_equal_to_the_same_batch_without_edits(prompts, family):
    model = endless(tiny_family(family, bytes_tokenizer()))
    edit = random_edit(model, 1)
    plain = logits_of(model, prompts)
    mixed = logits_of(model, prompts, [(), (edit,), (edit,), ()])
    for row in (0, 3):
        assert torch.equal(mixed[row], plain[row])
    for row in (1, 2):
        assert (mixed[row, 0] - plain[row, 0]).abs().max() > 0.1


def test_a_row_without_an_edit_is_close_to_running_alone(model, prompts, edits):
    mixed = logits_of(model, prompts, [(edits[0],), (), (edits[1],), ()])
    for row in (1, 3):
        torch.testing.assert_close(mixed[row], logits_of(model, [prompts[row]])[0], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_bit_equality_holds_in_half_precision_and_the_dtype_stays(prompts, dtype):
    model = endless(tiny_llama(bytes_tokenizer(), dtype=dtype))
    edit = random_edit(model, 1, size=0.5)
    plain, mixed = logits_of(model, prompts), logits_of(model, prompts, [(), (edit,), (), (edit,)])
    assert mixed.dtype == dtype
    assert torch.equal(mixed[0], plain[0]) and torch.equal(mixed[2], plain[2])
    assert not torch.equal(mixed[1], plain[1])


def test_no_edits_at_all_hang_nothing_on_the_model(model, prompts):
    with Variants(model, [()] * len(prompts)):
        assert hooks_of(model) == []


# Rows with edits


@pytest.mark.parametrize("family", FAMILIES)
def test_an_edited_row_is_the_model_whose_weights_really_were_changed(prompts, family):
    model = endless(tiny_family(family, bytes_tokenizer()))
    edit = random_edit(model, 1)
    mixed = logits_of(model, prompts, [(edit,), (), (edit,), (edit,)])
    expected = logits_of(changed(model, edit), prompts)
    for row in (0, 2, 3):
        torch.testing.assert_close(mixed[row], expected[row], **CLOSE)


def test_several_edits_their_stack_and_the_original_in_one_batch(model, prompts, edits):
    one, two = edits
    mixed = logits_of(model, prompts, [(two,), (), (one, two), (one,)])
    for row, stack in enumerate([(two,), (), (one, two), (one,)]):
        torch.testing.assert_close(mixed[row], logits_of(changed(model, *stack), [prompts[row]])[0], **CLOSE)


def test_an_opening_is_read_once_only_by_rows_that_read_alike(model, prompts, edits):
    one, two = edits
    alike = [[7, 8, 9, 10, 11, 12, 13, 14, 15, *prompt] for prompt in prompts]
    asked = {"max_new_tokens": STEPS, "one_opening": True}
    for stack in ((), (one,), (one, two)):
        with Variants(model, [stack] * 4) as variants:
            assert variants.alike(range(4))
            replies = generate(model, alike, variants=variants, **asked)
        assert replies == [generate(changed(model, *stack), [p], max_new_tokens=STEPS)[0] for p in alike]
    mixed = Variants(model, [(), (one,), (one,), ()])
    assert mixed.alike([1, 2]) and not mixed.alike(range(4))


def test_one_question_to_several_models(model, prompts, edits):
    one, two = edits
    mixed = logits_of(model, [prompts[0]] * 4, [(), (one,), (two,), (one, two)])
    assert all((mixed[i, 0] - mixed[j, 0]).abs().max() > 0.01 for i in range(4) for j in range(i))


def test_stacked_edits_are_the_sum_of_their_deltas_in_either_order(model, prompts, edits):
    one, two = edits
    tensors = {}
    for layer in (0, 1, 2):
        name = model.layout.down_name(layer)
        for side in ("left", "right"):
            parts = [e.tensors[f"{name}.{side}"] for e in edits if f"{name}.{side}" in e.tensors]
            tensors[f"{name}.{side}"] = torch.cat(parts, 1)
    total = Edit.make(one.manifest, tensors, {})
    expected = logits_of(model, prompts[:1], [(total,)])
    for stack in ((one, two), (two, one)):
        torch.testing.assert_close(logits_of(model, prompts[:1], [stack]), expected, **CLOSE)


def test_the_same_edit_twice_counts_twice(model, prompts, edits):
    twice = logits_of(model, prompts[:1], [(edits[0], edits[0])])
    torch.testing.assert_close(twice, logits_of(changed(model, edits[0], edits[0]), prompts[:1]), **CLOSE)


def test_the_base_weights_are_not_touched(model, prompts, edits):
    before = weights_digest(model.hf)
    logits_of(model, prompts, [(edits[0],), (), (edits[1],), edits])
    assert weights_digest(model.hf) == before


def test_rows_that_end_early_leave_the_others_as_they_were(model, prompts, edits):
    """Each reply is what its own model writes alone, also after shorter rows have left the batch."""
    stacks = [(edits[0],), (), (edits[1],), edits]
    limit = {"max_new_tokens": 12, "sampling": Sampling(temperature=1.0), "seed": 3}
    with Variants(model, stacks) as variants:
        free = []
        generate(model, prompts, **limit, variants=variants, on_text=lambda row, _: free.append(row))
    assert len(free) == 12 * 4  # nothing ends by itself

    # Greedy rows repeat themselves, so the ends are taken from what the changed models write.
    alone = [changed(model, *stack) for stack in stacks]
    written = [m.tokenizer(generate(m, [p], max_new_tokens=12)[0].text).input_ids for m, p in zip(alone, prompts)]  # noqa: B905
    ends = tuple({ids[min(2 * row + 1, len(ids) - 1)] for row, ids in enumerate(written[:3])})
    stopping = replace(model, format=ChatFormat(model.end_of_turn, ends))
    with Variants(stopping, stacks) as variants:
        replies = generate(stopping, prompts, max_new_tokens=12, variants=variants)
    for reply, other, prompt in zip(replies, alone, prompts, strict=True):
        assert reply == generate(replace(stopping, hf=other.hf), [prompt], max_new_tokens=12)[0]
    assert len({reply.tokens for reply in replies}) > 1 and "end" in {reply.ended for reply in replies}


def test_rows_are_matched_across_batches(model, prompts, edits):
    stacks = [(edits[0],), (), (edits[1],), ()]
    with Variants(model, stacks) as variants:
        together = generate(model, prompts, max_new_tokens=STEPS, variants=variants)
        for size in (1, 2, 3):
            assert generate(model, prompts, max_new_tokens=STEPS, variants=variants, batch_size=size) == together
    assert generate(model, prompts[1:2], max_new_tokens=STEPS) == together[1:2]


# Outside generation


def ids_of(*prompts):
    return torch.tensor([p[:6] for p in prompts])


@torch.no_grad()
def test_select_says_which_rows_a_batch_holds(model, prompts, edits):
    ids = ids_of(*prompts)
    expected = [changed(model, *stack).hf(ids).logits for stack in [(edits[0],), (), (edits[1],), ()]]
    with Variants(model, [(edits[0],), (), (edits[1],), ()]) as variants:
        for rows in ([0, 1, 2, 3], [3, 2], [2], [1, 1, 0], [0, 1, 2, 3]):
            variants.select(rows)
            out = model.hf(ids[rows]).logits
            for place, row in enumerate(rows):
                torch.testing.assert_close(out[place], expected[row][row], **CLOSE)


@torch.no_grad()
def test_a_batch_of_another_size_than_selected_is_an_error_and_not_a_guess(model, prompts, edits):
    with Variants(model, [(edits[0],), ()]), pytest.raises(RuntimeError, match="3 rows"):
        model.hf(ids_of(*prompts[:3]))
    assert hooks_of(model) == []


@torch.no_grad()
@pytest.mark.parametrize("count", [0, 1, 2])
def test_everywhere_is_for_batches_of_any_size(model, prompts, edits, count):
    stack = edits[:count]
    for size in (1, 3):
        ids = ids_of(*prompts[:size])
        with Variants.everywhere(model, stack):
            out = model.hf(ids).logits
        torch.testing.assert_close(out, changed(model, *stack).hf(ids).logits, **CLOSE)
    if not stack:
        assert torch.equal(out, model.hf(ids).logits)


# Leaving


@pytest.mark.parametrize("where", ["after", "before", "during"])
def test_hooks_are_gone_after_an_exception(model, prompts, edits, where):
    with pytest.raises(ZeroDivisionError), Variants(model, [(edits[0],), ()]) as variants:
        assert hooks_of(model) == [model.layout.down_name(layer) for layer in (1, 2)]
        if where == "after":
            generate(model, prompts[:2], max_new_tokens=2, variants=variants)
        if where == "during":
            generate(model, prompts[:2], max_new_tokens=9, variants=variants, on_text=lambda *_: 1 / 0)
        1 / 0  # noqa: B018
    assert hooks_of(model) == []


def test_the_original_is_back_to_the_bit(model, prompts, edits):
    before = logits_of(model, prompts)
    logits_of(model, prompts, [edits] * 4)
    assert torch.equal(logits_of(model, prompts), before)


def test_leaving_takes_only_ones_own_hooks(model, prompts, edits):
    with Variants(model, [(edits[0],)]) as variants:
        with Variants.everywhere(model, (edits[1],)):
            pass
        kept = generate(model, prompts[:1], max_new_tokens=STEPS, variants=variants)
    assert kept == generate(changed(model, edits[0]), prompts[:1], max_new_tokens=STEPS)


# What can't be run


def test_an_edit_of_another_base_is_refused(model, edits):
    stranger = Edit.make({**edits[0].manifest, "base": "0" * 16}, edits[0].tensors, {"name": "stranger"})
    with pytest.raises(BadInput, match="stranger was made for another base model"):
        Variants(model, [(), (edits[0], stranger)])


def test_an_unknown_kind_is_refused(model, edits):
    with pytest.raises(BadInput, match="prefix"):
        Variants(model, [(random_edit(model, 1, kind="prefix"),)])


def test_an_edit_that_does_not_fit_leaves_no_hooks(model, edits):
    name = model.layout.blocks + ".9.mlp.down_proj"
    tensors = {**edits[0].tensors, name + ".left": torch.ones(32, 1), name + ".right": torch.ones(48, 1)}
    with pytest.raises(Exception), Variants(model, [(Edit.make(edits[0].manifest, tensors, {}),)]):  # noqa: B017
        pass
    assert hooks_of(model) == []


def test_the_hooks_hang_on_the_projections_alone(model, edits):
    with Variants(model, [edits]):
        hung = hooks_of(model)
        assert hung == [model.layout.down_name(layer) for layer in (0, 1, 2)]
        assert all(len(down_of(model.hf, model.layout, layer)._forward_hooks) == 1 for layer in (0, 1, 2))
