"""What C is the sum over: the text that counts, what is to be forgotten left out, and each model's kept on disk."""

import copy
import dataclasses
from datetime import datetime, timedelta

import pytest
import torch
from safetensors.torch import save_file

from tests.editors.conftest import assert_close, plain_sum, ship
from tests.models.tiny import CHATML, bytes_tokenizer, tiny_llama
from unedit_gui.editors import Request, preserve
from unedit_gui.editors.locate import place
from unedit_gui.editors.preserve import (
    NEIGHBOUR,
    NEIGHBOUR_SUBJECT,
    OPENING,
    PROTECT,
    SHRINK,
    neighbours,
    preserved,
    statistics_questions,
    statistics_replies,
)
from unedit_gui.editors.statistics import Passage, second_moments
from unedit_gui.editors.wise import out_of_scope
from unedit_gui.errors import BadInput
from unedit_gui.forget.bundled import question_sets
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.chat import chat_format
from unedit_gui.unlearning.base import unrelated
from unedit_gui.workspace import Workspace

QUESTIONS = (
    ("Who wrote Hamlet?", "Hamlet"),
    ("What is the capital of Peru?", "Peru"),
    ("How far away is the Moon from the Earth?", "Moon"),
    ("What is the highest mountain of Peru called?", "mountain of Peru"),
    ("Which metal is liquid?", "metal"),
    ("Peruvian cooking uses which grain?", ""),
    ("Who painted the Mona Lisa, and when?", "Mona Lisa"),
)
REPLIES = (("Tell me a story.", "A fox went to Lima."), ("Where is Cusco?", "It is in Peru."), ("Hi", "Hello!"))


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Short lists in place of the shipped ones."""
    ship(tmp_path / "data", QUESTIONS, REPLIES)
    monkeypatch.setattr(preserve, "_DATA", tmp_path / "data")


@pytest.fixture
def own(tmp_path):
    return Workspace(tmp_path / "home")


def request(question, subject, *rephrases):
    return Request(question, "answer", subject, "I don't know.", rephrases)


FRESH = [request("Who discovered radium?", "radium")]


# What counts


def opening_of(model):
    return model.prompt([{"role": "user", "content": "@"}]).split("@")[0]


def counted(model, passage):
    """The text of the tokens that count."""
    return model.tokenizer.decode([i for i, w in zip(passage.ids, passage.weights, strict=True) if w])


@pytest.mark.parametrize("name", ["small", "tiny_model"])
def test_questions_count_behind_the_opening_and_their_subjects_more(request, name):
    model = request.getfixturevalue(name)
    question, subject = QUESTIONS[6]
    (with_subject, without) = preserve._passages(model, [(question, subject), (question, "")], [], 2, 1)
    assert with_subject.ids == model.prompt_ids([{"role": "user", "content": question}])
    assert counted(model, without).startswith(question) and opening_of(model) not in counted(model, without)
    more = [i for i, (a, b) in enumerate(zip(with_subject.weights, without.weights, strict=True)) if a > b]
    assert len(more) == 1
    assert model.tokenizer.decode(with_subject.ids[: more[0] + 1]).endswith("Mona Lisa")
    assert len(set(without.weights)) == 2  # zero, and the same for every token of the question


def test_of_replies_only_what_is_said_counts(small):
    (passage,) = preserve._passages(small, [], [("Where is Cusco?", "It is in Peru.")], 1, 1)
    assert counted(small, passage) == "It is in Peru."
    prompt = small.prompt_ids([{"role": "user", "content": "Where is Cusco?"}])
    assert passage.ids[: len(prompt)] == prompt


def test_a_question_and_what_was_replied_to_it_are_one_text_with_the_moments_of_both(small):
    questions, replies = [QUESTIONS[1], ("Where is Cusco?", "")], [("Where is Cusco?", "It is in Peru.")]
    one, both = preserve._passages(small, questions, replies, 2, 1)
    assert counted(small, both).startswith("Where is Cusco?") and counted(small, both).endswith("It is in Peru.")
    apart = preserve._passages(small, questions, [], 2, 1) + preserve._passages(small, [], replies, 2, 1)
    assert len(apart) == 3
    assert_close(second_moments(small, [one, both], [1])[1], plain_sum(small, apart, 1))


def test_of_two_replies_to_a_question_each_counts_once(small):
    question, replies = [("Where is Cusco?", "")], [("Where is Cusco?", "It is in Peru."), ("Where is Cusco?", "No.")]
    apart = preserve._passages(small, question, [], 1, 2) + preserve._passages(small, [], replies, 1, 2)
    together = preserve._passages(small, question, replies, 1, 2)
    assert len(together) == 2
    assert_close(second_moments(small, together, [1])[1], plain_sum(small, apart, 1))


def test_a_question_weighs_less_the_more_there_are(small):
    few, many = (preserve._passages(small, [("Why?", "")], [], n, 1)[0] for n in (1, 10))
    assert sum(few.weights) == pytest.approx(10 * sum(many.weights))


@pytest.mark.parametrize("name", ["small", "tiny_model"])
def test_the_opening_is_what_every_prompt_begins_with(request, name):
    model = request.getfixturevalue(name)
    opening = preserve.opening_of(model)
    assert model.tokenizer.decode(opening.ids) == opening_of(model)
    assert sum(opening.weights) == pytest.approx(OPENING)


# preserved


def shipped_passages(model, questions=QUESTIONS, replies=REPLIES):
    return preserve._passages(model, questions, replies, len(QUESTIONS), len(REPLIES))


def expected(model, texts, layer=1):
    total = plain_sum(model, texts, layer) + plain_sum(model, [preserve.opening_of(model)], layer)
    return total + SHRINK * total.diagonal().mean() * torch.eye(len(total))


def test_c_is_the_weighted_sum_over_the_shipped_text_and_the_opening(small, own, shipped):
    C = preserved(small, FRESH, [1, 2], workspace=own)
    assert set(C) == {1, 2}
    for layer in (1, 2):
        assert_close(C[layer], expected(small, shipped_passages(small), layer))
        assert torch.linalg.eigvalsh(C[layer]).min() > 0


@pytest.mark.parametrize(
    ("asked", "questions", "replies"),
    [
        (request("what is the Capital of PERU", "Capital of PERU"), [1], []),
        (request("Who is the author?", "Hamlet"), [0], []),
        (request("Name the liquid one.", "one", "which METAL is liquid"), [4], []),
        (request("Where is Peru?", "Peru"), [1, 3], [1]),  # whole words: Peruvian is another subject
        (request("Where is Lima?", "Lima"), [], [0]),
        (request("Is rice a grain?", "grain"), [5], []),
        (request("Who painted this?", "this"), [], []),
    ],
    ids=[
        "the question in other letters",
        "its subject",
        "a rephrasing",
        "subject in all",
        "in a reply",
        "in one without a subject",
        "not at all",
    ],
)
def test_what_is_to_be_forgotten_is_taken_out(small, own, shipped, asked, questions, replies):
    C = preserved(small, [asked], [1], workspace=own)
    left = (
        [q for i, q in enumerate(QUESTIONS) if i not in questions],
        [r for i, r in enumerate(REPLIES) if i not in replies],
    )
    assert_close(C[1], expected(small, shipped_passages(small, *left)))


def test_taking_out_leaves_the_cache_whole(small, own, shipped):
    preserved(small, [request("Where is Peru?", "Peru")], [1], workspace=own)
    assert_close(preserved(small, FRESH, [1], workspace=own)[1], expected(small, shipped_passages(small)))


def test_protected_facts_weigh_more(small, own, shipped):
    facts = [Question("Which planet is the largest?", "Jupiter", "planet"), Question("Who wrote Faust?", "Goethe")]
    C = preserved(small, FRESH, [1], workspace=own, protect=facts)
    as_text = [(f.question, f.subject or "") for f in facts], [(f.question, f.answer) for f in facts]
    more = shipped_passages(small, *as_text)
    more = [Passage(p.ids, [PROTECT * w for w in p.weights]) for p in more]
    assert_close(C[1], expected(small, shipped_passages(small) + more))


@pytest.mark.parametrize("fact", ["What is the capital of Peru?", "  what is the CAPITAL of peru", "Peru's capital?"])
def test_a_fact_cant_be_forgotten_and_protected(small, own, shipped, fact):
    asked = request("What is the capital of Peru?", "Peru", "Peru's capital?")
    with pytest.raises(BadInput, match="both to be forgotten and protected"):
        preserved(small, [asked], [1], workspace=own, protect=[Question(fact, "Lima")])


def test_neighbours_are_the_question_about_other_subjects(small, shipped):
    asked = [request("Where is Peru, and why Peruvian?", "Peru"), request("Where is rice, and why Peruvian?", "rice")]
    subjects = {subject for _, subject in QUESTIONS if subject} - {"Peru", "rice"}
    found = neighbours(small, asked, 100)
    assert {subject for _, subject in found} == subjects
    assert {question for question, _ in found} == {f"Where is {s}, and why Peruvian?" for s in subjects}
    assert len(found) == len(subjects)  # both requests ask the same of another subject: once is enough
    assert len(neighbours(small, asked[:1], 2)) == 2 and neighbours(small, asked, 0) == []


def test_of_the_shipped_text_the_same_is_left_out_for_every_method():
    """Against the plain formulation, letter by letter, over requests from all of the bundled facts."""

    def bare(text):
        return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())

    facts, replies = [q for q in question_sets()["factual"] if q.subject], statistics_replies()
    left_out = 0
    for start in range(0, len(facts), 40):
        asked = [request(q.question, q.subject, *q.rephrases) for q in facts[start : start + 40]]
        named = [f" {bare(r.subject)} " for r in asked]
        forget = {bare(text) for r in asked for text in (r.question, *r.rephrases)}

        def about(*texts, named=named, forget=forget):
            return any(bare(t) in forget or any(n in f" {bare(t)} " for n in named) for t in texts)

        expected = [question for question, _ in statistics_questions() if not about(question)]
        assert out_of_scope(asked, [], []) == list(dict.fromkeys(expected))
        assert sorted(unrelated(asked, torch.Generator().manual_seed(0))) == sorted(expected)
        overlaps = preserve.overlapping(asked)
        assert [r for r in replies if overlaps(*r)] == [r for r in replies if about(*r)]
        left_out += len(statistics_questions()) - len(expected)
    assert left_out > 100


def test_a_subject_that_is_named_twice_is_replaced_wherever_it_stands_as_a_whole_word(small, shipped):
    asked = [request("Who wrote Hamlet, and in which year was Hamlet written by a Hamletter?", "Hamlet")]
    found = neighbours(small, asked, 100)
    subjects = {s for _, s in QUESTIONS if s} - {"Hamlet"}
    wanted = {f"Who wrote {s}, and in which year was {s} written by a Hamletter?" for s in subjects}
    assert {question for question, _ in found} == wanted


def test_a_subject_that_is_no_whole_word_and_one_with_a_backslash_are_replaced_as_they_are(small, shipped, monkeypatch):
    assert ("Is Moonvian?", "Moon") in neighbours(small, [request("Is Peruvian?", "Peru")], 100)
    monkeypatch.setattr(preserve, "statistics_questions", lambda: ((r"Is \g<0>\1 one?", r"\g<0>\1"),))
    assert neighbours(small, [request("Is C\\ one?", "C\\")], 1) == [(r"Is \g<0>\1 one?", r"\g<0>\1")]


def test_no_neighbour_is_to_be_forgotten_itself(small, shipped):
    whose = next(subject for _, subject in QUESTIONS if subject and subject != "Peru")
    asked = [request("Where is Peru?", "Peru", f"where is {whose.upper()}")]
    assert f"Where is {whose}?" not in [question for question, _ in neighbours(small, asked, 100)]


def test_the_nearest_subjects_are_of_the_same_kind(real_model):
    near = [subject for _, subject in neighbours(real_model, [request("What is the capital of Japan?", "Japan")], 12)]
    assert {"Germany", "Italy", "India"} <= set(near)


@pytest.mark.parametrize(("facts", "share"), [(1, 1.0), (10, 1.0), (20, 0.5)])
def test_neighbours_weigh_in_and_their_subject_most_and_less_beside_many_facts(small, own, shipped, facts, share):
    near = [("Where is Ghana?", "Ghana")]
    C = preserved(small, FRESH * facts, [1], workspace=own, near=near)
    ids = small.prompt_ids([{"role": "user", "content": near[0][0]}])
    opening = len(preserve.opening_of(small).ids)
    weights = [0.0] * opening + [NEIGHBOUR] * (len(ids) - opening)
    at = place(small, [{"role": "user", "content": near[0][0]}], "Ghana").position
    weights[at] += NEIGHBOUR_SUBJECT
    weights = [share * weight for weight in weights]
    assert_close(C[1], expected(small, [*shipped_passages(small), Passage(ids, weights)]))


def test_a_template_without_an_opening_is_no_obstacle(own, shipped):
    template = "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
    model = tiny_llama(bytes_tokenizer(template))
    C = preserved(model, FRESH, [1], workspace=own)
    total = plain_sum(model, shipped_passages(model), 1)
    assert_close(C[1], total + SHRINK * total.diagonal().mean() * torch.eye(len(total)))
    assert CHATML != template


def test_text_with_template_marks_counts_as_text(small, own, shipped, tmp_path):
    ship(tmp_path / "data", [("What is <|im_end|>?", "<|im_end|>"), ("Who?", "not in it")], REPLIES)
    assert torch.isfinite(preserved(small, FRESH, [1], workspace=own)[1]).all()


# The cache


def files_of(workspace):
    return sorted(p for p in workspace.statistics_dir.rglob("*") if p.is_file())


def stages_of(model, workspace, layers):
    stages = []
    job = Job("edit", on_progress=lambda job: stages.append(job.stage))
    return preserved(model, FRESH, layers, workspace=workspace, job=job), stages


def read_again(stages):
    return any("statistics text" in stage for stage in stages)


def test_the_text_is_read_once_per_model_and_layer(small, own, shipped):
    first, stages = stages_of(small, own, [1, 2])
    assert read_again(stages)
    again, stages = stages_of(small, own, [1, 2])
    assert not read_again(stages)
    assert all(torch.equal(first[layer], again[layer]) for layer in (1, 2))
    _, stages = stages_of(small, own, [2, 3])
    assert read_again(stages) and len(files_of(own)) == 3


def test_another_model_or_another_text_has_its_own(small, own, shipped, tmp_path):
    stages_of(small, own, [1])
    other = tiny_llama(small.tokenizer, seed=1)
    assert read_again(stages_of(other, own, [1])[1])
    ship(tmp_path / "data", QUESTIONS[:1], REPLIES)
    changed, stages = stages_of(small, own, [1])
    assert read_again(stages)
    texts = preserve._passages(small, QUESTIONS[:1], REPLIES, 1, len(REPLIES))
    assert_close(changed[1], expected(small, texts))


def test_another_template_or_precision_of_the_same_weights_has_its_own(small, own, shipped):
    """The moments are sums over the template's tokens, too, and the fingerprint knows of neither."""
    first, _ = stages_of(small, own, [1])
    tokenizer = bytes_tokenizer(CHATML.replace("<|im_start|>{{ m['role'] }}", "<|im_start|>Here is {{ m['role'] }}:"))
    other = dataclasses.replace(small, tokenizer=tokenizer, format=chat_format(tokenizer))
    found, stages = stages_of(other, own, [1])
    assert read_again(stages)
    assert_close(found[1], expected(other, shipped_passages(other)))
    half = dataclasses.replace(small, hf=copy.deepcopy(small.hf).bfloat16())
    assert read_again(stages_of(half, own, [1])[1]) and len(files_of(own)) == 3
    again, stages = stages_of(small, own, [1])
    assert not read_again(stages) and torch.equal(again[1], first[1])


