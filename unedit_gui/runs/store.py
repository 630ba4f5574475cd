"""The runs that a workspace keeps: a folder each, and an index of them in SQLite.

The folders are what counts. The index, runs.sqlite, is there so that a thousand runs are listed at once and can be
looked at with SQLite's own tools; it is brought up to date whenever runs are listed, and made anew where it is gone or
damaged. A run that could not be made leaves a folder too, with the reason in it.

    runs/ID/run.json ...    a run, see record.py; `pinned`, an empty file, where somebody pinned it
    runs/ID/failed.json     settings and the reason
    runs/targets/           refusals that several runs share
    runs/sweeps/            configs of sweeps that have begun and not ended
    runs/runs.sqlite        the index
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import BadInput
from .config import Config, from_mapping
from .record import EDIT, FORMAT, PLAIN, RUN, Run, Settings, as_text, from_document, read_run, write_run

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..workspace import Workspace

FAILED, PINNED, INDEX, TARGETS, SWEEPS = "failed.json", "pinned", "runs.sqlite", "targets", "sweeps"
_ID = re.compile(r"[0-9a-f]{16}")
_BUSY = 10.0  # seconds to wait for another program at the index


@dataclass(frozen=True)
class Failure:
    """A run that could not be made, and why."""

    settings: Settings
    reason: str
    sweep: str | None = None
    created: str = ""

    @property
    def id(self) -> str:
        return self.settings.id


class _Taken(Exception):
    """A lock is somebody else's."""


def _not_waiting() -> None:
    raise _Taken


