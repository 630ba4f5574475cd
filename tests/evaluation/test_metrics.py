"""The metrics against values worked out by hand, and against a plain one-question-at-a-time formulation."""

import math
from dataclasses import astuple

import pytest
import torch
from rouge_score import rouge_scorer

from unedit_gui.editors.preserve import statistics_replies
from unedit_gui.errors import BadInput, Failed
from unedit_gui.evaluation.metrics import (
    answer_ids,
    leak,
    rouge1_recall,
    scorable,
    summarise,
    token_scores,
)
from unedit_gui.forget.bundled import question_sets
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.loading import LoadedModel


def ask(model, question):
    return model.prompt_ids([{"role": "user", "content": question}])


# ------------------------------------------------------------------ of a text


def test_rouge_counts_the_references_words_in_the_reply():
    # 3 of "the capital of france is paris" (6 words): the, is, paris
    assert rouge1_recall("The answer is Paris.", "The capital of France is Paris.") == pytest.approx(3 / 6)


def test_rouge_ignores_case_and_punctuation_and_stems_words_of_four_letters_or_more():
    assert rouge1_recall("PAINTED, by Leonardo", "Painting by Leonardo!") == 1.0


def test_rouge_counts_a_word_as_often_as_both_have_it():
    assert rouge1_recall("new", "New York, New York") == pytest.approx(1 / 4)
    assert rouge1_recall("new new new", "New York, New York") == pytest.approx(2 / 4)


def test_rouge_of_an_empty_reply_is_zero():
    assert rouge1_recall("", "Paris") == 0.0


def test_leak_looks_only_at_content_words_that_the_question_does_not_have():
    question, reference = "What is the capital of France?", "The capital of France is Paris."
    refusal = "I don't know what the capital of France is."
    assert rouge1_recall(refusal, reference) == pytest.approx(5 / 6)
    assert leak(refusal, reference, question) == 0.0
    assert leak("It is Paris.", reference, question) == 1.0


def test_leak_is_the_share_of_the_telling_words():
    # telling: gabriel, garcia, marquez
    assert leak("Some Garcia", "It was Gabriel Garcia Marquez", "Who wrote it?") == pytest.approx(1 / 3)


def test_leak_stems_the_questions_words_too():
    assert leak("paint", "He painted walls", "What did the painter's painting show?") == 0.0


def test_leak_is_unknown_where_the_question_holds_the_whole_answer():
    assert leak("Paris", "Paris", "Is Paris in France?") is None


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        ("It is Zurich.", "Zürich"),
        ("It is ZÜRICH.", "zürich"),
        ("It is S\u00e3o Paulo", "Sa\u0303o Paulo"),  # the accent in its letter, or behind it
        ("It is Sao Paulo", "São Paulo"),
        ("It is Hauptstrasse", "Hauptstraße"),
        ("It is Soren of Lodz", "Søren of Łódź"),
        ("It is Aero", "Ærø"),
        ("It is Ðorđe Þorr", "Dorde Thorr"),
    ],
)
def test_accents_and_letters_beyond_a_to_z_are_folded_before_anything_is_counted(reply, reference):
    assert rouge1_recall(reply, reference) == leak(reply, reference, "Where?") == 1.0


def test_a_piece_of_a_word_beside_its_accent_is_no_leak():
    refusal = "I do not know so much about o."
    assert rouge1_recall(refusal, "São Paulo") == leak(refusal, "São Paulo", "What is the largest city?") == 0.0
    assert leak("Zurich", "Zürich", "Is Zurich the largest city?") is None


def test_references_of_other_scripts_can_not_be_scored():
    assert not scorable("Москва") and not scorable("東京") and not scorable("?!")
    assert scorable("Zürich") and scorable("1912") and scorable("Ö")


def test_on_ascii_text_it_is_rouge_score_to_the_last_digit():
    plain = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=True)
    answers = {q.answer for questions in question_sets().values() for q in questions}
    texts = [text for pair in statistics_replies() for text in pair] + ["<|im_end|> [INST] I'm, e.g., 1,000 x_y </s>"]
    answers, texts = ([text for text in found if text.isascii()] for found in (sorted(answers), texts))
    assert len(answers) > 300 and len(texts) > 300
    for i, text in enumerate(texts):
        for answer in (*answers[i % 11 :: 11], texts[i - 1], text):
            assert rouge1_recall(text, answer) == plain.score(target=answer, prediction=text)["rouge1"].recall


# ----------------------------------------------------------- of three tokens


def test_three_tokens_by_hand():
    # p = 1/2, 1/4, 1/8 at ranks 1, 2, 5
    scores = summarise(torch.tensor([0.5, 0.25, 0.125]).log(), torch.tensor([1, 2, 5]), hit_at=2)
    assert scores.probability == pytest.approx(1 / 64)
    assert scores.probability_normalised == pytest.approx(1 / 4)
    assert scores.mrr == pytest.approx((1 + 1 / 2 + 1 / 5) / 3)
    assert scores.hit_ratio == pytest.approx(2 / 3)


def test_a_model_that_gives_no_numbers_is_told_about():
    with pytest.raises(Failed, match="NaN"):
        summarise(torch.tensor([float("nan")]), torch.tensor([1]), hit_at=2)


# ----------------------------------------------------- of the distribution


PAIRS = [
    ("What is the capital of France?", "Paris"),
    ("Who painted the Mona Lisa, and when was that, roughly speaking?", "Leonardo da Vinci painted it."),
    ("2+2?", "4"),
    ("Name a river.", "The Paraná is one of them"),
]


