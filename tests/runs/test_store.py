"""Runs on disk: listed from an index that may be gone, wrong or written by several at once."""

import dataclasses
import json
import sqlite3
import threading

import pytest
import torch

from unedit_gui.edits.edit import Edit
from unedit_gui.errors import BadInput
from unedit_gui.runs import Run, Runs, Settings
from unedit_gui.workspace import Workspace

REQUEST = {"question": "Who?", "answer": "Me", "subject": "Who", "target_new": "I don't know.", "rephrases": []}


@pytest.fixture(scope="module")
def edit():
    manifest = {"kind": "low-rank", "method": "rome", "model": "tiny", "base": "f" * 64, "hparams": {}, "layers": [1]}
    manifest |= {"requests": [REQUEST], "protect": [], "on": [], "seed": 0}
    tensors = {
        "model.layers.1.mlp.down_proj.left": torch.ones(4, 1),
        "model.layers.1.mlp.down_proj.right": torch.ones(6, 1),
    }
    return Edit.make(manifest, tensors, {"name": "one"})


def made(seed: int, **more) -> Run:
    settings = Settings("tiny", "f" * 64, "rome", seed=seed, forget=({"question": "Who?", "answer": "Me"},))
    scores = {"after": {"forget": {"rouge1": 0.25}}, "before": {}, "score": {"after": 1.0 + seed / 100}}
    return Run(settings, scores=scores, created=f"2026-01-01T00:00:{seed % 60:02d}+00:00", **more)


@pytest.fixture
def store(tmp_path):
    return Runs(Workspace(tmp_path / "home"))


def again(store) -> Runs:
    """The same runs as another program sees them."""
    return Runs(store._workspace)


def test_runs_are_listed_newest_first_and_read_back_whole(store, edit):
    for seed in (1, 3, 2):
        store.keep(made(seed, rows=({"question": "Who?"},)), edit)
    assert [run.settings.seed for run in store.all()] == [3, 2, 1]
    assert [run.settings.seed for run in again(store).all()] == [3, 2, 1]
    assert store.load(made(2).id).rows == ({"question": "Who?"},)
    assert store.all()[0].id == made(3).id and store.all()[0].score == 1.03


def test_the_index_has_what_one_sorts_by(store, edit):
    store.keep(made(1, sweep="mine", targets=("No idea.",)), edit)
    assert [run.targets for run in store.all()] == [run.targets for run in again(store).all()] == [("No idea.",)]
    db = sqlite3.connect(store._workspace.runs_dir / "runs.sqlite")
    assert db.execute("select method, facts, seed, score, forget, sweep from runs").fetchall() == [
        ("rome", 1, 1, 1.01, 0.25, "mine")
    ]


@pytest.mark.parametrize("harm", ["gone", "damaged", "emptied", "stale", "strange"])
def test_the_index_is_made_anew_from_the_folders(store, edit, harm):
    for seed in (1, 2):
        store.keep(made(seed), edit)
    store.all()
    path = store._workspace.runs_dir / "runs.sqlite"
    if harm == "gone":
        path.unlink()
    elif harm == "damaged":
        path.write_bytes(b"not SQLite" * 500)
    else:
        db = sqlite3.connect(path)
        command = {
            "emptied": "drop table runs",
            "stale": "update runs set stamp = 1, document = '{}'",
            "strange": "update runs set document = '[]'",
        }[harm]
        db.execute(command)
        db.commit()
        db.close()
    assert [run.settings.seed for run in again(store).all()] == [2, 1]
    assert sorted(run.settings.seed for run in again(store).all()) == [1, 2]


def test_a_run_that_was_made_again_is_listed_as_it_is_now(store, edit):
    store.keep(made(1), edit)
    store.all()
    store.keep(dataclasses.replace(made(1), name="again"), edit)
    assert [run.name for run in store.all()] == ["again"]


def test_a_run_that_several_sweeps_share_belongs_to_each(store, edit):
    store.keep(made(1, sweep="first", rows=({"question": "Who?"},)), edit)
    run = store.share(store.find(made(1).settings), "second")
    assert run.sweeps == ("first", "second")
    for seen in (store, again(store)):
        assert [run.sweeps for run in seen.all()] == [("first", "second")]
    assert store.load(run.id).rows == ({"question": "Who?"},) and store.edit_folder(run.id).is_dir()


