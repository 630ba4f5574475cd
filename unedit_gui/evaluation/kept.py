"""What the original replied, kept on disk between evaluations: it doesn't change, so it is asked once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..models.loading import LoadedModel
    from ..workspace import Workspace

KEPT_ROWS = 20_000  # about 500 bytes each


@contextmanager
def kept_replies(workspace: Workspace, model: LoadedModel) -> Iterator[dict[str, Any]]:
    """The `cache` for `suite.evaluate`: read from the workspace, and written back where something was added."""
    path = workspace.runs_dir / f"before-{model.fingerprint[:16]}.json"
    cache = _read(path)
    known = len(cache)
    try:
        yield cache
    finally:  # what a stopped run found out about the original is worth keeping too
        if len(cache) > known:
            newest = dict(list(cache.items())[-KEPT_ROWS:])
            workspace.write_atomically(path, json.dumps(newest, ensure_ascii=False))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # not there yet, or cut off: it is made again
        return {}
    return found if isinstance(found, dict) else {}
