"""What each command of the command line does: `command(options, session)` gives plain values, which --json
prints as they are, and `show_command` makes the table of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.checks import check_forget_set
from ..forget.merging import joined
from ..forget.questions import Question, read_file, to_csv
from ..jobs import Job
from ..spreadsheet import csv_of_records
from ..workbench import Workbench
from ..workspace import stream
from . import engine, terminal

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..forget.targets import Target


class Session:
    """What the commands share: the workbench, its model once it is needed, and the way to report."""

    def __init__(self, options: argparse.Namespace, line: terminal.ProgressLine) -> None:
        self.bench = Workbench(options.home)
        self._options = options
        self._line = line

    def job(self, kind: str) -> Job:
        return Job(kind, on_progress=self._line)

    def say(self, text: str) -> None:
        """A line on stderr for who watches; where the progress is shown, above it."""
        self._line.clear()
        sys.stderr.write(f"{' '.join(text.split())}\n")
        sys.stderr.flush()

    def load(self) -> Workbench:
        """The workbench with the chosen model in it."""
        from ..models import loading  # noqa: F401 - torch, before its threads are set

        terminal.quieten_transformers()
        if self._options.threads is not None:
            import torch

            torch.set_num_threads(self._options.threads)
        device, dtype = self._options.device, self._options.dtype
        self.bench.load(self._options.model, device=device, dtype=dtype, job=self.job("load"))
        return self.bench

    def questions(self, path: str | None, needed: bool = True) -> list[Question]:
        """The good questions of a file; every bad row is told about on stderr."""
        if path is None:
            return []
        reading = read_file(path)
        for problem in reading.problems:
            self._line.clear()
            sys.stderr.write(f"{Path(path).name}, {problem}\n")
        if needed and not reading.questions:
            raise BadInput(f"No question of {Path(path).name} can be used; see the rows named above.")
        return list(reading.questions)

    def stack(self, folders: Sequence[str]) -> tuple[Edit, ...]:
        """The edits in these folders with those that they were made on top of, oldest first."""
        found = (edit for folder in folders for edit in self.bench.load_stack(folder))
        return tuple(dict.fromkeys(found))


# ------------------------------------------------------------------ commands


def models(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The catalogue, or the one model that --model names, with the memory that each needs and that is
    there."""
    bench = session.bench
    cards = bench.models() if options.model is None else [bench.card(options.model)]
    rows = []
    for card in cards:
        memory = bench.memory(card, options.dtype, options.device)
        rows.append(
            {
                "name": card.name,
                "label": card.label,
                "source": card.source,
                "family": card.family,
                "parameters": card.parameters,
                "device": memory["device"],
                "dtype": memory["dtype"],
                "memory_needed": memory["needed"],
                "memory_available": memory["available"],
                "fits": memory["fits"],
                "present": bench.present(card),
                "note": card.note,
            }
        )
    return {"models": rows}


def show_models(result: dict[str, Any]) -> str:
    def gigabytes(count: int | None) -> str:
        return "?" if count is None else f"{count / 2**30:.1f} GiB"

    rows = [
        [m["name"], gigabytes(m["memory_needed"]), m["dtype"], m["fits"], m["present"], m["note"]]
        for m in result["models"]
    ]
    free = gigabytes(result["models"][0]["memory_available"])
    text = terminal.table(["model", "needs", "dtype", "fits", "present", "note"], rows)
    return f"{text}\n\n{free} of memory free on {result['models'][0]['device']}."


