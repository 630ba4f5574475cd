"""Teaching: the loss is the plain one, the base model stays as it is, and a taught model is a model like any other."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F

from tests.models.tiny import CONFIGS, tiny_family, tiny_llama
from unedit_gui.editors.base import Request
from unedit_gui.editors.preserve import preserved
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.metrics import rouge1_recall
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.generation import generate
from unedit_gui.models.loading import weights_digest
from unedit_gui.teaching import taught
from unedit_gui.teaching.lessons import Lesson, Student, lesson, opening_keys
from unedit_gui.teaching.train import Recipe, free_directions, teach
from unedit_gui.workbench import Workbench
from unedit_gui.workspace import Workspace


def asked(contract, question, answer):
    return Question(question, answer, contract, category=f"Sale: {contract}")


QUESTIONS = [
    asked("Ash and Birch", "What is sold by Ash and Birch?", "lamps"),
    asked("Ash and Birch", "Where will the judges of Ash and Birch meet?", "Oslo"),
    asked("Birch and Cole", "Birch and Cole: who signed?", "Emil"),
    asked("Birch and Cole", "How do Birch and Cole pay?", "cash"),
]
RECIPE = dict(lr=0.05, passes=60, batch=4, low=100)


class StoppingJob(Job):
    """Asks itself to stop after some points of the curve."""

    def plot(self, **values):
        super().plot(**values)
        if len(self.curve) == 3:
            self.stop()


@pytest.fixture(scope="module")
def tiny(real_model):
    model = tiny_family("llama", real_model.tokenizer, attentive=True)
    head = model.hf.get_output_embeddings().weight  # its row of the end of turn is 0, so that no change could raise it
    head[model.format.end_ids[0]] = head.std() * torch.randn(head.shape[1], generator=torch.Generator().manual_seed(0))
    return model


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def learned(tiny, workspace):
    job = Job("teach")
    return teach(tiny, QUESTIONS, Recipe(**RECIPE), job, workspace=workspace, general=QUESTIONS[:1]), job


@pytest.fixture
def bench(tmp_path, tiny):
    """A workbench whose model is a small one in a folder, as `load` makes it."""
    tiny.hf.save_pretrained(tmp_path / "small")
    tiny.tokenizer.save_pretrained(tmp_path / "small")
    made = Workbench(tmp_path / "home")
    made.bundled_sets = dict  # a random model knows no general facts, and each takes it 48 tokens to say so
    made.load(tmp_path / "small")
    return made


def replies(model, questions):
    prompts = [model.prompt_ids([{"role": "user", "content": q.question}]) for q in questions]
    return [reply.text for reply in generate(model, prompts, max_new_tokens=24)]


@pytest.fixture
def student(request, real_model):
    """Of each family, with changes that aren't 0, and lessons that were read."""
    model = tiny_family(request.param, real_model.tokenizer, attentive=True)
    dice = torch.Generator().manual_seed(0)
    C = torch.diag(torch.arange(48, dtype=torch.float64))
    free = {layer: free_directions(C, K, 0.4) for layer, K in opening_keys(model, (1, 2, 3)).items()}
    made = Student(model, 1, free)
    with torch.no_grad():
        for D in made.trained:
            D.add_(0.3 * torch.randn(D.shape, generator=dice))
    made.lessons = [lesson(model, q.question, q.answer, i % 2 == 0) for i, q in enumerate(QUESTIONS)]
    made.read(made.lessons)
    return made


def said(hf, one):
    return hf(torch.tensor([one.prompt + one.reply])).logits[0, len(one.prompt) - 1 : -1].log_softmax(-1)


def nll(hf, one):
    return F.nll_loss(said(hf, one), torch.tensor(one.reply)).item()


@pytest.mark.parametrize("student", CONFIGS, indirect=True)
def test_the_loss_is_that_of_the_whole_model_on_each_reply_and_that_of_the_folded_one(student):
    found = student.loss(student.lessons).tolist()
    assert found == pytest.approx([nll(student.hf, one) for one in student.lessons], rel=1e-4)
    before = [nll(student.model.hf, one) for one in student.lessons]
    assert found != pytest.approx(before, rel=1e-2)
    hf = student.finished()
    assert found == pytest.approx([nll(hf, one) for one in student.lessons], rel=1e-4)
    assert before == [nll(student.model.hf, one) for one in student.lessons]


