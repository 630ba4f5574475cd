"""The commands that keep, compare and hand on edits: export, compare, edits. Built like those in commands.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import terminal
from .commands import Session, _check_file, _check_folder

if TYPE_CHECKING:
    from ..edits.edit import Edit


def export(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Write edits for other programs: a LoRA adapter for PEFT, a checkpoint for transformers, or their manifest."""
    out = _check_folder(options.out)
    stack = session.stack(options.edit)  # a damaged one is found before anything is loaded
    if options.form != "manifest":
        if reason := session.bench.why_no_export(stack, options.form):
            raise BadInput(reason)
        session.load()
        stack = session.stack(options.edit)
    done = session.bench.export(stack, options.form, out, job=session.job("export"))
    return {
        "as": done.form,
        "out": str(done.folder),
        "edits": [edit.id for edit in stack],
        "files": done.files,
        "warning": done.warning,
        "usage": done.usage,
    }


def show_export(result: dict[str, Any]) -> str:
    rows = [[name, f"{size / 1e6:.2f} MB"] for name, size in result["files"].items()]
    lines = [terminal.table(["file", "size"], rows), "", f"Written to {result['out']}. {result['usage']}".rstrip()]
    return "\n".join([*lines, *([f"Note: {result['warning']}"] if result["warning"] else [])])


def compare(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """What agrees and what differs between the manifests of two edits, and how alike their changes are."""
    if len(options.edit) != 2:
        raise BadInput(f"--edit was given {len(options.edit)} times; compare takes two edits.")
    first, second = (session.bench.load_edit(name) for name in options.edit)
    return session.bench.compare(first, second).to_json()


def show_compare(result: dict[str, Any]) -> str:
    rows = [
        [row["field"], _value(row["first"]), _value(row["second"]), "" if row["same"] else "differs"]
        for row in result["fields"]
    ]
    asked = [[r["question"], r["first"] or "-", r["second"] or "-"] for r in result["requests"]]
    names = result["names"]
    lines = [terminal.table(["field", *names, ""], rows), "", terminal.table(["question", *names], asked), ""]
    if result["cosine"] is None:
        lines.append("At least one of them changes no weight, so their changes can't be compared.")
    else:
        sizes = " and ".join(f"{norm:.2f}" for norm in result["norms"])
        lines.append(f"Cosine of the two changes: {result['cosine']:.3f}; their sizes: {sizes}.")
    return "\n".join(lines)


def edits(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The edits of the workspace, newest first, and the ready-made ones; or add, pack, rename or delete one."""
    bench, told = session.bench, ""
    if options.out and not options.pack or options.name and not options.rename:
        raise BadInput("--out belongs to --pack and --name to --rename; see `python -m unedit_gui edits --help`.")
    if options.add:
        added = bench.add_edit(Path(options.add))
        told = f"Added {added.name} ({added.id})."
    elif options.pack:
        if not options.out:
            raise BadInput("--pack needs --out FILE, the zip file to write.")
        _check_file(options.out)
        if Path(options.out).exists():
            raise BadInput(f"{options.out} exists already; choose another --out.")
        edit = bench.load_edit(options.pack)
        bench.workspace.write_atomically(options.out, bench.pack_edit(edit))
        told = f"Wrote {edit.name} to {options.out}."
    elif options.rename:
        if not options.name:
            raise BadInput("--rename needs --name NAME.")
        edit = bench.rename_edit(_saved(session, options.rename), options.name)
        told = f"{edit.id} is called {edit.name} now."
    elif options.delete:
        edit = _saved(session, options.delete)
        told = f"{edit.name} lies in the trash now, at {bench.delete_edit(edit)}."
    rows = [_row(edit, edit.id, False) for edit in bench.edits()]
    rows += [_row(edit, name, True) for name, edit in bench.ready_made().items()]
    return {"edits": rows, "told": told}


def show_edits(result: dict[str, Any]) -> str:
    rows = [
        [r["edit"], r["name"], r["method"], r["facts"], r["model"], "ready-made" if r["ready_made"] else r["created"]]
        for r in result["edits"]
    ]
    text = terminal.table(["edit", "name", "method", "facts", "model", "made"], rows) if rows else "No edits yet."
    return "\n\n".join(filter(None, [result["told"], text]))


def _saved(session: Session, name: str) -> Edit:
    """An edit that lies in the workspace, by name or id."""
    found = [edit for edit in session.bench.edits() if name in (edit.id, edit.name)]
    if not found:
        raise BadInput(f"The workspace has no edit called {name!r}; `python -m unedit_gui edits` lists them.")
    if len(found) > 1:
        raise BadInput(f"{len(found)} edits are called {name!r}; give the id of one ({found[0].id}, for one).")
    return found[0]


def _row(edit: Edit, called: str, ready: bool) -> dict[str, Any]:
    return {
        "edit": called,
        "name": edit.name,
        "method": edit.method_label,
        "facts": len(edit.requests),
        "model": edit.manifest.get("model", "?"),
        "created": edit.created,
        "ready_made": ready,
        "summary": edit.summary(),
    }


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        text = ", ".join(map(str, value)) or "none"
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"{value:g}" if isinstance(value, float) else str(value)
