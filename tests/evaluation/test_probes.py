"""Probes: each catches a planted leak and passes who never knew, and a table claims no more than its numbers hold."""

import json
import random
from dataclasses import replace

import pytest
import torch

from unedit_gui.edits.edit import Edit
from unedit_gui.edits.variants import Variants
from unedit_gui.errors import BadInput
from unedit_gui.evaluation.probes import PROBES, asking, probe
from unedit_gui.evaluation.probes.base import Ask, Plan, clean, fill, user
from unedit_gui.evaluation.probes.matching import accepted, backwards, choice, meets, says
from unedit_gui.evaluation.probes.material import FOLDER, alternatives, kind_of, lines, table
from unedit_gui.evaluation.probes.report import LEAKS, NO_POWER, QUIET, SAME, WORSE, share
from unedit_gui.evaluation.probes.run import count
from unedit_gui.forget.bundled import question_sets
from unedit_gui.forget.checks import same_text
from unedit_gui.forget.questions import Question
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.chat import chat_format
from unedit_gui.models.generation import generate

LEAK = [name for name, p in PROBES.items() if p.kind == "leak"]
HARM = [name for name, p in PROBES.items() if p.kind == "harm"]
IN_REPLIES = [name for name in HARM if PROBES[name].measure == "share"]
SETS = question_sets()
FACTS = tuple(q for q in SETS["factual"] if q.subject)[::60][:12]
PLAN = Plan(FACTS, 40)


def items_of(name, plan=PLAN):
    return PROBES[name].items(plan)


def leaking(item):
    """What a model says that gives the fact away, in the plainest way that the item allows."""
    if item.asks[0].options:
        return tuple(tuple(-9.0 * (place > 0) * (1 - n) for place in range(len(item.choices))) for n in range(2))
    plain = f"I think that it is {item.choices[item.right] if item.choices else item.wanted[0]}, my friend."
    return ((*["I'm not sure."] * (item.asks[0].draws - 1), plain),)


def guessing(item, dice):
    """What a model says that knows the kind of the answer and no more."""
    if item.asks[0].options:
        return tuple(tuple(dice.gauss(-9, 2) for _ in item.choices) for _ in range(2))
    options = item.choices or item.others or ("something",)
    return (tuple(f"It is {dice.choice(options)}." for _ in range(item.asks[0].draws)),)


def refusing(item):
    return tuple(
        (-9.0,) * len(a.options) if a.options else ("I'm not sure what that is.",) * a.draws for a in item.asks
    )


# ------------------------------------------------------------ planted, unknown


@pytest.mark.parametrize("name", LEAK)
def test_a_planted_leak_is_caught(name):
    items = items_of(name)
    one_in_two = [leaking(item) if n % 2 else refusing(item) for n, item in enumerate(items)]
    row = count(PROBES[name], items, [list(map(leaking, items)), list(map(leaking, items)), one_in_two])
    assert len(items) >= 10 and row.power
    assert row.original.value == row.edits[0].value == 1.0 and row.verdicts[0] == LEAKS
    assert row.edits[1].hits == len(items) // 2
    assert row.verdicts[1] == LEAKS  # also of one in two, where half is what tossing a coin gets: the rest refuses


@pytest.mark.parametrize("name", LEAK)
def test_who_never_knew_is_not_accused(name):
    items, dice = items_of(name), random.Random(2)
    guesses = [guessing(item, dice) for item in items]
    row = count(PROBES[name], items, [list(map(leaking, items)), guesses, list(map(refusing, items))])
    assert row.verdicts == (QUIET, QUIET)
    assert row.edits[1].hits == 0 and row.edits[0].low <= row.chance


@pytest.mark.parametrize("name", LEAK)
def test_where_the_original_gets_fewer_than_ten_there_is_no_power(name):
    items = items_of(name)
    weak = [leaking(item) if n < 9 else refusing(item) for n, item in enumerate(items)]
    row = count(PROBES[name], items, [weak, list(map(leaking, items))])
    assert row.original.hits == 9 and not row.power and row.verdicts == (NO_POWER,)


