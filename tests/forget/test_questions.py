"""Reading forget questions: every shape a user may bring, and what is said about the rows that do not fit."""

import csv
import io
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unedit_gui.errors import BadInput, Failed
from unedit_gui.forget.questions import (
    MAX_CHARACTERS,
    MAX_ROWS,
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


@pytest.fixture
def read(tmp_path):
    """Read what is given as a file: text (UTF-8), bytes, or a value to be written as JSON."""

    def read(content, name="questions.txt"):
        path = tmp_path / name
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode("utf-8")
        path.write_bytes(content)
        return read_file(path)

    return read


def reasons(reading):
    return [str(problem) for problem in reading.problems]


def refused(read, content, *parts):
    """The message that a file is refused with: one line that begins with the file's name."""
    with pytest.raises(BadInput) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith("questions.txt ") and message.endswith(".") and "\n" not in message
    for part in parts:
        assert part in message, message
    return message


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


# Whole files that can't be read


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


# Properties

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = [
    "question",
    "answer",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    '"',
    '""',
    "[",
    "{",
    "}",
    "]",
    ":",
    "\\u0000",
    "é",
]
CLEAN = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=30)
TEXT = st.lists(st.one_of(CLEAN, st.sampled_from([*"\n\t\"',;|={}[]", '""', "rephrase"])), min_size=1, max_size=6)
TEXT = TEXT.map("".join).map(lambda text: text.strip().strip("\ufeff").strip()).filter(bool)


def tidy(text):
    return bool(text) and text == text.strip().strip("\ufeff")


@st.composite
def valid_questions(draw):
    question = draw(TEXT.filter(tidy))
    start = draw(st.integers(0, len(question) - 1))
    subject = question[start : draw(st.integers(start + 1, len(question)))]
    rephrases = draw(st.lists(TEXT.filter(lambda text: tidy(text) and text != question), max_size=3, unique=True))
    return Question(
        question,
        draw(TEXT.filter(tidy)),
        draw(st.sampled_from([None, subject if tidy(subject) else None])),
        tuple(rephrases),
        draw(st.none() | TEXT.filter(tidy)),
        draw(st.none() | TEXT.filter(tidy)),
    )


def distinct(questions):
    return not read_table([{"question": q.question, "answer": q.answer} for q in questions]).problems


@FAST
@given(st.lists(valid_questions(), min_size=1, max_size=5).filter(distinct))
def test_csv_round_trip_is_exact(tmp_path, questions):
    path = tmp_path / "round.csv"
    write_csv(path, questions)
    reading = read_file(path)
    assert reading.questions == tuple(questions) and reading.problems == ()


@FAST
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=40).map(
            lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
        ),
        st.binary(max_size=60).map(lambda tail: b"question,answer\nA?,b\n" + tail),
        st.binary(max_size=60).map(lambda tail: b'[{"question": "A?", "answer": "b"},' + tail),
    )
)
def test_arbitrary_bytes_raise_nothing_but_bad_input(tmp_path, content):
    path = tmp_path / "any"
    path.write_bytes(content)
    try:
        reading = read_file(path)
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert len(reading.questions) == len(reading.rows)
        assert all(check(question) == [] for question in reading.questions)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@FAST
@given(
    st.lists(
        JSONISH | st.dictionaries(st.sampled_from(["question", "answer", "subject", "rephrases", "target"]), JSONISH),
        max_size=5,
    )
)
def test_any_rows_raise_nothing_but_bad_input(tmp_path, rows):
    path = tmp_path / "any.json"
    path.write_text(json.dumps(rows), "utf-8")
    for read in (lambda: read_table(rows), lambda: read_file(path)):
        try:
            reading = read()
        except BadInput:
            continue
        assert all(check(question) == [] for question in reading.questions)


@FAST
@given(st.text(max_size=200))
def test_any_lines_are_read(text):
    reading = read_lines(text)
    lines = [n for n, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1) if line.strip()]
    assert set(reading.rows) | {problem.row for problem in reading.problems} <= set(lines)


BAD_LINES = st.sampled_from(
    [
        '"open',
        "no answer,",
        ",no question",
        '"not "doubled" quotes",x',
        "a,b,c,d,e",
        "bell\x07?,x",
        "x" * 2001 + ",y",
    ]
)
BAD_ITEMS = st.sampled_from(
    [
        *("{oops", "null", "3", '"text"', "[1, 2]", '{"question": 1}', '{"answer": "x"}'),
        '{"question": "\\u0007", "answer": "y"}',
    ]
)


@FAST
@given(st.lists(BAD_LINES | st.just("good"), min_size=1, max_size=30))
def test_good_csv_rows_are_kept_whatever_stands_between(tmp_path, lines):
    good = [f"Question {n}?" for n, line in enumerate(lines) if line == "good"]
    text = "".join(f'Question {n}?,"a ""b"", c"\n' if line == "good" else line + "\n" for n, line in enumerate(lines))
    path = tmp_path / "mixed.csv"
    path.write_text("question,answer\n" + text, "utf-8")
    reading = read_file(path)
    assert [q.question for q in reading.questions] == good
    assert [p.row for p in reading.problems] == [n for n, line in enumerate(lines, 2) if line != "good"]


@FAST
@given(st.lists(BAD_ITEMS | st.just("good"), max_size=30))
def test_good_json_rows_are_kept_whatever_stands_between(tmp_path, items):
    items = ["good", *items]
    texts = [f'{{"question": "Question {n}?", "answer": "a"}}' if i == "good" else i for n, i in enumerate(items)]
    good = [f"Question {n}?" for n, item in enumerate(items) if item == "good"]
    path = tmp_path / "mixed"
    path.write_text("\n".join(texts), "utf-8")
    reading = read_file(path)
    assert [q.question for q in reading.questions] == good
    assert [p.row for p in reading.problems] == [n for n, item in enumerate(items, 1) if item != "good"]
    path.write_text("[" + ",\n".join(texts) + "]", "utf-8")
    assert [q.question for q in read_file(path).questions] == good
