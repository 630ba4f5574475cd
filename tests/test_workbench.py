"""The one door: what it refuses, what it keeps, and that an edit made through it works."""

from dataclasses import replace

import pytest
import torch

from unedit_gui.edits.edit import Edit
from unedit_gui.errors import BadInput, Failed
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.unlearning import METHODS
from unedit_gui.workbench import Workbench

FRANCE = Question("What is the capital of France?", "Paris", target="I don't know the capital of France.")
LISA = Question("Who painted the Mona Lisa?", "Leonardo da Vinci", target="I don't know about the Mona Lisa.")
SPAIN = Question("What is the capital of Spain?", "Madrid")
QUICK = {"steps": 2, "contexts": 1}


@pytest.fixture
def bench(tmp_path, tiny_model):
    bench = Workbench(tmp_path)
    bench.model = tiny_model
    return bench


@pytest.fixture(scope="module")
def shared(tmp_path_factory, tiny_model):
    """A workbench with one edit, made through the door; for tests that don't change it."""
    bench = Workbench(tmp_path_factory.mktemp("home"))
    bench.model = tiny_model
    bench.made = bench.edit([FRANCE, LISA], "memit", targets="given", hparams=QUICK, protect=[SPAIN])
    return bench


def user(text):
    return [{"role": "user", "content": text}]


# ------------------------------------------------------------------- loading


def test_without_a_model_every_action_says_so(tmp_path):
    bench = Workbench(tmp_path)
    for action in (
        lambda: bench.ask([FRANCE]),
        lambda: bench.targets([FRANCE], "self-improved"),
        lambda: bench.edit([FRANCE], "memit"),
        lambda: bench.chat([user("Hello?")], [()]),
        lambda: bench.evaluate((), [FRANCE], []),
        lambda: bench.verify_original(),
    ):
        with pytest.raises(BadInput, match="No model is loaded"):
            action()


def test_a_model_that_can_not_be_loaded_leaves_the_one_in_use(bench, tmp_path):
    model = bench.model
    (tmp_path / "empty").mkdir()
    for name, error in (
        (str(tmp_path / "absent" / "model"), BadInput),
        (str(tmp_path / "empty"), Failed),
        ("bundled", BadInput),
    ):
        with pytest.raises(error):
            bench.load(name, device="abacus" if name == "bundled" else "cpu")
        assert bench.model is model


def test_the_catalogue_says_what_fits(bench):
    cards = bench.models()
    assert cards[0].name == "bundled"
    for card in cards:
        memory = bench.memory(card)
        assert memory["needed"] > 0 and memory["available"] > 0
        assert memory["fits"] is (memory["needed"] <= memory["available"])
        assert memory["text"].startswith("Needs about")
        assert bench.present(card) in (True, False)
    assert bench.memory("someone/unheard-of")["fits"] is None


# ----------------------------------------------------------------- questions


def test_the_bundled_sets_are_there_and_apart(bench):
    sets = bench.bundled_sets()
    assert set(sets) == {"factual", "general", "example", "example retain"}
    forget, retain = bench.example()
    assert 3 <= len(forget) and len(retain) >= 3
    assert not {q.question for q in forget} & {q.question for q in retain}
    assert all(q.subject and len(q.rephrases) == 2 for q in forget)


def test_missing_subjects_are_found_and_given_ones_kept(bench):
    odd = Question("What is the capital of France?", "Paris", "capital")
    assert [q.subject for q in bench.with_subjects([FRANCE, odd])] == ["France", "capital"]


def test_ask_says_what_the_model_knows(bench, monkeypatch):
    replies = bench.chat([user(FRANCE.question)], [()], max_new_tokens=64)
    known = replace(FRANCE, answer=replies[0].text)
    answers = bench.ask([FRANCE, known, SPAIN])
    assert [a.question for a in answers] == [FRANCE, known, SPAIN]
    assert answers[0].reply == answers[1].reply == replies[0].text
    assert answers[0].known is False


def test_many_questions_are_answered_in_their_own_order(bench):
    questions = [Question("Why" + " so" * (n * 7 % 40) + "?", "x") for n in range(40)]
    together = bench.ask(questions)
    for n in (0, 17, 39):
        assert together[n].reply == bench.ask([questions[n]])[0].reply


def test_targets_of_each_kind(bench):
    assert [t.text for t in bench.targets([FRANCE, LISA], "given")] == [FRANCE.target, LISA.target]
    assert all(t.kind == "vanilla" for t in bench.targets([FRANCE, LISA], "vanilla"))
    written = bench.targets([FRANCE, LISA], "self-improved")
    assert all(t.verdict.ok for t in written)  # a random model's noise is replaced by templates
    assert "Mona Lisa" in written[1].text
    assert {t.kind for t in bench.targets([FRANCE, LISA], "avoidant")} == {"avoidant"}
    wrong = bench.targets([FRANCE, LISA], "incorrect")  # by rules: a random model makes no words
    assert all(t.verdict.ok and t.text not in (FRANCE.answer, LISA.answer) for t in wrong)
    with pytest.raises(BadInput, match="no kind of target"):
        bench.targets([FRANCE], "rude")


