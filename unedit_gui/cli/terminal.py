"""What the command line writes: tables and JSON on stdout, one line of progress on stderr. No torch."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

_WIDEST = 80  # of a table's cell, in columns of the terminal


def quieten() -> None:
    """Keep the libraries' warnings and progress bars off stderr. To be called before torch is imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # GGUF conversion draws a bar that no other switch reaches
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")


def quieten_transformers() -> None:
    """The part of `quieten` that needs transformers: the bar that it draws while it reads weights."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def tolerant_output() -> None:
    """Let a terminal that can't show a character show a question mark instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def write_json(value: Any) -> None:
    """One JSON document on stdout, in ASCII, so that no encoding on the way can spoil it."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A plain table: columns as wide as they need, numbers to the right, long texts cut with "…"."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(width(text) for text in column) for column in zip(headers, *cells, strict=True)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(headers))]

    def line(texts: Sequence[str]) -> str:
        padded = [
            " " * (widths[i] - width(text)) + text if right[i] else text + " " * (widths[i] - width(text))
            for i, text in enumerate(texts)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(headers), line(["-" * w for w in widths]), *map(line, cells)])


def width(text: str) -> int:
    """Columns that a text takes on a terminal: two for East Asian wide letters, none for combining marks."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = " ".join(str(value).split())
    if width(text) <= _WIDEST:
        return text
    while width(text) > _WIDEST - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


class ProgressLine:
    """Shows a job on stderr as one line that is written over; silent unless stderr is a terminal."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._last = 0.0
        self._stage = ""
        self._dirty = False

    def __call__(self, job) -> None:
        now = time.monotonic()
        if not self._shows or (job.stage == self._stage and now - self._last < 0.1):
            return
        self._last, self._stage = now, job.stage
        count = f"  {job.done}/{job.total}" if job.total else ""
        left = f"  {job.seconds_left:.0f} s left" if job.seconds_left is not None else ""
        note = f"  {job.note}" if job.note else ""
        room = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        sys.stderr.write("\r\x1b[K" + f"{job.stage}{count}{left}{note}"[:room])
        sys.stderr.flush()
        self._dirty = True

    def clear(self) -> None:
        """Take the line away, so that what comes next stands alone."""
        if self._dirty:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._dirty = False
