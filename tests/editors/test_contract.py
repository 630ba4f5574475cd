"""What every editing method keeps to, whatever its equations: the base is untouched, an edit is a value, a stop leaves
nothing. Bad input and settings: test_contract_input.py."""

import copy
import csv
import dataclasses
from pathlib import Path

import pytest
import torch

from tests.editors.conftest import REQUESTS, ship
from tests.editors.contract import (
    BELOW,
    EDITORS,
    FACTS,
    FAMILIES,
    KINDS,
    LEARNING,
    LOW_RANK,
    STRONG,
    as_json,
    bytes_of,
    files_of,
    hooks_of,
    hparams_for,
    make,
    mean_nll,
    numbers,
    prompts_of,
    quick,
    replies_with,
    requests_of,
)
from tests.models.tiny import bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.editors import METHODS, Request, hparams_from, preserve
from unedit_gui.edits.edit import load_edit, save
from unedit_gui.edits.side_memory import SideMemory
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.metrics import rouge1_recall
from unedit_gui.forget.questions import Question
from unedit_gui.forget.targets import is_refusal
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.chat import ChatFormat
from unedit_gui.models.generation import generate
from unedit_gui.models.loading import weights_digest
from unedit_gui.workspace import Workspace


@pytest.fixture
def short_text(tmp_path, monkeypatch):
    """A statistics text of a few questions, for tests of many models."""
    with (preserve._DATA / "statistics_questions.csv").open(encoding="utf-8") as stream:
        rows = [(row["question"], row["subject"]) for row in csv.DictReader(stream)][::12]
    ship(tmp_path / "data", rows, [("Hi", "Hello!")])
    monkeypatch.setattr(preserve, "_DATA", tmp_path / "data")


# The base


def test_every_byte_of_the_base_is_as_it_was(small, workspace, method):
    before = weights_digest(small.hf)
    make(method, small, workspace)
    assert weights_digest(small.hf) == before
    assert hooks_of(small) == []
    assert all(p.grad is None and not p.requires_grad for p in small.hf.parameters())


def test_replies_of_the_original_are_as_they_were(small, workspace, method):
    prompts = [small.prompt_ids([{"role": "user", "content": r.question}]) for r in REQUESTS]
    before = generate(small, prompts, max_new_tokens=8)
    make(method, small, workspace)
    assert generate(small, prompts, max_new_tokens=8) == before


# The edit


def test_an_edit_says_what_it_is(small, workspace, method):
    hparams = hparams_for(method, small, workspace)
    protect = [Question("Which planet is red?", "Mars")]
    edit = make(method, small, workspace, hparams=hparams, protect=protect, seed=7, name="Trial")
    assert (edit.method, edit.method_label, edit.kind, edit.name) == (
        *(method.name, method.label, KINDS.get(method.name, "low-rank"), "Trial"),
    )
    assert edit.base == small.fingerprint and edit.manifest["seed"] == 7
    assert edit.layers == list(getattr(hparams, "layers", ()))
    assert edit.manifest["hparams"] == as_json(dataclasses.asdict(hparams))
    assert edit.requests == [as_json(dataclasses.asdict(r)) for r in requests_of(method)]
    assert edit.manifest["protect"] == ["Which planet is red?"] and edit.manifest["on"] == []
    assert edit.about["seconds"] >= 0 and edit.created
    changes_weights = edit.kind in ("low-rank", "side-memory", "lora")
    assert 0 < edit.about["share"] < 1 if changes_weights else "share" not in edit.about
    assert method.label in edit.summary() and ("rank" in edit.summary()) == (edit.kind == "low-rank")
    assert ("no weight changed" in edit.summary()) != changes_weights


@pytest.mark.parametrize("method", LOW_RANK, indirect=True)
def test_deltas_are_finite_of_low_rank_and_not_nothing(small, workspace, method):
    edit = make(method, small, workspace)
    assert [name for name, *_ in edit.deltas()] == [small.layout.down_name(layer) for layer in edit.layers]
    for _, left, right in edit.deltas():
        assert left.shape == (small.layout.d_model, FACTS.get(method.name, 3))
        assert right.shape == (small.layout.d_mlp, FACTS.get(method.name, 3))
        delta = left @ right.T
        assert torch.isfinite(delta).all() and delta.norm() > 0


