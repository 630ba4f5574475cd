"""Step 8 without a browser: a sweep from the form, the table, runs side by side, one in detail."""

import copy
import csv
import dataclasses
import io
import json
import re
import shutil

import pytest
import torch

from tests.models.tiny import bytes_tokenizer, tiny_llama
from tests.reports.made import made
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui import frame, run, runs
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import speaking
from unedit_gui.workbench.runs import as_questions

LINES = "Who <b>drew</b> Mona? | Leo | Mona\nIs Peru far? | Very | Peru"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("home"))
    lab.bench.model = tiny_llama(bytes_tokenizer())
    return lab


@pytest.fixture(scope="module")
def swept(lab):
    """A session that has run two methods on its own two questions."""
    from unedit_gui.forget.questions import read_lines

    session = lab.sessions.get("1" * 32)
    session.add(read_lines(LINES).questions)
    ticked = [("sweep_methods", "rome", ""), ("sweep_methods", "memit", ""), ("sweep_methods", "alphaedit", "")]
    ticked += [("sweep_methods", "ike", "1"), ("sweep_methods", "grace", "1"), ("sweep_targets", "self-improved", "")]
    for name, value, on in [*ticked, ("sweep_targets", "dummy", "1")]:
        runs.field(lab, session, {"field": name, "name": value, "value": on})
    for name, value in (("sweep_questions", "own"), ("sweep_known", ""), ("sweep_retain", "1"), ("sweep_name", "<i>")):
        runs.field(lab, session, {"field": name, "value": value})
    assert runs.config(session)["methods"] == ["grace", "ike"], "in the order of the list"
    assert "2 runs: how long they take" in runs.render(lab, session)
    runs.ACTS["sweep"](lab, session, {})
    session.jobs["sweep"].wait(120)
    return session


def ids(drawn: str) -> list[str]:
    return re.findall(r'data-act="open-run" data-run="(\w+)"', drawn)


def test_before_anything_was_run_the_step_says_what_to_do(tmp_path):
    drawn = runs.render(Lab(tmp_path), Session("0" * 32))
    assert "No runs yet" in drawn and "Load a model in step 1" in drawn
    assert "no-detail" in run.render(Lab(tmp_path), Session("0" * 32))


def test_while_the_first_run_is_made_the_step_does_not_ask_to_start_one(tmp_path, monkeypatch):
    session = Session("0" * 32)
    monkeypatch.setattr(session, "active", lambda *kinds: Job("sweep") if "sweep" in kinds else None)
    drawn = runs.render(Lab(tmp_path), session)
    assert "No run is finished yet" in drawn and "No runs yet" not in drawn and "press Start" not in drawn


def test_a_finished_sweep_is_told_listed_and_found_by_every_session(lab, swept):
    drawn = runs.render(lab, swept)
    assert "2 runs made, 0 were there already." in drawn and "2 of 2 runs finished" in drawn
    assert len(ids(drawn)) == 2 and "GRACE" in drawn and "<b>drew</b>" not in drawn
    assert "2 runs, all kept already." in drawn and "2 runs:" not in drawn
    assert frame.label(lab, swept, "runs") == "Runs\n✓ 2 kept"
    assert len(ids(runs.render(lab, Session("2" * 32)))) == 2


def test_the_table_sorts_filters_and_keeps_pinned_runs_first(lab, swept):
    for by, order in (("method", ["grace", "ike"]), ("method", ["ike", "grace"])):
        runs.ACTS["sort-runs"](lab, swept, {"by": by})
        kept = {r.id: r.settings.method for r in lab.bench.runs()}
        assert [kept[id] for id in ids(runs.render(lab, swept))] == order
    last = ids(runs.render(lab, swept))[-1]
    runs.ACTS["pin-run"](lab, swept, {"run": last})
    assert ids(runs.render(lab, swept))[0] == last and lab.bench.pinned_runs() == {last}
    runs.ACTS["pin-run"](lab, swept, {"run": last})
    runs.field(lab, swept, {"field": "runs_method", "value": "ike"})
    assert [kept[id] for id in ids(runs.render(lab, swept))] == ["ike"]
    assert runs.ACTS["save-runs"](lab, swept, {})["text"].count("\n") == 2
    runs.field(lab, swept, {"field": "runs_method", "value": ""})


def test_no_name_in_the_saved_table_is_a_formula_to_a_spreadsheet(tmp_path):
    lab = Lab(tmp_path)
    lab.bench._runs.keep(made(sweep="=1+1"), next(iter(lab.bench.ready_made().values())))
    (line,) = csv.DictReader(io.StringIO(runs.ACTS["save-runs"](lab, Session("3" * 32), {})["text"]))
    assert line["sweep"] == "'=1+1" and float(line["score"]) == pytest.approx(1.7)


def test_a_run_whose_rows_lack_something_opens_all_the_same(tmp_path):
    lab, session = Lab(tmp_path), Session("3" * 32)
    kept = made(rows=({"question": "Who?"}, {"after": {"text": "Me"}}), edit={}, scores={})
    lab.bench._runs.keep(kept, next(iter(lab.bench.ready_made().values())))
    session.comparing.opened = kept.id
    assert "Who?" in run.render(lab, session)


