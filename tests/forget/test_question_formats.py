"""CSV and JSON of every shape a user may bring, and what is said about the rows that do not fit."""

import csv
import io
import json
import time

import pytest

from tests.forget.conftest import reasons, refused
from unedit_gui.forget.questions import Question, read_table

# CSV


def test_csv_with_every_column_in_any_spelling():
    rows = read_table(
        csv.DictReader(
            io.StringIO(
                "QUESTION, Answer ,Subject,rephrase_1,Rephrase 2,rephrase-3,TARGET,Category,id\n"
                "Who is Ann?,x,Ann,Ann who?,,Who's Ann?,I don't know Ann.,people,9\n"
            )
        )
    )
    assert rows.questions == (
        Question("Who is Ann?", "x", "Ann", ("Ann who?", "Who's Ann?"), "I don't know Ann.", "people"),
    )


def test_repeated_columns_and_lists_give_rephrases(read):
    reading = read('question,answer,rephrase,rephrase,rephrases\nA?,b,C?,D?,"[""E?"", ""D?"", ""A?""]"\n')
    assert reading.questions[0].rephrases == ("C?", "D?", "E?")  # each once, and not the question itself
    assert read('question,answer,rephrases\nA?,b,"[not a list"').questions[0].rephrases == ("[not a list",)


@pytest.mark.parametrize("column", ["prompt", "Query", " PROMPT "])
def test_other_names_for_the_question(read, column):
    assert read(f"{column},answer\nA?,b\n").questions == (Question("A?", "b"),)


def test_the_column_question_goes_before_other_names_for_it(read):
    assert read("prompt,question,answer\nP?,Q?,b\nP2?,,b\n").questions == (
        Question("Q?", "b"),
        Question("P2?", "b"),
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "noending"])
def test_the_delimiter_is_seen_from_the_header_and_not_from_the_name(read, delimiter, name):
    reading = read(f"question{delimiter}answer{delimiter}x\nA?{delimiter}b{delimiter}1\n", name)
    assert reading.questions == (Question("A?", "b"),) and reading.rows == (2,)


def test_semicolons_leave_commas_in_the_text(read):
    assert read("question;answer\nWho, when?;Ann, 1999\n").questions == (Question("Who, when?", "Ann, 1999"),)


def test_excels_hint_line_is_passed_over(read):
    reading = read("sep=;\nquestion;answer\nA?;b\n")
    assert reading.questions == (Question("A?", "b"),) and reading.rows == (3,)


def test_quoted_line_breaks_and_quotes(read):
    reading = read('question,answer\r\n"A\r\nB?","say ""hi"""\r\nC?,"x\ny"\r\n\r\nD?,e\r\n')
    assert reading.questions == (
        Question("A\nB?", 'say "hi"'),
        Question("C?", "x\ny"),
        Question("D?", "e"),
    )
    assert reading.rows == (2, 4, 7)  # the lines where they begin


def test_ragged_rows(read):
    reading = read("question,answer,subject\nA?,b\nWho, when?,Ann\nC?,d,,,\nE?,f,E,more\nG?\n")
    assert reading.questions == (Question("A?", "b"), Question("C?", "d"))
    assert [problem.row for problem in reading.problems] == [3, 5, 6]
    assert reading.problems[0].reason == 'the subject "Ann" is not in the question'
    assert reading.problems[1].reason == ("4 fields, the header has 3; put texts with ',' in quotation marks")
    assert reading.problems[2].reason == "the answer is missing"


def test_an_open_quotation_mark_costs_its_own_line_only(read):
    reading = read('question,answer\nA?,b\n"C?,d\nE?,f\n"G ""H""?",i\n')
    assert [q.question for q in reading.questions] == ["A?", "E?", 'G "H"?']
    assert reasons(reading) == ["row 3: a quotation mark is not closed, or not doubled inside a quoted text"]
    assert reading.problems[0].text == '"C?,d'


def test_quotation_marks_that_are_not_doubled_are_reported(read):
    reading = read('question,answer\n"Who said "hi"?",Ann\nWho said "ho"?,Bea\n')
    assert reading.questions == (Question('Who said "ho"?', "Bea"),) and reading.problems[0].row == 2


# JSON


def test_json_list_and_json_lines(read):
    rows = [{"question": "A?", "answer": "b", "rephrase": ["C?", "D?"]}, {"query": "E?", "answer": "f"}]
    wanted = (Question("A?", "b", None, ("C?", "D?")), Question("E?", "f"))
    for text in (json.dumps(rows), json.dumps(rows, indent=2), "\ufeff" + json.dumps(rows)):
        reading = read(text, "a.csv")
        assert reading.questions == wanted and reading.rows == (1, 2)
    lines = read("\n" + "\n\n".join(map(json.dumps, rows)) + "\n", "a.json")
    assert lines.questions == wanted and lines.rows == (2, 4)
    assert read(json.dumps(rows[0], indent=2)).questions == wanted[:1]