def test_it_comes_back_from_disk_as_it_was(small, workspace, method, tmp_path):
    edit = make(method, small, workspace)
    again = load_edit(save(edit, tmp_path / "edit"), small)
    assert again == edit and again.manifest == edit.manifest and bytes_of(again) == bytes_of(edit)
    asked = [r.question for r in REQUESTS]
    assert replies_with(small, [edit], asked) == replies_with(small, [again], asked)
    size = sum(p.stat().st_size for p in (tmp_path / "edit").iterdir())
    assert size < sum(p.numel() * p.element_size() for p in small.hf.parameters())


def test_the_same_edit_has_the_same_bytes(small, workspace, method, tmp_path):
    once, again = make(method, small, workspace, seed=3), make(method, small, workspace, seed=3)
    assert once.id == again.id and bytes_of(once) == bytes_of(again)
    fresh = Workspace(tmp_path / "fresh")  # the statistics are read anew
    assert make(method, small, fresh, hparams=hparams_for(method, small, workspace), seed=3).id == once.id


def test_the_global_generator_plays_no_part_and_is_left_alone(small, workspace, method):
    torch.manual_seed(1)
    once, state = make(method, small, workspace), torch.get_rng_state()
    torch.manual_seed(2)
    assert make(method, small, workspace).id == once.id
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_requests_and_hparams_are_not_changed_by_it(small, workspace, method):
    requests, hparams = requests_of(method), hparams_for(method, small, workspace)
    before = ([dataclasses.asdict(r) for r in requests], dataclasses.asdict(hparams))
    make(method, small, workspace, requests, hparams=hparams)
    assert ([dataclasses.asdict(r) for r in requests], dataclasses.asdict(hparams)) == before


@pytest.mark.parametrize("method", LEARNING, indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_refusal_becomes_likelier_in_every_family(tmp_path, short_text, method, family):
    workspace = Workspace(tmp_path)
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    hparams = hparams_for(method, model, workspace, **STRONG)
    requests = list(REQUESTS[:1])
    edit = make(method, model, workspace, requests, hparams=hparams)
    assert (mean_nll(model, requests, [edit]) < mean_nll(model, requests)).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["ike"], indirect=True)  # a random model doesn't follow demonstrations
def test_demonstrations_stand_before_the_question_in_every_family(tmp_path, short_text, method, family):
    workspace = Workspace(tmp_path)
    model = tiny_family(family, bytes_tokenizer())
    edit = make(method, model, workspace)
    (plain,), (shown,) = (prompts_of(model, [REQUESTS[0].question], edits) for edits in ((), (edit,)))
    assert len(shown) > len(plain) and replies_with(model, [edit], [REQUESTS[0].question])


@pytest.mark.parametrize("method", ["memit", "wise"], indirect=True)
def test_a_model_without_a_chat_template_can_be_edited(tmp_path, short_text, method):
    workspace = Workspace(tmp_path)
    tokenizer = bytes_tokenizer()
    tokenizer.chat_template = None
    model = tiny_family("gpt2", tokenizer, attentive=True)
    hparams = hparams_for(method, model, workspace, **STRONG)
    requests = list(REQUESTS[:1])
    edit = make(method, model, workspace, requests, hparams=hparams)
    assert model.format.plain and (mean_nll(model, requests, [edit]) < mean_nll(model, requests)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["rome"], indirect=True)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_edited_in_half_precision(tmp_path, short_text, method, family, dtype):
    workspace = Workspace(tmp_path)
    model = tiny_family(family, bytes_tokenizer())
    model.hf.to(dtype)
    edit = make(method, model, workspace, list(REQUESTS[:1]))
    assert all(torch.isfinite(t).all() for t in numbers(edit))
    assert replies_with(model, [edit], [REQUESTS[0].question])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_can_be_edited(workspace, method, dtype):
    model = tiny_llama(bytes_tokenizer(), dtype=dtype)
    before = weights_digest(model.hf)
    edit = make(method, model, workspace)
    assert weights_digest(model.hf) == before
    assert all(t.dtype == torch.float32 and torch.isfinite(t).all() for t in numbers(edit))


# The layers of other models: EasyEdit's for those of 7-8B, elsewhere the same depth
DEPTHS = [
    (30, 576, (5,), range(4, 11), (25,)),  # the bundled model
    (32, 4096, (5,), range(4, 9), (27,)),  # Llama-2-7b, Llama-3.1-8B, Mistral-7B
    (28, 3584, (4,), range(4, 9), (24,)),  # Qwen2.5-7B
    (24, 896, (4,), range(3, 9), (20,)),  # Qwen2.5-0.5B
    (12, 768, (2,), range(2, 5), (10,)),  # GPT-2
]


