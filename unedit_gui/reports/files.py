"""What is handed on of runs, as files: figures in every format, and the report."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput
from ..runs import Run
from ..workspace import Workspace
from . import report
from .canvas import FORMATS
from .drawing import draw
from .figures import all_figures
from .tables import big_table, figures_csv, latex, table_csv


def figure_files(runs: Sequence[Run], ghosts: bool = True, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """Each figure as picture, light and dark, the values behind all of them, and the big table; by file name."""
    figures, table = all_figures(runs, ghosts), big_table(runs, ghosts)
    found = {
        f"{figure.name}{'-dark' if dark else ''}.{format}": draw(figure, format, dark)
        for figure in figures
        for format in formats
        for dark in (False, True)
    }
    texts = {"figures.csv": figures_csv(figures), "table.csv": table_csv(table), "table.tex": latex(table)}
    return found | {name: text.encode() for name, text in texts.items()}


def write_figures(runs: Sequence[Run], folder: Path, ghosts: bool = True) -> None:
    """Write them into a folder, which exists."""
    for name, content in figure_files(runs, ghosts).items():
        (folder / name).write_bytes(content)


def zipped(files: dict[str, bytes]) -> bytes:
    """Files as one, for the browser to keep."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def write_report(runs: Sequence[Run], file: Path, workspace: Workspace, ghosts: bool = True) -> Path:
    """Write the report to `file` (.html) and the same in Markdown beside it. BadInput where something else is there."""
    if file.suffix.lower() not in (".html", ".htm"):
        raise BadInput(f"{file.name}: a report is an HTML file; give a name that ends in .html.")
    beside = file.with_suffix(".md")
    if os.path.lexists(file) and not _is_report(file):
        raise BadInput(f"{file} is there already and is no report; choose another name.")
    if os.path.lexists(beside) and not _is_report(beside):
        raise BadInput(f"{beside} is there already and is no report; the Markdown goes there, so choose another name.")
    try:
        workspace.write_atomically(file, report.html(runs, file.name, ghosts))
        workspace.write_atomically(beside, report.text(runs, file.name, ghosts))
    except OSError as error:
        raise BadInput(f"{file} can't be written ({error.strerror}); choose another file.") from error
    return file


def _is_report(path: Path) -> bool:
    """Whether this file is one of ours: it begins as the template report.md or report.html does."""
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(2000)
    except (OSError, ValueError):
        return False
    if path.suffix.lower() == ".md":
        return head.startswith("# What was forgotten, and what was kept\n\n")
    return head.startswith("<!doctype html>") and "<title>Unedit report: " in head