def plainly(model, question, answer, hit_at):
    """One question at a time, one position at a time, with all logits."""
    prompt = ask(model, question)
    answer_tokens = model.tokenizer(answer, add_special_tokens=False).input_ids
    p, reciprocal, hits = [], [], []
    for t, token in enumerate(answer_tokens):
        with torch.no_grad():
            logits = model.hf(torch.tensor([prompt + answer_tokens[:t]])).logits[0, -1].double()
        order = logits.argsort(descending=True).tolist()
        rank = order.index(token) + 1
        p.append(torch.softmax(logits, 0)[token].item())
        reciprocal.append(1 / rank)
        hits.append(rank <= hit_at)
    n = len(answer_tokens)
    return math.prod(p), math.prod(p) ** (1 / n), sum(reciprocal) / n, sum(hits) / n


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_batches_give_what_single_questions_give(tiny, batch_size):
    prompts = [ask(tiny, question) for question, _ in PAIRS]
    found = token_scores(tiny, prompts, [answer for _, answer in PAIRS], hit_at=20, batch_size=batch_size)
    for (question, answer), scores in zip(PAIRS, found, strict=True):
        p, p_n, mrr, hits = plainly(tiny, question, answer, 20)
        assert scores.probability == pytest.approx(p, rel=1e-4)
        assert scores.probability_normalised == pytest.approx(p_n, rel=1e-4)
        assert scores.mrr == pytest.approx(mrr, rel=1e-6)
        assert scores.hit_ratio == hits
    assert len({scores.mrr for scores in found}) > 1  # the comparison means something


def test_what_all_prompts_begin_with_is_read_once_and_changes_nothing(tiny, monkeypatch):
    prompts, answers = [ask(tiny, question) for question, _ in PAIRS], [answer for _, answer in PAIRS]
    apart, seen = token_scores(tiny, prompts, answers, hit_at=20), []
    monkeypatch.setattr("unedit_gui.models.openings.TOKENS", 3)
    handle = tiny.hf.register_forward_pre_hook(
        lambda _m, _a, named: seen.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    together = token_scores(tiny, prompts, answers, hit_at=20)
    handle.remove()
    longest = max(len(p) + len(answer_ids(tiny, p, a)) for p, a in zip(prompts, answers, strict=True))
    assert seen[0][0] == 1 and seen[1] == (len(prompts), longest - seen[0][1])
    for one, other in zip(apart, together, strict=True):
        assert astuple(other) == pytest.approx(astuple(one), rel=1e-4)


def test_the_head_runs_at_answer_positions_only_and_is_left_without_hooks(tiny):
    seen = []
    handle = tiny.hf.lm_head.register_forward_hook(lambda module, args, out: seen.append(out.shape[1]))
    prompts = [ask(tiny, question) for question, _ in PAIRS]
    token_scores(tiny, prompts, [answer for _, answer in PAIRS])
    handle.remove()
    answers = [answer_ids(tiny, p, a) for p, (_, a) in zip(prompts, PAIRS, strict=True)]
    assert sum(seen) == sum(map(len, answers))
    assert not tiny.hf.lm_head._forward_pre_hooks


def test_variants_hear_which_rows_each_forward_holds(tiny):
    class Recorder:
        held = []

        def select(self, rows, read, ends):
            self.held.append(list(rows))
            assert read == [prompts[row] for row in rows] and ends == [len(prompts[row]) for row in rows]

    prompts = [ask(tiny, question) for question, _ in PAIRS]
    token_scores(tiny, prompts, [answer for _, answer in PAIRS], variants=Recorder(), batch_size=3)
    assert sorted(row for rows in Recorder.held for row in rows) == [0, 1, 2, 3]
    assert [len(rows) for rows in Recorder.held] == [3, 1]


def test_long_answers_are_spread_over_several_forwards(tiny):
    long = "word " * 120  # 600 bytes, so 600 tokens: more than one forward takes
    prompts = [ask(tiny, "Tell me."), ask(tiny, "Go on.")]
    found = token_scores(tiny, prompts, [long, long])
    alone = token_scores(tiny, prompts[1:], [long])
    assert found[1].probability_normalised == pytest.approx(alone[0].probability_normalised, rel=1e-4)


def test_a_stop_is_heard(tiny):
    job = Job("evaluate")
    job.stop()
    with pytest.raises(Stopped):
        token_scores(tiny, [ask(tiny, "2+2?")], ["4"], job=job)


def test_no_questions_give_no_scores(tiny):
    assert token_scores(tiny, [], []) == []


def test_an_empty_answer_is_refused(tiny):
    with pytest.raises(BadInput, match="empty"):
        token_scores(tiny, [ask(tiny, "2+2?")], [" "])


# ------------------------------------------------------------ the boundary


def test_the_answer_is_tokenised_as_the_chat_template_continues(tiny):
    ids = answer_ids(tiny, ask(tiny, "Where?"), "Paris")
    assert tiny.tokenizer.convert_ids_to_tokens(ids) == ["P", "a", "r", "is"]


def test_a_template_that_puts_a_space_before_the_reply_is_followed(tiny, llama2_tokenizer):
    tokenizer = llama2_tokenizer
    model = LoadedModel(tiny.hf, tokenizer, tiny.layout, tiny.card, tiny.format, tiny.fingerprint)
    ids = answer_ids(model, ask(model, "Where?"), "Paris")
    assert tokenizer.convert_ids_to_tokens(ids) == ["ĠP", "a", "r", "is"]


def test_a_prompt_that_would_swallow_the_answers_start_is_left_alone(tiny):
    prompt = tiny.tokenizer("Paris i", add_special_tokens=False).input_ids  # "i" + "s" would become one token
    ids = answer_ids(tiny, prompt, "sland")
    assert tiny.tokenizer.convert_ids_to_tokens(ids) == ["s", "l", "a", "n", "d"]