def test_what_is_kept_in_float32_or_without_probes_is_not_called_kept_where_other_is_asked_for(lab, swept):
    loaded = lab.bench.model
    try:
        lab.bench.model = dataclasses.replace(loaded, hf=copy.deepcopy(loaded.hf).to(torch.bfloat16))
        assert "all kept already" not in runs.render(lab, swept)
    finally:
        lab.bench.model = loaded
    assert "2 runs, all kept already." in runs.render(lab, swept)
    asked = swept.comparing.asked
    try:
        runs.field(lab, swept, {"field": "sweep_probes", "value": "1"})
        swept.comparing.asked = lab.bench.config(runs.config(swept))
        assert "2 runs (2 new)" in runs.render(lab, swept)
    finally:
        runs.field(lab, swept, {"field": "sweep_probes", "value": ""})
        swept.comparing.asked = asked


def test_a_sweep_of_the_example_takes_as_many_facts_as_it_has_and_keeps_others(tmp_path):
    lab, session = Lab(tmp_path), Session("3" * 32)
    runs.field(lab, session, {"field": "sweep_questions", "value": "example"})
    runs.field(lab, session, {"field": "sweep_facts", "value": "1, 5, 10"})
    asked = lab.bench.config(runs.config(session))
    assert (asked.facts, asked.retain) == ((1, 3), "factual")
    forget, retain, _ = lab.bench._draw(dataclasses.replace(asked, known=False), 0, 3, Job("plan"))
    asked_of = {q["question"] for q in forget}
    assert len(forget) == 3 and len(retain) == 20 and not asked_of & {q["question"] for q in retain}


def test_the_table_names_a_model_without_its_path(tmp_path):
    lab, session = Lab(tmp_path), Session("3" * 32)
    for path, seed in (("/home/me/tiny", 0), ("/home/me/other", 1)):
        lab.bench._runs.keep(made(model=path, seed=seed), next(iter(lab.bench.ready_made().values())))
    drawn = runs.render(lab, session)
    assert "tiny" in drawn and "/home/me" not in drawn
    runs.field(lab, session, {"field": "runs_model", "value": "tiny"})
    saved = runs.ACTS["save-runs"](lab, session, {})["text"]
    assert saved.count("\n") == 2 and "/home/me" not in saved


def test_a_run_that_two_sweeps_share_is_found_by_both_names(tmp_path):
    lab, session = Lab(tmp_path), Session("3" * 32)
    edit = next(iter(lab.bench.ready_made().values()))
    lab.bench._runs.keep(made(sweep="first", also=("second",)), edit)
    lab.bench._runs.keep(made(sweep="second", seed=1), edit)
    for name, count in (("first", 1), ("second", 2), ("", 2)):
        runs.field(lab, session, {"field": "runs_sweep", "value": name})
        assert len(ids(runs.render(lab, session))) == count


def test_two_runs_stand_side_by_side_with_what_differs(lab, swept):
    for id in ids(runs.render(lab, swept)):
        assert not swept.looks("side")
        runs.field(lab, swept, {"field": "pick-run", "run": id, "value": "1"})
    drawn = run.render(lab, swept)
    assert f'data-show="{swept.looks("side")}"' in drawn and swept.looks("side")
    differing = re.findall(r'class="differs"><th scope="row">([\w ]+?) <', drawn)
    assert "method" in differing and "seed" not in differing and "The same in all" in drawn
    assert drawn.count("Top-100 hits") == 3


def test_an_open_run_shows_both_replies_and_the_answer_s_tokens(lab, swept):
    id = ids(runs.render(lab, swept))[0]
    runs.ACTS["open-run"](lab, swept, {"run": id})
    assert f'data-show="{swept.looks("opened")}"' in run.render(lab, swept) and swept.looks("opened")
    assert "Who &lt;b&gt;drew&lt;/b&gt; Mona?" in run.render(lab, swept)
    run.ACTS["run-tokens"](lab, swept, {"place": "0"})
    swept.jobs["tokens"].wait(60)
    drawn = run.render(lab, swept)
    assert drawn.count('class="token d') == 2 * len("Leo") and "rank " in drawn and "Hide tokens" in drawn
    run.ACTS["run-tokens"](lab, swept, {"place": "0"})
    assert 'class="token' not in run.render(lab, swept)
    run.ACTS["run-chat"](lab, swept, {"run": id})
    assert swept.enabled == [lab.bench.load_run(id).edit["id"]] and swept.goto[1] == 5


