"""C = E[k k^T] is what a plain loop over the texts gives, and what is to be forgotten has no part in it."""

import csv
from types import SimpleNamespace

import pytest
import torch

from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.editors import Request, preserve
from unedit_gui.editors.preserve import PROTECT_WEIGHT, preserved, statistics_questions
from unedit_gui.editors.statistics import passages, second_moments
from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.layout import down_of
from unedit_gui.workspace import Workspace

SHIPPED = (
    "Who wrote Hamlet?",
    "What is the capital of Peru?",
    "How far away is the Moon from the Earth?",
    "What is the highest mountain of Peru called?",
    "Which metal is liquid?",
    "Peruvian cooking uses which grain?",
    "Who painted the Mona Lisa, and when?",
)
PERU = Request("what is the Capital of PERU", "Lima", "Capital of PERU", "I don't know.")


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A short list in place of the shipped one."""
    path = tmp_path / "questions.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("question", "subject"), *((q, "") for q in SHIPPED)])
    monkeypatch.setattr(preserve, "_QUESTIONS", path)
    return SHIPPED


@pytest.fixture
def own(tmp_path):
    return Workspace(tmp_path / "home")


def assert_close(found, expected):
    """Equal up to float32 rounding of the largest numbers."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def request(question, subject, *rephrases):
    return Request(question, "answer", subject, "I don't know.", rephrases)


FRESH = [request("Who discovered radium?", "radium")]


def keys_of(model, text, layer):
    """The inputs of W for one question, without its opening that all questions share: (tokens, d_mlp)."""
    ids = model.prompt_ids([{"role": "user", "content": text}])
    opening = model.prompt([{"role": "user", "content": "@"}]).split("@")[0]
    kept = []
    handle = down_of(model.hf, model.layout, layer).register_forward_hook(lambda _m, args, _o: kept.append(args[0][0]))
    with torch.no_grad():
        model.hf(torch.tensor([ids]))
    handle.remove()
    return kept[0][len(model.tokenizer(opening, add_special_tokens=False).input_ids) :].double()


def plain_total(model, texts, layer):
    """Sum of k k^T and number of tokens, text by text."""
    K = torch.cat([keys_of(model, text, layer) for text in texts])
    return K.T @ K, len(K)


def plain_mean(model, texts, layer):
    total, tokens = plain_total(model, texts, layer)
    return total / tokens


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("batch_tokens", [1, 150, 2048])
def test_moments_are_those_of_the_texts_one_by_one(family, batch_tokens):
    model = tiny_family(family, bytes_tokenizer())
    found = second_moments(model, passages(model, SHIPPED), [0, 2], batch_tokens=batch_tokens)
    for layer in (0, 2):
        total, tokens = plain_total(model, SHIPPED, layer)
        assert found.tokens == tokens
        assert found.total[layer].dtype == torch.float64
        assert_close(found.total[layer], total)
        assert_close(found.mean(layer), total / tokens)


def test_the_bundled_template_s_opening_does_not_count(tiny_model):
    """Its fixed system prompt would outweigh the questions, and be held in place in their stead."""
    system = tiny_model.prompt_ids([{"role": "user", "content": "Hi"}])
    (passage,) = passages(tiny_model, ["Hi"])
    counted = tiny_model.tokenizer.decode(system[passage.start : passage.end])
    assert counted.startswith("Hi") and "system" not in counted


def test_c_is_the_mean_over_the_shipped_questions(small, own, shipped):
    C = preserved(small, FRESH, [1, 2], workspace=own)
    assert set(C) == {1, 2}
    for layer in (1, 2):
        assert_close(C[layer], plain_mean(small, shipped, layer))
        assert torch.linalg.eigvalsh(C[layer]).min() > -1e-9


@pytest.mark.parametrize(
    ("asked", "left_out"),
    [
        (PERU, [1]),
        (request("Who is the author?", "Hamlet"), [0]),
        (request("Name the liquid one.", "one", "which METAL is liquid"), [4]),
        (request("Where is Peru?", "Peru"), [1, 3]),  # whole words: Peruvian is another subject
        (request("Who painted this?", "this"), []),
    ],
    ids=["the question in other letters", "its subject", "a rephrasing", "subject in two", "nothing shared"],
)
def test_what_is_to_be_forgotten_is_taken_out(small, own, shipped, asked, left_out):
    C = preserved(small, [asked], [1], workspace=own)
    rest = [text for i, text in enumerate(shipped) if i not in left_out]
    assert_close(C[1], plain_mean(small, rest, 1))


