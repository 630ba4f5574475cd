"""Tables as CSV that a spreadsheet shows and never runs: what models and people wrote stands in them.

For files that are looked at. Questions, which the program reads again as they were, are written in forget/questions.py.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# A formula may stand behind spaces and behind signs that nobody sees.
_FORMULA = re.compile(r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n]")


def csv_of(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV: below the header, which is ours, every text is in quotation marks, and none would be taken for a formula.
    Numbers stay numbers."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(header)
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([defused(value) for value in row] for row in rows)
    return out.getvalue()


def csv_of_records(records: Sequence[Mapping[str, Any]], empty: Sequence[str] = ()) -> str:
    """The same of rows that name their values. empty: the header where there is no row."""
    header = list(records[0]) if records else list(empty)
    return csv_of(header, ([record.get(name) for name in header] for record in records))


def defused(value: Any) -> Any:
    """A cell: a text that a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
