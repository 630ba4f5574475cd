"""Whatever is read: questions survive writing and reading, nothing but BadInput is raised, good rows are kept."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question, check, read_file, read_lines, read_table, write_csv

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