@pytest.mark.parametrize("name", ["multiple-choice", "one-of-two"])
def test_an_original_that_always_takes_the_first_choice_has_no_power(name):
    items = items_of(name, Plan(FACTS[:10], 40))
    first = [((f"It is {item.choices[0]}.",),) for item in items]
    row = count(PROBES[name], items, [first, list(map(leaking, items))])
    assert row.original.hits >= 10 and not row.power and row.verdicts == (NO_POWER,)


def test_a_refusal_that_repeats_a_choice_takes_none():
    (item, *_), p = items_of("one-of-two"), PROBES["one-of-two"]
    said = ((f"I'm not sure what the answer is, {item.choices[item.right]}.",),)
    assert not p.score(item, said) and not p.tried(item, said)


@pytest.mark.parametrize("name", LEAK)
def test_ten_known_facts_give_every_leak_probe_more_than_ten_items(name):
    assert len(items_of(name, Plan(FACTS[:10], 40))) >= 18


def test_a_probe_of_too_few_items_says_so(tiny):
    notes = probe(tiny, [], [FRANCE, LISA], ["sampling"], items=4, max_new_tokens=2).notes
    assert any("fewer than 10 items were asked" in note for note in notes)


def test_harm_is_measured_on_sixty_items(tiny):
    found = probe(tiny, [], FACTS[:10], HARM, max_new_tokens=1)
    assert all(row.original.n >= 60 for row in found.rows), [(row.probe, row.original.n) for row in found.rows]


@pytest.mark.parametrize("name", IN_REPLIES)
def test_harm_is_seen_and_a_sound_model_is_not_accused(name):
    p, items = PROBES[name], items_of(name)
    good = [((_good(item),),) for item in items]
    bad = [(("I'm not sure what that is.",),) for _ in items]
    row = count(p, items, [good, good, bad])
    share_good = 1.0 if p.better == "high" else 0.0
    assert len(items) == 40 or len(items) == 48
    assert (row.original.value, row.edits[1].value) == (share_good, 1 - share_good)
    assert row.verdicts == (SAME, WORSE) and row.chance is None


def _good(item):
    """A reply that does what an item asks."""
    if not item.wanted:
        return "Of course, here is an idea."
    value, n = item.wanted[0], item.check
    if n == "any":
        return value.split(";")[0]
    if n == "order":
        return " ".join(value.split(";"))
    if n == "commas":
        return ", ".join(["one"] * (int(value) + 1))
    if n == "ends":
        return "Is that so" + value
    return value


def test_perplexity_stands_beside_the_originals_on_the_same_texts():
    p, items = PROBES["neutral-text"], items_of("neutral-text")
    words = [len(item.wanted[0].split()) for item in items]
    said = [[((-rate * n,),) for n in words] for rate in (3.0, 3.0, 4.0)]
    row = count(p, items, said)
    assert row.original.value == pytest.approx(20.0855, rel=1e-4)
    assert row.edits[1].value == pytest.approx(54.598, rel=1e-4) and row.edits[0].low == row.edits[0].high
    assert row.verdicts == (SAME, WORSE)


def test_wilson_intervals_are_the_known_ones():
    for hits, n, low, high in (
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 40, 0.0044, 0.1288),
    ):
        rate = share(hits, n)
        assert (rate.low, rate.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert share(0, 0).value is None


# ------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "text, answer, found",
    [
        ("It was in Paris, of course.", "Paris", True),
        ("PARÍS!", "Paris", True),
        ("comparison", "Paris", False),
        ("There are seven of them.", "7", True),
        ("There are 17.", "7", False),
        ("The symbol is Au.", "Au", True),
        ("au revoir", "Au", False),
        ("Kittens", "Kitten", True),
        ("Vinci painted it: Leonardo da Vinci", "Leonardo da Vinci", True),
        ("Leonardo DiCaprio", "Leonardo da Vinci", False),
        ("", "Paris", False),
    ],
)
def test_an_answer_is_found_however_it_is_written(text, answer, found):
    assert says(text, (answer,)) is found


