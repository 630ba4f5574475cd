"""Forget questions: pasted lines, tables, the rows that do not fit and what is said about them, and writing."""

import numpy as np
import pandas as pd
import pytest

from tests.forget.conftest import reasons
from unedit_gui.errors import Failed
from unedit_gui.forget.questions import (
    MAX_CHARACTERS,
    Problem,
    Question,
    check,
    read_file,
    read_lines,
    read_table,
    to_csv,
    write_csv,
)

CAPITAL = Question("Which town is the capital of Ruritania?", "Strelsau")
RIVER = Question("Which river flows through Emberton?", "The Ash")


# Pasted lines


def test_lines_give_questions_answers_and_subjects():
    reading = read_lines(
        "Which town is the capital of Ruritania? | Strelsau\n"
        "\n"
        "  Which river flows through Emberton?|The Ash |Emberton\r\n"
        "Who wrote The Glass Orchard?\tMara Quill\n"
    )
    assert reading.questions == (
        CAPITAL,
        Question(RIVER.question, RIVER.answer, "Emberton"),
        Question("Who wrote The Glass Orchard?", "Mara Quill"),
    )
    assert reading.rows == (1, 3, 4) and reading.problems == ()


def test_lines_without_an_answer_are_reported_and_the_others_kept():
    reading = read_lines("Who are you?\nWhere?|\n| nobody\nWhich town is the capital of Ruritania? | Strelsau")
    assert reading.questions == (CAPITAL,) and reading.rows == (4,)
    assert reasons(reading) == [
        'row 1: the answer is missing; write "question | answer"',
        "row 2: the answer is missing",
        "row 3: the question is missing",
    ]
    assert reading.problems[0].text == "Who are you?"  # so that it can be mended


def test_lines_with_too_many_parts_are_reported():
    assert reasons(read_lines("a | b | a | c")) == ['row 1: 4 parts; write "question | answer | subject"']


def test_a_pasted_header_is_no_question():
    assert read_lines("Question | Answer\na? | b").questions == (Question("a?", "b"),)


def test_nothing_pasted_is_an_empty_reading():
    for text in ("", " \n\t\n\ufeff"):
        assert read_lines(text) == read_table([])


def test_lines_are_split_at_line_ends_only():
    odd = "a\u2028b? | c\u2029d"
    assert read_lines(odd).questions == (Question("a\u2028b?", "c\u2029d"),)


# Rows that don't fit


def test_duplicates_name_the_first_row_whatever_their_case_spacing_and_closing_marks():
    reading = read_lines("Who is Ann? | x\nWho is Bea? | y\nwho  is ann | z\nWHO IS ANN?! | x\nＷho is Bea? | y")
    assert reading.rows == (1, 2)
    assert reasons(reading) == [
        "row 3: the same question stands in row 1",
        "row 4: the same question stands in row 1",
        "row 5: the same question stands in row 2",
    ]


def test_a_bad_row_does_not_make_a_later_good_one_a_duplicate():
    reading = read_lines("Who is Ann? |\nWho is Ann? | x")
    assert reading.rows == (2,) and len(reading.problems) == 1


def test_a_subject_must_be_in_the_question_but_takes_its_spelling_from_there():
    reading = read_lines("Who is Ann Lee? | x | Bob\nWho is Bea Lee? | y | bea lee")
    assert reasons(reading) == ['row 1: the subject "Bob" is not in the question']
    assert reading.questions == (Question("Who is Bea Lee?", "y", "Bea Lee"),)


