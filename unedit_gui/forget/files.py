"""Files of rows: bytes to text, and text to numbered rows, in spite of what stands between the good ones.

Nothing here knows what the rows mean. A row that can't be read comes out as `Broken`; `BadInput` is raised
only for a file as a whole (too large, binary, wrong encoding, empty).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unedit_gui.errors import BadInput

MAX_BYTES = 10 * 1024 * 1024
BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff"
_MARKS = {  # UTF-32 first: its mark begins like UTF-16's
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_MAX_BROKEN = 100  # syntax errors in one JSON list, each of which costs a pass over the text


@dataclass(frozen=True)
class Broken:
    """A row that can't be read: why, and what stood there."""

    reason: str
    text: str = ""


def read_bytes(path: Path | str, name: str) -> bytes:
    """The bytes of a file. BadInput if it can't be opened or is larger than 10 MB."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{name} can't be read: {error.strerror or error}.") from error
    except ValueError as error:  # a NUL in the path
        raise BadInput(f"{name} can't be read: that is no file name.") from error
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name} is larger than 10 MB; split it, or keep only the rows that you need.")
    return data


def decode(data: bytes, name: str) -> str:
    """The text of a file, line breaks as "\\n". UTF-8, or UTF-16/32 that says so with its mark.

    BadInput if it is binary, in another encoding, or empty; `name` is what the message calls it.
    """
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadInput(f"{name} is a spreadsheet workbook or an archive, not text; save it as CSV (UTF-8).")
    binary = BadInput(f"{name} is a binary file, not text; give CSV, JSON or JSON lines in UTF-8.")
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data:
        head = data[:1000]
        if b"\0\0" not in head and 0.3 < head.count(0) / len(head) < 0.6:
            raise BadInput(f"{name} seems to be UTF-16 without its mark; save it as UTF-8.")
        raise binary
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise BadInput(f"{name} begins like {encoding.upper()} but isn't; save it as UTF-8.") from error
        if sum(data.count(byte) for byte in (*range(9), *range(14, 32))) > len(data) / 50:
            raise binary from error
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{name} is not UTF-8 (byte 0x{data[error.start]:02X} in line {line}), perhaps Latin-1 or "
            "Windows-1252; save it as UTF-8."
        ) from error
    if "\0" in text:
        raise binary
    if not text.strip(BLANK):
        raise BadInput(f"{name} is empty; add questions with their answers.")
    return unix(text)


def _decoder() -> json.JSONDecoder:
    # Numbers stay as they are written ("1.50"), raw line breaks in texts are let through, NaN is no value.
    return json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None, strict=False)


def json_list(text: str) -> Iterator[tuple[int, Any | Broken]]:
    """The items of a JSON list, numbered from 1. After a broken one it goes on at the next opening brace."""
    decoder, separators = _decoder(), re.compile(r"[\s,]*")
    position, row, broken = text.index("[") + 1, 0, 0
    while True:
        position = separators.match(text, position).end()
        if position >= len(text):
            yield row + 1, Broken("the JSON list ends here without its closing bracket")
            return
        if text[position] == "]":
            return
        row += 1
        try:
            value, position = decoder.raw_decode(text, position)
            yield row, value
        except (ValueError, RecursionError) as error:
            broken += 1
            more = "" if broken < _MAX_BROKEN else "; the rest was not read"
            where = f"line {getattr(error, 'lineno', 1)}"
            yield row, Broken(_json_reason(error, where) + more, text[position : position + 200])
            position = text.find("{", position + 1)
            if position < 0 or more:
                return


def json_lines(text: str) -> Iterator[tuple[int, Any | Broken]]:
    """The values of JSON lines with their line numbers; or the one object that goes over several lines."""
    decoder = _decoder()
    start = len(text) - len(text.lstrip(BLANK))
    try:
        value, end = decoder.raw_decode(text, start)
        if not text[end:].strip(BLANK):
            yield text.count("\n", 0, start) + 1, value
            return
    except (ValueError, RecursionError):
        pass  # the lines below say where and why
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(BLANK):
            yield number, json_value(line)


def json_value(text: str) -> Any | Broken:
    """The value of a JSON text. Numbers are given as texts."""
    try:
        return _decoder().decode(text.strip(BLANK))
    except (ValueError, RecursionError) as error:
        return Broken(_json_reason(error, f"character {getattr(error, 'pos', 0) + 1}"), text[:200])


def _json_reason(error: ValueError | RecursionError, where: str) -> str:
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return f"not valid JSON ({error.msg}, {where})"


def csv_fields(line: str, delimiter: str) -> list[str]:
    """The fields of one line, stripped; for the header, whose delimiter is still to be found out."""
    try:
        found = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        found = line.split(delimiter)
    return [column.strip(BLANK) for column in found]


def csv_records(
    lines: list[str], start: int, delimiter: str, width: int
) -> Iterator[tuple[int, list[str] | Broken]]:
    """The records from `lines[start]` on, each with the number (from 1) of its first line.

    A quotation mark that is never closed swallows the lines after it. So a record that breaks, or that goes
    over several lines and then has not as many fields as the header, costs its first line only.
    """
    quoting = csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL
    while start < len(lines):
        base = start
        numbered = (lines[number] + "\n" for number in range(base, len(lines)))
        reader = csv.reader(
            numbered, delimiter=delimiter, quoting=quoting, skipinitialspace=True, strict=True
        )
        try:
            for fields in reader:
                after = base + reader.line_num
                if after - start > 1 and len(fields) != width:
                    raise csv.Error("several lines, and not the header's number of fields")
                yield start + 1, fields
                start = after
        except csv.Error:
            reason = "a quotation mark is not closed, or not doubled inside a quoted text"
            yield start + 1, Broken(reason, lines[start])
            start += 1


def unix(text: str) -> str:
    """The text with each of its line breaks as "\\n"."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shown(text: str, quotes: str = '"') -> str:
    """A text of the user's as part of a message: one line, at most 60 characters, all of them printable."""
    clean = "".join(c if c.isprintable() else " " for c in text[:200])
    clean = " ".join(clean.split())
    return f"{quotes}{clean if len(clean) <= 60 else clean[:57] + '...'}{quotes}"
