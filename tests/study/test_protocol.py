"""The protocol: what is taken, what is refused, what its hashes cover."""

import json
from copy import deepcopy
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(PLAIN.filter(lambda key: key == key), inner, max_size=3)
    ),
    max_leaves=4,
)


def every_place(value, way=()):
    """The way to each value in a protocol, and to fields that it could have."""
    inner = dict(value) if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    if way[:1] in [("practice",), ("checks",), ("examples",)] and isinstance(value, dict):
        inner = dict.fromkeys(("entailment", "trust", "why")) | inner
    for key, one in inner.items():
        yield (*way, key)
        yield from every_place(one, (*way, key))


WHOLE = told(
    conditions=["x1", {"name": "x2", "edits": ["one", "two"], "method": "rome", "targets": "vanilla"}],
    **dict(contact="Us", order="fixed", min_seconds=1, dropout_hours=2, consent_version="1"),
)


@given(st.sampled_from(list(every_place(WHOLE))), ANYTHING)
@settings(max_examples=600, deadline=None)
def test_any_value_in_any_place_makes_a_protocol_that_can_be_stored_or_a_sentence(way, value):
    changed = deepcopy(WHOLE)
    place = changed
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = value
    try:
        made = from_mapping(changed)
    except BadInput as error:
        assert str(error).endswith(".")
    else:
        assert from_json(made.to_json()) == made
        made.to_json().encode()


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
        ({"demographics": ["age", "gender"]}, "demographics"),
        ({"demographics": "age"}, "demographics"),
        ({"demographics": 5}, "demographics"),
        ({"conditions": [{"name": "x1", "edits": 5}]}, "edits of 'x1'"),
        ({"conditions": [{"name": "x1", "edits": [5]}]}, "An edit of 'x1' is to be a text"),
        ({"conditions": [{"name": "x1", "method": date(2024, 1, 1)}]}, "method of 'x1' is to be a text"),
        ({"conditions": [{"name": "x1", "targets": ["vanilla"]}]}, "targets of 'x1' is to be a text"),
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