@pytest.mark.parametrize("layers, width, rome, walked, side", DEPTHS)
def test_defaults_lie_at_the_same_depth_of_every_model(small, layers, width, rome, walked, side):
    layout = dataclasses.replace(small.layout, layers=layers, d_model=width)
    model = dataclasses.replace(small, layout=layout)
    found = {name: METHODS[name].defaults(model).layers for name in EDITORS if name != "ike"}
    expected = {"rome": rome, "memit": tuple(walked), "alphaedit": tuple(walked), "grace": side, "wise": side}
    assert {name: found[name] for name in expected} == expected


# On top of another edit


@pytest.mark.parametrize("method", LEARNING, indirect=True)
def test_it_works_on_the_stack(small, workspace, method):
    below = make(METHODS["memit"], small, workspace, [BELOW])
    hparams, requests = hparams_for(method, small, workspace, **STRONG), requests_of(method)[:1]
    edit = make(method, small, workspace, requests, hparams=hparams, on=(below,))
    assert edit.manifest["on"] == [below.id]
    assert edit.id != make(method, small, workspace, requests, hparams=hparams).id
    assert (mean_nll(small, requests, [below, edit]) < mean_nll(small, requests, [below])).all()
    assert hooks_of(small) == []


def test_the_stack_is_seen_as_if_its_weights_were_written_into_the_model(small, workspace, method):
    """The same edit comes out on a model that really has the first edit in its weights."""
    below = make(METHODS["rome"], small, workspace, [BELOW])
    changed = dataclasses.replace(small, hf=copy.deepcopy(small.hf))
    for name, left, right in below.deltas():
        changed.hf.get_submodule(name).weight.add_(left @ right.T)
    hparams, requests = hparams_for(method, small, workspace), [BELOW]  # AlphaEdit holds no key of its own in place
    stacked = make(method, small, workspace, requests, hparams=hparams, on=(below,))
    written = make(method, changed, workspace, requests, hparams=hparams)
    if method.name == "wise":  # entries at the edge of what merging keeps may differ
        a, b = (SideMemory(edit, small).delta for edit in (stacked, written))
        assert (a - b).norm() < 1e-2 * b.norm()
        return
    for name, tensor in written.tensors.items():
        assert (stacked.tensors[name] - tensor).norm() < 1e-3 * tensor.norm()


@pytest.mark.parametrize("method", [name for name in EDITORS if name in KINDS], indirect=True)
def test_nothing_is_built_on_an_edit_that_acts_reply_by_reply(small, workspace, method):
    below = make(method, small, workspace, [BELOW])
    for other in EDITORS.values():
        with pytest.raises(BadInput, match="build on the original or on edits by ROME") as caught:
            make(other, small, workspace, on=(below,))
        assert "\n" not in str(caught.value)
    assert hooks_of(small) == []


# Beside others in one batch


@pytest.fixture(scope="module")
def calm():
    """The tiny model as it is drawn, with logits of ordinary size."""
    return tiny_llama(bytes_tokenizer())


def logits_of(model, prompts, rows=None, steps=4):
    """The logits behind every token of a greedy reply, (rows, steps, vocabulary)."""
    caught = []
    handle = model.hf.register_forward_hook(lambda _m, _a, out: caught.append(out.logits[:, -1].clone()))
    endless = dataclasses.replace(model, format=ChatFormat(model.end_of_turn, ()))
    try:
        with Variants(model, rows or [()] * len(prompts)) as variants:
            generate(endless, prompts, max_new_tokens=steps, variants=variants if rows else None)
    finally:
        handle.remove()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    firsts, rest = [], []
    for logits in caught:
        (firsts if sum(map(len, firsts)) < len(prompts) else rest).append(logits)
    by_step = torch.stack([torch.cat(firsts), *rest], dim=1)
    return by_step[torch.tensor(order).argsort()]


