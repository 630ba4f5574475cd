"""The commands figures, report and rerun: what is handed on of runs, and runs made again from it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import terminal
from .commands import Session, _check_file, _check_folder

if TYPE_CHECKING:
    from ..runs import Run


def _runs(options: argparse.Namespace, session: Session) -> list[Run]:
    """The runs that were named, else all that are kept (of a sweep)."""
    bench = session.bench
    found = [run for source in options.source for run in bench.read_runs(source)]
    if not options.source:
        kept = [run for run in bench.runs() if options.sweep in (None, *run.sweeps)]
        found = [bench.load_run(run.id) for run in kept]
    if not found:
        raise BadInput("There are no such runs; `runs` lists those that are kept, `sweep` makes some.")
    return list({run.id: run for run in found}.values())


def figures(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Draw the paper's figures from runs: PNG and SVG, light and dark, the values as CSV, the table as LaTeX."""
    folder = _check_folder(options.out)
    runs = _runs(options, session)
    found = session.bench.figures(runs, folder, ghosts=not options.no_published)
    return {
        "out": str(folder),
        "runs": [run.id for run in runs],
        "figures": [{"name": f.name, "title": f.title, "missing": f.missing, "notes": list(f.notes)} for f in found],
    }


def show_figures(result: dict[str, Any]) -> str:
    rows = [[f["name"], f["missing"] or "drawn"] for f in result["figures"]]
    return f"{terminal.table(['figure', ''], rows)}\n\n{len(result['runs'])} runs; the files are in {result['out']}."


def report(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Write a report on runs: one HTML file that needs no network, and the same in Markdown beside it."""
    _check_file(options.out)
    runs = _runs(options, session)
    path = session.bench.report(runs, options.out, ghosts=not options.no_published)
    return {"out": str(path), "markdown": str(path.with_suffix(".md")), "runs": [run.id for run in runs]}


def show_report(result: dict[str, Any]) -> str:
    return f"{len(result['runs'])} runs in {result['out']} and {result['markdown']}."


def rerun(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Make the runs of a report again and say whether every figure and reply is as it was."""
    from ..runs.repeat import found_again

    runs = session.bench.read_runs(options.source)
    if options.run_id:
        chosen = [found_again(runs, wanted) for wanted in options.run_id]
        if None in chosen:
            there = ", ".join(run.id for run in runs)
            raise BadInput(
                f"{Path(options.source).name} has no run {options.run_id[chosen.index(None)]}; it has {there}."
            )
        runs = chosen
    first = runs[0].environment  # without other wishes it is done as it was the first time
    if options.threads is None and isinstance(first.get("threads"), int) and first["threads"] > 0:
        options.threads = min(first["threads"], os.cpu_count() or 1)
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.dtype is None and first.get("dtype") in ("float32", "bfloat16", "float16"):
        options.dtype = first["dtype"]
    bench = session.load()
    found = []
    for run in runs:
        session.say(f"{run.name or run.id}: making it again")
        found.append(bench.rerun(run, write_targets=options.write_targets, job=session.job("rerun")))
        session.say(f"{run.name or run.id}: {found[-1].says}")
    return {
        "model": bench.model.name,
        "source": options.source,
        "same": all(repeat.same for repeat in found),
        "runs": [repeat.to_json() for repeat in found],
    }


def show_rerun(result: dict[str, Any]) -> str:
    lines = []
    for run in result["runs"]:
        lines.append(f"{run['name'] or run['run']}: {run['says']}")
        lines += [f"  {text}" for text in run["differences"][1:]]
        lines += [f"  Note: {text}" for text in run["cautions"]]
    return "\n".join(lines)


def add(command) -> None:
    """Give the parser the three commands; `command(name, run, show, help)` makes one."""
    one = command("figures", figures, show_figures, "draw the paper's figures from runs")
    _chosen(one)
    one.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")
    one = command("report", report, show_report, "write a report on runs")
    _chosen(one)
    one.add_argument("--out", default="report.html", metavar="FILE", help="default: report.html")
    one = command("rerun", rerun, show_rerun, "make a report's runs again, and compare")
    one.add_argument("source", metavar="REPORT", help="a report (HTML), a run's folder, or a kept run's id")
    one.add_argument(
        "--run", action="append", default=[], dest="run_id", metavar="ID", help="only this one; repeatable"
    )
    one.add_argument("--write-targets", action="store_true", help="have the targets written anew as well")


def _chosen(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", nargs="*", metavar="RUN", help="ids, folders, reports; default: all kept runs")
    one.add_argument("--sweep", metavar="NAME", help="only the runs of a sweep")
    one.add_argument("--no-published", action="store_true", help="without the paper's values")
