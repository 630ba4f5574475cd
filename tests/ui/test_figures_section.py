"""Below the runs of step 8, without a browser: figures and files of what the table shows."""

import base64
import io
import zipfile

import pytest

from tests.reports.made import HOSTILE, made, row
from unedit_gui.reports.embedded import runs_in
from unedit_gui.runs import write_run
from unedit_gui.ui import app, figures, runs
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session

KEPT = (
    made("rome", rows=(row(HOSTILE, "Yes.", "I don't know."),)),
    made("alphaedit", seed=1, retain=1.0),
    made("grace", facts=40, name=HOSTILE),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab without a model, whose workspace has runs."""
    lab = Lab(tmp_path_factory.mktemp("home"))
    for run in KEPT:
        folder = lab.bench.workspace.runs_dir / run.id
        folder.mkdir()
        write_run(run, folder)
    return lab


@pytest.fixture
def session(lab):
    session = Session("1" * 32)
    figures.ACTS["show-figures"](lab, session, {})
    return session


def test_without_runs_there_is_nothing_and_at_first_a_button(lab, tmp_path):
    assert "no-detail" in figures.render(Lab(tmp_path), Session("0" * 32))
    drawn = figures.render(lab, Session("0" * 32))
    assert "show-figures" in drawn and "save-report" in drawn and "<img" not in drawn


def test_the_figures_are_drawn_once_for_the_same_runs_and_anew_for_others(lab, session):
    drawn = figures.render(lab, session)
    assert drawn.count("data:image/svg+xml;base64,") == 3 and "No run merges questions" in drawn
    assert "paper: Llama2-7B-chat, 20 world facts" in drawn and "1.70" in drawn and "1.90" in drawn
    before = session.figures
    figures.render(lab, session)
    assert session.figures is before
    for name, value in (("figures_ghosts", ""), ("runs_method", "rome")):
        module = runs if name.startswith("runs") else figures
        module.field(lab, session, {"field": name, "value": value})
        drawn = figures.render(lab, session)
    assert session.figures is not before and "Llama2" not in drawn and "1.90" not in drawn


def test_pinned_runs_alone_can_be_drawn(lab, session):
    figures.field(lab, session, {"field": "figures_from", "value": "pinned"})
    assert "No run is pinned" in figures.render(lab, session)
    lab.bench.pin_run(KEPT[1].id)
    figures.render(lab, session)
    assert [row.name for row in session.figures.table.rows if not row.source] == ["Original", "AlphaEdit"]
    lab.bench.pin_run(KEPT[1].id, False)
    with pytest.raises(Exception, match="no runs to draw"):
        figures.ACTS["save-report"](lab, session, {})


def test_every_download_is_what_it_says(lab, session):
    save = figures.ACTS["save-figure"]
    png, svg = (save(lab, session, {"figure": "radar", "form": form}) for form in ("png", "svg"))
    assert base64.b64decode(png["base64"]).startswith(b"\x89PNG") and svg["name"] == "radar.svg"
    assert b"<svg" in base64.b64decode(svg["base64"])[:400]
    made_of = {form: figures.ACTS["save-figures"](lab, session, {"form": form}) for form in ("csv", "latex", "zip")}
    assert made_of["csv"]["text"].startswith("figure,series") and "\\toprule" in made_of["latex"]["text"]
    packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(made_of["zip"]["base64"])))
    assert {"radar.png", "score-by-size-dark.svg", "table.tex"} <= set(packed.namelist())
    page = figures.ACTS["save-report"](lab, session, {})["text"]
    assert {run.id for run in runs_in(page)} == {run.id for run in KEPT} and "<img src=x" not in page


def test_a_click_of_the_page_reaches_them(lab, session):
    file = app.dispatch(lab, session, "figures", "click", {"act": "save-figures", "form": "csv"})
    assert file["name"] == "figures.csv"
    app.dispatch(lab, session, "figures", "input", {"field": "figures_ghosts", "value": ""})
    assert session.form["figures_ghosts"] == ""