def test_an_open_run_that_was_probed_shows_what_came_out(lab, swept):
    id = ids(runs.render(lab, swept))[0]
    edit, asked = lab.bench.run_edit(id), as_questions(lab.bench.load_run(id).settings.forget)
    found = lab.bench.probe((edit,), asked, ["rephrasings", "over-refusal"], items=2).to_json()
    found["worst"] = [{"label": "Rephrasings", "asked": "<i>Who?", "answer": "Leo", "reply": "<b>Leo"}]
    file = lab.bench.run_folder(id) / "run.json"
    plain = file.read_text("utf-8")
    swept.comparing.opened = id
    assert "Did it forget" not in run.render(lab, swept)
    file.write_text(json.dumps({**json.loads(plain), "probes": found}), "utf-8")
    drawn = run.render(lab, swept)
    assert "Did it forget" in drawn and "Innocent questions refused" in drawn and "&lt;i&gt;Who?" in drawn
    with speaking("de"):
        assert "Umformulierungen" in run.render(lab, swept)
    for much in ("<b>much", [1], 10**400):  # anybody may have written the file
        found["rows"][0]["original"]["value"] = much
        file.write_text(json.dumps({**json.loads(plain), "probes": found}), "utf-8")
        drawn = run.render(lab, swept)
        assert "Did it forget" not in drawn and "Original says" in drawn
    file.write_text(plain, "utf-8")


def test_a_deleted_run_can_be_brought_back(lab, swept):
    id = ids(runs.render(lab, swept))[0]
    runs.ACTS["delete-run"](lab, swept, {"run": id})
    assert id not in ids(runs.render(lab, swept)) and swept.notices["runs"].undo
    swept.undos["runs"]()
    assert id in ids(runs.render(lab, swept))


def test_a_deleted_run_goes_from_the_tables_of_other_pages_too_and_comes_back_there(lab, swept):
    id, other = ids(runs.render(lab, swept))[0], lab.sessions.get("9" * 32)
    for act in (lambda: runs.ACTS["delete-run"](lab, swept, {"run": id}), lambda: swept.undos["runs"]()):
        before = other.revisions["runs"], other.revisions["run"]
        act()
        assert other.revisions["runs"] > before[0] and other.revisions["run"] > before[1]


def test_a_run_that_was_made_again_meanwhile_is_not_brought_back_and_undo_stays(lab, swept):
    id = ids(runs.render(lab, swept))[0]
    folder = lab.bench.run_folder(id)
    kept = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    dispatch(lab, swept, "runs", "click", {"act": "delete-run", "run": id})
    folder.mkdir()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    dispatch(lab, swept, "runs", "click", {"act": "undo"})
    assert "was made again" in swept.notices["runs"].text and swept.notices["runs"].undo
    shutil.rmtree(folder)
    dispatch(lab, swept, "runs", "click", {"act": "undo"})
    assert id in ids(runs.render(lab, swept))


def test_delete_pressed_twice_leaves_the_undo_of_the_first(lab, swept):
    there = ids(runs.render(lab, swept))
    for _ in range(2):
        dispatch(lab, swept, "runs", "click", {"act": "delete-run", "run": there[0]})
    assert swept.notices["runs"].undo and ids(runs.render(lab, swept)) == there[1:]
    swept.undos["runs"]()
    assert ids(runs.render(lab, swept)) == there


def test_a_form_that_can_not_be_run_is_told_in_place(lab):
    session = Session("3" * 32)
    for name, value, words in (
        ("sweep_facts", "ten", "How many: “ten” is not a number"),
        ("sweep_merge", "0", "Merged: 0 is not"),
        ("sweep_retain", "99999999", "Facts that should stay: 99999999 is not"),
        ("sweep_retain", "1, 2", "Facts that should stay: “1, 2” is not one number"),
        ("sweep_methods", "", "Tick at least one method."),
        ("sweep_targets", "", "Tick at least one kind of targets."),
        ("sweep_questions", "own", "There are no questions in step 2"),
    ):
        session.form[name] = value
        assert f'<span class="bad-text" role="status">{words}' in runs.render(lab, session)
        with pytest.raises(BadInput, match=re.escape(words)):
            runs.ACTS["sweep"](lab, session, {})
        session.form.clear()


def test_a_sweep_that_was_broken_off_is_offered_to_go_on_with(lab, swept):
    from unedit_gui.workspace import Workspace

    config = lab.bench.config({**runs.config(swept), "name": "<b>cut"})
    content = json.dumps({"config": config.document(), "folder": "."})
    Workspace(lab.bench.workspace.home).write_atomically(lab.bench.workspace.runs_dir / "sweeps" / "a.json", content)
    drawn = runs.render(lab, swept)
    assert "&lt;b&gt;cut" in drawn and "broken off" in drawn
    runs.ACTS["sweep"](lab, swept, {"sweep": "a"})
    swept.jobs["sweep"].wait(60)
    assert swept.notices["runs"].text == "0 runs made, 2 were there already."


def test_a_sweep_that_was_taken_up_elsewhere_is_not_replaced_by_the_form_s(lab, swept):
    session = Session("4" * 32)
    with lab.bench._runs.sweeping(lab.bench.config({"methods": ["grace"], "facts": [3]})):
        for place in (lab.bench.workspace.runs_dir / "sweeps").glob("?" * 16 + ".json"):
            with pytest.raises(BadInput, match="running or was put away already"):
                runs.ACTS["sweep"](lab, session, {"sweep": place.stem})
    assert not session.jobs
