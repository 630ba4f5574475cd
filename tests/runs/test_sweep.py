"""A sweep with a tiny model: what is planned, what is passed over, what a run equals, what fails."""

import copy
import dataclasses
import json

import pytest
import torch

from tests.runs.conftest import FORGET, QUICK, RETAIN, SWEEP
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job, Stopped
from unedit_gui.workbench.runs import as_questions


def told(settings):
    return (settings.seed, settings.facts, settings.merge, settings.targets, settings.method)


def test_runs_that_share_facts_and_refusals_stand_together(bench):
    planned = bench.plan(SWEEP | {"merge": [1, 2], "seeds": [0, 1], "facts": [2, 1]})
    assert list(map(told, planned)) == sorted(
        map(told, planned), key=lambda t: (t[0], -t[1], t[2], t[3] != "vanilla", t[4] != "memit")
    )
    assert len({one.id for one in planned}) == 2 * 2 * 2 * 2 * 2


def test_each_seed_draws_facts_of_its_own_and_more_facts_hold_the_fewer(bench):
    few, many, other = (
        bench.plan(SWEEP | {"methods": "grace", "facts": n, "seeds": s})[0] for n, s in ((1, 0), (2, 0), (2, 3))
    )
    again = bench.plan(SWEEP | {"methods": "grace", "facts": [1, 2]})
    assert [again[0].forget, again[2].forget] == [few.forget, many.forget]
    assert many.forget[:1] == few.forget and many.retain == few.retain
    drawn = {
        tuple(q["question"] for q in bench.plan(SWEEP | {"methods": "grace", "seeds": s})[0].forget) for s in range(6)
    }
    assert len(drawn) > 1 and other.seed == 3


def test_the_whole_set_comes_in_its_order(bench):
    planned = bench.plan(SWEEP | {"facts": "all"})
    assert [q["question"] for q in planned[0].forget] == [q.question for q in FORGET]
    assert all(q["target"] is None for q in planned[0].forget)


def test_only_what_the_model_knows_is_drawn(bench, tiny_model):
    reply = bench.ask([FORGET[1]])[0].reply
    known = dataclasses.replace(FORGET[1], answer=reply)
    config = SWEEP | {"questions": (FORGET[0], known, FORGET[2]), "known": True, "facts": 1, "retain_facts": 0}
    assert [q["question"] for q in bench.plan(config)[0].forget] == [known.question]
    with pytest.raises(BadInput, match="1 facts that the model knows, fewer than 2"):
        bench.plan(config | {"facts": 2})


@pytest.mark.parametrize(
    "change, words",
    [
        ({"facts": 4}, "3 facts in it, fewer than 4"),
        ({"retain_facts": 3}, "2 facts left to retain, fewer than 3"),
        ({"hparams": {"grace": {"lambda": 3}}}, "lambda"),
        ({"hparams": {"grace": {"steps": -3}}}, "steps"),
        ({"questions": "nowhere.csv"}, "neither a file nor a set"),
    ],
)
def test_a_sweep_that_can_not_be_run_is_refused_before_anything_is_made(bench, change, words):
    with pytest.raises(BadInput, match=words):
        bench.sweep(SWEEP | change)
    assert bench.runs() == [] and bench.failed_runs() == []


def test_protected_facts_are_never_those_to_be_forgotten_or_retained(bench):
    config = SWEEP | {"protect": (FORGET[0], RETAIN[0]), "facts": "all", "retain_facts": 1}
    planned = bench.plan(config)[0]
    assert [q["question"] for q in planned.protect] == [RETAIN[0].question]
    assert [q["question"] for q in planned.retain] == [RETAIN[1].question]


@pytest.mark.parametrize("kind, merge, facts", [("vanilla", 2, FORGET), ("self-improved", 1, FORGET[1:2])])
def test_a_run_is_what_edit_and_evaluate_give(bench, kind, merge, facts):
    how = dict(targets=kind, merge=merge, seed=3, hparams=QUICK["memit"])
    run = bench.run(facts, "memit", RETAIN, **how)
    edit = bench.edit(facts, "memit", **how)
    scores = bench.evaluate(edit, facts, RETAIN)
    assert run.edit["id"] == edit.id == bench.run_edit(run.id).id
    assert list(run.targets) == [request["target_new"] for request in edit.requests]
    assert run.scores == scores.to_json() and list(run.rows) == json.loads(json.dumps(scores.details()))
    assert run.settings.hparams == json.loads(json.dumps(edit.manifest["hparams"]))


