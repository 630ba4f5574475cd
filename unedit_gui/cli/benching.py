"""`bench`: speed and memory on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from ..bench import PARTS, checked
from ..bench.rows import Row
from ..errors import BadInput
from . import terminal
from .commands import Session

MOST = 10_000  # facts of one edit that is measured


def add(command) -> None:
    """Put `bench` on the command line."""
    one = command("bench", bench, show_bench, "measure speed and memory")
    one.add_argument("--growth", metavar="N,N,...", default="", help="also AlphaEdit with so many facts: 1,10,100,1000")
    one.add_argument("--only", metavar="PART,...", default="", help=f"some parts alone: {', '.join(PARTS)}")
    one.add_argument("--shape", metavar="NAME", help="random weights of a larger model's shape, such as llama2-7b")


def bench(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Time loading, edits, scores, and two panes against one reply; with --shape those of a large model's shape."""
    from ..bench import measure, measure_shape

    growth, only = _counts(options.growth), checked(part.strip() for part in options.only.split(",") if part.strip())
    if options.shape:
        device, dtype = options.device or "cpu", options.dtype
        options.device, options.dtype = "cpu", None  # of the model that lends its tokenizer
        return measure_shape(session.load(), options.shape, device, dtype, job=session.job("bench"))
    return measure(session.load(), growth, only, session.job("bench"), lambda row: session.say(told(row)))


def told(row: Row) -> str:
    """A figure in a line, while the others are still measured."""
    value = "left out" if row.value is None else f"{row.value:g}"
    more = [f"limit {row.limit:g}"] if row.limit else []
    more += [f"{row.cpu:.0f} s of CPU"] if row.cpu else []
    more += [f"{row.peak / 1e6:,.0f} MB at most"] if row.peak else []
    notes = [f"({', '.join(more)})"] if more else []
    return " ".join([f"{row.name}: {value}", *notes, *([f"({row.note})"] if row.note else [])])


def show_bench(result: dict[str, Any]) -> str:
    rows = [
        [
            *(row[key] for key in ("name", "value", "limit", "ratio", "cpu")),
            f"{row['peak'] / 1e6:,.0f}" if row["peak"] else None,
        ]
        for row in result["rows"]
    ]
    text = terminal.table(["measured", "value", "limit", "of the limit", "CPU s", "peak MB"], rows)
    notes = "".join(f"\n{row['name']}: {row['note']}" for row in result["rows"] if row["note"])
    return f"{text}\n{notes}\n{result['model']} on {result['device']}, {result['threads']} of {result['cores']} cores."


def _counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 and 0 < int(part) <= MOST for part in parts):
        raise BadInput(f"--growth {text[:80]}: write numbers of facts between 1 and {MOST:,}, such as 1,10,100.")
    return tuple(map(int, parts))
