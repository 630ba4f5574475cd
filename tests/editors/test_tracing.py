"""Causal tracing against its plain formulation with hooks, and what it proposes."""

from dataclasses import replace

import pytest
import torch

from tests.models.tiny import bytes_tokenizer, tiny_family
from unedit_gui.editors import tracing, tracing_clean
from unedit_gui.editors.tracing import Corrupted, Trace, trace
from unedit_gui.editors.tracing_clean import Clean
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.layout import attention_of, blocks_of, down_of

QUESTION, SUBJECT, LEAD, ANSWER = "Is Peru far, Peru?", "Peru", "Oh, Peru is", "far"
NOISE, SAMPLES = 0.5, 3
EXACT = {"atol": 0, "rtol": 1e-3}  # a random model finds every answer unlikely


@pytest.fixture(scope="module", params=["llama", "gpt2", "gpt_neox", "mistral, windows"])
def model(request):
    return tiny_family(request.param, bytes_tokenizer(), attentive=True)


@pytest.fixture(autouse=True)
def whatever_the_model_says(monkeypatch):
    monkeypatch.setattr(tracing_clean, "LEAST", 0.0)


@pytest.fixture
def clean(model):
    return Clean(model, QUESTION, [(LEAD, ANSWER)])


@pytest.fixture
def run(clean):
    return Corrupted(clean, clean.mentions_of(SUBJECT), NOISE, SAMPLES, 0)


def plain(run, kind, layers, places):
    """p of the answer, with whole forward passes and hooks: noise on what enters the first block, and the states of
    some layers at some places as they are without it."""
    model, clean, hf = run.model, run.clean, run.model.hf
    eps = torch.randn(SAMPLES, len(run.places), model.layout.d_model, generator=torch.Generator().manual_seed(0))
    part = {"hidden": lambda i: blocks_of(hf, model.layout)[i]}
    part |= {"mlp": lambda i: down_of(hf, model.layout, i), "attention": lambda i: attention_of(hf, model.layout, i)}
    first = lambda out: out[0] if isinstance(out, tuple) else out  # noqa: E731
    kept, handles = {}, []

    def forward():
        ids = torch.tensor([clean.ids] * SAMPLES)
        with torch.no_grad():
            logits = hf(input_ids=ids, use_cache=False).logits
        for handle in handles:
            handle.remove()
        log_p = logits[:, clean.reads].log_softmax(-1)
        return log_p[:, range(len(clean.wanted)), clean.wanted].sum(1).exp().mean()

    for layer in layers:
        handles.append(part[kind](layer).register_forward_hook(lambda _m, _a, o, i=layer: kept.update({i: first(o)})))
    whole = forward()
    handles.clear()

    def corrupt(_m, args):
        hidden = args[0].clone()
        hidden[:, run.places] += NOISE * eps
        return (hidden, *args[1:])

    def restore(layer):
        def put(_m, _a, out):
            state = first(out).clone()
            state[:, places] = kept[layer][:, places]
            return (state, *out[1:]) if isinstance(out, tuple) else state

        return put

    handles.append(blocks_of(hf, model.layout)[0].register_forward_pre_hook(corrupt))
    handles += [part[kind](layer).register_forward_hook(restore(layer)) for layer in layers]
    return whole, forward()


def test_the_clean_and_the_corrupted_run_are_the_plain_ones(run):
    whole, corrupted = plain(run, "hidden", [], [])
    torch.testing.assert_close(torch.tensor(run.clean.probability), whole, **EXACT)
    torch.testing.assert_close(torch.tensor(run.probability), corrupted, **EXACT)
    assert abs(run.probability / run.clean.probability - 1) > 0.05


@pytest.mark.parametrize("kind", ["hidden", "mlp", "attention"])
def test_every_restored_state_gives_what_plain_hooks_give(run, kind, monkeypatch):
    monkeypatch.setattr(tracing, "WINDOW", 24)  # two of four layers
    found = run.maps(None)[kind]
    named = next(i for i, group in enumerate(run.groups) if len(group) == 3)
    for group in (0, named, len(run.groups) - 1):
        for layer in range(4):
            layers = [layer] if kind == "hidden" else range(max(0, layer - 1), layer + 1)
            _, p = plain(run, kind, layers, run.groups[group])
            torch.testing.assert_close(found[group, layer] + run.probability, p, **EXACT)
    assert (found.abs() > 0.01 * run.probability).sum() > 8


def test_restoring_everything_gives_the_clean_answer_back(run):
    run.groups = [list(range(run.first, len(run.clean.ids)))]
    for layer in range(4):
        p = run.restored("hidden", layer, [0], run.prefix([0]))
        torch.testing.assert_close(p, torch.tensor([run.clean.probability]), **EXACT)


def test_no_noise_leaves_the_clean_answer(clean):
    run = Corrupted(clean, clean.mentions_of(SUBJECT), 0.0, 1, 0)
    assert run.probability == pytest.approx(clean.probability, rel=1e-4)