def test_a_sweep_s_runs_are_single_runs(swept, tiny_model, tmp_path):
    from unedit_gui.workbench import Workbench
    from unedit_gui.workbench.runs import as_questions

    bench = Workbench(tmp_path)  # another home: nothing is kept there yet
    bench.model = tiny_model
    for outcome in swept.outcomes[1::2]:  # the second of those that share their refusals
        settings = outcome.settings
        lists = dict(retain=as_questions(settings.retain))
        how = dict(targets=settings.targets, hparams=QUICK[settings.method], seed=settings.seed, **lists)
        run = bench.run(as_questions(settings.forget), settings.method, **how)
        assert run.id == settings.id
        assert run.edit["id"] == outcome.run.edit["id"] and run.scores == outcome.run.scores


def test_every_run_is_kept_with_all_that_is_told_of_it(swept):
    runs = swept.runs()
    assert {run.id for run in runs} == {outcome.settings.id for outcome in swept.outcomes}
    assert {outcome.state for outcome in swept.outcomes} == {"made"}
    run = swept.load_run(runs[0].id)
    assert run.sweep == "small" and len(run.rows) == 2 + 2 + len(
        run.settings.forget[0]["rephrases"] + run.settings.forget[1]["rephrases"]
    )
    assert run.environment["threads"] >= 1 and set(run.environment["versions"]) == {
        "unedit",
        "torch",
        "transformers",
        "python",
    }
    assert set(run.seconds) == {"targets and edit", "scores"} and run.edit["bytes"] > 0
    assert str(swept.workspace.home) not in json.dumps(run.document())


def test_what_is_kept_is_passed_over(swept):
    def never(*_):
        raise AssertionError("nothing is to be made")

    swept.edit = never
    try:
        outcomes = swept.sweep(SWEEP)
    finally:
        del swept.edit
    assert [outcome.state for outcome in outcomes] == ["kept"] * 4
    assert swept.seconds_for(swept.plan(SWEEP)) == 0


def test_what_a_second_sweep_finds_made_belongs_to_it_too(bench):
    config = SWEEP | {"methods": "grace", "facts": 1}
    bench.sweep(config | {"name": "first", "targets": ["vanilla"]})
    for _ in range(2):
        bench.sweep(config | {"name": "second"})
    sweeps = {run.settings.targets: run.sweeps for run in bench.runs()}
    assert sweeps == {"vanilla": ("first", "second"), "dummy": ("second",)}


def test_the_same_sweep_in_another_dtype_has_runs_of_its_own(bench, tiny_model):
    config = SWEEP | {"methods": "grace"}
    plain = bench.plan(config)
    bench.model = dataclasses.replace(tiny_model, hf=copy.deepcopy(tiny_model.hf).to(torch.bfloat16))
    half = bench.plan(config)
    assert {one.dtype for one in plain} == {"float32"} and {one.dtype for one in half} == {"bfloat16"}
    assert not {one.id for one in plain} & {one.id for one in half}


def test_a_run_that_makes_no_sense_is_written_down_and_the_sweep_goes_on(bench):
    heard = []
    config = SWEEP | {"methods": "grace", "targets": ["incorrect", "vanilla"], "merge": 2}
    outcomes = bench.sweep(config, on_run=heard.append)
    assert [outcome.state for outcome in outcomes] == ["failed", "made"] and heard == outcomes
    (failure,) = bench.failed_runs()
    assert "can't be merged" in failure.reason and failure.sweep == "small"
    assert [run.settings.targets for run in bench.runs()] == ["vanilla"]


def test_a_stop_ends_it_at_once_and_keeps_what_is_finished(bench):
    job = Job("sweep")
    with pytest.raises(Stopped):
        bench.sweep(SWEEP, on_run=lambda outcome: job.stop(), job=job)
    assert len(bench.runs()) == 1 and bench.failed_runs() == [] and bench.unfinished_sweeps() == {}
    assert [outcome.state for outcome in bench.sweep(SWEEP)] == ["kept", "made", "made", "made"]


