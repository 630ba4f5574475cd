"""Runs as data inside an HTML report, and out of it again: what lets a stranger make them once more.

They stand as JSON in a script block that no browser runs. In it "<", ">" and "&" are written as JSON's escapes, so
that no text of a model or a user can end the block. A report comes from anybody: what is read is checked like a
run on disk, and nothing in it is run.

A model that is a folder goes by its last name, for the path is nobody's business; the run keeps its id then, though
that is no longer the hash of what stands there (`renamed`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import __version__
from ..errors import BadInput
from ..runs import Run
from ..runs.record import from_document
from .conditions import is_path, model_name

BLOCK = "unedit-runs"
LARGEST = 200 * 2**20  # bytes of a report
_DATA = re.compile(rf'<script type="application/json" id="{BLOCK}">(.*?)</script>', re.S)
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def data_block(runs: Sequence[Run]) -> str:
    """The script block: pure ASCII, without any character that HTML knows."""
    text = json.dumps({"unedit": __version__, "runs": [_document(run) for run in runs]}, ensure_ascii=True)
    for character, escape in _ESCAPED.items():
        text = text.replace(character, escape)
    return f'<script type="application/json" id="{BLOCK}">{text}</script>'


def _document(run: Run) -> dict[str, Any]:
    if not is_path(run.settings.model):
        return {**run.document(), "rows": list(run.rows)}
    renamed = replace(run, settings=replace(run.settings, model=model_name(run.settings.model)))
    return {**renamed.document(), "rows": list(run.rows), "renamed": run.id}


def runs_in(html: str, name: str = "the report") -> list[Run]:
    """The runs of a report. BadInput where it has none, or they are damaged or were changed."""
    found = _DATA.search(html)
    if not found:
        raise BadInput(f"{name} is no report of Unedit: it holds no runs.")
    try:
        documents = [dict(document) for document in json.loads(found[1])["runs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"The runs in {name} are damaged; get the report again.") from error
    for document in documents:
        document.pop("renamed", None)
    if not documents:
        raise BadInput(f"{name} holds no runs.")
    return [from_document(document, f"a run in {name}") for document in documents]


def ids_in(html: str) -> list[str]:
    """The ids that the runs of a report went by where it was written, in their order."""
    found = _DATA.search(html)
    return [document.get("renamed") or document["id"] for document in json.loads(found[1])["runs"]] if found else []