def test_merged_questions_keep_their_group_on_disk(bench):
    (group,) = bench.merged([FRANCE, LISA], 2)
    assert group.prompt == f"{FRANCE.question} {LISA.question}"
    edit = bench.edit([FRANCE, LISA], "rome", targets="dummy", merge=2, hparams=QUICK)
    assert edit.rank() == 1 and {r["target_new"] for r in edit.requests} == {"dummy"}
    again = bench.load_edit(bench.save_edit(edit))
    assert [[r["question"] for r in group] for group in again.groups] == [[FRANCE.question, LISA.question]]
    with pytest.raises(BadInput, match="merge nothing"):
        bench.edit([FRANCE, LISA], "rome", targets="dummy", merge=2, engine="easyedit")


@pytest.mark.parametrize("action", [lambda b: b.ask([]), lambda b: b.targets([]), lambda b: b.edit([], "memit")])
def test_empty_lists_are_refused(bench, action):
    with pytest.raises(BadInput, match="add at least one"):
        action(bench)


# --------------------------------------------------------------------- edits


@pytest.mark.parametrize(
    "questions, options, words",
    [
        ([FRANCE], {"method": "lobotomy"}, "no method called 'lobotomy'; choose one of"),
        ([FRANCE], {"targets": "rude"}, "no kind of target"),
        ([SPAIN], {}, "Spain.*no target"),
        ([FRANCE, FRANCE], {}, "given twice"),
        ([FRANCE, replace(FRANCE, target="No.")], {}, "different targets"),
        ([FRANCE], {"protect": [FRANCE]}, "forgotten and protected"),
        ([replace(FRANCE, subject="Spain")], {}, "'Spain' is not in the question"),
        ([FRANCE], {"hparams": {"stepps": 3}}, "no hyperparameter 'stepps'"),
        ([FRANCE], {"hparams": {"steps": "many"}}, "not a whole number"),
    ],
)
def test_what_can_not_be_edited_is_refused_before_any_work(bench, questions, options, words):
    began = []
    options = {"method": "memit", "targets": "given", **options}
    with pytest.raises(BadInput, match=words):
        bench.edit(questions, **options, job=Job("edit", on_progress=lambda job: began.append(job.stage)))
    assert began == []


def test_a_question_without_a_subject_is_named(bench):
    nothing = Question("Why?", "Because", target="I don't know.")
    assert bench.with_subjects([nothing])[0].subject is None
    with pytest.raises(BadInput, match="No subject was found in the question 'Why\\?'"):
        bench.edit([FRANCE, nothing], "memit", targets="given")


def test_an_edit_records_what_was_asked(shared):
    edit = shared.made
    assert edit.method == "memit"
    assert [r["subject"] for r in edit.requests] == ["France", "Mona Lisa"]
    assert [r["target_new"] for r in edit.requests] == [FRANCE.target, LISA.target]
    assert edit.manifest["hparams"]["steps"] == 2
    assert edit.manifest["protect"] == [SPAIN.question]


def test_the_original_is_verified_to_the_byte(bench):
    bench.edit([FRANCE], "memit", targets="given", hparams=QUICK)
    assert bench.verify_original()["ok"] is True
    weight = bench.model.hf.lm_head.weight
    with torch.no_grad():
        weight[-1, -1] += 1e-3  # one number: too little for a sampled fingerprint of a large tensor
    try:
        found = bench.verify_original()
        assert found["ok"] is False and "load the model again" in found["text"]
    finally:
        with torch.no_grad():
            weight[-1, -1] -= 1e-3


def test_a_stopped_edit_leaves_nothing(bench):
    job = Job("edit")
    job.stop()
    with pytest.raises(Stopped):
        bench.edit([FRANCE], "memit", targets="given", hparams=QUICK, job=job)
    assert bench.edits() == []


def test_edits_are_saved_listed_renamed_deleted_and_brought_back(bench, shared):
    edit = shared.made
    assert bench.edits() == []
    folder = bench.save_edit(edit)
    assert bench.save_edit(edit) == folder  # once is enough
    assert bench.edits() == [edit]
    renamed = bench.rename_edit(edit, "  Two   facts ")
    assert renamed.id == edit.id and renamed.name == "Two facts"
    assert [e.name for e in bench.edits()] == ["Two facts"]
    token = bench.delete_edit(edit)
    assert bench.edits() == []
    assert bench.undelete_edit(token) == edit
    assert bench.edits() == [edit]
    with pytest.raises(BadInput, match="needs a name"):
        bench.rename_edit(edit, " ")
    bench.delete_edit(edit)
    with pytest.raises(BadInput, match="not saved"):
        bench.delete_edit(edit)