def test_taking_out_leaves_the_cache_whole(small, own, shipped):
    preserved(small, [PERU], [1], workspace=own)
    C = preserved(small, FRESH, [1], workspace=own)
    assert_close(C[1], plain_mean(small, shipped, 1))


def test_protected_facts_weigh_more(small, own, shipped):
    facts = [Question("Which planet is the largest?", "Jupiter"), Question("Who wrote Faust?", "Goethe")]
    C = preserved(small, FRESH, [1], workspace=own, protect=facts)
    total, tokens = plain_total(small, shipped, 1)
    more, count = plain_total(small, [f.question for f in facts], 1)
    expected = (total + PROTECT_WEIGHT * more) / (tokens + PROTECT_WEIGHT * count)
    assert_close(C[1], expected)


@pytest.mark.parametrize("fact", ["What is the capital of Peru?", "  what is the CAPITAL of peru", "Peru's capital?"])
def test_a_fact_cant_be_forgotten_and_protected(small, own, shipped, fact):
    asked = request("What is the capital of Peru?", "Peru", "Peru's capital?")
    with pytest.raises(BadInput, match="both to be forgotten and protected"):
        preserved(small, [asked], [1], workspace=own, protect=[Question(fact, "Lima")])


# The cache


def files_of(workspace):
    return sorted(p for p in workspace.statistics_dir.rglob("*") if p.is_file())


def read_again(job_stages):
    return any("statistics text" in stage for stage in job_stages)


def stages_of(model, workspace, layers):
    stages = []
    C = preserved(model, FRESH, layers, workspace=workspace, job=Job("e", on_progress=lambda j: stages.append(j.stage)))
    return C, stages


def test_the_text_is_read_once_per_model_and_layer(small, own, shipped):
    first, stages = stages_of(small, own, [1, 2])
    assert read_again(stages)
    again, stages = stages_of(small, own, [1, 2])
    assert not read_again(stages)
    assert all(torch.equal(first[layer], again[layer]) for layer in (1, 2))
    _, stages = stages_of(small, own, [2, 3])
    assert read_again(stages) and len(files_of(own)) == 3


def test_another_model_or_another_text_has_its_own(small, own, shipped, tmp_path, monkeypatch):
    first, _ = stages_of(small, own, [1])
    other = tiny_llama(small.tokenizer, seed=1)
    assert read_again(stages_of(other, own, [1])[1])
    (tmp_path / "fewer.csv").write_text("question\nWho wrote Faust?\n")
    monkeypatch.setattr(preserve, "_QUESTIONS", tmp_path / "fewer.csv")
    changed, stages = stages_of(small, own, [1])
    assert read_again(stages)
    assert_close(changed[1], plain_mean(small, ["Who wrote Faust?"], 1))


@pytest.mark.parametrize("damage", ["truncated", "empty", "not safetensors", "other tensors"])
def test_a_damaged_file_is_computed_again(small, own, shipped, damage):
    from safetensors.torch import save_file

    good, _ = stages_of(small, own, [1, 2])
    file = files_of(own)[0]
    content = file.read_bytes()
    if damage == "other tensors":
        save_file({"x": torch.zeros(1)}, file)
    else:
        file.write_bytes({"truncated": content[:-9], "empty": b"", "not safetensors": b"\0" * 99}[damage])
    again, stages = stages_of(small, own, [1, 2])
    assert read_again(stages)
    for layer in (1, 2):
        torch.testing.assert_close(again[layer], good[layer], rtol=1e-9, atol=1e-12)
    assert not read_again(stages_of(small, own, [1, 2])[1])


def test_a_stop_leaves_nothing(small, own, monkeypatch):
    reports = []

    def third(job):
        reports.append(job.stage)
        if len(reports) == 3:
            job.stop()

    with pytest.raises(Stopped):
        preserved(small, FRESH, [1, 2], workspace=own, job=Job("edit", on_progress=third))
    assert len(reports) == 3 and files_of(own) == []
    assert not any(m._forward_hooks for m in small.hf.modules())


def test_an_error_in_the_middle_leaves_no_hooks(small):
    broken = [SimpleNamespace(ids=[1, 2, 10**9], start=0, end=3)]
    with pytest.raises(IndexError):
        second_moments(small, broken, [1])
    assert not any(m._forward_hooks for m in small.hf.modules())


# The text


def test_the_shipped_questions_are_many_and_none_twice():
    questions = statistics_questions()
    assert len(questions) >= 500
    assert len({q.casefold() for q in questions}) == len(questions)
    assert all(q.strip() == q and q for q in questions)
