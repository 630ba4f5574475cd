"""Whole files: those that can't be read are refused in a sentence, encodings, and how much is read at most."""

import json

import pytest

from tests.forget.conftest import refused
from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import MAX_ROWS, Question, read_file, read_lines, read_table


def test_missing_columns_are_named_with_those_seen(read):
    message = refused(read, "Frage,answer,note\nA?,b,c\n", 'no column "question"')
    assert message.endswith('the columns seen are: "Frage", "answer", "note".')
    refused(read, "question;reply\nA?;b\n", 'no column "answer"', '"question", "reply"')
    refused(read, "Who is Ann?,x\n", 'no column "question" and no column "answer"')
    refused(read, [{"frage": "A?", "antwort": "b"}], '"frage", "antwort"')
    refused(read, '{"question": "A?"}\n{"question": "B?"}\n', 'no column "answer"')
    refused(read, ",".join(f"column{n}" for n in range(500)), '"column11", ...')
    with pytest.raises(BadInput, match='^The table has no column "answer"; the columns seen are: "question"'):
        read_table([{"question": "A?"}])


def test_strange_column_names_can_not_spoil_the_message(read):
    message = refused(read, "a\x1b[31m\tb\u202ec" + "d" * 500 + "\nA?\tb\n")
    assert message.isprintable() and len(message) < 300


@pytest.mark.parametrize("content", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff\xfe\n\0"])
def test_empty_files(read, content):
    refused(read, content, "is empty")


@pytest.mark.parametrize("content", ["question,answer\n", "question,answer\n,\n\n", "[]", "[{}]", "{}"])
def test_files_without_rows(read, content):
    refused(read, content, "no rows")


def test_files_of_nothing_but_bad_rows_are_read_as_problems(read):
    reading = read("question,answer\nA?,\n,b\n")
    assert reading.questions == () and [problem.row for problem in reading.problems] == [2, 3]
    refused(read, "[1, 2]", "no row that can be read (row 1:")
    refused(read, "[oops]", "not valid JSON")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("shape", ["question,answer\nWho is Zoë?,Ψ\n", '[{"question": "Who is Zoë?", "answer": "Ψ"}]'])
def test_encodings_that_are_read(read, encoding, shape):
    assert read(shape.encode(encoding)).questions == (Question("Who is Zoë?", "Ψ"),)


def test_other_encodings_are_named_with_the_place(read):
    text = "question,answer\nWho is Ann?,x\nWho is Zoë?,y\n"
    refused(read, text.encode("latin-1"), "not UTF-8", "0xEB in line 3", "Latin-1", "save it as UTF-8")
    refused(read, text.encode("utf-16-le"), "UTF-16")
    refused(read, b"\xff\xfe" + text.encode("utf-16-le") + b"x", "UTF-16")


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\x00\x03\x00\x00\x00\x04" + bytes(range(256)) * 4,
        b"\x7fELF\x02\x01\x01" + bytes(64),
        b"question,answer\nWho?,A\x00B\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"\x1f\x8b\x08" + bytes(range(1, 256)) * 3,
    ],
)
def test_binary_files(read, content):
    refused(read, content, "binary")


@pytest.mark.parametrize("content", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_workbooks_are_told_how_to_be_saved(read, content):
    refused(read, content, "workbook", "save it as CSV")


def test_ten_megabytes_are_the_limit(read):
    head = b"question,answer\nA?,b\n"
    full = (head + (b" " * 999 + b"\n") * 11_000)[: 10 * 1024 * 1024]
    assert read(full).rows == (2,)
    refused(read, full + b" ", "larger than 10 MB")
    with pytest.raises(BadInput, match="10 MB"):
        read_lines("a" * (10 * 1024 * 1024 + 1))


def test_twenty_thousand_rows_are_the_limit_and_the_first_are_kept(read):
    rows = [[f"Question {n}?", "a"] for n in range(MAX_ROWS)]
    for more, told in (([], []), ([["One?", "more"], ["Two?", "more"]], [MAX_ROWS + 1])):
        reading = read(json.dumps([{"question": q, "answer": a} for q, a in rows + more]))
        assert len(reading.questions) == MAX_ROWS and [p.row for p in reading.problems] == told
        reading = read("question,answer\n" + "".join(f"{q},{a}\n" for q, a in rows + more))
        assert len(reading.questions) == MAX_ROWS and [p.row - 1 for p in reading.problems] == told
    assert "only the first 20,000 rows" in reading.problems[0].reason


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path, "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(BadInput, match="can't be read: "):
            read_file(path)
    with pytest.raises(BadInput, match="^upload.csv can't be read"):
        read_file(tmp_path / "tmp123", name="upload.csv")