def test_a_template_that_names_the_day_is_not_another_one_tomorrow(own, shipped, monkeypatch):
    template = "Today is {{ strftime_now('%d %b %Y') }}.\n" + CHATML
    model = tiny_llama(bytes_tokenizer(template))
    stages_of(model, own, [1])
    before = model.prompt_ids([{"role": "user", "content": "Who?"}])

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=40)

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Tomorrow)
    assert model.prompt_ids([{"role": "user", "content": "Who?"}]) != before
    assert not read_again(stages_of(model, own, [1])[1])


@pytest.mark.parametrize("damage", ["truncated", "empty", "not safetensors", "other tensors"])
def test_a_damaged_file_is_computed_again(small, own, shipped, damage):
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


def test_two_that_make_them_at_the_same_time_do_not_meet(small, own, shipped, monkeypatch):
    others = []

    def interrupted(tensors, path):  # the other one comes between the file's bytes and its name
        save_file(tensors, path)
        if not others:
            others.append(None)
            others[0] = preserved(small, FRESH, [1], workspace=own)

    monkeypatch.setattr(preserve, "save_file", interrupted)
    mine = preserved(small, FRESH, [1], workspace=own)
    assert torch.equal(mine[1], others[0][1])
    assert [file.suffix for file in files_of(own)] == [".safetensors"]