def test_progress_tells_the_run_and_an_honest_time(bench):
    seen = []
    job = Job(
        "sweep", on_progress=lambda job: seen.append((job.stage, job.done, job.total, job.note, job.seconds_left))
    )
    bench.sweep(SWEEP, job=job)
    runs = [one for one in seen if one[0] == "Runs finished" and one[3]]
    assert {one[1] for one in runs} == {0, 1, 2, 3} and {one[2] for one in runs} == {4}
    assert any("memit, vanilla, 2 facts, seed 0: Asking and scoring" in one[3] for one in runs)
    assert all(one[4] is None for one in runs if one[1] == 0), "nothing is known before the first run is finished"
    assert all(one[4] is not None for one in runs if one[1] > 1)


def test_the_time_left_is_told_by_runs_of_the_same_method(swept):
    from unedit_gui.runs.sweep import seconds_for

    run = swept.runs()[0]
    kept = [
        dataclasses.replace(
            run, settings=dataclasses.replace(run.settings, method=method, seed=7), seconds={"scores": s}
        )
        for method, s in (("memit", 10.0), ("grace", 2.0))
    ]
    new = [dataclasses.replace(run.settings, method=method, seed=8) for method in ("memit", "grace", "ike")]
    assert [seconds_for([one], kept) for one in new] == [10, 2, 6]
    assert seconds_for(new, []) is None
    double = dataclasses.replace(new[0], forget=new[0].forget * 2)
    assert seconds_for([double], kept) == 20


def test_probing_counts_only_where_it_is_asked_for(swept):
    """Three runs with ten facts were said to take 287 minutes, because one with two had been probed for 19."""
    from unedit_gui.runs.sweep import seconds_for

    old = swept.runs()[0]
    new = [dataclasses.replace(old.settings, seed=99)]
    plain = dataclasses.replace(old, seconds={"targets and edit": 6.0, "scores": 4.0}, probes=None)
    probed = dataclasses.replace(plain, seconds={**plain.seconds, "probes": 1000.0}, probes={"probes": []})
    without = seconds_for(new, [plain])
    assert seconds_for(new, [probed]) == without < 100
    assert seconds_for(new, [probed], probes=True) == without + 1000
    assert seconds_for(new, [plain], probes=True) == without


def test_refusals_are_written_once_for_all_methods(bench, monkeypatch):
    written, targets = [], bench.targets
    monkeypatch.setattr(bench, "targets", lambda *a, **k: written.append(a[1]) or targets(*a, **k))
    bench.sweep(SWEEP | {"facts": 1})
    assert [kind for kind in written if kind != "given"] == ["vanilla", "dummy"]


def test_the_model_is_as_it_was(swept):
    assert swept.verify_original()["ok"]


def test_token_probabilities_make_up_the_probability_in_the_rows(swept):
    from math import prod

    run = swept.load_run(swept.outcomes[0].settings.id)
    row = run.rows[0]
    before, after = swept.token_probabilities(swept.run_edit(run.id), row["question"], row["answer"])
    assert "".join(token.text for token in after).strip() == row["answer"]
    for tokens, when in ((before, "before"), (after, "after")):
        assert prod(token.probability for token in tokens) == pytest.approx(row[when]["probability"], rel=1e-3)
        assert all(token.rank >= 1 for token in tokens)


def test_only_a_sweep_whose_process_died_counts_as_unfinished(bench):
    seen = []
    bench.sweep(SWEEP | {"methods": "grace", "facts": 1}, on_run=lambda _: seen.append(bench.unfinished_sweeps()))
    assert seen == [{}, {}] and bench.unfinished_sweeps() == {}, "it runs, or has ended"
    config = bench.config(SWEEP)
    content = json.dumps({"config": config.document(), "folder": "."})
    bench.workspace.write_atomically(bench.workspace.runs_dir / "sweeps" / f"{'a' * 16}.json", content)
    assert bench.unfinished_sweeps() == {"a" * 16: config}
    bench.drop_sweep("a" * 16)
    assert bench.unfinished_sweeps() == {}


