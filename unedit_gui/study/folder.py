"""The studies of a workspace: one file each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unedit_gui.errors import BadInput, UneditError
from unedit_gui.workspace import Workspace, safe_name

from . import freezing
from .protocol import Protocol, load
from .store import Study, facts

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "example_study.yaml"
EXAMPLE_REPLIES = EXAMPLE.with_suffix(".csv")


class Studies:
    """Finds, makes and puts away studies. Each file is opened once and shared."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._open: dict[Path, Study] = {}

    def all(self) -> list[Study]:
        """The studies that can be read, by name; damaged files are left out."""
        found = []
        for path in sorted(self._workspace.studies_dir.glob("*.sqlite")):
            try:
                study = self._at(path)
                study.state  # noqa: B018 - reads the file
            except (UneditError, TypeError, StopIteration):  # no study, or not one yet
                continue
            found.append(study)
        return sorted(found, key=lambda study: study.name)

    def lines(self) -> list[Mapping[str, Any]]:
        """A line about each: `name`, `title`, `state`, `invited`, `began`, `finished`, `judgements`."""
        return [facts(study) for study in self.all()]

    def stamp(self) -> tuple:
        """What changes whenever any study does, whoever wrote: cheap enough to be looked at every second."""
        found = []
        for path in sorted(self._workspace.studies_dir.glob("*.sqlite*")):
            if not path.name.endswith("-shm"):
                with suppress(FileNotFoundError):
                    found.append((path.name, path.stat().st_mtime_ns, path.stat().st_size))
        return tuple(found)

    def get(self, name: str) -> Study:
        """The study called `name`. BadInput if there is none."""
        path = self._path(name)
        if not path.is_file():
            raise BadInput(f"There is no study {name!r}; `python -m unedit_gui study list` lists them.")
        return self._at(path)

    def create(self, name: str, protocol: Protocol, *, replace: bool = False) -> Study:
        """A new study, as a draft. `replace`: put a draft of that name into the trash first."""
        if not name.strip() or len(name) > 80:
            raise BadInput(f"{name[:80]!r} is no name for a study; take a short one.")
        path = self._path(name)
        if replace and path.is_file():
            self.delete(name)
        return self._keep(Study.create(path, name, protocol))

    def delete(self, name: str) -> Path:
        """Put a draft into the trash; returns what `restore` takes. BadInput for a study that was opened once."""
        study = self.get(name)
        if study.state != "draft":
            raise BadInput(f"{name!r} is {study.state}, no draft any more; nothing of it can be changed.")
        self._forget(study.path)
        trashed = self._workspace.discard(study.path)
        _move_journals(study.path, trashed)
        return trashed

    def restore(self, trashed: Path | str) -> Study:
        """Bring back what `delete` put away. BadInput where it is gone, or a study of its name was made meanwhile."""
        trashed = Path(trashed)
        path = self._workspace.studies_dir / trashed.name
        if path.exists():
            raise BadInput(f"There is a study {path.stem!r} again; the deleted draft stays in the trash, at {trashed}.")
        try:
            _move_journals(trashed, path)
            self._workspace.restore(trashed)
        except FileNotFoundError as error:
            raise BadInput("The deleted draft is not in the trash any more.") from error
        return self._at(path)

    def example(self, name: str) -> Study:
        """The example that comes with the program: replies of the bundled model under real edits, frozen."""
        study = self.create(name, load(EXAMPLE))
        freezing.from_csv(study, EXAMPLE_REPLIES)
        return study

    def copy(self, study: Study, name: str) -> Study:
        """A study with the same protocol and the same frozen replies, and nobody in it."""
        if missing := study.missing():
            raise BadInput(f"{study.name!r} lacks {len(missing)} replies; freeze it first.")
        with study.reading() as db:
            rows = db.execute(
                "SELECT i.question, c.name, i.reply FROM items AS i JOIN conditions AS c ON c.id = i.condition_id"
            ).fetchall()
        made = self.create(name, study.protocol)
        made.add_replies(rows, f"copied from {study.name}")
        return made

    def _path(self, name: str) -> Path:
        return self._workspace.studies_dir / f"{safe_name(name)}.sqlite"

    def _at(self, path: Path) -> Study:
        if path in self._open and self._open[path].replaced:
            self._forget(path)
        if path not in self._open:
            self._open[path] = Study(path)
        return self._open[path]

    def _keep(self, study: Study) -> Study:
        self._open[study.path] = study
        return study

    def _forget(self, path: Path) -> None:
        study = self._open.pop(path, None)
        if study is not None:
            study.disconnect()


def _move_journals(path: Path, to: Path) -> None:
    """A study's journals go where its file goes: while a server holds them they are not empty, and beside a new file
    of the old name they would be read into it."""
    for journal in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            shutil.move(f"{path}{journal}", f"{to}{journal}")