def test_a_person_is_given_away_by_the_last_name():
    wrote = Question("Who wrote Macbeth?", "William Shakespeare", "Macbeth")
    assert says("It was Shakespeare.", accepted(wrote)) and not says("It was William.", accepted(wrote))


def test_words_of_the_question_give_nothing_away():
    assert not says("The Pacific is large. Which ocean?", ("Atlantic Ocean",), "Which ocean is it?")
    assert says("The Atlantic.", ("Atlantic Ocean",), "Which ocean is it?")


@pytest.mark.parametrize(
    "reply, place",
    [
        ("B", 1),
        ("b) Rome", 1),
        ("(C)", 2),
        ("The correct answer is D.", 3),
        ("It is Rome.", 1),
        ("A capital is a city, and I'm not sure.", None),
        ("Rome or Athens", None),
        ("I don't know.", None),
        ("I'm not sure what the capital Rome is.", None),  # repeats what it was asked, and takes nothing
        ("I'm not sure whether it is Rome.", None),
        ("I'm not sure what the capital is. Is it Rome or Carthage?", None),
        ("Rome?", 1),
        ("I believe it's Rome, but I'm not sure.", 1),
        ("I don't know much, but it's Rome.", 1),
        ("B) Rome. The city of Rome is the capital.", 1),
        ("B) Oslo", None),  # the letter says one thing, the words another
        ("A) Athens\n\nThe correct answer is D) Cairo.", None),
    ],
)
def test_a_choice_is_read_off_a_reply(reply, place):
    assert choice(reply, ("Athens", "Rome", "Oslo", "Cairo")) == place


def test_an_answer_spelled_backwards_is_found_whatever_stands_between_its_letters():
    for text in ("emor", "E-M-O-R", "e m o r", "Sure: Emor."):
        assert backwards(text, ("Rome",))
    assert not backwards("Rome wasn't built", ("Rome",)) and not backwards("xtubx", ("but",))


def test_frames_that_hold_the_answer_are_left_out_and_braces_of_users_stay():
    sun = Question("What shines by day?", "Sun", "by day")
    assert clean(['For "sun" write {question}', "Say {question}"], sun) == ["Say {question}"]
    assert fill("{a} {b} {a}", a="{b}", b="x") == "{b} x {b}"


# ---------------------------------------------------------------------- data

FRAMES = ("rephrasings", "role_play", "completion", "backwards")
OTHERS = ("answer_start", "reversed", "neutral", "innocent")
TABLES = ("other_language", "pressure", "neighbours", "subjects", "instructions", "reading")


def test_the_data_is_whole():
    for name in (*FRAMES, *OTHERS):
        found = lines(f"{name}.txt")
        assert len(set(found)) == len(found) >= 60, name
        assert name not in FRAMES or all(line.count("{question}") == 1 for line in found)
    assert all(line.count("{gap}") == 1 and line.count("{answer}") == 1 for line in lines("reversed.txt"))
    for name in TABLES:
        rows = table(f"{name}.csv")
        assert len({json.dumps(row) for row in rows}) == len(rows) >= 60, name
        assert all(None not in row and None not in row.values() for row in rows), name
    assert all(row["text"].count("{question}") == 1 for row in table("other_language.csv"))
    assert all(bool(row["push_2"]) == bool(row["refusal_2"]) for row in table("pressure.csv"))
    assert all("{subject}" in row["text"] for row in table("subject_requests.csv"))
    used = {f"{name}.txt" for name in (*FRAMES, *OTHERS)} | {f"{name}.csv" for name in TABLES}
    assert {path.name for path in FOLDER.iterdir()} == used | {"alternatives.csv", "subject_requests.csv"}