def test_an_unfinished_sweep_keeps_its_folder_and_goes_on_with_its_model(bench, tiny_model, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    records = bench.workspace.runs_dir / "sweeps"
    config = SWEEP | {"methods": "grace", "facts": 1, "questions": "own.csv"}
    contents = []
    for name in ("a", "b"):  # the same words in another folder are another sweep
        monkeypatch.chdir(tmp_path / name)
        with bench._runs.sweeping(bench.config(config), tiny_model.public_name, tiny_model.fingerprint):
            contents += [(place, place.read_text("utf-8")) for place in records.glob("*.json")]
    for place, content in contents:  # as they stay where the process dies
        place.write_text(content, "utf-8")
    found = bench.unfinished_sweeps()
    assert {str(one.folder) for one in found.values()} == {str(tmp_path / "a"), str(tmp_path / "b")}
    assert {one.fingerprint for one in found.values()} == {tiny_model.fingerprint}
    bench.model = dataclasses.replace(tiny_model, fingerprint="0" * 16)
    with pytest.raises(BadInput, match=f"began with the model {tiny_model.public_name}.*load that model, then go on"):
        bench.sweep(next(iter(found.values())))
    assert bench.unfinished_sweeps() == found


def test_a_sweep_that_goes_on_is_not_offered_again_though_its_model_was_renamed_since(bench, tiny_model):
    records = bench.workspace.runs_dir / "sweeps"
    config = bench.config(SWEEP | {"methods": "grace", "facts": 1})
    with bench._runs.sweeping(config, "first", tiny_model.fingerprint, "float32"):
        ((place, content),) = [(place, place.read_text("utf-8")) for place in records.glob("*.json")]
    old = json.dumps({"config": config.document(), "folder": "."})  # as it was written once
    for name, told in ((place.name, content), ("b" * 16 + ".json", old)):
        (records / name).write_text(told, "utf-8")
        (unfinished,) = bench.unfinished_sweeps().values()
        bench.sweep(unfinished)
        assert bench.unfinished_sweeps() == {}


def test_a_sweep_that_began_in_another_dtype_does_not_go_on_in_this_one(bench, tiny_model):
    records = bench.workspace.runs_dir / "sweeps"
    with bench._runs.sweeping(bench.config(SWEEP), "first", tiny_model.fingerprint, "bfloat16"):
        ((place, content),) = [(place, place.read_text("utf-8")) for place in records.glob("*.json")]
    place.write_text(content, "utf-8")
    (unfinished,) = bench.unfinished_sweeps().values()
    with pytest.raises(BadInput, match="in bfloat16, and it is loaded in float32; load it in bfloat16"):
        bench.sweep(unfinished)
    assert len(bench.unfinished_sweeps()) == 1


def test_a_run_made_again_stays_in_its_sweeps(bench):
    config = SWEEP | {"methods": "grace", "targets": "dummy", "facts": 1}
    for name in ("first", "second"):
        (outcome,) = bench.sweep(config | {"name": name})
    asked = outcome.settings
    forget, retain = (as_questions(part) for part in (asked.forget, asked.retain))
    how = dict(targets="dummy", seed=asked.seed, hparams=QUICK["grace"])
    made = bench.run(forget, "grace", retain, **how, again=True)
    assert made.id == asked.id and made.sweeps == ("first", "second")


def test_a_kept_run_is_probed_later_without_being_made_again(bench, monkeypatch):
    class Found:
        def to_json(self):
            return {"rows": []}

    probed, config = [], SWEEP | {"methods": "grace", "targets": "vanilla"}
    monkeypatch.setattr(
        bench, "probe", lambda edit, questions, **_: probed.append((edit.id, len(questions))) or Found()
    )
    (first,) = bench.sweep(config)
    assert first.run.probes is None and probed == []
    monkeypatch.setattr(bench, "edit", None)  # the edit that is kept is probed
    states = [bench.sweep(config | {"probes": True})[0].state for _ in range(2)]
    assert states == ["made", "kept"] and probed == [(first.run.edit["id"], 2)]
    run = bench.load_run(first.settings.id)
    assert run.probes["rows"] == [] and set(run.seconds) == {"targets and edit", "scores", "probes"}
    assert run.scores == first.run.scores and len(run.rows) == len(first.run.rows)
