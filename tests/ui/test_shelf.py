"""The list of edits on the page: names, comparison, export, files in and out; without a browser."""

import base64
import io
import json
import re
import zipfile

import pytest

from tests.edits.test_export import make
from tests.models.tiny import bytes_tokenizer, tiny_family, tiny_llama
from unedit_gui.editors import METHODS
from unedit_gui.edits.parcel import pack
from unedit_gui.evaluation.suite import Scores
from unedit_gui.ui import chat, edit, model, scores, shelf
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.workbench import Workbench


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path / "home")
    lab.bench.model = tiny_family("llama", bytes_tokenizer())
    yield lab
    lab.worker.close(timeout=5)


@pytest.fixture
def session():
    return Session("0" * 32)


@pytest.fixture
def pair(lab, session):
    """Two edits that are kept, both switched on."""
    found = [make(lab.bench.model, {1: 2}, name="First"), make(lab.bench.model, {2: 1}, seed=1, name="<b>Second</b>")]
    for one in found:
        lab.keep(session, one)
    session.enabled = [one.id for one in found]
    return found


def act(lab, session, name, **data):
    return dispatch(lab, session, "edit", "click", {"act": name, **data})


def send(lab, session, content, name="it.zip", what="edit"):
    data = {"name": name, "size": len(content), "data": base64.b64encode(content).decode(), "for": what}
    return dispatch(lab, session, "edit", "upload", data)


def told(session) -> str:
    return session.notices["shelf"].text


def test_an_edit_is_renamed_in_the_list_and_on_disk(lab, session, pair):
    act(lab, session, "rename-edit", edit=pair[0].id)
    assert 'data-field="new_name" value="First"' in edit.render(lab, session)
    changed = [{"field": "new_name", "value": "Ärger <i>"}]
    act(lab, session, "keep-name", keep="1", changed=changed)
    drawn = edit.render(lab, session)
    assert "Ärger &lt;i&gt;" in drawn and "new_name" not in drawn
    assert {e.name for e in Workbench(lab.bench.workspace.home).edits()} == {"Ärger <i>", "<b>Second</b>"}
    act(lab, session, "rename-edit", edit=pair[1].id)
    act(lab, session, "keep-name", changed=[{"field": "new_name", "value": "Other"}])  # Cancel
    assert lab.edits[pair[1].id].name == "<b>Second</b>"
    act(lab, session, "rename-edit", edit=pair[1].id)
    act(lab, session, "keep-name", keep="1", changed=[{"field": "new_name", "value": "  "}])
    assert "needs a name" in told(session)


def test_a_name_too_long_for_the_list_is_refused_and_stays_to_be_shortened(lab, session, pair):
    act(lab, session, "rename-edit", edit=pair[0].id)
    act(lab, session, "keep-name", keep="1", changed=[{"field": "new_name", "value": "x" * 61}])
    assert told(session) == "The name of an edit has at most 60 letters; this one has 61. Shorten it."
    assert 'data-field="new_name" value="xxx' in edit.render(lab, session) and lab.edits[pair[0].id].name == "First"
    act(lab, session, "keep-name", keep="1", changed=[{"field": "new_name", "value": "x" * 60}])
    assert lab.edits[pair[0].id].name == "x" * 60


def test_a_longer_name_from_elsewhere_is_taken_and_shown(lab, session):
    made = make(lab.bench.model, {1: 2}, name="x" * 90)
    send(lab, session, pack([made]))
    assert lab.edits[made.id].name == "x" * 90 and "x" * 90 in edit.render(lab, session)


def test_two_edits_are_compared_side_by_side(lab, session, pair):
    act(lab, session, "compare")
    drawn = edit.render(lab, session)
    assert 'class="compared"' in drawn and "<b>0.00</b>" in drawn and "&lt;b&gt;Second&lt;/b&gt;" in drawn
    assert "<b>Second</b>" not in drawn
    act(lab, session, "compared")
    assert 'class="compared"' not in edit.render(lab, session)
    session.enabled = [pair[0].id]
    act(lab, session, "compare")
    assert "exactly two" in told(session)


