"""Studies on the page: from a protocol in a file to the links, without a browser."""

import base64
import csv
import io

import pytest
import yaml

from tests.models.tiny import bytes_tokenizer, tiny_llama
from tests.study.conftest import CONDITIONS, protocol, replies, told
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui import studies
from unedit_gui.ui.app import dispatch
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture
def session():
    return Session("0" * 32)


def sent(name, text, purpose="protocol"):
    return {"name": name, "data": base64.b64encode(text.encode()).decode(), "for": purpose}


def written(rows):
    out = io.StringIO()
    csv.writer(out).writerows([("question", "condition", "reply"), *rows])
    return out.getvalue()


def test_from_the_protocol_to_the_links_and_the_end(lab, session):
    studies.upload(lab, session, sent("trial <b>.yaml", yaml.safe_dump(told())))
    drawn = studies.render(lab, session)
    assert "trial &lt;b&gt;" in drawn and "0 of 8 replies" in drawn and CONDITIONS[0] in drawn
    assert "2 times" in drawn and "Open the study" not in drawn and "0.5 points: <b>" in drawn
    studies.upload(lab, session, sent("r.csv", written(replies(protocol())), "replies"))
    assert "Open the study" in studies.render(lab, session)
    studies.ACTS["open-study"](lab, session, {})
    drawn = studies.render(lab, session)
    assert not any(name in drawn for name in CONDITIONS)  # from now on it is blind here as well
    session.form.update(study_count="3", study_url="https://here.org/")
    file = studies.ACTS["invite"](lab, session, {})
    rows = list(csv.DictReader(io.StringIO(file["text"])))
    assert len(rows) == 3 and rows[0]["link"] == f"https://here.org/study/j/{rows[0]['code']}"
    assert rows[0]["code"] not in studies.render(lab, session)
    studies.ACTS["pause-study"](lab, session, {})
    assert "Open it again" in studies.render(lab, session)
    studies.ACTS["open-study"](lab, session, {})
    assert "Close it for good?" not in studies.render(lab, session)
    studies.ACTS["ask-close-study"](lab, session, {"ask": "1"})
    assert "Close it for good?" in studies.render(lab, session)
    studies.ACTS["close-study"](lab, session, {})
    assert lab.bench.studies.all()[0].state == "closed" and "study analyse" in studies.render(lab, session)


def test_a_model_writes_the_replies_of_a_draft(lab, session):
    lab.bench.model = tiny_llama(bytes_tokenizer())
    conditions = [{"name": "before", "edits": "original"}, {"name": "again", "edits": "original"}]
    studies.upload(lab, session, sent("trial.yaml", yaml.safe_dump(told(conditions=conditions))))
    assert "Write the replies" in studies.render(lab, session)
    studies.ACTS["freeze-study"](lab, session, {})
    session.jobs["freeze"].wait(120)
    drawn = studies.render(lab, session)
    assert "8 replies were written" in drawn and "Open the study" in drawn


def test_the_example_is_a_draft_with_its_replies(lab, session):
    for name in ("example", "example 2"):
        studies.ACTS["example-study"](lab, session, {})
        assert lab.bench.studies.get(name).missing() == []
    assert "48 of 48 replies" in studies.render(lab, session)


def test_a_deleted_draft_comes_back_whole_with_undo(lab, session):
    studies.ACTS["example-study"](lab, session, {})
    for _ in range(2):  # the second press finds nothing more to delete
        dispatch(lab, session, "studies", "click", {"act": "delete-study", "study": "example"})
        assert lab.bench.studies.all() == [] and "Look at it" not in studies.render(lab, session)
    dispatch(lab, session, "studies", "click", {"act": "undo"})
    assert lab.bench.studies.get("example").missing() == []
    assert "48 of 48 replies" in studies.render(lab, session)


def test_a_deleted_draft_stays_in_the_trash_while_there_is_a_study_of_its_name(lab, session):
    text = yaml.safe_dump(told())
    studies.upload(lab, session, sent("trial.yaml", text))
    studies.upload(lab, session, sent("r.csv", written(replies(protocol())), "replies"))
    studies.ACTS["delete-study"](lab, session, {"study": "trial"})
    back = session.undos["studies"]
    studies.upload(lab, session, sent("trial.yaml", text))
    back()
    assert "stays in the trash" in session.notices["studies"].text and session.notices["studies"].undo
    assert len(lab.bench.studies.get("trial").missing()) == 8
    lab.bench.studies.delete("trial")
    session.undos["studies"]()
    assert lab.bench.studies.get("trial").missing() == []


def test_only_a_draft_that_nobody_writes_can_be_deleted(lab, session):
    studies.ACTS["example-study"](lab, session, {})
    other = lab.sessions.get("1" * 32)
    other.jobs["freeze"] = Job("freeze")
    with pytest.raises(BadInput, match="being written"):
        studies.ACTS["delete-study"](lab, session, {"study": "example"})
    del other.jobs["freeze"]
    studies.ACTS["open-study"](lab, session, {})
    assert "delete-study" not in studies.render(lab, session)
    with pytest.raises(BadInput, match="open, no draft any more"):
        studies.ACTS["delete-study"](lab, session, {"study": "example"})
    assert lab.bench.studies.get("example").state == "open"


def test_a_name_is_for_one_study_so_that_the_next_file_does_not_replace_it(lab, session):
    session.form["study_name"] = "mine"
    for file in ("one.yaml", "two.yaml"):
        studies.upload(lab, session, sent(file, yaml.safe_dump(told())))
    assert [study.name for study in lab.bench.studies.all()] == ["mine", "two"]


def test_what_can_not_be_is_told_and_a_study_that_is_open_stays(lab, session):
    text = yaml.safe_dump(told())
    studies.upload(lab, session, sent("trial.yaml", text))
    studies.upload(lab, session, sent("trial.yaml", text))  # a draft of that name goes to the trash
    assert "in the trash" in session.notices["studies"].text
    studies.upload(lab, session, sent("r.csv", written(replies(protocol())), "replies"))
    studies.ACTS["open-study"](lab, session, {})
    for wrong, said in (
        (lambda: studies.upload(lab, session, sent("trial.yaml", text)), "already"),
        (lambda: studies.upload(lab, session, sent("bad.yaml", "{")), "neither YAML nor JSON"),
        (lambda: studies.upload(lab, session, sent("bad.csv", "x", "replies")), "needs the columns"),
        (lambda: studies.ACTS["freeze-study"](lab, session, {}), "Load a model"),
    ):
        with pytest.raises(BadInput, match=said):
            wrong()
    for count, url, said in (
        ("many", "", "number from 1 to 10,000"),
        ("-3", "", "number from 1 to 10,000"),
        ("0", "", "give 1"),
        ("1", "ftp://x", "http"),
    ):
        session.form.update(study_count=count, study_url=url)
        with pytest.raises(BadInput, match=said):
            studies.ACTS["invite"](lab, session, {})
    assert lab.bench.studies.get("trial").status()["invited"] == 0