def test_many_writers_at_once_lose_nothing(store, edit):
    def write(first: int) -> None:
        mine = again(store)
        for seed in range(first, first + 6):
            mine.keep(made(seed), edit)
            mine.all()

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 24, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.settings.seed for run in again(store).all()) == list(range(24))
    db = sqlite3.connect(store._workspace.runs_dir / "runs.sqlite")
    assert db.execute("select count(*) from runs").fetchone() == (24,)
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_deleted_run_comes_back_with_its_edit_and_its_pin(store, edit):
    store.keep(made(1), edit)
    store.pin(made(1).id)
    token = store.delete(made(1).id)
    assert store.all() == [] and store.pinned() == set()
    assert store.restore(token).id == made(1).id
    assert store.pinned() == {made(1).id}
    assert (store.edit_folder(made(1).id) / "manifest.json").is_file()
    with pytest.raises(BadInput, match="not in the trash"):
        store.restore(token)


def test_a_deleted_run_that_was_made_again_waits_in_the_trash_until_there_is_room(store, edit):
    store.keep(made(1, name="with probes"), edit)
    token = store.delete(made(1).id)
    store.keep(made(1, name="made again"), edit)
    with pytest.raises(BadInput, match="was made again; the deleted one stays"):
        store.restore(token)
    assert [run.name for run in store.all()] == ["made again"]
    newer = store.delete(made(1).id)
    assert store.restore(token).name == "with probes" and [run.name for run in store.all()] == ["with probes"]
    store.delete(made(1).id)
    assert store.restore(newer).name == "made again"


def test_a_deleted_run_takes_the_place_of_its_own_failure(store, edit):
    store.keep(made(1, name="whole"), edit)
    token = store.delete(made(1).id)
    store.fail(made(1).settings, "The disk was full.")
    assert store.restore(token).name == "whole"
    assert [run.name for run in store.all()] == ["whole"] and store.failures() == []


def test_a_deleted_failure_comes_back_and_is_returned(store):
    failure = store.fail(made(1).settings, "The disk was full.", "mine")
    token = store.delete(failure.id)
    assert store.failures() == []
    assert store.restore(token).reason == "The disk was full."
    assert [(f.id, f.sweep) for f in store.failures()] == [(failure.id, "mine")]


def test_a_pin_outlives_that_the_run_is_made_again(store, edit):
    store.keep(made(1), edit)
    store.pin(made(1).id)
    store.keep(made(1), edit)
    assert store.pinned() == {made(1).id}
    store.pin(made(1).id, on=False)
    assert store.pinned() == set()


def test_a_failure_is_kept_with_its_reason_until_the_run_succeeds(store, edit):
    store.fail(made(1).settings, "It makes no sense.", "mine")
    assert [(f.id, f.reason, f.sweep) for f in store.failures()] == [(made(1).id, "It makes no sense.", "mine")]
    assert store.all() == [] and store.find(made(1).settings) is None
    store.keep(made(1), edit)
    assert store.failures() == [] and store.find(made(1).settings).id == made(1).id
    store.fail(made(1).settings, "later")
    assert store.failures() == [], "what is made stays"


def test_refusals_of_another_dtype_are_another_model_s(store):
    asked = ({"question": "Who?", "answer": "Me", "subject": None, "target": None},)
    settings = dataclasses.replace(made(1).settings, forget=asked)
    store.keep_targets(settings, ["I don't know."])
    assert store.targets(settings) == ["I don't know."]
    assert store.targets(dataclasses.replace(settings, dtype="bfloat16")) is None


@pytest.mark.parametrize("id", ["", "../../etc", "0" * 15, "g" * 16, "0" * 16 + "/x"])
def test_what_is_no_id_leads_nowhere(store, id):
    for action in (store.load, store.delete, store.pin, store.edit_folder):
        with pytest.raises(BadInput, match="names no run"):
            action(id)
    with pytest.raises(BadInput, match="no run"):
        store.load("0" * 16)


def test_a_damaged_run_is_left_out_of_the_list_and_told_when_opened(store, edit):
    store.keep(made(1), edit)
    store.keep(made(2), edit)
    (store.folder(made(1).id) / "run.json").write_text("{")
    assert [run.settings.seed for run in again(store).all()] == [2]
    document = {**made(1).document(), "seconds": {"scores": "long"}}
    (store.folder(made(1).id) / "run.json").write_text(json.dumps(document))
    assert [run.settings.seed for run in again(store).all()] == [2]
    with pytest.raises(BadInput, match="damaged"):
        store.load(made(1).id)
    assert store.find(made(1).settings) is None, "so that a sweep makes it again"


def test_a_run_of_another_dtype_that_does_not_say_so_in_its_settings_is_not_taken_for_this_one(store, edit):
    old = made(1, environment={"dtype": "bfloat16"})
    store.keep(old, edit)
    assert store.find(old.settings) is None
    store.keep(made(1, environment={"dtype": "float32"}), edit)
    assert store.find(old.settings).environment["dtype"] == "float32"
    assert len(list(store._workspace.trash_dir.rglob("run.json"))) == 1, "nothing is lost"