class Runs:
    """Keeps, lists and deletes runs. Several threads and programs may use one workspace at once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read: dict[str, tuple[int, Run]] = {}  # by id: when it was written, and the run without its rows

    def folder(self, id: str) -> Path:
        """Where the run of this id lies or would lie. BadInput for what is no id."""
        if not _ID.fullmatch(id):
            raise BadInput(f"{id[:60]!r} names no run; an id has 16 digits and letters from a to f, `runs` lists them.")
        return self._workspace.runs_dir / id

    def lock(self, id: str, waiting=None):
        """Hold a run against others who would make the same."""
        return self._workspace.lock(f"run-{id}", waiting)

    # ------------------------------------------------------------------ keeping

    def keep(self, run: Run, edit: Edit) -> Run:
        """Write a run with its edit, whole or not at all; an older one of the same settings gives way. One that was
        made in another dtype, when these weren't told apart, goes to the trash."""
        from ..edits.edit import save

        place = self.folder(run.id)
        if (place / RUN).is_file() and self.find(run.settings) is None:
            self._workspace.discard(place)
        pinned = (place / PINNED).is_file()
        with self._workspace.atomic_folder(place) as folder:
            write_run(run, folder)
            save(edit, folder / EDIT)
            if pinned:
                (folder / PINNED).touch()
        return run

    def share(self, run: Run, sweep: str) -> Run:
        """Have a kept run belong to one more sweep."""
        run = replace(run, also=(*run.also, sweep))
        self._workspace.write_atomically(self.folder(run.id) / RUN, as_text(run.document()))
        return run

    def fail(self, settings: Settings, reason: str, sweep: str | None = None) -> Failure:
        """Write down why a run could not be made. A finished one of the same settings stays."""
        failure = Failure(settings, reason, sweep, datetime.now(UTC).isoformat(timespec="seconds"))
        place = self.folder(settings.id)
        if not (place / RUN).is_file():
            document = {"format": FORMAT, "id": settings.id, **asdict(failure)}
            with self._workspace.atomic_folder(place) as folder:
                (folder / FAILED).write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
        return failure

    def pin(self, id: str, on: bool = True) -> None:
        """Pinned runs stand first in tables."""
        self.load(id, rows=False)
        mark = self.folder(id) / PINNED
        mark.touch() if on else mark.unlink(missing_ok=True)

    def delete(self, id: str) -> str:
        """Move a run (or what is known of one that failed) to the trash. Returns a token for `restore`."""
        if not self.folder(id).is_dir():
            raise BadInput(f"There is no run {id}; `runs` lists those that there are.")
        return str(self._workspace.discard(self.folder(id)))

    def restore(self, token: str) -> Run | Failure:
        """Put a deleted run, or what is known of one that failed, back and return it. BadInput where the trash doesn't
        hold it any more, or where the run was made again meanwhile: both are left where they are, and the token as good
        as it was."""
        trashed = Path(token)
        place = self._workspace.runs_dir / trashed.name
        if trashed.is_dir() and (place / RUN).is_file():
            raise BadInput(f"The run {place.name} was made again; the deleted one stays in the trash, at {token}.")
        if trashed.is_dir() and (place / FAILED).is_file():  # that it failed meanwhile is no reason to lose it
            self._workspace.discard(place)
        try:
            place = self._workspace.restore(token)
        except FileNotFoundError as error:
            raise BadInput("The deleted run is not in the trash any more.") from error
        return read_run(place) if (place / RUN).is_file() else _failure(place)

    # ------------------------------------------------------------------ reading

    def load(self, id: str, rows: bool = True) -> Run:
        """The run of this id; BadInput where there is none, or it is damaged."""
        if not (self.folder(id) / RUN).is_file():
            raise BadInput(f"There is no run {id}; `runs` lists those that there are.")
        return read_run(self.folder(id), rows)

    def find(self, settings: Settings) -> Run | None:
        """The run with these settings without its rows, if it is kept and whole."""
        try:
            run = self.load(settings.id, rows=False)
        except BadInput:
            return None
        return run if run.environment.get("dtype", settings.dtype) == settings.dtype else None

    def pinned(self) -> set[str]:
        """The ids of the pinned runs."""
        return {place.name for place in self._places() if (place / PINNED).is_file()}

    def failures(self) -> list[Failure]:
        """What could not be made, newest first; what can't be read is left out."""
        found = []
        for place in self._places():
            try:
                found.append(_failure(place))
            except BadInput:
                continue
        return sorted(found, key=lambda failure: failure.created, reverse=True)

    def all(self) -> list[Run]:
        """The runs that are whole, without their rows, newest first."""
        there = {}
        for place in self._places():
            try:
                there[place.name] = (place / RUN).stat().st_mtime_ns
            except OSError:  # a failed one, or gone just now
                continue
        self._read = {id: kept for id, kept in self._read.items() if there.get(id) == kept[0]}
        if there.keys() != self._read.keys():
            self._catch_up(there)
        return sorted((run for _, run in self._read.values()), key=lambda run: (run.created, run.id), reverse=True)

    def _places(self) -> list[Path]:
        return [place for place in self._workspace.runs_dir.iterdir() if _ID.fullmatch(place.name) and place.is_dir()]

    # ------------------------------------------------------------------ the index

    def _catch_up(self, there: dict[str, int]) -> None:
        """Read what the index doesn't have from the folders, and have it know that."""
        with self._workspace.lock("runs-index"):
            known = self._indexed(there)
            new = {}
            for id in there.keys() - known.keys() - self._read.keys():
                try:
                    new[id] = read_run(self._workspace.runs_dir / id, rows=False)
                except BadInput:  # told about when it is opened
                    continue
            self._read |= known | {id: (there[id], run) for id, run in new.items()}
            try:
                self._write([_row(run, there[id]) for id, run in new.items()], there)
            except (sqlite3.Error, OSError):  # the folders have it all; the next who can write it makes it anew
                self._drop()

    def _indexed(self, there: dict[str, int]) -> dict[str, tuple[int, Run]]:
        """The runs that the index has as they are on the disk now."""
        path = self._workspace.runs_dir / INDEX
        if not path.is_file():
            return {}
        found = {}
        try:
            db = self._open()
            for id, stamp, document in db.execute("select id, stamp, document from runs").fetchall():
                if there.get(id) == stamp and id not in self._read:
                    found[id] = (stamp, from_document({**json.loads(document), "rows": []}))
            db.close()
        except (sqlite3.Error, ValueError, TypeError, BadInput):
            self._drop()
            return {}
        return found

    def _write(self, rows: Sequence[dict[str, Any]], there: Iterable[str]) -> None:
        db = self._open()
        try:
            if rows:
                db["runs"].upsert_all(rows, pk="id", alter=True)
            if db["runs"].exists():
                gone = [id for (id,) in db.execute("select id from runs").fetchall() if id not in there]
                db["runs"].delete_where(f"id in ({','.join('?' * len(gone))})", gone) if gone else None
        finally:
            db.close()

    def _open(self):
        from sqlite_utils import Database

        return Database(sqlite3.connect(self._workspace.runs_dir / INDEX, timeout=_BUSY))

    def _drop(self) -> None:
        """Take a damaged index away."""
        for end in ("", "-journal", "-wal", "-shm"):
            try:
                (self._workspace.runs_dir / (INDEX + end)).unlink(missing_ok=True)
            except OSError:
                continue

    # ------------------------------------------------------------------ sweeps

    @contextmanager
    def sweeping(self, config: Config, model: str = "", fingerprint: str = "", dtype: str = "") -> Iterator[None]:
        """Within: it is written down that this sweep has begun, and with which model. However the block ends, it has
        ended; only a process that dies leaves it behind, for `unfinished`. One that goes on stays the same one."""
        where = {"folder": os.path.abspath(config.folder), "fingerprint": fingerprint, "dtype": dtype}
        told = {"config": config.document(), **where}
        id = config.begun or hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
        content = json.dumps({**told, "model": model}, sort_keys=True)
        place = self._workspace.runs_dir / SWEEPS / f"{id}.json"
        with ExitStack() as held:
            try:
                held.enter_context(self._workspace.lock(f"sweep-{id}", _not_waiting))
            except _Taken:  # the same sweep runs already, and has it written down
                yield
                return
            self._workspace.write_atomically(place, content)
            try:
                yield
            finally:
                place.unlink(missing_ok=True)

    def unfinished(self, methods: Sequence[str]) -> dict[str, Config]:
        """The sweeps whose process died, by an id; what can't be read is left out."""
        found = {}
        for place in sorted((self._workspace.runs_dir / SWEEPS).glob("*.json")):
            try:
                with self._workspace.lock(f"sweep-{place.stem}", _not_waiting):
                    told = json.loads(place.read_text("utf-8"))
                    config = from_mapping(told["config"], methods, Path(told["folder"]))
                    model = {name: str(told.get(name, "")) for name in ("model", "fingerprint", "dtype")}
                    found[place.stem] = replace(config, **model, begun=place.stem)
            except (_Taken, OSError, ValueError, KeyError, TypeError, BadInput):
                continue
        return found

    def drop_sweep(self, id: str) -> None:
        """Go no further with an unfinished sweep. Its runs stay."""
        place = self.folder(id).parent / SWEEPS / f"{id}.json"
        if place.is_file():
            self._workspace.discard(place)

    # ------------------------------------------------------------------ what runs share

    def edit_folder(self, id: str) -> Path:
        """The folder of a run's edit."""
        return self.folder(id) / EDIT

    def targets(self, settings: Settings) -> list[str] | None:
        """The refusals that an earlier run with the same facts, kind, merging and seed was given."""
        try:
            found = json.loads(self._shared(settings).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        good = isinstance(found, list) and len(found) == settings.facts and all(isinstance(t, str) and t for t in found)
        return found if good else None

    def keep_targets(self, settings: Settings, texts: Sequence[str]) -> None:
        """Keep what was written for a run, for those that are to get the same."""
        self._workspace.write_atomically(self._shared(settings), json.dumps(list(texts), ensure_ascii=False))

    def _shared(self, settings: Settings) -> Path:
        # Another version may write them otherwise, so it is part of the name.
        asked = [[q["question"], q["answer"], q["subject"], q.get("target")] for q in settings.forget]
        parts = [__version__, settings.fingerprint, settings.targets, settings.merge, settings.seed, asked]
        parts += [] if settings.dtype == PLAIN else [settings.dtype]
        name = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:32]
        return self._workspace.runs_dir / TARGETS / f"{name}.json"


def _failure(place: Path) -> Failure:
    """What is known of the run in this folder that failed. BadInput where it can't be read."""
    try:
        document = json.loads((place / FAILED).read_text("utf-8"))
        settings = document["settings"]
        lists = {name: tuple(settings[name]) for name in ("forget", "retain", "protect")}
        reason, sweep, created = (document[name] for name in ("reason", "sweep", "created"))
        return Failure(Settings(**{**settings, **lists}), str(reason), sweep, str(created))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"There is no whole run in {place.name}: {FAILED} is missing or damaged.") from error


def _row(run: Run, stamp: int) -> dict[str, Any]:
    """A run as the index has it: what one sorts and filters by, and the whole document."""
    s = run.settings
    return {
        "id": run.id,
        "created": run.created,
        "sweep": ", ".join(run.sweeps) or None,
        "name": run.name,
        "model": s.model,
        "method": s.method,
        "targets": s.targets,
        "merge": s.merge,
        "facts": s.facts,
        "seed": s.seed,
        "score": run.score,
        **{group: run.average(group) for group in ("forget", "rephrased", "retain")},
        "seconds": sum(run.seconds.values()),
        "stamp": stamp,
        "document": json.dumps(run.document(), ensure_ascii=False),
    }