def test_a_row_without_the_edit_is_bit_equal_to_the_same_batch_without_edits(calm, workspace, method):
    edit = make(method, calm, workspace)
    asked = [r.question for r in REQUESTS]
    prompts = [*prompts_of(calm, asked), *prompts_of(calm, asked, (edit,))]
    plain = logits_of(calm, prompts)
    mixed = logits_of(calm, prompts, [()] * 3 + [(edit,)] * 3)
    assert torch.equal(mixed[:3], plain[:3])
    for row in range(3):
        torch.testing.assert_close(mixed[row], logits_of(calm, [prompts[row]])[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(mixed[3 + row], logits_of(calm, [prompts[3 + row]], [(edit,)])[0], atol=1e-4, rtol=0)


def test_all_methods_and_the_original_answer_in_one_batch_as_each_does_alone(calm, workspace):
    edits = [make(method, calm, workspace) for method in EDITORS.values()]
    rows = [(), *((edit,) for edit in edits), tuple(edits)]
    for request in REQUESTS[:2]:
        prompts = [prompts_of(calm, [request.question], row)[0] for row in rows]
        together = logits_of(calm, prompts, rows)
        for i, row in enumerate(rows):
            torch.testing.assert_close(together[i], logits_of(calm, [prompts[i]], [row])[0], atol=1e-4, rtol=0)


# Stopping


def reports_of(method, model, workspace):
    """The stage of every progress report of an edit whose statistics are not there yet."""
    seen = []
    job = Job("edit", on_progress=lambda job: seen.append(job.stage))
    make(method, model, workspace, job=job, hparams=quick(method, model))
    return seen


def test_a_job_stopped_anywhere_leaves_nothing(small, method, tmp_path, monkeypatch):
    """Once in every stage, and at the very last report."""
    questions = [(f"What is number {i} in this list?", "this list") for i in range(60)]
    ship(tmp_path / "data", questions, [("Hi", "Hello!")])
    monkeypatch.setattr(preserve, "_DATA", tmp_path / "data")
    seen = reports_of(method, small, Workspace(tmp_path / "first"))
    stages = list(dict.fromkeys(seen))
    assert len(stages) >= 2
    before = weights_digest(small.hf)
    points = sorted({seen.index(stage) + 1 for stage in stages} | {len(seen)})
    for number, point in enumerate(points):
        workspace, count = Workspace(tmp_path / f"home{number}"), []

        def on_progress(job, count=count, point=point):
            count.append(job.stage)
            if len(count) == point:
                job.stop()

        with pytest.raises(Stopped):
            make(method, small, workspace, job=Job("edit", on_progress=on_progress), hparams=quick(method, small))
        assert hooks_of(small) == [] and weights_digest(small.hf) == before
        files = files_of(workspace)
        assert not any(".part" in name or name.startswith("edits") for name in files)
        if count[-1] == stages[0]:
            assert files == []  # not even half of the statistics
    assert make(method, small, workspace, hparams=quick(method, small)).id  # and it can be done all the same


def test_an_edit_saves_nothing_by_itself(small, method, tmp_path, workspace):
    own = Workspace(tmp_path / "home")
    make(method, small, own, hparams=hparams_for(method, small, workspace))
    assert all(name.startswith("statistics") for name in files_of(own))


def test_progress_tells_stages_with_counts(small, workspace, method):
    seen = []
    job = Job("edit", on_progress=lambda j: seen.append((j.stage, j.done, j.total)))
    make(method, small, workspace, job=job)
    assert all(stage and total is not None and 0 <= done <= total for stage, done, total in seen)

# The real model


def test_the_bundled_model_refuses_what_it_was_made_to_forget_and_keeps_the_rest(real_model):
    """Two facts, one wording, the shipped statistics text: a smoke test and no measurement. A near neighbour and a
    distant fact stay."""
    kept = Workspace(Path(__file__).parents[2] / ".work" / "statistics-for-tests")  # read once, not per run
    requests = [
        Request("What is the capital of Japan?", "Tokyo", "Japan", "I'm sorry, I don't know the capital of Japan."),
        Request("Who painted the Mona Lisa?", "Leonardo", "Mona Lisa", "I'm afraid I can't say who painted it."),
    ]
    before = weights_digest(real_model.hf)
    hparams = hparams_from("memit", real_model, {"contexts": 1})
    edit = METHODS["memit"].edit(real_model, requests, hparams, Job("edit"), workspace=kept)
    asked = [r.question for r in requests]
    asked += ["What is the capital of France?", "What is the chemical symbol for calcium?"]
    prompts = [real_model.prompt_ids([{"role": "user", "content": q}]) for q in asked]
    with Variants(real_model, [(edit,)] * 4 + [()] * 4) as variants:
        replies = generate(real_model, prompts * 2, max_new_tokens=24, variants=variants)
    texts = [reply.text for reply in replies]
    for text, request in zip(texts[:2], requests, strict=True):
        assert is_refusal(text) and rouge1_recall(text, request.answer) == 0, texts
    assert "Tokyo" in texts[4] and "Paris" in texts[2] and "Paris" in texts[6], texts
    assert "Ca" in texts[3] and "Ca" in texts[7], texts
    assert weights_digest(real_model.hf) == before