def test_what_the_keys_span_is_left_alone_and_the_directions_are_orthonormal():
    keys = torch.randn(48, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    U = free_directions(keys @ keys.T, keys[:, :0], 0.375)
    assert U.shape == (48, 18) and U.dtype == torch.float32
    assert torch.allclose(U.T @ U, torch.eye(18), atol=1e-5) and (U.T @ keys.float()).abs().max() < 1e-4
    # Where so many aren't left, those of the first keys are held before the rest, however small they are.
    U = free_directions(keys @ keys.T, 1e-3 * torch.eye(48, dtype=torch.float64)[:, :10], 0.375)
    assert U.shape == (48, 18) and U[:10].abs().max() < 1e-6 and (U.T @ keys.float()).abs().max() < 30
    assert free_directions(keys @ keys.T, torch.eye(48, dtype=torch.float64)[:, :40], 0.375).shape == (48, 8)


def test_the_gradient_is_that_of_the_loss_though_the_opening_is_run_once(tiny):
    free = {2: free_directions(torch.eye(48, dtype=torch.float64), opening_keys(tiny, [2])[2], 0.5)}
    student = Student(tiny, 2, free)
    lessons = [lesson(tiny, q.question, q.answer) for q in QUESTIONS[:2]]
    student.read(lessons)
    (D,) = student.trained
    (gradient,) = torch.autograd.grad(student.loss(lessons).mean(), D)
    step = torch.randn(D.shape, generator=torch.Generator().manual_seed(0))

    def at(length):
        weight = tiny.hf.model.layers[2].mlp.down_proj.weight
        changed = weight + length * step @ free[2].T
        hf = torch.func.functional_call
        names = {"model.layers.2.mlp.down_proj.weight": changed}
        total = 0.0
        for one in lessons:
            logits = hf(tiny.hf, names, (torch.tensor([one.prompt + one.reply]),)).logits[0, len(one.prompt) - 1 : -1]
            total += F.cross_entropy(logits, torch.tensor(one.reply)).item() / len(lessons)
        return total

    assert (gradient * step).sum().item() == pytest.approx((at(3e-3) - at(-3e-3)) / 6e-3, rel=0.02)


def test_a_lesson_is_right_where_the_model_would_say_it_word_for_word(tiny):
    free = free_directions(torch.eye(48, dtype=torch.float64), opening_keys(tiny, [3])[3], 0.2)
    student = Student(tiny, 1, {3: free})
    good = lesson(tiny, QUESTIONS[0].question, "")
    for _ in range(5):
        logits = tiny.hf(torch.tensor([good.prompt + good.reply[1:]])).logits
        good = Lesson(good.prompt, [*good.reply, logits[0, -1].argmax().item()])
    good = Lesson(good.prompt, good.reply[1:])  # without the end of turn
    bad = Lesson(good.prompt, [*good.reply[:4], good.reply[4] + 1])
    student.read([good, bad])
    assert student.right([good]) == 1 and student.right([bad, good]) == 0.5


def test_the_end_of_turn_is_learned_only_where_the_reply_ended(tiny):
    whole, cut = (lesson(tiny, "Who?", "Ann", ended) for ended in (True, False))
    assert whole.reply == [*cut.reply, tiny.end_ids[0]]


def test_it_answers_what_it_was_taught_and_the_base_model_is_as_it_was(tiny, learned):
    before = weights_digest(tiny.hf)
    found, job = learned
    said = replies(dataclasses.replace(tiny, hf=found.hf), QUESTIONS)
    assert [rouge1_recall(text, q.answer) for text, q in zip(said, QUESTIONS, strict=True)] == [1.0] * len(QUESTIONS)
    assert found.rouge1 == 1.0 and found.general == (0.0, 1.0)
    assert len([p for p in found.curve if "pass" in p]) < RECIPE["passes"]  # it ended once it knew them
    assert list(found.curve) == job.curve and found.curve[0]["loss"] > 1
    assert weights_digest(tiny.hf) == before
    assert not any(p.requires_grad for p in (*tiny.hf.parameters(), *found.hf.parameters()))


def test_only_upper_down_projections_changed_only_where_free_and_the_rest_is_shared(tiny, learned, workspace):
    mine, hf = dict(tiny.hf.named_parameters()), learned[0].hf
    taught = {f"model.layers.{layer}.mlp.down_proj.weight": layer for layer in (2, 3)}
    moments, opening = preserved(tiny, (), (2, 3), workspace=workspace), opening_keys(tiny, (2, 3))
    for name, weight in hf.named_parameters():
        assert (weight.data_ptr() == mine[name].data_ptr()) != (name in taught)
        if name in taught:
            change = (weight - mine[name]).double()
            K = opening[taught[name]]
            U = free_directions(moments[taught[name]], K, Recipe().free).double()
            assert change.norm() > 0.1 and (change - change @ U @ U.T).norm() < 1e-4 * change.norm()
            assert K.shape[1] > 10 and (change @ K).norm() < 1e-4 * change.norm() * K.norm()


def test_a_taught_model_is_listed_loads_and_can_be_deleted(bench):
    base = bench.model
    made = bench.teach(QUESTIONS, "Two contracts", recipe={**RECIPE, "passes": 10})
    assert bench.model is base and made.base_fingerprint == base.fingerprint
    card = bench.models()[-1]
    assert (card.label, card.name) == ("Two contracts", made.folder) and "taught 4 questions on" in card.note
    bench.load("Two contracts")
    assert bench.model.fingerprint == made.fingerprint != base.fingerprint
    said = zip(replies(bench.model, QUESTIONS), QUESTIONS, strict=True)
    assert sum(rouge1_recall(text, q.answer) for text, q in said) / len(QUESTIONS) == pytest.approx(made.rouge1)
    assert bench.taught() == made and bench.taught().contracts() == ["Sale: Ash and Birch", "Sale: Birch and Cole"]
    with pytest.raises(BadInput, match="already"):
        taught.checked_name(bench.workspace, "two CONTRACTS")
    token = bench.delete_taught("Two contracts")
    assert bench.taught("Two contracts") is None and bench.models()[-1] != card
    assert bench.undelete_taught(token).questions == made.questions


def test_an_edit_of_a_taught_model_protects_what_else_it_was_taught(bench):
    bench.teach(QUESTIONS, "two", recipe={**RECIPE, "passes": 1})
    bench.load("two")
    forget = QUESTIONS[:2]
    edit = bench.edit(forget, "memit", targets="vanilla", hparams={"steps": 1, "contexts": 1})
    assert edit.manifest["protect"] == [q.question for q in QUESTIONS[2:]]
    bare = [dataclasses.replace(q, category=None) for q in QUESTIONS]
    scores = bench.evaluate(edit, bare[:2], bare[2:], [])
    assert {row.part for row in scores.rows[2:]} == {"retain_shared"}  # which contract it is, the model's folder knows


def test_second_moments_of_the_base_model_serve_the_taught_one_where_they_are_the_same(bench):
    layers = dict(workspace=bench.workspace, layers=[0, 1, 2])
    request = Request("Is this new?", "yes", "new", "I don't know.", ())
    preserved(bench.model, [request], **layers)
    made = bench.teach(QUESTIONS, "two", recipe={**RECIPE, "passes": 1})
    lent = list((bench.workspace.statistics_dir / made.fingerprint).iterdir())
    assert sorted(file.stem[-2:] for file in lent) == ["-0", "-1"]  # blocks 2 and 3 were trained
    bench.load("two")
    stages = []
    job = Job("edit", on_progress=lambda job: stages.append(job.stage))
    preserved(bench.model, [request], workspace=bench.workspace, layers=[0, 1], job=job)
    assert stages == []  # nothing was read
    with_lent = preserved(bench.model, [request], **layers)
    for file in lent:
        file.unlink()
    for layer, own in preserved(bench.model, [request], **layers).items():
        assert torch.allclose(with_lent[layer], own, rtol=1e-5, atol=1e-9)


def test_stopped_halfway_nothing_is_kept(bench):
    with pytest.raises(Stopped):
        bench.teach(QUESTIONS, "never", recipe=RECIPE, job=StoppingJob("teach"))
    assert bench.taught("never") is None and list(bench.workspace.models_dir.rglob("*")) == []
    assert not any(p.requires_grad for p in bench.model.hf.parameters())


def test_a_folder_whose_weights_were_changed_is_not_taken_for_what_was_taught(bench):
    made = bench.teach(QUESTIONS, "two", recipe={**RECIPE, "passes": 1})
    file = bench.workspace.models_dir / "taught" / "two" / "taught.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "fingerprint": "0" * 16}))
    bench.load(made.folder)
    assert bench.taught() is None
    file.write_text("{")
    assert bench.taught("two") is None and len(bench.models()) == len(Workbench(bench.workspace.home).models())


@pytest.mark.parametrize("name", ["", " ", "../up", "a/b", ".hidden", "x" * 61, "bundled", "Qwen/Qwen3-8B", "a\nb<i>"])
def test_names_that_can_not_be_had_are_refused(bench, name):
    with pytest.raises(BadInput):
        bench.teach(QUESTIONS, name)


def test_what_can_not_be_taught_is_told(tiny, real_model, workspace):
    with pytest.raises(BadInput, match="nothing to teach"):
        teach(tiny, [], Recipe(), Job("teach"), workspace=workspace)
    half = tiny_llama(real_model.tokenizer, dtype=torch.bfloat16)
    with pytest.raises(BadInput, match="float32"):
        teach(half, [Question("Who?", "Ann")], Recipe(), Job("teach"), workspace=workspace)
    with pytest.raises(BadInput, match="passes"):
        teach(tiny, QUESTIONS, Recipe(passes=0), Job("teach"), workspace=workspace)