def test_what_is_switched_on_is_exported_as_one_and_the_place_is_told(lab, session, pair):
    for _ in range(2):  # a second time nothing is written over
        act(lab, session, "export", form="peft")
        session.jobs["export"].wait(60)
        assert "Written to" in told(session) and "adapter_model.safetensors" not in edit.render(lab, session)
    folders = list(lab.bench.workspace.exports_dir.iterdir())
    assert len(folders) == 2
    for folder in folders:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        assert len(config["rank_pattern"]) == 2 and str(folder.name) in str(folders)
    file = act(lab, session, "export", form="manifest")
    assert {e["id"] for e in json.loads(file["text"])["edits"]} == {one.id for one in pair}


def test_what_cannot_be_exported_says_why_beside_the_buttons(lab, session):
    lab.keep(session, make(lab.bench.model, {1: 1}, kind="codebook", method="grace", entries=[]))
    act(lab, session, "export", form="merged")
    assert "changes no weight" in told(session) and "changes no weight" in edit.render(lab, session)
    session.enabled = []
    act(lab, session, "export", form="peft")
    assert "Switch on" in told(session)


def test_an_edit_travels_from_one_page_to_another_as_a_file(lab, session, pair, tmp_path):
    above = make(lab.bench.model, {3: 1}, seed=2, name="Above", on=[pair[0].id])
    lab.bench._below[above.id] = (pair[0],)
    lab.keep(session, above)
    file = act(lab, session, "download-edit", edit=above.id)
    content = base64.b64decode(file["base64"])
    assert file["name"] == f"edit-{above.id}.zip" and len(zipfile.ZipFile(io.BytesIO(content)).namelist()) == 4
    other, visitor = Lab(tmp_path / "other"), Session("1" * 32)
    other.bench.model = lab.bench.model
    send(other, visitor, content)
    assert "is here now" in told(visitor)
    assert set(other.edits) == {above.id, pair[0].id} == set(visitor.enabled)
    assert {e.id for e in Workbench(tmp_path / "other").edits()} == set(other.edits)
    other.worker.close(timeout=5)


@pytest.mark.parametrize("reason", ["another model", "cut", "changed", "no edit", "no zip"])
def test_a_file_that_is_refused_says_why_and_nothing_is_kept(lab, session, reason):
    base = tiny_llama(bytes_tokenizer(), seed=1) if reason == "another model" else lab.bench.model
    whole = pack((make(base, {1: 2}),))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"I don't know.", b"I do know it!"))
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").writestr("x.txt", "x") if reason == "no edit" else None
    content, said = {
        "another model": (whole, "made for another base model"),
        "cut": (whole[:-300], "not a zip file"),
        "changed": (out.getvalue(), "was changed after it was made"),
        "no edit": (b"PK\x03\x04" + bytes(100), "not a zip file"),
        "no zip": (b"question,answer", "not a zip file"),
    }[reason]
    send(lab, session, content)
    notice = session.notices["shelf"]
    assert said in notice.text and notice.tone == "bad" and "\n" not in notice.text
    assert not lab.edits and not lab.bench.edits()


def test_settings_in_easyedits_form_are_taken_over(lab, session):
    text = b"alg_name: MEMIT\nlayers: [1, 2]\nv_num_grad_steps: 7\nmom2_update_weight: 1500\nfact_token: last\n"
    send(lab, session, text, "<b>.yaml", "settings")
    assert session.form["method"] == "memit"
    lam = METHODS["memit"].defaults(lab.bench.model).lam  # a tenth of it, as 1500 is of EasyEdit's 15000
    assert session.overrides["memit"] == {"layers": "1, 2", "steps": "7", "lam": f"{lam / 10:g}"}
    drawn = edit.render(lab, session)
    assert "settings of &lt;b&gt;.yaml, for MEMIT" in drawn and "fact_token: last (an edit sits at" in drawn


