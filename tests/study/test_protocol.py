"""The protocol: what is taken, what is refused, what its hashes cover."""

import json

import pytest

from tests.study.conftest import protocol, told
from unedit_gui.errors import BadInput
from unedit_gui.study.protocol import from_json, from_mapping, load


def test_a_protocol_survives_being_stored():
    made = protocol(min_seconds=2.5, contact="Ask us")
    assert from_json(made.to_json()) == made
    assert from_json(made.to_json()).to_json() == made.to_json()


def test_the_consent_text_has_a_hash_of_its_own():
    assert protocol().consent_sha256 != protocol(consent="Another text.").consent_sha256
    assert protocol().consent_sha256 == protocol(title="Another title").consent_sha256


def test_it_is_read_from_a_file_with_the_questions_in_another(tmp_path):
    given = told(common=0) | {"questions": "asked.csv"}
    (tmp_path / "protocol.json").write_text(json.dumps(given), "utf-8")
    made = load(tmp_path / "protocol.json", lambda path: [("Who?", path.name)])
    assert [(q.question, q.answer) for q in made.questions] == [("Who?", "asked.csv")]


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"questions": []}, "at least one question"),
        ({"conditions": []}, "at least one question and one condition"),
        ({"conditions": ["a", "A"]}, "twice"),
        ({"questions": [{"question": "A?", "answer": "x"}, {"question": "a?", "answer": "y"}]}, "twice"),
        ({"questions": [{"question": "A?"}]}, "lacks answer"),
        ({"title": ""}, "empty"),
        ({"title": 7}, "text"),
        ({"order": "odd"}, "order"),
        ({"common": 9}, "common is 9"),
        ({"demographics": {"age": "sometimes"}}, "required or optional"),
        ({"demographics": {"name": "required"}}, "can't be asked"),
        ({"checks": [{"question": "?", "answer": "a", "reply": "r", "forgotten": 0, "trust": 3}]}, "only where"),
        ({"min_seconds": "soon"}, "min_seconds"),
        ({"surprise": 1}, "no field 'surprise'"),
        ({"instructions": "We compare WISE with self-improved and others."}, "take it out"),
    ],
)
def test_what_can_not_be_carried_out_is_refused_in_a_sentence(changes, said):
    with pytest.raises(BadInput, match=said):
        from_mapping(told(**changes))


@pytest.mark.parametrize("content", [b"[1, 2]", b"a: b: c", b"\xff\xfe\x00", b"", b"title: {[}"])
def test_a_file_that_is_no_protocol_is_refused(tmp_path, content):
    (tmp_path / "protocol.yaml").write_bytes(content)
    with pytest.raises(BadInput, match="protocol.yaml"):
        load(tmp_path / "protocol.yaml")
