"""CSV that a spreadsheet shows and never runs."""

import csv
import io

import pytest

from unedit_gui.spreadsheet import csv_of, csv_of_records


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("http://evil","x")', "-2+3+cmd|' /C calc'!A0", " =1+1", "\n=1", "\u200b=1"]
)
def test_no_text_is_a_formula_to_a_spreadsheet(text):
    assert read(csv_of(["a"], [[text]])) == [["a"], [f"'{text}"]]
    assert read(csv_of_records([{"a": text}])) == [["a"], [f"'{text}"]]


def test_numbers_stay_numbers_and_other_texts_stay_as_they_are():
    text = csv_of(["n", "x", "said", "none", "good"], [[-1, -0.5, 'a "b",\n1 = 1', None, True]])
    assert text.splitlines()[1].startswith("-1,-0.5,") and text.endswith(",True\n")
    assert read(text)[1] == ["-1", "-0.5", 'a "b",\n1 = 1', "", "True"]


def test_a_text_is_not_split_where_a_semicolon_parts_cells():
    assert csv_of(["a"], [["a;=1+1"]]) == 'a\n"a;=1+1"\n'


def test_records_are_written_by_name_and_without_any_the_header_is_left():
    assert read(csv_of_records([{"a": 1, "b": 2}, {"b": 4, "a": 3}])) == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert csv_of_records([], ["run"]) == "run\n"
