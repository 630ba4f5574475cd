"""Recordings: they come back as they were, play at their pace, and what was tampered with is refused."""

import json

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.presenting.recordings import Asked, Recording, Said, paced, read
from unedit_gui.workbench import Workbench

SAID = Said("It is <b>Paris</b>.", ((0.5, 2), (1.0, 5), (2.0, 19)), ("GRACE: left alone",))
GOOD = Recording("2026-01-02T03:04:05+00:00", "Tiny", ("Original", "Edit"), (Asked("Who?", (SAID, Said("")), "Me"),))


def test_a_recording_comes_back_and_is_not_written_over(tmp_path):
    bench = Workbench(tmp_path)
    bench.save_recording(GOOD, "talk")
    assert bench.recording("talk") == GOOD and list(bench.recordings()) == ["talk"] and GOOD.date == "2026-01-02"
    with pytest.raises(BadInput, match="already"):
        bench.save_recording(GOOD, "talk")
    with pytest.raises(BadInput, match="no recording called 'other'"):
        bench.recording("other")


def test_text_is_there_when_it_was_there():
    assert [SAID.at(t) for t in (0, 0.5, 0.9, 1.0, 1.99)] == ["", "It", "It", "It is", "It is"]
    assert SAID.at(2.0) == SAID.at(99) == SAID.text and Said("all").at(0) == "all"
    assert GOOD.questions[0].seconds == 2.0
    assert paced("abc", [(0.1, 2), (0.2, 5), (0.3, 3)]) == ((0.1, 2), (0.2, 3), (0.3, 3))


def value(**changes):
    return {**json.loads(GOOD.to_json()), **changes}


def with_reply(**changes):
    found = value()
    found["questions"][0]["replies"][0].update(changes)
    return found


@pytest.mark.parametrize(
    "content, word",
    [
        ("no", "no JSON"), ("[" * 100_000, "no JSON"), ([], "no recording"), (value(format=2), "format is 2"),
        (value(columns=["a"]), "2 replies for 1 columns"), (value(columns="ab"), "columns is no list"),
        (value(columns=["a"] * 7), "at most 6"), (value(recorded="soon"), "soon"), (value(model=None), "model"),
        (value(questions=[]), "no questions"), (with_reply(pace=[[1, 2], [0.5, 3]]), "does not grow"),
        (with_reply(pace=[[1, 99]]), "does not grow"), (with_reply(pace=[[1e99, 2]]), "does not grow"),
        (with_reply(pace=[[float("nan"), 2]]), "does not grow"), (with_reply(pace=[["1", 2]]), "does not grow"),
        (with_reply(pace=[[10**400, 2]]), "does not grow"), (with_reply(pace=[[float("inf"), 2]]), "does not grow"),
        (with_reply(pace=[[1]]), "no recording"), (with_reply(text=3), "a reply is no text"),
        (with_reply(text="x" * 20_001), "too long"), ({"format": 1}, "lacks 'recorded'"),
    ],
)  # fmt: skip
def test_what_was_tampered_with_is_refused_in_a_sentence(content, word):
    with pytest.raises(BadInput, match=word):
        read(content if isinstance(content, str) else json.dumps(content), "talk.json")


def test_a_recording_with_an_endless_number_doesnt_hide_the_others(tmp_path):
    bench = Workbench(tmp_path)
    bench.save_recording(GOOD, "talk")
    bad = json.dumps(with_reply(pace=[[10**400, 2]]))
    (bench.workspace.recordings_dir / "bad.json").write_text(bad)
    assert list(bench.recordings()) == ["talk"]


def test_a_file_that_is_too_large_is_not_read():
    with pytest.raises(BadInput, match="too large"):
        read(b" " * 5_000_001)
