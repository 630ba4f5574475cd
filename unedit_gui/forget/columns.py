"""The columns and cells of a table of questions: which field a column holds, and what stands in a cell."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from unedit_gui.errors import BadInput
from unedit_gui.forget import files

_FIELDS = {
    **{"question": "question", "prompt": "question", "query": "question"},
    **{"answer": "answer", "subject": "subject", "target": "target", "category": "category"},
}
_REPHRASE = re.compile(r"(rephrase[sd]?|rephrasings?|paraphrased_questions?)(_?\d+)?")


def field_of(column: str) -> str | None:
    """The field that a column holds, or None."""
    plain = _plain(column)
    return "rephrase" if _REPHRASE.fullmatch(plain) else _FIELDS.get(plain)


def _plain(column: str) -> str:
    """A column's name without what doesn't count in it; "" for one of absurd length."""
    return _plain_name(column) if len(column) <= 100 else ""


@lru_cache(maxsize=256)  # asked for every cell of a file
def _plain_name(column: str) -> str:
    return re.sub(r"[\s_-]+", "_", column.strip(files.BLANK)).strip("_").casefold()


def by_field(cells: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """The cells of each known field; the column `question` goes before `prompt` and `query`."""
    found: dict[str, list[Any]] = {}
    for column, value in sorted(cells, key=lambda cell: _plain(cell[0]) != "question"):
        if field := field_of(column):
            if isinstance(value, str) and _plain(column) == "rephrases":
                value = _list_in(value)
            found.setdefault(field, []).append(value)
    return found


def need_columns(fields: Iterable[str | None], columns: Iterable[str], name: str) -> None:
    """Raise BadInput, with the columns seen, where there is none for the question or the answer."""
    missing = [field for field in ("question", "answer") if field not in fields]
    if missing:
        wanted = " and no column ".join(f'"{field}"' for field in missing)
        columns = list(columns)
        seen = ", ".join([files.shown(column) for column in columns[:12]] + ["..."] * (len(columns) > 12))
        raise BadInput(f"{name} has no column {wanted}; the columns seen are: {seen}.")


def text_of(value: Any, label: str, reasons: list[str]) -> str:
    """A cell as text, "" if it is missing; what is neither text nor number goes to the reasons."""
    if isinstance(value, str):
        return files.unix(value).strip(files.BLANK)
    if is_missing(value):
        return ""
    if isinstance(value, numbers.Number) and not isinstance(value, bool):
        try:
            whole = isinstance(value, numbers.Real) and value == int(value) and abs(value) < 1e15
            return str(int(value) if whole else value)  # tables make 1999.0 of 1999
        except (ValueError, OverflowError):  # infinite, or of thousands of digits
            pass
    reasons.append(f"the {label} is {_kind(value)}, not a text")
    return ""


def is_missing(value: Any) -> bool:
    """None, blank text, and what tables put into empty cells."""
    if isinstance(value, str):
        return not value.strip(files.BLANK)
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def cell_text(cells: Sequence[Any] | None) -> str:
    """The beginning of the first text among a field's cells, to show which row is meant."""
    return next((cell[:200] for cell in cells or () if isinstance(cell, str)), "")


def _list_in(cell: str) -> Any:
    """The JSON list that a cell of the column `rephrases` may hold, else the cell."""
    if cell.lstrip(files.BLANK).startswith("["):
        value = files.json_value(cell)
        return value if isinstance(value, list) else cell
    return cell


def _kind(value: Any) -> str:
    names = {bool: "true or false", list: "a list", tuple: "a list", dict: "an object", str: "a text"}
    return names.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")