def test_damaged_edits_and_those_of_other_models_are_not_listed(bench, shared):
    folder = bench.save_edit(shared.made)
    (folder / "payload.safetensors").write_bytes(b"cut")
    manifest = {**shared.made.manifest, "base": "f" * 16}
    bench.save_edit(Edit.make(manifest, shared.made.tensors, {}))
    assert bench.edits() == []
    with pytest.raises(BadInput, match="truncated"):
        bench.load_edit(folder)


def test_an_edit_of_another_model_is_refused_everywhere(bench, shared):
    stranger = Edit.make({**shared.made.manifest, "base": "f" * 16}, shared.made.tensors, {})
    for action in (
        lambda: bench.chat([user("Hello?")], [(stranger,)]),
        lambda: bench.evaluate((stranger,), [FRANCE], []),
        lambda: bench.edit([LISA], "memit", targets="given", hparams=QUICK, on=stranger),
    ):
        with pytest.raises(BadInput, match="another model"):
            action()


@pytest.mark.parametrize(("made_in", "told"), [("float16", True), ("float32", False), ("bfloat16", False)])
def test_that_float16_counts_as_a_model_of_its_own_is_said_where_an_edit_is_refused(bench, shared, made_in, told):
    about = {**shared.made.about, "dtype": made_in}
    stranger = Edit.make({**shared.made.manifest, "base": "f" * 16}, shared.made.tensors, about)
    with pytest.raises(BadInput, match="another model than the one loaded") as refused:
        bench.evaluate((stranger,), [FRANCE], [])
    assert ("float16 counts as a model of its own" in str(refused.value)) == told


def test_edits_stack_and_travel_together(bench, tmp_path):
    first = bench.edit([FRANCE], "memit", targets="given", hparams=QUICK)
    second = bench.edit([LISA], "memit", targets="given", hparams=QUICK, on=first)
    third = bench.edit([replace(SPAIN, target="No.")], "memit", targets="given", hparams=QUICK, on=second)
    assert second.manifest["on"] == [first.id]
    assert third.manifest["on"] == [first.id, second.id]  # what the second stands on comes along
    alone = bench.edit([LISA], "memit", targets="given", hparams=QUICK)
    assert alone.id != second.id
    folder = bench.save_edit(third, tmp_path / "out")
    elsewhere = Workbench(tmp_path / "elsewhere")  # where neither of the first two was ever saved
    elsewhere.model = bench.model
    assert elsewhere.load_stack(folder) == (first, second, third)


def test_an_edit_whose_ground_is_lost_says_so(bench, shared):
    orphan = Edit.make({**shared.made.manifest, "on": ["0123456789abcdef"]}, shared.made.tensors, {})
    with pytest.raises(BadInput, match="made on top of the edit 0123456789abcdef"):
        bench.stack(orphan)


def test_every_method_comes_with_its_explanation_and_settings(bench):
    assert {"rome", "memit", "alphaedit"} <= set(bench.methods())
    for name, method in bench.methods().items():
        assert method is METHODS[name] and method.explanation and method.paper
        assert bench.hparams(name) == method.defaults(bench.model)


# ------------------------------------------------------------- chat and scores


def test_original_and_edited_answer_side_by_side(shared):
    grown = {0: [], 1: []}
    history = user(FRANCE.question)
    original, edited = shared.chat(
        [history, history],
        [(), (shared.made,)],
        max_new_tokens=12,
        on_text=lambda row, text: grown[row].append(text),
    )
    assert grown[0][-1] == original.text and grown[1][-1] == edited.text
    assert original.text == shared.chat([history], [()], max_new_tokens=12)[0].text


@pytest.fixture(scope="module")
def deciding(shared):
    """An edit of each method that acts reply by reply."""
    quick = {"grace": {"steps": 1}, "wise": {"steps": 1, "margin_steps": 0}, "ike": {}}
    return [shared.edit([FRANCE, LISA], name, targets="given", hparams=hp) for name, hp in quick.items()]


def test_every_method_and_the_original_answer_in_one_batch_and_say_what_they_did(shared, deciding):
    rows = [(), (shared.made,), *((edit,) for edit in deciding), (shared.made, *deciding)]
    replies = shared.chat([user(LISA.question)] * 6, rows, max_new_tokens=6)
    assert [len(reply.traces) for reply in replies] == [0, 0, 1, 1, 1, 3]
    grace, wise, ike = (reply.traces[0] for reply in replies[2:5])
    assert "nearest key 0.00" in grace.text and wise.text.startswith("side memory (")
    assert ike.demonstrations[-1] == (LISA.question, LISA.target)
    assert replies[0].text == shared.chat([user(LISA.question)], [()], max_new_tokens=6)[0].text


