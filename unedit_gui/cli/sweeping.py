"""The commands sweep and runs: many edits made, scored and kept, and the table of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..spreadsheet import csv_of_records
from . import terminal
from .commands import Session, _check_file
from .given import named

if TYPE_CHECKING:
    from ..runs import Run, Settings
    from ..runs.sweep import Outcome

FIGURES = ("forget", "rephrased", "retain")


def sweep(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Make, score and keep every run of a config that is not kept yet. Started again, it goes on where it stopped."""
    config = session.bench.config(options.config)
    bench = session.load()
    told = {"sweep": config.name, "model": bench.model.name}
    if options.dry_run:
        planned = bench.plan(config, job=session.job("plan"))
        seconds = bench.seconds_for(planned, config.probes)
        kept = {run.id: run for run in bench.runs()}
        rows = [{**_settings(s), "state": "kept" if s.id in kept else "planned"} for s in planned]
        return {**told, "dry_run": True, "seconds_left": seconds, "runs": rows}
    planned: list[Settings] = []
    outcomes: list[Outcome] = []

    def on_run(outcome: Outcome) -> None:
        outcomes.append(outcome)
        session.say(f"{len(outcomes)} of {len(planned)}: {_line(outcome)}")

    bench.sweep(config, on_plan=planned.extend, on_run=on_run, job=session.job("sweep"))
    rows = [
        {**_settings(o.settings), "state": o.state, "reason": o.reason, **(_figures(o.run) if o.run else {})}
        for o in outcomes
    ]
    return {**told, "dry_run": False, "seconds_left": 0, "runs": rows}


def _line(outcome: Outcome) -> str:
    from ..runs.sweep import label

    if outcome.state == "failed":
        return f"{label(outcome.settings)}: failed. {outcome.reason}"
    score, seconds = outcome.run.score, sum(outcome.run.seconds.values())
    what = "kept already" if outcome.state == "kept" else f"{seconds:.0f} s"
    return f"{label(outcome.settings)}: {what}" + ("" if score is None else f", score {score:.2f}")


def show_sweep(result: dict[str, Any]) -> str:
    headers = ["run", "method", "targets", "merge", "facts", "seed", "state"]
    rows = [
        [r["run"], r["method"], r["targets"], r["merge"], r["facts"], r["seed"], r["state"]] for r in result["runs"]
    ]
    counts = [sum(r["state"] == state for r in result["runs"]) for state in ("planned", "made", "kept", "failed")]
    if result["dry_run"]:
        seconds = result["seconds_left"]
        left = "how long they take is not known yet" if seconds is None else f"about {seconds / 60:.0f} min"
        return f"{terminal.table(headers, rows)}\n\n{counts[0]} runs to make ({left}), {counts[2]} kept already."
    for row, r in zip(rows, result["runs"], strict=True):
        row += [r.get("score"), *(r.get(name) for name in FIGURES), r["reason"]]
    text = terminal.table([*headers, "score", *FIGURES, "reason"], rows)
    return f"{text}\n\n{counts[1]} runs made, {counts[2]} kept already, {counts[3]} failed."


def runs(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """List the runs that are kept, the pinned ones first; or pin or delete one."""
    _check_file(options.csv)
    bench = session.bench
    told = ""
    if options.pin or options.unpin:
        bench.pin_run(options.pin or options.unpin, bool(options.pin))
        told = f"{options.pin or options.unpin} is {'pinned' if options.pin else 'not pinned any more'}."
    if options.delete:
        bench.delete_run(options.delete)
        told = f"{options.delete} is in the trash."
    pinned = bench.pinned_runs()
    models = (options.model, bench.card(options.model).name) if options.model else ()
    found = [run for run in bench.runs() if not models or run.settings.model in models]
    found = [run for run in found if options.sweep in (None, *run.sweeps)]
    found.sort(key=lambda run: run.id not in pinned)
    rows = [{**_settings(run.settings), "pinned": run.id in pinned, **_figures(run)} for run in found]
    if options.csv:
        bench.workspace.write_atomically(options.csv, csv_of_records(rows, ["run"]))
    failed = [
        {**_settings(failure.settings), "reason": failure.reason, "sweep": failure.sweep, "created": failure.created}
        for failure in bench.failed_runs()
        if options.sweep in (None, failure.sweep) and (not models or failure.settings.model in models)
    ]
    return {"runs": rows, "failed": failed, "told": told}


def show_runs(result: dict[str, Any]) -> str:
    headers = ["run", "pinned", "method", "targets", "merge", "facts", "seed", "score", *FIGURES, "seconds", "sweep"]
    lines = [result["told"]] if result["told"] else []
    if result["runs"]:
        lines.append(terminal.table(headers, [[row[name] for name in headers] for row in result["runs"]]))
    else:
        lines.append("No runs are kept; `sweep` makes some.")
    if result["failed"]:
        cells = [[f["run"], f["method"], f["targets"], f["merge"], f["facts"], f["reason"]] for f in result["failed"]]
        lines += [
            "",
            "Could not be run",
            terminal.table(["run", "method", "targets", "merge", "facts", "reason"], cells),
        ]
    return "\n".join(lines)


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "run": settings.id,
        "model": settings.model,
        "method": settings.method,
        "targets": settings.targets,
        "merge": settings.merge,
        "facts": settings.facts,
        "seed": settings.seed,
    }


def _figures(run: Run) -> dict[str, Any]:
    return {
        "score": run.score,
        **{group: run.average(group) for group in FIGURES},
        **{f"{group}_before": run.average(group, when="before") for group in FIGURES},
        "seconds": round(sum(run.seconds.values()), 2),
        "edit": run.edit.get("id"),
        "probed": run.probes is not None,
        "sweep": ", ".join(run.sweeps) or None,
        "name": run.name,
        "created": run.created,
    }


def add(command) -> None:
    """Give the parser both commands; `command(name, run, show, help)` makes one."""
    one = command("sweep", sweep, show_sweep, "make, score and keep many edits")
    one.add_argument("--config", required=True, metavar="FILE", help="YAML, see data/sweep.yaml")
    one.add_argument("--dry-run", action="store_true", help="only say what would be run, and how long it takes")
    one = command("runs", runs, show_runs, "the table of kept runs")
    one.set_defaults(model=None)
    one.add_argument("--sweep", metavar="NAME", help="only the runs of a sweep")
    one.add_argument("--csv", metavar="FILE", help="the table as CSV")
    one.add_argument("--pin", type=named, metavar="RUN", help="have a run stand first")
    one.add_argument("--unpin", type=named, metavar="RUN")
    one.add_argument("--delete", type=named, metavar="RUN", help="move a run to the trash")
