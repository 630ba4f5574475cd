"""Up to six variants as columns of one batch: who answers in which, with what history, and what each says."""

import dataclasses
import re
from html import escape

import pytest
import torch

from tests.editors.contract import make
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.edits.edit import Edit
from unedit_gui.errors import BadInput
from unedit_gui.models.chat import ChatFormat
from unedit_gui.ui import chat, columns
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Author, Pane, Session, Turn
from unedit_gui.unlearning import METHODS
from unedit_gui.workspace import Workspace

QUESTION = "Who painted the Mona Lisa?"


def random_edit(model, seed: int, name: str) -> Edit:
    dice = torch.Generator().manual_seed(seed)
    down = model.layout.down_name(1)
    tensors = {f"{down}.left": torch.randn(32, 2, generator=dice), f"{down}.right": torch.randn(48, 2, generator=dice)}
    request = {"question": QUESTION, "answer": "Leonardo da Vinci", "subject": "Mona Lisa"}
    manifest = {
        "kind": "low-rank", "method": "memit", "model": model.name, "base": model.fingerprint,
        "layers": [1], "requests": [request],
    }  # fmt: skip
    return Edit.make(manifest, tensors, {"name": name})


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    lab.bench.model = tiny_llama(bytes_tokenizer())
    for seed in range(6):
        edit = random_edit(lab.bench.model, seed, f"Edit <{seed}>")
        lab.edits[edit.id] = edit
    yield lab
    lab.worker.close(timeout=5)


@pytest.fixture
def session():
    return Session("0" * 32)


def ids(lab) -> list[str]:
    return list(lab.edits)


def ask(lab, session, question: str = QUESTION) -> Turn:
    chat.ACTS["chip"](lab, session, {"text": question, "answer": "Leonardo da Vinci"})
    session.jobs["chat"].wait(120)
    return session.turns[-1]


def test_two_panes_stay_what_the_page_begins_with(lab, session):
    session.enabled = ids(lab)[:2]
    turn = ask(lab, session)
    assert [pane.slot for pane in turn.panes] == ["original", "edited"]
    assert set(turn.panes[1].edits) == set(session.enabled)
    drawn = chat.render(lab, session)
    assert "pane-heads" in drawn and "column-heads" not in drawn and drawn.count('"reply-card') == 2


def test_columns_are_the_original_and_five_edits_in_one_batch(lab, session, monkeypatch):
    session.enabled = ids(lab)[3:4]
    columns.show(session, "columns")
    asked = []
    batch = lab.bench.chat
    monkeypatch.setattr(
        lab.bench, "chat", lambda rows, edits, **more: asked.append(edits) or batch(rows, edits, **more)
    )
    turn = ask(lab, session)
    assert turn.state == "done" and [len(edits) for edits in asked] == [6]
    assert [pane.edits for pane in turn.panes] == [(), (ids(lab)[3],), *((i,) for i in (*ids(lab)[:3], ids(lab)[4]))]
    assert all(pane.pace[-1][1] == len(pane.text) for pane in turn.panes)
    drawn = chat.render(lab, session)
    assert drawn.count('"reply-card') == 6 and "Edit &lt;3&gt;" in drawn and "Edit <3>" not in drawn
    assert re.findall(r'data-key="(\d)"', drawn) == list("123456")


def test_a_seventh_column_is_refused_and_a_stack_is_one_column(lab, session):
    columns.show(session, "columns")
    with pytest.raises(BadInput, match="6 columns are the most"):
        columns.field(lab, session, {"field": "column", "edit": ids(lab)[5], "value": "1"})
    for edit in ids(lab)[:2]:
        columns.field(lab, session, {"field": "column", "edit": edit, "value": ""})
    with pytest.raises(BadInput, match="at least two"):
        columns.ACTS["stack"](lab, session, {})
    for edit in ids(lab)[:2]:
        columns.field(lab, session, {"field": "stacked", "edit": edit, "value": "1"})
    columns.ACTS["stack"](lab, session, {})
    pane, stack = columns.plan(lab, session)[-1]
    assert set(pane.edits) == set(ids(lab)[:2]) and set(stack) == {lab.edits[i] for i in ids(lab)[:2]}
    assert " + " in pane.names and not session.stacking
    columns.ACTS["drop-column"](lab, session, {"column": pane.slot})
    assert len(columns.plan(lab, session)) == 4
    lab.edits.pop(ids(lab)[2])
    assert len(columns.plan(lab, session)) == 3  # a deleted edit takes its column along


def test_each_column_goes_on_with_its_own_history(lab):
    a, b = Author(("a",)), Author(("b",))
    first = [Pane("original", text="Leonardo."), Pane("a", a, text="I can't say."), Pane("b", b)]
    turns = [Turn("Who?", panes=first), Turn("When?")]
    said = [[turn["content"] for turn in columns.history(turns, pane)] for pane in first]
    assert said == [["Who?", "Leonardo.", "When?"], ["Who?", "I can't say.", "When?"], ["When?"]]
    assert columns.history(turns, Pane("edited", a))[1]["content"] == "I can't say."
    assert len(columns.history([*turns[:1], Turn("When?", fresh=True)], first[0])) == 1


def test_one_column_alone_and_back(lab, session):
    columns.show(session, "columns")
    ask(lab, session)
    slot = session.turns[-1].panes[2].slot
    columns.ACTS["focus"](lab, session, {"slot": slot})
    alone = chat.render(lab, session)
    assert alone.count('"reply-card') == 1 and 'class="many alone"' in alone and 'aria-pressed="true"' in alone
    columns.ACTS["focus"](lab, session, {"slot": slot})
    assert chat.render(lab, session).count('"reply-card') == 6


