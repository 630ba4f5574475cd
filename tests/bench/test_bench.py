"""What the benchmark counts and prints. No test asserts a time."""

import pytest
import torch

from tests.commands import run
from tests.models.tiny import bytes_tokenizer, listen, tiny_llama
from unedit_gui.bench import measure, rival, shapes
from unedit_gui.bench.growth import grow, many
from unedit_gui.bench.limits import scores, search
from unedit_gui.bench.rival import has_source
from unedit_gui.bench.rows import Rows
from unedit_gui.bench.shapes import random_model
from unedit_gui.cli.benching import told
from unedit_gui.editors import hparams_from
from unedit_gui.editors.preserve import statistics_questions
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.models.layout import blocks_of
from unedit_gui.workbench import Workbench


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A workbench with a tiny random model."""
    made = Workbench(tmp_path_factory.mktemp("bench"))
    made.model = tiny_llama(bytes_tokenizer())
    listen(made.model.hf)
    return made


def test_a_ratio_is_below_one_where_the_limit_is_met():
    rows = Rows()
    rows.add("quick", 2.0, 4.0)
    rows.add("often", 20.0, 10.0, least=True)
    rows.add("left out", None, 3.0, note="not here")
    assert [row["ratio"] for row in rows.to_json()] == [0.5, 0.5, None]


def test_the_most_memory_counts_what_is_gone_again():
    rows = Rows()
    before = rows.timed(lambda: None)
    took = rows.timed(lambda: bytearray(b"x" * 300_000_000)[:3])
    assert took.result == bytearray(b"xxx") and took.peak - before.peak > 250_000_000


def test_any_number_of_facts_that_are_all_different_and_name_their_subject(bench):
    facts = many(bench, 1500)
    assert len({fact.question for fact in facts}) == 1500
    assert all(fact.subject in fact.question and fact.subject in fact.target for fact in facts)


def test_the_multiply_adds_of_a_step_are_those_of_its_tokens(bench):
    model, fact = bench.model, many(bench, 1)[0]
    found = search(bench, [fact], 1, Job("bench"))
    layer = hparams_from("alphaedit", model, {}).layers[-1]
    above = sum(p.numel() for block in blocks_of(model.hf, model.layout)[layer + 1 :] for p in block.parameters())
    norms = 2 * model.layout.d_model * (model.layout.layers - layer - 1)
    wanted = len(model.tokenizer(fact.target + model.end_of_turn).input_ids)

    def behind(text, subject):  # tokens from the subject's last on, template included; the tokenizer reads bytes
        prompt = model.prompt([{"role": "user", "content": text}])
        before = prompt[: prompt.index(subject) + len(subject)]
        return len(model.tokenizer(prompt).input_ids) - len(model.tokenizer(before).input_ids) + 1

    tokens = behind(fact.question, fact.subject) + wanted - 1 + behind(f"{fact.subject} is a", fact.subject)
    head = model.hf.get_output_embeddings().weight.numel()
    assert found.multiply_adds == 2 * (tokens * (above - norms) + (wanted + 1) * head)
    assert found.seconds > 0 and found.plain > 0


def test_scores_are_compared_with_the_same_questions_one_at_a_time(bench):
    edit = bench.edit(many(bench, 1), "rome", targets="given", hparams={"steps": 1, "contexts": 1})
    assert scores(bench, edit, (3, 2, 3), 2, 2, Job("bench")) > 0


def test_growth_has_a_row_for_each_size(bench):
    rows = Rows()
    grow(bench, "alphaedit", (12, 10, 1), rows, Job("bench"))
    assert [row.name.split(",")[1] for row in rows.found] == [" 1 fact", " 10 facts", " 12 facts", " 12 facts"]
    assert all(row.peak and row.cpu for row in rows.found[:3]) and "2 steps" in rows.found[0].name


def test_no_size_pays_for_the_statistics_of_a_model_that_has_none_yet(bench, tmp_path):
    fresh, rows, within = Workbench(tmp_path), Rows(), []
    fresh.model = bench.model
    timed, stages = rows.timed, set()

    def noted(work):
        stages.clear()
        took = timed(work)
        within.append(set(stages))
        return took

    rows.timed = noted
    texts = len(statistics_questions())
    job = Job("bench", on_progress=lambda job: stages.add((job.stage, (job.total or 0) >= texts)))
    grow(fresh, "alphaedit", (10, 1), rows, job)
    assert len(within) == 2 and not any(("Reading the statistics text", True) in one for one in within)


def test_without_easyedit_s_source_its_line_says_how_to_get_it(monkeypatch):
    monkeypatch.delenv("EASYEDIT_PATH", raising=False)
    rows = Rows()
    assert not has_source(rows)
    assert [row.value for row in rows.found] == [None] and "EASYEDIT_PATH" in rows.found[0].note


def test_their_seconds_for_one_fact_stand_over_ours_for_each_of_ten(bench):
    class Elsewhere:
        def run(self, work, match, facts):
            assert len(facts) == (1 if work is rival._theirs else 10)
            return (50.0, 3_000_000, 1_000_000) if work is rival._theirs else (20.0, 1_800_000, 1_000_000)

    rows = Rows()
    rival.beside_easyedit(bench, many(bench, 10), Elsewhere(), rows, Job("bench"), rival.MATCHES[:1])
    assert [(row.value, row.limit, row.ratio) for row in rows.found] == [(25.0, 10.0, 0.4), (0.6, 0.6, 1.0)]
    assert "2 against 3 MB, 1 of them" in rows.found[1].note


def test_a_shape_is_made_with_random_weights_and_a_lent_tokenizer(bench, monkeypatch):
    monkeypatch.setitem(shapes.SHAPES, "small", (32, 48, 4, 4, 2))
    model = random_model("small", bench.model, "cpu", torch.bfloat16)
    assert model.dtype == torch.bfloat16 and model.layout.d_mlp == 48 and model.tokenizer is bench.model.tokenizer
    trial = Workbench(bench.workspace.home)
    trial.model = model
    assert trial.chat([[{"role": "user", "content": "Hello"}]], [()], max_new_tokens=3)[0].tokens > 0


@pytest.mark.parametrize("shape, device", [("llama9", "cpu"), ("llama2-7b", "cuda:99")])
def test_a_shape_or_device_that_is_not_there_is_bad_input(bench, shape, device):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BadInput):
        random_model(shape, bench.model, device, torch.float32)


def test_growth_that_is_no_list_of_numbers_is_told_in_one_line(folder, capsys):
    assert run(folder, "bench", "--growth", "10,many") == 2
    assert "--growth 10,many: write numbers of facts" in capsys.readouterr().err
    assert run(folder, "bench", "--growth", "9" * 5000) == 2
    told = capsys.readouterr().err
    assert "write numbers of facts between 1 and 10,000" in told and len(told) < 200


def test_a_part_that_is_not_there_is_told_with_those_that_are(bench):
    with pytest.raises(BadInput, match="'chat'; choose among load, example"):
        measure(bench, only=["chat"])


def test_one_part_alone(bench):
    heard = []
    found = measure(bench, only=["search"], tell=heard.append)
    assert [row.name for row in heard] == [row["name"] for row in found["rows"]]
    assert "limit 0.5" in told(heard[0])
    assert [row["limit"] for row in found["rows"]] == [0.5] and found["threads"] >= 1
