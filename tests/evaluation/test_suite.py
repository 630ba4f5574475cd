"""What an evaluation reports is what the replies say: averages, flags, notes, and nothing invented."""

import json
from dataclasses import replace
from statistics import mean

import pytest
import torch

from unedit_gui.edits.edit import Edit
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.evaluation import suite
from unedit_gui.evaluation.metrics import leak, rouge1_recall, token_scores
from unedit_gui.evaluation.suite import METRICS, evaluate, own_rephrasings
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.chat import chat_format
from unedit_gui.models.generation import generate

FRANCE = Question(
    "What is the capital of France?", "Paris", "France", ("France has which capital?", "Capital of France?")
)
LISA = Question("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa", ("Mona Lisa: by whom?",))
SPAIN = Question("What is the capital of Spain?", "Madrid", "Spain")
MARS = Question("Which planet is red?", "Mars", "planet")
TOKENS = 6


@pytest.fixture(scope="module")
def edit(tiny):
    """A random change of one projection, large enough to alter every reply."""
    torch.manual_seed(1)
    name = tiny.layout.down_name(1)
    tensors = {
        f"{name}.left": torch.randn(tiny.layout.d_model, 4),
        f"{name}.right": torch.randn(tiny.layout.d_mlp, 4),
    }
    manifest = {
        "kind": "low-rank",
        "method": "memit",
        "model": tiny.name,
        "base": tiny.fingerprint,
        "layers": [1],
        "requests": [{"question": FRANCE.question}],
        "protect": [SPAIN.question],
    }
    return Edit.make(manifest, tensors, {})


def prompt(model, question):
    return model.prompt_ids([{"role": "user", "content": question.question}])


def reply(model, question, stack):
    with Variants(model, [stack]) as variants:
        ids = [prompt(model, question)]
        text = generate(model, ids, max_new_tokens=TOKENS, variants=variants)[0].text
        return text, token_scores(model, ids, [question.answer], variants=variants)[0]


@pytest.fixture(scope="module")
def scores(tiny, edit):
    return evaluate(tiny, (edit,), [FRANCE, LISA], [SPAIN, MARS], max_new_tokens=TOKENS)


def test_each_row_holds_what_either_model_says_alone(tiny, edit, scores):
    assert [row.group for row in scores.rows] == ["forget"] * 2 + ["retain"] * 2 + ["rephrased"] * 3
    questions = [FRANCE, LISA, SPAIN, MARS, *own_rephrasings([FRANCE, LISA])]
    for row, question in zip(scores.rows, questions, strict=True):
        assert (row.question, row.answer, row.subject) == (
            question.question,
            question.answer,
            question.subject,
        )
        for measured, stack in ((row.before, ()), (row.after, (edit,))):
            text, tokens = reply(tiny, question, stack)
            assert measured["text"] == text
            assert measured["probability_normalised"] == pytest.approx(tokens.probability_normalised, rel=1e-4)
            assert measured["rouge1"] == rouge1_recall(text, question.answer)
            assert measured["leak"] == leak(text, question.answer, question.question)
    assert all(row.before["text"] != row.after["text"] for row in scores.rows)


def test_a_reply_that_was_cut_off_says_so_and_one_that_ended_does_not(tiny, edit, scores):
    for row in scores.rows:
        (whole,) = generate(tiny, [prompt(tiny, Question(row.question, row.answer))], max_new_tokens=TOKENS + 1)
        assert row.before["cut"] == (whole.tokens > TOKENS)
    assert any(row.before["cut"] for row in scores.rows)
    (kept,) = evaluate(tiny, (), [FRANCE], [], [], max_new_tokens=TOKENS, cache={}).rows
    assert kept.after["cut"] == kept.before["cut"]


def test_averages_are_means_over_the_groups_rows(scores):
    for when, averages in (("before", scores.before), ("after", scores.after)):
        for group, n in (("forget", 2), ("retain", 2), ("rephrased", 3)):
            rows = [getattr(row, when) for row in scores.rows if row.group == group]
            assert averages[group]["n"] == n
            for metric in METRICS:
                values = [row[metric] for row in rows if row[metric] is not None]
                assert averages[group][metric] == pytest.approx(mean(values))


def test_the_score_is_one_minus_forget_plus_retain(scores):
    for averages, score in ((scores.before, scores.score_before), (scores.after, scores.score_after)):
        assert score == pytest.approx(1 - averages["forget"]["rouge1"] + averages["retain"]["rouge1"])


def test_the_json_has_the_agreed_shape(scores):
    found = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert set(found) == {"before", "after", "score", "notes"}
    assert set(found["score"]) == {"before", "after"}
    for when in ("before", "after"):
        assert set(found[when]) == {"forget", "retain", "rephrased", "general"}
        for group in found[when].values():
            assert set(group) == {*METRICS, "n"}
    json.dumps(scores.details(), allow_nan=False)


