"""The command `probe`: did it forget, or does it hide."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import BadInput
from ..spreadsheet import csv_of_records
from . import terminal
from .commands import Session, _check_file


def probe(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Try to get forgotten answers out of edits, each by itself, and measure the harm, beside the original."""
    _check_file(options.details)
    for name in ("items", "tokens"):
        if getattr(options, name) < 1:
            raise BadInput(f"--{name} {getattr(options, name)}: give 1 or more.")
    questions = session.questions(options.questions)
    names = None if options.probes is None else [part.strip() for part in options.probes.split(",") if part.strip()]
    session.bench.probes(names)  # before the model is loaded: a wrong name costs no time
    session.stack(options.edit)
    bench = session.load()
    found = bench.probe(
        list(dict.fromkeys(bench.load_edit(folder) for folder in options.edit)),
        questions,
        names,
        items=options.items,
        max_new_tokens=options.tokens,
        seed=options.seed,
        job=session.job("probe"),
    )
    if options.details:
        rows = found.details()
        as_csv = options.details.lower().endswith(".csv")
        text = csv_of_records(rows) if as_csv else json.dumps(rows, indent=2, allow_nan=False) + "\n"
        bench.workspace.write_atomically(options.details, text)
    settings = {"items": options.items, "tokens": options.tokens, "seed": options.seed}
    return {"model": bench.model.name, "questions": len(questions), **settings, **found.to_json()}


def show_probe(result: dict[str, Any]) -> str:
    headers = ["probe", "chance", "original"]
    for edit in result["edits"]:
        headers += [edit["name"], ""]
    lines = []
    for kind, title in (("leak", "Leaks"), ("harm", "Harm")):
        rows = [
            [row["label"], _percent(row["chance"]), _rate(row["original"])]
            + [cell for edit in row["edits"] for cell in (_rate(edit), edit["verdict"])]
            for row in result["rows"]
            if row["kind"] == kind
        ]
        if rows:
            lines += [title, terminal.table(headers, rows), ""]
    if result["worst"]:
        lines.append("Worst leaks")
        cells = [[leak["name"], leak["label"], leak["question"], leak["reply"]] for leak in result["worst"]]
        lines += [terminal.table(["edit", "probe", "question", "reply"], cells), ""]
    lines += [f"Note: {note}" for note in result["notes"]]
    return "\n".join(lines).rstrip()


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _rate(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "no items"
    if rate["hits"] is None:
        return f"{rate['value']:.1f} [{rate['low']:.1f}, {rate['high']:.1f}]"
    return f"{rate['value']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}] of {rate['n']}"
