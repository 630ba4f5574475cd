"""Below the runs of step 8: the paper's figures drawn from them, the big table, and everything as files."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.ui import runs as table
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.reports.figures import Figure
    from unedit_gui.reports.tables import Table
    from unedit_gui.runs import Run

FROM = (("table", "All runs of the table"), ("pinned", "Pinned runs"))
TYPES = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Drawn:
    """Figures as the page shows them. key: what they were drawn from; when that changes they are drawn again."""

    key: tuple
    figures: tuple[tuple[Figure, str], ...]  # with its picture as an address that holds all of it
    table: Table


def render(lab: Lab, session: Session) -> str:
    """The section: a button first, for drawing takes a moment; then figures and table of the runs as they are now."""
    kept = lab.bench.runs()
    shown = session.form.get("figures_shown") == "1"
    chosen = _chosen(lab, session) if shown and kept else []
    return draw(
        "figures",
        told=session.notices.get("figures"),
        kept=len(kept),
        shown=shown,
        runs=len(chosen),
        drawn=_drawn(session, chosen) if chosen else None,
        choices=[(value, _(text)) for value, text in FROM],
        which=session.form.get("figures_from", "table"),
        ghosts=_ghosts(session),
        pinned=len(lab.bench.pinned_runs()),
    )


def _ghosts(session: Session) -> bool:
    return session.form.get("figures_ghosts", "1") == "1"


def _chosen(lab: Lab, session: Session) -> list[Run]:
    """The runs to draw: those that pass the table's filters, or of these the pinned ones."""
    pinned = lab.bench.pinned_runs()
    found = table.table(session, lab.bench.runs(), pinned)
    return [run for run in found if run.id in pinned] if session.form.get("figures_from") == "pinned" else found


def _drawn(session: Session, runs: list[Run]) -> Drawn:
    from unedit_gui.reports.drawing import draw as picture
    from unedit_gui.reports.figures import all_figures
    from unedit_gui.reports.tables import big_table

    key = (tuple(sorted((run.id, run.created) for run in runs)), _ghosts(session), session.dark)
    if session.figures is None or session.figures.key != key:
        figures = tuple(
            (figure, "" if figure.missing else _address(picture(figure, "svg", session.dark)))
            for figure in all_figures(runs, _ghosts(session))
        )
        session.figures = Drawn(key, figures, big_table(runs, _ghosts(session)))
    return session.figures


def _address(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


# --------------------------------------------------------------- changes


def field(lab: Lab, session: Session, data: dict) -> None:
    if data["field"] in ("figures_from", "figures_ghosts"):
        session.form[str(data["field"])] = str(data["value"])
        session.touch("figures")


def _show(lab: Lab, session: Session, data: dict) -> None:
    session.form["figures_shown"] = "" if session.form.get("figures_shown") == "1" else "1"
    session.touch("figures")


def _runs(lab: Lab, session: Session) -> list[Run]:
    runs = _chosen(lab, session)
    if not runs:
        raise BadInput(_("There are no runs to draw or to report on; start a sweep above, or pin some runs."))
    return runs


def _picture(lab: Lab, session: Session, data: dict) -> dict[str, Any]:
    """One figure as a file, on paper of its own."""
    from unedit_gui.reports.drawing import draw as picture
    from unedit_gui.reports.figures import all_figures

    form = str(data["form"])
    figure = next(f for f in all_figures(_runs(lab, session), _ghosts(session)) if f.name == data["figure"])
    return _file(f"{figure.name}.{form}", TYPES[form], picture(figure, form, session.dark))


def _save(lab: Lab, session: Session, data: dict) -> dict[str, Any]:
    """The values as CSV, the table as LaTeX, or everything in one file."""
    from unedit_gui.reports import files, tables
    from unedit_gui.reports.figures import all_figures

    runs, ghosts = _runs(lab, session), _ghosts(session)
    if data["form"] == "csv":
        text = tables.figures_csv(all_figures(runs, ghosts))
        return {"name": "figures.csv", "type": "text/csv", "text": text}
    if data["form"] == "latex":
        text = tables.latex(tables.big_table(runs, ghosts))
        return {"name": "table.tex", "type": "text/x-tex", "text": text}
    return _file("figures.zip", "application/zip", files.zipped(files.figure_files(runs, ghosts)))


def _report(lab: Lab, session: Session, data: dict) -> dict[str, Any]:
    """The report on these runs, with all their replies."""
    from unedit_gui.reports import report

    whole = [lab.bench.load_run(run.id) for run in _runs(lab, session)]
    text = report.html(whole, "report.html", _ghosts(session))
    return {"name": "report.html", "type": "text/html;charset=utf-8", "text": text}


def _file(name: str, kind: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "type": kind, "base64": base64.b64encode(content).decode()}


ACTS = {"show-figures": _show, "save-figure": _picture, "save-figures": _save, "save-report": _report}
