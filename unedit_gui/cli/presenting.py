"""Commands around a demonstration: `chat --column`, duels, presets, recordings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import terminal

if TYPE_CHECKING:
    from .commands import Session


def columns(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """One question to the original and up to five edits or stacks of edits, in one batch."""
    if options.edit:
        raise BadInput("Give either --edit (one stack beside the original) or --column (a column each), not both.")
    named = [[name.strip() for name in column.split(",") if name.strip()] for column in options.column]
    if len(named) + 1 > session.bench.COLUMNS:
        raise BadInput(f"--column was given {len(named)} times; {session.bench.COLUMNS - 1} beside the original fit.")
    if empty := [given for given, names in zip(options.column, named, strict=True) if not names]:
        raise BadInput(f"--column {empty[0]!r} names no edit; separate several by commas.")
    for names in named:
        session.stack(names)  # a damaged one is found before the model is loaded
    bench = session.load()
    stacks = [(), *(session.stack(names) for names in named)]
    history = [{"role": "user", "content": options.ask}]
    settings = {"max_new_tokens": options.max_tokens, "seed": options.seed, "job": session.job("chat")}
    replies = bench.chat([history] * len(stacks), stacks, **settings)
    shown = [
        {
            "name": " + ".join(bench.load_edit(name).name for name in names) if names else "Original",
            "edits": [edit.id for edit in stack],
            "reply": reply.text,
            "traces": [trace.to_json() for trace in reply.traces],
        }
        for names, stack, reply in zip([[], *named], stacks, replies, strict=True)
    ]
    return {"question": options.ask, "columns": shown}


def show_columns(result: dict[str, Any]) -> str:
    rows = [
        [c["name"], c["reply"], "; ".join(f"{t['method']}: {t['text']}" for t in c["traces"])]
        for c in result["columns"]
    ]
    return terminal.table(["column", "reply", "decided"], rows)