def test_a_ready_made_edit_is_switched_on_in_one_click_and_stays(lab, session):
    ready = make(lab.bench.model, {1: 2}, name="Three facts")
    lab.arrange([ready], frozenset({ready.id}))
    assert 'data-act="try-ready"' in model.render(lab, session) and 'data-act="try-ready"' in chat.render(lab, session)
    drawn = edit.render(lab, session)
    assert "ready-made" in drawn and "delete-edit" not in drawn and "rename-edit" not in drawn
    dispatch(lab, session, "chat", "click", {"act": "try-ready"})
    assert session.enabled == [ready.id] and session.goto[1] == 5
    dispatch(lab, session, "chat", "click", {"act": "delete-edit", "edit": ready.id})
    assert ready.id in lab.edits and "comes with the program" in session.notices["chat"].text
    own = make(lab.bench.model, {2: 1}, seed=1)
    lab.keep(session, own)
    assert list(lab.edits) == [own.id, ready.id] and shelf.shown(lab, session)["on"] == (own,)


def test_who_makes_a_ready_made_edit_again_has_it_as_an_own_one(lab, session, monkeypatch):
    ready = make(lab.bench.model, {1: 2}, name="Three facts")
    monkeypatch.setattr(lab.bench, "ready_made", lambda: {"ready-three": ready})
    lab.arrange([ready], frozenset({ready.id}))
    own = ready.named("The same")
    lab.keep(session, own)
    assert "The same" in chat.render(lab, Session("1" * 32)) and lab.edits[own.id].name == "The same"
    dispatch(lab, session, "chat", "click", {"act": "delete-edit", "edit": own.id})
    assert lab.edits[ready.id].name == "Three facts" and ready.id in lab.ready and session.enabled == []
    dispatch(lab, session, "chat", "click", {"act": "undo"})
    assert lab.edits[own.id].name == "The same" and own.id not in lab.ready and session.enabled == [own.id]
    assert [e.name for e in lab.bench.edits()] == ["The same"]


def test_without_ready_made_edits_none_is_offered(lab, session):
    assert "try-ready" not in model.render(lab, session) + chat.render(lab, session)


def test_a_deleted_edit_is_told_in_the_list_where_it_stood_and_comes_back_from_there(lab, session, pair):
    for _ in range(2):  # a double click
        act(lab, session, "delete-edit", edit=pair[0].id)
    drawn = edit.render(lab, session)
    assert "edit" not in session.notices and session.notices["shelf"].undo
    assert drawn.index("Deleted “First”.") > drawn.index("Edits of this model")
    assert 'data-act="undo" data-notice="shelf"' in drawn
    act(lab, session, "undo", notice="shelf")
    assert pair[0].id in lab.edits and "shelf" not in session.notices and "chat" not in session.notices
    act(lab, session, "delete-edit", edit=pair[0].id)
    act(lab, session, "dismiss", notice="shelf")
    assert "shelf" not in session.notices and "Deleted" not in edit.render(lab, session)


def test_switch_one_on_leads_to_the_switches(lab, session, pair):
    session.enabled = []
    found = re.search(r'data-act="go" data-step="4" data-look="(\w+)"', scores.render(lab, session))
    dispatch(lab, session, "scores", "click", {"act": "go", "step": "4", "look": found[1]})
    shown = re.search(r'class="shelf card" data-show="(\d+)"', edit.render(lab, session))
    assert shown and session.goto[1] == 4


def test_scores_say_whose_they_are_once_other_edits_or_none_are_switched_on(lab, session, pair):
    first, second = pair
    session.scores, session.scored = Scores({}, {}, 1.0, 2.0, (), ()), lab.author([first])
    for on in ([], [second.id], [first.id, second.id]):
        session.enabled = on
        drawn = scores.render(lab, session)
        assert f"These scores are of {first.name}, not of what is switched on now." in drawn and "<b>2.00</b>" in drawn
    session.enabled = [first.id]
    assert "These scores are of" not in scores.render(lab, session)