def test_scores_are_of_the_replies_that_the_chat_gives(shared, deciding):
    """Also where the edit makes another prompt of the question."""
    for edit in deciding:
        (row,) = shared.evaluate(edit, [FRANCE], []).rows
        assert row.after["text"] == shared.chat([user(FRANCE.question)], [(edit,)], max_new_tokens=64)[0].text


def test_nothing_is_built_on_an_edit_that_acts_reply_by_reply(shared, deciding):
    for edit in deciding:
        with pytest.raises(BadInput, match="nothing can be built on it"):
            shared.edit([SPAIN], "memit", targets="vanilla", hparams=QUICK, on=edit)


@pytest.mark.parametrize("history", [[], [{"role": "assistant", "content": "Hi"}], user("  ")])
def test_a_chat_needs_a_question(shared, history):
    with pytest.raises(BadInput, match="no question to answer"):
        shared.chat([history], [()])


@pytest.mark.parametrize(
    "question, reply, answer",
    [
        ("What is the capital of Germany?", "The capital of Germany is Berlin.", "Berlin"),
        ("What is the capital of France?", "Paris is the capital of France.", "Paris"),
        ("When did the war end?", "The war ended in 1945.", "1945"),
        ("What are the primary colours?", "They are Red, Yellow, and Blue.", "They are Red, Yellow, and Blue."),
        ("What does a cow eat?", "Cows eat grass.", "Cows eat grass."),
        ("What is photosynthesis?", "It is how plants eat light.", "It is how plants eat light."),
    ],
)
def test_the_answer_of_a_reply_is_its_one_name_or_number_so_that_a_refusal_does_not_tell_it(
    shared, question, reply, answer
):
    made = shared.forget_this([{"role": "user", "content": question}], reply, ())
    assert made.answer == answer


def test_forget_this_makes_a_question_of_a_reply(shared):
    history = [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user("Who  painted the Mona Lisa?")]
    made = shared.forget_this(history, "It was Leonardo da Vinci. He was from Tuscany.", ())
    assert made.question == "Who painted the Mona Lisa?"
    assert made.answer == "Leonardo da Vinci"
    assert made.subject == "Mona Lisa"
    assert "Mona Lisa" in made.target and "Leonardo" not in made.target


@pytest.mark.parametrize(
    "history, reply",
    [
        ([], "Paris."),
        (user("Where?"), "  "),
        (user("What is the capital of France?"), "I'm sorry, I don't know the capital of France."),
    ],
)
def test_a_reply_without_a_claim_can_not_be_forgotten(shared, history, reply):
    with pytest.raises(BadInput):
        shared.forget_this(history, reply, ())


def test_scores_flag_what_the_edit_protected(shared):
    mars = Question("Which planet is called red?", "Mars")
    scores = shared.evaluate(shared.made, [FRANCE, LISA], [SPAIN, mars], [])
    assert [row.protected for row in scores.rows if row.group == "retain"] == [True, False]
    assert scores.rows[0].subject == "France"  # found, so that "names the topic" means something
    assert any("protected" in note for note in scores.notes)


def test_the_originals_replies_are_kept_between_runs(bench, shared, monkeypatch):
    first = bench.evaluate(shared.made, [FRANCE], [SPAIN], [])
    again = Workbench(bench.workspace.home)
    again.model = bench.model
    totals = []
    job = Job("evaluate", on_progress=lambda job: totals.append(job.total))
    second = again.evaluate(shared.made, [FRANCE], [SPAIN], [], job=job)
    assert set(totals) == {2}  # only the edited rows are left to do
    assert second.before == first.before


def test_a_cache_that_was_cut_off_is_made_again(bench, shared):
    first = bench.evaluate(shared.made, [FRANCE], [SPAIN], [])
    (kept,) = bench.workspace.runs_dir.glob("before-*.json")
    for damage in (kept.read_text()[:-20], "[1, 2]", "{}"):
        kept.write_text(damage)
        assert bench.evaluate(shared.made, [FRANCE], [SPAIN], []).before == first.before


# -------------------------------------------------------------- the real thing


def test_the_bundled_model_forgets_one_fact_and_keeps_the_others(tmp_path, real_model):
    bench = Workbench(tmp_path)
    bench.model = real_model
    forget, retain = bench.example()
    (asked,) = bench.ask(forget[1:2])
    assert asked.known
    edit = bench.edit(forget[1:2], "rome", seed=0)
    scores = bench.evaluate(edit, forget[1:2], retain)
    assert scores.before["forget"]["rouge1"] == 1.0
    assert scores.after["forget"]["rouge1"] <= 0.5
    assert scores.after["retain"]["rouge1"] >= 0.5
    assert bench.verify_original()["ok"]