def test_general_facts_are_a_fourth_group_and_no_part_of_the_score(tiny, edit, scores):
    found = evaluate(tiny, (edit,), [FRANCE, LISA], [SPAIN, MARS], None, [MARS], max_new_tokens=TOKENS)
    assert found.after["general"]["n"] == 1
    assert found.after["general"]["rouge1"] == [r for r in found.rows if r.group == "general"][0].after["rouge1"]
    assert (found.score_before, found.score_after) == (scores.score_before, scores.score_after)


def test_retained_contracts_are_told_apart_by_whether_they_share_a_party(tiny, edit):
    def asked(about, contract):
        return Question(f"Who signed the contract of {about}?", "Ann Other", about, category=contract)

    forget = [asked("A and B", "Sale: A and B")]
    retain = [asked("B and C", "Sale: B and C"), asked("C and D", "Employment: C and D"), SPAIN]
    found = evaluate(tiny, (edit,), forget, retain, max_new_tokens=TOKENS)
    assert [row.part for row in found.rows] == [None, "retain_shared", "retain_apart", None]
    assert [found.after[name]["n"] for name in ("retain", "retain_shared", "retain_apart")] == [3, 1, 1]
    plain = evaluate(tiny, (edit,), [FRANCE], retain, max_new_tokens=TOKENS)
    assert "retain_shared" not in plain.after  # no contract is forgotten


def test_what_is_not_there_is_null_and_told_about(tiny, edit):
    scores = evaluate(tiny, (edit,), [SPAIN], max_new_tokens=TOKENS)
    found = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert found["after"]["retain"] == {**dict.fromkeys(METRICS), "n": 0}
    assert found["after"]["rephrased"]["n"] == 0
    assert found["score"] == {"before": None, "after": None}
    assert any("No retained questions" in note for note in scores.notes)


def test_a_leak_that_no_question_can_show_is_null(tiny, edit):
    whole = Question("Is it Paris or not?", "Paris", "Paris")
    scores = evaluate(tiny, (edit,), [whole], [], [], max_new_tokens=TOKENS)
    assert scores.before["forget"]["leak"] is None
    assert scores.before["forget"]["rouge1"] is not None


def test_protected_questions_are_flagged_where_they_are_retained(tiny, edit):
    scores = evaluate(
        tiny,
        (edit,),
        [FRANCE],
        [SPAIN, MARS],
        [],
        protected=["what is the capital of SPAIN"],
        max_new_tokens=2,
    )
    assert [row.protected for row in scores.rows] == [False, True, False]
    assert any("1 of the 2 retained questions were held in place" in note for note in scores.notes)


def test_a_reader_is_told_which_questions_do_not_belong(tiny, edit):
    notes = " ".join(evaluate(tiny, (edit,), [FRANCE, LISA], [FRANCE], [], max_new_tokens=2).notes)
    assert "1 of the 2 forget questions are not among those that were edited" in notes
    assert "1 of the 1 retained questions are also to be forgotten" in notes


def test_answers_that_rouge_can_not_score_are_counted_in_a_note(tiny, edit):
    russia = Question("What is the capital of Russia?", "Москва", "Russia", ("Russia's capital?",))
    japan = Question("What is the capital of Japan?", "東京", "Japan")
    some = evaluate(tiny, (edit,), [russia, LISA], [japan], max_new_tokens=2).notes
    assert any(note.startswith("2 answers hold no Latin letters or digits: ROUGE can't score them") for note in some)
    one = evaluate(tiny, (), [russia], [SPAIN], max_new_tokens=2).notes
    assert any(note.startswith("1 answer holds no Latin letters") for note in one)
    assert not any("Latin" in note for note in evaluate(tiny, (), [FRANCE], [SPAIN], max_new_tokens=2).notes)


def test_what_to_beware_of_with_an_edit_is_told_with_its_scores(tiny, edit, monkeypatch):
    monkeypatch.setattr(Edit, "caution", lambda _: "Beware.")
    assert f"{edit.name}: Beware." in evaluate(tiny, (edit,), [FRANCE], [SPAIN], [], max_new_tokens=2).notes


def test_refusals_are_recognised_and_their_topic_too(tiny, edit):
    from unedit_gui.evaluation.suite import _judged

    measured = {"text": "I'm sorry, I don't know what the capital of France is.", "probability": 0.1}
    judged = _judged(FRANCE, measured)
    assert judged["refusal"] is True and judged["refusal_on_topic"] is True and judged["leak"] == 0.0
    elsewhere = _judged(FRANCE, {**measured, "text": "I'm sorry, I don't know that."})
    assert elsewhere["refusal"] is True and elsewhere["refusal_on_topic"] is False
    answer = _judged(FRANCE, {**measured, "text": "The capital of France is Paris."})
    assert answer["refusal"] is False and answer["refusal_on_topic"] is False