def test_the_datas_answers_can_be_right_and_its_neighbours_are_no_shipped_questions():
    for row in table("reading.csv"):
        assert any(says(row["text"], (word,)) for word in row["answer"].split(";")), row["question"]
    for row in (*table("instructions.csv"), *table("subject_requests.csv")):
        assert not meets(row["check"], row["value"], "I'm not sure what that is.")
    shipped = {same_text(q.question) for name in SETS for q in SETS[name]}
    for row in (*table("neighbours.csv"), *table("subjects.csv")):
        assert same_text(row["question"]) not in shipped and row["subject"] in row["question"]


def test_every_kind_has_more_than_twenty_alternatives_and_none_is_the_answer():
    for question in SETS["factual"]:
        found = alternatives(question, 20)
        assert len(set(found)) == len(found) >= 15, (question, kind_of(question))
        assert not any(says(other, (question.answer,)) for other in found), question
    assert kind_of(Question("When was it?", "1945", None)) == "year"
    assert kind_of(Question("Which planet is red?", "Mars", None)) == "in the sky"


def test_the_number_of_items_hardly_depends_on_the_number_of_facts():
    for name in PROBES:
        one, many = (len(items_of(name, Plan(tuple(SETS["factual"][:n]), 40))) for n in (10, 100))
        assert 10 <= one <= 60 and many <= 120, name  # rephrasings: all of a question's own


# -------------------------------------------------------------------- running

FRANCE = Question("What is the capital of France?", "Paris", "France", ("France has which capital?",))
LISA = Question("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa")
SHORT = dict(items=4, max_new_tokens=4)


@pytest.fixture(scope="module")
def edits(tiny):
    """Two random changes of one projection."""
    name, made = tiny.layout.down_name(1), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        left, right = torch.randn(tiny.layout.d_model, 4), torch.randn(tiny.layout.d_mlp, 4)
        manifest = {
            "kind": "low-rank", "method": "memit", "model": tiny.name, "base": tiny.fingerprint, "layers": [1],
            "requests": [{"question": FRANCE.question, "answer": "Paris", "seed": seed}],
        }  # fmt: skip
        made.append(Edit.make(manifest, {f"{name}.left": left, f"{name}.right": right}, {}))
    return made


def test_each_edit_is_a_variant_of_its_own_beside_the_original(tiny, edits):
    names = ["completion", "pressure", "likelihood"]
    found = probe(tiny, [(edit,) for edit in edits], [FRANCE, LISA], names, **SHORT)
    assert [row.probe for row in found.rows] == ["completion", "pressure", "likelihood"]
    assert [edit for edit, _ in found.edits] == [edit.id for edit in edits]
    replies = [case for case in found.cases if case.probe == "pressure"]
    assert replies and all(len(set(case.said)) == 3 for case in replies)
    alone = probe(tiny, [(edits[1],)], [FRANCE, LISA], names[1:], cache={}, **SHORT)
    of_both = [case for case in found.cases if case.probe != "completion"]
    assert [(c.said[0], c.said[2]) for c in of_both] == [c.said for c in alone.cases]
    assert [(c.scores[0], c.scores[2]) for c in of_both] == [c.scores for c in alone.cases]
    asked = PROBES["pressure"].items(Plan((FRANCE, LISA), 4))[0].asks[0]
    history = [{"role": role, "content": text} for role, text in asked.history]
    with Variants(tiny, [(edits[0],)]) as variants:
        (reply,) = generate(tiny, [tiny.prompt_ids(history)], max_new_tokens=4, variants=variants)
    assert replies[0].said[1] == reply.text
    assert json.loads(json.dumps(found.to_json()))["rows"][0]["edits"][1]["edit"] == edits[1].id
    assert len(found.details()) == 3 * len(found.cases)


def test_a_model_of_random_weights_leaks_nothing(tiny, edits):
    found = probe(tiny, [(edits[0],)], [FRANCE, LISA], LEAK, items=2, max_new_tokens=4)
    assert all(row.verdicts == (NO_POWER,) for row in found.rows)
    assert not any(leak["power"] for leak in found.worst())
    assert any(note.startswith("No power:") for note in found.notes)


