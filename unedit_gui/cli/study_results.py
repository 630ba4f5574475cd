"""What comes of a study: `study analyse`, `study export`, `study power`. Built like the actions in studying.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import terminal
from .commands import Session, _check_folder

if TYPE_CHECKING:
    from ..study.store import Study

_PEEK = "although the study isn't closed (the figures unblind you, and are not final)"


def add(action: Callable[..., argparse.ArgumentParser]) -> None:
    """Add these actions to the command study; `action` is its function for one."""
    one = action("analyse", analyse, show_analyse, "the figures of a closed study")
    one.add_argument("--peek", action="store_true", help=_PEEK)
    one = action("export", export, show_export, "everything as files: CSV, JSON, SQLite, charts, texts")
    one.add_argument("--out", required=True, metavar="PATH", help="a new or empty folder; with --backup a new file")
    one.add_argument("--backup", action="store_true", help="a copy of the study's file alone, at any time")
    one.add_argument("--peek", action="store_true", help=_PEEK)
    one = action("power", power, show_power, "how likely a study of this size finds a difference", named=False)
    one.add_argument("--raters", type=int, default=20, metavar="N")
    one.add_argument("--items", type=int, default=20, metavar="M", help="that each rater judges")
    one.add_argument("--conditions", type=int, default=2, metavar="K", help="to which the items are dealt")


def analyse(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """A study's figures, with everybody and without the flagged: rates, means, the planned contrast, agreement."""
    from ..study.export import analysis_of

    study = session.bench.studies.get(options.name)
    found = analysis_of(study, options.peek)
    return {"study": study.name, "state": study.state, **found.to_json(), "texts": _texts(found)}


def _texts(found: Any) -> list[str]:
    """What is printed without --json. Made here, because afterwards everything is plain values."""
    from ..study import writeup

    lines = [*found.notes, ""]
    sets = [("Everybody", found.everybody), ("Without the flagged", found.unflagged)]
    for title, results in sets:
        if results is None:
            continue
        tables = [(title, writeup.condition_rows(results))]
        if results.planned:
            tables.append(("Planned, over raters", writeup.comparison_rows(results.planned)))
            tables.append(("Planned, over questions", writeup.comparison_rows(results.over_questions)))
        tables += [
            ("All conditions", writeup.omnibus_rows(results)),
            ("Agreement", writeup.agreement_rows(results.agreement)),
        ]
        for name, (header, rows) in tables:
            lines += [name, terminal.table(header, rows), ""]
    flags = [f"{rater} ({', '.join(why)})" for rater, why in found.flags.items()]
    return [*lines, f"Flagged: {', '.join(flags)}." if flags else "Nobody is flagged."]


def show_analyse(result: dict[str, Any]) -> str:
    return "\n".join([f"{result['study']} ({result['state']})", *result["texts"]])


def export(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Write judgements with a codebook, figures, charts, a HEDS draft and a methods paragraph; or copy the file."""
    study = session.bench.studies.get(options.name)
    if options.backup:
        from ..study.export import backup

        out = Path(options.out)
        if not out.parent.is_dir():
            raise BadInput(f"--out {out}: there is no folder {out.parent}.")
        return {"study": study.name, "out": str(backup(study, out)), "files": [out.name]}
    from ..reports.study_files import write

    out = _check_folder(options.out)
    with session.bench.workspace.atomic_folder(out) as part:
        files = write(study, part, options.peek)
    return {"study": study.name, "out": str(out), "files": files}


def show_export(result: dict[str, Any]) -> str:
    return f"Written to {result['out']}: {', '.join(result['files'])}."


def power(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """How likely the planned contrast finds a difference of 0.3, 0.5 or 0.8, with raters made up as told."""
    from dataclasses import asdict

    from ..study.power import Spread, beforehand

    for name in ("raters", "items", "conditions"):
        if not 1 <= getattr(options, name) <= 1000:
            raise BadInput(f"--{name} {getattr(options, name)}: give 1 to 1000.")
    found = beforehand(options.raters, options.items, options.conditions)
    return {
        "raters": options.raters,
        "items": options.items,
        "conditions": options.conditions,
        "spread": asdict(Spread()),
        "power": [one.to_json() for one in found],
    }


def chances(study: Study, raters: int) -> list[dict[str, Any]]:
    """As `power`, for a study that is there; [] for one that can't compare anything."""
    from ..study.power import planned_for

    return [one.to_json() for one in planned_for(study.protocol, raters)]


def show_chances(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["There is too little to compare for any power."]
    told = ", ".join(f"{one['difference']:g} points: {one['chance']['value']:.0%}" for one in found)
    return [f"Chance that {found[0]['raters']} raters find a difference between conditions of {told}."]


def show_power(result: dict[str, Any]) -> str:
    rows = [[one["difference"], one["chance"]["value"]] for one in result["power"]]
    spread = ", ".join(f"{name} {value:g}" for name, value in result["spread"].items())
    return "\n".join(
        [
            f"{result['raters']} raters, {result['items']} items each, {result['conditions']} conditions:",
            terminal.table(["difference on the scale", "chance to find it"], rows),
            f"Supposing standard deviations, and a share forgotten, of: {spread}.",
        ]
    )
