"""Commands around a demonstration: `chat --column`, duels, presets, recordings."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..errors import BadInput
from ..presenting.presets import Preset
from ..presenting.recordings import Asked, Recording, Said, paced
from . import commands, terminal
from .commands import Session, _check_file


def chat(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """One question to the original and to the edited model, side by side; or to up to six columns."""
    if options.column:
        return columns(options, session)
    if options.record is not None:
        raise BadInput("--record belongs to --column; give the edits as columns.")
    if not options.edit:
        raise BadInput("chat needs --edit or --column; give the edits that are to answer.")
    return commands.chat(options, session)


def show_chat(result: dict[str, Any]) -> str:
    return show_columns(result) if "columns" in result else commands.show_chat(result)


def columns(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """One question to the original and up to five edits or stacks of edits, in one batch."""
    if options.max_tokens < 1:
        raise BadInput(f"--max-tokens {options.max_tokens}: give 1 or more.")
    if options.edit:
        raise BadInput("Give either --edit (one stack beside the original) or --column (a column each), not both.")
    named = [[name.strip() for name in column.split(",") if name.strip()] for column in options.column]
    if len(named) + 1 > session.bench.COLUMNS:
        raise BadInput(f"--column was given {len(named)} times; {session.bench.COLUMNS - 1} beside the original fit.")
    if empty := [given for given, names in zip(options.column, named, strict=True) if not names]:
        raise BadInput(f"--column {empty[0]!r} names no edit; separate several by commas.")
    if options.record is not None:
        session.bench.new_recording(options.record)
    for names in named:
        session.stack(names)  # a damaged one is found before the model is loaded
    bench = session.load()
    stacks = [(), *(session.stack(names) for names in named)]
    history = [{"role": "user", "content": options.ask}]
    paces: list[list[tuple[float, int]]] = [[] for _ in stacks]
    settings = {"max_new_tokens": options.max_tokens, "seed": options.seed, "job": session.job("chat")}
    began = time.monotonic()

    def grow(row: int, text: str) -> None:
        paces[row].append((time.monotonic() - began, len(text)))

    replies = bench.chat([history] * len(stacks), stacks, on_text=grow, **settings)
    shown = [
        {
            "name": " + ".join(bench.load_edit(name).name for name in names) if names else "Original",
            "edits": [edit.id for edit in stack],
            "reply": reply.text,
            "traces": [trace.to_json() for trace in reply.traces],
        }
        for names, stack, reply in zip([[], *named], stacks, replies, strict=True)
    ]
    if options.record is not None:
        said = tuple(
            Said(c["reply"], paced(c["reply"], pace), tuple(f"{t['method']}: {t['text']}" for t in c["traces"]))
            for c, pace in zip(shown, paces, strict=True)
        )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        names = tuple(c["name"] for c in shown)
        bench.save_recording(Recording(now, bench.model.card.label, names, (Asked(options.ask, said),)), options.record)
    return {"question": options.ask, "columns": shown}


def show_columns(result: dict[str, Any]) -> str:
    rows = [
        [c["name"], c["reply"], "; ".join(f"{t['method']}: {t['text']}" for t in c["traces"])]
        for c in result["columns"]
    ]
    return terminal.table(["column", "reply", "decided"], rows)


def duels(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The votes of blinded duels: who won how often, with intervals; --csv writes every vote with both replies."""
    _check_file(options.csv)
    bench = session.bench
    if options.csv:
        bench.workspace.write_atomically(options.csv, bench.duels.to_csv())
    alone, pairs = bench.standing()
    votes = [{name: row[name] for name in _SHOWN} for row in bench.duels.all()]
    found = {
        "votes": votes,
        "variants": [line.to_json() for line in alone],
        "pairs": [line.to_json() for line in pairs],
    }
    return {**found, "csv": options.csv}


_SHOWN = ("id", "created", "question", "left_id", "left_name", "right_id", "right_name", "vote", "model")


def show_duels(result: dict[str, Any]) -> str:
    if not result["votes"]:
        return "No votes yet; the chat step of the page has blinded duels."
    lines = []
    for title, rows in (("variant", result["variants"]), ("pair", result["pairs"])):
        cells = [
            [f"{row['name']} - {row['other']}" if row["other"] else row["name"], _share(row["share"])]
            + [row[name] for name in ("wins", "losses", "ties", "bad", "n")]
            for row in rows
        ]
        lines += [terminal.table([title, "won, of the decided", "won", "lost", "ties", "both bad", "n"], cells), ""]
    lines.append("Shares with Wilson's 95 % interval, as if all votes were independent.")
    return "\n".join(lines)


def _share(share: dict[str, Any]) -> str:
    return "-" if share["value"] is None else f"{share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}]"


def presets(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The presets that the page can begin with; or save, show or delete one."""
    bench, told = session.bench, ""
    if options.save:
        rows = [tuple(part.strip() for part in row.split(",") if part.strip()) for row in options.column]
        questions = tuple((q.question, q.answer) for q in session.questions(options.questions))
        preset = Preset(
            title=options.title,
            model=options.model,
            view=options.view,
            columns=tuple(rows),
            questions=questions,
            language=options.language,
            projector=options.projector,
        )
        told = f"Wrote {bench.save_preset(preset, options.save)}; open the page with ?preset={options.save}."
    elif options.delete:
        told = f"{options.delete} lies in the trash now, at {bench.delete_preset(options.delete)}."
    found = {options.shown: bench.preset(options.shown)} if options.shown else bench.presets()
    return {"presets": [{"name": name, **asdict(preset)} for name, preset in found.items()], "told": told}


def show_presets(result: dict[str, Any]) -> str:
    rows = [
        [
            p["name"],
            p["title"],
            p["model"],
            p["view"],
            "; ".join(" + ".join(row) for row in p["columns"]),
            len(p["questions"]),
        ]
        for p in result["presets"]
    ]
    text = terminal.table(["preset", "title", "model", "view", "columns", "questions"], rows)
    return "\n\n".join(filter(None, [result["told"], text]))


def recordings(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The recorded conversations; --show NAME has what was said."""
    bench = session.bench
    found = {options.shown: bench.recording(options.shown)} if options.shown else bench.recordings()
    rows = []
    for name, recording in found.items():
        row = {
            "name": name,
            "recorded": recording.recorded,
            "model": recording.model,
            "columns": list(recording.columns),
        }
        rows.append(
            {**row, "questions": [asdict(asked) if options.shown else asked.question for asked in recording.questions]}
        )
    return {"recordings": rows}


def show_recordings(result: dict[str, Any]) -> str:
    if not result["recordings"]:
        return "No recordings yet; `chat --record NAME` or the chat step of the page makes one."
    lines = []
    for found in result["recordings"]:
        lines.append(f"{found['name']}: recorded on {found['recorded'][:10]} with {found['model']}")
        for asked in found["questions"]:
            if isinstance(asked, str):
                lines.append(f"  {asked}")
                continue
            cells = [[name, said["text"]] for name, said in zip(found["columns"], asked["replies"], strict=True)]
            lines += ["", asked["question"], terminal.table(["column", "reply"], cells)]
    return "\n".join(lines)