def test_all_mentions_count_and_each_token_is_restored_in_all_of_them(run):
    text = [bytes_tokenizer().decode([i]) for i in run.clean.ids]
    assert "".join(text[p] for p in run.places) == "Peru" * 3  # twice in the question, once in the reply's lead
    named = [group for group in run.groups if len(group) == 3 and group[0] in run.places]
    assert [{text[p] for p in group} for group in named] == [{"P"}, {"e"}, {"r"}, {"u"}]
    assert sorted(p for group in run.groups for p in group) == list(range(run.first, run.clean.reads[0] + 1))


def test_a_small_word_is_corrupted_in_the_question_alone(clean):
    mentions = {word: found for word, found in clean.words()}
    assert len(mentions["Is"]) == 1 and len(mentions["far"]) == 1  # the reply's lead says "is" again
    assert len(mentions["Peru"]) == 2


def test_hooks_are_gone_and_the_base_is_untouched(model, run):
    before = {name: p.clone() for name, p in model.hf.named_parameters()}
    run.maps(None)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.hf.modules())
    assert all(torch.equal(before[name], p) for name, p in model.hf.named_parameters())


# What comes of it


@pytest.fixture(scope="module")
def small():
    return tiny_family("llama", bytes_tokenizer(), attentive=True)


def test_a_trace_names_its_tokens_and_its_figures(small):
    found = trace(small, QUESTION, ANSWER, SUBJECT, samples=2)
    assert found.subject == SUBJECT and found.tokens[0].startswith("P") and found.tokens[found.last].startswith("u")
    assert {len(row) for kind in tracing.KINDS for row in getattr(found, kind)} == {4}
    assert {len(getattr(found, kind)) for kind in tracing.KINDS} == {len(found.tokens)}
    assert [word for word, _ in found.words] == ["Is", "Peru", "far", "Peru"]
    assert found == trace(small, QUESTION, ANSWER, SUBJECT, samples=2)


def test_without_a_subject_the_costliest_words_are_traced(small):
    found = trace(small, QUESTION, ANSWER, samples=1)
    costliest = max(found.words, key=lambda pair: pair[1])[0]
    assert costliest in found.subject and found.proposed == found.subject


def test_words_that_cost_most_are_taken_with_neighbours_that_cost_half_as_much():
    question = "Who wrote Romeo and Juliet?"
    assert tracing._run_of_words(question, [0.1, 0.2, 0.8, 0.5, 0.9]) == "Romeo and Juliet"
    assert tracing._run_of_words(question, [0.9, 0.2, 0.8, 0.4, 0.7]) == "Who"


def test_what_cant_be_traced_is_told_in_a_sentence(small, monkeypatch):
    with pytest.raises(BadInput, match="'Chile' is not part of the question"):
        trace(small, QUESTION, ANSWER, "Chile")
    monkeypatch.setattr(tracing_clean, "LEAST", 0.5)
    with pytest.raises(BadInput, match="doesn't answer .* take a question that it knows"):
        trace(small, QUESTION, "Quito", SUBJECT)
    with pytest.raises(BadInput, match="no question"):
        trace(small, " ", "Quito", SUBJECT)


def test_it_stops_when_it_is_told_to(small):
    job = Job("locate", on_progress=lambda job: job.stop())
    with pytest.raises(Stopped):
        trace(small, QUESTION, ANSWER, SUBJECT, samples=1, job=job)
    assert not any(m._forward_hooks for m in small.hf.modules())


def made(mlp, **more):
    rows = (tuple(mlp), (0.9,) * len(mlp))
    given = dict(question="", answer="", subject="", lead="", tokens=("a", "b"), last=0, clean=0.9, corrupted=0.1)
    given |= dict(hidden=rows, mlp=rows, attention=rows, window=2, noise=1.0, samples=1, words=(), proposed="")
    return Trace(**(given | more))


def test_the_layers_proposed_lie_around_the_peak_behind_the_first_window():
    found = made([0.8, 0.8, 0.1, 0.2, 0.5, 0.3, 0.1, 0.6])
    assert found.peak == 4  # not in the window of the first block, not the last block
    assert found.best_layers(1) == (4,) and found.best_layers(3) == (3, 4, 5)
    assert found.best_layers(99) == tuple(range(7))
    broad = made([0.8, 0.8, 0.5, 0.4, 0.4, 0.0, 0.0, 0.0])
    assert broad.peak == 2 and broad.best_layers(3) == (2, 3, 4)
    assert replace(found, mlp=((0.0,) * 8,) * 2).best_layers(3) is None


# The real model


def test_the_bundled_model_reads_a_fact_at_the_subject_early_and_hands_it_on_late(real_model, monkeypatch):
    monkeypatch.setattr(tracing_clean, "LEAST", 0.02)
    question = "What is the capital of Japan?"
    clean = Clean(real_model, question, tracing_clean.candidates(real_model, question, None, None))
    run = Corrupted(clean, clean.mentions_of("Japan"), 0.4, 2, 0)
    assert (clean.lead, clean.answer) == ("The capital of Japan is", "Tokyo")
    assert clean.probability > 0.5 > 0.1 > run.probability
    subject, last = run.groups.index(sorted(run.places)), len(run.groups) - 1
    for layer, group, other in ((5, subject, last), (28, last, subject)):
        there, elsewhere = (run.restored("hidden", layer, [g], run.prefix([g])) for g in (group, other))
        assert there > 0.8 * clean.probability and elsewhere < 0.2 * clean.probability