def test_files_shaped_like_tofu(read):
    rows = [
        {
            "question": f"What is the full name of the potter born in Velm in {year}?",
            "answer": f"The potter is called Odo Parr the {year}th.",
            "paraphrased_answer": "Odo Parr is the potter's full name.",
            "perturbed_answer": ["Ida Moss.", "Uli Tarn."],
            "paraphrased_question": f"Which full name has the potter who was born in Velm in {year}?",
            **{f"option{n}": f"Name {n}" for n in range(1, 5)},
        }
        for year in (1901, 1902)
    ]
    reading = read("\n".join(map(json.dumps, rows)), "forget.json")
    assert reading.problems == ()
    assert reading.questions[0] == Question(
        "What is the full name of the potter born in Velm in 1901?",
        "The potter is called Odo Parr the 1901th.",
        rephrases=("Which full name has the potter who was born in Velm in 1901?",),
    )


def test_files_shaped_like_pistol(read):
    rows = [
        {
            "edge": "1",
            "question": "What is the date of the lease between Orrin Ltd and P. Vale?",
            "answer": "1 May",
        },
        {
            "edge": ["A", "B"],
            "question": "Where does the lessor Orrin Ltd reside?",
            "answer": "12 Mill Row, Velm",
        },
    ]
    reading = read(json.dumps(rows, indent=4))
    assert [q.answer for q in reading.questions] == ["1 May", "12 Mill Row, Velm"] and not reading.problems


def test_numbers_are_taken_as_texts_as_they_are_written(read):
    text = '[{"question": "A?", "answer": 1999}, {"question": 7, "answer": 1.50}, {"question": "B?", "answer": '
    reading = read(text + "9" * 1000 + "}]")
    assert [(q.question, q.answer) for q in reading.questions] == [
        ("A?", "1999"),
        ("7", "1.50"),
        ("B?", "9" * 1000),
    ]


def test_wrong_types_are_reported(read):
    rows = [
        *({"question": "A?", "answer": bad} for bad in (True, ["b"], {"text": "b"}, None)),
        {"question": ["A?"], "answer": "b"},
        {"question": "A?", "answer": "b", "rephrase": ["C?", {"x": 1}]},
        *("A?", 5, None, ["A?", "b"]),
        {"question": "A?", "answer": "b", "subject": False},
        {"question": "A?", "answer": "b"},
    ]
    no_object = "this is not an object with a question and an answer"
    wanted = [
        "the answer is true or false, not a text",
        "the answer is a list, not a text",
        "the answer is an object, not a text",
        "the answer is missing",
        "the question is a list, not a text",
        "the rephrase is an object, not a text",
        *[no_object] * 4,
        "the subject is true or false, not a text",
    ]
    for text in (json.dumps(rows), "\n".join(map(json.dumps, [rows[-1], *rows[:-1]]))):
        reading = read(text)
        assert reading.questions == (Question("A?", "b"),)
        assert [problem.reason for problem in reading.problems if "same" not in problem.reason] == wanted


def test_broken_json_keeps_the_items_around_it(read):
    good = '{"question": "%s?", "answer": "x"}'
    text = f"[{good % 'A'},\n {{'question': 'B?'}},\n {good % 'C'} {good % 'D'},\n {good % 'E'[:5]}, "
    text += '{"question": "F?", "answer": "cut off he'
    reading = read(text)
    assert [q.question for q in reading.questions] == ["A?", "C?", "D?", "E?"]
    assert [problem.row for problem in reading.problems] == [2, 6] and "line 2" in reading.problems[0].reason
    lines = read("\n".join([good % "A", "{oops", good % "C", "oops", '{"question": "D?"']))
    assert lines.rows == (1, 3) and [problem.row for problem in lines.problems] == [2, 4, 5]


def test_a_list_cut_off_between_items_is_said(read):
    reading = read('[{"question": "A?", "answer": "x"},')
    assert reading.rows == (1,) and "without its closing bracket" in reading.problems[0].reason


def test_json_lines_after_a_broken_first_line(read):
    reading = read('oops\n{"question": "A?", "answer": "x"}\n')
    assert reading.rows == (2,) and reading.problems[0].row == 1


def test_deeply_nested_json_is_a_problem_of_its_row(read):
    deep = "[" * 100_000
    refused(read, deep, "nested too deeply")
    refused(read, "{" + '"a":{' * 100_000, "nested too deeply")
    rows = ['{"question": "A?", "answer": "b"}', '{"question": ' + deep, '{"question": "C?", "answer": "d"}']
    assert read("\n".join(rows)).rows == (1, 3)
    assert read("[" + ",".join(rows) + "]").rows[0] == 1


def test_a_list_full_of_errors_ends_soon(read):
    began = time.monotonic()
    reading = read('[{"question": "A?", "answer": "b"},' + "{x," * 3_000_000)
    assert reading.rows == (1,) and "the rest was not read" in reading.problems[-1].reason
    assert time.monotonic() - began < 30
