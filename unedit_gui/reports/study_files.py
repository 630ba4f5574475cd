"""All that a closed study hands on, written into one folder."""

from __future__ import annotations

import json
from pathlib import Path

from ..study import export, heds, writeup
from ..study.store import Study
from .canvas import FORMATS
from .study_charts import levels, means

PEEKED = (
    "Made while the study was {state}: figures may change, and testing before the end makes false alarms likelier.\n"
)


def write(study: Study, folder: Path | str, peek: bool = False) -> list[str]:
    """Write every file into `folder`, which exists and is empty. Returns their names.

    BadInput while the study isn't closed, unless `peek`, which leaves a file NOT-FINAL.txt that says so.
    """
    folder = Path(folder)
    analysis = export.analysis_of(study, peek)
    rows, figures = study.judgements(), analysis.to_json()
    texts = {
        "judgements.csv": export.judgements_csv(rows),
        "items.csv": export.items_csv(study),
        "codebook.md": export.codebook(),
        "study.json": export.as_json(study, analysis, peek),
        "analysis.json": json.dumps(figures, indent=1, allow_nan=False),
        "results.md": writeup.results(analysis),
        "methods.md": heds.methods(study, analysis),
        "heds.md": heds.heds(study, analysis),
    }
    if study.state != "closed":
        texts["NOT-FINAL.txt"] = PEEKED.format(state=study.state)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    for format in FORMATS:
        (folder / f"means.{format}").write_bytes(means(figures, format))
        (folder / f"levels.{format}").write_bytes(levels(figures, format))
        if analysis.unflagged:
            (folder / f"means-unflagged.{format}").write_bytes(means(figures, format, unflagged=True))
    export.backup(study, folder / "study.sqlite")
    return sorted(path.name for path in folder.iterdir())