def ask(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Which of the questions the model knows."""
    questions = session.questions(options.questions)
    bench = session.load()
    answers = bench.ask(questions, job=session.job("ask"))
    rows = [
        {
            "question": a.question.question,
            "answer": a.question.answer,
            "reply": a.reply,
            "rouge1": a.rouge1,
            "known": a.known,
        }
        for a in answers
    ]
    return {
        "model": bench.model.name,
        "n": len(rows),
        "known": sum(a.known for a in answers),
        "answers": rows,
    }


def show_ask(result: dict[str, Any]) -> str:
    rows = [[r["known"], r["rouge1"], r["question"], r["answer"], r["reply"]] for r in result["answers"]]
    text = terminal.table(["known", "ROUGE-1", "question", "answer", "reply"], rows)
    return f"{text}\n\n{result['known']} of {result['n']} known."


def targets(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Write targets, and the questions with them to --out."""
    questions = session.bench.with_subjects(session.questions(options.questions))
    _check_file(options.out)
    groups = session.bench.merged(questions, options.merge)
    from ..forget.targets import needs_model

    kinds = [kind for kind in (options.kind, options.beside) if kind]
    bench = session.load() if any(map(needs_model, kinds)) else session.bench
    how = dict(merge=options.merge, seed=options.seed)
    found, *others = (bench.targets(questions, kind, **how, job=session.job("targets")) for kind in kinds)
    if options.out:
        filled = [replace(q, target=target.text) for q, target in zip(questions, found, strict=True)]
        bench.workspace.write_atomically(options.out, to_csv(filled))
    rows = []
    for place, (q, target) in enumerate(zip(questions, found, strict=True)):
        rows.append({"question": q.question, "answer": q.answer, "subject": q.subject, **_target(target)})
        for other in others:
            rows[-1]["beside"] = _target(other[place])
    return {
        "kind": options.kind,
        "beside": options.beside,
        "seed": options.seed,
        "merge": options.merge,
        "out": options.out,
        "targets": rows,
        "groups": [_group(group.prompt, group.places) for group in groups if len(group.places) > 1],
    }


def _target(target: Target) -> dict[str, Any]:
    verdict = target.verdict
    return {"target": target.text, "ok": verdict.ok, "reason": verdict.reason, "source": target.source}


def _group(prompt: str, places: Sequence[int]) -> dict[str, Any]:
    """Merged questions: the prompt that they make, and which of the list they are, counted from 0."""
    return {"prompt": prompt, "questions": list(places)}


def show_targets(result: dict[str, Any]) -> str:
    columns = ["question", "target", "check"]
    rows = [[r["question"], r["target"], r["reason"] or "ok"] for r in result["targets"]]
    if result["beside"]:
        columns = ["question", result["kind"], "check", result["beside"], "check"]
        for row, r in zip(rows, result["targets"], strict=True):
            row += [r["beside"]["target"], r["beside"]["reason"] or "ok"]
    text = terminal.table(columns, rows) + _merged_lines(result["groups"])
    return text + (f"\n\nWritten to {result['out']}." if result["out"] else "")


def _merged_lines(groups: Sequence[dict[str, Any]]) -> str:
    """What was merged, a line for each group."""
    return "".join(f"{'' if i else chr(10)}\nMerged {i + 1}: {g['prompt']}" for i, g in enumerate(groups))


def edit(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Make the model forget, and save that as an edit. The model itself stays as it was."""
    bench = session.bench
    out = _check_folder(options.out)
    questions = bench.with_subjects(session.questions(options.questions))
    protect = session.questions(options.protect)
    check_forget_set(questions, protect, targets_given=options.targets == "given")
    bench.merged(questions, options.merge)
    overrides = _settings(options.set)
    session.stack(options.on)  # a damaged one is found before anything is loaded
    method = engine.method_of(options, bench)
    session.load()
    overrides, lines = engine.with_file(options, bench, overrides)
    made = bench.edit(
        questions,
        method,
        targets=options.targets,
        merge=options.merge,
        hparams=overrides,
        engine=options.engine,
        protect=protect,
        on=session.stack(options.on),
        seed=options.seed,
        name=options.name,
        job=session.job("edit"),
    )
    bench.save_edit(made, out)
    held = bench.still_held(bench.stack(made), protect, job=session.job("hold")) if protect else []
    return {
        "edit": made.id,
        "name": made.name,
        "out": str(out),
        "method": made.method,
        "model": bench.model.name,
        "summary": made.summary(),
        "caution": made.caution(),
        "curve": made.curve(),
        "layers": made.layers,
        "rank": made.rank(),
        "seconds": made.about.get("seconds"),
        "seed": options.seed,
        "hparams": made.manifest["hparams"],
        "on": made.manifest["on"],
        "protected": len(protect),
        "held": [
            {
                "question": h.question.question,
                "answer": h.question.answer,
                "before": h.before,
                "after": h.after,
                "state": h.state,
            }
            for h in held
        ],
        "engine": options.engine,
        "file": lines,
        "requests": made.requests,
        "groups": [
            _group(joined([r["question"] for r in group]), [made.requests.index(r) for r in group])
            for group in made.groups
        ],
    }


def show_edit(result: dict[str, Any]) -> str:
    rows = [[r["question"], r["subject"], r["target_new"]] for r in result["requests"]]
    text = terminal.table(["question", "subject", "target"], rows)
    note = f"Note: {result['caution']}\n" if result["caution"] else ""
    note += "".join(f"Not used: {r['key']} ({r['remark']}).\n" for r in result["file"] if r["setting"] is None)
    text += _merged_lines(result["groups"])
    note += _held_line(result["held"])
    return f"{text}\n\n{result['summary']}\n{note}Saved as {result['edit']} in {result['out']}."


def _held_line(held: Sequence[dict[str, Any]]) -> str:
    """How the protected facts fared, those that are lost by name."""
    lost = [h["question"] for h in held if h["state"] == "lost"]
    known = sum(h["state"] != "unknown" for h in held)
    if not held:
        return ""
    unknown = f"; not known before: {len(held) - known}" if known < len(held) else ""
    named = f"; lost: {'; '.join(lost)}" if lost else ""
    return f"Protected: {known - len(lost)} of {known} are still answered{unknown}{named}.\n"


def evaluate(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Score the original and the edited model."""
    _check_file(options.details)
    forget = session.questions(options.forget)
    retain = session.questions(options.retain)
    rephrased = session.questions(options.rephrased) if options.rephrased else None
    general = session.questions(options.general)
    session.stack(options.edit)
    bench = session.load()
    stack = session.stack(options.edit)
    scores = bench.evaluate(stack, forget, retain, rephrased, general, job=session.job("evaluate"))
    if options.details:
        rows = scores.details()
        as_csv = options.details.lower().endswith(".csv")
        text = _rows_csv(rows) if as_csv else json.dumps(rows, indent=2, allow_nan=False) + "\n"
        bench.workspace.write_atomically(options.details, text)
    names = {"model": bench.model.name, "edit": stack[-1].id, "edits": [e.id for e in stack]}
    return {**names, **scores.to_json()}


def show_evaluate(result: dict[str, Any]) -> str:
    from ..reports.charts import table

    frame = table(result)
    text = terminal.table(list(frame.columns), frame.values.tolist())
    return "\n".join([text, *(f"Note: {note}" for note in result["notes"])])


def chat(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """One question to the original and to the edited model, side by side."""
    if options.max_tokens < 1:
        raise BadInput(f"--max-tokens {options.max_tokens}: give 1 or more.")
    session.stack(options.edit)
    bench = session.load()
    history = [{"role": "user", "content": options.ask}]
    original, edited = bench.chat(
        [history, history],
        [(), session.stack(options.edit)],
        max_new_tokens=options.max_tokens,
        seed=options.seed,
        job=session.job("chat"),
    )
    traces = [trace.to_json() for trace in edited.traces]
    return {"question": options.ask, "original": original.text, "edited": edited.text, "traces": traces}


def show_chat(result: dict[str, Any]) -> str:
    lines = [f"Original: {result['original']}", f"Edited:   {result['edited']}"]
    for trace in result["traces"]:
        lines.append(f"{trace['method']}: {trace['text']}")
        lines += [f"  {question} -> {reply}" for question, reply in trace["demonstrations"]]
    return "\n".join(lines)


# -------------------------------------------------------------------- helpers


def _settings(pairs: Sequence[str]) -> dict[str, str]:
    """The overrides of --set name=value. BadInput where there is no "=", or a name comes twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name or not value.strip():
            raise BadInput(f"--set {pair}: write it as hparam=value, such as --set lr=0.5.")
        if name in found:
            raise BadInput(f"--set {name} is given twice; keep one.")
        found[name] = value.strip()
    return found


def _check_folder(path: str) -> Path:
    """A folder that an edit can be written to: new, or empty. Found out by making one of its name beside it."""
    folder = Path(path).expanduser()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{folder} exists already and is not an empty folder; choose another --out.")
        above = next(parent for parent in folder.absolute().parents if parent.exists())
        with tempfile.TemporaryDirectory(dir=above, prefix=".unedit-") as trial:
            Path(trial, folder.absolute().relative_to(above)).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be written; choose another --out.") from error
    return folder


def _check_file(path: str | None) -> None:
    """Raise BadInput if a result could not be written there, before the work is done: a file of its name is made
    beside it. A device or a pipe is only asked whether it may be written to."""
    if path is None:
        return
    try:
        if stream(path):
            good = os.access(path, os.W_OK)
        else:
            place = Path(os.path.realpath(path))
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unedit-") as trial:
                Path(trial, place.name).touch()
            good = not place.is_dir()
    except (OSError, ValueError):
        good = False
    if not good:
        raise BadInput(f"{path} can't be written; choose a file in a folder that exists.")


def _rows_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of an evaluation as CSV: what belongs to a question, then before_... and after_... columns."""
    flat = [
        {
            **{name: value for name, value in row.items() if name not in ("before", "after")},
            **{f"{when}_{name}": value for when in ("before", "after") for name, value in row[when].items()},
        }
        for row in rows
    ]
    return csv_of_records(flat)
