"""A run is named by its settings and comes back from disk as it was."""

import dataclasses
import json

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.runs import Run, Settings, read_run, write_run
from unedit_gui.runs.record import from_document

SETTINGS = Settings(
    "smollm2",
    "f" * 16,
    "rome",
    hparams={"layer": 7, "steps": 25},
    forget=({"question": "What is the capital of Peru?", "answer": "Lima", "subject": "Peru", "rephrases": ["Peru?"]},),
)
RUN = Run(
    SETTINGS,
    scores={"before": {"forget": {"rouge1": 1.0, "n": 1}}, "after": {"forget": {"rouge1": 0.0, "n": 1}}},
    rows=({"group": "forget", "question": "What is the capital of Peru?"},),
    targets=("I don't know the capital of Peru.",),
    created="2026-01-02T03:04:05+00:00",
)


def test_a_run_comes_back_from_disk_as_it_was(tmp_path):
    write_run(RUN, tmp_path)
    assert json.dumps(read_run(tmp_path).document()) == json.dumps(RUN.document())
    assert (read_run(tmp_path).rows, read_run(tmp_path).targets) == (RUN.rows, RUN.targets)
    assert read_run(tmp_path, rows=False).rows == ()


def test_a_run_is_named_by_its_settings_alone():
    assert dataclasses.replace(RUN, name="other", environment={"threads": 2}).id == RUN.id
    assert dataclasses.replace(SETTINGS, seed=1).id != SETTINGS.id


def test_a_run_in_another_dtype_has_a_name_of_its_own_and_one_in_float32_that_of_before():
    assert dataclasses.replace(SETTINGS, dtype="bfloat16").id != SETTINGS.id
    assert SETTINGS.id == "1df526696876aec1"
    old = RUN.document()
    del old["settings"]["dtype"], old["also"]
    assert from_document({**old, "rows": []}).settings == SETTINGS


def test_the_name_is_the_same_after_a_round_trip(tmp_path):
    write_run(RUN, tmp_path)
    assert read_run(tmp_path).settings.id == SETTINGS.id


@pytest.mark.parametrize("harm", ("gone", "cut", "changed", "later"))
def test_a_run_that_is_not_whole_is_refused_in_one_sentence(tmp_path, harm):
    write_run(RUN, tmp_path)
    path = tmp_path / "run.json"
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_text(path.read_text()[:-40])
    elif harm == "changed":
        path.write_text(path.read_text().replace('"seed": 0', '"seed": 3'))
    else:
        path.write_text(path.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(BadInput) as error:
        read_run(tmp_path)
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize(
    "name, value",
    [
        ("seconds", {"scores": "1 s"}),
        ("seconds", {"scores": None}),
        ("seconds", {"scores": float("nan")}),
        ("seconds", {"scores": 1e308}),
        ("seconds", {"scores": -1}),
        ("name", "half a character: \ud800"),
        ("targets", ["\ud800"]),
        ("scores", {"after": None}),
        ("scores", {"after": {"forget": []}}),
        ("scores", {"after": {"forget": {"rouge1": "0.1"}}}),
        ("scores", {"score": 3}),
        ("scores", {"notes": 5}),
        ("sweep", ["a"]),
        ("also", [5]),
        ("probes", {"rows": 5}),
        ("probes", {"rows": [{"original": 5}]}),
        ("probes", {"worst": [5]}),
        ("edit", {"id": [1]}),
        ("environment", {"versions": []}),
        ("environment", {"threads": [1]}),
        ("rows", [{"before": 5}]),
        ("rows", [{"group": []}]),
        ("rows", [{"after": {"rouge1": "much"}}]),
    ],
)
def test_a_run_with_a_part_of_the_wrong_kind_is_refused_however_deep_it_lies(name, value):
    with pytest.raises(BadInput, match="is not whole"):
        from_document({**RUN.document(), "rows": [], name: value})


def test_averages_are_read_by_group_and_metric():
    assert RUN.average("forget") == 0.0
    assert RUN.average("forget", when="before") == 1.0
    assert RUN.average("retain") is None