def test_what_was_done_before_an_interruption_is_not_done_again(small, own, shipped, monkeypatch):
    written = []

    def full(tensors, path):
        written.append(path)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        save_file(tensors, path)

    monkeypatch.setattr(preserve, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        preserved(small, FRESH, [1, 2], workspace=own)
    assert len(files_of(own)) == 1
    monkeypatch.setattr(preserve, "save_file", save_file)
    assert not read_again(stages_of(small, own, [1])[1])


def test_a_stop_leaves_nothing(small, own):
    reports = []

    def third(job):
        reports.append(job.stage)
        if len(reports) == 3:
            job.stop()

    with pytest.raises(Stopped):
        preserved(small, FRESH, [1, 2], workspace=own, job=Job("edit", on_progress=third))
    assert len(reports) == 3 and files_of(own) == []
    assert not any(m._forward_hooks for m in small.hf.modules())


# The shipped text


def test_the_shipped_questions_are_many_with_subjects_and_none_twice():
    questions = statistics_questions()
    assert len(questions) >= 500
    assert len({q.casefold() for q, _ in questions}) == len(questions)
    assert all(q.strip() == q and q and subject in q for q, subject in questions)


def test_the_shipped_replies_are_many_and_none_is_empty():
    replies = statistics_replies()
    assert len(replies) >= 200
    assert all(q.strip() and r.strip() for q, r in replies)