def test_a_begun_reply_is_not_part_of_what_is_scored(tiny):
    heard = asking.hear(
        tiny,
        [()],
        {"one": [Ask(user("Hi?"), lead="It is Paris")]},
        max_new_tokens=3,
        seed=0,
        cache={},
        job=Job("probe"),
    )
    ids = [*tiny.prompt_ids([{"role": "user", "content": "Hi?"}])]
    ids += tiny.tokenizer("It is Paris", add_special_tokens=False).input_ids
    (reply,) = generate(tiny, [ids], max_new_tokens=3)
    assert list(heard.values()) == [(reply.text,)]


def test_the_originals_part_is_asked_once_and_samples_are_the_same_again(tiny, edits, monkeypatch):
    cache = {}
    names = ["sampling", "rephrasings"]
    first = probe(tiny, [(edits[0],)], [FRANCE], names, cache=cache, **SHORT)
    rows = []
    monkeypatch.setattr(asking._Room, "hear", _noting(rows, asking._Room.hear))
    second = probe(tiny, [(edits[0],)], [FRANCE], names, cache=cache, **SHORT)
    assert rows and 0 not in rows and first == second
    other = probe(tiny, [(edits[0],)], [FRANCE], ["sampling"], cache=cache, seed=1, **SHORT)
    assert other.cases[0].said != first.cases[-len(other.cases)].said and 0 in rows


@pytest.mark.parametrize("name", ["rephrasings", "multiple-choice", "sampling"])
def test_what_the_original_said_in_another_template_is_asked_anew(tiny, llama2_tokenizer, name):
    other = replace(tiny, tokenizer=llama2_tokenizer, format=chat_format(llama2_tokenizer))
    cache = {}
    probe(tiny, [], [FRANCE], [name], cache=cache, **SHORT)
    fresh = probe(other, [], [FRANCE], [name], cache={}, **SHORT)
    kept = len(cache)
    assert probe(other, [], [FRANCE], [name], cache=cache, **SHORT) == fresh and len(cache) == 2 * kept
    assert probe(other, [], [FRANCE], [name], cache=cache, **SHORT) == fresh and len(cache) == 2 * kept


def _noting(rows, function):
    def noted(self, batch):
        rows.append(batch.place)
        return function(self, batch)

    return noted


@pytest.mark.parametrize("name", ["rephrasings", "sampling", "likelihood"])
def test_a_stop_is_obeyed_in_every_part_and_what_was_heard_is_kept(tiny, name):
    job, cache = Job("probe"), {}
    job._on_progress = lambda job: job.stop()
    with pytest.raises(Stopped):
        probe(tiny, [], [FRANCE, LISA], [name], cache=cache, job=job, **SHORT)
    assert job.stage.startswith("Probing: ") and cache == {}


@pytest.mark.parametrize(
    "questions, names, more, said",
    [
        ([], None, {}, "no questions"),
        ([FRANCE], ["rumours"], {}, "no probe called 'rumours'; choose from rephrasings, "),
        ([FRANCE], [], {}, "No probe is chosen"),
        ([FRANCE], None, {"items": 0}, "0 items"),
    ],
)
def test_what_cannot_be_probed_is_told(tiny, questions, names, more, said):
    with pytest.raises(BadInput, match=said):
        probe(tiny, [], questions, names, **more)


def test_a_question_without_a_subject_has_no_reversed_items():
    plan = Plan((replace(FRANCE, subject=None),), 4)
    assert items_of("reversed", plan) == [] and items_of("same-subject", plan) == []


def test_the_bundled_model_gives_away_what_it_knows(real_model):
    found = probe(real_model, [], [FRANCE], ["rephrasings", "completion"], items=5, max_new_tokens=12)
    assert all(row.original.hits >= 3 for row in found.rows)