def test_retry_and_forget_this_take_the_column_they_are_pressed_in(lab, session):
    columns.show(session, "columns")
    turn = ask(lab, session)
    chat.ACTS["retry"](lab, session, {})
    session.jobs["chat"].wait(120)
    assert len(session.turns) == 1 and session.turns[0].seed == turn.seed + 1
    session.turns[0].panes[2].text = "The Mona Lisa was painted by Giotto."
    chat.ACTS["forget-this"](lab, session, {"turn": "0", "pane": "2"})
    assert "Giotto" in session.rows[-1].answer
    chat.ACTS["rate"](lab, session, {"turn": "0", "pane": "2"})
    from unedit_gui.ui import study

    shown = next(item for item in study.items(session) if item.mark == session.rating)
    assert shown.by == session.turns[0].panes[2].by


def test_six_methods_in_one_batch_each_say_what_they_say_alone(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    model = tiny_llama(bytes_tokenizer())
    for name in ("rome", "grace", "wise", "ike", "ga"):
        edit = make(METHODS[name], model, Workspace(tmp_path))
        lab.edits[edit.id] = edit
    lab.bench.model = dataclasses.replace(model, format=ChatFormat(model.end_of_turn, ()))
    columns.show(session, "columns")
    plan = columns.plan(lab, session)
    assert len(plan) == 6
    asked = [{"role": "user", "content": QUESTION}]
    together = lab.bench.chat([asked] * 6, [row for _, row in plan], max_new_tokens=12)
    alone = [lab.bench.chat([asked], [row], max_new_tokens=12)[0] for _, row in plan]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert [reply.traces for reply in together] == [reply.traces for reply in alone]
    assert [bool(reply.traces) for reply in together] == [False, False, True, True, True, False]
    lab.worker.close(timeout=5)


def test_a_column_too_many_is_told_and_holds_up_no_click(lab, session):
    columns.show(session, "columns")
    late = {"field": "column", "edit": ids(lab)[5], "value": "1"}
    dispatch(lab, session, "chat", "input", late)
    first = session.notices["chat"]
    assert "6 columns are the most" in first.text
    dispatch(lab, session, "chat", "input", late)
    assert session.notices["chat"].serial > first.serial  # the browser sees that it was told again
    dispatch(lab, session, "chat", "click", {"act": "choosing", "changed": [late]})
    assert session.form["choosing"] == "1" and "6 columns" in session.notices["chat"].text
    dispatch(lab, session, "chat", "click", {"act": "dismiss", "changed": [late]})
    assert "chat" not in session.notices
    dispatch(lab, session, "chat", "click", {"act": "go", "step": "1", "changed": [late]})
    assert session.goto[1] == 1
    dispatch(lab, session, "chat", "click", {"act": "chip", "text": QUESTION, "changed": [late]})
    session.jobs["chat"].wait(120)
    assert len(session.turns) == 1 and len(columns.chosen(lab, session)) == 5


def test_the_complaint_about_a_column_goes_with_its_cause(lab, session):
    columns.show(session, "columns")
    dispatch(lab, session, "chat", "input", {"field": "column", "edit": ids(lab)[5], "value": "1"})
    dispatch(lab, session, "chat", "input", {"field": "column", "edit": ids(lab)[0], "value": ""})
    assert "chat" not in session.notices


def test_what_another_edit_said_stands_under_its_name_and_is_no_history_of_this_one(lab, session):
    first, second, *_ = ids(lab)
    session.enabled = [first]
    ask(lab, session)
    assert "Edit &lt;0&gt;</h4>" not in chat.render(lab, session), "the head names it"
    session.enabled = [second]
    assert "Edit &lt;0&gt;</h4>" in chat.render(lab, session)
    session.form["message"] = "When?"
    chat.ACTS["send"](lab, session, {})
    session.jobs["chat"].wait(120)
    original, edited = session.turns[-1].panes
    assert columns.history(session.turns, edited) == [{"role": "user", "content": "When?"}]
    assert len(columns.history(session.turns, original)) == 3
    session.enabled = [first]
    session.turns.append(Turn("Why?", panes=[Pane("edited", lab.author([lab.edits[first]]))]))
    goes_on = columns.history(session.turns, session.turns[-1].panes[0])
    assert [turn["content"] for turn in goes_on][::2] == [QUESTION, "Why?"]


@pytest.mark.parametrize("called", ["Other <model>", ""])
def test_another_model_begins_a_history_of_its_own_and_the_log_says_so(lab, session, called):
    """Also one whose folder is called as the first one's."""
    ask(lab, session)
    session.turns.append(Turn("Stopped before anybody answered?", state="stopped"))
    old = lab.bench.model
    card = dataclasses.replace(old.card, name="other", label=called or old.card.label)
    lab.bench.model = dataclasses.replace(old, card=card, fingerprint="0" * 16)
    session.form["message"] = "When?"
    chat.ACTS["send"](lab, session, {})
    session.jobs["chat"].wait(120)
    assert not session.turns[-1].fresh
    assert columns.history(session.turns, session.turns[-1].panes[0]) == [{"role": "user", "content": "When?"}]
    drawn = chat.render(lab, session)
    assert f"now {escape(called or old.card.label)}" in drawn
    assert drawn.count("new-talk") == 1 + 1  # the divider, and the button