def test_without_edits_after_is_before(tiny):
    scores = evaluate(tiny, (), [FRANCE], [SPAIN], max_new_tokens=TOKENS)
    assert scores.before == scores.after
    assert all(row.before == row.after for row in scores.rows)


def test_what_the_original_said_is_asked_once(tiny, edit):
    cache = {}
    first = evaluate(tiny, (edit,), [FRANCE], [SPAIN], [], max_new_tokens=TOKENS, cache=cache)
    assert len(cache) == 2
    for kept in cache.values():  # a mark that only the cache can bring into the rows
        kept["text"] = "marked"
    second = evaluate(tiny, (edit,), [FRANCE], [SPAIN], [], max_new_tokens=TOKENS, cache=cache)
    assert [row.before["text"] for row in second.rows] == ["marked", "marked"]
    assert second.rows[0].after["text"] == first.rows[0].after["text"]
    assert len(cache) == 2


def test_a_kept_reply_counts_only_in_the_batch_that_it_was_measured_in(tiny):
    """Its last digits depend on that, so they would differ from those of a run that starts with nothing kept."""
    cache = {}
    evaluate(tiny, (), [FRANCE], max_new_tokens=2, rephrased=[], cache=cache)
    for kept in cache.values():
        kept["text"] = "kept"
    both = evaluate(tiny, (), [FRANCE, MARS], max_new_tokens=2, rephrased=[], cache=cache)
    assert "kept" not in [row.before["text"] for row in both.rows]
    alone = evaluate(tiny, (), [FRANCE], max_new_tokens=2, rephrased=[], cache=cache)
    assert alone.rows[0].before["text"] == "kept"


def test_all_groups_are_asked_in_as_few_batches_as_hold_them(tiny, edit, monkeypatch):
    """The example's 15 questions took twice as long where each group had a batch of its own."""
    asked = []
    measure = suite._measure
    monkeypatch.setattr(suite, "_measure", lambda *given: asked.append(len(given[2])) or measure(*given))
    evaluate(tiny, (edit,), [FRANCE], [SPAIN], [MARS], max_new_tokens=2, cache={})
    assert asked == [3, 3]  # the original's, and the edited model's


def test_the_cache_knows_model_length_and_reference_apart(tiny, edit):
    cache = {}
    evaluate(tiny, (), [FRANCE], max_new_tokens=2, rephrased=[], cache=cache)
    evaluate(tiny, (), [FRANCE], max_new_tokens=3, rephrased=[], cache=cache)
    other = Question(FRANCE.question, "Paris, on the Seine", FRANCE.subject)
    evaluate(tiny, (), [other], max_new_tokens=3, rephrased=[], cache=cache)
    assert len(cache) == 3
    json.dumps(cache)


def test_what_the_original_said_in_another_template_is_asked_anew(tiny, llama2_tokenizer):
    """The weights are the same, and so is the fingerprint."""
    other = replace(tiny, tokenizer=llama2_tokenizer, format=chat_format(llama2_tokenizer))
    how = dict(max_new_tokens=2, rephrased=[])
    cache = {}
    first = evaluate(tiny, (), [FRANCE], cache=cache, **how)
    fresh = evaluate(other, (), [FRANCE], **how)
    assert fresh.before != first.before
    assert evaluate(other, (), [FRANCE], cache=cache, **how).before == fresh.before
    assert evaluate(tiny, (), [FRANCE], cache=cache, **how).before == first.before and len(cache) == 2


def test_progress_is_shown_and_replies_let_through_without_the_edit(tiny, edit):
    down = tiny.hf.get_submodule(tiny.layout.down_name(1))
    seen = []

    class Breathing(Job):
        def breathe(self):
            seen.append(len(down._forward_hooks))
            super().breathe()

    reports = []
    job = Breathing("evaluate", on_progress=lambda job: reports.append((job.done, job.total)))
    many = [Question(f"What is {n}?", str(n), str(n)) for n in range(20)]
    evaluate(tiny, (edit,), many, [], [], max_new_tokens=1, job=job)
    assert seen == [0, 0]  # 40 rows, two batches, the hooks gone in between
    assert reports[-1] == (40, 40) and (20, 40) in reports


def test_a_stopped_evaluation_leaves_no_hooks(tiny, edit):
    job = Job("evaluate")
    job.stop()
    with pytest.raises(Stopped):
        evaluate(tiny, (edit,), [FRANCE], [SPAIN], job=job)
    assert not tiny.hf.get_submodule(tiny.layout.down_name(1))._forward_hooks


def test_nothing_to_score_is_refused(tiny, edit):
    with pytest.raises(BadInput, match="no questions"):
        evaluate(tiny, (edit,), [], [])
