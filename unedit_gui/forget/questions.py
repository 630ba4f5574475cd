"""Forget questions: the value, its check, and reading it from lines, tables and files.

A file is read by what it holds, not by its name's ending: CSV (comma, semicolon, tab or bar), JSON, JSON
lines, or pasted `question | answer` lines. A bad row is reported with its number and the reason, and the good
rows are kept whatever stands between them; `BadInput` is raised only where nothing can be read at all.

Columns (case, spaces, underscores and hyphens don't count): question (or prompt, query), answer, subject,
rephrase (repeated, numbered, or a JSON list; TOFU's paraphrased_question too), target, category. Others are
ignored.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unedit_gui.errors import BadInput, Failed
from unedit_gui.forget import files
from unedit_gui.forget.columns import by_field, cell_text, field_of, is_missing, need_columns, text_of

MAX_ROWS = 20_000
MAX_CHARACTERS = 2_000
MAX_REPHRASES = 20

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # newline and tab are fine
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Question:
    """One fact. `subject`, if given, is a part of `question`; `target` is the reply to be taught."""

    question: str
    answer: str
    subject: str | None = None
    rephrases: tuple[str, ...] = ()
    target: str | None = None
    category: str | None = None


@dataclass(frozen=True)
class Problem:
    """Why a row was left out. `row` as a user counts it, from 1: the line in a text or CSV file (the header
    counts), the item of a JSON list, the row of a table. `text`: what stood there."""

    row: int
    reason: str
    text: str = ""

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


@dataclass(frozen=True)
class Reading:
    """The good questions, where each of them stood (`rows`, as long as `questions`), and the bad rows."""

    questions: tuple[Question, ...]
    problems: tuple[Problem, ...]
    rows: tuple[int, ...]


def check(question: Question) -> list[str]:
    """What is wrong with a question, in short clauses; [] if nothing."""
    reasons = []
    texts = [
        *(("question", question.question), ("answer", question.answer), ("subject", question.subject)),
        *(("target", question.target), ("category", question.category)),
        *((f"rephrase {n}", text) for n, text in enumerate(question.rephrases, 1)),
    ]
    for label, text in texts:
        text = text or ""
        if label in ("question", "answer") and not text.strip(files.BLANK):
            reasons.append(f"the {label} is missing")
        if len(text) > MAX_CHARACTERS:
            reasons.append(f"the {label} has {len(text):,} characters, {MAX_CHARACTERS:,} are allowed")
        if found := _CONTROL.search(text):
            reasons.append(f"the {label} contains a control character (U+{ord(found[0]):04X})")
    if question.subject and question.subject not in question.question:
        reasons.append(f"the subject {files.shown(question.subject)} is not in the question")
    if len(question.rephrases) > MAX_REPHRASES:
        reasons.append(f"there are {len(question.rephrases)} rephrasings, {MAX_REPHRASES} are allowed")
    return reasons


def read_lines(text: str) -> Reading:
    """Read pasted lines, `question | answer` or `question | answer | subject`; tabs (from a spreadsheet)
    separate as well. Blank lines and a first line that names the columns are passed over. An empty text is an
    empty reading.

    Raises BadInput for more than 10 MB.
    """
    if len(text) > files.MAX_BYTES:
        raise BadInput("The pasted text is longer than 10 MB; paste fewer lines.")
    rows = _Rows()
    for number, line in enumerate(files.unix(text).split("\n"), 1):
        line = line.strip(files.BLANK.replace("\t", ""))
        if not line.strip(files.BLANK):
            continue
        parts = [part.strip(files.BLANK) for part in line.split("|" if "|" in line else "\t")]
        if rows.count == 0 and [field_of(part) for part in parts[:2]] == ["question", "answer"]:
            continue
        if rows.full(number):
            break
        if len(parts) == 1:
            rows.refuse(number, 'the answer is missing; write "question | answer"', line)
        elif len(parts) > 3:
            rows.refuse(number, f'{len(parts)} parts; write "question | answer | subject"', line)
        else:
            fields = zip(("question", "answer", "subject"), parts, strict=False)
            rows.add(number, {field: [part] for field, part in fields}, line)
    return rows.reading()


def read_table(rows: Iterable[Mapping[str, Any]]) -> Reading:
    """Read a table's rows, each a mapping of column names to cells. Rows without any content are passed over,
    and a table without rows is an empty reading. Numbers are taken as texts.

    Raises BadInput if there is no column for the question or the answer.
    """
    return _read_records(enumerate(rows, 1), "The table", allow_empty=True)


def read_file(path: Path | str, name: str | None = None) -> Reading:
    """Read a file of questions. `name`: what messages call it (default: the file's own name).

    Raises BadInput if nothing can be read: no such file, too large, binary, wrong encoding, empty, no column
    for the question or the answer.
    """
    name = files.shown(name or Path(path).name, quotes="")
    text = files.decode(files.read_bytes(path, name), name)
    first = text.lstrip(files.BLANK)[:1]
    if first == "[":
        return _read_records(files.json_list(text), name)
    if first == "{":
        return _read_records(files.json_lines(text), name)
    return _read_delimited(text, name)


def to_csv(questions: Sequence[Question]) -> str:
    """The questions as CSV, which `read_file` gives back unchanged. Columns that none uses are left out."""
    optional = [f for f in ("subject", "target", "category") if any(getattr(q, f) for q in questions)]
    most = max((len(q.rephrases) for q in questions), default=0)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["question", "answer", *optional, *(f"rephrase_{n}" for n in range(1, most + 1))])
    for q in questions:
        cells = [q.question, q.answer, *(getattr(q, field) or "" for field in optional), *q.rephrases]
        writer.writerow(cells + [""] * (most - len(q.rephrases)))
    return out.getvalue()


def write_csv(path: Path | str, questions: Sequence[Question]) -> None:
    """Write `to_csv` to a file, in UTF-8. Raises Failed if that can't be done."""
    try:
        Path(path).write_bytes(to_csv(questions).encode("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it can't be written as UTF-8"
        shown = files.shown(str(path), quotes="")
        raise Failed(f"The questions can't be written to {shown}: {reason}.") from error


# Rows


class _Rows:
    """Collects questions and problems, in the order of the rows."""

    def __init__(self):
        self.count = 0
        self._questions: list[Question] = []
        self._problems: list[Problem] = []
        self._rows: list[int] = []
        self._seen: dict[str, int] = {}

    def full(self, row: int) -> bool:
        """True, with a problem noted, if no more rows are taken. To be asked before each row."""
        if self.count < MAX_ROWS:
            return False
        self._problems.append(Problem(row, f"only the first {MAX_ROWS:,} rows are read; split the list"))
        return True

    def refuse(self, row: int, reason: str, text: str = "") -> None:
        self.count += 1
        self._problems.append(Problem(row, reason, text[:10_000]))

    def add(self, row: int, cells: Mapping[str, Sequence[Any]], text: str) -> None:
        """Take a row, or note what is wrong with it. `cells`: the cells of each field."""
        question, reasons = _question(cells)
        reasons = reasons or check(question)  # what has the wrong type reads as missing, too
        same = same_question(question.question)
        if not reasons and same in self._seen:
            reasons = [f"the same question stands in row {self._seen[same]}"]
        if reasons:
            self.refuse(row, "; ".join(reasons), text)
            return
        self.count += 1
        self._seen[same] = row
        self._questions.append(question)
        self._rows.append(row)

    def reading(self) -> Reading:
        return Reading(tuple(self._questions), tuple(self._problems), tuple(self._rows))


def _question(cells: Mapping[str, Sequence[Any]]) -> tuple[Question, list[str]]:
    """A question of the cells, as far as it goes, and what has the wrong type."""
    reasons: list[str] = []

    def first(field: str) -> str:
        texts = (text_of(cell, field, reasons) for cell in cells.get(field, ()))
        return next((text for text in texts if text), "")

    question, answer, subject = first("question"), first("answer"), first("subject")
    if subject not in question and max(len(subject), len(question)) <= MAX_CHARACTERS:
        # Another case is no mistake worth a row: the editor needs the question's own letters, so take those.
        found = re.search(re.escape(subject), question, re.IGNORECASE)
        subject = found[0] if found else subject
    rephrases: dict[str, None] = {}  # an ordered set
    for cell in cells.get("rephrase", ()):
        for item in cell if isinstance(cell, list | tuple) else [cell]:
            rephrases[text_of(item, "rephrase", reasons)] = None
    made = Question(
        question,
        answer,
        subject or None,
        tuple(text for text in rephrases if text and text != question),
        first("target") or None,
        first("category") or None,
    )
    return made, reasons


def _read_records(records: Iterable[tuple[int, Any]], name: str, allow_empty: bool = False) -> Reading:
    """A Reading of numbered mappings; what is Broken, or no mapping, becomes a problem."""
    rows, columns, fields = _Rows(), {}, set()
    for number, record in records:
        if isinstance(record, Mapping):
            record = {str(key): value for key, value in record.items()}
            fields.update(map(field_of, record))
            if len(columns) < 1000:
                columns.update(dict.fromkeys(record))
            if all(map(is_missing, record.values())):
                continue
        if rows.full(number):
            break
        if isinstance(record, files.Broken):
            rows.refuse(number, record.reason, record.text)
        elif not isinstance(record, Mapping):
            rows.refuse(number, "this is not an object with a question and an answer")
        else:
            cells = by_field(record.items())
            rows.add(number, cells, cell_text(cells.get("question")))
    reading = rows.reading()
    if columns:
        need_columns(fields, columns, name)
    elif reading.problems:
        raise BadInput(f"{name} has no row that can be read ({reading.problems[0]}).")
    elif not allow_empty:
        raise BadInput(f"{name} has no rows; add questions with their answers.")
    return reading


def _read_delimited(text: str, name: str) -> Reading:
    """CSV with any of the delimiters; else, by their looks, JSON lines or `question | answer` lines."""
    lines = text.split("\n")
    start = next(number for number, line in enumerate(lines) if line.strip(files.BLANK))
    hint = re.fullmatch(r"sep=(.)", lines[start].strip(" "), re.IGNORECASE)  # Excel's first line
    start += hint is not None
    first = lines[start][:20_000] if start < len(lines) else ""
    headers = {delimiter: files.csv_fields(first, delimiter) for delimiter in _DELIMITERS}

    def known(delimiter: str) -> tuple[int, int]:
        fields = [field_of(column) for column in headers[delimiter]]
        return len({"question", "answer"} & set(fields)), sum(field is not None for field in fields)

    delimiter = max(headers, key=lambda d: (known(d), len(headers[d])))
    header = headers[delimiter]
    if known(delimiter)[0] < 2:
        full = [line for line in lines if line.strip(files.BLANK)]
        if any(line.lstrip(files.BLANK).startswith("{") for line in full):
            return _read_records(files.json_lines(text), name)
        if 2 * sum("|" in line for line in full) >= len(full):
            return read_lines(text)
    need_columns([field_of(column) for column in header], header, name)

    rows = _Rows()
    for number, fields in files.csv_records(lines, start + 1, delimiter, len(header)):
        line = lines[number - 1]
        if isinstance(fields, list) and not any(field.strip(files.BLANK) for field in fields):
            continue
        if rows.full(number):
            break
        if isinstance(fields, files.Broken):
            rows.refuse(number, fields.reason, line)
        elif any(field.strip(files.BLANK) for field in fields[len(header) :]):
            rows.refuse(
                number,
                f"{len(fields)} fields, the header has {len(header)}; put texts with "
                f"{'a tab' if delimiter == chr(9) else repr(delimiter)} in quotation marks",
                line,
            )
        else:
            rows.add(number, by_field(zip(header, fields, strict=False)), line)
    if rows.count == 0:
        raise BadInput(f"{name} has a header but no rows; add questions with their answers.")
    return rows.reading()


def same_question(question: str) -> str:
    """What two spellings of one question have in common: case, spacing and the closing marks don't count."""
    folded = unicodedata.normalize("NFKC", question).casefold()
    return " ".join(folded.split()).rstrip(" ?!.") or folded