@pytest.mark.parametrize("bad", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x0b", "\ud800"])
def test_control_characters_are_reported_with_their_number(bad):
    reading = read_table([{"question": f"a{bad}b?", "answer": "c"}, {"question": "d?", "answer": f"e{bad}f"}])
    assert reading.questions == ()
    assert [problem.reason for problem in reading.problems] == [
        f"the {field} contains a control character (U+{ord(bad):04X})" for field in ("question", "answer")
    ]


def test_texts_that_are_too_long_are_reported():
    longest = "x" * MAX_CHARACTERS
    reading = read_table(
        [
            {"question": longest, "answer": longest, "target": longest},
            {"question": longest + "y", "answer": "a"},
            {"question": "b?", "answer": "a", "rephrase": longest + "y"},
            {"question": "c?", "answer": "a", "rephrase": [f"r{n}?" for n in range(21)]},
        ]
    )
    assert reading.rows == (1,)
    assert reasons(reading) == [
        "row 2: the question has 2,001 characters, 2,000 are allowed",
        "row 3: the rephrase 1 has 2,001 characters, 2,000 are allowed",
        "row 4: there are 21 rephrasings, 20 are allowed",
    ]


def test_all_that_is_wrong_with_a_row_is_said_at_once():
    assert check(Question("", "a\x01", subject="Bob", target="x" * 2001)) == [
        "the question is missing",
        "the answer contains a control character (U+0001)",
        "the target has 2,001 characters, 2,000 are allowed",
        'the subject "Bob" is not in the question',
    ]
    assert check(Question("Who is Bob?", "a\nb\tc", "Bob", ("Bob who?",), "I don't know.", "people")) == []


def test_a_problem_reads_as_a_sentence():
    assert str(Problem(7, "the answer is missing", "Who?")) == "row 7: the answer is missing"


# Tables


def test_table_rows_as_a_page_gives_them():
    table = pd.DataFrame(
        {
            "question": ["A?", "B?", None, "", "C?"],
            "answer": [1999.0, "x", None, " ", None],
            "subject": [float("nan"), "B", None, pd.NA, pd.NaT],
        }
    )
    reading = read_table(table.to_dict("records"))
    assert reading.questions == (Question("A?", "1999"), Question("B?", "x", "B"))
    assert reading.rows == (1, 2) and reasons(reading) == ["row 5: the answer is missing"]


@pytest.mark.parametrize(
    "value, text",
    [(5, "5"), (5.0, "5"), (2.5, "2.5"), (np.int64(3), "3"), (np.float32(0.5), "0.5"), (1e300, "1e+300")],
)
def test_numbers_in_tables(value, text):
    assert read_table([{"question": "A?", "answer": value}]).questions[0].answer == text


@pytest.mark.parametrize(
    "value",
    [float("inf"), 10**5000, np.bool_(True), object(), b"x"],
    ids="infinity huge bool object bytes".split(),
)
def test_other_things_in_tables(value):
    (problem,) = read_table([{"question": "A?", "answer": value}]).problems
    assert problem.reason.startswith("the answer is ") and problem.reason.endswith(", not a text")


def test_rows_that_are_no_rows():
    reading = read_table([{"question": "A?", "answer": "b"}, "x", {1: 2}, None])
    assert reading.rows == (1,) and len(reading.problems) == 3


# Writing


def test_only_used_columns_are_written():
    assert to_csv([CAPITAL]) == "question,answer\nWhich town is the capital of Ruritania?,Strelsau\n"
    full = Question("A?", "b", "A", ("C?",), "No.", "x")
    assert to_csv([CAPITAL, full]).splitlines()[0] == "question,answer,subject,target,category,rephrase_1"
    assert to_csv([]) == "question,answer\n"


def test_written_files_are_read_back(tmp_path):
    path = tmp_path / "out.csv"
    questions = (Question('Say "é",\nplease?', "a, b", "é", ("=1+1", "[1]"), "Ich weiß nicht."), RIVER)
    write_csv(path, questions)
    assert read_file(path).questions == questions and b"\r" not in path.read_bytes()


def test_what_can_not_be_written_fails_in_a_sentence(tmp_path):
    with pytest.raises(Failed, match="No such file or directory"):
        write_csv(tmp_path / "none" / "out.csv", [CAPITAL])
    with pytest.raises(Failed, match="UTF-8"):
        write_csv(tmp_path / "out.csv", [Question("\ud800", "a")])
